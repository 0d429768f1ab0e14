"""The hands of a forecast: claim, gate and record as the daemon does, with a supposed answer in place of a delivery.

Nothing is rendered and there is no event loop, so nothing here could open a socket.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from outbound.domain.customer import ChannelName
from outbound.domain.message import Lane
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.services.dispatch.claim import take
from outbound.services.dispatch.gate import GateTransaction, wording
from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.parcels import Answered, Passed
from outbound.services.dispatch.verdicts import verdict
from outbound.services.memory import uncollected
from outbound.services.releases import Active
from outbound.storage import next_messages, outbox_results
from outbound.storage.database import Database

Answer = Callable[[Passed], Outcome]
"""What the provider is supposed to say to an attempt."""

_ACCEPTED = Outcome(kind=OutcomeKind.ACCEPTED, text="supposed")


def accepted(_passed: Passed) -> Outcome:
    """Every provider takes every message."""
    return _ACCEPTED


@dataclass(slots=True, kw_only=True)
class _StillSlice(Slice):
    """A slice on a clock that stands still while it works."""

    def moment(self) -> datetime:
        return self.now


def dispatch(database: Database, kit: Kit, active: Active, *, now: datetime, answer: Answer = accepted) -> int:
    """Take everything that is due through the gates and record the answers. Answers how many messages were taken."""
    taken = 0
    for lane in Lane:
        slice_ = _StillSlice(lane=lane, now=now, chunk=kit.settings.chunk)
        while _due(database, lane, now) and (some := _slice(database, kit, active, slice_, answer)):
            taken += some
    return taken


def _due(database: Database, lane: Lane, now: datetime) -> bool:
    """Whether a claim would find anything: most stops of the clock are not for messages."""
    with database.read() as connection:
        return lane in next_messages.lanes_due(connection, now)


def _slice(database: Database, kit: Kit, active: Active, slice_: Slice, answer: Answer) -> int:
    with database.write() as connection:
        messages = take(connection, slice_, kit)
    if not messages:
        return 0
    words = wording(kit, active, messages)
    with uncollected(), database.write() as connection:
        passed = GateTransaction(slice_, kit, words, messages)(connection)
        results = [
            verdict(_answered(one, answer(one)), keyring=kit.keyring, now=slice_.now, jitter=kit.jitter())
            for one in passed
        ]
        outbox_results.record(connection, results, now=slice_.now)
    return len(messages)


def _answered(passed: Passed, outcome: Outcome) -> Answered:
    """An SMS is charged by the segments of its template's longest sample: nobody renders it here."""
    parts = 1
    if passed.begin.channel is ChannelName.SMS:
        parts = passed.release.templates.sample_parts.get(passed.message.template, 1)
    return Answered(passed=passed, outcome=outcome, parts=parts)
