"""Resolves the names of a condition: ``customer.x``, ``event.x``, ``segment.x``, ``true`` and ``false``."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from outbound.domain.condition import And, Condition, InSegment, Literal, Path, Root, Value
from outbound.domain.rule import Field
from outbound.domain.source import Span
from outbound.engine.conditions.codes import Code
from outbound.engine.conditions.grammar import JOINING, misplaced
from outbound.engine.conditions.reading import Reading
from outbound.engine.conditions.scope import Scope, did_you_mean, path_of

if TYPE_CHECKING:
    from lark import Token

_ABSENT = frozenset({"null", "none", "nil", "missing", "undefined", "empty", "blank"})
_ROOTS = ("customer", "event", "segment")


@dataclass(frozen=True, slots=True)
class Here:
    """Where in the condition we stand: how deep, which event ``event.x`` means, and whether after ``where``."""

    depth: int
    event: str | None
    in_where: bool = False

    def deeper(self, levels: int = 1) -> "Here":
        """The same place further in."""
        return replace(self, depth=self.depth + levels)


@dataclass(frozen=True, slots=True)
class Operand:
    """A value and, where it is an enum, its members and the attribute (``of``) they belong to."""

    value: Value
    members: tuple[str, ...] = ()
    of: str = ""


class Names:
    """Looks names up in the scope and reports those it does not know, with the nearest one."""

    def __init__(self, reading: Reading, scope: Scope) -> None:
        self._reading = reading
        self._scope = scope

    def resolve(self, token: "Token", here: Here) -> Operand | Condition | None:
        """What the name means, or None when it means nothing (reported)."""
        text = str(token)
        span = self._reading.span_of(token)
        root, dot, name = text.partition(".")
        if not dot and text in {"true", "false"}:
            return Operand(Literal(text == "true", span))
        if not name or root not in _ROOTS:
            self._report_stray(text, span, here)
            return None
        if root == "customer":
            return self._customer(text, name, span)
        if root == "event":
            return self._event(text, name, span, here)
        return self._segment(name, span, here)

    def path(self, token: "Token", here: Here) -> Path | None:
        """The declared attribute a name means, or None (reported)."""
        found = self.resolve(token, here)
        if isinstance(found, Operand) and isinstance(found.value, Path):
            return found.value
        if found is not None:
            self._reading.report(
                self._reading.span_of(token),
                Code.CONDITION_TYPE,
                f"'{token}' is not a path",
                "write customer.x or event.x",
            )
        return None

    def event_name(self, token: "Token") -> str | None:
        """The declared event a name means, or None (reported)."""
        events = self._scope.schema.events
        if str(token) in events:
            return str(token)
        self._reading.report(
            self._reading.span_of(token),
            Code.UNKNOWN_EVENT,
            f"event '{token}' is not in rules/schema.yaml",
            did_you_mean(str(token), events),
        )
        return None

    def _customer(self, text: str, name: str, span: Span) -> Operand | None:
        declared = self._scope.customer_field(name)
        if declared is None:
            hint = did_you_mean(name, self._scope.customer_names(), "customer.")
            self._reading.report(span, Code.UNKNOWN_ATTRIBUTE, f"'{text}' is not in rules/schema.yaml", hint)
            return None
        return _operand(Root.CUSTOMER, name, declared, span)

    def _event(self, text: str, name: str, span: Span, here: Here) -> Operand | None:
        if here.event is None:
            hint = "event.x stands in the if of an event rule, or after where"
            self._reading.report(span, Code.UNKNOWN_ATTRIBUTE, f"'{text}' has no event to look at", hint)
            return None
        fields = self._scope.schema.events.get(here.event)
        if fields is None or name not in fields:
            hint = did_you_mean(name, fields or (), "event.")
            message = f"'{text}' is not a field of {here.event} in rules/schema.yaml"
            self._reading.report(span, Code.UNKNOWN_ATTRIBUTE, message, hint)
            return None
        return _operand(Root.EVENT, name, fields[name], span)

    def _segment(self, name: str, span: Span, here: Here) -> InSegment | None:
        clauses = self._scope.segments.get(name)
        if clauses is None:
            hint = did_you_mean(name, self._scope.segments, "segment.")
            self._reading.report(span, Code.UNKNOWN_SEGMENT, f"segment '{name}' is not in rules/segments.yaml", hint)
            return None
        if not clauses:
            return None  # the segment itself does not compile, which is reported where it stands
        if here.in_where:
            hint = "join it outside: happened(...) and segment.x"
            self._reading.report(span, Code.CONDITION_TYPE, "a segment cannot stand after where", hint)
            return None
        parts = tuple(clause.condition for clause in clauses)
        return InSegment(name, parts[0] if len(parts) == 1 else And(parts, span), span)

    def _report_stray(self, text: str, span: Span, here: Here) -> None:
        scope = self._scope
        fields = scope.schema.events.get(here.event or "", {})
        lowered = text.lower()
        root, dot, rest = text.partition(".")
        message = f"'{text}' is not a path"
        if text in JOINING:
            message, hint = misplaced(text), "a value is missing before it"
        elif lowered in _ABSENT:
            message, hint = f"there is no '{text}' in conditions", "write has(customer.x) or not has(customer.x)"
        elif lowered in {"true", "false"}:
            hint = f"write {lowered}"
        elif text in _ROOTS:
            hint = f"write {text}.x"
        elif text in scope.customer_names():
            hint = f"did you mean customer.{text}?"
        elif text in fields:
            hint = f"did you mean event.{text}?"
        elif text in scope.segments:
            hint = f"did you mean segment.{text}?"
        elif text in scope.schema.events:
            message, hint = f"'{text}' is an event, not a value", f"write happened({text})"
        elif dot:
            near = did_you_mean(root, _ROOTS)
            hint = near.replace("?", f".{rest}?") if near else "paths start with customer., event. or segment."
        else:
            hint = did_you_mean(text, scope.customer_names(), "customer.") or f"write text in single quotes: '{text}'"
        self._reading.report(span, Code.UNKNOWN_ATTRIBUTE, message, hint)


def _operand(root: Root, name: str, declared: Field, span: Span) -> Operand:
    return Operand(path_of(root, name, declared, span), declared.values, f"{root}.{name}")
