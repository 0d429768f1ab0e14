"""Decisions: one row per occurrence, unique like the message it may have led to."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage import tables
from outbound.storage.bulk import copies, copy_lines, copy_text, insert_ignore, instant_writer, json_text
from outbound.storage.prepared import Prepared
from outbound.storage.sets import among, chunks

_COLUMNS = (
    "rule",
    "once",
    "customer_id",
    "step",
    "run_id",
    "release",
    "rule_version",
    "verdict",
    "reason",
    "detail",
    "channel",
    "experiment",
    "variant",
    "at",
)

# CROSS JOIN fixes the order: SQLite may otherwise read all decisions of the rule for each key (40 s for 5,000).
_DECIDED_SQLITE = Prepared(
    sa.text("""
    SELECT d.rule, d.once, d.customer_id FROM json_each(:keys) AS k
    CROSS JOIN decision AS d ON d.rule = json_extract(k.value, '$[0]') AND d.step = ''
     AND d.once = json_extract(k.value, '$[1]') AND d.customer_id = json_extract(k.value, '$[2]')
""")
)
_UNDER_SQLITE = sa.text("""
    SELECT d.customer_id FROM json_each(:customers) AS k
    CROSS JOIN decision AS d ON d.rule = :rule AND d.step = '' AND d.once = :once AND d.customer_id = k.value
""")
# LATERAL with LIMIT likewise: without statistics PostgreSQL would read the whole table for a join.
_DECIDED_POSTGRESQL = sa.text("""
    SELECT k.rule, k.once, k.customer_id FROM unnest(
        CAST(:rules AS text[]), CAST(:onces AS text[]), CAST(:customers AS text[])
    ) AS k(rule, once, customer_id)
    CROSS JOIN LATERAL (
        SELECT 1 FROM decision AS d
        WHERE d.rule = k.rule AND d.once = k.once AND d.customer_id = k.customer_id AND d.step = '' LIMIT 1
    ) AS found
""")


Key = tuple[str, str, str]
"""Rule, once, customer id: what happens once."""


class Verdict(NamedTuple):
    """One candidate's decision. ``verdict`` is send, hold or skip."""

    once: str
    customer_id: str
    verdict: str
    reason: str = ""
    detail: str = ""
    channel: str = ""
    experiment: str = ""
    variant: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """The decisions of one run."""

    rule: str
    rule_version: str
    release: str
    run_id: str
    verdicts: Sequence[Verdict]


def decided(connection: Connection, rule: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of the (once, customer id) pairs were decided before, under any run of ``rule``."""
    asked = [(rule, once, customer) for once, customer in sorted(keys)]
    return {(once, customer) for _, once, customer in decided_by(connection, asked)}


def decided_by(connection: Connection, keys: Sequence[Key]) -> set[Key]:
    """Which of these were decided before, under any run of the rule."""
    sqlite = connection.dialect.name == "sqlite"
    found: set[Key] = set()
    for some in chunks(keys):
        if sqlite:
            rows = _DECIDED_SQLITE.rows(connection, {"keys": json_text(some)})
        else:
            rules, onces, customers = zip(*some, strict=True)
            bound = {"rules": list(rules), "onces": list(onces), "customers": list(customers)}
            rows = connection.execute(_DECIDED_POSTGRESQL, bound).all()
        found.update((row[0], row[1], row[2]) for row in rows)
    return found


def decided_under(connection: Connection, rule: str, once: str, customers: Sequence[str]) -> set[str]:
    """Which of the customers were decided before under one key."""
    decision = tables.decision
    found: set[str] = set()
    for some in chunks(customers):
        if connection.dialect.name == "sqlite":
            rows = connection.execute(_UNDER_SQLITE, {"rule": rule, "once": once, "customers": json_text(some)})
        else:
            mine = sa.and_(decision.c.rule == rule, decision.c.once == once, decision.c.step == "")
            statement = sa.select(decision.c.customer_id).where(mine, among(connection, decision.c.customer_id, some))
            rows = connection.execute(statement)
        found.update(rows.scalars())
    return found


def was_decided(rule: str, once: str) -> sa.ColumnElement[bool]:
    """Whether the customer of the statement around it was decided before under one key."""
    decision = tables.decision
    found = sa.select(sa.literal(1, sa.Integer())).where(
        decision.c.rule == rule,
        decision.c.once == once,
        decision.c.customer_id == tables.customer.c.id,
        decision.c.step == "",
    )
    # LIMIT keeps PostgreSQL from hashing all decisions of the rule for each key range.
    return sa.exists(found.correlate(tables.customer).limit(1))


def insert(connection: Connection, groups: Sequence[Decided], *, now: datetime) -> int:
    """Keep the decisions; those already there stay as they are. Answers how many were inserted."""
    count = sum(len(group.verdicts) for group in groups)
    if copies(connection, count):
        lines = [line for group in groups for line in _lines(group, now)]
        if copy_lines(connection, tables.decision, _COLUMNS, lines):
            return count
    at = (instant_writer(connection)(now),)
    rows = []
    for group in groups:
        head, middle = (group.rule,), ("", group.run_id, group.release, group.rule_version)
        rows += [head + v[:2] + middle + v[2:] + at for v in group.verdicts]
    return insert_ignore(connection, tables.decision, _COLUMNS, rows)


def _lines(group: Decided, now: datetime) -> Iterator[str]:
    """The rows as COPY reads them; what those of one answer have in common is written once."""
    opened = copy_text(group.rule)
    between = "\t".join(map(copy_text, ("", group.run_id, group.release, group.rule_version)))
    tails: dict[tuple[str, ...], str] = {}
    for v in group.verdicts:
        told = v[2:]
        tail = tails.get(told)
        if tail is None:
            tail = tails[told] = "\t".join(map(copy_text, (*told, now)))
        yield f"{opened}\t{copy_text(v.once)}\t{copy_text(v.customer_id)}\t{between}\t{tail}"


def receiving(connection: Connection, rule: str, keys: Collection[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The channel of those (once, customer id) pairs that were decided to get a message of ``rule``."""
    held = decided(connection, rule, keys)
    decision = tables.decision
    found: dict[tuple[str, str], str] = {}
    for some in chunks(sorted({customer for _, customer in held})):
        statement = sa.select(decision.c.once, decision.c.customer_id, decision.c.channel).where(
            decision.c.rule == rule, among(connection, decision.c.customer_id, some), decision.c.verdict != "skip"
        )
        found.update({(row[0], row[1]): row[2] for row in connection.execute(statement) if (row[0], row[1]) in held})
    return found
