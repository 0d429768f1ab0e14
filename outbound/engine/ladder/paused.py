"""Gate ``paused``: an operator stopped everything, this rule, or a channel."""

from datetime import timedelta

from outbound.domain.decision import Hold
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Pass, Verdict

_LAST_LOOK = timedelta(seconds=1)


def paused(context: Context) -> Verdict:
    """Hold while everything or the rule is paused; close a paused channel, so that another may take the message.

    It sleeps to its end: ``outbound resume`` wakes it, and gives it a turn.
    """
    switches = context.switches.paused
    if not switches:
        return _nothing(context)
    expires = context.candidate.expires
    last = expires - _LAST_LOOK
    until = last if last > context.at else expires
    for key, detail in (("all", "all"), (f"rule:{context.candidate.rule}", "rule")):
        if key in switches:
            if context.notes is not None:
                context.notes.append(switches[key])
            return Hold(until=until, reason=Reason(ReasonCode.PAUSED, detail))
    closed = {
        channel: Hold(until=until, reason=Reason(ReasonCode.PAUSED, channel))
        for channel in context.channels
        if f"channel:{channel}" in switches
    }
    return Pass(closed=closed) if closed else _nothing(context)


def _nothing(context: Context) -> Pass:
    if context.notes is not None:
        context.notes.append("not paused")
    return PASS
