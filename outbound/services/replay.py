"""``outbound replay --events``: show past events to the rules that run now, as if they happened again.

Keys hold: an occurrence that was decided once, whatever came of it, is not decided again. So a replay reaches whom a
rule has missed: one that was published too late, was wrong, or whose conditions looked at data that came later.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from outbound.domain.customer import Event
from outbound.domain.decision import Hold, Skip
from outbound.domain.errors import OutboundError
from outbound.domain.rule import EventTrigger
from outbound.services.planning.compiled import Listener, compiled
from outbound.services.planning.events import BATCH, LOCK, Batch
from outbound.services.planning.window import Pass, open_pass
from outbound.services.releases import Active
from outbound.storage import operations, pending, runs
from outbound.storage.database import Database


@dataclass(slots=True, kw_only=True)
class OfRule:
    """What a replay does for one rule: messages by channel, held and skipped by reason, and those decided before."""

    channels: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    already: int = 0

    @property
    def messages(self) -> int:
        """How many messages are new."""
        return self.channels.total()


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """``events`` were shown. ``rules`` has those that had to decide. ``sent``: it was done, not only shown."""

    start: datetime
    end: datetime
    sent: bool
    events: int
    rules: dict[str, OfRule]

    @property
    def messages(self) -> int:
        """How many messages are new, over all rules."""
        return sum(one.messages for one in self.rules.values())


def replay_events(
    database: Database,
    active: Active,
    *,
    start: datetime,
    end: datetime,
    rule: str = "",
    send: bool = False,
    by: str,
    now: datetime,
) -> Replayed:
    """Show what happened from ``start`` on and before ``end`` to the event rules, or to one of them.

    Nothing is written without ``send``. Conditions are asked about the customers as they are now, and a message
    expires counted from its event's own time, as ever. Raises OutboundError ``replay.rule`` for a rule that
    listens to no event, ``replay.order`` where the stretch is empty.
    """
    if end <= start:
        raise OutboundError("replay.order", "--to is not after --from", "name the earlier time first")
    listeners = _listeners(active, rule)
    found: dict[str, OfRule] = {}
    work = open_pass(database, active, now=now, keyring=None)
    shown, known = 0, set[tuple[str, str, str]]()
    for events in _pages(database, listeners, start, end):
        shown += len(events)
        if send:
            _queue(work, events, listeners, found)
        else:
            _rehearse(work, events, listeners, found, known)
    done = Replayed(start=start, end=end, sent=send, events=shown, rules=found)
    if send:
        details = {"from": start.isoformat(), "to": end.isoformat(), "events": shown, "messages": done.messages}
        with database.write() as connection:
            operations.record(
                connection, kind="replay events", subject=rule or "all", by=by, note="", now=now, details=details
            )
    return done


def _listeners(active: Active, rule: str) -> dict[str, tuple[Listener, ...]]:
    """By event, the rules to show it to."""
    if rule:
        known = active.ruleset.rules.get(rule)
        if known is None or not isinstance(known.trigger, EventTrigger):
            message = f"{rule!r} is no rule that listens to an event"
            raise OutboundError("replay.rule", message, "name one whose `when` has `event`, or leave --rule out")
    wanted = {
        name: tuple(one for one in some if rule in ("", one.rule.id))
        for name, some in compiled(active).listeners.items()
    }
    return {name: some for name, some in wanted.items() if some}


def _pages(
    database: Database, listeners: dict[str, tuple[Listener, ...]], start: datetime, end: datetime
) -> Iterator[Sequence[Event]]:
    after: tuple[datetime, str] | None = None
    while True:
        with database.read() as connection:
            events = pending.handled_between(
                connection, names=listeners, start=start, end=end, after=after, limit=BATCH
            )
        if events:
            yield events
        if len(events) < BATCH:
            return
        after = (events[-1].at, events[-1].id)


def _queue(
    work: Pass, events: Sequence[Event], listeners: dict[str, tuple[Listener, ...]], found: dict[str, OfRule]
) -> None:
    """Decide and queue one page, in one transaction as planning does it."""
    with work.database.write() as connection:
        runs.lock(connection, LOCK)
        batch = Batch(work, connection, events, again=True)
        for event in events:
            batch.show(event, listeners[event.name])
        for name, counts in batch.enqueue().items():
            one = found.setdefault(name, OfRule())
            one.channels.update(counts.channels)
            one.held.update(counts.held)
            one.skipped.update(counts.skipped_by)
            one.already += counts.already


def _rehearse(
    work: Pass,
    events: Sequence[Event],
    listeners: dict[str, tuple[Listener, ...]],
    found: dict[str, OfRule],
    known: set[tuple[str, str, str]],
) -> None:
    """Decide one page and forget it; ``known`` are the occurrences of the pages before."""
    with work.database.read() as connection:
        batch = Batch(work, connection, events, again=True)
        for event in events:
            batch.show(event, listeners[event.name])
        for rule, judged, already in batch.judged():
            one = found.setdefault(rule.id, OfRule())
            one.already += already
            for candidate in judged:
                key = (rule.id, candidate.once, candidate.customer_id)
                if key in known:
                    one.already += 1
                    continue
                known.add(key)
                decision = candidate.decision
                if isinstance(decision, Skip):
                    one.skipped[decision.reason.code.value] += 1
                    continue
                one.channels[candidate.channels[0].value] += 1
                if isinstance(decision, Hold):
                    one.held[decision.reason.code.value] += 1
