"""What somebody must be told: the conditions that page an operator."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class AlertKind(StrEnum):
    """The closed list; docs/operations.md says what each means and what to do.

    ``account``: a provider account is paused. ``destinations``: many domains are. ``lag``: due messages wait too long.
    ``render``: messages stopped because they could not be worded. ``uncertain``: unknown outcomes. ``sender``: a
    provider refuses our sender. ``disk``: little room is left. ``limits``: runs wait for approval. ``paused``:
    everything is. ``daemon``: a daemon died and none took its place. ``webhook``: another system takes no news.
    ``complaints``: too many call our mail spam.
    """

    ACCOUNT = "account"
    DESTINATIONS = "destinations"
    LAG = "lag"
    RENDER = "render"
    UNCERTAIN = "uncertain"
    SENDER = "sender"
    DISK = "disk"
    LIMITS = "limits"
    PAUSED = "paused"
    DAEMON = "daemon"
    WEBHOOK = "webhook"
    COMPLAINTS = "complaints"
    TEST = "test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A condition that holds now. ``subject`` is what it is about: an account, a rule, a run; "" where there is one.

    ``text`` and ``remedy`` hold no address and no words of a message: they leave by e-mail and webhook.
    """

    kind: AlertKind
    subject: str = ""
    text: str
    remedy: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What it is known by: the same key is the same alert, whatever its text."""
        return str(self.kind), self.subject


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLevels:
    """From where on somebody is told. Times of waiting, messages, messages in an hour, bytes."""

    lag: timedelta = timedelta(minutes=5)
    bulk_lag: timedelta = timedelta(hours=2)
    uncertain: int = 1
    render: int = 10
    destinations: int = 5
    disk: int = 1_000_000_000
    repeat: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One piece of news about an alert: it fires (``over`` False) or it is over. ``since`` is when it began (UTC)."""

    alert: Alert
    since: datetime
    over: bool = False
