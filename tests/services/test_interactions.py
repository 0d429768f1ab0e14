"""What customers say stands on their timeline beside what was sent; on SQLite and on PostgreSQL."""

from datetime import UTC, datetime, timedelta

from outbound.domain.customer import ChannelName
from outbound.domain.interaction import Interaction, InteractionKind
from outbound.domain.keyring import Keyring
from outbound.services import customers
from outbound.storage import customers as store
from outbound.storage import interactions
from outbound.storage.database import Database

NOW = datetime(2026, 11, 30, 9, tzinfo=UTC)


def contact(identity: str, **more: object) -> Interaction:
    base: dict[str, object] = {
        "id": identity,
        "customer_id": "ada",
        "kind": InteractionKind.REPLY,
        "channel": ChannelName.EMAIL,
        "subject": "Re: Your parcel",
        "text": "Where is it?",
        "at": NOW,
        "recorded_at": NOW,
        "source": "mail",
        "key": identity,
    }
    return Interaction(**(base | more))  # type: ignore[arg-type]


def add_customer(database: Database, identity: str) -> None:
    with database.write() as connection:
        update = store.Update(customer_id=identity, attributes={"first_name": identity.title()})
        store.apply(connection, update, source="test", now=NOW - timedelta(days=9))


def test_a_contact_is_recorded_once_and_read_back_whole(database: Database) -> None:
    said = contact("i1", message_id="m1", leg=1, attention="keyword", details={"in_reply_to": "<x@shop.example>"})
    with database.write() as connection:
        assert interactions.add(connection, said)
        assert not interactions.add(connection, contact("i2", key="i1", text="another"))
        assert interactions.by_key(connection, "mail", "i1") == said
        assert interactions.by_key(connection, "twilio", "i1") is None


def test_notes_without_a_key_of_their_source_are_each_their_own(database: Database) -> None:
    with database.write() as connection:
        for identity in ("i1", "i2"):
            assert interactions.add(connection, contact(identity, key="", kind=InteractionKind.CALL, channel=None))
        assert interactions.by_key(connection, "mail", "") is None


def test_contacts_stand_on_the_timeline_and_follow_a_merge(database: Database, keyring: Keyring) -> None:
    for identity in ("ada", "ada2"):
        add_customer(database, identity)
    with database.write() as connection:
        interactions.add(connection, contact("i1", message_id="m1", leg=1))
        called = {"kind": InteractionKind.CALL, "channel": None, "by": "mia", "at": NOW - timedelta(hours=1)}
        interactions.add(connection, contact("i2", subject="", **called))
    merged = customers.merge(database, loser="ada", winner="ada2", by="mia", now=NOW)
    assert merged.interactions == 2
    shown = [e for e in customers.show(database, keyring, "ada2").timeline if e.kind == "interaction"]
    assert [(e.state, e.channel, e.title, e.details["text"], e.details["message"], e.details["by"]) for e in shown] == [
        ("reply", "email", "Re: Your parcel", "Where is it?", "m1", ""),
        ("call", "", "", "Where is it?", "", "mia"),
    ]
