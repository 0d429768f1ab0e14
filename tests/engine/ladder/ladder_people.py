"""A small shop's policy and people, for the tests of the ladder."""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

from outbound.domain.consent import ConsentState
from outbound.domain.customer import Address, AddressState, ChannelName, Customer, Preference
from outbound.domain.person import ConsentEntry, Person
from outbound.domain.policy import Blackout, BrandIdentity, ConsentNeed, MessageClass, Policy, QuietHours, Topic
from outbound.engine.ladder import Candidate, Switches

EMAIL, SMS, PUSH = ChannelName.EMAIL, ChannelName.SMS, ChannelName.PUSH
ALL = (PUSH, EMAIL, SMS)

SECURITY = MessageClass(name="security", consent=ConsentNeed.NONE, quiet=frozenset(), priority=999)
TRANSACTIONAL = MessageClass(name="transactional", consent=ConsentNeed.NONE, quiet=frozenset({SMS, PUSH}), priority=900)
SERVICE = MessageClass(name="service", consent=ConsentNeed.NONE, quiet=frozenset({SMS, PUSH}), priority=700)
MARKETING = MessageClass(
    name="marketing", consent=ConsentNeed.OPT_IN, quiet=frozenset({EMAIL, SMS, PUSH}), priority=100
)
CLASSES = {c.name: c for c in (SECURITY, TRANSACTIONAL, SERVICE, MARKETING)}

LOGIN = Topic(name="login", message_class=SECURITY)
ORDERS = Topic(name="orders", message_class=TRANSACTIONAL)
ACTIVITY = Topic(name="activity", message_class=SERVICE, opt_out=True)
OFFERS = Topic(name="offers", message_class=MARKETING)
NEWS = Topic(name="news", message_class=MARKETING, consent={EMAIL: ConsentNeed.DOUBLE_OPT_IN})
TOPICS = {t.name: t for t in (LOGIN, ORDERS, ACTIVITY, OFFERS, NEWS)}

NIGHT = QuietHours(start=time(21), end=time(8))
NOON = datetime(2026, 6, 3, 10, 0, tzinfo=UTC)
"""12:00 on a Wednesday in Rome."""
LATE = datetime(2026, 6, 3, 20, 0, tzinfo=UTC)
"""22:00 in Rome: quiet."""
MORNING = datetime(2026, 6, 4, 6, 0, tzinfo=UTC)
"""08:00 in Rome the next day: the opening."""

ADDRESSES = {EMAIL: "ada@shop.example", SMS: "+393331234567", PUSH: "token-1"}
GRANTED = ConsentEntry(state=ConsentState.GRANTED)
WITHDRAWN = ConsentEntry(state=ConsentState.WITHDRAWN)
CONFIRMED = ConsentEntry(state=ConsentState.GRANTED, address=ADDRESSES[EMAIL])


def policy(*, quiet_hours: Mapping[str, QuietHours] | None = None, blackouts: tuple[Blackout, ...] = ()) -> Policy:
    return Policy(
        timezone="Europe/Rome",
        classes=CLASSES,
        topics=TOPICS,
        channels={},
        waterfall=ALL,
        next_on=(),
        quiet_hours={"default": NIGHT} if quiet_hours is None else quiet_hours,
        zones={},
        calendars={},
        blackouts=blackouts,
        suppress=(),
        brand=BrandIdentity(name="B", senders={}, reply_to="", postal_address="", languages=("it",), fallback="it"),
    )


POLICY = policy()


def person(
    *,
    reach: tuple[ChannelName, ...] = ALL,
    bad: tuple[ChannelName, ...] = (),
    consents: Mapping[tuple[str, str], ConsentEntry] | None = None,
    suppressed: frozenset[tuple[str, str]] = frozenset(),
    preference: Preference | None = None,
    country: str | None = "IT",
    zone_source: str = "country:IT",
) -> Person:
    """Someone in Rome, reachable everywhere, who said yes to offers and news."""
    states = dict.fromkeys(bad, AddressState.UNREACHABLE)
    addresses = tuple(
        Address(channel=channel, value=ADDRESSES[channel], state=states.get(channel, AddressState.OK))
        for channel in reach
    )
    yes = {("offers", ""): GRANTED, ("news", ""): GRANTED, ("news", "email"): CONFIRMED}
    return Person(
        customer=Customer(
            id="ada",
            country=country,
            addresses=addresses,
            preference=preference or Preference(),
            zone_source=zone_source,
        ),
        consents=yes if consents is None else consents,
        suppressed=suppressed,
    )


def candidate(
    topic: Topic = OFFERS,
    *,
    channels: tuple[ChannelName, ...] = ALL,
    due: datetime = NOON,
    expires_in: timedelta = timedelta(hours=48),
    tried: tuple[ChannelName, ...] = (),
) -> Candidate:
    return Candidate(
        rule="winback",
        topic=topic,
        channels=channels,
        expires=due + expires_in,
        due=due,
        tried_channels=tried,
    )


NOTHING_PAUSED = Switches()
