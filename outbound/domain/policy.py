"""rules/policy.yaml: topics, classes, consent, quiet hours, channels and the brand's identity."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum

from outbound.domain.customer import ChannelName
from outbound.domain.durations import Duration
from outbound.domain.experiment import GlobalHoldout
from outbound.domain.keywords import BUILT_IN, SmsWords
from outbound.domain.message import Lane


class ConsentNeed(StrEnum):
    """What a topic asks for on a channel. ``none`` with ``opt_out`` means: allowed until withdrawn."""

    NONE = "none"
    OPT_IN = "opt_in"
    DOUBLE_OPT_IN = "double_opt_in"


class CapUse(StrEnum):
    """How a class stands to caps: neither counts nor is stopped; counts and is never stopped; both."""

    EXEMPT = "exempt"
    COUNT = "count"
    APPLY = "apply"


class CalendarPeriod(StrEnum):
    """A calendar day, week (from Monday), month or year in the customer's zone."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cap:
    """At most ``max`` contacts per calendar period, or in any window as long as a duration.

    Of the one class, channel or topic that is set; ``name`` is what reasons and reports call it
    (``marketing.day``, ``sms.month``, ``marketing.168h``). ``fewer``: it holds only for people who asked for fewer
    messages (``marketing.week.fewer``).
    """

    name: str
    max: int
    per: CalendarPeriod | Duration
    message_class: str | None = None
    channel: ChannelName | None = None
    topic: str | None = None
    fewer: bool = False


class Losers(StrEnum):
    """What becomes of the message that loses against a more important one."""

    DEFER = "defer"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arbitration:
    """Messages that obey caps and are due within ``window`` of each other compete (rules.md 1.9)."""

    window: timedelta = timedelta(minutes=15)
    losers: Losers = Losers.DEFER


@dataclass(frozen=True, slots=True, kw_only=True)
class Loops:
    """The backstop against rules that set each other off (fault F53).

    ``depth``: how many messages may follow from each other's events; ``per_day``: how many messages event,
    changed and enters rules may make for one customer in a calendar day of theirs.
    """

    depth: int = 5
    per_day: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Strangers:
    """Caps on what anybody can set off: sign-ups and requests (fault F84). By UTC day; None: no cap.

    ``per_address``: messages to one address; ``per_block``: to numbers that differ in their last four digits only;
    ``per_ip``: for one IP address that events name in their field ``ip``; ``cost``: of all, in millionths.
    """

    per_address: int = 10
    per_block: int | None = None
    per_ip: int | None = None
    cost: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageClass:
    """security, transactional, service or marketing. ``quiet`` lists the channels that keep quiet hours."""

    name: str
    consent: ConsentNeed
    quiet: frozenset[ChannelName]
    priority: int
    on_uncertain: str = "hold"
    expires: Duration | None = None
    unsubscribe_required: bool = False
    caps: CapUse = CapUse.EXEMPT

    @property
    def lane(self) -> Lane:
        """Security and transactional messages take the express lane."""
        return Lane.EXPRESS if self.name in ("security", "transactional") else Lane.BULK


TRACKING = "tracking"
"""The topic whose consent lets opens and clicks of other topics be noted (C43)."""
TRACKED = ("opens", "clicks")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A subject people can say yes or no to. Its class is a property of the topic, not of a rule."""

    name: str
    message_class: MessageClass
    consent: Mapping[ChannelName, ConsentNeed] = field(default_factory=dict)
    opt_out: bool = False
    priority: int | None = None
    titles: Mapping[str, str] = field(default_factory=dict)
    """What customers read, per language (``{it: Novità, en: News}``)."""
    verify: bool = False
    """Whether its text messages carry the code to check them by; e-mail always does."""
    track: frozenset[str] = frozenset()
    """What may be noted of those who agreed to ``TRACKING``: ``opens``, ``clicks``."""

    @property
    def declinable(self) -> bool:
        """Whether people can say no to it, and its messages therefore carry the link to do so."""
        return self.opt_out or self.message_class.unsubscribe_required

    def need(self, channel: ChannelName) -> ConsentNeed:
        """What must have been granted before a message of this topic may use ``channel``."""
        return self.consent.get(channel, self.message_class.consent)


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """No messages from ``start`` to ``end`` (wall clock, half-open, may cross midnight) nor on closed days.

    ``closed`` holds weekday names (mon..sun) and ``holidays``.
    """

    start: time
    end: time
    closed: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelPolicy:
    """Cost per message (SMS: per segment) by country, "default" for the rest; ``max_parts`` stops long texts."""

    cost: Mapping[str, float]
    currency: str
    max_parts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """Working days: ``weekend`` weekday names, public holidays of the customer's country, extra days off."""

    weekend: frozenset[str]
    holidays: bool
    extra: frozenset[date]


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackout:
    """Nothing of ``classes`` (all when empty) leaves between two wall-clock instants of the policy's zone."""

    start: datetime
    end: datetime
    classes: frozenset[str]
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressRule:
    """An outcome that blocks an address: ``scope`` is ``all`` or a class name."""

    event: str
    channel: ChannelName | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class BrandIdentity:
    """Who we are to customers: senders by class as ``Name <address>``, postal address, languages."""

    name: str
    senders: Mapping[str, str]
    reply_to: str
    postal_address: str
    languages: tuple[str, ...]
    fallback: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The whole file. ``timezone`` is the last resort, ``zones`` the zone for ``at`` in a country with several."""

    timezone: str
    classes: Mapping[str, MessageClass]
    topics: Mapping[str, Topic]
    channels: Mapping[ChannelName, ChannelPolicy]
    waterfall: tuple[ChannelName, ...]
    next_on: tuple[str, ...]
    quiet_hours: Mapping[str, QuietHours]
    """By country code, plus ``default``."""
    zones: Mapping[str, str]
    calendars: Mapping[str, Calendar]
    blackouts: tuple[Blackout, ...]
    suppress: tuple[SuppressRule, ...]
    brand: BrandIdentity
    no_receipt: timedelta | None = None
    """How long a leg waits for its delivery receipt before the next one takes over; None: for ever."""
    quiet_drop: bool = False
    """Whether quiet hours end a message (``action: drop``) instead of holding it."""
    caps: tuple[Cap, ...] = ()
    arbitration: Arbitration = Arbitration()
    holdout: GlobalHoldout | None = None
    loops: Loops = Loops()
    strangers: Strangers = Strangers()
    sms_words: SmsWords = BUILT_IN
