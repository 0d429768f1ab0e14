"""Stage 1: take due messages under a lease, and pass them on in chunks."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from outbound.domain.message import Message
from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.points import hit
from outbound.storage import outbox, outbox_claims
from outbound.storage.database import database_now

Chunks = AsyncIterator[list[Message]]


async def claim(slice_: Slice, kit: Kit) -> Chunks:
    """Claim up to a slice of messages, scheduled ones whose time has come included; yield them as they are wanted."""
    messages = await kit.writer.write(lambda connection: _claim(connection, slice_, kit))
    if not messages:
        return
    hit("claim.done")
    slice_.tally.claimed = len(messages)
    slice_.leases.update((message.id, message.lease_token) for message in messages)
    start = 0
    while start < len(messages) and not kit.stopping():
        size = slice_.chunk  # read anew each time: hand_over adapts it
        yield messages[start : start + size]
        start += size


def _claim(connection: Connection, slice_: Slice, kit: Kit) -> list[Message]:
    settings = kit.settings
    outbox.promote_due(connection, slice_.lane, now=slice_.now)
    messages = outbox_claims.claim(
        connection,
        slice_.lane,
        limit=settings.slice_size,
        worker=settings.worker,
        lease_until=lease_end(connection, settings.lease),
        now=slice_.now,
        keys=slice_.keys,
    )
    hit("claim.open")
    return messages


def lease_end(connection: Connection, lease: timedelta) -> datetime:
    """When a lease that begins now ends, in the database's clock."""
    return database_now(connection) + lease
