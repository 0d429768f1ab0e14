"""``import``: people a second in the shape of AdventureWorks, beside csv and bare inserts of the same rows."""

import csv
import multiprocessing
import random
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any
from unicodedata import normalize

from outbound.domain.condition import ValueType
from outbound.domain.keyring import Keyring
from outbound.domain.rule import Field, Schema
from outbound.services.bench.figure import Figure
from outbound.services.bench.peak import peak_megabytes as own_peak
from outbound.services.imports.customers import import_customers
from outbound.services.imports.mapping import CustomerMapping
from outbound.services.imports.mapping_reader import read_mapping
from outbound.storage import tables
from outbound.storage.database import Database

RUNS = 5
_PEOPLE = 19_972
_QUICK = 2_000
_LEAST = 4_000
_MOST_MB = 300
_LONGER = 10
_MOST_GROWTH = 1.15
_FOREIGN = 150
"""Of the names with an accent, one in so many keeps it in the local part (43 of 19,972 in the real file)."""
_NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
_KEYRING = Keyring.parse("bench:" + "5a" * 32)

_MAPPING = b"""
import: customers
source: bench
key: id
fields:
  email: email
  phone: {column: phone, strip_prefix: "1 (11) ", invalid: ignore}
  country: country
  first_name: first
  last_name: last
consents:
  - topic: newsletter
    channel: email
    when: {column: promotion, in: ["1", "2"]}
    at: {column: modified, zone: Europe/Rome}
    wording: Yes, write to me
    confirmed: true
"""
_SCHEMA = Schema(
    customer={
        name: Field(type=ValueType.STRING)
        for name in ("id", "email", "phone", "country", "language", "timezone", "first_name", "last_name")
    },
    events={},
)
_FIRST = (
    "Ken",
    "Terri",
    "Roberto",
    "Gail",
    "Jossef",
    "Dylan",
    "Diane",
    "Gigi",
    "François",
    "José",
    "Andrés",
    "Janaína",
)
_LAST = ("Sánchez", "Duffy", "Tamburello", "Walters", "Erickson", "Goldberg", "Miller", "Margheim", "Matthew", "Raheem")
_COUNTRIES = ("US", "US", "US", "CA", "AU", "GB", "FR", "DE")


def measure(quick: bool) -> list[Figure]:
    """People a second into an empty SQLite file, and the peak memory of a file ten times as long."""
    count = _QUICK if quick else _PEOPLE
    ours, bare = [], []
    with TemporaryDirectory(prefix="outbound-bench-") as name:
        folder = Path(name)
        file = folder / "people.csv"
        write_people(file, count)
        for run in range(1 if quick else RUNS):
            bare.append(count / _seconds_bare(file, folder / f"bare{run}.db"))
            ours.append(count / import_seconds(file, folder / f"ours{run}.db"))
        short, long = folder / "short.csv", folder / "long.csv"
        write_people(short, count // 4)
        write_people(long, count // 4 * _LONGER)
        low, high = peak_megabytes(short), peak_megabytes(long)
    value, limit = median(ours), median(bare)
    return [
        Figure(
            name="import",
            value=value,
            unit="people/s",
            limit=limit,
            ratio=value / limit,
            bar=f">= {_LEAST:,}/s",
            met=value >= _LEAST,
            what="csv module and executemany of the same rows into SQLite, nothing checked",
        ),
        Figure(
            name="import_mb",
            value=high,
            unit="MiB",
            limit=low,
            ratio=high / low,
            bar=f"<= {_MOST_MB} MiB and flat (ratio <= {_MOST_GROWTH})",
            met=high <= _MOST_MB and high / low <= _MOST_GROWTH,
            what="the same for a file a tenth as long",
        ),
    ]


def write_people(file: Path, count: int) -> None:
    """Write ``count`` made-up people: e-mail and phone in three spellings, a tenth with a name and promotion."""
    with file.open("w", encoding="utf-8", newline="") as target:
        writer = csv.writer(target)
        writer.writerow(["id", "email", "phone", "country", "first", "last", "promotion", "modified"])
        writer.writerows(_people(count))


def _people(count: int) -> Iterator[tuple[object, ...]]:
    rng = random.Random(2026)  # noqa: S311 - repeatable, not secret
    for number in range(1, count + 1):
        first, last, country = rng.choice(_FIRST), rng.choice(_LAST), rng.choice(_COUNTRIES)
        local = f"{rng.randrange(200, 999)}-{rng.randrange(200, 999)}-{rng.randrange(10_000):04}"
        phone = local if country in {"US", "CA"} else f"1 (11) {local[:3]} {local[4:]}"
        name = first if number % _FOREIGN == 0 else normalize("NFKD", first).encode("ascii", "ignore").decode()
        email = f"{name.lower()}{number}@adventure-works.com"
        named = number % 10 == 0
        day = f"20{rng.randrange(10, 26)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02} 00:00:00"
        promotion = rng.randrange(3) if named else 0
        yield number, email, phone, country, first if named else "", last if named else "", promotion, day


def import_seconds(file: Path, target: Path) -> float:
    """How long importing ``file`` into a new SQLite database takes, without creating its tables."""
    mapping, _ = read_mapping("bench.yaml", _MAPPING)
    if not isinstance(mapping, CustomerMapping):
        raise TypeError("the bench's mapping cannot be read")
    database = Database(f"sqlite:///{target}")
    tables.metadata.create_all(database.engine)
    start = time.perf_counter()
    import_customers(database, _KEYRING, file=file, mapping=mapping, schema=_SCHEMA, now=_NOW)
    elapsed = time.perf_counter() - start
    database.close()
    return elapsed


def peak_megabytes(file: Path) -> float:
    """The peak memory (MiB) of a process of its own that imports ``file``."""
    context = multiprocessing.get_context("spawn")
    answers: Any = context.SimpleQueue()
    process = context.Process(target=_import_and_tell, args=(file, answers))
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError("the import of the memory bench failed")
    peak: float = answers.get()
    return peak


def _import_and_tell(file: Path, answers: Any) -> None:
    import_seconds(file, file.with_suffix(".db"))
    answers.put(own_peak())


def _seconds_bare(file: Path, target: Path) -> float:
    connection = sqlite3.connect(target)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE people (id TEXT PRIMARY KEY, a, b, c, d, e, f, g)")
    start = time.perf_counter()
    with file.open(encoding="utf-8", newline="") as source:
        rows = csv.reader(source)
        next(rows)
        connection.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
    connection.commit()
    elapsed = time.perf_counter() - start
    connection.close()
    return elapsed
