"""``plan_newsletter``: seconds to plan one newsletter for as many people as AdventureWorks has, on SQLite, durably."""

import shutil
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

from outbound.services import planning, releases
from outbound.services.bench.figure import Figure
from outbound.services.bench.newsletter_shop import PUBLISHED, SLOT, seed, shop_files
from outbound.storage import tables
from outbound.storage.database import Database

PEOPLE = 19_972
RUNS = 5
_MOST_SECONDS = 3.0


def measure(quick: bool) -> list[Figure]:
    """The median of five runs (one when ``quick``), each on its own copy of the seeded store."""
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder:
        seeded = Path(folder) / "seeded.db"
        prepare(seeded)
        seconds = [plan_once(seeded, Path(folder) / f"run-{number}.db") for number in range(1 if quick else RUNS)]
    value = median(seconds)
    return [
        Figure(
            name="plan_newsletter",
            value=value,
            unit="s",
            bar="<= 3 s",
            met=value <= _MOST_SECONDS,
            what=f"{PEOPLE:,} people with consent, SQLite, decisions and outbox rows durable",
        )
    ]


def prepare(path: Path, people: int = PEOPLE) -> None:
    """A store with the release published and everybody in it."""
    database = Database(f"sqlite:///{path}")
    try:
        tables.metadata.create_all(database.engine)
        published = releases.publish(database, shop_files(), by="bench", now=PUBLISHED)
        if not isinstance(published, releases.Published):
            problems = "\n".join(problem.render() for problem in published)
            raise AssertionError(problems)  # noqa: TRY004 - the value is an answer, not a wrong type
        with database.write() as connection:
            seed(connection, people)
    finally:
        database.close()


def plan_once(seeded: Path, copy: Path, people: int = PEOPLE) -> float:
    """Seconds for one pass over a fresh copy. Raises AssertionError when it did not plan everybody."""
    shutil.copyfile(seeded, copy)
    database = Database(f"sqlite:///{copy}")
    try:
        active = releases.active(database)
        if active is None:
            raise AssertionError("the copy has no release")
        planning.plan_due(database, active, now=SLOT - timedelta(days=1))
        begun = time.perf_counter()
        report = planning.plan_due(database, active, now=SLOT - timedelta(minutes=10))
        seconds = time.perf_counter() - begun
    finally:
        database.close()
    if report.counts.messages != people:
        raise AssertionError(f"planned {report.counts.messages} of {people}")
    return seconds
