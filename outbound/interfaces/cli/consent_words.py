"""``outbound consent grant|withdraw``: a word of a customer, written down by an operator."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from outbound.domain.consent import Evidence
    from outbound.domain.customer import ChannelName
    from outbound.interfaces.cli.context import Context

Who = Annotated[str, typer.Argument(metavar="ID|EMAIL|PHONE")]
Topic = Annotated[str, typer.Argument(metavar="TOPIC", help="A topic of the policy.")]
Channel = Annotated[str, typer.Option("--channel", metavar="CHANNEL", help="Left out: every channel.")]
At = Annotated[str, typer.Option("--said", metavar="TIME", help="When they said it. Left out: now.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def grant(
    who: Who,
    topic: Topic,
    *,
    source: Annotated[str, typer.Option(metavar="TEXT", help="Where they said it: form, paper, call.")],
    wording: Annotated[str, typer.Option(metavar="TEXT", help="The exact words they agreed to.")],
    channel: Channel = "",
    language: Annotated[str, typer.Option(metavar="CODE", help="The language of the words.")] = "",
    jurisdiction: Annotated[str, typer.Option(metavar="COUNTRY", help="Whose law counts.")] = "",
    proof: Annotated[str, typer.Option(metavar="TEXT", help="What confirmed a double opt-in.")] = "",
    sale: Annotated[
        str, typer.Option(metavar="TEXT", help="Soft spam (e-mail only): the sale they gave the address in.")
    ] = "",
    similar_goods: Annotated[bool, typer.Option("--similar-goods", help="Soft spam: own similar goods.")] = False,
    told: Annotated[bool, typer.Option("--told", help="Soft spam: they were told then.")] = False,
    not_refused: Annotated[bool, typer.Option("--not-refused", help="Soft spam: they did not refuse.")] = False,
    said: At = "",
    as_json: AsJson = False,
) -> None:
    """Record that somebody agreed, with what proves it. Nothing is granted without a source."""
    from outbound.domain.consent import SOFT_SPAM, Evidence
    from outbound.interfaces.cli.arguments import operator
    from outbound.services import preferences

    evidence = Evidence(
        source=source,
        wording=wording,
        language=language,
        actor=f"operator {operator()}",
        basis=SOFT_SPAM if sale or similar_goods or told or not_refused else "consent",
        jurisdiction=jurisdiction,
        proof=proof,
        sale=sale,
        similar_goods=similar_goods,
        told=told,
        not_refused=not_refused,
    )
    _write(preferences.grant, "granted", who, topic, channel, said, evidence=evidence, as_json=as_json)


def withdraw(
    who: Who,
    topic: Topic,
    *,
    channel: Channel = "",
    source: Annotated[str, typer.Option(metavar="TEXT", help="Where they said it. Left out: you.")] = "",
    said: At = "",
    as_json: AsJson = False,
) -> None:
    """Record that somebody wants no more. It holds at the next gate; repeating it changes nothing."""
    from outbound.domain.consent import Evidence
    from outbound.interfaces.cli.arguments import operator
    from outbound.services import preferences

    evidence = Evidence(source=source or f"operator {operator()}", actor=f"operator {operator()}")
    _write(preferences.withdraw, "withdrawn", who, topic, channel, said, evidence=evidence, as_json=as_json)


def _write(
    say: "Callable[..., bool]",
    state: str,
    who: str,
    topic: str,
    channel: str,
    said: str,
    *,
    evidence: "Evidence",
    as_json: bool,
) -> None:
    """Put the word on the ledger, and who wrote it down into the audit."""
    from outbound.interfaces.cli.arguments import operator
    from outbound.interfaces.cli.context import open_context
    from outbound.services import audit, consent_ledger

    with open_context() as context:
        consent_ledger.require_topic(context.active().ruleset.policy, topic)
        identity, on, at = _subject(context, who, channel, said)
        now = context.now()
        changed = say(
            context.database, customer_id=identity, topic=topic, channel=on, evidence=evidence, now=now, at=at
        )
        kind = "consent.grant" if state == "granted" else "consent.withdraw"
        details = {"topic": topic, "channel": channel}
        audit.note(context.database, kind=kind, customer_id=identity, by=operator(), now=now, details=details)
    _say(identity, topic, channel, state, changed=changed, as_json=as_json)


def _subject(
    context: "Context", who: str, channel: str, said: str
) -> "tuple[str, ChannelName | None, datetime | None]":
    """Whom, on which channel, and when it was said."""
    from outbound.domain.customer import ChannelName
    from outbound.interfaces.cli.arguments import wrong_usage
    from outbound.interfaces.cli.context import parse_instant
    from outbound.services.customers import find_one

    if channel and channel not in list(ChannelName):
        wrong_usage(f"--channel is one of {', '.join(ChannelName)}")
    at = parse_instant(said) if said else None
    if at is not None and at > context.now():
        wrong_usage("--said lies in the future")
    identity = find_one(context.database, context.keyring, who)
    return identity, ChannelName(channel) if channel else None, at


def _say(identity: str, topic: str, channel: str, state: str, *, changed: bool, as_json: bool) -> None:
    from outbound.interfaces.cli.output import print_json

    if as_json:
        print_json({"customer": identity, "topic": topic, "channel": channel, "state": state, "changed": changed})
        return
    where = f" by {channel}" if channel else ""
    typer.echo(f"{identity}: {topic}{where} {state}" + ("" if changed else " before: nothing changed"))
