"""Turn a decided batch into rows: decision and outbox message of a candidate appear together or not at all."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any

from sqlalchemy.engine import Connection

from outbound.domain.decision import Hold, Send, Skip
from outbound.domain.limits import REJECTED
from outbound.domain.person import Person
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import Rule
from outbound.engine.costs import currency_of, price
from outbound.engine.ladder.limits import waiting_until
from outbound.services.planning.alike import Memory
from outbound.services.planning.clerk import Answer, Judged, decided
from outbound.services.planning.judge import Judgement, judge
from outbound.services.planning.loops import Backstop, is_reactive
from outbound.services.planning.message_rows import MessageRows
from outbound.services.planning.occurrence import Prospect
from outbound.services.planning.report import Counts
from outbound.services.planning.strangers import Turnstile, is_public
from outbound.services.releases import Active
from outbound.storage import decisions, experiments, runs
from outbound.storage.decisions import Decided, Verdict
from outbound.storage.planned_messages import PlannedMessage, insert_planned
from outbound.storage.runs import Added


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """What was decided about the prospects of one rule and run, not written yet. ``already``: how many were before."""

    rule: Rule
    run_id: str
    judged: Sequence[Judged]
    messages: Sequence[PlannedMessage]
    shared: Mapping[str, Any]
    already: int
    outside: tuple[str, ...]


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
) -> Counts:
    """Decide ``prospects`` and insert what follows from it, in the caller's transaction.

    The caller holds the rule's lock (``storage.runs.lock``). A candidate is an occurrence: who was decided
    under the same key before is not a candidate again, whichever run it was in, so a run planned twice counts
    everybody once. ``limited`` is the limit that the run exceeds: its messages are made, and wait for a person.
    ``memory`` and ``people`` as for ``judge``, ``backstop`` as for ``draw_up``.
    """
    judgement = judge(connection, active, rule, prospects, now=now, run_id=run_id, memory=memory, people=people)
    drawn = draw_up(connection, active, rule, judgement, run_id=run_id, now=now, limited=limited, backstop=backstop)
    return write(connection, active, [drawn], now=now)[0]


def draw_up(
    connection: Connection,
    active: Active,
    rule: Rule,
    judgement: Judgement,
    *,
    run_id: str,
    now: datetime,
    limited: str = "",
    backstop: Backstop | None = None,
    turnstile: Turnstile | None = None,
) -> Drawn:
    """The rows of what was judged. ``limited`` as for ``enqueue``.

    ``backstop`` counts for all rules of a transaction where it is given, ``turnstile`` what strangers set off.
    """
    judged = judgement.candidates
    if judged and is_reactive(rule):
        judged = (backstop or Backstop(connection, active.ruleset.policy.loops, now=now)).passed(judged)
    if judged and turnstile is not None and is_public(rule):
        judged = turnstile.passed(judged)
    if limited:
        judged = _stopped(judged, limited, now)
    clerk = MessageRows(active, rule, run_id, now)
    if rule.send.pace_per_hour is not None:
        clerk.last, clerk.held = runs.paced(connection, run_id)
    return Drawn(
        rule=rule,
        run_id=run_id,
        judged=judged,
        messages=clerk.messages([one for one in judged if one.context is not None]),
        shared=clerk.shared,
        already=len(judgement.already),
        outside=judgement.outside,
    )


def write(connection: Connection, active: Active, drawn: Sequence[Drawn], *, now: datetime) -> list[Counts]:
    """Insert the decisions and messages of some runs together, each of another rule; answers the counts of each."""
    taken = insert_planned(connection, [(one.messages, one.shared) for one in drawn])
    kept = [_left(one, taken) if taken else one.judged for one in drawn]
    decided_on = [
        Decided(
            rule=one.rule.id,
            rule_version=one.rule.version,
            release=active.id,
            run_id=one.run_id,
            verdicts=verdicts_of(judged),
        )
        for one, judged in zip(drawn, kept, strict=True)
    ]
    decisions.insert(connection, decided_on, now=now)
    sums = []
    for one, judged, of_rule in zip(drawn, kept, decided_on, strict=True):
        _expose(connection, active, one.rule, judged, now)
        counts = count(of_rule.verdicts)
        counts.costs = costs_of(judged, active, one.rule)
        counts.already = one.already + (sum(row.id in taken for row in one.messages) if taken else 0)
        counts.outside = one.outside
        sums.append(counts)
    added = [
        Added(one.run_id, counts.candidates, counts.skipped, counts.cost)
        for one, counts in zip(drawn, sums, strict=True)
    ]
    runs.add_counts(connection, added, currency=currency_of(active.ruleset.policy), now=now)
    return sums


def _left(drawn: Drawn, taken: set[str]) -> list[Judged]:
    """Without those whose message's key is taken although no decision is left (pruned, merged): it went out before."""
    lost = {(row.once, row.customer_id) for row in drawn.messages if row.id in taken}
    return [one for one in drawn.judged if (one.once, one.customer_id) not in lost]


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


def costs_of(candidates: Sequence[Judged], active: Active, rule: Rule) -> Counter[str]:
    """What the messages will cost by channel, in millionths: on their first channel, SMS as long as the sample."""
    policy, parts = active.ruleset.policy, parts_of(active, rule)
    answers = {id(one.answer): one.answer for one in candidates}
    messages = Counter([id(one.answer) for one in candidates])
    costs: Counter[str] = Counter()
    for key, answer in answers.items():
        if answer.channels:
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
    of_rule = Decided(rule=rule.id, rule_version=rule.version, release=active.id, run_id=run_id, verdicts=verdicts)
    decisions.insert(connection, [of_rule], now=now)
    counts = count(verdicts)
    runs.add_counts(connection, [Added(run_id, counts.candidates, counts.skipped)], now=now)
    return counts


def verdicts_of(judged: Sequence[Judged]) -> list[Verdict]:
    """The decisions as they are kept; an answer that many share is put into words once."""
    told: dict[int, tuple[str, str, str, str, str, str]] = {}
    verdicts = []
    for once, customer_id, _, answer, _ in judged:
        words = told.get(id(answer))
        if words is None:
            words = told[id(answer)] = _told(answer)
        verdicts.append(Verdict(once, customer_id, *words))
    return verdicts


def _told(answer: Answer) -> tuple[str, str, str, str, str, str]:
    """What a verdict says of an answer: verdict, reason, detail, channel, experiment, variant."""
    match answer.decision:
        case Send(channel=channel):
            return "send", "", "", channel.value, answer.experiment, answer.variant
        case Hold(reason=reason):
            channel = answer.channels[0]
            return "hold", reason.code.value, reason.detail, channel.value, answer.experiment, answer.variant
        case Skip(reason=reason):
            return "skip", reason.code.value, reason.detail, "", answer.experiment, answer.variant


def count(verdicts: Sequence[Verdict]) -> Counts:
    """The sums of some decisions."""
    counts = Counts(candidates=len(verdicts))
    for (verdict, reason, channel), many in Counter(map(_KIND, verdicts)).items():
        if verdict == "skip":
            counts.skipped += many
            counts.skipped_by[reason] += many
            continue
        counts.messages += many
        counts.channels[channel] += many
        if verdict == "hold":
            counts.held[reason] += many
    return counts


_KIND = attrgetter("verdict", "reason", "channel")
