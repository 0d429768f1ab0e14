"""What must never happen, whoever the person is: properties over random people, topics and moments."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from ladder_people import ADDRESSES, ALL, NIGHT, NOTHING_PAUSED, POLICY, TOPICS, WITHDRAWN, candidate, person

from outbound.domain.consent import ConsentState
from outbound.domain.customer import ChannelName, OwnQuietHours, Pause, Preference
from outbound.domain.decision import Hold, Send
from outbound.domain.person import ConsentEntry, Person
from outbound.domain.policy import ConsentNeed, Topic
from outbound.engine.ladder import Candidate, decide, ladder_steps
from outbound.engine.timing import resolve_zones, wall, zone_names

topics = st.sampled_from(list(TOPICS.values()))
channels = st.sampled_from(ALL)
several = st.lists(channels, unique=True, min_size=1).map(tuple)
instants = st.integers(0, 2 * 365 * 24 * 60).map(lambda n: datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=n))
entries = st.builds(
    ConsentEntry,
    state=st.sampled_from(list(ConsentState)),
    address=st.sampled_from([None, *ADDRESSES.values()]),
    basis=st.sampled_from(["consent", "soft_spam"]),
)
sources = st.one_of(
    st.sampled_from(sorted(zone_names())).map("tz:{}".format),
    st.sampled_from(["country:IT", "country:US", "country:AU", "phone:Europe/Rome,Asia/Tokyo", "", "tz:Mars/Olympus"]),
)
preferences = st.builds(
    Preference,
    channel=st.none() | channels,
    quiet_hours=st.none() | st.just(OwnQuietHours(start=time(12, 30), end=time(16))),
    pauses=st.sampled_from([(), (Pause(start=date(2026, 3, 20), end=date(2026, 4, 5)),)]),
)
people = st.builds(
    person,
    reach=several,
    bad=st.lists(channels, max_size=1).map(tuple),
    consents=st.dictionaries(st.tuples(st.sampled_from(list(TOPICS)), st.sampled_from(["", *ALL])), entries),
    suppressed=st.frozensets(
        st.tuples(st.sampled_from(["", *ALL]), st.sampled_from(["all", "marketing", "service", "bogus"])), max_size=3
    ),
    preference=preferences,
    zone_source=sources,
)
candidates = st.builds(
    candidate,
    topics,
    channels=several,
    due=instants,
    expires_in=st.sampled_from([timedelta(minutes=10), timedelta(hours=48)]),
    tried=st.lists(channels, max_size=2).map(tuple),
)
many = settings(deadline=None, max_examples=400)


@many
@given(what=candidates, who=people)
def test_what_is_sent_was_allowed_on_that_channel(what: Candidate, who: Person) -> None:
    decision = decide(what, who, policy=POLICY, now=what.due, switches=NOTHING_PAUSED)
    if not isinstance(decision, Send):
        return
    assert decision.channel == decision.channels[0]
    assert set(decision.channels) <= set(what.channels) - set(what.tried_channels)
    for channel in decision.channels:
        _allowed(what.topic, channel, who)


def _allowed(topic: Topic, channel: ChannelName, who: Person) -> None:
    """Stated afresh, without the ladder's code: not blocked, wanted, reachable."""
    for name, scope in who.suppressed:
        if name in ("", channel):
            assert scope in {"security", "transactional", "service", "marketing"} - {topic.message_class.name}
    address = who.customer.address(channel)
    assert address is not None
    assert address.state == "ok"
    word = who.consents.get((topic.name, channel), who.consents.get((topic.name, "")))
    if topic.name in ("offers", "news"):
        assert word is not None
        assert word.state == "granted"
    if topic.name == "activity":
        assert word is None or word.state == "granted"
    if topic.need(channel) is ConsentNeed.DOUBLE_OPT_IN:
        assert word is not None
        assert word.address == address.value


@many
@given(what=candidates, who=people, scope=st.sampled_from(["all", "marketing", "bogus"]))
def test_suppressed_is_never_sent(what: Candidate, who: Person, scope: str) -> None:
    """C13, C40: whatever it says, also an invitation back."""
    if scope == "marketing" and what.topic.message_class.name != "marketing":
        return
    blocked = Person(customer=who.customer, consents=who.consents, suppressed=frozenset((name, scope) for name in ALL))
    assert not isinstance(decide(what, blocked, policy=POLICY, now=what.due, switches=NOTHING_PAUSED), Send)


@many
@given(what=candidates, who=people)
def test_after_a_withdrawal_on_every_channel_nothing_optional_is_sent(what: Candidate, who: Person) -> None:
    if what.topic.name in ("orders", "login"):
        return
    gone = Person(
        customer=who.customer,
        consents={**who.consents, **{(what.topic.name, name): WITHDRAWN for name in ("", *ALL)}},
        suppressed=who.suppressed,
    )
    assert not isinstance(decide(what, gone, policy=POLICY, now=what.due, switches=NOTHING_PAUSED), Send)


@many
@given(what=candidates, who=people)
def test_nothing_leaves_in_quiet_hours_in_any_zone_and_the_opening_is_open(what: Candidate, who: Person) -> None:
    decision = decide(what, who, policy=POLICY, now=what.due, switches=NOTHING_PAUSED)
    zones = resolve_zones(who.customer.zone_source, POLICY).candidates
    if isinstance(decision, Send) and decision.channel in what.topic.message_class.quiet:
        _outside_the_window(what.due, zones, who)
    if isinstance(decision, Hold):
        assert decision.until > what.due
        again = decide(what, who, policy=POLICY, now=decision.until, switches=NOTHING_PAUSED)
        # far ahead is the answer for zones that share no window; nearer, the message leaves then
        assert isinstance(again, Send) or decision.until > what.due + timedelta(days=7)


def _outside_the_window(instant: datetime, zones: tuple[ZoneInfo, ...], who: Person) -> None:
    for zone in zones:
        local = wall(instant, zone)
        assert NIGHT.end <= local.time() < NIGHT.start
        own = who.customer.preference.quiet_hours
        assert own is None or not own.start <= local.time() < own.end
        assert not any(pause.start <= local.date() <= pause.end for pause in who.customer.preference.pauses)


@many
@given(what=candidates, who=people, ahead=st.timedeltas(timedelta(0), timedelta(hours=30)))
def test_the_steps_and_the_decision_are_one(what: Candidate, who: Person, ahead: timedelta) -> None:
    now = what.due - ahead
    decision = decide(what, who, policy=POLICY, now=now, switches=NOTHING_PAUSED)
    steps = ladder_steps(what, who, policy=POLICY, now=now, switches=NOTHING_PAUSED)
    assert steps[-1].verdict == decision
    assert all(step.text for step in steps)
