"""``simulate_month``: seconds to live thirty days ahead with twenty rules, for as many people as AdventureWorks has."""

import multiprocessing
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.services import forecast
from outbound.services.bench.figure import Figure
from outbound.services.bench.month_shop import prepare
from outbound.services.bench.newsletter_shop import PUBLISHED
from outbound.services.bench.peak import peak_megabytes

PEOPLE = 19_972
DAYS = 30
RUNS = 3
_QUICK_PEOPLE, _QUICK_DAYS = 500, 3
_MOST_SECONDS, _MOST_MB = 60.0, 500.0
_KEYRING = Keyring.parse("bench:" + "5a" * 32)
_ACCOUNTS = tuple(forecast.Account(channel=channel, name=channel.value) for channel in ChannelName)


def measure(quick: bool) -> list[Figure]:
    """The median of three runs (one when ``quick``), each in a process of its own that copies the seeded store."""
    people, days = (_QUICK_PEOPLE, _QUICK_DAYS) if quick else (PEOPLE, DAYS)
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder:
        file = Path(folder) / "seeded.db"
        prepare(file, people)
        runs = [_apart(file, days) for _ in range(1 if quick else RUNS)]
    seconds, megabytes = median(run[0] for run in runs), max(run[1] for run in runs)
    decided, sent = runs[0][2:]
    what = f"{people:,} people, 20 rules, {days} days: {decided:,.0f} decisions, {sent:,.0f} messages"
    return [
        Figure(
            name="simulate_month",
            value=seconds,
            unit="s",
            bar="<= 60 s",
            met=seconds <= _MOST_SECONDS,
            what=what,
        ),
        Figure(
            name="simulate_month_mb",
            value=megabytes,
            unit="MiB",
            bar="<= 500 MiB",
            met=megabytes <= _MOST_MB,
            what="peak memory of the process",
        ),
    ]


def simulate(file: Path, days: int) -> tuple[float, float, float]:
    """Seconds, decisions and messages of ``days`` lived from a copy of ``file``."""
    begun = time.perf_counter()
    stretch = forecast.Stretch(start=PUBLISHED, until=PUBLISHED + timedelta(days=days))
    with forecast.copied(f"sqlite:///{file}") as scratch:
        active = forecast.adopt(scratch, None, now=stretch.start)
        if isinstance(active, tuple):
            raise TypeError("the copy has no release")
        found = forecast.forecast(
            scratch, active, stretch, accounts=_ACCOUNTS, keyring=_KEYRING, looks=forecast.LONG_LOOKS
        )
    return time.perf_counter() - begun, sum(rule.entered for rule in found.rules), found.sent


def _apart(file: Path, days: int) -> tuple[float, float, float, float]:
    """The same in a process of its own, with its peak memory (MiB) in the second place."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.SimpleQueue()
    process = context.Process(target=_simulate_and_tell, args=(file, days, answers))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("the simulation of the bench failed")
    told: tuple[float, float, float, float] = answers.get()
    return told


def _simulate_and_tell(file: Path, days: int, answers: Any) -> None:
    seconds, decided, sent = simulate(file, days)
    answers.put((seconds, peak_megabytes(), decided, sent))
