"""Writers on PostgreSQL lock in one order: nobody waits in a ring, and what the gate read stands until it commits."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from datetime import timedelta
from random import Random
from typing import TypeVar

import pytest
import sqlalchemy as sa
from import_shop import FIELDS, NOW, Shop

from outbound.domain.consent import ConsentEvent, ConsentState, Evidence, Suppression
from outbound.domain.customer import ChannelName
from outbound.domain.ids import new_id
from outbound.domain.person import Person
from outbound.services import customers, preferences
from outbound.storage import consents, outbox_claims, people, suppressions
from outbound.storage.database import Database
from outbound.storage.tables import message

T = TypeVar("T")
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)

PATIENCE = 30
EVIDENCE = Evidence(source="preference page", actor="customer")
_WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


@contextmanager
def beside(work: Callable[[], T]) -> Iterator[Future[T]]:
    """Run ``work`` in a thread beside the block."""
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit(work)


def waits(database: Database, future: Future[T]) -> bool:
    """Whether ``future`` comes to wait for a lock rather than to its end."""
    for _ in range(PATIENCE * 50):
        with database.read() as connection:
            if connection.execute(_WAITING).scalar_one():
                return True
        try:
            future.exception(timeout=0.02)
        except NotYet:
            continue
        return False
    raise AssertionError("neither waits nor ends")


def _one(shop: Shop) -> None:
    shop.customers(FIELDS + "email: email", "id,email\nada,ada@shop.example\n")
    preferences.grant(shop.database, customer_id="ada", topic="newsletter", channel=None, evidence=EVIDENCE, now=NOW)


def _wanted(person: Person) -> bool:
    return person.consents["newsletter", ""].state is ConsentState.GRANTED and not person.suppressed


def _withdraw(shop: Shop) -> None:
    preferences.withdraw(shop.database, customer_id="ada", topic="newsletter", channel=None, evidence=EVIDENCE, now=NOW)


def _suppress(shop: Shop) -> None:
    preferences.suppress(
        shop.database,
        shop.keyring,
        channel=ChannelName.EMAIL,
        address="ada@shop.example",
        scope="all",
        reason="stop",
        now=NOW,
    )


def _import_no(shop: Shop) -> None:
    mapping = "import: customers\nkey: id\nconsents:\n  - {topic: newsletter, state: withdrawn, at: now}\n"
    shop.customers(mapping, "id\nada\n", now=NOW + timedelta(hours=1))


@pytest.mark.parametrize("no", [_withdraw, _suppress, _import_no])
def test_a_no_after_the_gate_has_read_waits_for_the_gate(shop: Shop, no: Callable[[Shop], None]) -> None:
    _one(shop)
    with ThreadPoolExecutor(1) as threads:
        with shop.database.write() as connection:
            assert _wanted(people.load_people(connection, ["ada"], for_update=True)["ada"])
            said = threads.submit(no, shop)
            assert waits(shop.database, said)
            assert _wanted(people.load_people(connection, ["ada"])["ada"])
        said.result(PATIENCE)
    assert not _wanted(shop.person("ada"))


def _word(_shop: Shop, connection: sa.Connection) -> None:
    word = ConsentEvent(
        id=new_id(NOW),
        customer_id="ada",
        topic="newsletter",
        channel=None,
        state=ConsentState.WITHDRAWN,
        at=NOW,
        recorded_at=NOW,
        evidence=EVIDENCE,
    )
    assert consents.record(connection, word)


def _block(shop: Shop, connection: sa.Connection) -> None:
    digest = shop.keyring.address_hash("email", "ada@shop.example")
    block = Suppression(channel=ChannelName.EMAIL, address_hash=digest, scope="all", reason="stop", at=NOW)
    assert suppressions.add(connection, [block])


@pytest.mark.parametrize("say", [_word, _block])
def test_a_gate_that_comes_while_a_no_is_written_waits_and_sees_it(
    shop: Shop, say: Callable[[Shop, sa.Connection], None]
) -> None:
    _one(shop)

    def gate() -> Person:
        with shop.database.write() as connection:
            return people.load_people(connection, ["ada"], for_update=True)["ada"]

    with ThreadPoolExecutor(1) as threads:
        with shop.database.write() as connection:
            say(shop, connection)
            asked = threads.submit(gate)
            assert waits(shop.database, asked)
        assert not _wanted(asked.result(PATIENCE))


def _claimed(shop: Shop, identity: str, who: str) -> None:
    row = {
        "id": identity,
        "run_id": "r",
        "rule": "news",
        "rule_version": "v",
        "release": "x",
        "once": identity,
        "customer_id": who,
        "template": "news",
        "topic": "newsletter",
        "message_class": "marketing",
        "lane": "bulk",
        "priority": 100,
        "channels": "email",
        "context": {},
        "not_before": NOW,
        "expires": NOW + timedelta(days=1),
        "state": "claimed",
        "lease_token": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }
    with shop.database.write() as connection:
        connection.execute(sa.insert(message).values(**row))


def test_a_merge_of_two_customers_waits_for_a_gate_that_holds_their_messages(shop: Shop) -> None:
    shop.customers(FIELDS + "first_name: name", "id,name\nold,A\nnew,B\n")
    _claimed(shop, "m1", "old")

    def merge() -> None:
        customers.merge(shop.database, loser="old", winner="new", by="mia", now=NOW)

    with ThreadPoolExecutor(1) as threads:
        with shop.database.write() as connection:
            assert outbox_claims.lock_claimed(connection, {"m1": 1}) == {"m1"}
            merged = threads.submit(merge)
            assert waits(shop.database, merged)
            assert set(people.load_people(connection, ["old"], for_update=True)) == {"old"}
        merged.result(PATIENCE)
    with shop.database.read() as connection:
        assert connection.execute(sa.select(message.c.customer_id)).scalar_one() == "new"


def test_imports_beside_gates_never_deadlock(shop: Shop) -> None:
    """The file names them in another order than the table, and the gates ask for any of them."""
    random = Random(7)  # noqa: S311 - an order, no secret
    ids = [f"c{n:04d}" for n in range(1500)]
    word = "{topic: newsletter, state: withdrawn, when: {column: no, in: ['1']}, at: now}"
    mapping = f"{FIELDS}first_name: name\n  email: email\nconsents:\n  - {word}\n"
    random.shuffle(ids)
    header = "id,name,email,no\n"
    shop.customers(mapping, header + "".join(f"{i},A,{i}@shop.example,0\n" for i in ids))

    def imports() -> int:
        for number in range(4):
            random.shuffle(ids)
            lines = (f"{i},B{number},{i}.{number}@shop.example,{number % 2}\n" for i in ids)
            shop.customers(mapping, header + "".join(lines), now=NOW + timedelta(hours=number))
        return 4

    asked = Random(8)  # noqa: S311 - an order, no secret
    with beside(imports) as importing:
        for _ in range(2000):
            some = asked.sample(sorted(ids), 200)
            with shop.database.write() as connection:
                assert len(people.load_people(connection, some, for_update=True)) == 200
            if importing.done():
                break
        assert importing.result(PATIENCE) == 4
