"""Turn a decided batch into rows: decision and outbox message of a candidate appear together or not at all."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.decision import Hold, Send, Skip
from outbound.domain.ids import new_ids
from outbound.domain.limits import REJECTED
from outbound.domain.message import MessageState
from outbound.domain.person import Person
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import Rule
from outbound.engine.costs import currency_of, price
from outbound.engine.ladder.limits import waiting_until
from outbound.engine.timing.walls import wall
from outbound.services.planning.alike import Memory
from outbound.services.planning.clerk import Answer, Judged, decided
from outbound.services.planning.compiled import topic_of
from outbound.services.planning.judge import judge
from outbound.services.planning.loops import Backstop, is_reactive
from outbound.services.planning.occurrence import Prospect
from outbound.services.planning.report import Counts
from outbound.services.planning.strangers import Turnstile, is_public
from outbound.services.releases import Active
from outbound.storage import decisions, experiments, runs
from outbound.storage.decisions import Verdict
from outbound.storage.planned_messages import Alike, PlannedMessage, insert_planned


def enqueue(
    connection: Connection,
    active: Active,
    rule: Rule,
    prospects: Sequence[Prospect],
    *,
    run_id: str,
    now: datetime,
    limited: str = "",
    memory: Memory | None = None,
    people: Mapping[str, Person] | None = None,
    backstop: Backstop | None = None,
    turnstile: Turnstile | None = None,
) -> Counts:
    """Decide ``prospects`` and insert what follows from it, in the caller's transaction.

    The caller holds the rule's lock (``storage.runs.lock``). A candidate is an occurrence: who was decided
    under the same key before is not a candidate again, whichever run it was in, so a run planned twice counts
    everybody once. ``limited`` is the limit that the run exceeds: its messages are made, and wait for a person.
    ``memory`` and ``people`` as for ``judge``; ``backstop`` counts for all rules of a transaction where it is given,
    ``turnstile`` what strangers set off.
    """
    judgement = judge(connection, active, rule, prospects, now=now, run_id=run_id, memory=memory, people=people)
    judged = judgement.candidates
    if judged and is_reactive(rule):
        judged = (backstop or Backstop(connection, active.ruleset.policy.loops, now=now)).passed(judged)
    if judged and turnstile is not None and is_public(rule):
        judged = turnstile.passed(judged)
    if limited:
        judged = _stopped(judged, limited, now)
    clerk = _Rows(active, rule, run_id, now)
    if rule.send.pace_per_hour is not None:
        clerk.last, clerk.held = runs.paced(connection, run_id)
    leaving = [one for one in judged if one.context is not None]
    messages = clerk.messages(leaving)
    taken = insert_planned(connection, messages, shared=clerk.shared) if messages else set()
    if taken:
        # A message whose key is taken although no decision is left (pruned, merged): it went out under that key.
        lost = {(row.once, row.customer_id) for row in messages if row.id in taken}
        judged = [one for one in judged if (one.once, one.customer_id) not in lost]
    verdicts = [verdict_of(one) for one in judged]
    decisions.insert(
        connection,
        verdicts,
        rule=rule.id,
        rule_version=rule.version,
        release=active.id,
        run_id=run_id,
        now=now,
    )
    _expose(connection, active, rule, judged, now)
    counts = count(verdicts)
    counts.costs = costs_of(judged, active, rule)
    counts.already = len(judgement.already) + len(taken)
    counts.outside = judgement.outside
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


def _stopped(judged: Sequence[Judged], limited: str, now: datetime) -> list[Judged]:
    """The candidates of a run that waits for approval, or was turned down."""
    reason = Reason(ReasonCode.LIMITS, limited)
    answers: dict[int, Answer] = {}
    stopped: list[Judged] = []
    for one in judged:
        if one.context is None:
            stopped.append(one)
            continue
        answer = answers.get(id(one.answer))
        if answer is None:
            wait = Hold(until=waiting_until(one.occurrence.expires, now), reason=reason)
            decision = Skip(reason=reason) if limited == REJECTED else wait
            answer = answers[id(one.answer)] = decided(one.answer, decision)
        context = None if limited == REJECTED else one.context
        stopped.append(Judged(one.once, one.customer_id, one.occurrence, answer, context))
    return stopped


def _expose(connection: Connection, active: Active, rule: Rule, judged: Sequence[Judged], now: datetime) -> None:
    """Freeze the experiment and the global holdout with the first decision that rests on them."""
    answers = {id(one.answer): one.answer for one in judged}.values()
    if rule.experiment is not None and any(answer.experiment for answer in answers):
        experiments.expose(connection, rule.experiment, rule=rule.id, release=active.id, now=now)
    holdout = active.ruleset.policy.holdout
    if holdout is not None:
        held = Skip(reason=Reason(ReasonCode.HELD_OUT, holdout.id))
        if any(answer.decision == held for answer in answers):
            experiments.expose(connection, holdout, release=active.id, now=now)


def costs_of(candidates: Iterable[Judged], active: Active, rule: Rule) -> Counter[str]:
    """What the messages will cost by channel, in millionths: on their first channel, SMS as long as the sample."""
    policy, parts = active.ruleset.policy, parts_of(active, rule)
    answers: dict[int, Answer] = {}
    messages: Counter[int] = Counter()
    for one in candidates:
        if one.answer.channels:
            answers[id(one.answer)] = one.answer
            messages[id(one.answer)] += 1
    costs: Counter[str] = Counter()
    for key, answer in answers.items():
        channel = answer.channels[0]
        costs[channel.value] += messages[key] * price(policy, channel, answer.country, parts=parts)
    return costs


def parts_of(active: Active, rule: Rule) -> int:
    """The SMS segments a message of ``rule`` is reckoned with: those of the longest sample of its templates."""
    return max((active.templates.sample_parts.get(name, 1) for name in rule.templates), default=1)


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
    answer = one.answer
    match answer.decision:
        case Send(channel=channel):
            told = ("send", "", "", channel.value)
        case Hold(reason=reason):
            told = ("hold", reason.code.value, reason.detail, answer.channels[0].value)
        case Skip(reason=reason):
            told = ("skip", reason.code.value, reason.detail, "")
    return Verdict(one.once, one.customer_id, *told, answer.experiment, answer.variant)


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
