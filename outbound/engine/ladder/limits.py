"""Gate ``limits``: the run is larger, dearer or growing faster than its rule allows, and a person decides (F52)."""

from datetime import datetime, timedelta

from outbound.domain.decision import Hold, Skip
from outbound.domain.limits import REJECTED
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Verdict

_LAST_LOOK = timedelta(minutes=1)


def limits(context: Context) -> Verdict:
    """Hold the messages of a limited run until nearly their end: ``outbound approve`` wakes them, nothing else does."""
    exceeded = context.switches.limited.get(context.candidate.run_id)
    if exceeded is None:
        if context.notes is not None:
            context.notes.append("no limit of the run is exceeded")
        return PASS
    reason = Reason(ReasonCode.LIMITS, exceeded)
    if exceeded == REJECTED:
        return Skip(reason=reason)
    return Hold(until=waiting_until(context.candidate.expires, context.at), reason=reason)


def waiting_until(expires: datetime, at: datetime) -> datetime:
    """When a message that waits for approval is looked at again: shortly before it expires, and then at its end."""
    last = expires - _LAST_LOOK
    return last if last > at else expires
