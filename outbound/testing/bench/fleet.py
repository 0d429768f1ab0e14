"""Durable e-mails per second by one, two and four processes on one PostgreSQL, each with connections of its own.

As a program it is one of those processes: ``python -m outbound.testing.bench.fleet --url U --port P --count N``
says that it is ready, and sends when it is told to.
"""

import argparse
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import sqlalchemy as sa

from outbound.services.bench.figure import Figure
from outbound.storage import overview, tables
from outbound.storage.database import Database
from outbound.testing.bench.latency import on_postgres
from outbound.testing.bench.send_email import queue, send
from outbound.testing.bench.smtp_limit import sink, source_rate
from outbound.testing.control import announce
from outbound.testing.spawn import ServerProcess

_WORKERS = (1, 2, 4)
_MESSAGES, _RUNS = 5_000, 3
_QUICK_MESSAGES = 500


def measure(quick: bool) -> list[Figure]:
    """Each number of workers in turn, so that all of a round share the machine."""
    count, rounds = (_QUICK_MESSAGES, 1) if quick else (_MESSAGES, _RUNS)
    runs = [{workers: _once(workers, count) for workers in _WORKERS} for _ in range(rounds)]
    return [_figure(workers, [run[workers] for run in runs]) for workers in _WORKERS]


def _figure(workers: int, runs: list[tuple[float, float]]) -> Figure:
    return Figure(
        name=f"send_email_fleet_{workers}",
        value=statistics.median(rate for rate, _ in runs),
        unit="messages/s",
        limit=statistics.median(limit for _, limit in runs),
        ratio=statistics.median(rate / limit for rate, limit in runs),
        bar="",
        met=None,
        what=f"smtp-source in the same round; {workers} process{'es' * (workers > 1)}, 10 connections each",
    )


def _once(workers: int, count: int) -> tuple[float, float]:
    """Messages per second, and those of the bare sender. Raises RuntimeError where not all were sent."""
    with on_postgres() as url, sink() as (port, _):
        database = Database(url)
        try:
            limit, _ = source_rate(port, queue(database, count), count)
            words = ("--url", url, "--port", str(port), "--count", str(count))
            with ExitStack() as stack:
                processes = [ServerProcess("outbound.testing.bench.fleet", words) for _ in range(workers)]
                for one in processes:
                    stack.callback(one.stop)
                threads = stack.enter_context(ThreadPoolExecutor(workers))
                began = time.perf_counter()
                list(threads.map(lambda one: one.order(send=True), processes))
                seconds = time.perf_counter() - began
            with database.read() as connection:
                states = overview.messages_by_state(connection)
        finally:
            database.close()
    if states != {"sent": count}:
        raise RuntimeError(f"not all {count} were sent: {states}")
    return count / seconds, limit


def main() -> None:
    """One process: ready, then sends what is due once, for each line of standard input."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--url", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    database = Database(given.url)
    with database.read() as connection:
        connection.execute(sa.select(1))
    announce(ready=True)

    def done() -> bool:
        with database.read() as connection:
            left = sa.select(tables.message.c.id).where(tables.message.c.state != "sent").limit(1)
            return connection.execute(left).first() is None

    for _ in sys.stdin:
        send(database, given.port, given.count, slice_size=max(given.count // 20, 30), done=done)
        announce(done=True)
    database.close()


if __name__ == "__main__":
    main()
