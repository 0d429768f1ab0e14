"""What a caller was told, compared with the record and with the logs: I1, I5, I8 and I9 of delivery.md 2.9."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import among, chunks
from outbound.storage.tables import attempt, consent_event, decision, leg, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise broken: which invariant, on which message or run, in words."""

    invariant: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """What a trigger stands for: a message for it, or a decision that skips it, is its row."""

    rule: str
    once: str
    customer_id: str

    def __str__(self) -> str:
        return f"{self.rule}/{self.once}/{self.customer_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """Somebody took a topic back ("" as ``channel``: everywhere) and heard at ``heard_at`` that it is done."""

    customer_id: str
    topic: str
    heard_at: datetime
    channel: str = ""

    def __str__(self) -> str:
        return f"{self.topic}/{self.channel or 'all'} of {self.customer_id}"


def check_promised(
    connection: Connection, acknowledged: Iterable[str | Occurrence], refused: Iterable[str | Occurrence]
) -> list[Violation]:
    """I1 and I8. Strings are ids of messages."""
    promised, turned_down = list(acknowledged), list(refused)
    ids = _known_ids(connection, [one for one in (*promised, *turned_down) if isinstance(one, str)])
    occurrences = [one for one in (*promised, *turned_down) if isinstance(one, Occurrence)]
    messages = _known_occurrences(connection, message, occurrences)
    decided = messages | _known_occurrences(connection, decision, occurrences)
    lost = [
        Violation(invariant="I1", subject=str(one), text="acknowledged, but no row")
        for one in promised
        if one not in (ids if isinstance(one, str) else decided)
    ]
    kept = [
        Violation(invariant="I8", subject=str(one), text="refused, but a row exists")
        for one in turned_down
        if one in (ids if isinstance(one, str) else messages)
    ]
    return lost + kept


def check_revocations(
    connection: Connection, revocations: Iterable[Revocation], accepted: Collection[tuple[str, int]]
) -> list[Violation]:
    """I1 and I5 by what people were told, not by what the record says of itself.

    A revocation that was confirmed is on the ledger, and no (message, leg) of ``accepted`` has a gate after it,
    unless the person said yes again in between.
    """
    told = list(revocations)
    found = []
    for some in chunks(told):
        customers = list({one.customer_id for one in some})
        words = _words(connection, customers)
        gates = _gates(connection, customers)
        for one in some:
            said = words.get((one.customer_id, one.topic), [])
            if not any(word.state == "withdrawn" and word.recorded_at <= one.heard_at for word in said):
                found.append(Violation(invariant="I1", subject=str(one), text="revoked, but not on the ledger"))
            for gate in gates.get((one.customer_id, one.topic), []):
                if (gate.message_id, gate.leg) not in accepted or gate.started_at <= one.heard_at:
                    continue
                if one.channel not in {"", gate.channel} or _granted(said, one.heard_at, gate.started_at):
                    continue
                text = f"accepted; its gate came {gate.started_at - one.heard_at} after the revocation was confirmed"
                found.append(Violation(invariant="I5", subject=gate.message_id, text=text))
    return found


def check_logs(logs: Iterable[Path], canaries: Mapping[str, str]) -> list[Violation]:
    """I9: no line of any log carries an address or a secret. ``canaries`` maps a name for each to its text."""
    if not canaries:
        return []
    names = {text: name for name, text in canaries.items()}
    any_of = re.compile("|".join(map(re.escape, sorted(names, key=len, reverse=True))))
    found = []
    for path in logs:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                found += [
                    Violation(invariant="I9", subject=f"{path.name}:{number}", text=f"carries {names[canary]}")
                    for canary in sorted(set(any_of.findall(line)))
                ]
    return found


def _known_ids(connection: Connection, ids: list[str]) -> set[str]:
    known: set[str] = set()
    for some in chunks(ids):
        known.update(connection.execute(sa.select(message.c.id).where(among(connection, message.c.id, some))).scalars())
    return known


def _known_occurrences(connection: Connection, table: sa.Table, wanted: list[Occurrence]) -> set[Occurrence]:
    known: set[Occurrence] = set()
    for some in chunks(list({one.customer_id for one in wanted})):
        query = sa.select(table.c.rule, table.c.once, table.c.customer_id)
        for row in connection.execute(query.where(among(connection, table.c.customer_id, some))):
            known.add(Occurrence(rule=row.rule, once=row.once, customer_id=row.customer_id))
    return known


def _words(connection: Connection, customers: list[str]) -> dict[tuple[str, str], list[Any]]:
    query = sa.select(
        consent_event.c.customer_id, consent_event.c.topic, consent_event.c.state, consent_event.c.recorded_at
    ).where(among(connection, consent_event.c.customer_id, customers))
    found: dict[tuple[str, str], list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault((row.customer_id, row.topic), []).append(row)
    return found


def _gates(connection: Connection, customers: list[str]) -> dict[tuple[str, str], list[Any]]:
    """Every attempt with its leg; its gate is when it started."""
    query = (
        sa.select(
            message.c.customer_id,
            message.c.topic,
            attempt.c.message_id,
            attempt.c.leg,
            attempt.c.started_at,
            leg.c.channel,
        )
        .join(message, message.c.id == attempt.c.message_id)
        .join(leg, sa.and_(leg.c.message_id == attempt.c.message_id, leg.c.n == attempt.c.leg))
        .where(among(connection, message.c.customer_id, customers), attempt.c.outcome.in_(["accepted", "uncertain"]))
    )
    found: dict[tuple[str, str], list[Any]] = {}
    for row in connection.execute(query):
        found.setdefault((row.customer_id, row.topic), []).append(row)
    return found


def _granted(words: Iterable[Any], after: datetime, before: datetime) -> bool:
    return any(word.state == "granted" and after < word.recorded_at <= before for word in words)
