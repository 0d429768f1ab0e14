"""``outbound preview`` and ``outbound proof``: a message as one customer would get it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.services.preview import Previewed


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def preview(
        rule: Annotated[str, typer.Argument(help="The rule.")],
        customer: Annotated[str, typer.Argument(help="The customer's id.")],
        values: Annotated[list[str] | None, typer.Option("--data", help="name=value, for a script rule.")] = None,
        out: Annotated[Path | None, typer.Option(help="Write the HTML files into this folder.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Render every channel of RULE with the customer's real values. Sends nothing."""
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
        if as_json:
            print_json(previews)
            return
        for one in previews:
            _print(one, out)

    @app.command()
    def proof(
        rule: Annotated[str, typer.Argument(help="The rule.")],
        customer: Annotated[str, typer.Option("--as", help="Whose values are shown.")],
        to: Annotated[str, typer.Option("--to", help="Your own address or phone number.")],
        values: Annotated[list[str] | None, typer.Option("--data", help="name=value, for a script rule.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Send yourself RULE as CUSTOMER would get it: marked as a proof, and not counted anywhere."""
        import asyncio

        from outbound.app import build
        from outbound.domain.customer import ChannelName
        from outbound.domain.errors import OutboundError
        from outbound.domain.outcome import Outcome, OutcomeKind
        from outbound.interfaces.cli.arguments import pairs
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.services import preview as previews

        channel = ChannelName.EMAIL if "@" in to else ChannelName.SMS
        with open_context() as context:
            built = build(context.settings, context.database)
            rendered = previews.preview(
                context.database,
                context.active(),
                rule=rule,
                customer_id=customer,
                public_url=context.settings.public_url,
                arguments=pairs(values),
            )
            chosen = [one for one in rendered if one.channel is channel]
            if not chosen:
                raise OutboundError(
                    "proof.channel", f"{rule} does not use {channel}", "name an address of its channels"
                )
            now = context.now()

            async def deliver() -> list[Outcome]:
                try:
                    adapter = built.adapters[channel]
                    return [await previews.proof(one, adapter=adapter, address=to, now=now) for one in chosen]
                finally:
                    await built.close()

            outcomes = asyncio.run(deliver())
            built.write_mailbox_index()
        if as_json:
            print_json(outcomes)
        else:
            for one, outcome in zip(chosen, outcomes, strict=True):
                typer.echo(f"{one.template} by {one.channel}: {outcome.kind} {outcome.text}".rstrip())
        if any(outcome.kind is not OutcomeKind.ACCEPTED for outcome in outcomes):
            raise typer.Exit(EXIT_ERROR)


def _print(one: "Previewed", out: Path | None) -> None:
    from outbound.domain.rendered import RenderedEmail, RenderedSms

    typer.secho(f"{one.template} by {one.channel} ({one.message_class})", bold=True)
    match one.content:
        case RenderedEmail() as mail:
            typer.echo(f"From:    {mail.sender}\nSubject: {mail.subject}\n\n{mail.text}")
            if out is not None:
                out.mkdir(parents=True, exist_ok=True)
                file = out / f"{one.template}.{one.customer_id}.html"
                file.write_text(mail.html, encoding="utf-8")
                typer.echo(f"\nHTML: {file}")
        case RenderedSms() as sms:
            typer.echo(f"{sms.text}\n\n{sms.segments} segment{'' if sms.segments == 1 else 's'}, {sms.encoding}")
        case stop:
            typer.echo(f"would not be sent: render.{stop.detail}")
    typer.echo("")
