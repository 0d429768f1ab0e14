"""``outbound approve``: a person looks at a run that exceeds a limit, and lets its messages go or turns them down.

The word comes first, in a transaction of its own; then the held messages follow in bounded ones. Killed in
between, the same call again finishes what it began. Nothing is sent here: the daemon does that.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from outbound.domain.decision import Hold
from outbound.domain.errors import OutboundError
from outbound.domain.limits import REJECTED, Counted
from outbound.domain.message import Message
from outbound.domain.person import Person
from outbound.domain.reasons import Reason
from outbound.engine.ladder import Candidate, Switches, decide
from outbound.engine.timing.walls import resolve_wall
from outbound.engine.timing.zones import zone_named
from outbound.services.releases import Active
from outbound.storage import run_limits, runs
from outbound.storage.database import Database
from outbound.storage.people import load_people
from outbound.storage.run_limits import Standing
from outbound.storage.sets import chunks

BATCH = 2_000
"""Messages that one transaction lets go: the most that wait for it, and that a kill can undo."""

_PAGE = 50_000
_NOTHING_SWITCHED = Switches()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a person is asked: the run, how many messages wait now, and how many of those can still leave in time.

    ``over``: nothing of the run is queued any more and nobody is still to be planned.
    """

    run: Standing
    held: int
    in_time: int
    over: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """What was done. ``messages`` were let go, or cancelled where ``rejected``.

    ``finished``: the word was said before, and this call did what was left to do.
    """

    run: Standing
    rejected: bool
    messages: int
    finished: bool = False


def request(database: Database, run_id: str, *, now: datetime) -> Request:
    """What there is to decide about a run. Raises OutboundError ``run.unknown``."""
    with database.read() as connection:
        held, in_time = run_limits.held_counts(connection, run_id, now=now)
        run, queued = _run(connection, run_id), run_limits.queued_ids(connection, run_id, limit=1)
        over = bool(run.messages) and not queued and run.whole.messages <= run.messages
        return Request(run=run, held=held, in_time=in_time, over=over)


def waiting_run(database: Database, rule: str) -> str | None:
    """The id of the one run of a rule that waits for a person, or whose approval was interrupted; None for none.

    Raises OutboundError ``approve.several``, which names them.
    """
    with database.read() as connection:
        found = [r for r in (*run_limits.waiting(connection), *run_limits.interrupted(connection)) if r.rule == rule]
    if len(found) > 1:
        names = ", ".join(sorted(run.name for run in found))
        raise OutboundError("approve.several", f"{len(found)} runs of {rule} wait", f"name one: {names}")
    return found[0].id if found else None


def check(asked: Request, *, reject: bool) -> None:
    """Raise OutboundError where there is nothing to decide.

    ``approve.unlimited`` for a run that no limit stopped, ``approve.rejected`` and ``approve.approved`` for one
    that was decided otherwise, ``approve.expired`` where every message has run out.
    """
    run = asked.run
    said = f" by {run.decided_by} on {run.decided_at:%Y-%m-%d %H:%M} UTC" if run.decided_at else ""
    if run.limited == REJECTED and not reject:
        raise OutboundError("approve.rejected", f"{run.name} was rejected{said}", "its messages are cancelled for good")
    if not run.limited and run.approved is not None:
        if reject or not asked.held:
            remedy = "stop what is left with `draft: true` in the rule" if reject else "`outbound report` shows it"
            raise OutboundError("approve.approved", f"{run.name} was approved{said}", remedy)
    elif not run.limited:
        message = f"{run.name} exceeds no limit: it waits for nobody"
        raise OutboundError("approve.unlimited", message, "`outbound status` lists the runs that wait")
    if not reject and run.messages and not asked.in_time and (asked.held or (run.waits and asked.over)):
        message = f"the messages of {run.name} have expired"
        raise OutboundError("approve.expired", message, "nothing is left to send; --reject closes it")


def approve(database: Database, active: Active, run_id: str, *, count: int, by: str, now: datetime) -> Approval:
    """Let a run go. ``count`` is the number of messages the person saw: any other than the run's is refused.

    Raises OutboundError ``approve.count``, and what ``check`` raises. The messages keep their window, and the
    rule's pace spreads them anew from there.
    """
    asked = request(database, run_id, now=now)
    with database.write() as connection:
        runs.lock(connection, _lock(asked.run.rule))
        run = _run(connection, run_id)  # as it stands now that nobody else can decide
        check(replace(asked, run=run), reject=False)
        waited = run.waits
        whole = run.whole if waited else run.approved or Counted()
        if count != whole.messages:
            message = f"{run.name} has {whole.messages:,} messages, not {count:,}"
            raise OutboundError("approve.count", message, "look at it again: `outbound approve RUN --dry-run`")
        if waited:
            run_limits.decide(connection, run_id, limited="", approved=whole, by=by, now=now)
    released = _release(database, active, asked.run, now=now)
    with database.read() as connection:
        return Approval(run=_run(connection, run_id), rejected=False, messages=released, finished=not waited)


def reject(database: Database, run_id: str, *, by: str, now: datetime) -> Approval:
    """Turn a run down: what is queued of it is cancelled, and what is still to be planned is skipped."""
    asked = request(database, run_id, now=now)
    with database.write() as connection:
        runs.lock(connection, _lock(asked.run.rule))
        run = _run(connection, run_id)
        check(replace(asked, run=run), reject=True)
        waited = run.waits
        if waited:
            run_limits.decide(connection, run_id, limited=REJECTED, approved=Counted(), by=by, now=now)
    cancelled = 0
    for ids in _batches(database, run_id, run_limits.queued_ids):
        with database.write() as connection:
            runs.lock(connection, _lock(asked.run.rule))
            cancelled += run_limits.cancel(connection, ids, now=now)
    with database.read() as connection:
        return Approval(run=_run(connection, run_id), rejected=True, messages=cancelled, finished=not waited)


def _run(connection: Connection, run_id: str) -> Standing:
    run = run_limits.standing(connection, run_id)
    if run is None:
        raise OutboundError("run.unknown", f"there is no run {run_id}", "`outbound report` lists the runs")
    return run


def _lock(rule: str) -> str:
    return f"plan:{rule}"


def _release(database: Database, active: Active, run: Standing, *, now: datetime) -> int:
    """Give every held message its turn, in the order they were planned."""
    with database.read() as connection:
        pace = _Pace(active, run.rule, run_limits.last_planned(connection, run.id))
    released = 0
    for ids in _batches(database, run.id, run_limits.held_ids):
        with database.write() as connection:
            runs.lock(connection, _lock(run.rule))
            if run_limits.limited(connection).get(run.id):  # stopped again: somebody has to look at it anew
                break
            messages = run_limits.held(connection, ids)
            people = load_people(connection, [message.customer_id for message in messages])
            rows = [_turn(active, message, people.get(message.customer_id), pace, now) for message in messages]
            released += run_limits.release(connection, rows, now=now)
    return released


def _batches(database: Database, run_id: str, ask: Callable[..., list[str]]) -> Iterator[Sequence[str]]:
    """The ids of a run's messages that ``ask`` finds, a page looked up at a time, handed out in batches."""
    while True:
        with database.read() as connection:
            page = ask(connection, run_id, limit=_PAGE)
        yield from chunks(page, BATCH)
        if len(page) < _PAGE:
            return


def _turn(
    active: Active, message: Message, person: Person | None, pace: "_Pace", now: datetime
) -> tuple[str, datetime, Reason | None]:
    """When a held message leaves: at its own time, or when its window opens next, in its place in the queue.

    What its gate would not let go (the rule was withdrawn, consent was) is due at once, and its gate says why.
    """
    due = now
    if message.local_time and message.zone:
        local = datetime.fromisoformat(message.local_time).replace(tzinfo=None)
        due = max(now, resolve_wall(local, zone_named(message.zone)))
    topic = active.ruleset.policy.topics.get(message.topic)
    if person is None or topic is None:
        return message.id, due, None
    candidate = Candidate(
        rule=message.rule,
        topic=topic,
        channels=message.channels,
        expires=message.expires,
        due=due,
        message_id=message.id,
        run_id=message.run_id,
    )
    decision = decide(candidate, person, policy=active.ruleset.policy, now=now, switches=_NOTHING_SWITCHED)
    if isinstance(decision, Hold):
        return message.id, pace.after(decision.until, held=True), decision.reason
    return message.id, pace.after(due, held=False), None


class _Pace:
    """Spreads messages from their opening on, at most the rule's ``pace`` an hour.

    Those that another gate holds (quiet hours) are a queue of their own: nobody who may go waits for them.
    """

    def __init__(self, active: Active, rule: str, last: dict[bool, datetime]) -> None:
        found = active.ruleset.rules.get(rule)
        per_hour = found.send.pace_per_hour if found else None
        self._step = timedelta(hours=1) / per_hour if per_hour else None
        self._last = last

    def after(self, opening: datetime, *, held: bool) -> datetime:
        """The next free moment from ``opening`` on."""
        if self._step is None:
            return opening
        last = self._last.get(held)
        moment = opening if last is None else max(opening, last + self._step)
        self._last[held] = moment
        return moment
