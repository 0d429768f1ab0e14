"""Conditions compiled to SQL over the customer table, true for exactly the customers Python finds true.

SQL's own three values are Kleene's, so the tree translates node by node. Every constant is bound.
"""

import operator
from collections.abc import Callable
from datetime import date, datetime
from typing import Any, assert_never
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from outbound.domain.condition import (
    And,
    Clause,
    Compare,
    Condition,
    Count,
    DaysSince,
    DaysUntil,
    Default,
    Happened,
    Has,
    In,
    InSegment,
    Literal,
    Lower,
    Not,
    Or,
    Path,
    Root,
    Status,
    Truth,
    Value,
)
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.windows import window_start
from outbound.storage import tables
from outbound.storage.condition_dialects import DIALECTS, Expression

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COLUMNS = frozenset({"id", "country", "language", "timezone"})
_CHANNELS = {"email": ChannelName.EMAIL, "phone": ChannelName.SMS}


def clause_sql(clause: Clause, *, now: datetime, today: date, zone: ZoneInfo, dialect: str) -> sa.ColumnElement[bool]:
    """The clause as an expression over ``tables.customer``: true where it holds, else false, never NULL.

    ``today`` and ``zone`` are those of the zone bucket the statement asks about; windows count back from
    ``now`` in that zone. ``dialect`` is SQLAlchemy's name, ``sqlite`` or ``postgresql``. Raises
    OutboundError ``condition_needs_event`` for a clause about an event: those are evaluated in Python.
    """
    return _Compiler(now, today, zone, dialect).only_true(clause.condition)


class _Compiler:
    """Holds what does not change while one tree is walked."""

    def __init__(self, now: datetime, today: date, zone: ZoneInfo, dialect: str) -> None:
        self._now = now
        self._today = today
        self._zone = zone
        self._dialect = DIALECTS[dialect]
        self._by_key = dialect == "postgresql"
        self._event: sa.FromClause | None = None

    def only_true(self, condition: Condition) -> sa.ColumnElement[bool]:
        """False where the condition is unknown. Junctions stay visible to the database's planner."""
        match condition:
            case And():
                return sa.and_(*(self.only_true(part) for part in condition.parts))
            case Or():
                return sa.or_(*(self.only_true(part) for part in condition.parts))
            case InSegment():
                return self.only_true(condition.condition)
            case Has() | Happened():
                return self._test(condition)
            case Compare(left=Path() as path, right=Literal() as literal) if self._is_stored(path):
                return self._stored(path, lambda value: _OPERATORS[condition.op](value, self._stored_constant(literal)))
            case Compare(left=Literal() as literal, right=Path() as path) if self._is_stored(path):
                return self._stored(path, lambda value: _OPERATORS[condition.op](self._stored_constant(literal), value))
            case In(value=Path() as path) if self._is_stored(path):
                options = [self._stored_constant(option) for option in condition.options]
                return self._stored(path, lambda v: v.not_in(options) if condition.negated else v.in_(options))
            case _:
                return sa.func.coalesce(self._test(condition), sa.false(), type_=sa.Boolean())

    def _test(self, condition: Condition) -> sa.ColumnElement[bool]:
        match condition:
            case And():
                return sa.and_(*(self._test(part) for part in condition.parts))
            case Or():
                return sa.or_(*(self._test(part) for part in condition.parts))
            case Not():
                return sa.not_(self._test(condition.part))
            case InSegment():
                return self._test(condition.condition)
            case Compare():
                left, right = self._value(condition.left), self._value(condition.right)
                compared: sa.ColumnElement[bool] = _OPERATORS[condition.op](left, right)
                return compared
            case In():
                options = [self._constant(option) for option in condition.options]
                value = self._value(condition.value)
                return value.not_in(options) if condition.negated else value.in_(options)
            case Truth():
                return self._value(condition.value)
            case Has():
                return self._value(condition.path).is_not(None)
            case Happened():
                events = self._events(condition, sa.literal(1, sa.Integer()))
                # PostgreSQL would read all events of the shop for each key range to hash them; OFFSET 0 forbids that.
                return sa.exists(events.offset(0) if self._by_key else events)
            case _:
                assert_never(condition)

    def _is_stored(self, path: Path) -> bool:
        return path.root is Root.CUSTOMER and path.name not in _COLUMNS and path.name not in _CHANNELS

    def _stored(self, path: Path, test: Callable[[Expression], Any]) -> sa.ColumnElement[bool]:
        """A declared attribute against constants, written so that an index on the attribute fits."""
        document = tables.customer.c.attributes
        present = self._dialect.attribute(document, path.name, path.type).is_not(None)
        return sa.and_(test(self._dialect.indexed(document, path.name, path.type)), present)

    def _stored_constant(self, literal: Literal) -> Expression:
        if isinstance(literal.value, date):
            return sa.literal(literal.value.isoformat(), sa.Text())
        return self._constant(literal)

    def _value(self, value: Value) -> Expression:
        match value:
            case Literal():
                return self._constant(value)
            case Path():
                return self._path(value)
            case Default():
                left = self._value(value.left)
                return sa.func.coalesce(left, self._value(value.right), type_=left.type)
            case Lower():
                return self._dialect.lower(self._value(value.value))
            case DaysUntil():
                return self._dialect.days_after(self._path(value.path), self._today)
            case DaysSince():
                return -self._dialect.days_after(self._path(value.path), self._today)
            case Count():
                return self._events(value, sa.func.count()).scalar_subquery()
            case Status():
                raise TypeError("status() needs a journey; check refuses it")
            case _:
                assert_never(value)

    def _constant(self, literal: Literal) -> Expression:
        match literal.value:
            case bool():
                return sa.literal(literal.value, sa.Boolean())
            case int() | float():
                return sa.literal(float(literal.value), sa.Double())
            case date():
                return self._dialect.constant_day(literal.value)
            case str():
                return sa.literal(literal.value, sa.Text())
            case _:
                raise TypeError(f"{literal.value} is not a value; check refuses it")

    def _path(self, path: Path) -> Expression:
        if path.root is Root.EVENT:
            if self._event is None:
                message = f"event.{path.name} has no event in a query over customers"
                raise OutboundError("condition_needs_event", message, "put it into the if of an event rule")
            return self._dialect.attribute(self._event.c.data, path.name, path.type)
        if path.name in _COLUMNS:
            return tables.customer.c[path.name]
        channel = _CHANNELS.get(path.name)
        if channel is None:
            return self._dialect.attribute(tables.customer.c.attributes, path.name, path.type)
        address = tables.address.alias()
        return (
            sa.select(address.c.value)
            .where(address.c.customer_id == tables.customer.c.id, address.c.channel == channel.value)
            .correlate(tables.customer)
            .scalar_subquery()
        )

    def _events(self, look: Happened | Count, column: Expression) -> sa.Select[Any]:
        """The customer's events that count, selected as ``column``."""
        event = tables.event.alias()
        tests = [
            event.c.customer_id == tables.customer.c.id,
            event.c.name == sa.literal(look.event, sa.Text()),
            event.c.at <= self._now,
        ]
        if look.within is not None:
            tests.append(event.c.at > window_start(self._now, look.within, self._zone))
        if look.where is not None:
            self._event = event
            tests.append(self.only_true(look.where))
            self._event = None  # where does not nest
        return sa.select(column).select_from(event).where(*tests).correlate(tables.customer)
