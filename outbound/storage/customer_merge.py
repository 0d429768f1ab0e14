"""Two records of one person into one: everything moves to the survivor, and of two with one key one stays."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.storage import consents, locks, memberships
from outbound.storage.customers import COLUMNS, Change, write_history
from outbound.storage.people import attributes_of
from outbound.storage.standing import join
from outbound.storage.tables import (
    address,
    consent,
    consent_event,
    customer,
    decision,
    delivery_event,
    event,
    interaction,
    leg,
    message,
    sms_in,
)

_PENDING: Final = (MessageState.SCHEDULED.value, MessageState.READY.value, MessageState.CLAIMED.value)
_HANDED_OVER: Final = (
    MessageState.SENDING.value,
    MessageState.SENT.value,
    MessageState.UNCERTAIN.value,
    MessageState.CLOSED_UNKNOWN.value,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeResult:
    """How much moved to the survivor, and how many waiting messages were cancelled as second copies."""

    messages: int
    decisions: int
    events: int
    interactions: int
    consents: int
    addresses: tuple[str, ...]
    filled: tuple[str, ...]
    cancelled: int


def merge(connection: Connection, loser: str, winner: str, *, now: datetime, source: str) -> MergeResult:
    """Move everything of ``loser`` to ``winner``; call it inside ``database.write()``.

    What the winner has, stays. Of two messages or decisions with the same key the one that was handed over
    stays, else the older; the other keeps the loser's id, and if it still waits it is cancelled. On each channel
    of a topic a withdrawal of either stays (``standing.join``). The loser's row keeps ``merged_into`` and
    nothing else; what it held is in the history.
    """
    followers = sa.select(customer.c.id).where(customer.c.merged_into == loser)
    locks.customers(connection, [loser, winner, *connection.execute(followers).scalars()])
    locks.messages_of(connection, [loser, winner])
    cancelled = _same_key_messages(connection, loser, winner, now)
    _same_key_decisions(connection, loser, winner)
    messages = _move_unless_taken(connection, message, loser, winner, ("rule", "once", "step"))
    moved = sa.select(message.c.id).where(message.c.customer_id == winner)
    connection.execute(sa.update(leg).where(leg.c.message_id.in_(moved)).values(customer_id=winner))
    decisions = _move_unless_taken(connection, decision, loser, winner, ("rule", "once", "step"))
    events = _move(connection, event, loser, winner)
    contacts = _move(connection, interaction, loser, winner)
    _move(connection, delivery_event, loser, winner)
    words = _move(connection, consent_event, loser, winner)
    memberships.merge(connection, loser, winner)
    _move(connection, sms_in, loser, winner)
    _merge_projection(connection, loser, winner)
    addresses = _move_addresses(connection, loser, winner, now)
    filled = _fill(connection, loser, winner, now=now, source=source)
    connection.execute(sa.update(customer).where(customer.c.merged_into == loser).values(merged_into=winner))
    history = [Change(attribute="merged_from", old=None, new=loser, at=now, source=source)]
    write_history(connection, winner, history)
    return MergeResult(
        messages=messages,
        decisions=decisions,
        events=events,
        interactions=contacts,
        consents=words,
        addresses=addresses,
        filled=filled,
        cancelled=cancelled,
    )


def _same_key_messages(connection: Connection, loser: str, winner: str, now: datetime) -> int:
    """Settle which of two messages with one key stays with the survivor; returns how many were cancelled."""
    other = message.alias()
    same = sa.and_(other.c.rule == message.c.rule, other.c.once == message.c.once, other.c.step == message.c.step)
    pairs = connection.execute(
        sa.select(
            message.c.id,
            message.c.state,
            message.c.created_at,
            other.c.id.label("other_id"),
            other.c.state.label("other_state"),
            other.c.created_at.label("other_created_at"),
        ).where(message.c.customer_id == loser, other.c.customer_id == winner, same)
    ).all()
    second = []
    for pair in pairs:
        rank = (pair.state not in _HANDED_OVER, pair.created_at)
        other_rank = (pair.other_state not in _HANDED_OVER, pair.other_created_at)
        if rank < other_rank:
            _swap(connection, pair.id, pair.other_id, loser=loser, winner=winner)
            second.append(pair.other_id)
        else:
            second.append(pair.id)
    cancel = (
        sa.update(message)
        .where(message.c.id.in_(second), message.c.state.in_(_PENDING))
        .values(state=MessageState.CANCELLED.value, reason="once", detail="merged", updated_at=now)
        .values(lease_until=None, lease_token=message.c.lease_token + 1)
    )
    number: int = connection.execute(cancel).rowcount if second else 0
    return number


def _swap(connection: Connection, first: str, second: str, *, loser: str, winner: str) -> None:
    """Exchange the owners of two messages with one key; the key is unique, so one steps aside first."""
    for identity, owner in ((first, f"{loser} "), (second, loser), (first, winner)):
        connection.execute(sa.update(message).where(message.c.id == identity).values(customer_id=owner))
    connection.execute(sa.update(leg).where(leg.c.message_id == second).values(customer_id=loser))


def _same_key_decisions(connection: Connection, loser: str, winner: str) -> None:
    """The decision that belongs to the message that stays, else the older, is the survivor's."""
    other = decision.alias()
    key = ("rule", "once", "step")
    same = sa.and_(*(other.c[name] == decision.c[name] for name in key))
    pairs = connection.execute(
        sa.select(decision.c.rule, decision.c.once, decision.c.step, decision.c.at, other.c.at.label("other_at")).where(
            decision.c.customer_id == loser, other.c.customer_id == winner, same
        )
    ).all()
    for pair in pairs:
        if pair.at >= pair.other_at:
            continue
        where = sa.and_(*(decision.c[name] == getattr(pair, name) for name in key))
        for old, new in ((loser, f"{loser} "), (winner, loser), (f"{loser} ", winner)):
            connection.execute(sa.update(decision).where(where, decision.c.customer_id == old).values(customer_id=new))


def _move_unless_taken(connection: Connection, table: sa.Table, loser: str, winner: str, key: tuple[str, ...]) -> int:
    other = table.alias()
    taken = sa.exists().where(other.c.customer_id == winner, *(other.c[name] == table.c[name] for name in key))
    return _rows(connection, sa.update(table).where(table.c.customer_id == loser, ~taken).values(customer_id=winner))


def _move(connection: Connection, table: sa.Table, loser: str, winner: str) -> int:
    return _rows(connection, sa.update(table).where(table.c.customer_id == loser).values(customer_id=winner))


def _merge_projection(connection: Connection, loser: str, winner: str) -> None:
    topics = sa.select(consent.c.topic).where(consent.c.customer_id == loser).distinct()
    for topic in connection.execute(topics.order_by(consent.c.topic)).scalars().all():
        joined = join(consents.of_topic(connection, winner, topic), consents.of_topic(connection, loser, topic))
        consents.write(connection, winner, topic, joined)
    connection.execute(sa.delete(consent).where(consent.c.customer_id == loser))


def _move_addresses(connection: Connection, loser: str, winner: str, now: datetime) -> tuple[str, ...]:
    taken = sa.select(address.c.channel).where(address.c.customer_id == winner)
    mine = sa.and_(address.c.customer_id == loser, address.c.channel.not_in(taken))
    moved = tuple(connection.execute(sa.select(address.c.channel).where(mine).order_by(address.c.channel)).scalars())
    connection.execute(
        sa.update(address)
        .where(address.c.customer_id == loser, address.c.channel.in_(moved))
        .values(customer_id=winner, updated_at=now)
    )
    connection.execute(sa.delete(address).where(address.c.customer_id == loser))
    return moved


def _fill(connection: Connection, loser: str, winner: str, *, now: datetime, source: str) -> tuple[str, ...]:
    """What the survivor does not know, the other did; then the other's row is emptied."""
    rows = {
        row["id"]: row
        for row in connection.execute(sa.select(customer).where(customer.c.id.in_([loser, winner]))).mappings()
    }
    lost, kept = rows[loser], rows[winner]
    columns = {name: lost[name] for name in COLUMNS if kept[name] is None and lost[name] is not None}
    known, given = dict(attributes_of(kept["attributes"])), dict(attributes_of(lost["attributes"]))
    extra = {name: value for name, value in given.items() if name not in known}
    filled = columns | extra
    connection.execute(
        sa.update(customer)
        .where(customer.c.id == winner)
        .values(**columns, attributes={**known, **extra}, updated_at=now)
    )
    gone = {name: lost[name] for name in COLUMNS if lost[name] is not None} | given
    connection.execute(
        sa.update(customer)
        .where(customer.c.id == loser)
        .values(**dict.fromkeys(COLUMNS), attributes={}, zone_source="", merged_into=winner, updated_at=now)
    )
    write_history(connection, winner, [_change(name, None, value, now, source) for name, value in filled.items()])
    emptied = [_change(name, value, None, now, source) for name, value in gone.items()]
    write_history(connection, loser, [*emptied, _change("merged_into", None, winner, now, source)])
    return tuple(filled)


def _change(name: str, old: Any, new: Any, now: datetime, source: str) -> Change:
    old, new = (value.isoformat() if hasattr(value, "isoformat") else value for value in (old, new))
    return Change(attribute=name, old=old, new=new, at=now, source=source)


def _rows(connection: Connection, statement: sa.Update) -> int:
    number: int = connection.execute(statement).rowcount
    return number
