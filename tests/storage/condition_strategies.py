"""Random conditions of a small schema, as text, and random customers with events to ask them about."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from outbound.domain.condition import ValueType
from outbound.domain.rule import Field, Schema

TEXTS = [
    "Berlin",
    "berlin",
    "MÜNCHEN",
    "münchen",
    "ΟΔΟΣ",
    "İzmir",
    "",
    "O'Brien",
    "12",
    "true",
    "100%_",
    'a"\\b',
    "x{y}",
]
DATES = ["2026-03-31", "2026-04-01", "2024-02-29", "2026-12-31", "0001-01-01", "9999-12-31", "2026-03-29"]
NOT_DATES = [
    "2026-02-30",
    "2025-02-29",
    "1900-02-29",
    "0000-01-01",
    "2026-3-31",
    "20260331",
    "2026-W14-2",
    "2026-03-31T10:00",
    "now",
    "",
]
NUMBERS = [0, 1, 2, 14, -1, 2.5, 0.1, 19.99, 999999999999999]
ODD_NUMBERS = [2**53, 2**53 + 1, 2**63, -(2**63), 10**30, 1e299, -0.0, 0.30000000000000004, 1e-30, 10**301]
PLANS = ("free", "pro")
NOWS = [
    datetime(2026, 3, 31, 0, 30, tzinfo=UTC),  # Berlin: two days after the clock went forward
    datetime(2026, 3, 30, 0, 30, tzinfo=UTC),  # a day earlier is 02:30, which was left out
    datetime(2026, 10, 26, 1, 30, tzinfo=UTC),  # a day earlier, 02:30 came twice
]
WINDOWS = ["90m", "24h", "1d", "2d", "1w", "1mo", "13w"]

T = ValueType
SCHEMA = Schema(
    customer={
        "city": Field(type=T.STRING),
        "odd-name_2": Field(type=T.STRING),
        "plan": Field(type=T.ENUM, values=PLANS),
        "status": Field(type=T.ENUM, values=("active", "closed"), required=True),
        "score": Field(type=T.NUMBER),
        "visits": Field(type=T.NUMBER),
        "adult": Field(type=T.BOOL),
        "renew": Field(type=T.BOOL),
        "renewal": Field(type=T.DATE),
        "birth": Field(type=T.DATE),
    },
    events={
        "order.placed": {
            "total": Field(type=T.NUMBER, required=True),
            "coupon": Field(type=T.STRING),
            "gift": Field(type=T.BOOL),
            "due": Field(type=T.DATE),
        },
        "signup": {"source": Field(type=T.ENUM, values=("web", "app"))},
    },
)

_PATHS = {
    "text": [
        "customer.city",
        "customer.odd-name_2",
        "customer.email",
        "customer.phone",
        "customer.country",
        "customer.language",
        "customer.timezone",
        "customer.id",
    ],
    "number": ["customer.score", "customer.visits"],
    "bool": ["customer.adult", "customer.renew"],
    "date": ["customer.renewal", "customer.birth"],
}
_ORDER_PATHS = {"text": ["event.coupon"], "number": ["event.total"], "bool": ["event.gift"], "date": ["event.due"]}


def quoted(text: str) -> str:
    """A text constant as conditions write it."""
    return "'" + text.replace("'", "''") + "'"


_LITERALS: dict[str, SearchStrategy[str]] = {
    "text": st.sampled_from(TEXTS).map(quoted),
    "number": st.sampled_from(NUMBERS).map(str),
    "bool": st.sampled_from(["true", "false"]),
    "date": st.sampled_from(DATES),
}


def _value(kind: str, *, where: bool) -> SearchStrategy[str]:
    path = st.sampled_from(_PATHS[kind] + (_ORDER_PATHS[kind] if where else []))
    literal = _LITERALS[kind]
    choices = [
        path,
        path,
        st.builds("({} ?? {})".format, path, literal),
        st.builds("({} ?? {})".format, path, path),
        literal,
    ]
    if kind == "text":
        choices += [st.builds("lower({})".format, path), st.builds("lower({} ?? {})".format, path, literal)]
    if kind == "number":
        dates = st.sampled_from(_PATHS["date"] + (_ORDER_PATHS["date"] if where else []))
        choices += [st.builds("{}({})".format, st.sampled_from(["days_until", "days_since"]), dates)]
        if not where:
            choices += [_looks("count"), st.builds("({} ?? {})".format, path, _looks("count"))]
    return st.one_of(choices)


@st.composite
def _looks(draw: Any, name: str) -> str:
    options = []
    event = draw(st.sampled_from(["order.placed", "signup"]))
    if draw(st.booleans()):
        options.append(f"within {draw(st.sampled_from(WINDOWS))}")
    if event == "order.placed" and draw(st.booleans()):
        options.append(f"where {draw(_conditions(where=True))}")
    elif event == "signup" and draw(st.booleans()):
        options.append("where event.source != 'web' or customer.plan == 'pro'")
    return f"{name}({', '.join([event, *draw(st.permutations(options))])})"


@st.composite
def _tests(draw: Any, *, where: bool) -> str:
    kind = draw(st.sampled_from(["text", "number", "bool", "date", "enum"]))
    if kind == "enum":
        members = st.sampled_from(PLANS).map(quoted)
        plan = draw(st.sampled_from(["customer.plan", "(customer.plan ?? 'free')"]))
        shape = draw(
            st.sampled_from(["{0} == {1}", "{1} != {0}", "{0} in [{1}]", "{0} not in [{1}, {2}]", "{0} != {1}"])
        )
        return str(shape.format(plan, draw(members), draw(members)))
    value = _value(kind, where=where)
    paths = _PATHS[kind] + (_ORDER_PATHS[kind] if where else [])
    shapes = ["compare", "compare", "in", "has"]
    shapes += ["truth"] if kind == "bool" else []
    shapes += ["happened", "segment"] if not where else []
    shape = draw(st.sampled_from(shapes))
    if shape == "compare":
        order = ["<", "<=", ">", ">="] if kind in {"number", "date"} else []
        return f"{draw(value)} {draw(st.sampled_from(['==', '!=', *order]))} {draw(value)}"
    if shape == "in":
        options = draw(st.lists(_LITERALS[kind], min_size=1, max_size=4))
        return f"{draw(value)} {draw(st.sampled_from(['in', 'not in']))} [{', '.join(options)}]"
    if shape == "truth":
        return str(draw(value))
    if shape == "happened":
        return str(draw(_looks("happened")))
    if shape == "segment":
        return f"segment.{draw(st.sampled_from(['fans', 'regulars']))}"
    return f"has({draw(st.sampled_from(paths))})"


def _conditions(*, where: bool = False) -> SearchStrategy[str]:
    def extend(inner: SearchStrategy[str]) -> SearchStrategy[str]:
        grouped = inner.map("({})".format)
        return st.one_of(
            grouped.map("not {}".format),
            st.lists(grouped, min_size=2, max_size=3).map(" and ".join),
            st.lists(grouped, min_size=2, max_size=3).map(" or ".join),
        )

    return st.recursive(_tests(where=where), extend, max_leaves=2 if where else 5)


CONDITIONS = _conditions()

_WRONG: list[Any] = [None, 5, 1.5, True, False, "text", "true", "7", [1], {"a": 1}, ["2026-03-31"]]


def _stored(good: list[Any]) -> SearchStrategy[Any]:
    return st.one_of(st.sampled_from(good), st.sampled_from(good), st.sampled_from(_WRONG))


@dataclass(frozen=True)
class Someone:
    """A customer to store: attributes, columns, addresses and events as (name, age, data)."""

    attributes: dict[str, Any]
    country: str | None
    language: str | None
    email: str | None
    phone: str | None
    timezone: str | None = None
    events: list[tuple[str, timedelta, dict[str, Any]]] = field(default_factory=list)


_ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "city": _stored(TEXTS),
        "odd-name_2": _stored(TEXTS),
        "plan": _stored(["free", "pro", "gold"]),
        "status": _stored(["active", "closed"]),
        "score": _stored(NUMBERS + ODD_NUMBERS),
        "visits": _stored(NUMBERS + ODD_NUMBERS),
        "adult": _stored([True, False]),
        "renew": _stored([True, False]),
        "renewal": _stored(DATES + NOT_DATES),
        "birth": _stored(DATES + NOT_DATES),
        "id": st.just("not the id"),
    },
)
_ORDERS = st.fixed_dictionaries(
    {},
    optional={
        "total": _stored(NUMBERS + ODD_NUMBERS),
        "coupon": _stored(TEXTS),
        "gift": _stored([True, False]),
        "due": _stored(DATES + NOT_DATES),
        "source": st.sampled_from(["web", "app"]),
    },
)
_AGES = st.builds(
    lambda base, shift: base + shift,
    st.sampled_from(
        [timedelta(0), *(timedelta(hours=h) for h in (1.5, 23, 24, 25, 47, 48, 49, 167, 168, 169)), timedelta(days=31)]
    ),
    st.sampled_from([timedelta(0), timedelta(microseconds=1), -timedelta(microseconds=1), timedelta(minutes=30)]),
)
SOMEONE = st.builds(
    Someone,
    attributes=_ATTRIBUTES,
    country=st.sampled_from([None, "DE"]),
    language=st.sampled_from([None, "", "de"]),
    email=st.sampled_from([None, "a@b.example", "Berlin"]),
    phone=st.sampled_from([None, "+49301234"]),
    timezone=st.sampled_from([None, "", "Berlin", "Europe/Berlin"]),
    events=st.lists(st.tuples(st.sampled_from(["order.placed", "signup"]), _AGES, _ORDERS), max_size=3),
)
