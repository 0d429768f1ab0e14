"""The outbox rows of one rule and run: when each message may leave, and what it carries."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from outbound.domain.decision import Hold
from outbound.domain.ids import new_ids
from outbound.domain.message import MessageState
from outbound.domain.reasons import ReasonCode
from outbound.domain.rule import Rule
from outbound.engine.timing.walls import wall
from outbound.services.planning.clerk import Judged
from outbound.services.planning.compiled import topic_of
from outbound.services.releases import Active
from outbound.storage.planned_messages import Alike, PlannedMessage


class MessageRows:
    """Makes the rows; what they share is made once."""

    def __init__(self, active: Active, rule: Rule, run_id: str, now: datetime) -> None:
        topic = topic_of(active, rule)
        self._now = now
        self._local: dict[tuple[datetime, str], str] = {}
        self._pace = rule.send.pace_per_hour
        self.last: datetime | None = None
        self.held = 0
        self.shared: Mapping[str, Any] = {
            "run_id": run_id,
            "rule": rule.id,
            "rule_version": rule.version,
            "release": active.id,
            "topic": topic.name,
            "message_class": topic.message_class.name,
            "lane": topic.message_class.lane.value,
            "priority": topic.message_class.priority if topic.priority is None else topic.priority,
            "on_uncertain": topic.message_class.on_uncertain,
            "created_at": now,
        }

    def messages(self, leaving: Sequence[Judged]) -> list[PlannedMessage]:
        """The rows of those who get a message."""
        alike: dict[tuple[int, int], Alike] = {}
        rows = []
        for one, identity in zip(leaving, new_ids(self._now, len(leaving)), strict=True):
            key = (id(one.answer), id(one.occurrence))
            found = alike.get(key) if self._pace is None else None
            if found is None:
                found = alike[key] = self._alike(one)
            rows.append(PlannedMessage(identity, one.once, one.customer_id, one.context or "{}", found))
        return rows

    def _alike(self, one: Judged) -> Alike:
        """What all messages of an answer share: scheduled while held or early, ready when it may leave now."""
        answer = one.answer
        held = answer.decision if isinstance(answer.decision, Hold) else None
        waits = held is not None and held.reason.code is ReasonCode.LIMITS
        # Nobody knows when a person approves: then the message is given its turn, from ``local_time`` on.
        opening = held.until if held else one.occurrence.due
        not_before = opening if waits else self._paced(opening, held=held is not None)
        ready = held is None and not_before <= self._now
        reason = held.reason if held else None
        return Alike(
            template=answer.template,
            variant=answer.variant,
            channels=",".join(answer.channels),
            not_before=not_before,
            local_time=self._local_time(one.occurrence.due if waits else not_before, answer.zone),
            zone=answer.zone.key,
            expires=one.occurrence.expires,
            state=(MessageState.READY if ready else MessageState.SCHEDULED).value,
            reason=reason.code.value if reason else "",
            detail=reason.detail if reason else "",
            held_by=str(reason) if reason else "",
            language=answer.language,
            depth=one.occurrence.depth,
        )

    def _paced(self, opening: datetime, *, held: bool) -> datetime:
        """The next free turn from the opening on, at most ``pace`` an hour over all zones of the run.

        Those that a gate holds are a queue of their own: nobody who may go waits for them.
        """
        if self._pace is None:
            return opening
        step = timedelta(hours=1) / self._pace
        if held:
            self.held += 1
            return opening + (self.held - 1) * step
        self.last = opening if self.last is None else max(opening, self.last + step)
        return self.last

    def _local_time(self, instant: datetime, zone: ZoneInfo) -> str:
        key = (instant, zone.key)
        found = self._local.get(key)
        if found is None:
            found = self._local[key] = wall(instant, zone).isoformat(timespec="minutes")
        return found
