"""The schema the condition tests speak about, and short ways to compile."""

from outbound.domain.condition import Clause, ValueType
from outbound.domain.rule import Field, Schema
from outbound.domain.source import Problem, Span
from outbound.engine.conditions import Scope, compile_clause

T = ValueType
SCHEMA = Schema(
    customer={
        "id": Field(type=T.STRING, required=True),
        "country": Field(type=T.ENUM, values=("DE", "AT", "CH", "FR", "NO")),
        "plan": Field(type=T.ENUM, values=("free", "pro")),
        "status": Field(type=T.ENUM, values=("active", "closed"), required=True),
        "auto_renew": Field(type=T.BOOL),
        "is_adult": Field(type=T.BOOL),
        "renewal_date": Field(type=T.DATE),
        "score": Field(type=T.NUMBER),
        "city": Field(type=T.STRING),
    },
    events={
        "order.placed": {
            "order_id": Field(type=T.STRING, required=True),
            "total": Field(type=T.NUMBER, required=True),
            "coupon": Field(type=T.STRING),
        },
        "order.shipped": {"carrier": Field(type=T.ENUM, values=("dhl", "ups", "pickup"), required=True)},
    },
)
START = Span("rules/a.yaml", 7, 5)
BARE = Scope(schema=SCHEMA)


def must(text: str, scope: Scope = BARE) -> Clause:
    """The compiled condition; the test fails where it has errors."""
    clause, problems = compile_clause(text, span=START, scope=scope)
    assert clause is not None, problems
    return clause


SCOPE = Scope(
    schema=SCHEMA,
    segments={
        "active_buyers": (
            must("customer.status == 'active'"),
            must("count(order.placed, within 52w, where event.total >= 20) >= 2"),
        ),
        "adults": (must("customer.is_adult"),),
        "broken": (),
    },
)


def problems_of(text: str, scope: Scope = SCOPE) -> list[Problem]:
    """What compiling reports."""
    return compile_clause(text, span=START, scope=scope)[1]


def marked(text: str, problem: Problem) -> str:
    """The piece of a one-line condition that a problem points at."""
    start = problem.span.column - START.column
    return text[start : start + problem.span.width]
