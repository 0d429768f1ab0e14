"""One customer's record and timeline, and two records made one; on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from outbound.domain.consent import ConsentState, Evidence
from outbound.domain.customer import ChannelName, Event, OwnQuietHours, Preference
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.services import customers, preferences
from outbound.storage import customers as store
from outbound.storage import events
from outbound.storage.database import Database
from outbound.storage.tables import consent, customer, customer_change, decision, leg, message

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def _add(database: Database, keyring: Keyring, identity: str, *, email: str = "", **columns: Any) -> None:
    addresses = {}
    if email:
        digest = keyring.address_hash("email", email)
        addresses[ChannelName.EMAIL] = store.StoredAddress(channel=ChannelName.EMAIL, value=email, hash=digest)
    attributes = {"first_name": identity.title(), identity: True}
    update = store.Update(customer_id=identity, columns=columns, attributes=attributes, addresses=addresses)
    with database.write() as connection:
        store.apply(connection, update, source="test", now=NOW - timedelta(days=90))


def _message(database: Database, identity: str, who: str, *, once: str, state: str, days: int = 0, **more: Any) -> None:
    at = NOW - timedelta(days=days)
    row = {
        "id": identity,
        "run_id": "r1",
        "rule": "news",
        "rule_version": "v",
        "release": "x",
        "once": once,
        "customer_id": who,
        "template": "news",
        "topic": "newsletter",
        "message_class": "marketing",
        "lane": "bulk",
        "priority": 100,
        "channels": "email,sms",
        "context": {},
        "not_before": at,
        "expires": at + timedelta(days=3),
        "state": state,
        "created_at": at,
        "updated_at": at,
    }
    choice = {
        "rule": "news",
        "once": once,
        "customer_id": who,
        "step": "",
        "run_id": "r1",
        "release": "x",
        "rule_version": "v",
        "verdict": "send",
        "at": at,
    }
    with database.write() as connection:
        connection.execute(sa.insert(message).values(**row | more))
        connection.execute(sa.insert(decision).values(**choice))
        connection.execute(
            sa.insert(leg).values(
                message_id=identity, n=1, channel="email", customer_id=who, address="x", cost=0, at=at
            )
        )


def _withdraw(database: Database, who: str, *, state: ConsentState, days: int) -> None:
    say = preferences.grant if state is ConsentState.GRANTED else preferences.withdraw
    say(
        database,
        customer_id=who,
        topic="newsletter",
        channel=ChannelName.EMAIL,
        evidence=Evidence(source="web form"),
        now=NOW,
        at=NOW - timedelta(days=days),
    )


def test_a_customer_is_found_by_id_email_in_any_case_and_phone_in_any_spelling(
    database: Database, keyring: Keyring
) -> None:
    _add(database, keyring, "ada", email="Ada@shop.example")
    phone = store.StoredAddress(
        channel=ChannelName.SMS, value="+393401234567", hash=keyring.address_hash("sms", "+393401234567")
    )
    with database.write() as connection:
        update = store.Update(customer_id="ada", addresses={ChannelName.SMS: phone})
        store.apply(connection, update, source="test", now=NOW)
    for text in ("ada", "ada@SHOP.example", "+39 340 123-4567"):
        assert customers.find_one(database, keyring, text) == "ada"
    with pytest.raises(OutboundError, match=r"no such customer \[customer.unknown\]"):
        customers.find_one(database, keyring, "nobody@shop.example")
    _add(database, keyring, "eve", email="ada@shop.example")
    with pytest.raises(OutboundError, match=r"customer.ambiguous.*ada, eve"):
        customers.find_one(database, keyring, "ada@shop.example")


def test_the_record_is_whole_and_its_timeline_newest_first(database: Database, keyring: Keyring) -> None:
    _add(database, keyring, "ada", email="ada@shop.example", country="IT")
    _withdraw(database, "ada", state=ConsentState.GRANTED, days=50)
    preferences.suppress(
        database,
        keyring,
        channel=ChannelName.EMAIL,
        address="ada@shop.example",
        scope="all",
        reason="bounced.hard",
        now=NOW,
    )
    _message(database, "m1", "ada", once="2026-11", state="sent", days=3, sent_at=NOW - timedelta(days=3))
    _message(database, "m2", "ada", once="2026-12", state="skipped", days=1, reason="consent", detail="newsletter")
    skip = {"rule": "gift", "once": "2026", "customer_id": "ada", "step": "", "run_id": "r", "release": "x"}
    with database.write() as connection:
        at = NOW - timedelta(days=2)
        connection.execute(
            sa.insert(decision).values(**skip, rule_version="v", verdict="skip", reason="unreachable", at=at)
        )
        bought = Event(
            id="e1",
            name="order.placed",
            customer_id="ada",
            data={"total": 9},
            at=NOW - timedelta(days=20),
            received_at=NOW,
        )
        events.append(connection, [bought], now=NOW, fire=True)
    record = customers.show(database, keyring, "ada@shop.example")
    assert [(e.kind, e.title, e.channel, e.state, e.reason) for e in record.timeline] == [
        ("message", "news", "email", "skipped", "consent.newsletter"),
        ("decision", "gift", "", "skip", "unreachable"),
        ("message", "news", "email", "sent", ""),
        ("event", "order.placed", "", "waiting", ""),
        ("consent", "newsletter", "email", "granted", ""),
        ("change", "email", "", "", ""),
        ("change", "ada", "", "", ""),
        ("change", "first_name", "", "", ""),
        ("change", "country", "", "", ""),
    ]
    assert record.timeline[2].details["sent_at"] == NOW - timedelta(days=3)
    assert [(s.topic, s.channel, s.entry.state.value) for s in record.consents] == [("newsletter", "email", "granted")]
    assert [(b.channel.value, b.reason) for b in record.suppressions] == [("email", "bounced.hard")]
    assert record.customer.country == "IT"
    assert record.older is None


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_of_the_timeline_show_every_entry_once(database: Database, keyring: Keyring, limit: int) -> None:
    """Also entries of one moment, of one kind and of several."""
    _add(database, keyring, "ada", email="ada@shop.example", country="IT")
    for number in range(4):
        _message(database, f"m{number}", "ada", once=str(number), state="sent", days=90)
    whole = customers.show(database, keyring, "ada", limit=100).timeline
    assert len(whole) == 8
    pages, before = [], None
    while True:
        record = customers.show(database, keyring, "ada", limit=limit, before=before)
        pages += record.timeline
        if record.older is None:
            break
        before = record.older
    assert tuple(pages) == whole


def test_merging_moves_everything_and_fills_gaps_but_the_survivor_wins(database: Database, keyring: Keyring) -> None:
    _add(database, keyring, "old", email="old@shop.example", country="FR", language="fr")
    _add(database, keyring, "new", country="IT")
    _message(database, "m1", "old", once="2026-10", state="sent")
    with database.write() as connection:
        happened = Event(id="e1", name="order.placed", customer_id="old", data={}, at=NOW, received_at=NOW)
        events.append(connection, [happened], now=NOW, fire=False)
    _withdraw(database, "old", state=ConsentState.GRANTED, days=5)
    result = customers.merge(database, loser="old", winner="new", by="mia", now=NOW)
    assert (result.messages, result.decisions, result.events, result.consents) == (1, 1, 1, 1)
    assert (result.addresses, set(result.filled)) == (("email",), {"language", "old"})
    record = customers.show(database, keyring, "old")
    assert (record.customer.id, record.also, record.customer.country) == ("new", ("old",), "IT")
    assert record.customer.preference.language == "fr"
    assert record.customer.attributes == {"first_name": "New", "new": True, "old": True}
    assert record.customer.zone_source == "country:IT"
    assert {e.kind for e in record.timeline} == {"message", "event", "consent", "change"}
    with database.read() as connection:
        row = connection.execute(sa.select(customer).where(customer.c.id == "old")).mappings().one()
        assert (row["merged_into"], row["country"], row["attributes"]) == ("new", None, {})
        assert set(connection.execute(sa.select(leg.c.customer_id)).scalars()) == {"new"}
        told = sa.select(customer_change.c.new).where(
            customer_change.c.attribute == "merged_from", customer_change.c.source == "merge by mia"
        )
        assert list(connection.execute(told).scalars()) == ["old"]


def test_a_dry_run_of_a_merge_says_the_same_and_keeps_nothing(database: Database, keyring: Keyring) -> None:
    _add(database, keyring, "old", email="old@shop.example")
    _add(database, keyring, "new")
    planned = customers.merge(database, loser="old", winner="new", by="mia", now=NOW, dry_run=True)
    assert customers.find_one(database, keyring, "old@shop.example") == "old"
    assert customers.merge(database, loser="old", winner="new", by="mia", now=NOW) == planned
    assert customers.find_one(database, keyring, "old@shop.example") == "new"


@pytest.mark.parametrize(
    ("loser", "winner", "stays", "cancelled"),
    [
        (("scheduled", 5), ("scheduled", 1), "loser", 1),
        (("scheduled", 1), ("scheduled", 5), "winner", 1),
        (("scheduled", 5), ("sent", 1), "winner", 1),
        (("sent", 1), ("ready", 5), "loser", 1),
        (("sent", 5), ("sent", 1), "loser", 0),
        (("skipped", 1), ("sent", 5), "winner", 0),
    ],
)
def test_of_two_messages_with_one_key_one_stays_and_nobody_gets_a_second_copy(
    database: Database,
    keyring: Keyring,
    *,
    loser: tuple[str, int],
    winner: tuple[str, int],
    stays: str,
    cancelled: int,
) -> None:
    """State and age in days of each; handed over comes before older."""
    _add(database, keyring, "old")
    _add(database, keyring, "new")
    _message(database, "loser", "old", once="k", state=loser[0], days=loser[1])
    _message(database, "winner", "new", once="k", state=winner[0], days=winner[1])
    result = customers.merge(database, loser="old", winner="new", by="mia", now=NOW)
    assert result.cancelled == cancelled
    with database.read() as connection:
        rows = {row.id: (row.customer_id, row.state) for row in connection.execute(sa.select(message))}
        kept = connection.execute(sa.select(decision.c.at).where(decision.c.customer_id == "new")).scalar_one()
    other = "winner" if stays == "loser" else "loser"
    states = {"loser": loser[0], "winner": winner[0]}
    assert rows[stays] == ("new", states[stays])
    assert rows[other] == ("old", "cancelled" if cancelled else states[other])
    assert kept == NOW - timedelta(days=max(loser[1], winner[1]))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((ConsentState.WITHDRAWN, 9), (ConsentState.GRANTED, 1), "withdrawn"),
        ((ConsentState.GRANTED, 1), (ConsentState.WITHDRAWN, 9), "withdrawn"),
        ((ConsentState.GRANTED, 1), (ConsentState.GRANTED, 9), "granted"),
    ],
)
def test_of_two_words_on_one_topic_a_withdrawal_stays(
    database: Database,
    keyring: Keyring,
    old: tuple[ConsentState, int],
    new: tuple[ConsentState, int],
    expected: str,
) -> None:
    _add(database, keyring, "old")
    _add(database, keyring, "new")
    _withdraw(database, "old", state=old[0], days=old[1])
    _withdraw(database, "new", state=new[0], days=new[1])
    customers.merge(database, loser="old", winner="new", by="mia", now=NOW)
    with database.read() as connection:
        assert [(r.customer_id, r.state) for r in connection.execute(sa.select(consent))] == [("new", expected)]
    assert len(customers.show(database, keyring, "new").ledger) == 2


def test_merged_customers_follow_along_and_merging_twice_is_refused(database: Database, keyring: Keyring) -> None:
    for identity in ("a", "b", "c"):
        _add(database, keyring, identity)
    customers.merge(database, loser="a", winner="b", by="mia", now=NOW)
    customers.merge(database, loser="b", winner="c", by="mia", now=NOW)
    assert customers.find_one(database, keyring, "a") == "c"
    for pair in (("a", "c"), ("c", "a"), ("c", "c")):
        with pytest.raises(OutboundError, match=r"customer.merge"):
            customers.merge(database, loser=pair[0], winner=pair[1], by="mia", now=NOW)
    with pytest.raises(OutboundError, match=r"customer.unknown"):
        customers.merge(database, loser="x", winner="c", by="mia", now=NOW)


def test_words_for_a_merged_customer_reach_the_survivor(database: Database, keyring: Keyring) -> None:
    """The unsubscribe link in a mail sent before the merge still works."""
    _add(database, keyring, "old")
    _add(database, keyring, "new")
    customers.merge(database, loser="old", winner="new", by="mia", now=NOW)
    evidence = Evidence(source="unsubscribe link")
    assert preferences.withdraw(
        database, customer_id="old", topic="newsletter", channel=None, evidence=evidence, now=NOW
    )
    record = customers.show(database, keyring, "new")
    assert [s.entry.state.value for s in record.consents] == ["withdrawn"]


def test_preferences_are_set_as_a_whole_with_history_and_zone(database: Database, keyring: Keyring) -> None:
    _add(database, keyring, "ada", country="IT", language="it")
    wish = Preference(
        channel=ChannelName.SMS, timezone="Europe/Paris", quiet_hours=OwnQuietHours(start=time(22), end=time(7, 30))
    )
    changes = preferences.set_preferences(database, customer_id="ada", preference=wish, source="page", now=NOW)
    assert {c.attribute: (c.old, c.new) for c in changes} == {
        "preferred_channel": (None, "sms"),
        "language": ("it", None),
        "timezone": (None, "Europe/Paris"),
        "quiet_from": (None, "22:00"),
        "quiet_to": (None, "07:30"),
    }
    record = customers.show(database, keyring, "ada")
    assert (record.customer.preference, record.customer.zone_source) == (wish, "tz:Europe/Paris")
    with pytest.raises(OutboundError, match=r"customer.unknown"):
        preferences.set_preferences(database, customer_id="x", preference=wish, source="page", now=NOW)


def test_a_consent_without_a_source_is_refused(database: Database) -> None:
    with pytest.raises(OutboundError, match=r"consent.evidence"):
        preferences.grant(
            database, customer_id="ada", topic="newsletter", channel=None, evidence=Evidence(source=""), now=NOW
        )
