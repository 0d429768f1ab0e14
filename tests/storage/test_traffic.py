"""What caps count and who competes, read for many customers at once (fault C32)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from outbound.domain.customer import ChannelName
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import (
    BrandIdentity,
    CalendarPeriod,
    Cap,
    CapUse,
    ConsentNeed,
    MessageClass,
    Policy,
    Topic,
)
from outbound.storage import tables, traffic
from outbound.storage.database import Database

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
EMAIL, SMS = ChannelName.EMAIL, ChannelName.SMS
DAILY = Cap(name="marketing.day", max=1, per=CalendarPeriod.DAY, message_class="marketing")
SMS_YEAR = Cap(name="sms.year", max=9, per=CalendarPeriod.YEAR, channel=SMS)


def policy(*caps: Cap) -> Policy:
    uses = {"transactional": CapUse.EXEMPT, "service": CapUse.COUNT, "marketing": CapUse.APPLY}
    classes = {
        name: MessageClass(name=name, consent=ConsentNeed.NONE, quiet=frozenset(), priority=1, caps=use)
        for name, use in uses.items()
    }
    return Policy(
        timezone="Europe/Rome",
        classes=classes,
        topics={name: Topic(name=name, message_class=one) for name, one in classes.items()},
        channels={},
        waterfall=(EMAIL,),
        next_on=(),
        quiet_hours={},
        zones={},
        calendars={},
        blackouts=(),
        suppress=(),
        brand=BrandIdentity(name="B", senders={}, reply_to="", postal_address="", languages=("en",), fallback="en"),
        caps=caps,
    )


def add(database: Database, name: str, *, legs: tuple[dict[str, Any], ...] = (), **more: Any) -> None:
    """One message called ``name`` of customer c1, with its legs."""
    row = {
        "id": name,
        "run_id": "run",
        "rule": "news",
        "rule_version": "v",
        "release": "r",
        "once": name,
        "customer_id": "c1",
        "template": "news",
        "topic": "marketing",
        "message_class": "marketing",
        "lane": "bulk",
        "priority": 1,
        "channels": "email,sms",
        "context": {},
        "not_before": NOW,
        "expires": NOW + timedelta(days=1),
        "state": "sent",
        "created_at": NOW,
        "updated_at": NOW,
        **more,
    }
    leg = {"message_id": name, "n": 1, "channel": "email", "customer_id": row["customer_id"], "address": "a", "at": NOW}
    with database.write() as connection:
        connection.execute(tables.message.insert(), row)
        for one in legs:
            connection.execute(tables.leg.insert(), {**leg, **one})


def contacts(database: Database, rules: Policy, *ids: str) -> dict[str, set[str]]:
    with database.read() as connection:
        found = traffic.load(connection, rules, ids or ("c1",), now=NOW)
    return {customer: {f"{one.message_id}/{one.channel}" for one in each.contacts} for customer, each in found.items()}


def test_only_legs_that_may_have_arrived_are_contacts(database: Database) -> None:
    for state in ("sending", "sent", "uncertain", "closed_unknown"):
        add(database, state, state=state, legs=({},))
    for state in ("scheduled", "ready", "claimed", "failed", "skipped", "expired", "cancelled"):
        add(database, state, state=state, legs=({},))
    expected = {"sending/email", "sent/email", "uncertain/email", "closed_unknown/email"}
    assert contacts(database, policy(DAILY)) == {"c1": expected}


def test_a_leg_that_bounced_is_none_and_one_without_a_receipt_remains_one(database: Database) -> None:
    """Each with its next leg sent, or still waiting to be tried."""
    second = {"n": 2, "channel": "sms"}
    add(database, "bounced", leg=2, legs=({"moved_on": "bounced"}, second))
    add(database, "silent", leg=2, legs=({"moved_on": "no_receipt"}, second))
    add(database, "waiting", leg=2, state="ready", legs=({"moved_on": "no_receipt"}, second))
    expected = {"bounced/sms", "silent/email", "silent/sms", "waiting/email"}
    assert contacts(database, policy(DAILY)) == {"c1": expected}


def test_what_waits_to_be_sent_again_after_an_unknown_outcome_may_have_arrived(database: Database) -> None:
    add(database, "again", state="ready", on_uncertain="resend", attempts=1, legs=({},))
    add(database, "first", state="ready", on_uncertain="resend", legs=({},))
    assert contacts(database, policy(DAILY)) == {"c1": {"again/email"}}


def test_each_cap_looks_as_far_back_as_it_must_and_at_what_it_counts(database: Database) -> None:
    ages = {"hour": 1 / 24, "month": 30, "year": 364, "older": 400}
    for name, days in ages.items():
        for channel in ("email", "sms"):
            at = NOW - timedelta(days=days)
            add(database, f"{name}-{channel}", legs=({"channel": channel, "at": at},))
    add(database, "notice", message_class="service", topic="service", legs=({"channel": "sms"},))
    add(database, "order", message_class="transactional", topic="transactional", legs=({"channel": "sms"},))
    assert contacts(database, policy()) == {}
    assert contacts(database, policy(DAILY)) == {"c1": {"hour-email/email", "hour-sms/sms"}}
    year = {"hour-sms/sms", "month-sms/sms", "year-sms/sms", "notice/sms"}
    assert contacts(database, policy(SMS_YEAR)) == {"c1": year}
    rolling = replace(DAILY, per=Duration(5, DurationUnit.WEEK))
    assert contacts(database, policy(rolling)) == {
        "c1": {f"{n}-{c}/{c}" for n in ("hour", "month") for c in (EMAIL, SMS)}
    }


def test_many_customers_are_read_at_once_and_who_had_nothing_is_not_there(database: Database) -> None:
    add(database, "m1", legs=({},))
    add(database, "m2", customer_id="c2", legs=({},))
    many = [f"c{n}" for n in range(1, 7000)]
    assert contacts(database, policy(DAILY), *many) == {"c1": {"m1/email"}, "c2": {"m2/email"}}
    assert contacts(database, policy(DAILY), "c2") == {"c2": {"m2/email"}}


@pytest.mark.parametrize(
    ("more", "competes"),
    [
        ({}, True),
        ({"state": "scheduled", "not_before": NOW + timedelta(minutes=15)}, True),
        ({"state": "scheduled", "not_before": NOW + timedelta(minutes=16)}, False),
        ({"state": "claimed"}, True),
        ({"state": "sending"}, False),
        ({"message_class": "service"}, False),
        ({"expires": NOW}, False),
        ({"state": "scheduled", "reason": "paused"}, False),
        ({"state": "scheduled", "reason": "limits"}, False),
        ({"state": "scheduled", "reason": "cap"}, True),
        ({"legs": ({},)}, False),  # it has had its turn
    ],
)
def test_who_competes(database: Database, more: dict[str, Any], *, competes: bool) -> None:
    add(database, "m1", **{"state": "ready", **more})
    with database.read() as connection:
        found = traffic.queued(connection, policy(DAILY), ["c1"], now=NOW)
    assert [one.message_id for one in found.get("c1", ())] == ["m1"] * competes
