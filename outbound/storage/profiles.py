"""People as far as the ladder can tell them apart, flat: what makes deciding about a million of them cheap.

Two people with the same profile get the same decision on the same occurrence, because the gates read nothing else
of a person: tests/services/planning/test_planning_profiles.py holds random people against it. What a profile cannot
say (past contacts, a zone guessed from the phone number) is answered by the full person (``storage.people``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import among, chunks
from outbound.storage.tables import address, consent, consent_event, customer, suppression

_STATED = (
    customer.c.zone_source,
    customer.c.country,
    customer.c.language,
    customer.c.timezone,
    customer.c.preferred_channel,
    customer.c.quiet_from,
    customer.c.quiet_to,
    customer.c.pause_from,
    customer.c.pause_to,
    customer.c.frequency,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to read of each customer: the topic and channels of a rule, and what its templates show.

    ``attributes`` are declared ones, ``addresses`` the channels whose address is shown.
    """

    topic: str
    channels: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


class Profiled(NamedTuple):
    """One customer. ``profile`` is equal for those whom the gates cannot tell apart.

    ``shown`` has the wanted attributes as JSON text, then the wanted addresses; None where there is nothing.
    """

    profile: tuple[Any, ...]
    shown: tuple[str | None, ...]

    @property
    def zone_source(self) -> str:
        """As in CustomerRow."""
        source: str = self.profile[0]
        return source

    @property
    def country(self) -> str | None:
        """As in CustomerRow."""
        country: str | None = self.profile[1]
        return country


@dataclass(frozen=True, slots=True)
class _Query:
    """A statement and where its rows have what. The id comes first."""

    statement: sa.Select[Any]
    profile: slice
    consent: slice
    shown: slice


def load_profiles(connection: Connection, ids: Sequence[str], wanted: Wanted) -> dict[str, Profiled]:
    """Those among ``ids`` that exist, by id. Merged customers are not there."""
    query = _query(wanted, connection.dialect.name)
    found: dict[str, Profiled] = {}
    further: dict[str, list[tuple[Any, ...]]] = {}
    for some in chunks(ids):
        mine = query.statement.where(among(connection, customer.c.id, some))
        for row in connection.execute(mine).all():
            identity = row[0]
            if identity in found:  # one more word on the topic, for another channel
                further.setdefault(identity, []).append(row[query.consent])
            else:
                found[identity] = Profiled(row[query.profile], row[query.shown])
    for identity, words in further.items():
        first = found[identity]
        stated, word = first.profile[: query.consent.start - 1], first.profile[query.consent.start - 1 :]
        every = tuple(sorted((word, *words), key=str))
        found[identity] = Profiled((*stated, every), first.shown)
    return found


@lru_cache(maxsize=256)
def _query(wanted: Wanted, dialect: str) -> _Query:
    channels = dict.fromkeys((*wanted.channels, *wanted.addresses))
    own = {name: address.alias(f"a_{name}") for name in channels}
    word, ledger = consent.alias("word"), consent_event.alias("ledger")
    source: sa.FromClause = customer
    for name, one in own.items():
        source = source.outerjoin(one, sa.and_(one.c.customer_id == customer.c.id, one.c.channel == name))
    source = source.outerjoin(word, sa.and_(word.c.customer_id == customer.c.id, word.c.topic == wanted.topic))
    source = source.outerjoin(ledger, ledger.c.id == word.c.event_id)
    columns: list[sa.ColumnElement[Any]] = [customer.c.id, *_STATED]
    for name in wanted.channels:
        # An address that is there but empty is none to the gates, whatever its state.
        columns += [sa.case((own[name].c.value == "", ""), else_=own[name].c.state), _blocks(own[name], dialect)]
    said = slice(len(columns), len(columns) + 3 + len(wanted.channels))
    columns += [word.c.channel, word.c.state, ledger.c.evidence["basis"].as_string()]
    columns += [word.c.address == own[name].c.value for name in wanted.channels]  # a double opt-in is for one address
    shown = slice(len(columns), None)
    columns += [_json(name, dialect) for name in wanted.attributes]
    columns += [own[name].c.value for name in wanted.addresses]
    statement = sa.select(*columns).select_from(source).where(customer.c.merged_into.is_(None))
    return _Query(statement, slice(1, said.stop), said, shown)


def _blocks(own: Any, dialect: str) -> sa.ColumnElement[Any]:
    """The scopes under which the address is suppressed, as text; None for none."""
    listed = (
        sa.func.group_concat(suppression.c.scope)
        if dialect == "sqlite"
        else sa.func.string_agg(suppression.c.scope, sa.literal_column("','"))
    )
    matching = sa.and_(suppression.c.hash == own.c.hash, suppression.c.channel == own.c.channel)
    return sa.select(listed).where(matching).correlate(own).scalar_subquery()


def _json(name: str, dialect: str) -> sa.ColumnElement[Any]:
    """A declared attribute as JSON text, None where it is absent."""
    document = sa.type_coerce(customer.c.attributes, sa.Text())
    if dialect == "sqlite":
        return document.op("->", return_type=sa.Text())(sa.literal(f'$."{name}"', sa.Text()))
    return sa.cast(document.op("->")(sa.literal(name, sa.Text())), sa.Text())
