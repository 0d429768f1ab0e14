"""The people loader, consent ledger, suppressions and events, on both databases."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
import sqlalchemy as sa

from outbound.domain.consent import ConsentEvent, ConsentState, Evidence, Suppression
from outbound.domain.customer import AddressState, ChannelName, Event
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.storage import consents, customers, events, people, suppressions
from outbound.storage.database import Database
from outbound.storage.tables import consent, consent_event, customer, customer_change

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def _add(database: Database, keyring: Keyring, identity: str, **columns: object) -> None:
    update = customers.Update(
        customer_id=identity,
        columns=columns,
        attributes={"first_name": "Ada", "spent": 12.5, "is_adult": True},
        addresses={
            ChannelName.EMAIL: customers.StoredAddress(
                channel=ChannelName.EMAIL,
                value=f"{identity}@shop.example",
                hash=keyring.address_hash("email", f"{identity}@shop.example"),
            ),
            ChannelName.SMS: customers.StoredAddress(
                channel=ChannelName.SMS,
                value="+390000",
                hash=keyring.address_hash("sms", "+390000"),
                state=AddressState.UNREACHABLE,
            ),
        },
    )
    with database.write() as connection:
        customers.apply(connection, update, source="test", now=NOW)


def _word(state: ConsentState, *, channel: ChannelName | None, at: datetime = NOW, **more: str) -> ConsentEvent:
    return ConsentEvent(
        id=new_id(NOW),
        customer_id="ada",
        topic="newsletter",
        channel=channel,
        state=state,
        at=at,
        recorded_at=NOW,
        evidence=Evidence(source="web form", wording="Yes please"),
        **more,
    )


def _consents(database: Database) -> dict[tuple[str, str], str]:
    with database.read() as connection:
        entries = people.load_people(connection, ["ada"])["ada"].consents
    return {key: entry.state.value for key, entry in entries.items()}


def test_a_person_is_loaded_whole(database: Database, keyring: Keyring) -> None:
    _add(
        database,
        keyring,
        "ada",
        country="IT",
        language="it",
        timezone="Europe/Rome",
        preferred_channel="sms",
        quiet_from="22:00",
        quiet_to="08:00",
        pause_from=date(2026, 12, 24),
        pause_to=date(2026, 12, 26),
    )
    with database.write() as connection:
        consents.record(connection, _word(ConsentState.GRANTED, channel=ChannelName.EMAIL, address="ada@shop.example"))
        block = Suppression(
            channel=ChannelName.SMS,
            address_hash=keyring.address_hash("sms", "+390000"),
            scope="all",
            reason="bounced.hard",
            at=NOW,
        )
        assert suppressions.add(connection, [block]) == 1
        assert suppressions.add(connection, [block]) == 0
    with database.read() as connection:
        found = people.load_people(connection, ["ada", "nobody", "ada"])
    assert list(found) == ["ada"]
    person = found["ada"]
    assert person.customer.attributes == {"first_name": "Ada", "spent": 12.5, "is_adult": True}
    assert person.customer.country == "IT"
    assert person.customer.updated_at == NOW
    email, sms = person.customer.address(ChannelName.EMAIL), person.customer.address(ChannelName.SMS)
    assert email is not None
    assert (email.value, email.state) == ("ada@shop.example", AddressState.OK)
    assert sms is not None
    assert sms.state is AddressState.UNREACHABLE
    preference = person.customer.preference
    assert (preference.channel, preference.language, preference.timezone) == (ChannelName.SMS, "it", "Europe/Rome")
    assert preference.quiet_hours is not None
    assert (preference.quiet_hours.start, preference.quiet_hours.end) == (time(22), time(8))
    assert [(p.start, p.end) for p in preference.pauses] == [(date(2026, 12, 24), date(2026, 12, 26))]
    entry = person.consents["newsletter", "email"]
    assert (entry.state, entry.address, entry.basis) == (ConsentState.GRANTED, "ada@shop.example", "consent")
    assert person.suppressed == {("sms", "all")}


def test_a_block_on_a_shared_address_holds_for_everybody_who_has_it(database: Database, keyring: Keyring) -> None:
    _add(database, keyring, "ada")
    _add(database, keyring, "bob")
    with database.write() as connection:
        digest = keyring.address_hash("sms", "+390000")
        suppressions.add(
            connection,
            [Suppression(channel=ChannelName.SMS, address_hash=digest, scope="marketing", reason="stop", at=NOW)],
        )
    with database.read() as connection:
        found = people.load_people(connection, ["ada", "bob"])
    assert {p.suppressed for p in found.values()} == {frozenset({("sms", "marketing")})}


def test_more_people_than_one_statement_carries(database: Database) -> None:
    rows = [
        {"id": f"c{n}", "country": "IT", "zone_source": "country:IT", "attributes": {"n": n}} for n in range(12_001)
    ]
    with database.write() as connection:
        connection.execute(sa.insert(customer), [r | {"created_at": NOW, "updated_at": NOW} for r in rows])
    with database.read() as connection:
        found = people.load_people(connection, [r["id"] for r in rows], for_update=False)  # type: ignore[misc]
    assert len(found) == 12_001
    assert found["c12000"].customer.attributes == {"n": 12_000}


def test_locked_loading_gives_the_same_people(database: Database, keyring: Keyring) -> None:
    _add(database, keyring, "ada")
    with database.write() as connection:
        locked = people.load_people(connection, ["ada"], for_update=True)
    with database.read() as connection:
        assert people.load_people(connection, ["ada"]) == locked


def test_a_withdrawal_for_all_channels_ends_what_was_granted_on_one(database: Database) -> None:
    with database.write() as connection:
        connection.execute(
            sa.insert(customer).values(id="ada", attributes={}, zone_source="", created_at=NOW, updated_at=NOW)
        )
        assert consents.record(connection, _word(ConsentState.GRANTED, channel=ChannelName.EMAIL))
        assert consents.record(connection, _word(ConsentState.WITHDRAWN, channel=None, at=NOW + timedelta(1)))
    assert _consents(database) == {("newsletter", ""): "withdrawn", ("newsletter", "email"): "withdrawn"}
    with database.read() as connection:
        assert [e.state.value for e in consents.ledger(connection, "ada")] == ["granted", "withdrawn"]


def test_repeating_a_withdrawal_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        assert consents.record(connection, _word(ConsentState.WITHDRAWN, channel=None))
        assert not consents.record(connection, _word(ConsentState.WITHDRAWN, channel=None, at=NOW + timedelta(1)))
        assert len(connection.execute(sa.select(consent_event)).all()) == 1


def test_an_older_word_goes_into_the_ledger_and_changes_nothing(database: Database) -> None:
    with database.write() as connection:
        consents.record(connection, _word(ConsentState.WITHDRAWN, channel=ChannelName.EMAIL))
        consents.record(connection, _word(ConsentState.GRANTED, channel=ChannelName.EMAIL, at=NOW - timedelta(9)))
        assert len(connection.execute(sa.select(consent_event)).all()) == 2
        assert [row.state for row in connection.execute(sa.select(consent))] == ["withdrawn"]


def test_an_event_is_recorded_once_per_id_and_is_pending_only_when_it_fires(database: Database) -> None:
    def happened(identity: str, name: str, days: int) -> Event:
        at = NOW - timedelta(days=days)
        return Event(id=identity, name=name, customer_id="ada", data={"total": 9.5}, at=at, received_at=NOW)

    with database.write() as connection:
        past = [happened("a", "order.placed", 3), happened("b", "order.placed", 1)]
        assert events.append(connection, past, now=NOW, fire=False, source="import") == 2
        assert events.append(connection, [*past, happened("c", "cart.left", 0)], now=NOW, fire=True) == 1
        assert [e.id for e in events.pending(connection, limit=9)] == ["c"]
        assert [e.id for e in events.history(connection, ["ada"], ["order.placed"])["ada"]] == ["a", "b"]
        since = events.history(connection, ["ada", "x"], ["order.placed"], since=NOW - timedelta(days=2))
        assert [(e.id, e.data, e.at) for e in since["ada"]] == [("b", {"total": 9.5}, NOW - timedelta(days=1))]
        events.mark_handled(connection, ["c"], now=NOW)
        assert events.pending(connection, limit=9) == []
        assert events.history(connection, ["ada"], []) == {}


def test_history_holds_what_really_changed(database: Database, keyring: Keyring) -> None:
    _add(database, keyring, "ada", country="IT")
    update = customers.Update(
        customer_id="ada",
        columns={"country": "DE"},
        attributes={"first_name": "Ada", "spent": None},
        addresses={ChannelName.SMS: None},
    )
    with database.write() as connection:
        changes = customers.apply(connection, update, source="page", now=NOW + timedelta(1))
        assert [(c.attribute, c.old, c.new) for c in changes] == [
            ("country", "IT", "DE"),
            ("spent", 12.5, None),
            ("phone", "+390000", None),
        ]
        assert customers.apply(connection, update, source="page", now=NOW + timedelta(2)) == ()
        stored = connection.execute(sa.select(customer_change).where(customer_change.c.source == "page")).all()
    assert len(stored) == 3
    with database.read() as connection:
        person = people.load_people(connection, ["ada"])["ada"].customer
    assert person.attributes == {"first_name": "Ada", "is_adult": True}
    assert person.address(ChannelName.SMS) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_loading_is_quick(database: Database) -> None:
    """30,000 people a second is the aim; a tenth of it is asserted, so that a busy machine does not fail."""
    import time as clock

    count = 6_000
    with database.write() as connection:
        rows = [
            {
                "id": f"c{n}",
                "country": "IT",
                "attributes": {"a": n},
                "zone_source": "",
                "created_at": NOW,
                "updated_at": NOW,
            }
            for n in range(count)
        ]
        connection.execute(sa.insert(customer), rows)
    with database.read() as connection:
        started = clock.perf_counter()
        assert len(people.load_people(connection, [f"c{n}" for n in range(count)])) == count
        assert count / (clock.perf_counter() - started) > 3_000
