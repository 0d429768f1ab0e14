"""Messages that were pruned, as sums on their run (``run.folded``): the equation counts them beside the rows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage import outbox_counts
from outbound.storage.costs import Spent
from outbound.storage.sets import among
from outbound.storage.tables import decision, leg, message, run

Key = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Folded:
    """The sums.

    ``reasons`` is by (state, reason, detail), ``legs`` and ``costs`` by (channel, currency), ``skips`` by
    (reason, detail) of decisions about people who were erased.
    """

    messages: int = 0
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[Key] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    legs: Counter[Key] = field(default_factory=Counter)
    costs: Counter[Key] = field(default_factory=Counter)
    skips: Counter[Key] = field(default_factory=Counter)

    def __add__(self, other: "Folded") -> "Folded":
        return Folded(
            self.messages + other.messages,
            self.states + other.states,
            self.reasons + other.reasons,
            self.channels + other.channels,
            self.legs + other.legs,
            self.costs + other.costs,
            self.skips + other.skips,
        )

    @property
    def spent(self) -> tuple[Spent, ...]:
        """What they cost, to nobody's country."""
        return tuple(
            Spent(channel=channel, country="", currency=currency, legs=number, cost=self.costs[channel, currency])
            for (channel, currency), number in sorted(self.legs.items())
        )


def read(connection: Connection, run_id: str | None) -> Folded:
    """What was folded into one run, or into all (None)."""
    query = sa.select(run.c.folded).where(run.c.folded.is_not(None))
    if run_id is not None:
        query = query.where(run.c.id == run_id)
    return sum((_read(row[0]) for row in connection.execute(query)), Folded())


def fold_messages(connection: Connection, ids: Sequence[str]) -> None:
    """Add these messages to the sums of their runs; the caller deletes their rows in the same transaction."""
    mine = among(connection, message.c.id, ids)
    found: dict[str, Folded] = {}

    def of(run_id: str) -> Folded:
        return found.setdefault(run_id, Folded())

    told = outbox_counts.telling(message).label("told")
    kinds = sa.select(message.c.run_id, message.c.state, message.c.reason, told, sa.func.count()).where(mine)
    grouped = kinds.group_by(message.c.run_id, message.c.state, message.c.reason, sa.text("told"))
    for run_id, state, reason, detail, number in connection.execute(grouped):
        found[run_id] = of(run_id) + Folded(
            messages=number,
            states=Counter({state: number}),
            reasons=Counter({(state, reason, detail): number}) if reason else Counter(),
        )
    for run_id, channel, number in _sent(connection, mine):
        found[run_id] = of(run_id) + Folded(channels=Counter({channel: number}))
    for run_id, channel, currency, number, cost in _spent(connection, mine):
        key = (channel, currency)
        found[run_id] = of(run_id) + Folded(legs=Counter({key: number}), costs=Counter({key: int(cost)}))
    _add(connection, found)


def fold_skips(connection: Connection, which: sa.ColumnElement[bool]) -> None:
    """Add skipping decisions to the sums of their runs; the caller deletes their rows in the same transaction."""
    told = outbox_counts.telling(decision).label("told")
    query = (
        sa.select(decision.c.run_id, decision.c.reason, told, sa.func.count())
        .where(which, decision.c.verdict == "skip")
        .group_by(decision.c.run_id, decision.c.reason, sa.text("told"))
    )
    found: dict[str, Folded] = {}
    for run_id, reason, detail, number in connection.execute(query):
        found[run_id] = found.get(run_id, Folded()) + Folded(skips=Counter({(reason, detail): number}))
    _add(connection, found)


def _sent(connection: Connection, mine: sa.ColumnElement[bool]) -> Iterable[Any]:
    current = sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg)
    query = sa.select(message.c.run_id, leg.c.channel, sa.func.count()).select_from(message.join(leg, current))
    return connection.execute(query.where(mine, message.c.state == "sent").group_by(message.c.run_id, leg.c.channel))


def _spent(connection: Connection, mine: sa.ColumnElement[bool]) -> Iterable[Any]:
    currency = sa.func.coalesce(run.c.currency, "")
    query = (
        sa.select(message.c.run_id, leg.c.channel, currency, sa.func.count(), sa.func.sum(leg.c.cost))
        .select_from(message.join(leg, leg.c.message_id == message.c.id).outerjoin(run, run.c.id == message.c.run_id))
        .where(mine, leg.c.cost > 0)
        .group_by(message.c.run_id, leg.c.channel, currency)
    )
    return connection.execute(query)


def _add(connection: Connection, found: Mapping[str, Folded]) -> None:
    for run_id, more in sorted(found.items()):
        had = connection.execute(sa.select(run.c.folded).where(run.c.id == run_id).with_for_update()).scalar()
        connection.execute(sa.update(run).where(run.c.id == run_id).values(folded=_write(_read(had or {}) + more)))


def _read(stored: Mapping[str, Any]) -> Folded:
    def counter(name: str) -> Counter[Key]:
        return Counter({tuple(key): number for *key, number in stored.get(name, ())})

    return Folded(
        stored.get("messages", 0),
        Counter(stored.get("states", {})),
        counter("reasons"),
        Counter(stored.get("channels", {})),
        counter("legs"),
        counter("costs"),
        counter("skips"),
    )


def _write(sums: Folded) -> dict[str, Any]:
    def rows(counted: Counter[Key]) -> list[list[Any]]:
        return [[*key, number] for key, number in sorted(counted.items())]

    return {
        "messages": sums.messages,
        "states": dict(sums.states),
        "reasons": rows(sums.reasons),
        "channels": dict(sums.channels),
        "legs": rows(sums.legs),
        "costs": rows(sums.costs),
        "skips": rows(sums.skips),
    }
