"""Whether the last of a million messages leave as fast as the first, and what the process that sends them holds."""

import multiprocessing
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from outbound.services.bench.figure import Figure
from outbound.services.bench.peak import peak_megabytes
from outbound.storage.database import Database
from outbound.testing.bench.send_email import queue, send
from outbound.testing.bench.smtp_limit import sink

_MESSAGES, _QUICK_MESSAGES = 1_000_000, 2_000
_PARTS, _SLICE = 10, 500
_BAR, _MOST_MB = 0.9, 300.0


def measure(quick: bool) -> list[Figure]:
    """One run on SQLite: the rate of the last tenth beside that of the first, and the peak memory of the sender."""
    count = _QUICK_MESSAGES if quick else _MESSAGES
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder, sink() as (port, _):
        url = f"sqlite:///{Path(folder) / 'bench.db'}"
        database = Database(url)
        queue(database, count)
        database.close()
        # A process of its own: what the rows took to insert is not the sender's.
        spawn = multiprocessing.get_context("spawn")
        answers = spawn.SimpleQueue()
        child = spawn.Process(target=tell, args=(url, port, count, answers))
        child.start()
        child.join()
        if child.exitcode:
            raise RuntimeError(f"the sender ended with {child.exitcode}")
        rates, megabytes = answers.get()
    ratio = rates[-1] / rates[0]
    return [
        Figure(
            name="million_flat",
            value=rates[-1],
            unit="messages/s",
            limit=rates[0],
            ratio=ratio,
            bar=f"ratio >= {_BAR}",
            met=ratio >= _BAR,
            what=f"the first tenth of {count:,}; the slowest tenth had {min(rates):,.0f}/s",
        ),
        Figure(
            name="million_flat_mb",
            value=megabytes,
            unit="MB",
            bar=f"< {_MOST_MB:.0f}",
            met=megabytes < _MOST_MB,
            what="peak memory of the sender",
        ),
    ]


def tell(url: str, port: int, count: int, answers: Any) -> None:
    """Send everything; messages per second of each tenth, and the peak memory in MB."""
    marks = [(0, time.perf_counter())]

    def told(sent: int) -> None:
        if sent >= len(marks) * count // _PARTS:
            marks.append((sent, time.perf_counter()))

    database = Database(url)
    send(database, port, count, slice_size=min(_SLICE, count // _PARTS // 2), told=told)
    database.close()
    rates = [(n - before) / (at - since) for (before, since), (n, at) in pairwise(marks)]
    answers.put((rates, peak_megabytes()))
