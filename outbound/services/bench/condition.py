"""``condition``: five conditions on one customer, against the same five written by hand in Python."""

import random
import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from statistics import median

from outbound.domain.condition import Clause, ValueType
from outbound.domain.customer import Event, Scalar
from outbound.domain.rule import Field, Schema
from outbound.domain.source import Span
from outbound.engine.conditions import Facts, Scope, compile_clause, evaluate
from outbound.engine.timing.zones import zone_named
from outbound.services.bench.figure import Figure

RUNS = 5
_MOST_MICROSECONDS = 3.0
_MOST_TIMES_BY_HAND = 10.0
_NOW = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)
_TODAY = date(2026, 6, 1)
_ZONE = zone_named("Europe/Berlin")
_WINDOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # 13 weeks back at 10:00 in Berlin, before summer time

CONDITIONS = (
    "customer.country in ['DE', 'AT', 'CH']",
    "(customer.plan ?? 'free') != 'free'",
    "customer.is_adult",
    "days_until(customer.renewal_date) <= 14",
    "not happened(order.placed, within 13w)",
)

_SCHEMA = Schema(
    customer={
        "country": Field(type=ValueType.ENUM, values=("DE", "AT", "CH", "FR", "NO")),
        "plan": Field(type=ValueType.ENUM, values=("free", "pro")),
        "is_adult": Field(type=ValueType.BOOL),
        "renewal_date": Field(type=ValueType.DATE),
    },
    events={"order.placed": {"total": Field(type=ValueType.NUMBER, required=True)}},
)


def measure(quick: bool) -> list[Figure]:
    """Median microseconds for five conditions on one customer; the limit is the hand-written function."""
    people = _people(200 if quick else 2_000)
    compiled = evaluate(_clauses())
    if [compiled(facts) is True for facts in people] != [_by_hand(facts) for facts in people]:
        raise AssertionError("the compiled conditions and the hand-written ones disagree")
    ours, by_hand = [], []
    for _ in range(RUNS):
        ours.append(_microseconds(compiled, people))
        by_hand.append(_microseconds(_by_hand, people))
    value, limit = median(ours), median(by_hand)
    return [
        Figure(
            name="condition",
            value=value,
            unit="µs",
            limit=limit,
            ratio=value / limit,
            bar="<= 3 µs and <= 10 x",
            met=value <= _MOST_MICROSECONDS and value <= _MOST_TIMES_BY_HAND * limit,
            what="the same five conditions hand-written in Python",
        )
    ]


def _microseconds(test: Callable[[Facts], object], people: Sequence[Facts]) -> float:
    """The median over all customers would need a clock call each, as dear as a condition: time batches of 20."""
    batches = [people[start : start + 20] for start in range(0, len(people), 20)]
    times = []
    for batch in batches:
        begun = time.perf_counter_ns()
        for facts in batch:
            test(facts)
        times.append((time.perf_counter_ns() - begun) / len(batch) / 1_000)
    return median(times)


def _clauses() -> list[Clause]:
    scope = Scope(schema=_SCHEMA)
    clauses = [compile_clause(text, span=Span("bench", 1, 1), scope=scope)[0] for text in CONDITIONS]
    return [clause for clause in clauses if clause is not None]


def _by_hand(facts: Facts) -> bool:
    """What somebody in a hurry would write for exactly these five conditions."""
    customer = facts.customer
    renewal = customer.get("renewal_date")
    return (
        customer.get("country") in {"DE", "AT", "CH"}
        and (customer.get("plan") or "free") != "free"
        and customer.get("is_adult") is True
        and renewal is not None
        and (date.fromisoformat(str(renewal)) - facts.today).days <= 14  # noqa: PLR2004 - the condition's own number
        and not any(past.name == "order.placed" and _WINDOW < past.at <= _NOW for past in facts.history)
    )


def _people(size: int) -> list[Facts]:
    """Seeded customers of whom most pass the first conditions, so that all five are at work."""
    draw = random.Random(7)  # noqa: S311 - a benchmark needs the same customers each time, not secrecy
    people = []
    for number in range(size):
        customer: dict[str, Scalar] = {
            "country": draw.choice(["DE", "DE", "AT", "CH", "FR"]),
            "plan": draw.choice(["pro", "pro", "pro", "free"]),
            "is_adult": draw.random() < 0.9,  # noqa: PLR2004 - a share
            "renewal_date": (_TODAY + timedelta(days=draw.randint(1, 18))).isoformat(),
        }
        if draw.random() < 0.05:  # noqa: PLR2004 - a share
            del customer["plan"]
        history = [_order(str(number), _NOW - timedelta(days=draw.randint(1, 400))) for _ in range(draw.randint(0, 3))]
        people.append(Facts(customer=customer, history=history, now=_NOW, today=_TODAY, zone=_ZONE))
    return people


def _order(customer: str, at: datetime) -> Event:
    return Event(
        id=f"{customer}-{at}", name="order.placed", customer_id=customer, data={"total": 20}, at=at, received_at=at
    )
