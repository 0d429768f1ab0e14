"""``outbound proof``: a marked copy of a message to the one who answers for it."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from outbound.domain.outcome import Outcome
    from outbound.interfaces.cli.context import Context
    from outbound.services.preview import Previewed

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def proof(
        rule: Annotated[str, typer.Argument(metavar="RULE", help="The rule.")],
        customer: Annotated[str, typer.Option("--as", metavar="CUSTOMER", help="Whose values are shown.")],
        to: Annotated[
            str, typer.Option("--to", metavar="ADDRESS", help="Your own e-mail address or phone number (+39...).")
        ],
        values: Annotated[
            list[str] | None, typer.Option("--data", metavar="NAME=VALUE", help="An argument of a script rule.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Send yourself RULE as CUSTOMER would get it. It is marked as a proof, and not counted anywhere."""
        from outbound.domain.customer import ChannelName
        from outbound.domain.errors import OutboundError
        from outbound.domain.outcome import OutcomeKind
        from outbound.interfaces.cli.arguments import pairs, wrong_usage
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.exits import EXIT_ERROR
        from outbound.interfaces.cli.output import print_json
        from outbound.services.preview import preview

        if "@" not in to and not _PHONE.fullmatch(to):
            wrong_usage("--to takes an e-mail address, or a phone number such as +390551234567")
        arguments = pairs(values)
        channel = ChannelName.EMAIL if "@" in to else ChannelName.SMS
        with open_context() as context:
            rendered = preview(
                context.database,
                context.active(),
                rule=rule,
                customer_id=customer,
                public_url=context.settings.public_url,
                arguments=arguments,
            )
            chosen = [one for one in rendered if one.channel is channel]
            if not chosen:
                message = f"{rule} does not use {channel}"
                raise OutboundError("proof.channel", message, "name an address of its channels")
            outcomes = _deliver(context, chosen, to)
        if as_json:
            print_json([{"template": one.template, "outcome": got} for one, got in zip(chosen, outcomes, strict=True)])
        else:
            for one, outcome in zip(chosen, outcomes, strict=True):
                typer.echo(f"{one.template} by {one.channel}: {outcome.kind} {outcome.text}".rstrip())
        if any(outcome.kind is not OutcomeKind.ACCEPTED for outcome in outcomes):
            raise typer.Exit(EXIT_ERROR)


def _deliver(context: "Context", chosen: "Sequence[Previewed]", to: str) -> "list[Outcome]":
    from outbound.app import build
    from outbound.interfaces.logs import log_to_stderr
    from outbound.runtime import loop
    from outbound.services import preview as previews

    now, built = context.now(), build(context.settings, context.database)
    log_to_stderr()

    async def deliver() -> "list[Outcome]":
        try:
            adapter = built.adapters[chosen[0].channel]
            return [await previews.proof(one, adapter=adapter, address=to, now=now) for one in chosen]
        finally:
            await built.close()

    outcomes = loop.run(deliver())
    built.write_mailbox_index()
    return outcomes
