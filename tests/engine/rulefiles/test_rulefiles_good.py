"""Good files mean exactly what they say."""

from datetime import UTC, date, datetime, time

import pytest
from rulefile_samples import edited, good_files, problems_of

from outbound.domain.condition import ValueType
from outbound.domain.customer import ChannelName
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import Blackout, Calendar, ChannelPolicy, ConsentNeed, QuietHours, SuppressRule
from outbound.domain.release import Ruleset
from outbound.domain.rule import (
    DateTrigger,
    EventTrigger,
    Feb29,
    Field,
    KeyTemplate,
    Rule,
    ScheduleTrigger,
    ScriptTrigger,
    SendAction,
    Shift,
    UnknownCustomerAction,
)
from outbound.domain.source import Span
from outbound.engine.rulefiles import load

EMAIL, SMS, PUSH = ChannelName.EMAIL, ChannelName.SMS, ChannelName.PUSH


def hours(amount: int) -> Duration:
    return Duration(amount, DurationUnit.HOUR)


def days(amount: int) -> Duration:
    return Duration(amount, DurationUnit.DAY)


@pytest.fixture(scope="module")
def ruleset() -> Ruleset:
    loaded = load(good_files())
    assert loaded.problems == ()
    assert loaded.ruleset is not None
    return loaded.ruleset


def rule(files: dict[str, bytes], name: str) -> Rule:
    loaded = load(files)
    assert loaded.ruleset is not None, [p.render() for p in loaded.problems]
    return loaded.ruleset.rules[name]


def test_the_schema_holds_the_declared_and_the_reserved_attributes(ruleset: Ruleset) -> None:
    schema = ruleset.schema
    assert schema.customer["plan"] == Field(type=ValueType.ENUM, values=("free", "pro"))
    assert schema.customer["birth_date"] == Field(type=ValueType.DATE, index=True)
    assert schema.customer["country"].values == ("DE", "AT", "CH", "FR", "NO")  # NO is Norway, not false (K3)
    assert schema.customer["language"] == Field(type=ValueType.STRING)
    assert schema.customer["id"].required
    assert schema.events["order.placed"]["total"] == Field(type=ValueType.NUMBER, required=True)


def test_customers_and_events_may_stand_in_two_documents() -> None:
    assert problems_of(edited("rules/schema.yaml", "events:\n", "---\nevents:\n")) == ()


def test_the_policy_holds_every_key_of_the_file(ruleset: Ruleset) -> None:
    policy = ruleset.policy
    assert policy.timezone == "Europe/Berlin"
    security, marketing = policy.classes["security"], policy.classes["marketing"]
    assert (security.on_uncertain, security.expires, security.priority) == (
        "resend",
        Duration(10, DurationUnit.MINUTE),
        999,
    )
    assert security.quiet == frozenset()
    assert (marketing.consent, marketing.unsubscribe_required) == (ConsentNeed.OPT_IN, True)
    assert policy.classes["service"].quiet == {SMS, PUSH}
    newsletter = policy.topics["newsletter"]
    assert newsletter.need(EMAIL) is ConsentNeed.DOUBLE_OPT_IN
    assert newsletter.need(SMS) is ConsentNeed.OPT_IN
    assert newsletter.titles == {"de": "Neuigkeiten", "en": "News"}
    assert policy.topics["activity"].opt_out
    assert policy.topics["gifts"].priority == 250
    assert policy.channels[SMS] == ChannelPolicy(cost={"DE": 0.075, "default": 0.09}, currency="EUR", max_parts=2)
    assert policy.channels[EMAIL] == ChannelPolicy(cost={"default": 0.0004}, currency="EUR")
    assert policy.waterfall == (PUSH, EMAIL, SMS)
    assert policy.next_on == ("unreachable", "not_allowed", "bounced")
    assert policy.quiet_hours == {
        "default": QuietHours(start=time(21), end=time(8)),
        "FR": QuietHours(start=time(20), end=time(8), closed=frozenset({"sun", "holidays"})),
        "NO": QuietHours(start=time(20), end=time(9)),
    }
    assert policy.zones == {"US": "America/New_York"}
    assert policy.calendars == {
        "business-days": Calendar(
            weekend=frozenset({"sat", "sun"}), holidays=True, extra=frozenset({date(2026, 12, 24)})
        )
    }
    christmas = Blackout(
        start=datetime(2026, 12, 24, 12),  # noqa: DTZ001 -- wall clock of the policy's zone
        end=datetime(2026, 12, 27),  # noqa: DTZ001
        classes=frozenset({"marketing"}),
        why="Christmas freeze",
    )
    assert policy.blackouts == (christmas,)
    assert policy.suppress == (
        SuppressRule(event="bounced.hard", channel=EMAIL, scopes=("all",)),
        SuppressRule(event="complaint", channel=None, scopes=("marketing",)),
    )
    assert policy.brand.senders["transactional"] == "Shop <orders@shop.example>"
    assert (policy.brand.languages, policy.brand.fallback) == (("de", "en"), "en")
    assert policy.brand.postal_address == "Example Str. 1, Berlin"


def test_an_event_rule(ruleset: Ruleset) -> None:
    found = ruleset.rules["order-shipped"]
    assert isinstance(found.trigger, EventTrigger)
    assert found.trigger.event == "order.shipped"
    assert [c.text for c in found.trigger.condition] == ["event.carrier != 'pickup'"]
    assert [c.text for c in found.who] == ["has(customer.email) or has(customer.phone)"]
    assert found.once == KeyTemplate(parts=(("", "event.order_id"),), text="{event.order_id}")
    assert found.expires == hours(36)
    assert (found.unknown_customer, found.unknown_customer_hold) == (UnknownCustomerAction.HOLD, hours(2))
    assert found.send == SendAction(templates={"": "order-shipped"}, channels=(PUSH, EMAIL, SMS))
    assert found.span == Span("rules/orders.yaml", 1, 7, 13)
    assert found.catch_up is None


def test_a_scheduled_rule(ruleset: Ruleset) -> None:
    found = ruleset.rules["monthly-news"]
    assert found.trigger == ScheduleTrigger(
        at=time(10), zone=None, recurrence="FREQ=MONTHLY;BYDAY=1TU", calendar="business-days"
    )
    assert [c.text for c in found.who] == ["segment.near", "not happened(order.placed, within 3d)"]
    assert found.limits is None
    assert found.send.pace_per_hour == 20000
    assert found.catch_up == hours(24)
    assert found.expires == days(3)


def test_a_one_off_rule(ruleset: Ruleset) -> None:
    found = ruleset.rules["harvest"]
    assert found.trigger == ScheduleTrigger(at=time(10), zone="Europe/Berlin", on_date=date(2026, 11, 27))
    assert found.active_from == date(2026, 11, 1)
    assert found.active_until == datetime(2026, 12, 1, 11, tzinfo=UTC)  # 12:00 in the policy's zone
    assert found.draft
    assert found.once.text == "{period}"


def test_without_channels_those_of_the_waterfall_with_a_body_are_used(ruleset: Ruleset) -> None:
    assert ruleset.rules["harvest"].send.channels == (EMAIL,)


def test_date_rules(ruleset: Ruleset) -> None:
    renewal, birthday = ruleset.rules["renewal-reminder"], ruleset.rules["birthday"]
    assert renewal.trigger == DateTrigger(
        attribute="renewal_date",
        at=time(9),
        zone=None,
        offsets=(days(-14), days(-3)),
        calendar="business-days",
        shift=Shift.PREVIOUS,
    )
    assert renewal.once.parts == (("", "date"), ("/", "offset"))
    assert renewal.once.fill({"date": "2026-12-01", "offset": "-3d"}) == "2026-12-01/-3d"
    assert renewal.send.templates == {"-14d": "renewal-early", "-3d": "renewal-last"}
    assert birthday.trigger == DateTrigger(
        attribute="birth_date", at=time(8, 30), zone=None, offsets=(days(0),), every_year=True, feb29=Feb29.FEB28
    )


def test_a_script_rule(ruleset: Ruleset) -> None:
    assert ruleset.rules["recall-notice"].trigger == ScriptTrigger(arguments={"batch": ValueType.STRING})


def test_a_segment_is_compiled_before_those_that_name_it(ruleset: Ruleset) -> None:
    assert list(ruleset.segments) == ["active_buyers", "near"]
    reversed_order = edited(
        "rules/segments.yaml",
        "segment: active_buyers\n",
        "segment: first\nif: segment.near\n---\nsegment: active_buyers\n",
    )
    assert [p.code for p in problems_of(reversed_order)] == ["unused-segment"]


@pytest.mark.parametrize(
    ("path", "old", "name", "default"),
    [
        ("rules/orders.yaml", 'once: "{event.order_id}"', "order-shipped", "{event.id}"),
        ("rules/news.yaml", 'once: "{period}"\n', "monthly-news", "{period}"),
        ("rules/dates.yaml", 'once: "{date}/{offset}"\n', "renewal-reminder", "{date}/{offset}"),
        ("rules/recall.yaml", 'once: "{script.batch}"\n', "recall-notice", "{key}"),
    ],
)
def test_once_has_a_default_for_every_trigger(path: str, old: str, name: str, default: str) -> None:
    assert rule(edited(path, old, ""), name).once.text == default


def test_a_text_alone_is_once_for_ever() -> None:
    found = rule(edited("rules/orders.yaml", '"{event.order_id}"', "welcome"), "order-shipped")
    assert found.once.fill({}) == "welcome"


def test_text_around_placeholders_is_kept() -> None:
    found = rule(
        edited("rules/orders.yaml", '"{event.order_id}"', '"a-{event.order_id}-{event.carrier}-z"'), "order-shipped"
    )
    assert found.once.fill({"event.order_id": "7", "event.carrier": "dhl"}) == "a-7-dhl-z"


@pytest.mark.parametrize(
    ("topic", "expected"), [("order-updates", hours(48)), ("codes", Duration(10, DurationUnit.MINUTE))]
)
def test_expires_comes_from_the_class_or_from_the_trigger(topic: str, expected: Duration) -> None:
    files = edited("rules/orders.yaml", "expires: 36h", "# expires: 36h")
    files["rules/orders.yaml"] = files["rules/orders.yaml"].replace(b"order-updates", topic.encode())
    files["rules/policy.yaml"] = files["rules/policy.yaml"].replace(
        b"topics:\n", b"topics:\n  codes: {class: security}\n"
    )
    assert rule(files, "order-shipped").expires == expected


@pytest.mark.parametrize(
    ("written", "action", "hold"),
    [("hold", "hold", hours(6)), ("hold 90m", "hold", Duration(90, DurationUnit.MINUTE)), ("drop", "drop", None)],
)
def test_unknown_customer(written: str, action: str, hold: Duration | None) -> None:
    found = rule(edited("rules/orders.yaml", "hold 2h", written), "order-shipped")
    assert (found.unknown_customer, found.unknown_customer_hold) == (action, hold)


def test_create_needs_an_address_in_the_event() -> None:
    files = edited("rules/orders.yaml", "hold 2h", "create")
    files["rules/schema.yaml"] = files["rules/schema.yaml"].replace(
        b"order.shipped:    {", b"order.shipped:    {email: {type: string}, "
    )
    assert rule(files, "order-shipped").unknown_customer is UnknownCustomerAction.CREATE


def test_a_template_folder_may_use_language_variants_only() -> None:
    files = good_files()
    files["templates/recall/sms.de.txt"] = files.pop("templates/recall/sms.txt")
    assert problems_of(files) == ()


@pytest.mark.parametrize(
    "schedule",
    [
        "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR",
        "FREQ=WEEKLY;BYDAY=WE",
        "freq=weekly;byday=we",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=31",
        "FREQ=YEARLY;BYDAY=-1FR;BYMONTH=11",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "FREQ=YEARLY;BYYEARDAY=-1",
        "FREQ=WEEKLY;BYDAY=MO;UNTIL=20271231",
    ],
)
def test_schedules_that_are_fine(schedule: str) -> None:
    assert problems_of(edited("rules/news.yaml", "FREQ=MONTHLY;BYDAY=1TU", schedule)) == ()


def test_every_second_week_with_a_start() -> None:
    files = edited("rules/news.yaml", "FREQ=MONTHLY;BYDAY=1TU", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU\n  start: 2026-11-03")
    trigger = rule(files, "monthly-news").trigger
    assert isinstance(trigger, ScheduleTrigger)
    assert trigger.start == date(2026, 11, 3)


def test_two_days_in_a_period_are_fine_under_their_date() -> None:
    files = edited("rules/news.yaml", "FREQ=MONTHLY;BYDAY=1TU", "FREQ=MONTHLY;BYDAY=1TU,3TU")
    files["rules/news.yaml"] = files["rules/news.yaml"].replace(b'once: "{period}"', b'once: "{date}"')
    assert problems_of(files) == ()


def test_the_shipped_rules_have_no_problem() -> None:
    root = __import__("pathlib").Path(__file__).parents[3]
    folders = [root / "rules", root / "templates"]
    files = {str(p.relative_to(root)): p.read_bytes() for f in folders for p in sorted(f.rglob("*")) if p.is_file()}
    if not any(path.endswith("/template.yaml") for path in files):
        pytest.skip("the shipped templates are not there yet")
    assert [p.render() for p in problems_of(files)] == []
