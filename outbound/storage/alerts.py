"""Alerts that stand and who was told of them; and the counts that the conditions behind them rest on."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.alert import Alert, AlertKind
from outbound.domain.message import Lane, MessageState
from outbound.domain.outcome import OutcomeKind
from outbound.domain.reasons import ReasonCode
from outbound.storage import runs
from outbound.storage.outbox import state_is
from outbound.storage.tables import alert, attempt, breaker, message

S = MessageState

_LOCK = "alerts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An alert on the record. ``told`` and ``told_over`` are receiver to when it was told that it fires, or is over."""

    alert: Alert
    since: datetime
    seen_at: datetime
    over_at: datetime | None
    told: Mapping[str, str]
    told_over: Mapping[str, str]
    taken_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PausedAccount:
    """An account (``domain`` empty) or a destination that is paused, since when, and the answer that led to it."""

    account: str
    domain: str
    since: datetime
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknowns:
    """How many messages have an unknown outcome, and since when the oldest."""

    count: int
    oldest: datetime | None


def lock(connection: Connection) -> None:
    """One writer of alerts at a time in the whole fleet, to the end of the transaction."""
    runs.lock(connection, _LOCK)


def standing(connection: Connection) -> list[Standing]:
    """Every alert on the record, the oldest first. They are few."""
    return [
        Standing(
            alert=Alert(kind=AlertKind(row.kind), subject=row.subject, text=row.text, remedy=row.remedy),
            since=row.since,
            seen_at=row.seen_at,
            over_at=row.over_at,
            told=row.told or {},
            told_over=row.told_over or {},
            taken_until=row.taken_until,
        )
        for row in connection.execute(sa.select(alert).order_by(alert.c.since, alert.c.kind, alert.c.subject))
    ]


def put(connection: Connection, found: Alert, before: Standing | None, *, now: datetime) -> None:
    """It holds now. ``before`` is what stood: one that ended begins anew for those who were told of the end."""
    news = {"text": found.text, "remedy": found.remedy, "seen_at": now, "over_at": None, "told_over": {}}
    if before is None:
        row = {"kind": str(found.kind), "subject": found.subject, "since": now, "told": {}, **news}
        connection.execute(alert.insert(), row)
        return
    told = {name: at for name, at in before.told.items() if name not in before.told_over}
    connection.execute(alert.update().where(*_is(found.key)).values(told=told, **news))


def end(connection: Connection, keys: Iterable[tuple[str, str]], *, now: datetime) -> None:
    """These no longer hold; who was told of them is yet to be told so."""
    for key in keys:
        connection.execute(alert.update().where(*_is(key)).values(over_at=now, taken_until=None))


def take(connection: Connection, keys: Iterable[tuple[str, str]], *, until: datetime) -> None:
    """This daemon tells these up to ``until``."""
    for key in keys:
        connection.execute(alert.update().where(*_is(key)).values(taken_until=until))


def note(
    connection: Connection, key: tuple[str, str], *, told: Mapping[str, str], told_over: Mapping[str, str]
) -> None:
    """Who knows now."""
    values = {"told": dict(told), "told_over": dict(told_over), "taken_until": None}
    connection.execute(alert.update().where(*_is(key)).values(**values))


def remove(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """Everybody knows that these are over, or nobody was ever told of them."""
    for key in keys:
        connection.execute(alert.delete().where(*_is(key)))


def paused_accounts(connection: Connection) -> list[PausedAccount]:
    """Accounts and destinations that are paused, the longest first."""
    columns = (breaker.c.account, breaker.c.domain, breaker.c.opened_at, breaker.c.reason)
    query = sa.select(*columns).order_by(breaker.c.opened_at, breaker.c.account, breaker.c.domain)
    return [
        PausedAccount(account=row.account, domain=row.domain, since=row.opened_at, reason=row.reason)
        for row in connection.execute(query)
    ]


def late(connection: Connection, lane: Lane, *, before: datetime) -> bool:
    """Whether a message of the lane has been due since before then and nobody claimed it."""
    waits = (message.c.lane == lane.value, message.c.not_before <= before)
    found = [sa.exists().where(state_is(state), *waits) for state in (S.READY, S.SCHEDULED)]
    return bool(connection.execute(sa.select(sa.or_(*found))).scalar_one())


def unworded(connection: Connection, *, since: datetime) -> list[tuple[str, int, str]]:
    """Rules whose messages stopped at their wording since then: how many, and the detail of one; the most first."""
    number = sa.func.count().label("number")
    query = (
        sa.select(message.c.rule, number, sa.func.min(message.c.detail))
        .where(message.c.reason == sa.text(f"'{ReasonCode.RENDER.value}'"), message.c.updated_at >= since)
        .group_by(message.c.rule)
        .order_by(number.desc(), message.c.rule)
    )
    return [(row[0], int(row[1]), row[2]) for row in connection.execute(query)]


def refused_senders(connection: Connection, *, since: datetime) -> list[tuple[str, int]]:
    """Accounts that refused our sender since then, and how often."""
    kind = sa.text(f"'{OutcomeKind.REJECTED_SENDER.value}'")
    query = (
        sa.select(attempt.c.endpoint, sa.func.count())
        .where(attempt.c.outcome == kind, attempt.c.replied_at >= since)
        .group_by(attempt.c.endpoint)
        .order_by(attempt.c.endpoint)
    )
    return [(row[0], int(row[1])) for row in connection.execute(query)]


def unknowns(connection: Connection) -> Unknowns:
    """The uncertain messages."""
    oldest = sa.func.min(message.c.updated_at, type_=message.c.updated_at.type)
    row = connection.execute(sa.select(sa.func.count(), oldest).where(state_is(S.UNCERTAIN))).one()
    return Unknowns(count=int(row[0]), oldest=row[1])


def _is(key: tuple[str, str]) -> Sequence[sa.ColumnElement[bool]]:
    return alert.c.kind == key[0], alert.c.subject == key[1]
