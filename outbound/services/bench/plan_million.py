"""``plan_million``: customers looked at per second when one newsletter is planned for a million of them.

The limit is what the database alone needs for the rows: INSERT ... SELECT of the very decisions and messages that were
planned into empty tables with the same columns and indexes. The same code measures both databases; the server for
PostgreSQL comes from the test kit (``outbound.testing.bench.plan_million``).
"""

import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import sqlalchemy as sa
from sqlalchemy.sql import quoted_name

from outbound.services import planning, releases
from outbound.services.bench.figure import Figure
from outbound.services.bench.million_shop import EARLIER, NOW, PUBLISHED, million_files, seed
from outbound.storage import tables
from outbound.storage.database import Database

PEOPLE, QUICK_PEOPLE = 1_000_000, 50_000
RUNS = 3
"""Not five: seeding, three runs and the passes over everybody again take minutes as it is."""
_LEAST_RATE, _LEAST_RATIO = 40_000.0, 0.125
_MOST_AGAIN, _MOST_MB = 0.25, 300.0
_PLANNED = (tables.message, tables.decision, tables.manifest, tables.firing, tables.run, tables.installation)


@dataclass(frozen=True, slots=True)
class Run:
    """One first pass and what followed: seconds, and the peak memory of the process in MB."""

    seconds: float
    limit: float
    again: float
    resumed: float
    everybody: float
    megabytes: float


def measure(quick: bool) -> list[Figure]:
    """On SQLite with synchronous FULL."""
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder:
        return figures("plan_million", f"sqlite:///{Path(folder) / 'million.db'}", quick)


def figures(name: str, url: str, quick: bool) -> list[Figure]:
    """Seed the empty database at ``url`` and measure."""
    people = QUICK_PEOPLE if quick else PEOPLE
    prepare(url, people)
    runs = [once(url) for _ in range(1 if quick else RUNS)]
    first, limit = median(run.seconds for run in runs), median(run.limit for run in runs)
    ratio = median(run.limit / run.seconds for run in runs)  # paired: both of a run shared the machine
    everybody, plain = median(run.everybody for run in runs), max(run.again for run in runs)
    share = median(run.everybody / run.seconds for run in runs)
    peak = max(run.megabytes for run in runs)
    rate = people / first
    again = f"first pass; over everybody again. As it is: {plain:.3f} s; behind the last range: "
    return [
        Figure(
            name=name,
            value=rate,
            unit="customers/s",
            limit=people / limit,
            ratio=ratio,
            bar=f">= {_LEAST_RATE:,.0f} and ratio >= {_LEAST_RATIO}",
            met=rate >= _LEAST_RATE and ratio >= _LEAST_RATIO,
            what=f"INSERT ... SELECT of the same rows and indexes; {people:,} customers",
        ),
        Figure(
            name=f"{name}_again",
            value=everybody,
            unit="s",
            limit=first,
            ratio=share,
            bar=f"ratio < {_MOST_AGAIN}",
            met=share < _MOST_AGAIN,
            what=again + f"{max(run.resumed for run in runs):.3f} s",
        ),
        Figure(name=f"{name}_mb", value=peak, unit="MB", bar=f"< {_MOST_MB:.0f}", met=peak < _MOST_MB, what="peak"),
    ]


def prepare(url: str, people: int) -> None:
    """Publish the shop and insert everybody."""
    with _opened(url) as database:
        tables.metadata.create_all(database.engine)
        published = releases.publish(database, million_files(), by="bench", now=PUBLISHED)
        if not isinstance(published, releases.Published):
            raise AssertionError("\n".join(p.render() for p in published))  # noqa: TRY004 - an answer, no wrong type
        with database.write() as connection:
            seed(connection, people)


def once(url: str) -> Run:
    """Forget what was planned, plan it, plan it again in three ways, and take the limit."""
    _forget(url, *_PLANNED)
    first = _in_process(url)
    with _opened(url) as database:
        before = _contents(database)
    again = _in_process(url)
    _forget(url, tables.firing, tables.installation)
    resumed = _in_process(url)
    _forget(url, tables.firing, tables.installation, tables.manifest)
    everybody = _in_process(url)
    with _opened(url) as database:
        if _contents(database) != before:
            raise AssertionError("planning again changed what was planned")
        limit = _limit(database)
    return Run(first.seconds, limit, again.seconds, resumed.seconds, everybody.seconds, first.megabytes)


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass of planning: how long it took, and the peak memory of its process in MB."""

    seconds: float
    megabytes: float


def plan(url: str) -> Pass:
    """One pass, in the process that calls this."""
    with _opened(url) as database:
        active = releases.active(database)
        if active is None:
            raise AssertionError("there is no release")
        begun = time.perf_counter()
        planning.plan_due(database, active, now=NOW)
        seconds = time.perf_counter() - begun
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Pass(seconds, kilobytes / (1024 * 1024 if sys.platform == "darwin" else 1024))


def _in_process(url: str) -> Pass:
    """A pass in a fresh process: its memory is its own, and it remembers nothing."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(plan, (url,))


def _forget(url: str, *forgotten: sa.Table) -> None:
    """Empty tables of what planning wrote, and let the database tidy up before anything is timed."""
    with _opened(url) as database:
        with database.write() as connection:
            for table in forgotten:
                mine = table.c.rule != EARLIER if table is tables.message else sa.true()
                connection.execute(table.delete().where(mine))
        _settle(database)


def _settle(database: Database) -> None:
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if database.is_sqlite:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        else:
            connection.exec_driver_sql("VACUUM ANALYZE")
            connection.exec_driver_sql("CHECKPOINT")


def _contents(database: Database) -> tuple[int, int, str, str]:
    """Enough to see whether anything was planned twice, changed or lost."""
    message, decision = tables.message, tables.decision
    with database.read() as connection:
        queued = connection.execute(sa.select(sa.func.count(), sa.func.min(message.c.id), sa.func.max(message.c.id)))
        count, first, last = queued.one()
        decisions = connection.execute(sa.select(sa.func.count()).select_from(decision)).scalar_one()
    return count, decisions, first, last


def _limit(database: Database) -> float:
    """Seconds for the same rows by one statement a table, into empty tables with the same indexes."""
    copies = {table: _like(table) for table in (tables.message, tables.decision)}
    try:
        with database.write() as connection:
            for copy in copies.values():
                copy.create(connection)
        _settle(database)
        begun = time.perf_counter()
        with database.write() as connection:
            for table, copy in copies.items():
                query = sa.select(table).where(table.c.rule != EARLIER)
                connection.execute(copy.insert().from_select([column.name for column in table.c], query))
        return time.perf_counter() - begun
    finally:
        with database.write() as connection:
            for copy in copies.values():
                copy.drop(connection, checkfirst=True)


def _like(table: sa.Table) -> sa.Table:
    copy = table.to_metadata(sa.MetaData(), name=f"limit_{table.name}")
    for index in copy.indexes:
        index.name = quoted_name(f"limit_{index.name}", quote=None)
    return copy


@contextmanager
def _opened(url: str) -> Iterator[Database]:
    database = Database(url)
    try:
        yield database
    finally:
        database.close()
