"""Gate ``conflict``: of the messages due about now the most important goes first (rules.md 1.9, "Priority")."""

from datetime import datetime, timedelta

from outbound.domain.decision import Hold, Skip
from outbound.domain.policy import CapUse, Losers, Topic
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.traffic import Rival
from outbound.engine.ladder.context import PASS, Candidate, Context, Verdict

AGAIN = timedelta(minutes=1)
"""How soon a message that waits for another one asks again, where the other is due already."""

Rank = tuple[int, datetime, str, str]
"""Who goes first is who is smaller: higher priority, earlier due, rule id, message id."""


def conflict(context: Context) -> Verdict:
    """Wait until the most important rival has had its turn, or give way for good (``losers: drop``).

    Whoever asks the ladder says who the rivals are; planning names none, because nobody waits for messages that
    may never be.
    """
    rivals, candidate = context.traffic.rivals, context.candidate
    if not rivals or candidate.topic.message_class.caps is not CapUse.APPLY:
        if context.notes is not None:
            context.notes.append("nothing competes")
        return PASS
    first = min(rivals, key=rival_rank)
    if candidate_rank(candidate) < rival_rank(first):
        if context.notes is not None:
            context.notes.append(f"goes before {', '.join(sorted({rival.rule for rival in rivals}))}")
        return PASS
    reason = Reason(ReasonCode.CONFLICT, first.rule)
    if context.policy.arbitration.losers is Losers.DROP:
        return Skip(reason=reason)
    return Hold(until=max(context.at + AGAIN, first.not_before), reason=reason)


def priority_of(topic: Topic) -> int:
    """The topic's own priority, else that of its class."""
    return topic.message_class.priority if topic.priority is None else topic.priority


def candidate_rank(candidate: Candidate) -> Rank:
    """Where a candidate stands."""
    return (-priority_of(candidate.topic), candidate.due, candidate.rule, candidate.message_id)


def rival_rank(rival: Rival) -> Rank:
    """Where a queued message stands."""
    return (-rival.priority, rival.due, rival.rule, rival.message_id)
