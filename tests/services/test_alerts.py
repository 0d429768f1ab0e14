"""Alerts: each condition with its level, told once by one daemon of many, and once when it is over."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from outbound.domain.alert import Alert, AlertKind, AlertLevels
from outbound.domain.complaints import Complaints
from outbound.domain.ids import new_ids
from outbound.services import alerts
from outbound.services.status import status
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.switches import ALL, Switch, turn_on

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
LEVELS = AlertLevels()
MINUTE = timedelta(minutes=1)
BOTH = ("email", "webhook")


def message_row(name: str, **changes: Any) -> dict[str, Any]:
    known = {
        "id": name,
        "run_id": "r",
        "rule": "letter",
        "rule_version": "v",
        "release": "r",
        "once": name,
        "customer_id": name,
        "step": "",
        "template": "letter",
        "variant": "",
        "topic": "news",
        "message_class": "marketing",
        "lane": "bulk",
        "priority": 100,
        "channels": "email",
        "context": {},
        "not_before": NOW - timedelta(hours=3),
        "expires": NOW + timedelta(days=1),
        "on_uncertain": "hold",
        "state": "sent",
        "created_at": NOW,
        "updated_at": NOW,
    }
    rest = {c.name: c.default.arg for c in tables.message.c if c.default is not None and c.default.is_scalar}
    return rest | {"local_time": "", "zone": "", "reason": "", "detail": "", "held_by": "", "leg": 1} | known | changes


def insert_messages(connection: Connection, *rows: dict[str, Any]) -> None:
    fill = {
        "attempts": 0,
        "lease_token": 0,
        "worker": "",
        "message_id": "",
        "body_hash": "",
        "language": "",
        "depth": 0,
    }
    connection.execute(tables.message.insert(), [fill | row for row in rows])


def pause(connection: Connection, account: str, domain: str, reason: str, since: datetime) -> None:
    row = {"account": account, "domain": domain, "until": NOW, "pause": 30, "reason": reason, "opened_at": since}
    connection.execute(tables.breaker.insert(), row)


def found(database: Database, now: datetime = NOW) -> dict[tuple[str, str], str]:
    with database.read() as connection:
        return {one.key: one.text for one in alerts.conditions(connection, LEVELS, now=now)}


def test_a_healthy_installation_has_no_alert(database: Database) -> None:
    with database.write() as connection:
        insert_messages(
            connection,
            message_row("waits", state="scheduled", not_before=NOW + MINUTE),
            message_row("due", state="ready", not_before=NOW - MINUTE),
            message_row("sent"),
        )
    assert found(database) == {}


def test_f22_a_refused_account_is_news_at_once_and_one_that_asks_us_to_wait_after_a_while(database: Database) -> None:
    with database.write() as connection:
        pause(connection, "smtp", "", "not_sent 535", NOW)
        pause(connection, "twilio", "", "throttled 429", NOW - MINUTE)
    assert list(found(database)) == [("account", "smtp")]
    assert "not_sent 535" in found(database)["account", "smtp"]
    assert list(found(database, NOW + 5 * MINUTE)) == [("account", "twilio"), ("account", "smtp")]


def test_destinations_are_counted_and_never_named(database: Database) -> None:
    with database.write() as connection:
        for number in range(4):
            pause(connection, "smtp", f"family-{number}.example", "deferred 451", NOW)
    assert found(database) == {}
    with database.write() as connection:
        pause(connection, "smtp", "family-5.example", "deferred 451", NOW)
    [(key, text)] = found(database).items()
    assert key == ("destinations", "")
    assert "5 destination domains" in text
    assert "family" not in text


@pytest.mark.parametrize("state", ["ready", "scheduled"])
def test_lag_is_measured_by_lane(database: Database, state: str) -> None:
    with database.write() as connection:
        insert_messages(
            connection,
            message_row("quick", lane="express", state=state, not_before=NOW - 5 * MINUTE),
            message_row("slow", lane="bulk", state=state, not_before=NOW - 119 * MINUTE),
        )
    assert list(found(database)) == [("lag", "express")]
    assert list(found(database, NOW + MINUTE)) == [("lag", "express"), ("lag", "bulk")]


def test_render_stops_are_counted_by_rule_over_the_last_hour(database: Database) -> None:
    """F54: one person's bad value is no alert, a template that breaks is."""
    stopped = {"state": "skipped", "reason": "render", "detail": "customer.first_name missing"}
    with database.write() as connection:
        insert_messages(
            connection,
            *(message_row(f"a{n}", rule="offers", **stopped) for n in range(10)),
            *(message_row(f"b{n}", rule="other", **stopped) for n in range(9)),
            message_row("old", rule="other", **{**stopped, "updated_at": NOW - timedelta(hours=2)}),
        )
    [(key, text)] = found(database).items()
    assert key == ("render", "offers")
    assert "10 messages of offers" in text
    assert "customer.first_name missing" in text
    assert found(database, NOW + timedelta(hours=2)) == {}


def test_unknown_outcomes_refused_senders_and_the_switch_of_all(database: Database) -> None:
    tried = {"id": "t", "message_id": "u", "leg": 1, "n": 1, "lease_token": 1, "phase": "replied", "enhanced": ""}
    with database.write() as connection:
        insert_messages(connection, message_row("u", state="uncertain", updated_at=NOW - MINUTE))
        times = {"started_at": NOW, "replied_at": NOW}
        refused = {"endpoint": "twilio", "outcome": "rejected_sender", "text": ""}
        connection.execute(tables.attempt.insert(), tried | refused | times)
        turn_on(connection, Switch(key=ALL, reason="restored snapshot", by="outbound", at=NOW))
    told = found(database)
    assert list(told) == [("sender", "twilio"), ("uncertain", ""), ("paused", "")]
    assert told["uncertain", ""].startswith("1 messages have an unknown outcome, the oldest since 2026-11-30 11:59")
    assert told["paused", ""] == "everything is paused by outbound: restored snapshot"


def test_a_disk_is_one_machines_and_others_leave_it_alone(database: Database) -> None:
    full = alerts.disk("a", "/srv", 999_999_999, LEVELS)
    assert full[0].text == "a: 1.0 GB are left where /srv is"
    assert alerts.disk("a", "/srv", 1_000_000_000, LEVELS) == []
    assert alerts.look(database, full, host="a", now=NOW).began == tuple(full)
    assert alerts.look(database, [], host="b", now=NOW + 5 * MINUTE).ended == ()
    assert alerts.look(database, [], host="a", now=NOW + 5 * MINUTE).ended == tuple(full)


ALERT = Alert(kind=AlertKind.ACCOUNT, subject="smtp", text="paused")


def news(database: Database, now: datetime, receivers: tuple[str, ...] = BOTH) -> dict[str, list[bool]]:
    """Who is to be told what by the daemon that asks: receiver to whether each piece of news is an end."""
    taken = alerts.take(database, receivers, LEVELS, now=now)
    return {name: [one.over for one in notices] for name, notices in taken.items()}


def tell(database: Database, now: datetime, receivers: tuple[str, ...] = BOTH) -> dict[str, list[bool]]:
    """Likewise, and everybody takes it."""
    taken = alerts.take(database, receivers, LEVELS, now=now)
    alerts.told(database, taken, now=now)
    return {name: [one.over for one in notices] for name, notices in taken.items()}


def test_an_alert_is_told_once_again_after_a_day_and_when_it_is_over(database: Database) -> None:
    assert alerts.look(database, [ALERT], host="a", now=NOW).began == (ALERT,)
    assert tell(database, NOW) == {"email": [False], "webhook": [False]}
    later = NOW + timedelta(hours=23)
    assert alerts.look(database, [ALERT], host="a", now=later).began == ()
    assert tell(database, later) == {}
    day = NOW + timedelta(hours=24)
    assert tell(database, day) == {"email": [False], "webhook": [False]}
    assert alerts.look(database, [], host="a", now=later + MINUTE).ended == (), "it has just been there"
    assert alerts.look(database, [], host="a", now=day).ended == (ALERT,)
    assert tell(database, day) == {"email": [True], "webhook": [True]}
    assert tell(database, day) == {}
    assert alerts.standing(database) == []


def test_what_comes_and_goes_within_two_minutes_is_one_alert(database: Database) -> None:
    """Deduplicated: a breaker that is probed every 30 seconds pages nobody twice."""
    for second in range(0, 600, 100):
        alerts.look(database, [ALERT], host="a", now=NOW + timedelta(seconds=second))
        alerts.look(database, [], host="a", now=NOW + timedelta(seconds=second + 60))
        told = tell(database, NOW + timedelta(seconds=second + 60))
        assert told == ({"email": [False], "webhook": [False]} if second == 0 else {})


def test_two_daemons_have_one_voice_and_a_killed_one_is_replaced(database: Database) -> None:
    alerts.look(database, [ALERT], host="a", now=NOW)
    assert news(database, NOW) == {"email": [False], "webhook": [False]}
    assert news(database, NOW) == {}, "the other one tells it"
    assert tell(database, NOW + MINUTE) == {"email": [False], "webhook": [False]}


def test_a_receiver_that_was_away_is_told_later_and_the_other_not_again(database: Database) -> None:
    alerts.look(database, [ALERT], host="a", now=NOW)
    taken = alerts.take(database, BOTH, LEVELS, now=NOW)
    alerts.told(database, {"email": taken["email"]}, now=NOW)
    assert tell(database, NOW + MINUTE) == {"webhook": [False]}


def test_who_was_never_told_that_it_began_is_not_told_that_it_is_over(database: Database) -> None:
    alerts.look(database, [ALERT], host="a", now=NOW)
    assert tell(database, NOW, ("email",)) == {"email": [False]}
    alerts.look(database, [], host="a", now=NOW + 3 * MINUTE)
    assert tell(database, NOW + 3 * MINUTE) == {"email": [True]}
    assert tell(database, NOW + 4 * MINUTE) == {}
    assert alerts.standing(database) == []


def test_what_begins_again_after_its_end_was_told_is_told_again(database: Database) -> None:
    alerts.look(database, [ALERT], host="a", now=NOW)
    tell(database, NOW)
    alerts.look(database, [], host="a", now=NOW + 3 * MINUTE)
    taken = alerts.take(database, BOTH, LEVELS, now=NOW + 3 * MINUTE)
    alerts.told(database, {"email": taken["email"]}, now=NOW + 3 * MINUTE)
    assert alerts.look(database, [ALERT], host="a", now=NOW + 5 * MINUTE).began == (ALERT,)
    assert tell(database, NOW + 5 * MINUTE) == {"email": [False]}, "the webhook never heard that it was over"


def test_without_receivers_the_record_still_forgets(database: Database) -> None:
    alerts.look(database, [ALERT], host="a", now=NOW)
    alerts.look(database, [], host="a", now=NOW + 3 * MINUTE)
    assert alerts.take(database, [], LEVELS, now=NOW + 3 * MINUTE) == {}
    assert alerts.standing(database) == []


def test_c15_the_complaint_rate_of_seven_days_is_shown_and_told(database: Database) -> None:
    """Against 0.1 % and 0.3 %: once for each mail, of mails alone, and nobody is alarmed by one person."""
    day = timedelta(days=1)

    def told(mails: int, spam: int) -> tuple[Complaints, bool]:
        with database.write() as connection:
            for table in (tables.delivery_event, tables.leg, tables.message):
                connection.execute(table.delete())
            ids = [*new_ids(NOW - day, mails), *new_ids(NOW - 8 * day, 5)]
            insert_messages(connection, *(message_row(name, sent_at=NOW - day) for name in ids))
            legs = [
                {"message_id": name, "n": 1, "channel": "email", "customer_id": name, "address": "a"} for name in ids
            ]
            texts = [row | {"n": 2, "channel": "sms"} for row in legs[:50]]
            connection.execute(tables.leg.insert(), [row | {"at": NOW - day} for row in legs + texts])
            news = [(name, provider, NOW - day) for name in ids[:spam] for provider in ("ses", "mail")]
            news += [(ids[-1], "ses", NOW - 8 * day)]
            for name, provider, at in news:
                row = {"provider": provider, "key": name, "inbox_id": "", "kind": "complained", "message_id": name}
                connection.execute(tables.delivery_event.insert(), row | {"at": at, "received_at": at})
        found = status(database, now=NOW).complaints
        with database.read() as connection:
            alarms = [one for one in alerts.conditions(connection, LEVELS, now=NOW) if one.kind is AlertKind.COMPLAINTS]
        return found, bool(alarms)

    few, alarmed = told(mails=2_000, spam=1)
    assert (few.complained, few.mails, few.high, alarmed) == (1, 2_000, False, False)
    some, alarmed = told(mails=2_000, spam=4)
    assert (some.high, alarmed) == (True, False)
    assert some.text() == "0.20 % of 2,000 mails in 7 days (4)"
    _, alarmed = told(mails=1_000, spam=3)
    assert alarmed
