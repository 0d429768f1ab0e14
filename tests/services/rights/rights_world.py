"""A record with one person in every table, and another one beside her."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from trial_shop import FILES

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName, Event
from outbound.domain.keyring import Keyring
from outbound.services import preferences, releases
from outbound.services.releases import Published
from outbound.storage import customers, events, operations, runs, tables
from outbound.storage.database import Database

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
LISA = {"email": "lisa@shop.example", "sms": "+393401234567"}
BEN = {"email": "ben@shop.example", "sms": "+393409876543"}
CANARIES = ("lisa", "Lisa", "+393401234567", "3401234567", "Lovelace")
"""Nothing of these may be left anywhere."""


@dataclass(frozen=True)
class World:
    """The database, its keys and release."""

    database: Database
    keyring: Keyring
    release: str
    runs: dict[str, str] = field(default_factory=dict)


def make_world(database: Database, keyring: Keyring) -> World:
    """Publish the trial shop's rules and fill the record."""
    files = {name: text.encode() if isinstance(text, str) else text for name, text in FILES.items()}
    published = releases.publish(database, files, by="test", now=NOW - timedelta(days=200))
    assert isinstance(published, Published), published
    world = World(database=database, keyring=keyring, release=published.id)
    for identity, addresses in (("lisa", LISA), ("ben", BEN)):
        _person(world, identity, addresses)
    with database.write() as connection:
        run = runs.open_run(
            connection,
            rule="receipt",
            slot="2026-11",
            release=world.release,
            rule_version="v",
            trigger="event",
            now=NOW,
        )
        runs.record_range(
            connection, run_id=run, zone="Europe/Rome", number=0, upto="lisa", misses=[("lisa", 0), ("ben", 1)], now=NOW
        )
    world.runs["receipt"] = run
    for who in ("lisa", "ben"):
        for number, state in enumerate(("sent", "scheduled", "ready", "failed")):
            _message(world, who, f"{who}-{state}", once=f"order-{number}", state=state, run=run)
        _skip(world, who, run)
    with database.write() as connection:
        runs.add_counts(connection, [runs.Added(run, 10, 2)], now=NOW)
    return world


def _person(world: World, identity: str, addresses: dict[str, str]) -> None:
    database, keyring = world.database, world.keyring
    stored = {
        ChannelName(channel): customers.StoredAddress(
            channel=ChannelName(channel), value=value, hash=keyring.address_hash(channel, value)
        )
        for channel, value in addresses.items()
    }
    update = customers.Update(
        customer_id=identity,
        columns={"country": "IT", "language": "en", "pause_from": date(2026, 12, 24), "pause_to": date(2026, 12, 26)},
        attributes={"first_name": identity.title(), "family_name": "Lovelace" if identity == "lisa" else "Byron"},
        addresses=stored,
    )
    at = NOW - timedelta(days=90)
    with database.write() as connection:
        customers.apply(connection, update, source="import of lisa.csv" if identity == "lisa" else "import", now=at)
        order = Event(
            id=f"order.placed/{identity}",
            name="order.placed",
            customer_id=identity,
            data={"order_id": "order-0", "total": 12.5},
            at=at,
            received_at=at,
        )
        events.append(connection, [order], now=at, fire=False, source="shop")
        connection.execute(
            sa.insert(tables.membership).values(segment="loyal", customer_id=identity, inside=True, entries=1, at=at)
        )
        connection.execute(
            sa.insert(tables.sms_in).values(
                id=f"SM-{identity}",
                hash=keyring.address_hash("sms", addresses["sms"]),
                customer_id=identity,
                meaning="unclear",
                text=f"please stop calling {identity}",
                effect="paused",
                review="open",
                at=at,
            )
        )
        connection.execute(
            sa.insert(tables.interaction).values(
                id=f"in-{identity}",
                customer_id=identity,
                kind="reply",
                channel="email",
                subject="Re: your order",
                text=f"{identity.title()} here",
                address=addresses["email"],
                source="mail",
                inbox_id=f"raw-{identity}".replace("lisa", "1"),
                at=at,
                recorded_at=at,
            )
        )
        connection.execute(
            sa.insert(tables.hook_post).values(
                id=f"post-{identity}".replace("lisa", "1"),
                hook="erp",
                event="message.sent",
                key=f"told-{identity}".replace("lisa", "1"),
                customer_id=identity,
                at=at,
                state="done",
                due_at=at,
            )
        )
        connection.execute(
            sa.insert(tables.inbox_event).values(
                id=f"raw-{identity}".replace("lisa", "1"),
                provider="mail",
                key=f"key-{identity}".replace("lisa", "1"),
                raw=f"From: {addresses['email']}".encode(),
                received_at=at,
                processed_at=at,
            )
        )
        connection.execute(
            sa.insert(tables.delivery_event).values(
                provider="smtp",
                key=f"news-{identity}".replace("lisa", "1"),
                inbox_id="",
                kind="bounced",
                detail=f"<{addresses['email']}> is full",
                customer_id=identity,
                at=at,
                received_at=at,
            )
        )
        operations.record(connection, kind="customer.show", subject=identity, by="clerk", note=identity, now=at)
    evidence = Evidence(source="web form", wording="Yes, write to me", language="en", ip="192.0.2.7", actor="customer")
    for channel in (ChannelName.EMAIL, ChannelName.SMS):
        preferences.grant(
            database, customer_id=identity, topic="newsletter", channel=channel, evidence=evidence, now=at, at=at
        )


def _message(world: World, who: str, identity: str, *, once: str, state: str, run: str) -> None:
    at = NOW - timedelta(days=1)
    row: dict[str, Any] = {
        "id": identity.encode().hex().zfill(32)[-32:],
        "run_id": run,
        "rule": "receipt",
        "rule_version": "v",
        "release": world.release,
        "once": once,
        "customer_id": who,
        "template": "receipt",
        "topic": "orders",
        "message_class": "transactional",
        "lane": "express",
        "priority": 900,
        "channels": "email",
        "context": {"event": {"order_id": once}},
        "not_before": at,
        "expires": NOW + timedelta(days=2),
        "state": state,
        "reason": "provider" if state == "failed" else "",
        "detail": f"550 no {LISA['email'] if who == 'lisa' else BEN['email']}" if state == "failed" else "",
        "language": "en",
        "created_at": at,
        "updated_at": at,
        "sent_at": at if state == "sent" else None,
    }
    key = {"rule": "receipt", "once": once, "customer_id": who, "step": ""}
    chosen = {**key, "run_id": run, "release": world.release, "rule_version": "v", "verdict": "send", "at": at}
    with world.database.write() as connection:
        connection.execute(sa.insert(tables.message).values(**row))
        connection.execute(sa.insert(tables.decision).values(**chosen))
        if state in ("sent", "failed"):
            address = LISA["email"] if who == "lisa" else BEN["email"]
            connection.execute(
                sa.insert(tables.leg).values(
                    message_id=row["id"], n=1, channel="email", customer_id=who, address=address, at=at
                )
            )
            connection.execute(
                sa.insert(tables.attempt).values(
                    id=f"a-{identity}".replace("lisa", "x"),
                    message_id=row["id"],
                    leg=1,
                    n=1,
                    lease_token=1,
                    phase="replied",
                    text=f"250 queued for {address}",
                    started_at=at,
                )
            )


def _skip(world: World, who: str, run: str) -> None:
    with world.database.write() as connection:
        connection.execute(
            sa.insert(tables.decision).values(
                rule="receipt",
                once="order-9",
                customer_id=who,
                step="",
                run_id=run,
                release=world.release,
                rule_version="v",
                verdict="skip",
                reason="unreachable",
                at=NOW,
            )
        )


def everything(database: Database) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table, compressed columns opened."""
    import zlib

    found: dict[str, list[dict[str, Any]]] = {}
    with database.read() as connection:
        for name, table in tables.metadata.tables.items():
            if name == "release":
                continue
            rows = [dict(row) for row in connection.execute(sa.select(table)).mappings()]
            for row in rows:
                if "misses" in row:
                    row["misses"] = zlib.decompress(row["misses"]).decode()
            found[name] = rows
    return found


TESTS = Path(__file__).parent
