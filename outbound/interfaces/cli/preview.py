"""``outbound preview``: a message as one customer would get it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbound.services.preview import Previewed


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def preview(
        rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule.")],
        customer: Annotated[
            str, typer.Argument(metavar="CUSTOMER", help="An id, an e-mail address or a phone number.")
        ],
        *,
        values: Annotated[
            list[str] | None, typer.Option("--data", metavar="NAME=VALUE", help="An argument of a script rule.")
        ] = None,
        all_languages: Annotated[
            bool, typer.Option("--all-languages", help="In every language it is written in, not only theirs.")
        ] = False,
        out: Annotated[
            Path | None, typer.Option(metavar="FOLDER", help="Write a page with all of it, and the HTML files, here.")
        ] = None,
        look: Annotated[
            bool, typer.Option("--open", help="Open that page in the browser (without --out in a new folder).")
        ] = False,
        text: Annotated[
            bool, typer.Option("--text", help="Print the text of each message, nothing around it.")
        ] = False,
        html: Annotated[bool, typer.Option("--html", help="Print the HTML of each e-mail, nothing around it.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Show RULE as CUSTOMER would get it, on every channel. Sends nothing, writes nothing on record."""
        import webbrowser

        from outbound.interfaces.cli.arguments import pairs, wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.cli.preview_page import ASSETS, write_page
        from outbound.services import releases
        from outbound.services.customers import find_one
        from outbound.services.preview import preview as render

        if text + html + as_json > 1:
            wrong_usage("--text, --html and --json are three ways to print it: give one")
        arguments = pairs(values)
        with open_context() as context:
            active = releases.running(context.reader)
            folder = out if out is not None or not look else _new_folder()
            previews = render(
                context.reader,
                active,
                rule=rule,
                customer_id=find_one(context.reader, context.keyring, customer),
                public_url=context.settings.public_url,
                arguments=arguments,
                all_languages=all_languages,
                assets=ASSETS if folder is not None else "",
            )
        files: list[Path] = []
        if folder is not None:
            files = [
                *_write(previews, folder, every=all_languages),
                write_page(folder, previews, active.templates.assets()),
            ]
        if as_json:
            print_json({"previews": previews, "files": [str(file) for file in files]})
        elif text or html:
            _print_bare(previews, html=html)
        else:
            for one in previews:
                _print(one, language=f" in {one.language}" if all_languages else "")
            for file in files:
                typer.echo(f"HTML: {file}")
        if look:
            webbrowser.open(files[-1].resolve().as_uri())


def _new_folder() -> Path:
    """A folder that stays: the browser may read it long after this command has ended."""
    from tempfile import mkdtemp

    return Path(mkdtemp(prefix="outbound-preview-"))


def _write(previews: "Sequence[Previewed]", folder: Path, *, every: bool) -> list[Path]:
    from urllib.parse import quote

    from outbound.domain.rendered import RenderedEmail

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for one in previews:
        if isinstance(one.content, RenderedEmail):
            language = f".{one.language}" if every else ""
            file = folder / f"{one.template}{language}.{quote(one.customer_id, safe='')}.html"
            file.write_text(one.content.html, encoding="utf-8")
            files.append(file)
    return files


def _print_bare(previews: "Sequence[Previewed]", *, html: bool) -> None:
    """The words alone, for a pager or a file; whatever cannot be shown so is said on standard error."""
    from outbound.domain.rendered import RenderedEmail, RenderedSms
    from outbound.interfaces.cli.output import print_error

    for one in previews:
        match one.content:
            case RenderedEmail() as mail:
                typer.echo(mail.html if html else mail.text)
            case RenderedSms() as sms if not html:
                typer.echo(sms.text)
            case RenderedSms():
                print_error(f"{one.template} by {one.channel} has no HTML")
            case stop:
                print_error(f"{one.template} by {one.channel} would not be sent: render.{stop.detail}")


def _print(one: "Previewed", *, language: str) -> None:
    from outbound.domain.rendered import RenderedEmail, RenderedSms
    from outbound.interfaces.cli.output import counted

    template = "" if one.template == one.rule else f", template {one.template}"
    typer.secho(f"{one.rule} by {one.channel}{language} ({one.message_class}{template})", bold=True)
    match one.content:
        case RenderedEmail() as mail:
            typer.echo(f"From:    {mail.sender}\nSubject: {mail.subject}\n\n{mail.text}")
        case RenderedSms() as sms:
            typer.echo(f"{sms.text}\n\n{counted(sms.segments, 'segment')}, {sms.encoding}")
        case stop:
            typer.echo(f"would not be sent: render.{stop.detail}")
    typer.echo("")
