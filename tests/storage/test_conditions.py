"""SQL and Python give the same answer: "segment size in plan" and "why did Ada match" are one statement."""

import os
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import combinations
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from condition_strategies import CONDITIONS, NOWS, SCHEMA, SOMEONE, WINDOWS, Someone
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from outbound.domain.condition import Clause, Not
from outbound.domain.customer import Address, ChannelName, Customer, Event, Preference
from outbound.domain.errors import OutboundError
from outbound.domain.source import Span
from outbound.engine.conditions import Facts, Scope, clash, compile_clause, customer_values, evaluate, needs_history
from outbound.engine.conditions.clashes import covered
from outbound.engine.conditions.text import condition_text
from outbound.storage import tables
from outbound.storage.conditions import clause_sql
from outbound.storage.database import Database

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 31, 0, 30, tzinfo=UTC)
REPEATABLE = settings(
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""The same examples on every run; OUTBOUND_EXAMPLES asks for more of them."""
START = Span("rules/test.yaml", 1, 1)


def compiled(text: str, *, scope: Scope | None = None) -> Clause:
    clause, problems = compile_clause(text, span=START, scope=scope or SCOPE)
    assert clause is not None, (text, problems)
    return clause


SCOPE = Scope(schema=SCHEMA)
_FANS = ("not (customer.plan == 'free')", "count(order.placed, where event.total > 1) >= 1 or customer.adult")
SCOPE = Scope(schema=SCHEMA, segments={"fans": tuple(compiled(text) for text in _FANS)})
_REGULARS = (
    "segment.fans or days_until(customer.renewal) <= 14",
    "lower(customer.city ?? 'x') not in ['berlin', '12']",
)
SCOPE = Scope(schema=SCHEMA, segments={**SCOPE.segments, "regulars": tuple(compiled(text) for text in _REGULARS)})


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, postgres_server: str) -> Iterator[tuple[Database, Database]]:
    """One SQLite and one PostgreSQL database for the whole module; tests roll back what they write."""
    lite = Database(f"sqlite:///{tmp_path_factory.mktemp('conditions') / 'outbound.db'}")
    server = sa.make_url(postgres_server).set(drivername="postgresql+psycopg")
    name = f"outbound_{secrets.token_hex(6)}"
    admin = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    post = Database(server.set(database=name).render_as_string(hide_password=False))
    for database in (lite, post):
        tables.metadata.create_all(database.engine)
    yield lite, post
    lite.close()
    post.close()
    with admin.connect() as connection:
        connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
    admin.dispose()


def people(found: list[Someone], now: datetime) -> tuple[list[Customer], list[Event]]:
    """Customers and their events as the domain knows them."""
    customers, events = [], []
    for number, someone in enumerate(found):
        name = f"c{number}"
        addresses = [(ChannelName.EMAIL, someone.email), (ChannelName.SMS, someone.phone)]
        customers.append(
            Customer(
                id=name,
                country=someone.country,
                attributes=someone.attributes,
                preference=Preference(language=someone.language, timezone=someone.timezone),
                addresses=tuple(Address(channel=channel, value=value) for channel, value in addresses if value),
            )
        )
        for count, (event, age, values) in enumerate(someone.events):
            at = now - age
            events.append(Event(id=f"{name}-{count}", name=event, customer_id=name, data=values, at=at, received_at=at))
    return customers, events


def store(connection: sa.Connection, customers: list[Customer], events: list[Event]) -> None:
    for customer in customers:
        chosen = customer.preference
        columns = {"country": customer.country, "language": chosen.language, "timezone": chosen.timezone}
        row = {"id": customer.id, "attributes": dict(customer.attributes), "zone_source": ""}
        connection.execute(tables.customer.insert(), row | columns | {"created_at": NOW, "updated_at": NOW})
        for address in customer.addresses:
            place = {"customer_id": customer.id, "channel": address.channel.value, "value": address.value}
            connection.execute(tables.address.insert(), place | {"hash": "", "state": "ok", "updated_at": NOW})
    for event in events:
        row = {"id": event.id, "customer_id": event.customer_id, "name": event.name, "data": dict(event.data)}
        connection.execute(tables.event.insert(), row | {"at": event.at, "received_at": event.at, "source": ""})


def ask_sql(
    database: Database, clauses: list[Clause], customers: list[Customer], events: list[Event], now: datetime
) -> dict[str, tuple[bool, ...]]:
    """Each customer's answers. Nothing stays in the database."""
    today, dialect = now.astimezone(BERLIN).date(), database.engine.dialect.name
    columns = [
        clause_sql(clause, now=now, today=today, zone=BERLIN, dialect=dialect).label(f"q{number}")
        for number, clause in enumerate(clauses)
    ]
    with database.engine.connect() as connection:
        store(connection, customers, events)
        rows = connection.execute(sa.select(tables.customer.c.id, *columns)).all()
        connection.rollback()
    return {row[0]: tuple(row[1:]) for row in rows}


def ask_python(
    clauses: list[Clause], customers: list[Customer], events: list[Event], now: datetime
) -> dict[str, tuple[bool, ...]]:
    """Each customer's answers. A clause sees only those events that it is said to need."""
    tests = [(evaluate([clause]), needs_history([clause])) for clause in clauses]
    answers = {}
    for customer in customers:
        own = [event for event in events if event.customer_id == customer.id]
        answers[customer.id] = tuple(
            test(facts_of(customer, [event for event in own if event.name in names], now)) is True
            for test, names in tests
        )
    return answers


def facts_of(customer: Customer, history: list[Event], now: datetime) -> Facts:
    today = now.astimezone(BERLIN).date()
    return Facts(customer=customer_values(customer), history=history, now=now, today=today, zone=BERLIN)


@settings(parent=REPEATABLE, max_examples=int(os.environ.get("OUTBOUND_EXAMPLES", "30")))
@given(
    texts=st.lists(CONDITIONS, min_size=5, max_size=25),
    found=st.lists(SOMEONE, min_size=5, max_size=25),
    now=st.sampled_from(NOWS),
)
def test_sql_and_python_agree(
    both: tuple[Database, Database], texts: list[str], found: list[Someone], now: datetime
) -> None:
    """On random conditions and customers, SQLite, PostgreSQL and the closures give one answer, never NULL."""
    clauses = [compiled(text) for text in texts]
    customers, events = people(found, now)
    expected = ask_python(clauses, customers, events, now)
    for database in both:
        got = ask_sql(database, clauses, customers, events, now)
        assert got.keys() == expected.keys()
        for customer, answers in got.items():
            wrong = [t for t, a, b in zip(texts, answers, expected[customer], strict=True) if a is not b]
            assert not wrong, (database.engine.dialect.name, customer, wrong)


CONSTRUCTS = {
    "segment": r"segment\.fans",
    "a segment in a segment": r"segment\.regulars",
    "a negated segment": r"not \(segment\.",
    "default": r"customer\.city \?\? '",
    "default of another attribute": r"customer\.\w+ \?\? customer\.",
    "count with where and within": r"count\(order\.placed, (where [^,]*, within \d+\w+|within \d+\w+, where [^,]*)\)",
    "count as a default": r"\?\? count\(",
    "happened with where and within": r"happened\(order\.placed, (where [^,]*, within|within \d+\w+, where)",
    "days until": r"days_until\(customer",
    "days since": r"days_since\(customer",
    "days of an event": r"days_(until|since)\(event",
    "a date": r"customer\.(renewal|birth) [<>]=? \d{4}-",
    "lower": r"lower\(customer\.\w+\)",
    "lower of a default": r"lower\(customer\.\w+ \?\? ",
    "has": r"has\(customer",
    "not in": r" not in \[",
    "a reserved attribute": r"customer\.(country|language|timezone|email|phone|id)",
}


@pytest.mark.parametrize("construct", CONSTRUCTS)
def test_random_conditions_have_every_construct_of_the_language(construct: str) -> None:
    """What the differential test never writes it cannot compare."""
    wanted = re.compile(CONSTRUCTS[construct])
    generate = settings(derandomize=True, database=None, deadline=None, max_examples=3000, phases=[Phase.generate])
    assert find(CONDITIONS, lambda text: wanted.search(text) is not None, settings=generate)


ALIKE = [
    *(f"happened(order.placed, within {window})" for window in WINDOWS),
    "happened(order.placed)",
    "happened(order.placed, where event.gift, within 1d)",
    "count(order.placed, where event.gift, within 2d) >= 1",
    "count(order.placed, within 24h) > 1",
    "count(order.placed) == 0.5",
    "has(customer.plan)",
    "customer.plan == 'free'",
    "customer.plan in ['free', 'pro']",
    "customer.plan != 'free'",
    "has(customer.score)",
    "customer.score > 1",
    "customer.score <= 1 and has(customer.plan)",
    "customer.score == customer.visits",
    "customer.adult",
    "customer.adult == false",
    "segment.fans",
    "segment.regulars or customer.adult",
]
"""Tests of the same few things: of those, many exclude or cover each other."""
TESTS = [compiled(text).condition for text in ALIKE]
TESTS += [Not(test, test.span) for test in TESTS]
EXCLUDED = [pair for pair in combinations(TESTS, 2) if clash(pair, SCOPE)]
OUTSIDE = ["gold", "text", "true", "7"]
"""Plans that the schema does not list: what check says holds for values that it does."""
COVERED = [found for pair in combinations(TESTS, 2) for found in covered(pair)]


@settings(parent=REPEATABLE, max_examples=100)
@given(someone=SOMEONE.filter(lambda one: one.attributes.get("plan", "") not in OUTSIDE), now=st.sampled_from(NOWS))
def test_what_check_calls_never_true_or_covered_is_so(someone: Someone, now: datetime) -> None:
    """A warning that is wrong would teach people to ignore them all."""
    assert len(EXCLUDED) > len(TESTS)
    assert len(COVERED) > len(ALIKE)
    (customer,), events = people([someone], now)
    facts = facts_of(customer, events, now)
    true = {id(test): evaluate([Clause(test, "", START)])(facts) is True for test in TESTS}
    assert [pair for pair in EXCLUDED if all(true[id(test)] for test in pair)] == []
    assert [(less, more) for less, more in COVERED if true[id(less)] and not true[id(more)]] == []


@settings(
    max_examples=150, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
@given(text=CONDITIONS)
def test_a_condition_written_out_reads_back_as_itself(text: str) -> None:
    """Explanations quote the canonical form: it must be the same condition."""
    written = condition_text(compiled(text).condition)
    assert condition_text(compiled(written).condition) == written


CASES = [
    # condition, attributes as stored (JSON text), expected
    ("days_since(customer.renewal) == 3", '{"renewal": "2026-03-28"}', True),
    ("days_until(customer.renewal) == 3", '{"renewal": "2026-04-03"}', True),
    ("customer.score > 0", '{"score": 1e400}', False),
    ("has(customer.score)", '{"score": 1e400}', False),
    ("customer.score >= 0", '{"score": 1e-400}', True),
    ("has(customer.score)", '{"score": 123456789012345678901234567890}', True),
    ("has(customer.renewal)", '{"renewal": "2026-02-29"}', False),
    ("has(customer.renewal)", '{"renewal": "0000-01-01"}', False),
    ("customer.renewal == 2024-02-29", '{"renewal": "2024-02-29"}', True),
    ("has(customer.city)", '{"city": {"name": "Berlin"}}', False),
    ("lower(customer.city) == 'straße ǆ οδοσ'", '{"city": "STRAßE Ǆ ΟΔΟΣ"}', True),
    ("lower(customer.city) == 'i'", '{"city": "İ"}', True),
    ("not customer.renew", '{"renew": 0}', False),
    ("customer.odd-name_2 == 'x'", '{"odd-name_2": "x"}', True),
    ("customer.id == 'c0'", '{"id": "other"}', True),
    ("customer.city == ''", '{"city": ""}', True),
    (f"days_until(customer.renewal) == {(date.max - date(2026, 3, 31)).days}", '{"renewal": "9999-12-31"}', True),
]


@pytest.mark.parametrize(("text", "stored", "expected"), CASES)
def test_documents_no_import_would_write(
    both: tuple[Database, Database], text: str, stored: str, expected: bool
) -> None:
    """Whatever lies in the document, the statement runs and answers."""
    for database in both:
        name = database.engine.dialect.name
        found = clause_sql(compiled(text), now=NOW, today=date(2026, 3, 31), zone=BERLIN, dialect=name)
        kind = "JSONB" if name == "postgresql" else "TEXT"
        columns = "id, zone_source, attributes, created_at, updated_at"
        insert = sa.text(f"INSERT INTO customer ({columns}) VALUES ('c0', '', CAST(:stored AS {kind}), :now, :now)")
        with database.engine.connect() as connection:
            connection.execute(insert, {"stored": stored, "now": "2026-03-31 00:00:00.000000"})
            assert connection.execute(sa.select(found)).scalar_one() is expected
            connection.rollback()


@pytest.mark.parametrize(
    "text",
    [
        " and ".join(["(customer.city ?? 'x') != 'y'"] * 200),
        " or ".join(["count(order.placed, where event.total > 1, within 1d) == 7"] * 100),
        "customer.city in [" + ", ".join(f"'{n}'" for n in range(400)) + "]",
        "not (customer.adult or " * 9 + "customer.renew" + ")" * 9,
        " or ".join(["lower(customer.city) == 'x'"] * 100),
    ],
)
def test_the_largest_conditions_run(both: tuple[Database, Database], text: str) -> None:
    """The limits of check lie within what both databases parse and bind."""
    someone = Someone(attributes={"city": "7"}, country=None, language=None, email=None, phone=None)
    customers, events = people([someone], NOW)
    clauses = [compiled(text)]
    expected = ask_python(clauses, customers, events, NOW)
    for database in both:
        assert ask_sql(database, clauses, customers, events, NOW) == expected


def test_every_constant_is_bound() -> None:
    """No text of a rule ever becomes part of a statement."""
    needle = "customer.city == 'needle' or customer.id in ['needle']"
    text = f"{needle} or happened(order.placed, where event.coupon == 'needle')"
    for dialect in ("sqlite", "postgresql"):
        found = clause_sql(compiled(text), now=NOW, today=NOW.date(), zone=BERLIN, dialect=dialect)
        statement = str(sa.select(tables.customer.c.id).where(found).compile())
        assert "needle" not in statement
        assert "order.placed" not in statement


def test_a_clause_about_an_event_is_refused() -> None:
    clause = compiled("event.total > 3", scope=Scope(schema=SCHEMA, event="order.placed"))
    with pytest.raises(OutboundError, match="no event in a query over customers"):
        clause_sql(clause, now=NOW, today=NOW.date(), zone=BERLIN, dialect="sqlite")


def test_a_clause_stands_in_a_query_that_joins_the_same_tables(both: tuple[Database, Database]) -> None:
    """Planning joins address and event itself; the clause's own subqueries must not mix with them."""
    someone = Someone(
        attributes={},
        country=None,
        language=None,
        email="a@b.example",
        phone=None,
        events=[("signup", NOW - NOW, {"source": "web"})],
    )
    customers, events = people(
        [someone, Someone(attributes={}, country=None, language=None, email=None, phone="1")], NOW
    )
    clause = compiled("has(customer.email) and happened(signup, where event.source == 'web' and has(customer.email))")
    for database in both:
        found = clause_sql(clause, now=NOW, today=NOW.date(), zone=BERLIN, dialect=database.engine.dialect.name)
        joined = tables.customer.join(tables.address, tables.address.c.customer_id == tables.customer.c.id)
        joined = joined.outerjoin(tables.event, tables.event.c.customer_id == tables.customer.c.id)
        with database.engine.connect() as connection:
            store(connection, customers, events)
            query = sa.select(tables.customer.c.id).select_from(joined).where(found)
            assert connection.execute(query).scalars().all() == ["c0"]
            connection.rollback()
