"""Supposed reactions: so many of the messages that leave are followed by an event of their customer.

Who reacts, and when, is drawn from the message and the seed alone: the same rules, people and seed give the same
forecast, and a change of one rule leaves the reactions to the others as they were.
"""

import heapq
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

from outbound.domain.customer import Event
from outbound.domain.errors import OutboundError
from outbound.domain.message_events import MESSAGE_EVENTS
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.services.dispatch.parcels import Passed
from outbound.services.forecast.hands import Answer, accepted
from outbound.storage import events
from outbound.storage.database import Database

_SHARE = re.compile(r"(message\.\w+)=(\d+(?:\.\d+)?)\s*%")
_ALL = 100.0
_FIRST, _LAST = timedelta(minutes=1), timedelta(days=2)
_SPREAD = 3
"""Most react soon: the time is drawn evenly and raised to this power."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """``share`` (0 to 1) of the messages is followed by the event."""

    event: str
    share: float


def read_reactions(words: Iterable[str]) -> tuple[Reaction, ...]:
    """Read ``message.clicked=12%``. Raises OutboundError ``simulate.react``."""
    found: dict[str, Reaction] = {}
    for word in words:
        match = _SHARE.fullmatch(word.strip())
        if match is None or match[1] not in MESSAGE_EVENTS or float(match[2]) > _ALL or match[1] in found:
            remedy = f"write message.clicked=12%, each event once; there are {', '.join(MESSAGE_EVENTS)}"
            raise OutboundError("simulate.react", f"{word!r} is no reaction", remedy)
        found[match[1]] = Reaction(event=match[1], share=float(match[2]) / _ALL)
    return tuple(found.values())


class Reactions:
    """A feed of the events that follow messages, told of each by ``answer``, which asks the one it was given first."""

    def __init__(self, reactions: Iterable[Reaction], *, seed: int, answer: Answer = accepted) -> None:
        self._reactions, self._seed, self._answer = tuple(reactions), seed, answer
        self._due: list[tuple[datetime, str, Event]] = []

    def answer(self, passed: Passed) -> Outcome:
        """What the provider says; where it takes the message, draw what its customer does then."""
        outcome = self._answer(passed)
        if outcome.kind is not OutcomeKind.ACCEPTED:
            return outcome
        message, sent = passed.message, passed.begin.date
        for one in self._reactions:
            name = f"{self._seed}:{one.event}:{message.rule}:{message.once}:{message.customer_id}"
            digest = sha256(name.encode()).digest()
            if int.from_bytes(digest[:8]) >= one.share * 2**64:
                continue
            drawn = int.from_bytes(digest[8:16]) / 2**64
            at = sent + _FIRST + (_LAST - _FIRST) * drawn**_SPREAD
            event = Event(
                id=f"supposed/{digest.hex()[:32]}",
                name=one.event,
                customer_id=passed.customer.id,
                data=_about(passed),
                at=at,
                received_at=at,
            )
            heapq.heappush(self._due, (at, event.id, event))
        return outcome

    def next_at(self) -> datetime | None:
        """When the next customer reacts (UTC)."""
        return self._due[0][0] if self._due else None

    def bring(self, database: Database, now: datetime) -> None:
        """Record the reactions up to ``now``."""
        some = []
        while self._due and self._due[0][0] <= now:
            some.append(heapq.heappop(self._due)[2])
        if some:
            with database.write() as connection:
                events.append(connection, some, now=now, source="forecast")


def _about(passed: Passed) -> Mapping[str, str]:
    message = passed.message
    about = {
        "rule": message.rule,
        "message": message.id,
        "topic": message.topic,
        "channel": passed.begin.channel.value,
    }
    return {**about, "step": message.step} if message.step else about
