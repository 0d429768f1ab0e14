"""``outbound sms-in``: a text that came in, as a provider's webhook would hand it over."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from outbound.services.sms_words import Heard


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="sms-in")
    def sms_in(
        number: Annotated[str, typer.Argument(metavar="FROM", help="The number it came from, with its +.")],
        text: Annotated[str, typer.Argument(metavar="TEXT", help="What it says.")],
        *,
        to: Annotated[str, typer.Option(metavar="NUMBER", help="Our number that it was sent to.")] = "",
        message_id: Annotated[
            str, typer.Option("--id", metavar="ID", help="The provider's id: the same id again does nothing.")
        ] = "",
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Take in one text: STOP, START, HELP or others.

        An unclear one pauses marketing and waits for a person.
        """
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.services import sms_words

        with open_context() as context:
            heard = sms_words.receive(
                context.database,
                context.active().ruleset.policy,
                context.keyring,
                number=number,
                text=text,
                to=to,
                message_id=message_id,
                now=context.now(),
            )
        if as_json:
            print_json(heard)
            return
        typer.echo(_line(heard))


def _line(heard: "Heard") -> str:
    from outbound.services.sms_words import Effect

    if heard.repeated:
        return f"{heard.id} was taken in before: nothing changed"
    said = f"{heard.meaning}" + (f" ({heard.keyword})" if heard.keyword else "")
    whose = f"customer {', '.join(heard.customers)}" if heard.customers else "a number of no customer"
    done = {
        Effect.STOPPED: "texts are stopped",
        Effect.RESUMED: "the stop is reversed",
        Effect.ASKED: "asks who we are",
        Effect.PAUSED: f"marketing pauses until a person has read it: `outbound consent review {heard.id}`",
        Effect.NONE: "nothing to change",
    }[heard.effect]
    answer = f"; {heard.answer} is recorded for a rule to answer" if heard.answer else ""
    return f"{said} from {whose}: {done}{answer}"
