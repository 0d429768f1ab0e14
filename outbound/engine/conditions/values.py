"""Values of a condition compiled to closures. A closure gives the value, or None where it is missing.

A stored value of another type than the schema declares counts as missing, here as in SQL.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from typing import Any, assert_never
from zoneinfo import ZoneInfo

from outbound.domain.condition import (
    Count,
    DaysSince,
    DaysUntil,
    Default,
    Literal,
    Lower,
    Path,
    Root,
    Status,
    Value,
    ValueType,
)
from outbound.domain.customer import Scalar
from outbound.domain.durations import Duration
from outbound.domain.lowercase import lower
from outbound.domain.windows import window_start
from outbound.engine.conditions.facts import Facts

Row = Mapping[str, Scalar]
Get = Callable[[Row, Row, Facts], Any]
"""From the customer's values, the event's data and the rest of the facts: a typed value, or None."""

Test = Callable[[Row, Row, Facts], bool | None]
"""A three-valued test of the same."""

_LARGEST = 1e300
"""Numbers beyond this count as missing: databases overflow near 1.8e308."""

_EXACT = 2**53
"""Whole numbers beyond this are rounded to a double, as databases compare them."""

_ISO_DATE = 10


def read_text(value: Scalar) -> str | None:
    """The value where it is text."""
    return value if value.__class__ is str else None


def read_bool(value: Scalar) -> bool | None:
    """The value where it is true or false."""
    return value if value is True or value is False else None


def read_number(value: Scalar) -> float | None:
    """The value where it is a number, as a double would hold it."""
    if value.__class__ is float or value.__class__ is int:
        number: float = value
        if -_EXACT <= number <= _EXACT:
            return number
        if -_LARGEST <= number <= _LARGEST:  # false for NaN and the infinities
            return float(number)
    return None


def read_date(value: Scalar) -> date | None:
    """The value where it is ISO text of a day (``2026-11-22``)."""
    if value.__class__ is str and len(value) == _ISO_DATE and value[4] == value[7] == "-":
        try:
            return date.fromisoformat(value)
        except ValueError:
            return None
    return None


READERS: dict[ValueType, Callable[[Scalar], Any]] = {
    ValueType.STRING: read_text,
    ValueType.ENUM: read_text,
    ValueType.NUMBER: read_number,
    ValueType.BOOL: read_bool,
    ValueType.DATE: read_date,
}


def compile_value(value: Value, tests: Callable[[Any], Test]) -> Get:
    """The closure of a value. ``tests`` compiles the condition after ``where``."""
    match value:
        case Literal():
            constant = value.value
            return lambda _customer, _event, _facts: constant
        case Path():
            return _path(value)
        case Default():
            return _default(compile_value(value.left, tests), compile_value(value.right, tests))
        case Lower():
            return _lower(compile_value(value.value, tests))
        case DaysUntil():
            return _days(_path(value.path), 1)
        case DaysSince():
            return _days(_path(value.path), -1)
        case Count():
            return _count(value, tests)
        case Status():
            raise TypeError("status() needs a journey; check refuses it")
        case _:
            assert_never(value)


def _path(path: Path) -> Get:
    name, read = path.name, READERS[path.type]
    if path.root is Root.CUSTOMER:
        return lambda customer, _event, _facts: read(customer.get(name))
    return lambda _customer, event, _facts: read(event.get(name))


def _default(left: Get, right: Get) -> Get:
    def get(customer: Row, event: Row, facts: Facts) -> Any:
        value = left(customer, event, facts)
        return right(customer, event, facts) if value is None else value

    return get


def _lower(inner: Get) -> Get:
    def get(customer: Row, event: Row, facts: Facts) -> Any:
        value = inner(customer, event, facts)
        return None if value is None else lower(value)

    return get


def _days(path: Get, sign: int) -> Get:
    def get(customer: Row, event: Row, facts: Facts) -> int | None:
        day = path(customer, event, facts)
        return None if day is None else sign * (day.toordinal() - facts.today.toordinal())

    return get


def compile_window(within: Duration | None) -> Callable[[Facts], datetime | None]:
    """Where the window of one evaluation begins; None reaches back for ever.

    The last answer is kept: a run asks about many customers at one moment in one zone.
    """
    if within is None:
        return lambda _facts: None
    last: tuple[datetime, ZoneInfo, datetime] | None = None

    def start(facts: Facts) -> datetime:
        nonlocal last
        known = last  # read once: another thread may replace it
        if known is not None and known[0] is facts.now and known[1] is facts.zone:
            return known[2]
        found = window_start(facts.now, within, facts.zone)
        last = (facts.now, facts.zone, found)
        return found

    return start


def _count(count: Count, tests: Callable[[Any], Test]) -> Get:
    name, begin = count.event, compile_window(count.within)
    where = None if count.where is None else tests(count.where)

    def get(customer: Row, _event: Row, facts: Facts) -> int:
        start, now, total = begin(facts), facts.now, 0
        for past in facts.history:
            if past.name == name and past.at <= now and (start is None or past.at > start):
                total += where is None or where(customer, past.data, facts) is True
        return total

    return get
