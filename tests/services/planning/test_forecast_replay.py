"""A day that was lived is lived again: recorded inputs, gate times and provider outcomes give the same decisions."""

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from planning_kit import KEYRING, NEWSLETTER, POLICY, add_customer, add_event, plan, publish, rule_files, utc

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.domain.consent import ConsentEvent, ConsentState, Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.message import Lane, Message
from outbound.domain.policy import Topic
from outbound.engine.rendering import Links
from outbound.services import forecast, releases
from outbound.services.dispatch import Dispatcher
from outbound.services.forecast import Account, Stretch
from outbound.services.forecast.course import live
from outbound.services.forecast.past import rewind
from outbound.services.forecast.recorded import RecordedAnswers
from outbound.services.forecast.unplugged import unplugged
from outbound.services.releases import Active
from outbound.storage import consents, tables
from outbound.storage.database import Database
from outbound.storage.schema import migrate
from outbound.testing.smtp_server import SmtpServer

MORNING = utc("2026-05-04 06:00")
STOPS = ("06:00", "06:20", "07:29", "08:00", "08:02", "08:40", "09:15", "11:00", "14:31", "19:45", "23:10")
"""When the daemon of that day looked; 10:00 in Rome is 08:00."""
EVENING = "2026-05-05 06:30"
ORDER = """
rule: order
owner: ops@shop.example
topic: orders
when: {event: order.placed, if: event.total > 5}
who: has(customer.email)
once: "{event.order_id}"
send: {template: order, channels: [email]}
"""
OFFERS = NEWSLETTER.replace("rule: news", "rule: offers")
PEOPLE = ("ada", "ben", "cleo", "dan", "eva", "fay", "gus")


@pytest.fixture
def lived(tmp_path: Path) -> Iterator[Database]:
    """A day of a shop: two letters under a cap, orders, a withdrawal, a mailbox that does not exist, a slow one."""
    database = Database(f"sqlite:///{tmp_path / 'outbound.db'}")
    migrate(database)
    rules = (NEWSLETTER.replace("=SU", "=MO"), OFFERS.replace("=SU", "=MO"), ORDER)
    policy = POLICY + "\ncaps:\n  - {class: marketing, max: 1, per: day}\nsuppress:\n  - {event: bounced.hard}\n"
    active = publish(database, {**rule_files(*rules), "rules/policy.yaml": policy.encode()}, utc("2026-05-04 05:00"))
    for name in PEOPLE:
        add_customer(database, name, consent=name != "gus")
    modes = ("rcpt=550 5.1.1 no such user for ^fay", "rcpt=451 4.3.0 later for ^eva times 1")
    try:
        with SmtpServer(tmp_path, modes=modes) as server:
            asyncio.run(_day(database, active, server.port))
        yield database
    finally:
        database.close()


async def _day(database: Database, active: Active, port: int) -> None:
    dispatcher = Dispatcher(
        database,
        adapters={ChannelName.EMAIL: SmtpAdapter(SmtpSettings(host="127.0.0.1", port=port, tls=Tls.NONE))},
        keyring=KEYRING,
        active=lambda: active,
        load_release=lambda release: releases.by_id(database, release),
        links=_links,
    )
    for at in (*(utc(f"2026-05-04 {stop}") for stop in STOPS), utc(EVENING)):
        _happen(database, at)
        plan(database, active, at)
        for lane in Lane:
            while (await dispatcher.run_slice(lane, now=at)).claimed:
                pass
    await dispatcher.close()


def _happen(database: Database, now: datetime) -> None:
    """What customers did by the stop at ``now``, received a minute before."""
    at = now - timedelta(minutes=1)
    match f"{now:%H:%M}":
        case "06:20":
            add_event(database, "o1", "order.placed", "ada", {"order_id": "A1", "total": 10}, at)
            add_event(database, "o2", "order.placed", "ben", {"order_id": "B1", "total": 3}, at)
        case "07:29":
            with database.write() as connection:
                consents.record(connection, _withdrawn("cleo", at))
        case "09:15":
            add_event(database, "o3", "order.placed", "fay", {"order_id": "F1", "total": 30}, at)
            add_event(database, "o1", "order.placed", "ada", {"order_id": "A1", "total": 10}, at)
        case "14:31":
            add_event(database, "o4", "order.placed", "dan", {"order_id": "D1", "total": 30}, at)


def test_a_virtual_clock_makes_the_decisions_of_the_day_again_one_by_one(lived: Database) -> None:
    with forecast.copied(str(lived.url)) as scratch:
        stretch = Stretch(start=utc("2026-05-04 05:30"), until=utc(EVENING))
        moments = [at.replace(microsecond=0) for at in _moments(scratch)]
        answers = RecordedAnswers.of(scratch)
        past = rewind(scratch, stretch.start, until=stretch.until)
        assert _decisions(scratch) == {}
        assert _messages(scratch) == {}
        active = forecast.adopt(scratch, None, now=stretch.start)
        assert not isinstance(active, tuple)
        account = Account(channel=ChannelName.EMAIL, name="smtp")
        kit = unplugged(scratch, [account], keyring=KEYRING, active=lambda: active)
        live(scratch, kit, active, stretch, feeds=[past], answer=answers.answer, moments=moments)
        decided, again = _decisions(lived), _decisions(scratch)
        assert len(decided) > 12
        for key, decision in decided.items():
            assert again[key] == decision, key
        assert again.keys() == decided.keys()
        sent, repeated = _messages(lived), _messages(scratch)
        for key, message in sent.items():
            assert repeated[key] == message, key
        assert repeated.keys() == sent.keys()
        assert _attempts(scratch) == _attempts(lived)
        states = {message[0] for message in sent.values()}
        assert states >= {"sent", "failed", "skipped"}


def _decisions(database: Database) -> dict[tuple[str, ...], tuple[object, ...]]:
    decision = tables.decision
    with database.read() as connection:
        return {
            (row.rule, row.once, row.customer_id): (
                row.verdict, row.reason, row.detail, row.channel, row.release, row.rule_version, row.at,
            )
            for row in connection.execute(sa.select(decision))
        }  # fmt: skip


def _messages(database: Database) -> dict[tuple[str, ...], tuple[object, ...]]:
    message = tables.message
    with database.read() as connection:
        return {
            (row.rule, row.once, row.customer_id): (
                row.state, row.reason, row.detail, row.held_by, row.leg, row.attempts, _second(row.sent_at),
            )
            for row in connection.execute(sa.select(message))
        }  # fmt: skip


def _attempts(database: Database) -> list[tuple[object, ...]]:
    message, attempt = tables.message, tables.attempt
    query = (
        sa.select(message.c.rule, message.c.customer_id, attempt.c.leg, attempt.c.n, attempt.c.outcome)
        .join(message, message.c.id == attempt.c.message_id)
        .order_by(message.c.rule, message.c.customer_id, attempt.c.started_at)
    )
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(query)]


def _moments(database: Database) -> list[datetime]:
    """Every moment at which the record shows the daemon at work: a decision, a gate, an attempt, an event it took."""
    columns = (
        tables.decision.c.at,
        tables.attempt.c.started_at,
        tables.message.c.updated_at,
        tables.event.c.handled_at,
        tables.run.c.started_at,
    )
    with database.read() as connection:
        found = {_second(at) for column in columns for at in connection.execute(sa.select(column)).scalars() if at}
    return sorted(at for at in found if at is not None)


def _second(at: datetime | None) -> datetime | None:
    """A slow machine's gate may look a second later than its slice began."""
    return at if at is None else at.replace(second=0, microsecond=0)


def _withdrawn(customer: str, at: datetime) -> ConsentEvent:
    return ConsentEvent(
        id=f"w-{customer}",
        customer_id=customer,
        topic="newsletter",
        channel=None,
        state=ConsentState.WITHDRAWN,
        at=at,
        recorded_at=at,
        evidence=Evidence(source="test"),
    )


def _links(message: Message, channel: ChannelName, *, topic: Topic) -> Links:  # noqa: ARG001 - as dispatch asks
    return Links(unsubscribe="https://shop.example/u/1" if topic.declinable else "", preferences="", assets="")
