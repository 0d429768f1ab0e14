"""Decisions: one row per occurrence, unique like the message it may have led to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage import tables
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
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
_DECIDED_SQLITE = sa.text("""
    SELECT d.once, d.customer_id FROM json_each(:keys) AS k
    CROSS JOIN decision AS d ON d.rule = :rule AND d.step = ''
     AND d.once = json_extract(k.value, '$[0]') AND d.customer_id = json_extract(k.value, '$[1]')
""")
_DECIDED_POSTGRESQL = sa.text("""
    SELECT d.once, d.customer_id FROM unnest(CAST(:onces AS text[]), CAST(:customers AS text[])) AS k(once, customer_id)
    JOIN decision AS d ON d.rule = :rule AND d.step = '' AND d.once = k.once AND d.customer_id = k.customer_id
""")


@dataclass(frozen=True, slots=True)
class Verdict:
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
            rows = connection.execute(_DECIDED_SQLITE, bound)
        else:
            onces, customers = [once for once, _ in some], [customer for _, customer in some]
            rows = connection.execute(_DECIDED_POSTGRESQL, {"rule": rule, "onces": onces, "customers": customers})
        found.update((row[0], row[1]) for row in rows)
    return found


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
    at = instant_writer(connection)(now)
    rows = (
        (
            rule,
            v.once,
            v.customer_id,
            "",
            run_id,
            release,
            rule_version,
            v.verdict,
            v.reason,
            v.detail,
            v.channel,
            v.experiment,
            v.variant,
            at,
        )
        for v in verdicts
    )
    return insert_ignore(connection, tables.decision, _COLUMNS, rows)


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
