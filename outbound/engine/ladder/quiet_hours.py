"""Gate ``quiet_hours``: the person sleeps, rests or asked for silence (C27-C31, F49)."""

from dataclasses import replace

from outbound.domain.customer import Customer
from outbound.domain.decision import Hold
from outbound.domain.policy import Policy
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Pass, Verdict
from outbound.engine.timing.quiet import Silence, hours_for, quiet_at
from outbound.engine.timing.zones import customer_source, resolve_zones

_OPEN_AT_NIGHT = frozenset({ReasonCode.CAP, ReasonCode.BLACKOUT})


def quiet_hours(context: Context) -> Verdict:
    """Close the channels that keep quiet hours for this class, until the next opening in every zone.

    Where the policy says ``action: drop`` they are dropped, and a message without another channel is skipped.
    The customer's own hours and pauses bind the same channels: a class that may ring at night (security) is
    not stopped by them either, and a transactional mail waits for nobody.
    """
    keeping = context.candidate.topic.message_class.quiet
    if keeping.isdisjoint(context.channels):
        if context.notes is not None:
            context.notes.append("this class keeps no quiet hours here")
        return PASS
    customer = context.person.customer
    silence = silence_of(customer, context.policy)
    quiet = quiet_at(context.at, silence)
    if quiet is None:
        if context.notes is not None:
            zones = resolve_zones(customer_source(customer), context.policy)
            context.notes.append(f"open in {zones.at.key} (zone from {zones.origin})")
        return PASS
    reason = Reason(ReasonCode.QUIET_HOURS, quiet.why)
    if context.policy.quiet_drop:
        return Pass(dropped={channel: reason for channel in context.channels if channel in keeping})
    hold = Hold(until=quiet.until, reason=reason)
    return Pass(closed={channel: hold for channel in context.channels if channel in keeping})


def past_the_night(context: Context, hold: Hold) -> Hold:
    """Move the end of a cap's or a blackout's hold out of quiet hours, if every channel keeps them.

    A day's cap opens at midnight and a blackout often ends there. The message then waits for the morning, and
    what it is told to wait for stays the reason (rules.md section 3, ``explain``).
    """
    keeping = context.candidate.topic.message_class.quiet
    if hold.reason.code not in _OPEN_AT_NIGHT or not keeping.issuperset(context.channels):
        return hold
    quiet = quiet_at(hold.until, silence_of(context.person.customer, context.policy))
    return hold if quiet is None else replace(hold, until=quiet.until)


def silence_of(customer: Customer, policy: Policy) -> Silence:
    """All that makes this customer's time quiet under ``policy``."""
    hours = hours_for(policy, customer.country)
    preference = customer.preference
    return Silence(
        zones=resolve_zones(customer_source(customer), policy).candidates,
        hours=hours,
        country=customer.country if hours is not None and hours.closed else None,
        own=preference.quiet_hours,
        pauses=preference.pauses,
    )
