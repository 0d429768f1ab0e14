"""How each database reads typed values out of JSON documents, so that all of them agree with Python.

A value of another JSON type than declared is NULL. Casts are guarded: one odd document must never make a
statement over all customers fail. Column expressions only; every constant of a condition is bound. Names of
attributes and what is the same in every statement stand in the text: an index on such an expression is found only
by the very same expression (``storage.attribute_indexes``).
"""

from abc import ABC, abstractmethod
from datetime import date
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from outbound.domain.condition import ValueType
from outbound.domain.lowercase import mapping

Expression = sa.ColumnElement[Any]

_LARGEST = 1e300
"""As in Python: numbers beyond this count as missing."""

_SMALLEST = 1e-320
"""Numbers nearer to zero are zero: PostgreSQL refuses to cast them."""

_SHORT = 300
"""A number written in fewer characters than this, without an exponent, always fits a double."""

_VALID_DATE = (
    "^(?!0000)(?:"
    "[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])"
    "|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
    "|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29"
    ")$"
)
"""Every day from 0001-01-01 to 9999-12-31 of the proleptic Gregorian calendar, leap days included."""


class Dialect(ABC):
    """Typed reading of JSON attributes and the few functions conditions need."""

    def attribute(self, document: Expression, name: str, kind: ValueType) -> Expression:
        """The attribute ``name`` of a JSON document as ``kind``, NULL where absent, null or of another type."""
        match kind:
            case ValueType.NUMBER:
                return self.number(document, name)
            case ValueType.BOOL:
                return self.boolean(document, name)
            case ValueType.DATE:
                return self.day(self.text(document, name))
            case ValueType.STRING | ValueType.ENUM:
                return self.text(document, name)

    def indexed(self, document: Expression, name: str, kind: ValueType) -> Expression:
        """What an index on the attribute holds: days as their ISO text, which sorts as they do."""
        return self.text(document, name) if kind is ValueType.DATE else self.attribute(document, name, kind)

    @abstractmethod
    def text(self, document: Expression, name: str) -> Expression:
        """The attribute where it is a JSON string."""

    @abstractmethod
    def number(self, document: Expression, name: str) -> Expression:
        """The attribute where it is a JSON number, as a double."""

    @abstractmethod
    def boolean(self, document: Expression, name: str) -> Expression:
        """The attribute where it is true or false."""

    @abstractmethod
    def day(self, text: Expression) -> Expression:
        """ISO text of a day as this database compares days; NULL where it is none."""

    @abstractmethod
    def constant_day(self, day: date) -> Expression:
        """A constant day in the same form."""

    @abstractmethod
    def days_after(self, day: Expression, start: date) -> Expression:
        """Whole days from ``start`` to ``day``."""

    @abstractmethod
    def lower(self, text: Expression) -> Expression:
        """Lower case as `outbound.domain.lowercase` defines it."""


class _Sqlite(Dialect):
    """SQLite: json_type and json_extract; days are ISO text, which sorts as days do."""

    def text(self, document: Expression, name: str) -> Expression:
        return _sqlite_text(document, _json_path(name))

    def number(self, document: Expression, name: str) -> Expression:
        value = _json_value(document, name, sa.Float())
        within = value.between(_fixed(-_LARGEST, sa.Float()), _fixed(_LARGEST, sa.Float()))
        kind = _json_type(document, name)
        is_number = sa.or_(kind == _fixed("integer"), kind == _fixed("real"))
        return sa.case((sa.and_(is_number, within), sa.cast(value, sa.REAL)))

    def boolean(self, document: Expression, name: str) -> Expression:
        value = _json_value(document, name, sa.Boolean())
        kind = _json_type(document, name)
        return sa.case((sa.or_(kind == _fixed("true"), kind == _fixed("false")), value))

    def day(self, text: Expression) -> Expression:
        # Without a modifier SQLite keeps 2026-02-30 as it is; with one it becomes 2026-03-02 and differs.
        valid = sa.and_(sa.func.date(text, _bound("+0 days")) == text, text >= _bound("0001-01-01"))
        return sa.case((valid, text))

    def constant_day(self, day: date) -> Expression:
        return _bound(day.isoformat())

    def days_after(self, day: Expression, start: date) -> Expression:
        return sa.cast(sa.func.julianday(day) - sa.func.julianday(self.constant_day(start)), sa.Integer())

    def lower(self, text: Expression) -> Expression:
        return sa.func.outbound_lower(text, type_=sa.Text())  # registered by storage.database on each connection


class _Postgresql(Dialect):
    """PostgreSQL: the arrow operators of JSONB; days are dates."""

    def text(self, document: Expression, name: str) -> Expression:
        return _postgresql_text(document, _fixed(name))

    def number(self, document: Expression, name: str) -> Expression:
        text = _jsonb_text(document, name)
        size = sa.func.abs(sa.cast(text, sa.Numeric()))
        double: Expression = sa.cast(text, sa.Double())
        is_number = _jsonb_type(document, name) == _fixed("number")
        in_range = sa.case(
            (sa.func.length(text) < _fixed(_SHORT, sa.Integer()), double),
            (size < sa.cast(_fixed(str(_SMALLEST)), sa.Numeric()), _fixed(0.0, sa.Double())),
            (size <= sa.cast(_fixed(str(_LARGEST)), sa.Numeric()), double),
        )
        return sa.case((is_number, in_range))

    def boolean(self, document: Expression, name: str) -> Expression:
        is_boolean = _jsonb_type(document, name) == _fixed("boolean")
        return sa.case((is_boolean, sa.cast(_jsonb_text(document, name), sa.Boolean())))

    def day(self, text: Expression) -> Expression:
        return sa.case((text.op("~", is_comparison=True)(_bound(_VALID_DATE)), sa.cast(text, sa.Date())))

    def constant_day(self, day: date) -> Expression:
        return sa.literal(day, sa.Date())

    def days_after(self, day: Expression, start: date) -> Expression:
        return day.op("-", return_type=sa.Integer())(self.constant_day(start))

    def lower(self, text: Expression) -> Expression:
        # translate() compares each character with the whole table, so plain ASCII takes the short way.
        ascii_only = sa.func.octet_length(text) == sa.func.char_length(text)
        table = mapping()
        capitals, smalls = "".join(map(chr, table)), "".join(map(chr, table.values()))
        return sa.case(
            (ascii_only, sa.func.lower(text.collate("C"), type_=sa.Text())),
            else_=sa.func.translate(text, _bound(capitals), _bound(smalls), type_=sa.Text()),
        )


DIALECTS: dict[str, Dialect] = {"sqlite": _Sqlite(), "postgresql": _Postgresql()}
"""By the name SQLAlchemy gives the dialect."""


def _bound(text: str) -> Expression:
    return sa.literal(text, sa.Text())


def _fixed(value: Any, kind: Any = None) -> Expression:
    """A value that is written into the statement: the same in all of them, or the name of an attribute."""
    return sa.bindparam(None, value, kind or sa.Text(), unique=True, literal_execute=True)


def _json_path(name: str) -> Expression:
    return _fixed(f'$."{name}"')


def _sqlite_text(document: Expression, path: Expression) -> Expression:
    kind = sa.func.json_type(document, path, type_=sa.Text())
    return sa.case((kind == _fixed("text"), sa.func.json_extract(document, path, type_=sa.Text())))


def _postgresql_text(document: Expression, name: Expression) -> Expression:
    kind = sa.func.jsonb_typeof(document.op("->")(name), type_=sa.Text())
    return sa.case((kind == _fixed("string"), document.op("->>", return_type=sa.Text())(name)))


class stored_text(FunctionElement[str]):  # noqa: N801 - used like a function
    """``Dialect.text`` where the database is not known yet: ``stored_text.of(document, name)``."""

    type = sa.Text()
    inherit_cache = True

    @classmethod
    def of(cls, document: Expression, name: str) -> "stored_text":
        """The attribute ``name`` of ``document`` where it is a JSON string."""
        return cls(document, _json_path(name), _fixed(name))


@compiles(stored_text, "sqlite")
def _text_on_sqlite(element: stored_text, compiler: SQLCompiler, **options: Any) -> str:
    document, path, _ = element.clauses
    return compiler.process(_sqlite_text(document, path).self_group(), **options)


@compiles(stored_text, "postgresql")
def _text_on_postgresql(element: stored_text, compiler: SQLCompiler, **options: Any) -> str:
    document, _, name = element.clauses
    return compiler.process(_postgresql_text(document, name).self_group(), **options)


def _json_type(document: Expression, name: str) -> Expression:
    return sa.func.json_type(document, _json_path(name), type_=sa.Text())


def _json_value(document: Expression, name: str, kind: Any) -> Expression:
    return sa.func.json_extract(document, _json_path(name), type_=kind)


def _jsonb_type(document: Expression, name: str) -> Expression:
    return sa.func.jsonb_typeof(document.op("->")(_fixed(name)), type_=sa.Text())


def _jsonb_text(document: Expression, name: str) -> Expression:
    return document.op("->>", return_type=sa.Text())(_fixed(name))
