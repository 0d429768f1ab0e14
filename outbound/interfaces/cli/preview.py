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
        customer: Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")],
        values: Annotated[
            list[str] | None, typer.Option("--data", metavar="NAME=VALUE", help="An argument of a script rule.")
        ] = None,
        out: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write the HTML files here.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Show RULE as CUSTOMER would get it, on every channel. Sends nothing."""
        from outbound.interfaces.cli.arguments import pairs
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services.preview import preview as render

        with open_context() as context:
            previews = render(
                context.database,
                context.active(),
                rule=rule,
                customer_id=customer,
                public_url=context.settings.public_url,
                arguments=pairs(values),
            )
        files = _write(previews, out) if out is not None else []
        if as_json:
            print_json({"previews": previews, "files": [str(file) for file in files]})
            return
        for one in previews:
            _print(one)
        for file in files:
            typer.echo(f"HTML: {file}")


def _write(previews: "Sequence[Previewed]", folder: Path) -> list[Path]:
    from urllib.parse import quote

    from outbound.domain.rendered import RenderedEmail

    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for one in previews:
        if isinstance(one.content, RenderedEmail):
            file = folder / f"{one.template}.{quote(one.customer_id, safe='')}.html"
            file.write_text(one.content.html, encoding="utf-8")
            files.append(file)
    return files


def _print(one: "Previewed") -> None:
    from outbound.domain.rendered import RenderedEmail, RenderedSms
    from outbound.interfaces.cli.output import counted

    template = "" if one.template == one.rule else f", template {one.template}"
    typer.secho(f"{one.rule} by {one.channel} ({one.message_class}{template})", bold=True)
    match one.content:
        case RenderedEmail() as mail:
            typer.echo(f"From:    {mail.sender}\nSubject: {mail.subject}\n\n{mail.text}")
        case RenderedSms() as sms:
            typer.echo(f"{sms.text}\n\n{counted(sms.segments, 'segment')}, {sms.encoding}")
        case stop:
            typer.echo(f"would not be sent: render.{stop.detail}")
    typer.echo("")
