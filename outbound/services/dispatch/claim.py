"""Stage 1: take due messages under a lease, and pass them on in chunks."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from sqlalchemy.engine import Connection

from outbound.domain.message import Message
from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.pace import fetch
from outbound.services.dispatch.points import hit
from outbound.storage import outbox, outbox_claims
from outbound.storage.database import database_now

Chunks = AsyncIterator[list[Message]]


async def claim(slice_: Slice, kit: Kit) -> Chunks:
    """Claim up to a slice of messages, scheduled ones whose time has come included; yield them as they are wanted."""
    await kit.precedence.give_way(slice_.lane)
    messages = await kit.writer.write(lambda connection: take(connection, slice_, kit), urgent=slice_.urgent)
    if not messages:
        return
    hit("claim.done")
    slice_.tally.claimed = len(messages)
    slice_.leases.update((message.id, message.lease_token) for message in messages)
    slice_.moved()
    await _fetch_unforeseen(slice_, kit)
    while messages and not kit.stopping():
        chunk = _with_room(messages, slice_, kit)
        if not chunk:
            await _room(messages, slice_, kit)
            continue
        going = {message.id for message in chunk}
        messages = [message for message in messages if message.id not in going]
        yield chunk


def _with_room(messages: list[Message], slice_: Slice, kit: Kit) -> list[Message]:
    """The next chunk: of each account no more than may pass the gate now (promise P5)."""
    most = slice_.chunk  # read anew each time: hand_over adapts it
    rooms: dict[str, int] = {}
    chunk: list[Message] = []
    for message in messages:
        account = _account(message, kit)
        if account:
            left = rooms.get(account)
            left = _left(account, slice_, kit, most) if left is None else left
            rooms[account] = left - 1
            if left <= 0:
                continue
        chunk.append(message)
        if len(chunk) == most:
            break
    return chunk


def _left(account: str, slice_: Slice, kit: Kit, most: int) -> int:
    left = kit.slots[account].room(slice_.lane, most=most)
    turns = kit.turns.get(account)
    return left if turns is None else min(left, turns.room(slice_.lane))


async def _room(messages: list[Message], slice_: Slice, kit: Kit) -> None:
    """Wait until something may have room: a slot, or the turn of an account that has a rate."""
    lane = slice_.lane
    accounts = {_account(message, kit) for message in messages} & kit.turns.keys()
    turns = [kit.turns[account] for account in accounts if kit.slots[account].room(lane, most=1)]
    if not turns:
        kit.freed.clear()
        await kit.freed.wait()
        return
    for one in turns:
        one.waiting[lane] += 1
    try:
        await fetch(turns, lane, most=slice_.chunk)
    finally:
        for one in turns:
            one.waiting[lane] -= 1


async def _fetch_unforeseen(slice_: Slice, kit: Kit) -> None:
    """Turns for what gates have found to leave by another account than foreseen."""
    wanted = [turns for turns in kit.turns.values() if turns.wanted]
    for turns in wanted:
        turns.wanted = False
    if wanted:
        await fetch(wanted, slice_.lane, most=slice_.chunk)


def _account(message: Message, kit: Kit) -> str:
    """Where the message will most likely go, "" where no adapter can: its gate has the last word."""
    usable = [kit.adapters[channel].name for channel in message.channels if channel in kit.adapters]
    return usable[min(message.leg, len(usable)) - 1] if usable else ""


def take(connection: Connection, slice_: Slice, kit: Kit) -> list[Message]:
    """Claim up to a slice of messages, scheduled ones whose time has come included."""
    settings = kit.settings
    kit.breakers.adopt(connection, slice_.now)
    outbox.promote_due(connection, slice_.lane, now=slice_.now)
    messages = outbox_claims.claim(
        connection,
        slice_.lane,
        limit=settings.slice_size,
        worker=settings.worker,
        lease_until=lease_end(connection, settings.lease),
        now=slice_.now,
        keys=slice_.keys,
        without=[channel for channel, adapter in kit.adapters.items() if _closed(adapter.name, slice_, kit)],
    )
    hit("claim.open")
    return messages


def _closed(account: str, slice_: Slice, kit: Kit) -> bool:
    """Whether the account takes nothing now: what would begin there is left for later, unspent."""
    turns = kit.turns.get(account)
    if turns is not None and turns.waiting[slice_.lane]:
        return True
    return kit.slots[account].stuck or kit.breakers[account].waits(slice_.now)


def lease_end(connection: Connection, lease: timedelta) -> datetime:
    """When a lease that begins now ends, in the database's clock."""
    return database_now(connection) + lease
