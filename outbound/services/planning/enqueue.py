"""Turn a decided batch into rows: decision and outbox message of a candidate appear together or not at all."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.decision import Hold, Send, Skip
from outbound.domain.ids import new_id
from outbound.domain.limits import REJECTED
from outbound.domain.message import MessageState
from outbound.domain.policy import Policy
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import Rule
from outbound.engine.costs import currency_of, price
from outbound.engine.ladder.limits import waiting_until
from outbound.engine.timing.walls import wall
from outbound.services.planning.compiled import topic_of
from outbound.services.planning.judge import Judged, judge
from outbound.services.planning.occurrence import Prospect
from outbound.services.planning.report import Counts
from outbound.services.releases import Active
from outbound.storage import decisions, runs
from outbound.storage.decisions import Verdict
from outbound.storage.planned_messages import PlannedMessage, insert_planned


def enqueue(
    connection: Connection,
    active: Active,
    rule: Rule,
    prospects: Sequence[Prospect],
    *,
    run_id: str,
    now: datetime,
    limited: str = "",
) -> Counts:
    """Decide ``prospects`` and insert what follows from it, in the caller's transaction.

    The caller holds the rule's lock (``storage.runs.lock``). A candidate is an occurrence: who was decided
    under the same key before is not a candidate again, whichever run it was in, so a run planned twice counts
    everybody once. ``limited`` is the limit that the run exceeds: its messages are made, and wait for a person.
    """
    judgement = judge(connection, active, rule, prospects, now=now)
    if limited:
        judgement = replace(judgement, candidates=[_stopped(one, limited, now) for one in judgement.candidates])
    clerk = _Rows(active, rule, run_id, now)
    if rule.send.pace_per_hour is not None:
        clerk.queued = Counter(runs.queued_by_zone(connection, run_id))
    queued = [(clerk.message(one), one) for one in judgement.candidates if not isinstance(one.decision, Skip)]
    inserted = insert_planned(connection, [row for row, _ in queued], shared=clerk.shared) if queued else set()
    # A message whose key is taken although no decision is left (pruned, merged): it went out under that key.
    lost = {id(one) for row, one in queued if row.id not in inserted}
    candidates = [one for one in judgement.candidates if id(one) not in lost]
    verdicts = [verdict_of(one) for one in candidates]
    decisions.insert(
        connection,
        verdicts,
        rule=rule.id,
        rule_version=rule.version,
        release=active.id,
        run_id=run_id,
        now=now,
    )
    counts = count(verdicts)
    counts.costs = costs_of(candidates, active.ruleset.policy)
    counts.already = len(judgement.already) + len(lost)
    runs.add_counts(
        connection,
        run_id,
        candidates=counts.candidates,
        skipped=counts.skipped,
        cost=counts.cost,
        currency=currency_of(active.ruleset.policy),
        now=now,
    )
    return counts


def _stopped(one: Judged, limited: str, now: datetime) -> Judged:
    """The candidate of a run that waits for approval, or was turned down."""
    if isinstance(one.decision, Skip):
        return one
    reason = Reason(ReasonCode.LIMITS, limited)
    if limited == REJECTED:
        return replace(one, decision=Skip(reason=reason), context=None)
    return replace(one, decision=Hold(until=waiting_until(one.occurrence.expires, now), reason=reason))


def costs_of(candidates: Iterable[Judged], policy: Policy) -> Counter[str]:
    """What the messages will cost by channel, in millionths: each on its first channel, an SMS as one segment."""
    places: Counter[tuple[ChannelName, str | None]] = Counter(
        (one.channels[0], one.person.customer.country) for one in candidates if not isinstance(one.decision, Skip)
    )
    costs: Counter[str] = Counter()
    for (channel, country), messages in places.items():
        costs[channel.value] += messages * price(policy, channel, country)
    return costs


def skip_all(
    connection: Connection,
    active: Active,
    rule: Rule,
    keys: Sequence[tuple[str, str]],
    *,
    reason: Reason,
    run_id: str,
    now: datetime,
) -> Counts:
    """Record one skip for several (once, customer id) that have no person to decide about."""
    known = decisions.decided(connection, rule.id, keys)
    verdicts = [
        Verdict(once, customer_id, "skip", reason.code, reason.detail)
        for once, customer_id in dict.fromkeys(keys)
        if (once, customer_id) not in known
    ]
    decisions.insert(
        connection,
        verdicts,
        rule=rule.id,
        rule_version=rule.version,
        release=active.id,
        run_id=run_id,
        now=now,
    )
    counts = count(verdicts)
    runs.add_counts(connection, run_id, candidates=counts.candidates, skipped=counts.skipped, now=now)
    return counts


def verdict_of(one: Judged) -> Verdict:
    """The decision as it is kept."""
    customer_id = one.person.customer.id
    match one.decision:
        case Send(channel=channel):
            return Verdict(one.once, customer_id, "send", channel=channel)
        case Hold(reason=reason):
            return Verdict(one.once, customer_id, "hold", reason.code, reason.detail, one.channels[0])
        case Skip(reason=reason):
            return Verdict(one.once, customer_id, "skip", reason.code, reason.detail)


def count(verdicts: Sequence[Verdict]) -> Counts:
    """The sums of some decisions."""
    counts = Counts(candidates=len(verdicts))
    for verdict in verdicts:
        if verdict.verdict == "skip":
            counts.skipped += 1
            counts.skipped_by[verdict.reason] += 1
            continue
        counts.messages += 1
        counts.channels[verdict.channel] += 1
        if verdict.verdict == "hold":
            counts.held[verdict.reason] += 1
    return counts


class _Rows:
    """Makes outbox rows of one rule and run; what they share is made once."""

    def __init__(self, active: Active, rule: Rule, run_id: str, now: datetime) -> None:
        topic = topic_of(active, rule)
        self._now = now
        self._local: dict[tuple[datetime, str], str] = {}
        self._pace = rule.send.pace_per_hour
        self.queued: Counter[str] = Counter()
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

    def message(self, one: Judged) -> PlannedMessage:
        """The row of one message: scheduled while held or early, ready when it may leave now."""
        held = one.decision if isinstance(one.decision, Hold) else None
        waits = held is not None and held.reason.code is ReasonCode.LIMITS
        # Nobody knows when a person approves: then the message is given its turn, from ``local_time`` on.
        opening = held.until if held else one.occurrence.due
        not_before = opening if waits else self._paced(opening, one)
        ready = held is None and not_before <= self._now
        reason = held.reason if held else None
        return PlannedMessage(
            id=new_id(self._now),
            once=one.once,
            customer_id=one.person.customer.id,
            template=one.occurrence.template,
            channels=",".join(one.channels),
            context=one.context or {},
            not_before=not_before,
            local_time=self._local_time(one.occurrence.due if waits else not_before, one.zone),
            zone=one.zone.key,
            expires=one.occurrence.expires,
            state=(MessageState.READY if ready else MessageState.SCHEDULED).value,
            reason=reason.code.value if reason else "",
            detail=reason.detail if reason else "",
            held_by=str(reason) if reason else "",
            language=one.person.customer.preference.language or "",
        )

    def _paced(self, opening: datetime, one: Judged) -> datetime:
        """Spread from the opening on, at most ``pace`` an hour in each zone."""
        if self._pace is None:
            return opening
        before = self.queued[one.zone.key]
        self.queued[one.zone.key] += 1
        return opening + timedelta(seconds=before * 3600 // self._pace)

    def _local_time(self, instant: datetime, zone: ZoneInfo) -> str:
        key = (instant, zone.key)
        found = self._local.get(key)
        if found is None:
            found = self._local[key] = wall(instant, zone).isoformat(timespec="minutes")
        return found
