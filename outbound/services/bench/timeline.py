"""The first page of a customer's timeline among five million messages."""

import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

import sqlalchemy as sa

from outbound.services.bench.figure import Figure
from outbound.services.customer_reads import history
from outbound.storage import tables
from outbound.storage.database import Database

_MESSAGES, _QUICK_MESSAGES = 5_000_000, 50_000
_EACH = 50
_ASKED = 500
_MOST_MS = 20
_BATCH = 250_000

_MESSAGE = """
INSERT INTO message (id, run_id, rule, rule_version, release, once, customer_id, step, template, variant, topic,
    message_class, lane, priority, channels, context, not_before, local_time, zone, expires, on_uncertain, state,
    reason, detail, held_by, leg, attempts, lease_token, worker, message_id, body_hash, language, depth, created_at,
    updated_at, sent_at)
SELECT printf('%032x', n), 'run', 'rule-' || (n % 20), 'v', 'r', n, printf('c-%07d', n / :each), '', 'letter', '',
    'news', 'marketing', 'bulk', 100, 'email', '{"customer": {"first_name": "Ada"}}', at, '', 'Europe/Rome', at, 'hold',
    'sent', '', '', '', 1, 1, 1, '', '', '', 'en', 0, at, at, at
FROM (SELECT n, datetime('2022-01-01', '+' || (n % :each) || ' months') || '.000000' AS at FROM numbers)
"""
_LEG = """
INSERT INTO leg (message_id, n, customer_id, channel, address, account, provider_ref, moved_on, cost, at)
SELECT printf('%032x', n), 1, printf('c-%07d', n / :each), 'email', 'a@example.org', 'smtp', '', '', 400,
    datetime('2022-01-01', '+' || (n % :each) || ' months') || '.000000' FROM numbers
"""
_NUMBERS = (
    "CREATE TEMP TABLE numbers AS WITH RECURSIVE c(n) AS"
    " (SELECT {0} UNION ALL SELECT n + 1 FROM c WHERE n < {1}) SELECT n FROM c"
)


def measure(quick: bool) -> list[Figure]:
    """Milliseconds for a page of fifty, of customers taken at random, on SQLite."""
    messages = _QUICK_MESSAGES if quick else _MESSAGES
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder:
        database = Database(f"sqlite:///{Path(folder) / 'bench.db'}", durable=False)
        try:
            fill(database, messages)
            times = ask(database, messages // _EACH)
        finally:
            database.close()
    slow = quantiles(times, n=100)[98]
    return [
        Figure(
            name="timeline",
            value=slow,
            unit="ms p99",
            bar=f"<= {_MOST_MS} ms",
            met=slow <= _MOST_MS,
            what=f"first page of {_EACH} among {messages:,} messages, random customers; median {median(times):.1f}",
        )
    ]


def fill(database: Database, messages: int) -> None:
    """``messages`` sent ones with their legs, fifty to a customer, over four years."""
    tables.metadata.create_all(database.engine)
    with database.write() as connection:
        customer = sa.text(
            "INSERT INTO customer (id, zone_source, attributes, created_at, updated_at)"
            " SELECT DISTINCT printf('c-%07d', n / :each), 'country:IT', '{}', :at, :at FROM numbers"
        )
        at = datetime(2022, 1, 1, tzinfo=UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
        for first in range(0, messages, _BATCH):
            connection.exec_driver_sql(_NUMBERS.format(first, min(first + _BATCH, messages) - 1))
            connection.execute(customer, {"each": _EACH, "at": at})
            connection.execute(sa.text(_MESSAGE), {"each": _EACH})
            connection.execute(sa.text(_LEG), {"each": _EACH})
            connection.exec_driver_sql("DROP TABLE numbers")


def ask(database: Database, customers: int) -> list[float]:
    """Milliseconds of each first page."""
    dice, times = random.Random(7), []  # noqa: S311 - a seed, no secret
    for _ in range(_ASKED):
        identity = f"c-{dice.randrange(customers):07}"
        begun = time.perf_counter()
        _, page = history(database, identity, limit=_EACH, before=None)
        times.append((time.perf_counter() - begun) * 1_000)
        if len(page) != _EACH:
            raise AssertionError(f"{len(page)} entries of {identity}")
    return times
