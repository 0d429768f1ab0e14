"""Explanations of another moment and of another customer: as they were, as they would be."""

import pytest
from planning_kit import KEYRING, NEWSLETTER, add_customer, plan, publish, rule_files, utc

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.services.explain import Explained, Question, explain_rule
from outbound.services.pauses import pause
from outbound.services.preferences import suppress, withdraw
from outbound.services.releases import Active
from outbound.storage.database import Database

JANUARY = utc("2026-01-02 00:00")
SATURDAY, SUNDAY = utc("2026-03-07 12:00"), utc("2026-03-08 08:40")
LATER = utc("2026-03-12 12:00")
PLAN = NEWSLETTER.replace("catch_up: 24h", "who: (customer.plan ?? 'free') == 'free'\ncatch_up: 24h")


@pytest.fixture
def active(database: Database) -> Active:
    active = publish(database, rule_files(PLAN), JANUARY)
    add_customer(database, "ada", attributes={"plan": "free"}, now=utc("2026-01-03 00:00"))
    plan(database, active, SATURDAY)
    return active


def ask(database: Database, *, at: str = "", **what_if: str) -> Explained:
    question = Question(customer="ada", now=LATER, at=utc(at) if at else None, what_if=what_if)
    return explain_rule(database, KEYRING, question, "news")


def line(one: Explained, gate: str) -> tuple[bool | None, str]:
    found = next(x for x in one.lines if x.gate == gate)
    return found.verdict, found.because or found.text


def test_a_value_that_changed_since_is_the_old_one_then(database: Database, active: Active) -> None:
    plan(database, active, SUNDAY)
    add_customer(database, "ada", attributes={"plan": "pro"}, now=utc("2026-03-10 00:00"))
    now, then = ask(database), ask(database, at="2026-03-09 12:00")
    assert now.outcome.reason == "who"
    assert line(now, "who") == (False, "customer.plan is 'pro'")
    assert then.outcome.decision == "send"
    assert line(then, "who") == (True, "customer.plan is 'free'")
    [made] = now.before
    assert made.values == {"plan": "free"}
    assert [x.because for x in made.who] == ["customer.plan is 'free'"]
    assert (made.release, made.once, made.state) == (active.id, "2026-W10", "scheduled")


@pytest.mark.usefixtures("active")
def test_consent_addresses_and_blocks_are_those_of_then(database: Database) -> None:
    evidence = Evidence(source="page")
    withdraw(
        database, customer_id="ada", topic="newsletter", channel=None, evidence=evidence, now=utc("2026-03-09 00:00")
    )
    assert ask(database).outcome.reason == "consent.newsletter"
    before = ask(database, at="2026-03-08 23:00")
    assert before.outcome.decision == "send"
    assert line(before, "consent") == (True, "every channel granted 2026-01-03 via test")
    suppress(
        database,
        KEYRING,
        channel=ChannelName.EMAIL,
        address="ada@example.com",
        scope="marketing",
        reason="complaint",
        now=utc("2026-03-07 00:00"),
    )
    add_customer(database, "ada", email="new@example.com", consent=False, now=utc("2026-03-09 12:00"))
    assert ask(database, at="2026-03-08 23:00").outcome.reason == "suppressed.email.marketing"
    assert ask(database, at="2026-03-06 00:00").outcome.decision == "send"


@pytest.mark.usefixtures("active")
def test_another_zone_then_is_another_hour(database: Database) -> None:
    add_customer(database, "ada", country="US", timezone="America/New_York", now=utc("2026-03-10 00:00"))
    now, then = ask(database), ask(database, at="2026-03-09 00:00")
    assert (now.zone, then.zone) == ("America/New_York", "Europe/Rome")
    assert (now.due, then.due) == (utc("2026-03-15 14:00"), utc("2026-03-15 09:00"))


def test_the_release_that_ran_then_speaks(database: Database, active: Active) -> None:
    plan(database, active, SUNDAY)
    stricter = publish(database, rule_files(PLAN.replace("== 'free'", "== 'pro'")), utc("2026-03-10 00:00"))
    now, then = ask(database), ask(database, at="2026-03-09 12:00")
    assert (now.release, now.outcome.reason) == (stricter.id, "who")
    assert (then.release, then.outcome.decision) == (active.id, "send")
    [made] = now.before
    assert (made.release, made.version) == (active.id, then.version)
    assert made.who[0].text == "(customer.plan ?? 'free') == 'free'"
    with pytest.raises(OutboundError, match="no release was active"):
        ask(database, at="2026-01-01 00:00")
    with pytest.raises(OutboundError, match="was not on record"):
        ask(database, at="2026-01-02 12:00")


@pytest.mark.usefixtures("active")
def test_what_if_assumes_values_by_their_type(database: Database) -> None:
    assert ask(database, plan="pro").outcome.reason == "who"
    assert ask(database, email="", phone="").outcome.reason == "unreachable.no_email"
    york = ask(database, timezone="America/New_York")
    assert (york.zone, york.due) == ("America/New_York", utc("2026-03-15 14:00"))
    assert york.what_if == {"timezone": "America/New_York"}
    suppress(database, KEYRING, channel=ChannelName.EMAIL, address="x@example.com", scope="all", reason="x", now=SUNDAY)
    assert ask(database, email="x@example.com", phone="").outcome.reason == "suppressed.email.all"
    for name, value, said in (
        ("plam", "pro", "no attribute 'plam'"),
        ("plan", "gold", "'gold' is no value of customer.plan"),
        ("points", "many", "'many' is no value of customer.points"),
        ("email", "nobody", "email: "),
    ):
        with pytest.raises(OutboundError, match=said):
            ask(database, **{name: value})


def test_a_waiting_message_is_asked_as_its_gate_would_be(database: Database, active: Active) -> None:
    """Paused meanwhile, what stops it is the switch; with other values, what its gate would say of them."""
    plan(database, active, SUNDAY)

    def now(**what_if: str) -> Explained:
        question = Question(customer="ada", now=SUNDAY, what_if=what_if)
        return explain_rule(database, KEYRING, question, "news")

    assert (now().outcome.decision, now().message != "") == ("send", True)
    assert now().outcome.at == utc("2026-03-08 09:00")
    assert now(plan="pro").outcome.reason == "who"
    pause(database, "rule:news", reason="wrong price", by="mia", now=SUNDAY)
    held = now()
    assert (held.outcome.decision, held.outcome.reason) == ("hold", "paused.rule")
    assert line(held, "paused")[1].startswith("wrong price")


@pytest.mark.usefixtures("active")
def test_an_unknown_rule_names_those_there_are(database: Database) -> None:
    with pytest.raises(OutboundError, match="there is no rule 'newz'") as raised:
        explain_rule(database, KEYRING, Question(customer="ada", now=LATER), "newz")
    assert "rules: news" in str(raised.value)
