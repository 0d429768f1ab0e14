"""One pass of planning: which stretch of time it covers, and what it has done so far."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from weakref import WeakKeyDictionary

from sqlalchemy.engine import Connection

from outbound.domain.keyring import Keyring
from outbound.services.planning.buckets import Buckets
from outbound.services.planning.compiled import compiled
from outbound.services.planning.report import Counts, Missed, PlanReport
from outbound.services.releases import Active
from outbound.storage import idle, runs
from outbound.storage.database import Database

AHEAD = timedelta(minutes=30)
"""Schedules and dates are planned this long before they are due (rules.md 1.9)."""

_FACT = "planned"
_NOTED_EVERY = timedelta(minutes=1)  # an idle tick writes nothing: covering a minute twice is harmless
_LONGEST_LOOK_BACK = timedelta(days=400)
_REMEMBERED = 200_000

_FIRED: WeakKeyDictionary[Database, set[tuple[str, str, str]]] = WeakKeyDictionary()
"""What this process knows to have fired, by database."""


@dataclass(kw_only=True)
class Pass:
    """The work of one call of ``plan_due``: covers ``after`` < instant <= ``until``.

    ``after`` is where the last complete pass stood, so that slots missed while nobody planned are found; a
    release published since then reaches back to its activation. ``stale``: the note of that is worth writing.
    ``waiting``: an event waits for the rules, ``changed``: a change does. ``moved``: a customer's zone has changed.
    ``buckets`` are the customers by zone.
    """

    database: Database
    active: Active
    now: datetime
    after: datetime
    until: datetime
    buckets: Buckets
    stale: bool = True
    waiting: bool = True
    changed: bool = True
    moved: bool = True
    keyring: Keyring | None = None
    counts: Counts = field(default_factory=Counts)
    events: int = 0
    firings: int = 0
    missed: list[Missed] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def has_fired(self, rule: str, slot: str, zone: str) -> bool:
        """Whether (rule, slot, zone) was planned to its end. What fired stays so: a process asks for each once."""
        key = (rule, slot, zone)
        known = _FIRED.get(self.database)
        if known is None or len(known) > _REMEMBERED:
            rules = compiled(self.active)
            names = [rule.id for rule, _ in (*rules.schedules, *rules.dates)]
            with self.database.read() as connection:
                known = _FIRED[self.database] = runs.fired(
                    connection, rules=names, since=self.after - timedelta(days=1)
                )
        if key not in known:
            # Planned since, or the same period under another time of day (``at`` was edited).
            with self.database.read() as connection:
                if not runs.has_fired(connection, rule=rule, slot=slot, zone=zone):
                    return False
            known.add(key)
        return True

    def miss(self, rule: str, slot: str, zone: str, nominal: datetime, note: str) -> None:
        """Mark a slot as done without running it, and report it."""
        with self.database.write() as connection:
            first = runs.fire(connection, rule=rule, slot=slot, zone=zone, nominal=nominal, now=self.now, note=note)
        if first:
            self.missed.append(Missed(rule=rule, slot=slot, zone=zone, nominal=nominal, note=note))

    def fired(self, counts: Counts) -> None:
        """Add a planned firing."""
        self.firings += 1
        self.counts.add(counts)

    @contextmanager
    def isolated(self) -> Iterator[None]:
        """One rule that fails does not keep the others from being planned; the pass raises when all are done."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again by ``finish``
            self.failures.append(error)

    def finish(self) -> PlanReport:
        """Note how far planning got. Raises the first failure, and then the next pass covers the same stretch again."""
        if self.failures:
            raise self.failures[0]
        if self.stale:
            with self.database.write() as connection:
                runs.write_fact(connection, _FACT, f"{self.now.isoformat()} {self.active.id}")
        return PlanReport(counts=self.counts, events=self.events, firings=self.firings, missed=tuple(self.missed))


def waits(connection: Connection) -> idle.Waits:
    """What is in no calendar and waits to be planned."""
    return idle.waits(connection, _FACT)


def open_pass(database: Database, active: Active, *, now: datetime, keyring: Keyring | None) -> Pass:
    """The pass for ``now``: from where the last one stood to half an hour ahead."""
    with database.read() as connection:
        found = waits(connection)
        buckets = Buckets(database, active.ruleset.policy)
        buckets.load(connection, compiled(active).kinds)
    fact = found.fact
    activated = active.activated_at or now
    stale = True
    if fact is None:
        after = min(active.since.values(), default=activated)
    else:
        text, _, release = fact.partition(" ")
        after = datetime.fromisoformat(text)
        stale = release != active.id or abs(now - after) >= _NOTED_EVERY
        if release != active.id:
            after = min(after, activated)
    # A moment before: what is due exactly then has been planned or belongs to this pass, and fires once anyway.
    after = max(min(after, now), now - _LONGEST_LOOK_BACK) - timedelta(seconds=1)
    return Pass(
        database=database,
        active=active,
        now=now,
        after=after,
        until=now + AHEAD,
        stale=stale,
        buckets=buckets,
        waiting=found.events,
        changed=found.changes,
        moved=found.moves,
        keyring=keyring,
    )


def arrived(database: Database, active: Active, *, now: datetime, keyring: Keyring | None) -> Pass:
    """A pass over pending events alone, for a caller who knows that there are some: nothing is read for it.

    How far the calendar is planned is not its to say.
    """
    return Pass(
        database=database,
        active=active,
        now=now,
        after=now,
        until=now,
        stale=False,
        buckets=Buckets(database, active.ruleset.policy),
        keyring=keyring,
    )
