"""The blocks that news of an address brings, as the policy scopes them."""

from datetime import datetime

from outbound.domain.consent import Suppression
from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.domain.policy import Policy


def blocks(
    event: str, *, channel: ChannelName, address: str, policy: Policy, keyring: Keyring, now: datetime
) -> tuple[Suppression, ...]:
    """What ``event`` (``bounced.hard``, ``complaint`` ...) puts on the address; ``all`` where the policy is silent.

    Under every live key: address rows may be of an older one (C41).
    """
    if not event or not address:
        return ()
    scopes = [
        scope
        for rule in policy.suppress
        if rule.event == event and rule.channel in (None, channel)
        for scope in rule.scopes
    ] or ["all"]
    return tuple(
        Suppression(channel=channel, address_hash=digest, scope=scope, reason=event, at=now)
        for digest in keyring.address_hashes(channel.value, address)
        for scope in dict.fromkeys(scopes)
    )
