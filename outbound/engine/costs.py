"""What a message costs by the policy: its channel's price in the customer's country, an SMS for each segment."""

from functools import lru_cache

from outbound.domain.customer import ChannelName
from outbound.domain.money import millionths
from outbound.domain.policy import Policy

_ELSEWHERE = "default"


def price(policy: Policy, channel: ChannelName, country: str | None, *, parts: int = 1) -> int:
    """Millionths of the policy's currency. ``parts`` are the segments of an SMS; of anything else there is one.

    0 on a channel that the policy does not price.
    """
    found = policy.channels.get(channel)
    if found is None:
        return 0
    amount = found.cost.get(country) if country else None
    if amount is None:
        amount = found.cost.get(_ELSEWHERE, 0.0)
    return _millionths(amount) * (parts if channel is ChannelName.SMS else 1)


def currency_of(policy: Policy) -> str:
    """The one currency of the policy's channels, "" where none has a price."""
    return next((channel.currency for channel in policy.channels.values() if channel.currency), "")


@lru_cache(maxsize=256)
def _millionths(amount: float) -> int:
    return millionths(amount)
