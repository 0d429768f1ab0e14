"""``outbound consent show|grant|withdraw|review|verify``: what people said, its proof, and that nobody changed it."""

from typing import TYPE_CHECKING, Annotated

import typer

from outbound.interfaces.cli.consent_words import grant, withdraw
from outbound.interfaces.cli.exits import EXIT_CHANGES

if TYPE_CHECKING:
    from outbound.domain.consent import ConsentEvent
    from outbound.services.customers import Record
    from outbound.storage.ledger import Verified

Who = Annotated[str, typer.Argument(metavar="ID|EMAIL|PHONE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Show, record and verify what people agreed to.")
    app.add_typer(group, name="consent")
    for command in (show, grant, withdraw, review, verify):
        group.command()(command)


def show(who: Who, *, as_json: AsJson = False) -> None:
    """Show what stands and the ledger behind it."""
    from outbound.interfaces.cli.arguments import operator
    from outbound.interfaces.cli.context import open_context
    from outbound.interfaces.cli.output import print_json
    from outbound.services import audit, consent_ledger
    from outbound.services.customers import show as read

    with open_context() as context:
        record = read(context.database, context.keyring, who, limit=1)
        identity = record.customer.id
        verified = consent_ledger.verify(context.database, identity)
        audit.note(context.database, kind="consent.show", customer_id=identity, by=operator(), now=context.now())
    if as_json:
        print_json({"customer": identity, "stands": record.consents, "ledger": record.ledger, "chain": verified})
    else:
        _print(record, verified)


def review(
    text: Annotated[str, typer.Argument(metavar="[TEXT]", help="The id of a text. Left out: list them.")] = "",
    *,
    opt_out: Annotated[bool, typer.Option("--opt-out", help="It was a STOP.")] = False,
    carry_on: Annotated[bool, typer.Option("--carry-on", help="It was not: marketing goes on.")] = False,
    note: Annotated[str, typer.Option(metavar="TEXT", help="How you know.")] = "",
    as_json: AsJson = False,
) -> None:
    """List texts that a person has to read, or say what one meant."""
    from outbound.interfaces.cli.arguments import operator, wrong_usage
    from outbound.interfaces.cli.context import open_context
    from outbound.interfaces.cli.output import print_json, print_rows
    from outbound.services import sms_words

    if bool(text) != (opt_out is not carry_on) or (opt_out and carry_on):
        wrong_usage("name a text with one of --opt-out and --carry-on, or neither")
    with open_context() as context:
        if text:
            settled = sms_words.settle(
                context.database,
                context.active().ruleset.policy,
                context.keyring,
                text_id=text,
                opt_out=opt_out,
                by=operator(),
                note=note,
                now=context.now(),
            )
        found = (settled,) if text else sms_words.waiting(context.database)
    if as_json:
        print_json(found)
    elif text:
        typer.echo(f"{text}: {'texts are stopped' if opt_out else 'marketing goes on'}")
    elif found:
        rows = [(one.id, f"{one.at:%Y-%m-%d %H:%M}", one.customer_id, one.keyword, one.text) for one in found]
        print_rows(("text", "came (UTC)", "customer", "word", "says"), rows)
    else:
        typer.echo("no text waits")


def verify(
    who: Annotated[str, typer.Argument(metavar="[ID|EMAIL|PHONE]", help="Left out: everybody.")] = "",
    *,
    as_json: AsJson = False,
) -> None:
    """Walk the hash chains of the ledger. Exit status 2 where a link is broken, which is named."""
    from outbound.interfaces.cli.context import open_context
    from outbound.interfaces.cli.output import print_json
    from outbound.services import consent_ledger
    from outbound.services.customers import find_one

    with open_context() as context:
        identity = find_one(context.database, context.keyring, who) if who else None
        verified = consent_ledger.verify(context.database, identity)
    if as_json:
        print_json(verified)
    else:
        _print_verified(verified)
    if verified.broken:
        raise typer.Exit(EXIT_CHANGES)


def _print(record: "Record", verified: "Verified") -> None:
    typer.echo(record.customer.id)
    for standing in record.consents:
        channel = standing.channel or "every channel"
        typer.echo(f"  {standing.topic} / {channel}: {standing.entry.state} ({standing.entry.basis})")
    for block in record.suppressions:
        typer.echo(f"  blocked {block.channel} for {block.scope}: {block.reason}, {block.at:%Y-%m-%d}")
    typer.echo("ledger (UTC)")
    for event in record.ledger:
        typer.echo(f"  {event.at:%Y-%m-%d %H:%M}  {_line(event)}")
    _print_verified(verified)


def _line(event: "ConsentEvent") -> str:
    evidence = event.evidence
    where = f" / {event.channel}" if event.channel else ""
    said = f' "{evidence.wording}"' if evidence.wording else ""
    more = ", ".join(
        f"{name} {value}"
        for name, value in (
            ("by", evidence.actor),
            ("language", evidence.language),
            ("law", evidence.jurisdiction),
            ("proof", evidence.proof),
            ("sale", evidence.sale),
            ("ip", evidence.ip),
        )
        if value
    )
    return f"{event.topic}{where}: {event.state}, {evidence.source}{said}" + (f" ({more})" if more else "")


def _print_verified(verified: "Verified") -> None:
    from outbound.interfaces.cli.output import alarm, counted

    for link in verified.broken:
        typer.echo(alarm(f"! {link.customer_id}: event {link.n} ({link.event_id}) is {link.why}"))
    bad = counted(len(verified.broken), "chain")
    whole = "all whole" if not verified.broken else f"{bad} broken"
    typer.echo(f"{counted(verified.chains, 'chain')}, {counted(verified.events, 'event')}: {whole}")
