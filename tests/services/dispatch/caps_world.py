"""The small shop with caps: three marketing rules of falling priority, on e-mail and SMS."""

import asyncio
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, SMS, World, message_row, release, ruleset

from outbound.channels.email import mime
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.channels.sms import text
from outbound.domain.ids import new_id
from outbound.domain.message import Lane
from outbound.domain.policy import Arbitration, CalendarPeriod, Cap, CapUse, Losers, Topic
from outbound.domain.release import Ruleset
from outbound.services.releases import Active
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.outbox import insert_messages

DAILY = Cap(name="marketing.day", max=1, per=CalendarPeriod.DAY, message_class="marketing")
SMS_DAY = Cap(name="sms.day", max=1, per=CalendarPeriod.DAY, channel=SMS)
PRIORITIES = {"gift": 300, "offer": 200, "news": 100}
"""Priority by rule; each has a topic of its own, ``letters`` being that of ``news``."""


def capped(*caps: Cap, losers: Losers = Losers.DEFER) -> Ruleset:
    """The rules of the small shop and two more, under these caps. Transactional counts nowhere."""
    plain = ruleset()
    policy = plain.policy
    uses = {"security": CapUse.EXEMPT, "transactional": CapUse.COUNT, "marketing": CapUse.APPLY}
    classes = {name: replace(one, caps=uses[name]) for name, one in policy.classes.items()}
    topics = {name: replace(one, message_class=classes[one.message_class.name]) for name, one in policy.topics.items()}
    for rule in ("gift", "offer"):
        # everybody in the small shop said yes to ``letters`` alone: these ask for nothing
        topics[rule] = Topic(
            name=rule,
            message_class=classes["marketing"],
            priority=PRIORITIES[rule],
            consent=dict.fromkeys((EMAIL, SMS), classes["transactional"].consent),
        )
    both = plain.rules["both"].send
    rules = {
        **plain.rules,
        **{
            rule: replace(plain.rules["news"], id=rule, topic=rule, send=replace(both, templates={"": rule}))
            for rule in ("gift", "offer")
        },
    }
    changed = replace(policy, classes=classes, topics=topics, caps=caps, arbitration=Arbitration(losers=losers))
    return replace(plain, policy=changed, rules=rules)


def shop(database: Database, folder: Path, *caps: Cap, losers: Losers = Losers.DEFER) -> World:
    """A world over ``database`` whose mail and SMS land in a folder."""
    adapters = {
        EMAIL: MailboxAdapter(folder / "box", channel=EMAIL, pack=mime.pack),
        SMS: MailboxAdapter(folder / "box", channel=SMS, pack=text.pack),
    }
    return World(database=database, adapters=adapters, active=world_release(*caps, losers=losers))


def world_release(*caps: Cap, losers: Losers = Losers.DEFER) -> Active:
    """A release with the capped rules."""
    return release(rules=capped(*caps, losers=losers))


def row(rule: str, customer: str, **more: Any) -> dict[str, Any]:
    """One due marketing message of ``gift``, ``offer`` or ``news``; others as ``message_row`` has them."""
    if rule not in ("gift", "offer"):
        return message_row(rule, customer, **more)
    base = message_row("news", customer)
    own = {"run_id": f"run-{rule}", "rule": rule, "template": rule, "topic": rule, "priority": PRIORITIES[rule]}
    return {**base, "channels": "email,sms", **own, **more}


def put(database: Database, *rows: dict[str, Any]) -> list[str]:
    """Queue messages; answers their ids."""
    prepared = [{**one, "id": one.get("id") or new_id(NOW)} for one in rows]
    with database.write() as connection:
        insert_messages(connection, prepared)
    return [one["id"] for one in prepared]


def run(world: World, *, now: datetime = NOW, lane: Lane = Lane.BULK, slices: int = 1, **settings: Any) -> None:
    """``slices`` slices by a fresh worker."""

    async def main() -> None:
        dispatcher = world.dispatcher(**settings)
        for _ in range(slices):
            await dispatcher.run_slice(lane, now=now)
        await dispatcher.close()

    asyncio.run(main())


def found(database: Database) -> dict[tuple[str, str], Any]:
    """The messages by (rule, customer)."""
    with database.read() as connection:
        return {(row.rule, row.customer_id): row for row in connection.execute(sa.select(tables.message))}


def told(database: Database) -> dict[tuple[str, str], str]:
    """What became of each message, in a few words."""

    def one(message: Any) -> str:
        words = [message.state, message.reason, message.detail]
        return " ".join(word for word in words if word)

    return {key: one(message) for key, message in found(database).items()}


def count_runs(database: Database) -> None:
    """The runs of everything that was put, so that the sums can balance."""
    message = tables.message
    query = sa.select(message.c.run_id, message.c.rule, sa.func.count()).group_by(message.c.run_id, message.c.rule)
    shared = {"slot": "k", "release": "r1", "rule_version": "v1", "trigger": "script", "started_at": NOW, "skipped": 0}
    with database.write() as connection:
        counts = connection.execute(query).all()
        runs = [{"id": run_id, "rule": rule, "candidates": count, **shared} for run_id, rule, count in counts]
        connection.execute(tables.run.insert(), runs)
