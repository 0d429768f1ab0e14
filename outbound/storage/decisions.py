"""Decisions: one row per occurrence, unique like the message it may have led to."""

from collections.abc import Collection, Sequence
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
    SELECT d.once, d.customer_id FROM json_each(:keys) AS k
    CROSS JOIN decision AS d ON d.rule = :rule AND d.step = ''
     AND d.once = json_extract(k.value, '$[0]') AND d.customer_id = json_extract(k.value, '$[1]')
""")
)
_UNDER_SQLITE = sa.text("""
    SELECT d.customer_id FROM json_each(:customers) AS k
    CROSS JOIN decision AS d ON d.rule = :rule AND d.step = '' AND d.once = :once AND d.customer_id = k.value
""")
# LATERAL with LIMIT likewise: without statistics PostgreSQL would read the whole table for a join.
_DECIDED_POSTGRESQL = sa.text("""
    SELECT k.once, k.customer_id FROM unnest(CAST(:onces AS text[]), CAST(:customers AS text[])) AS k(once, customer_id)
    CROSS JOIN LATERAL (
        SELECT 1 FROM decision AS d
        WHERE d.rule = :rule AND d.once = k.once AND d.customer_id = k.customer_id AND d.step = '' LIMIT 1
    ) AS found
""")


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


def decided(connection: Connection, rule: str, keys: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of the (once, customer id) pairs were decided before, under any run of ``rule``."""
    sqlite = connection.dialect.name == "sqlite"
    found: set[tuple[str, str]] = set()
    for some in chunks(sorted(keys)):
        if sqlite:
            bound = {"rule": rule, "keys": json_text(some)}
            rows = _DECIDED_SQLITE.rows(connection, bound)
        else:
            onces, customers = [once for once, _ in some], [customer for _, customer in some]
            rows = connection.execute(_DECIDED_POSTGRESQL, {"rule": rule, "onces": onces, "customers": customers}).all()
        found.update((row[0], row[1]) for row in rows)
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


def insert(
    connection: Connection,
    verdicts: Sequence[Verdict],
    *,
    rule: str,
    rule_version: str,
    release: str,
    run_id: str,
    now: datetime,
) -> int:
    """Keep the decisions; those already there stay as they are. Answers how many were inserted."""
    head, middle = (rule,), ("", run_id, release, rule_version)
    if copies(connection, len(verdicts)):
        lines, tails = [], dict[tuple[str, ...], str]()
        opened, between = copy_text(rule), "\t".join(map(copy_text, middle))
        for v in verdicts:
            told = v[2:]
            tail = tails.get(told)
            if tail is None:
                tail = tails[told] = "\t".join(map(copy_text, (*told, now)))
            lines.append(f"{opened}\t{copy_text(v.once)}\t{copy_text(v.customer_id)}\t{between}\t{tail}")
        if copy_lines(connection, tables.decision, _COLUMNS, lines):
            return len(verdicts)
    at = (instant_writer(connection)(now),)
    return insert_ignore(connection, tables.decision, _COLUMNS, [head + v[:2] + middle + v[2:] + at for v in verdicts])


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
