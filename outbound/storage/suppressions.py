"""Blocks on addresses, known only by their keyed hash."""

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.consent import Suppression
from outbound.domain.customer import ChannelName
from outbound.storage import locks
from outbound.storage.bulk import insert_ignore, instant_writer
from outbound.storage.sets import among
from outbound.storage.tables import address, suppression


def add(connection: Connection, blocks: Sequence[Suppression]) -> int:
    """Record blocks; one that stands already keeps its first reason and time. Returns how many were new.

    Locks the customers who have the addresses.
    """
    hashes = [b.address_hash for b in blocks]
    if connection.dialect.name != "sqlite":
        owners = sa.select(address.c.customer_id).where(among(connection, address.c.hash, hashes))
        locks.customers(connection, connection.execute(owners).scalars().all())
    instant = instant_writer(connection)
    rows = [(b.channel.value, b.scope, b.address_hash, b.reason, instant(b.at)) for b in blocks]
    rows.sort(key=lambda row: row[:3])
    return insert_ignore(connection, suppression, ("channel", "scope", "hash", "reason", "at"), rows)


def of_hashes(connection: Connection, hashes: Sequence[str]) -> tuple[Suppression, ...]:
    """The blocks on the addresses that these hashes stand for, oldest first."""
    query = sa.select(suppression).where(among(connection, suppression.c.hash, hashes)).order_by(suppression.c.at)
    return tuple(
        Suppression(
            channel=ChannelName(row.channel), address_hash=row.hash, scope=row.scope, reason=row.reason, at=row.at
        )
        for row in connection.execute(query)
    )


def lift(connection: Connection, channel: ChannelName, hashes: Sequence[str], *, reason: str) -> int:
    """Take away the blocks that stand for ``reason`` on an address; those for other reasons stay. Answers how many.

    Locks the customers who have the address.
    """
    if connection.dialect.name != "sqlite":
        owners = sa.select(address.c.customer_id).where(among(connection, address.c.hash, hashes))
        locks.customers(connection, connection.execute(owners).scalars().all())
    mine = (suppression.c.channel == channel.value, suppression.c.reason == reason)
    gone = sa.delete(suppression).where(*mine, among(connection, suppression.c.hash, hashes))
    return connection.execute(gone).rowcount


def carry_over(connection: Connection, channel: ChannelName, hashes: Sequence[str]) -> int:
    """Block an address under its newest hash (the first) as it is under older ones: C41, at every sight of it."""
    newest, *older = hashes
    if not older:
        return 0
    stand = {(block.scope, block.address_hash) for block in of_hashes(connection, hashes) if block.channel is channel}
    blocks = [
        Suppression(channel=channel, address_hash=newest, scope=block.scope, reason=block.reason, at=block.at)
        for block in of_hashes(connection, older)
        if block.channel is channel and (block.scope, newest) not in stand
    ]
    return add(connection, blocks) if blocks else 0
