"""What the ladder answers for one candidate message."""

from dataclasses import dataclass
from datetime import datetime

from outbound.domain.customer import ChannelName
from outbound.domain.reasons import Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """Send on ``channel`` now. ``channels`` is the whole waterfall that is left, ``channel`` first."""

    channel: ChannelName
    channels: tuple[ChannelName, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """Wait until ``until`` (UTC); the message expires if that lies past its ``expires``."""

    until: datetime
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Skip:
    """Never send for this occurrence."""

    reason: Reason


Decision = Send | Hold | Skip
