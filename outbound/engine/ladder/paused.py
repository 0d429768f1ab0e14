"""Gate ``paused``: an operator stopped everything, this rule, or a channel."""

from datetime import timedelta

from outbound.domain.decision import Hold
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Pass, Verdict

RECHECK = timedelta(minutes=5)
"""How long a paused message sleeps before it asks again: nobody knows when an operator will resume."""


def paused(context: Context) -> Verdict:
    """Hold while everything or the rule is paused; close a paused channel, so that another may take the message."""
    switches = context.switches.paused
    if not switches:
        return _nothing(context)
    until = max(context.at, context.now + RECHECK)
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
