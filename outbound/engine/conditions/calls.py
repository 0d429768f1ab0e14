"""The functions of conditions: has, days_until, days_since, lower, happened, count, status."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from outbound.domain.condition import (
    Condition,
    Count,
    DaysSince,
    DaysUntil,
    Happened,
    Has,
    Lower,
    Path,
    ValueType,
    value_type,
)
from outbound.domain.durations import Duration
from outbound.domain.source import Span
from outbound.engine.conditions.codes import Code
from outbound.engine.conditions.names import Here, Names, Operand
from outbound.engine.conditions.reading import Reading
from outbound.engine.conditions.scope import did_you_mean
from outbound.engine.conditions.text import value_text
from outbound.engine.conditions.types import type_word

if TYPE_CHECKING:
    from outbound.engine.conditions.grammar import Node

CONDITION_CALLS = frozenset({"has", "happened"})
"""Functions that are true or false."""

VALUE_CALLS = frozenset({"days_until", "days_since", "lower", "count", "status"})
"""Functions whose result is compared."""

_OTHER_NAMES = {
    "exists": "has",
    "defined": "has",
    "is_set": "has",
    "present": "has",
    "upper": "lower",
    "days_to": "days_until",
    "days_ago": "days_since",
    "occurred": "happened",
}


class Checks(Protocol):
    """What the functions need of the checker."""

    reading: Reading
    names: Names

    def condition(self, node: "Node", here: Here) -> Condition | None:
        """The condition a node stands for, or None (reported)."""

    def value(self, node: "Node", here: Here) -> Operand | None:
        """The value a node stands for, or None (reported)."""


def check_call(checks: Checks, nodes: "list[Node]", here: Here, span: Span) -> Condition | Operand | None:
    """The call ``nodes`` = name, arguments: a condition or a value, or None (reported)."""
    name, arguments = str(nodes[0]), nodes[1:]
    check = _FUNCTIONS.get(name)
    if check is None:
        other = _OTHER_NAMES.get(name.lower()) or (name.lower() if name.lower() in _FUNCTIONS else "")
        hint = f"did you mean {other}?" if other else did_you_mean(name, _FUNCTIONS)
        hint = hint or f"there are {', '.join(sorted(_FUNCTIONS))}"
        checks.reading.report(
            checks.reading.span_of(nodes[0]), Code.CONDITION_SYNTAX, f"there is no function '{name}'", hint
        )
        return None
    return check(checks, name, arguments, here, span)


def _has(checks: Checks, name: str, arguments: "list[Node]", here: Here, span: Span) -> Condition | None:
    path = _one_path(checks, name, arguments, here, span)
    return None if path is None else Has(path, span)


def _days(checks: Checks, name: str, arguments: "list[Node]", here: Here, span: Span) -> Operand | None:
    path = _one_path(checks, name, arguments, here, span)
    if path is None:
        return None
    if path.type is not ValueType.DATE:
        message = f"{name}() needs a date; {value_text(path)} is {type_word(path.type)}"
        checks.reading.report(path.span, Code.CONDITION_TYPE, message)
        return None
    return Operand(DaysUntil(path, span) if name == "days_until" else DaysSince(path, span))


def _one_path(checks: Checks, name: str, arguments: "list[Node]", here: Here, span: Span) -> Path | None:
    if len(arguments) == 1 and _kind(arguments[0]) == "NAME":
        return checks.names.path(arguments[0], here)  # type: ignore[arg-type]  # NAME is a token
    checks.reading.report(span, Code.CONDITION_SYNTAX, f"{name}() takes one path", f"write {name}(customer.x)")
    return None


def _lower(checks: Checks, name: str, arguments: "list[Node]", here: Here, span: Span) -> Operand | None:
    if len(arguments) != 1 or _kind(arguments[0]) in _OPTIONS:
        checks.reading.report(span, Code.CONDITION_SYNTAX, f"{name}() takes one value", "write lower(customer.x)")
        return None
    operand = checks.value(arguments[0], here.deeper())
    if operand is None:
        return None
    kind = value_type(operand.value)
    if kind not in {ValueType.STRING, ValueType.ENUM}:
        message = f"lower() needs text; {value_text(operand.value)} is {type_word(kind)}"
        checks.reading.report(operand.value.span, Code.CONDITION_TYPE, message)
        return None
    return Operand(Lower(operand.value, span))


def _event_call(
    checks: Checks, name: str, arguments: "list[Node]", here: Here, span: Span
) -> Condition | Operand | None:
    report = checks.reading.report
    if here.in_where:
        report(span, Code.CONDITION_TYPE, f"{name}() cannot stand after where", "join it outside with and")
        return None
    if not arguments or _kind(arguments[0]) != "NAME":
        report(span, Code.CONDITION_SYNTAX, f"{name}() starts with an event", f"write {name}(order.placed, within 30d)")
        return None
    event = checks.names.event_name(arguments[0])  # type: ignore[arg-type]  # NAME is a token
    options = _event_options(checks, name, arguments[1:])
    if event is None or options is None:
        return None
    where: Condition | None = None
    within: Duration | None = None
    if "where" in options:
        where = checks.condition(options["where"], Here(here.depth + 1, event, in_where=True))
    if "within" in options:
        within = checks.reading.window(options["within"])
    if ("where" in options and where is None) or ("within" in options and within is None):
        return None
    if name == "happened":
        return Happened(event, where, within, since_entry=False, span=span)
    return Operand(Count(event, where, within, since_entry=False, span=span))


def _event_options(checks: Checks, name: str, arguments: "list[Node]") -> "dict[str, Node] | None":
    """What stands after each of where and within, or None when an option is wrong (reported)."""
    report = checks.reading.report
    options: dict[str, Node] = {}
    failed = False
    for argument in arguments:
        option = _kind(argument)
        span = checks.reading.span_of(argument)
        inner = getattr(argument, "children", [None])[0]
        if option not in _OPTIONS:
            hint = "write where before a condition, within before a duration"
            report(span, Code.CONDITION_SYNTAX, f"{name}() takes where, within and since after the event", hint)
        elif option in options:
            report(span, Code.CONDITION_SYNTAX, f"'{option}' is written twice", "each option stands once")
        elif option != "since":
            options[option] = inner
            continue
        elif str(inner) == "entry":
            report(span, Code.NEEDS_JOURNEY, "'since entry' needs a journey", "write within 30d")
        else:
            report(span, Code.CONDITION_SYNTAX, f"'since {inner}' means nothing", "write since entry, or within 30d")
        failed = True
    return None if failed else options


def _status(checks: Checks, name: str, _arguments: "list[Node]", _here: Here, span: Span) -> None:
    hint = "only the steps and exits of a journey can look at other steps"
    checks.reading.report(span, Code.NEEDS_JOURNEY, f"{name}() needs a journey", hint)


_OPTIONS = frozenset({"where", "within", "since"})

_Check = Callable[[Checks, str, "list[Node]", Here, Span], Condition | Operand | None]
_FUNCTIONS: dict[str, _Check] = {
    "has": _has,
    "days_until": _days,
    "days_since": _days,
    "lower": _lower,
    "happened": _event_call,
    "count": _event_call,
    "status": _status,
}


def _kind(node: "Node") -> str:
    return str(getattr(node, "data", None) or getattr(node, "type", ""))
