"""Gates ``cap`` and ``conflict``: who has had enough, and who goes first."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import permutations

import pytest
from ladder_people import EMAIL, LOGIN, NOON, NOTHING_PAUSED, POLICY, PUSH, SMS, candidate, person

from outbound.domain.customer import ChannelName, Preference
from outbound.domain.decision import Decision, Hold, Send, Skip
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import Arbitration, CalendarPeriod, Cap, CapUse, Losers, MessageClass, Policy, Topic
from outbound.domain.traffic import Contact, Rival, Traffic
from outbound.engine.ladder import Candidate, decide, ladder_steps
from outbound.engine.ladder.cap import can_bind
from outbound.engine.ladder.conflict import candidate_rank, rival_rank

HOUR = timedelta(hours=1)
MIDNIGHT = NOON + timedelta(hours=12)
"""The next day begins in Rome."""

KINDS: dict[str, MessageClass] = {
    name: replace(one, caps=use, quiet=frozenset())
    for (name, one), use in zip(
        POLICY.classes.items(), (CapUse.EXEMPT, CapUse.EXEMPT, CapUse.COUNT, CapUse.APPLY), strict=True
    )
}
OFFERS, NEWS = (Topic(name=name, message_class=KINDS["marketing"]) for name in ("offers", "news"))
NOTICES = Topic(name="notices", message_class=KINDS["service"])
TOPICS = {topic.name: topic for topic in (OFFERS, NEWS, NOTICES, LOGIN)}

DAILY = Cap(name="marketing.day", max=1, per=CalendarPeriod.DAY, message_class="marketing")
WEEKLY = Cap(name="marketing.168h", max=3, per=Duration(168, DurationUnit.HOUR), message_class="marketing")
SMS_MONTH = Cap(name="sms.month", max=2, per=CalendarPeriod.MONTH, channel=SMS)
OFFERS_DAY = Cap(name="offers.day", max=1, per=CalendarPeriod.DAY, topic="offers")


def rules(*caps: Cap, losers: Losers = Losers.DEFER) -> Policy:
    return replace(
        POLICY, classes=KINDS, topics=TOPICS, quiet_hours={}, caps=caps, arbitration=Arbitration(losers=losers)
    )


def contact(at: datetime, *, topic: Topic = OFFERS, channel: ChannelName = EMAIL, message: str = "") -> Contact:
    return Contact(message_class=topic.message_class.name, topic=topic.name, channel=channel, at=at, message_id=message)


def ask(policy: Policy, *contacts: Contact, what: Candidate | None = None, **more: object) -> Decision:
    who = person(preference=more.pop("preference", Preference()))  # type: ignore[arg-type]
    rivals: tuple[Rival, ...] = more.pop("rivals", ())  # type: ignore[assignment]
    return decide(
        what or candidate(OFFERS, channels=(EMAIL, SMS)),
        who,
        policy=policy,
        now=NOON,
        switches=NOTHING_PAUSED,
        traffic=Traffic(contacts=contacts, rivals=rivals),
    )


def told(decision: Decision) -> str:
    match decision:
        case Send(channel=channel):
            return f"send {channel}"
        case Hold(reason=reason, until=until):
            return f"{reason} +{(until - NOON) / HOUR:g}h"
        case Skip(reason=reason):
            return f"skip {reason}"


# cap


@pytest.mark.parametrize(
    ("caps", "contacts", "expected"),
    [
        ((DAILY,), [], "send email"),
        ((DAILY,), [contact(NOON - HOUR)], "cap.marketing.day +12h"),
        ((DAILY,), [contact(NOON - 12 * HOUR)], "cap.marketing.day +12h"),  # 00:00 in Rome is today
        ((DAILY,), [contact(NOON - 12 * HOUR - timedelta(seconds=1))], "send email"),
        ((DAILY,), [contact(NOON - HOUR, topic=NOTICES)], "send email"),  # another class has its own measure
        ((WEEKLY,), [contact(NOON - n * HOUR) for n in (167, 100, 1)], "cap.marketing.168h +1h"),
        ((WEEKLY,), [contact(NOON - n * HOUR) for n in (168, 100, 1)], "send email"),
        ((DAILY, WEEKLY), [contact(NOON - n * HOUR) for n in (72, 71, 1)], "cap.marketing.168h +96h"),  # opens last
        ((WEEKLY, DAILY), [contact(NOON - n * HOUR) for n in (167, 71, 1)], "cap.marketing.day +12h"),
        ((OFFERS_DAY,), [contact(NOON - HOUR, topic=NEWS)], "send email"),
        ((OFFERS_DAY,), [contact(NOON - HOUR)], "cap.offers.day +12h"),
    ],
)
def test_a_message_waits_until_its_caps_open(caps: tuple[Cap, ...], contacts: list[Contact], expected: str) -> None:
    assert told(ask(rules(*caps), *contacts)) == expected


def test_only_a_class_that_obeys_is_stopped_and_one_that_counts_counts() -> None:
    """exempt: neither; count: counts and is never stopped; apply: both (rules.md, Keys)."""
    service = Cap(name="service.day", max=1, per=CalendarPeriod.DAY, message_class="service")
    any_sms = replace(SMS_MONTH, max=1)
    notice = contact(NOON - HOUR, topic=NOTICES, channel=SMS)
    assert told(ask(rules(service), notice, what=candidate(NOTICES, channels=(EMAIL,)))) == "send email"
    assert told(ask(rules(any_sms), notice, what=candidate(NOTICES, channels=(SMS,)))) == "send sms"
    assert told(ask(rules(any_sms), notice, what=candidate(OFFERS, channels=(SMS,)))).startswith("cap.sms.month")
    code = contact(NOON - HOUR, topic=LOGIN, channel=SMS)
    assert told(ask(rules(any_sms), code, what=candidate(OFFERS, channels=(SMS,)))) == "send sms"


def test_the_cap_of_a_channel_closes_that_channel_alone() -> None:
    """The waterfall goes on; a channel the customer chose is waited for if it opens before the message expires."""
    full = [contact(NOON - n * HOUR, channel=SMS) for n in (1, 2)]
    first_sms = candidate(OFFERS, channels=(SMS, EMAIL))
    assert told(ask(rules(SMS_MONTH), *full, what=first_sms)) == "send email"
    chosen = Preference(channel=SMS)
    assert told(ask(rules(SMS_MONTH), *full, what=first_sms, preference=chosen)) == "send email"  # opens too late
    patient = replace(first_sms, expires=NOON + timedelta(days=40))
    july = (datetime(2026, 6, 30, 22, tzinfo=NOON.tzinfo) - NOON) / HOUR
    assert told(ask(rules(SMS_MONTH), *full, what=patient, preference=chosen)) == f"cap.sms.month +{july:g}h"
    assert told(ask(rules(SMS_MONTH), *full, what=candidate(OFFERS, channels=(SMS,)))) == f"cap.sms.month +{july:g}h"


def test_a_message_is_not_stopped_by_itself() -> None:
    """On its next leg after a receipt that never came its own first leg does not count; another's does."""
    mine = replace(candidate(OFFERS, channels=(EMAIL,)), message_id="m1")
    assert told(ask(rules(DAILY), contact(NOON - HOUR, channel=SMS, message="m1"), what=mine)) == "send email"
    assert told(ask(rules(DAILY), contact(NOON - HOUR, message="m2"), what=mine)) == "cap.marketing.day +12h"


def test_two_legs_are_one_message_to_a_class_and_two_contacts_to_their_channels() -> None:
    legs = [contact(NOON - 2 * HOUR, channel=SMS, message="m1"), contact(NOON - HOUR, channel=EMAIL, message="m1")]
    two = replace(DAILY, max=2)
    assert told(ask(rules(two), *legs)) == "send email"
    assert told(ask(rules(two), *legs, contact(NOON, message="m2"))) == "cap.marketing.day +12h"
    one_sms = replace(SMS_MONTH, max=1)
    assert told(ask(rules(one_sms), *legs, what=candidate(OFFERS, channels=(SMS,)))).startswith("cap.sms.month")


def test_a_later_candidate_is_judged_for_the_moment_it_is_due() -> None:
    tomorrow = candidate(OFFERS, channels=(EMAIL,), due=MIDNIGHT + 10 * HOUR)
    assert told(ask(rules(DAILY), contact(NOON - HOUR), what=tomorrow)) == "send email"


def test_nobody_counts_contacts_for_messages_that_no_cap_can_stop() -> None:
    assert not can_bind(rules(), OFFERS, (EMAIL,))
    assert not can_bind(rules(DAILY), NOTICES, (EMAIL,))
    assert not can_bind(rules(SMS_MONTH), OFFERS, (EMAIL, PUSH))
    assert not can_bind(rules(OFFERS_DAY), NEWS, (EMAIL,))
    assert can_bind(rules(SMS_MONTH), OFFERS, (EMAIL, SMS))
    assert can_bind(rules(DAILY), NEWS, (EMAIL,))


def test_explain_counts_aloud() -> None:
    steps = ladder_steps(
        candidate(OFFERS, channels=(EMAIL,)),
        person(),
        policy=rules(DAILY, WEEKLY),
        now=NOON,
        switches=NOTHING_PAUSED,
        traffic=Traffic(contacts=(contact(NOON - HOUR),)),
    )
    assert (steps[-1].gate, steps[-1].text) == (
        "cap",
        "marketing.day: 1 of 1; marketing.168h: 1 of 3; cap.marketing.day until 2026-06-03T22:00Z",
    )


# conflict


def rival(rule: str, *, priority: int = 100, minutes: int = 0, message: str = "r") -> Rival:
    due = NOON + timedelta(minutes=minutes)
    return Rival(message_id=message, rule=rule, priority=priority, due=due, not_before=due)


ME = replace(candidate(OFFERS, channels=(EMAIL,)), message_id="me", rule="offers")


@pytest.mark.parametrize(
    ("rivals", "expected"),
    [
        ([], "send email"),
        ([rival("zz", priority=200)], "conflict.zz +0.0166667h"),  # the higher priority goes first
        ([rival("aa", priority=99, minutes=-9)], "send email"),
        ([rival("zz", minutes=-1)], "conflict.zz +0.0166667h"),  # then whoever is due first
        ([rival("aa", minutes=1)], "send email"),
        ([rival("aa")], "conflict.aa +0.0166667h"),  # then the rule's id
        ([rival("zz")], "send email"),
        ([rival("offers", message="ma")], "conflict.offers +0.0166667h"),  # then the message's
        ([rival("offers", message="mz")], "send email"),
        ([rival("zz", priority=200, minutes=10)], "conflict.zz +0.166667h"),  # waits for one that is due soon
        ([rival("aa"), rival("bb", priority=300), rival("cc", priority=200)], "conflict.bb +0.0166667h"),
    ],
)
def test_the_most_important_message_goes_first(rivals: list[Rival], expected: str) -> None:
    assert told(ask(rules(DAILY), what=ME, rivals=tuple(rivals))) == expected


def test_the_priority_of_a_topic_wins_over_that_of_its_class() -> None:
    urgent = replace(ME, topic=replace(OFFERS, priority=250))
    assert told(ask(rules(DAILY), what=urgent, rivals=(rival("aa", priority=200),))) == "send email"


def test_losers_are_dropped_where_the_policy_says_so() -> None:
    dropping = rules(DAILY, losers=Losers.DROP)
    assert told(ask(dropping, what=ME, rivals=(rival("aa"),))) == "skip conflict.aa"


def test_a_class_that_does_not_obey_caps_waits_for_nobody() -> None:
    notice = replace(candidate(NOTICES, channels=(EMAIL,)), message_id="me")
    assert told(ask(rules(DAILY), what=notice, rivals=(rival("aa", priority=999),))) == "send email"


def test_exactly_one_of_several_goes_first_whatever_order_they_ask_in() -> None:
    """Every one sees all others as rivals: whoever asks first, the same one wins."""
    rivals = [
        rival("a", message="1"),
        rival("a", message="2"),
        rival("b", minutes=-1, message="3"),
        rival("c", priority=200, message="4"),
    ]

    def asks(one: Rival) -> Decision:
        topic = replace(OFFERS, priority=one.priority)
        me = replace(ME, topic=topic, rule=one.rule, message_id=one.message_id, due=one.due)
        assert candidate_rank(me) == rival_rank(one)
        return ask(rules(DAILY), what=me, rivals=tuple(other for other in rivals if other is not one))

    for order in permutations(rivals):
        assert [one.message_id for one in order if isinstance(asks(one), Send)] == ["4"]
