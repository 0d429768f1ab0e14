"""Who a rule speaks to, asked set-wise: one statement per key range, misses and matches together."""

from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage import tables
from outbound.storage.condition_dialects import stored_text
from outbound.storage.prepared import Prepared
from outbound.storage.sets import among

MATCHED = -1
"""The miss of somebody who missed nothing."""
DECIDED = -3
"""The miss of somebody who was decided before and therefore not asked about."""

_BY_ZONE = "ix_customer_zone_id"
_FEW = 8
"""Sources of a zone up to which their customers are walked by index, each source on its own."""

_ALONE = sa.text("""
    SELECT set_config('max_parallel_workers_per_gather', '0', true), set_config('jit', 'off', true),
      set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
      set_config('enable_mergejoin', 'off', true), set_config('random_page_cost', '1.1', true)
""")
"""A key range is too short for helpers and compilers: starting the former took 10 ms of 20.

Nor may whole tables be read for one, which PostgreSQL prefers up to a few hundred thousand customers: all that planning
asks about a range goes by index, this transaction long (29 s became 6.5 s for 200,000).
"""

# Loose index scan: the distinct values of an indexed column without reading every row (1 M customers: 1 ms).
_SOURCES = sa.text("""
    WITH RECURSIVE source(value) AS (
        SELECT MIN(zone_source) FROM customer
        UNION ALL
        SELECT (SELECT MIN(zone_source) FROM customer WHERE zone_source > source.value) FROM source
        WHERE source.value IS NOT NULL
    )
    SELECT value FROM source WHERE value IS NOT NULL
""")
_ZONE_SOURCES = Prepared(_SOURCES)

# The same over both columns of ix_customer_zone: in each source from country to country, and whether anybody has none.
_PAIRS = sa.text("""
    WITH RECURSIVE source(value) AS (
        SELECT MIN(zone_source) FROM customer
        UNION ALL
        SELECT (SELECT MIN(zone_source) FROM customer WHERE zone_source > source.value) FROM source
        WHERE source.value IS NOT NULL
    ), pair(source, country) AS (
        SELECT value, (SELECT MIN(country) FROM customer WHERE zone_source = value) FROM source
        WHERE value IS NOT NULL
        UNION ALL
        SELECT source, (SELECT MIN(c.country) FROM customer c WHERE c.zone_source = source AND c.country > pair.country)
        FROM pair WHERE pair.country IS NOT NULL
    )
    SELECT source, country FROM pair WHERE country IS NOT NULL
    UNION
    SELECT value, '' FROM source
    WHERE EXISTS (SELECT 1 FROM customer WHERE zone_source = value AND country IS NULL)
""")


@dataclass(frozen=True, slots=True, kw_only=True)
class Members:
    """Which customers a zone bucket holds. None means: not restricted by it; a country of "" means: no country."""

    sources: tuple[str, ...] | None = None
    countries: tuple[str, ...] | None = None


def zone_sources(connection: Connection) -> list[str]:
    """The distinct zone sources of all customers (see CustomerRow)."""
    return [row[0] for row in _ZONE_SOURCES.rows(connection)]


def zone_sources_by_country(connection: Connection) -> list[tuple[str, str]]:
    """The distinct (zone source, country or "") pairs, for calendars that follow a country's holidays."""
    return [(row[0], row[1]) for row in connection.execute(_PAIRS)]


def key_range(
    connection: Connection,
    *,
    members: Members,
    match: sa.ColumnElement[bool] | None,
    who: Sequence[sa.ColumnElement[bool]],
    after: str,
    size: int,
    decided: sa.ColumnElement[bool] | None = None,
) -> list[tuple[str, int]]:
    """The next ``size`` customers after id ``after``: (id, index of the first clause of ``who`` not true or MATCHED).

    ``match`` restricts to those the trigger is about; nobody else is looked at. The clauses must never be NULL.
    ``decided`` is true for those of whom nothing else is to be asked: DECIDED.
    """
    customer = tables.customer
    cases: list[tuple[sa.ColumnElement[bool], int]] = [(sa.not_(clause), n) for n, clause in enumerate(who)]
    if decided is not None:
        cases.insert(0, (decided, DECIDED))
    miss = sa.case(*cases, else_=MATCHED) if cases else sa.literal(MATCHED)
    if connection.dialect.name == "postgresql":
        connection.execute(_ALONE)
    statement = sa.select(customer.c.id, miss).where(customer.c.merged_into.is_(None), customer.c.id > after)
    if members.sources is not None:
        statement = statement.where(customer.c.zone_source.in_(members.sources))
        if match is None and members.countries is None and len(members.sources) <= _FEW:
            # Walking all customers once for each zone would cost more than all of the conditions.
            upto = connection.execute(_end_of(members.sources, after, size)).scalar()
            statement = statement.with_hint(customer, f"INDEXED BY {_BY_ZONE}", "sqlite")
            statement = statement if upto is None else statement.where(customer.c.id <= upto)
    if members.countries is not None:
        statement = statement.where(sa.func.coalesce(customer.c.country, "").in_(members.countries))
    if match is not None:
        statement = statement.where(match)
    rows = connection.execute(statement.order_by(customer.c.id).limit(size)).all()
    return [(row[0], row[1]) for row in rows]


def _end_of(sources: Sequence[str], after: str, size: int) -> sa.Select[tuple[str]]:
    """The id of the ``size``-th customer of the sources after ``after``, from the index alone."""
    customer = tables.customer
    each = [
        sa.select(
            sa.select(customer.c.id)
            .where(customer.c.zone_source == source, customer.c.merged_into.is_(None), customer.c.id > after)
            .order_by(customer.c.id)
            .limit(size)
            .subquery()
        )
        for source in sources
    ]
    together = sa.union_all(*each).subquery()
    return sa.select(together.c.id).order_by(together.c.id).offset(size - 1).limit(1)


def sources_of(connection: Connection, ids: Sequence[str]) -> dict[str, str]:
    """The zone source of those among ``ids`` who exist."""
    customer = tables.customer
    statement = sa.select(customer.c.id, customer.c.zone_source).where(
        customer.c.merged_into.is_(None), among(connection, customer.c.id, ids)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def among_these(connection: Connection, ids: Sequence[str], who: Sequence[sa.ColumnElement[bool]]) -> dict[str, int]:
    """For the customers among ``ids`` that exist: the index of the first clause not true, or MATCHED."""
    customer = tables.customer
    miss = (
        sa.case(*((sa.not_(clause), n) for n, clause in enumerate(who)), else_=MATCHED) if who else sa.literal(MATCHED)
    )
    statement = sa.select(customer.c.id, miss).where(
        customer.c.merged_into.is_(None), among(connection, customer.c.id, ids)
    )
    return {row[0]: row[1] for row in connection.execute(statement)}


def attribute_equals(name: str, value: str) -> sa.ColumnElement[bool]:
    """The declared date attribute ``name`` is the ISO date ``value``."""
    text = stored_text.of(tables.customer.c.attributes, name)
    return sa.and_(text == value, text.is_not(None))


def attribute_anniversary(name: str, month_days: Sequence[str], until: str) -> sa.ColumnElement[bool]:
    """The declared date attribute ``name`` falls on one of ``month_days`` (``MM-DD``) of any year up to ``until``."""
    value = tables.customer.c.attributes[name].as_string()
    return sa.func.coalesce(sa.and_(sa.func.substr(value, 6, 5).in_(month_days), value <= until), sa.false())


def sharers(connection: Connection, ids: Sequence[str], channel: str) -> list[tuple[str, str]]:
    """(customer, other customer) for those among ``ids`` whose address on ``channel`` another customer has too."""
    one, other = tables.address.alias("one"), tables.address.alias("other")
    # coalesce hides the channel from the index on (channel, value), which PostgreSQL took for each address on tables
    # without statistics (3 s a statement in a shop of 10,000): only that on the hash is left.
    same = sa.and_(other.c.hash == one.c.hash, sa.func.coalesce(other.c.channel, "") == one.c.channel)
    statement = (
        sa.select(one.c.customer_id, other.c.customer_id)
        .join(other, same)
        .where(
            among(connection, one.c.customer_id, ids),
            one.c.channel == channel,
            other.c.customer_id != one.c.customer_id,
        )
    )
    return [(row[0], row[1]) for row in connection.execute(statement)]
