"""Kill switches: facts of the installation that every gate reads, and every handover once more.

``paused:all``, ``paused:rule:news``, ``paused:channel:sms``. The value is JSON with who, when and why.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.storage.sets import among, insert_into
from outbound.storage.tables import attempt, installation, leg, message

PREFIX = "paused:"
ALL = "all"
RULE = "rule:"
CHANNEL = "channel:"

_ON = (
    sa.select(installation.c.name, installation.c.value)
    .where(installation.c.name.startswith(PREFIX, autoescape=True))
    .order_by(installation.c.name)
)
_ON_SHARED = _ON.with_for_update(read=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch:
    """One kill switch that is on. ``key`` is ``all``, ``rule:ID`` or ``channel:NAME``; ``at`` is UTC."""

    key: str
    reason: str
    by: str = ""
    at: datetime | None = None

    @property
    def name(self) -> str:
        """As a command takes it: the rule, the channel, or ``all``."""
        name = self.key.removeprefix(RULE).removeprefix(CHANNEL)
        return self.key if self.key.startswith(RULE) and name in set(ChannelName) else name


def switches(connection: Connection, *, share: bool = False) -> dict[str, Switch]:
    """The kill switches that are on, by key.

    With ``share`` nobody can turn one of them off before this transaction ends: what a gate holds because of a
    switch is there to be woken when the switch goes (PostgreSQL; on SQLite a writer is alone anyway).
    """
    rows = connection.execute(_ON_SHARED if share else _ON)
    return {one.key: one for one in (_switch(name, value) for name, value in rows)}


def turn_on(connection: Connection, switch: Switch) -> bool:
    """Turn a switch on. False: it was on already, and keeps its reason."""
    at = switch.at.isoformat() if switch.at else ""
    value = json.dumps({"reason": switch.reason, "by": switch.by, "at": at}, ensure_ascii=False)
    row = {"name": PREFIX + switch.key, "value": value}
    statement = insert_into(connection, installation).values(row).on_conflict_do_nothing()
    return connection.execute(statement.returning(installation.c.name)).first() is not None


def turn_off(connection: Connection, key: str) -> bool:
    """Turn a switch off. False: it was off. Waits for the gates that look at it."""
    gone = installation.delete().where(installation.c.name == PREFIX + key)
    return connection.execute(gone).rowcount == 1


def covering(on: Collection[str]) -> sa.ColumnElement[bool]:
    """Messages that the switches ``on`` (keys) hold: all, those of a rule, or those with no other channel left."""
    if ALL in on:
        return sa.true()
    rules = sorted(key.removeprefix(RULE) for key in on if key.startswith(RULE))
    closed = {key.removeprefix(CHANNEL) for key in on if key.startswith(CHANNEL)}
    held: list[sa.ColumnElement[bool]] = []
    if rules:
        held.append(message.c.rule.in_(rules))
    if closed:
        listed = sa.literal(",") + message.c.channels + sa.literal(",")
        held.append(sa.and_(*(listed.not_like(f"%,{name.value},%") for name in ChannelName if name not in closed)))
    return sa.or_(*held) if held else sa.false()


def not_paused(connection: Connection, attempts: Iterable[str]) -> frozenset[str]:
    """Which of the attempts (ids) may be handed over: those that no switch has stopped since their gate."""
    asked = frozenset(attempts)
    on = switches(connection)
    if not on or not asked:
        return asked
    if ALL in on:
        return frozenset()
    query = (
        sa.select(attempt.c.id, message.c.rule, leg.c.channel)
        .join(message, message.c.id == attempt.c.message_id)
        .join(leg, sa.and_(leg.c.message_id == attempt.c.message_id, leg.c.n == attempt.c.leg))
        .where(among(connection, attempt.c.id, sorted(asked)))
    )
    return frozenset(
        row.id
        for row in connection.execute(query)
        if f"{RULE}{row.rule}" not in on and f"{CHANNEL}{row.channel}" not in on
    )


def _switch(name: str, value: str) -> Switch:
    key = name.removeprefix(PREFIX)
    try:
        told = json.loads(value)
    except ValueError:
        told = None
    if not isinstance(told, Mapping):
        return Switch(key=key, reason=value)
    at = told.get("at")
    return Switch(
        key=key,
        reason=str(told.get("reason", "")),
        by=str(told.get("by", "")),
        at=datetime.fromisoformat(at) if at else None,
    )
