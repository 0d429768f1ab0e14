"""Gate ``blackout``: a stretch in which the policy lets nothing of some classes leave."""

from outbound.domain.decision import Hold
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Verdict
from outbound.engine.timing.blackouts import blackout_at


def blackout(context: Context) -> Verdict:
    """Hold to the end of the blackout. The detail is why the policy has it."""
    if context.policy.blackouts:
        message_class = context.candidate.topic.message_class.name
        found = blackout_at(context.at, policy=context.policy, message_class=message_class)
        if found is not None:
            stretch, until = found
            return Hold(until=until, reason=Reason(ReasonCode.BLACKOUT, stretch.why))
    if context.notes is not None:
        context.notes.append("no blackout")
    return PASS
