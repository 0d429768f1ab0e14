"""Changes of customers that a rule waits for: which attributes are watched, and what was not yet looked at.

Every writer of customers asks ``watched`` in its own transaction and marks the changes of those attributes. A
planner takes marked rows in any order and clears the mark: numbers of rows are given before they are committed,
so no planner may remember how far it got.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.customer import Scalar
from outbound.domain.ids import new_id
from outbound.storage import runs
from outbound.storage.tables import customer, customer_change, installation

_WATCHED: Final = "watched"
_ASKED: Final = "sweep_asked"
_PENDING: Final = sa.text("customer_change.pending")  # not "= 1": the partial index must be seen to fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What the running release waits for, written when it was published.

    ``changed`` are the attributes of rules ``changed:``, ``segments`` those that the segments of rules ``enters:``
    read. ``entered`` says whether there is such a rule at all.
    """

    changed: frozenset[str] = frozenset()
    segments: frozenset[str] = frozenset()
    entered: bool = False

    @property
    def attributes(self) -> frozenset[str]:
        """Every attribute of which a change is marked."""
        return self.changed | self.segments


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingChange:
    """A change no rule has seen. ``first``: the value came with the customer, which is no change."""

    id: int
    customer_id: str
    attribute: str
    old: Scalar
    new: Scalar
    at: datetime
    first: bool


def watch(connection: Connection, what: Watched) -> None:
    """Say what is watched from this transaction's commit on."""
    told = {"changed": sorted(what.changed), "segments": sorted(what.segments), "entered": what.entered}
    text = json.dumps(told)
    if runs.read_fact(connection, _WATCHED) != text:
        runs.write_fact(connection, _WATCHED, text)


def watched(connection: Connection) -> Watched:
    """What writers must mark; nothing before the first release."""
    text = runs.read_fact(connection, _WATCHED)
    if text is None:
        return Watched()
    told = json.loads(text)
    return Watched(
        changed=frozenset(told["changed"]), segments=frozenset(told["segments"]), entered=bool(told["entered"])
    )


def ask_for_sweep(connection: Connection, *, now: datetime) -> None:
    """Ask the next planner to look at everybody: many customers are new, and none of them changed."""
    runs.write_fact(connection, _ASKED, new_id(now))


def sweep_asked(connection: Connection) -> str | None:
    """The word of whoever asked last, None when nobody did since the last sweep."""
    return runs.read_fact(connection, _ASKED)


def sweep_done(connection: Connection, word: str) -> None:
    """What was asked with this word is done; who asked meanwhile still waits."""
    connection.execute(installation.delete().where(installation.c.name == _ASKED, installation.c.value == word))


def earliest(connection: Connection) -> datetime | None:
    """When the earliest waiting change happened (or, on a made-up clock, will have)."""
    at = customer_change.c.at
    return connection.execute(sa.select(sa.func.min(at, type_=at.type)).where(_PENDING)).scalar()


def ignore_unwatched(connection: Connection, attributes: Sequence[str]) -> int:
    """Take the mark from changes of any other attribute: the rule that waited for them is gone."""
    statement = customer_change.update().where(_PENDING, customer_change.c.attribute.not_in(sorted(attributes)))
    return connection.execute(statement.values(pending=False)).rowcount


def take(connection: Connection, *, now: datetime, limit: int) -> list[PendingChange]:
    """Some waiting changes that happened by ``now``, those of one customer in their order."""
    change = customer_change
    query = (
        sa.select(
            change.c.id,
            change.c.customer_id,
            change.c.attribute,
            change.c.old,
            change.c.new,
            change.c.at,
            sa.and_(change.c.old.is_(None), customer.c.created_at == change.c.at).label("first"),
        )
        .join(customer, customer.c.id == change.c.customer_id, isouter=True)
        .where(_PENDING, change.c.at <= now)
        .order_by(change.c.id)
        .limit(limit)
    )
    found = [
        PendingChange(
            id=row.id,
            customer_id=row.customer_id,
            attribute=row.attribute,
            old=row.old,
            new=row.new,
            at=row.at,
            first=row.old is None and bool(row.first),
        )
        for row in connection.execute(query)
    ]
    return sorted(found, key=lambda one: (one.at, one.id))


def newest_of(
    connection: Connection, customer_id: str, attribute: str, *, upto: datetime | None = None
) -> PendingChange | None:
    """The customer's newest change of an attribute (by ``upto``), seen or not, for previews and explanations."""
    change = customer_change
    first = sa.and_(change.c.old.is_(None), customer.c.created_at == change.c.at).label("first")
    query = sa.select(change, first).join(customer, customer.c.id == change.c.customer_id, isouter=True)
    query = query.where(change.c.customer_id == customer_id, change.c.attribute == attribute)
    if upto is not None:
        query = query.where(change.c.at <= upto)
    row = connection.execute(query.order_by(change.c.at.desc(), change.c.id.desc()).limit(1)).first()
    if row is None:
        return None
    return PendingChange(
        id=row.id,
        customer_id=customer_id,
        attribute=attribute,
        old=row.old,
        new=row.new,
        at=row.at,
        first=row.old is None and bool(row.first),
    )


def clear(connection: Connection, ids: Sequence[int]) -> None:
    """The rules have seen these changes."""
    connection.execute(customer_change.update().where(customer_change.c.id.in_(list(ids))).values(pending=False))
