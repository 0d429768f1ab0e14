"""The customer's order of channels, and the one that takes the message now (rules.md 1.9, "Channels")."""

from outbound.domain.customer import ChannelName
from outbound.domain.decision import Hold, Send
from outbound.engine.ladder.context import Candidate, Context


def ordered(candidate: Candidate, preferred: ChannelName | None) -> tuple[ChannelName, ...]:
    """The channels not tried yet, the preferred one first. A preference reorders the rule's channels, it adds none."""
    channels = candidate.channels
    if candidate.tried_channels:
        channels = tuple(channel for channel in channels if channel not in candidate.tried_channels)
    if preferred is not None and preferred in channels and channels[0] != preferred:
        channels = (preferred, *(channel for channel in channels if channel != preferred))
    return channels


def choose(context: Context) -> Send | Hold:
    """The channel that takes the message, or how long to wait for one. ``context.channels`` is not empty.

    A channel the customer chose is waited for if it opens before the message expires; otherwise the first open
    one is taken; with none open, the first to open is waited for.
    """
    channels, closed = context.channels, context.closed
    if not closed:
        return Send(channel=channels[0], channels=channels)
    if context.chosen is not None and context.chosen in channels:
        waiting = closed.get(context.chosen)
        if waiting is not None and waiting.until < context.candidate.expires:
            return waiting
    for channel in channels:
        if channel not in closed:
            return Send(channel=channel, channels=(channel, *(other for other in channels if other != channel)))
    return min((closed[channel] for channel in channels), key=lambda hold: hold.until)
