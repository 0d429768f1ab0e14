"""Each gate of the ladder, the order they speak in, and the channel that is left."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from ladder_people import (
    ACTIVITY,
    ALL,
    CONFIRMED,
    EMAIL,
    GRANTED,
    LATE,
    LOGIN,
    MARKETING,
    MORNING,
    NEWS,
    NIGHT,
    NOON,
    NOTHING_PAUSED,
    OFFERS,
    ORDERS,
    POLICY,
    PUSH,
    SERVICE,
    SMS,
    WITHDRAWN,
    candidate,
    person,
    policy,
)

from outbound.domain.consent import ConsentState
from outbound.domain.customer import OwnQuietHours, Pause, Preference
from outbound.domain.decision import Decision, Hold, Send, Skip
from outbound.domain.person import ConsentEntry, Person
from outbound.domain.policy import Blackout, ConsentNeed, MessageClass, Policy, QuietHours, Topic
from outbound.domain.reasons import ReasonCode
from outbound.engine.ladder import LADDER, Candidate, Pass, Switches, decide, ladder_steps


def ask(
    who: Person | None = None,
    what: Candidate | None = None,
    *,
    now: datetime = NOON,
    rules: Policy = POLICY,
    switches: Switches = NOTHING_PAUSED,
) -> Decision:
    return decide(what or candidate(due=now), who or person(), policy=rules, now=now, switches=switches)


def told(decision: Decision) -> str:
    """The decision as a short line."""
    match decision:
        case Send():
            return "send " + ">".join(decision.channels)
        case Hold():
            return f"hold {decision.reason}"
        case Skip():
            return f"skip {decision.reason}"


def test_the_ladder_stands_in_the_order_of_the_reasons() -> None:
    gates = [gate for gate, _ in LADDER]
    before, after = (
        ["paused", "suppressed", "consent", "reachable", "experiment"],
        ["blackout", "quiet_hours", "limits"],
    )
    assert gates == [*before, "conflict", "cap", *after]
    said = {"reachable": "unreachable", "experiment": "held_out"}
    reasons = [said.get(gate, gate) for gate in gates]
    assert reasons == [code for code in ReasonCode if code in reasons]


# channels


@pytest.mark.parametrize(
    ("preferred", "channels", "tried", "expected"),
    [
        (None, ALL, (), "send push>email>sms"),
        (SMS, ALL, (), "send sms>push>email"),  # a preference reorders ...
        (SMS, (PUSH, EMAIL), (), "send push>email"),  # ... and never adds
        (PUSH, ALL, (), "send push>email>sms"),
        (SMS, ALL, (SMS,), "send push>email"),
        (None, ALL, (PUSH, EMAIL), "send sms"),
        (None, ALL, ALL, "skip unreachable.no_channel_left"),
    ],
)
def test_a_preference_reorders_the_rules_channels_and_tried_ones_are_over(
    preferred: Any, channels: Any, tried: Any, expected: str
) -> None:
    who = person(preference=Preference(channel=preferred))
    assert told(ask(who, candidate(ORDERS, channels=channels, tried=tried))) == expected


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (person(reach=(EMAIL, SMS)), "send email>sms"),
        (person(suppressed=frozenset({("push", "all")})), "send email>sms"),
        (person(consents={("offers", "email"): GRANTED}), "send email"),
        # push unreachable, e-mail blocked, no yes for SMS: the reason is that of the first channel in order
        (
            person(
                reach=(EMAIL, SMS),
                consents={("offers", "push"): GRANTED, ("offers", "email"): GRANTED},
                suppressed=frozenset({("email", "all")}),
            ),
            "skip unreachable.no_push",
        ),
        (
            person(
                reach=(EMAIL, SMS),
                consents={("offers", "push"): GRANTED, ("offers", "email"): GRANTED},
                suppressed=frozenset({("email", "all")}),
                preference=Preference(channel=EMAIL),
            ),
            "skip suppressed.email.all",
        ),
        (person(consents={}), "skip consent.offers"),
        (person(reach=()), "skip unreachable.no_push"),
        (person(reach=(EMAIL,), bad=(EMAIL,)), "skip unreachable.no_push"),
    ],
)
def test_the_message_takes_the_first_channel_that_is_left(who: Person, expected: str) -> None:
    assert told(ask(who)) == expected


def test_a_useless_address_is_not_a_missing_one() -> None:
    only_email = candidate(channels=(EMAIL,))
    assert told(ask(person(reach=(EMAIL,), bad=(EMAIL,)), only_email)) == "skip unreachable.bad_email"
    assert told(ask(person(reach=()), only_email)) == "skip unreachable.no_email"


# paused


@pytest.mark.parametrize(
    ("paused", "expected"),
    [
        ({"all": "fire drill"}, "hold paused.all"),
        ({"rule:winback": "wrong price"}, "hold paused.rule"),
        ({"rule:other": "wrong price"}, "send push>email>sms"),
        ({"channel:push": "certificate"}, "send email>push>sms"),
        ({f"channel:{name}": "outage" for name in ALL}, "hold paused.push"),
    ],
)
def test_operators_pause_everything_a_rule_or_a_channel(paused: dict[str, str], expected: str) -> None:
    decision = ask(switches=Switches(paused=paused))
    assert told(decision) == expected
    if isinstance(decision, Hold):
        assert decision.until == candidate().expires - timedelta(seconds=1)


def test_a_paused_message_expires_when_its_time_is_over_and_not_before() -> None:
    """`expires` keeps running: the last look is a second before the end, and then it is over."""
    what = candidate()
    switches = Switches(paused={"all": "x"})
    late = ask(what=what, now=what.expires - timedelta(minutes=3), switches=switches)
    assert isinstance(late, Hold)
    assert late.until < what.expires
    over = ask(what=what, now=what.expires - timedelta(seconds=1), switches=switches)
    assert isinstance(over, Hold)
    assert over.until == what.expires


def test_a_paused_rule_holds_before_any_reason_to_skip() -> None:
    assert told(ask(person(consents={}), switches=Switches(paused={"all": "x"}))) == "hold paused.all"


# suppressed


@pytest.mark.parametrize(
    ("scope", "topic", "expected"),
    [
        ("all", OFFERS, "skip suppressed.email.all"),
        ("all", ORDERS, "skip suppressed.email.all"),  # C14: never past a block for all
        ("all", LOGIN, "skip suppressed.email.all"),
        ("marketing", OFFERS, "skip suppressed.email.marketing"),
        ("marketing", ORDERS, "send email"),  # C14: a complaint about marketing stops no receipt
        ("service", OFFERS, "send email"),
        ("bogus", ORDERS, "skip suppressed.email.bogus"),  # C45: not understood means stop
    ],
)
def test_a_block_on_an_address_stops_its_class_or_all(scope: str, topic: Topic, expected: str) -> None:
    """C13, C14."""
    who = person(suppressed=frozenset({("email", scope)}))
    assert told(ask(who, candidate(topic, channels=(EMAIL,)))) == expected


def test_a_block_that_names_no_channel_stops_every_channel() -> None:
    assert told(ask(person(suppressed=frozenset({("", "all")})))) == "skip suppressed.push.all"


def test_a_block_on_another_channel_stops_nothing() -> None:
    who = person(suppressed=frozenset({("sms", "all")}))
    assert told(ask(who, candidate(channels=(EMAIL,)))) == "send email"


# consent

SOFT_SPAM = ConsentEntry(state=ConsentState.GRANTED, basis="soft_spam")


@pytest.mark.parametrize(
    ("topic", "channel", "consents", "allowed"),
    [
        # opt-in: no event is unknown, and unknown is no (C34)
        (OFFERS, EMAIL, {}, False),
        (OFFERS, EMAIL, {("offers", ""): GRANTED}, True),
        (OFFERS, EMAIL, {("offers", "email"): GRANTED}, True),
        (OFFERS, SMS, {("offers", "email"): GRANTED}, False),
        (OFFERS, EMAIL, {("news", ""): GRANTED}, False),
        (OFFERS, EMAIL, {("offers", ""): WITHDRAWN}, False),
        # the channel's own word wins over the word on all channels
        (OFFERS, EMAIL, {("offers", ""): GRANTED, ("offers", "email"): WITHDRAWN}, False),
        (OFFERS, SMS, {("offers", ""): GRANTED, ("offers", "email"): WITHDRAWN}, True),
        (OFFERS, EMAIL, {("offers", ""): WITHDRAWN, ("offers", "email"): GRANTED}, True),
        # double opt-in belongs to the address that confirmed
        (NEWS, EMAIL, {("news", "email"): CONFIRMED}, True),
        (NEWS, EMAIL, {("news", ""): CONFIRMED}, True),
        (NEWS, EMAIL, {("news", "email"): GRANTED}, False),
        (NEWS, EMAIL, {("news", "email"): ConsentEntry(state=ConsentState.GRANTED, address="old@x.example")}, False),
        (NEWS, SMS, {("news", "sms"): GRANTED}, True),  # only e-mail asks for it
        # topics of service: allowed until the customer opts out
        (ACTIVITY, SMS, {}, True),
        (ACTIVITY, SMS, {("activity", ""): WITHDRAWN}, False),
        (ACTIVITY, SMS, {("activity", ""): GRANTED}, True),
        # transactional: asks for nothing and cannot be withdrawn
        (ORDERS, SMS, {}, True),
        (ORDERS, SMS, {("orders", ""): WITHDRAWN}, True),
        # a basis other than consent exists for e-mail only (C36)
        (OFFERS, EMAIL, {("offers", "email"): SOFT_SPAM}, True),
        (OFFERS, SMS, {("offers", "sms"): SOFT_SPAM}, False),
    ],
)
def test_consent_per_topic_and_channel(
    topic: Topic, channel: Any, consents: dict[tuple[str, str], ConsentEntry], allowed: bool
) -> None:
    """C34, C36: no word is no consent; soft spam is for e-mail."""
    decision = ask(person(consents=consents), candidate(topic, channels=(channel,)))
    assert told(decision) == (f"send {channel}" if allowed else f"skip consent.{topic.name}")


@pytest.mark.parametrize(
    "topic",
    [
        Topic(name="t", message_class=MARKETING, consent={EMAIL: ConsentNeed.NONE}),
        Topic(name="t", message_class=SERVICE, consent={EMAIL: ConsentNeed.OPT_IN}),
        Topic(name="t", message_class=SERVICE, opt_out=True),
    ],
)
def test_a_withdrawal_stops_every_topic_that_asks_for_anything_at_all(topic: Topic) -> None:
    who = person(consents={("t", "email"): WITHDRAWN})
    assert told(ask(who, candidate(topic, channels=(EMAIL,)))) == "skip consent.t"


@pytest.mark.parametrize("entry", [ConsentEntry(state="pending"), ConsentEntry(state="")])  # type: ignore[arg-type]
@pytest.mark.parametrize("topic", [OFFERS, NEWS, ACTIVITY])
def test_c45_a_state_nobody_knows_is_no_consent(entry: ConsentEntry, topic: Topic) -> None:
    who = person(consents={(topic.name, "email"): entry})
    assert told(ask(who, candidate(topic, channels=(EMAIL,)))) == f"skip consent.{topic.name}"


def test_c45_a_need_nobody_knows_is_never_met() -> None:
    odd = MessageClass(name="marketing", consent="triple_opt_in", quiet=frozenset(), priority=1)  # type: ignore[arg-type]
    who = person(consents={("t", "email"): CONFIRMED})
    assert told(ask(who, candidate(Topic(name="t", message_class=odd), channels=(EMAIL,)))) == "skip consent.t"


def test_double_opt_in_without_an_address_is_no_consent() -> None:
    who = person(reach=(), consents={("news", "email"): ConsentEntry(state=ConsentState.GRANTED, address=None)})
    assert told(ask(who, candidate(NEWS, channels=(EMAIL,)))) == "skip consent.news"


# blackout

FREEZE = Blackout(
    start=datetime(2026, 6, 3),  # noqa: DTZ001 - blackouts are wall times of the policy's zone
    end=datetime(2026, 6, 5),  # noqa: DTZ001 - likewise
    classes=frozenset({"marketing"}),
    why="stocktaking",
)


def test_a_blackout_holds_its_classes_to_its_end() -> None:
    frozen = policy(blackouts=(FREEZE,))
    decision = ask(rules=frozen)
    assert told(decision) == "hold blackout.stocktaking"
    assert isinstance(decision, Hold)
    assert decision.until == datetime(2026, 6, 5, 6, tzinfo=UTC), "midnight, and then the night"
    assert told(ask(what=candidate(ORDERS), rules=frozen)) == "send push>email>sms"


def test_a_blackout_does_not_hold_what_consent_already_stopped() -> None:
    assert told(ask(person(consents={}), rules=policy(blackouts=(FREEZE,)))) == "skip consent.offers"


# quiet hours


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (OFFERS, "hold quiet_hours"),
        (LOGIN, "send push>email>sms"),  # security rings at night
        (ORDERS, "send email>push>sms"),  # push and SMS keep quiet, mail does not
    ],
)
def test_at_night_each_class_keeps_quiet_on_its_channels(topic: Topic, expected: str) -> None:
    decision = ask(now=LATE, what=candidate(topic, due=LATE))
    assert told(decision) == expected
    if isinstance(decision, Hold):
        assert decision.until == MORNING


def test_c27_the_last_second_before_nine_passes_and_nine_does_not() -> None:
    nine = datetime(2026, 6, 3, 19, 0, tzinfo=UTC)  # 21:00 in Rome
    assert told(ask(now=nine - timedelta(seconds=1))) == "send push>email>sms"
    assert told(ask(now=nine)) == "hold quiet_hours"


@pytest.mark.parametrize(
    ("preferred", "expires_in", "expected"),
    [
        (SMS, timedelta(hours=48), "hold quiet_hours"),  # chosen, and it opens in time: waited for
        (SMS, timedelta(hours=9), "send email>sms>push"),  # opens too late: the first open one
        (SMS, timedelta(hours=10), "send email>sms>push"),  # at the very end is too late
        (None, timedelta(hours=48), "send email>push>sms"),  # nobody chose: the first open one
        (EMAIL, timedelta(hours=48), "send email>push>sms"),
    ],
)
def test_a_channel_the_customer_chose_is_waited_for_if_it_opens_in_time(
    preferred: Any, expires_in: timedelta, expected: str
) -> None:
    who = person(preference=Preference(channel=preferred))
    assert told(ask(who, candidate(ORDERS, due=LATE, expires_in=expires_in), now=LATE)) == expected


def test_a_chosen_channel_that_is_stopped_for_good_is_not_waited_for() -> None:
    who = person(reach=(PUSH, EMAIL), preference=Preference(channel=SMS))
    assert told(ask(who, candidate(ORDERS, due=LATE), now=LATE)) == "send email>push"


def test_a_hold_may_lie_past_the_expiry() -> None:
    decision = ask(now=LATE, what=candidate(due=LATE, expires_in=timedelta(hours=1)))
    assert isinstance(decision, Hold)
    assert decision.until == MORNING


def test_the_customers_own_hours_and_pauses_bind_the_channels_that_keep_quiet() -> None:
    siesta = person(preference=Preference(quiet_hours=OwnQuietHours(start=time(11), end=time(15))))
    assert told(ask(siesta)) == "hold quiet_hours.own"
    assert told(ask(siesta, candidate(ORDERS))) == "send email>push>sms"
    assert told(ask(siesta, candidate(LOGIN))) == "send push>email>sms"
    away = person(preference=Preference(pauses=(Pause(start=date(2026, 6, 1), end=date(2026, 6, 14)),)))
    decision = ask(away)
    assert told(decision) == "hold quiet_hours.pause"
    assert isinstance(decision, Hold)
    assert decision.until == datetime(2026, 6, 15, 6, tzinfo=UTC)


def test_hours_follow_the_country_and_the_clock_follows_the_zone() -> None:
    rules = policy(quiet_hours={"default": NIGHT, "FR": QuietHours(start=time(11), end=time(8))})
    assert told(ask(person(country="IT"), rules=rules)) == "send push>email>sms"
    assert told(ask(person(country="FR"), rules=rules)) == "hold quiet_hours"
    in_tokyo = person(country="IT", zone_source="tz:Asia/Tokyo")  # 19:00 there, 21:00 two hours later
    assert told(ask(in_tokyo, rules=rules)) == "send push>email>sms"
    assert told(ask(in_tokyo, rules=rules, now=NOON + timedelta(hours=2))) == "hold quiet_hours"


def test_f49_a_person_who_may_be_in_two_zones_is_contacted_when_both_are_open() -> None:
    who = person(country=None, zone_source="phone:America/New_York,America/Los_Angeles")
    decision = ask(who, now=datetime(2026, 6, 3, 13, 0, tzinfo=UTC))  # 09:00 and 06:00
    assert isinstance(decision, Hold)
    assert decision.until == datetime(2026, 6, 3, 15, 0, tzinfo=UTC)


def test_without_quiet_hours_in_the_policy_only_the_customers_own_hold() -> None:
    assert told(ask(now=LATE, rules=policy(quiet_hours={}))) == "send push>email>sms"


def test_a_message_due_later_is_judged_at_the_time_it_is_due() -> None:
    ahead = candidate(due=LATE)
    decision = ask(what=ahead, now=LATE - timedelta(hours=2))
    assert told(decision) == "hold quiet_hours"
    assert isinstance(decision, Hold)
    assert decision.until == MORNING


def test_a_channel_paused_and_quiet_keeps_the_first_reason_and_the_later_opening() -> None:
    paused = Switches(paused={"channel:email": "outage"})
    decision = ask(now=LATE, what=candidate(channels=(EMAIL,), due=LATE), switches=paused)
    assert told(decision) == "hold paused.email"
    mixed = ask(now=LATE, what=candidate(channels=(EMAIL, SMS), due=LATE), switches=paused)
    assert isinstance(mixed, Hold)
    assert mixed.until == MORNING


# explain


def test_the_steps_tell_the_same_story_as_the_decision() -> None:
    who = person(reach=(EMAIL, SMS), suppressed=frozenset({("sms", "all")}))
    what = candidate(due=LATE)
    steps = ladder_steps(what, who, policy=POLICY, now=LATE, switches=NOTHING_PAUSED)
    assert [step.gate for step in steps] == [gate for gate, _ in LADDER][: len(steps)]
    assert [step.text for step in steps] == [
        "not paused",
        "sms: suppressed.sms.all",
        "offers/push needs opt_in: granted; offers/email needs opt_in: granted",
        "has email; push: unreachable.no_push",
        "no experiment",
        "nothing competes",
        "no cap applies",
        "no blackout",
        "email: quiet_hours until 2026-06-04T06:00Z; quiet_hours until 2026-06-04T06:00Z",
    ]
    assert steps[-1].verdict == ask(who, what, now=LATE)


def test_the_steps_end_with_the_choice_of_a_channel() -> None:
    steps = ladder_steps(candidate(), person(), policy=POLICY, now=NOON, switches=NOTHING_PAUSED)
    assert [step.gate for step in steps] == [*(gate for gate, _ in LADDER), "channel"]
    assert all(isinstance(step.verdict, Pass) for step in steps[:-1])
    texts = {step.gate: step.text for step in steps}
    assert texts["quiet_hours"] == "open in Europe/Rome (zone from customer.country)"
    assert steps[-1].text == "push, then email, then sms"
    assert steps[-1].verdict == ask()


def test_the_steps_end_where_the_ladder_stopped() -> None:
    switches = Switches(paused={"all": "fire drill"})
    (only,) = ladder_steps(candidate(), person(), policy=POLICY, now=NOON, switches=switches)
    assert (only.gate, only.text) == ("paused", "fire drill; paused.all until 2026-06-05T09:59Z")
    (nothing,) = ladder_steps(candidate(tried=ALL), person(), policy=POLICY, now=NOON, switches=NOTHING_PAUSED)
    assert (nothing.gate, nothing.text) == ("channel", "unreachable.no_channel_left")
