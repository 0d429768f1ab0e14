"""What came in is news once, whoever wrote it; what waits for something else is not news again and again."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from outbound.domain.customer import Event
from outbound.storage import events, tables
from outbound.storage.arrivals import Arrivals, News
from outbound.storage.database import Database
from outbound.storage.outbox import insert_messages

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
NOTHING = News()


def record(database: Database, name: str, at: datetime = NOW) -> None:
    event = Event(id=name, name="order.placed", customer_id="c", data={}, at=at, received_at=at)
    with database.write() as connection:
        events.append(connection, [event], now=at, fire=True)


def queue(database: Database, name: str, *, lane: str = "express", not_before: datetime = NOW) -> None:
    row = {
        "id": name,
        "run_id": "r",
        "rule": "order",
        "rule_version": "v",
        "release": "r",
        "once": name,
        "customer_id": name,
        "template": "t",
        "topic": "orders",
        "message_class": "transactional",
        "lane": lane,
        "priority": 900,
        "channels": "email",
        "context": {},
        "not_before": not_before,
        "expires": NOW + timedelta(days=1),
        "state": "ready",
        "created_at": NOW,
    }
    with database.write() as connection:
        insert_messages(connection, [row])


def test_an_event_is_news_once_while_it_waits_and_the_next_one_is_news_again(database: Database) -> None:
    other = Database(database.url.render_as_string(hide_password=False))  # as another process writes
    arrivals = Arrivals(database)
    assert arrivals.news(now=NOW) == NOTHING
    record(other, "a")
    assert arrivals.news(now=NOW) == News(events=True)
    assert arrivals.news(now=NOW) == NOTHING, "it waits for its customer"
    record(other, "b")
    assert arrivals.news(now=NOW) == News(events=True), "of the same microsecond"
    with other.write() as connection:
        connection.execute(sa.update(tables.event).values(handled_at=NOW))
    assert arrivals.news(now=NOW) == NOTHING
    arrivals.close()
    other.close()


def test_an_express_message_is_news_once_when_it_is_due_and_bulk_never(database: Database) -> None:
    arrivals = Arrivals(database)
    queue(database, "bulk", lane="bulk")
    queue(database, "later", not_before=NOW + timedelta(seconds=1))
    assert arrivals.news(now=NOW) == NOTHING
    queue(database, "a")
    assert arrivals.news(now=NOW) == News(express=True)
    assert arrivals.news(now=NOW) == NOTHING, "its account takes nothing"
    queue(database, "b")
    assert arrivals.news(now=NOW) == News(express=True)
    assert arrivals.news(now=NOW + timedelta(seconds=1)) == News(express=True), "its time has come"
    arrivals.close()


def test_sqlite_says_by_itself_whether_anybody_wrote(database: Database) -> None:
    other = Database(database.url.render_as_string(hide_password=False))
    arrivals = Arrivals(database)
    assert arrivals.moved()
    assert arrivals.moved() is not database.is_sqlite, "PostgreSQL is asked each time"
    record(other, "a")
    assert arrivals.moved()
    record(database, "b")
    assert arrivals.moved(), "by us, on another connection"
    arrivals.close()
    other.close()
