"""Reads one condition and checks its types: the typed tree, or every problem with its place.

``compile_clause`` is the only way from text to a condition. What it returns can be evaluated, compiled to
SQL and explained without further checks.
"""

from dataclasses import replace
from typing import TYPE_CHECKING

from outbound.domain.condition import (
    And,
    Clause,
    Compare,
    Condition,
    Default,
    In,
    Literal,
    Not,
    Or,
    Truth,
    ValueType,
    value_type,
)
from outbound.domain.source import Problem, Severity, Span
from outbound.engine.conditions.advice import advise
from outbound.engine.conditions.calls import CONDITION_CALLS, VALUE_CALLS, check_call
from outbound.engine.conditions.codes import Code
from outbound.engine.conditions.grammar import ConditionSyntaxError, parse
from outbound.engine.conditions.names import Here, Names, Operand
from outbound.engine.conditions.reading import Reading
from outbound.engine.conditions.scope import Scope, did_you_mean
from outbound.engine.conditions.size import MAX_LEVELS, MAX_PARTS, parts_of
from outbound.engine.conditions.text import value_text
from outbound.engine.conditions.types import comparable, mismatch, type_word

if TYPE_CHECKING:
    from lark import Token

    from outbound.engine.conditions.grammar import Node

MAX_DEPTH = 20
"""How deep parentheses, not and ?? may nest in one text."""

_ORDERED = frozenset({ValueType.NUMBER, ValueType.DATE})


class _TooDeepError(Exception):
    def __init__(self, span: Span) -> None:
        super().__init__()
        self.span = span


def compile_clause(text: str, *, span: Span, scope: Scope) -> tuple[Clause | None, list[Problem]]:
    """The checked condition of ``text``, and its problems: errors (then the clause is None) and warnings.

    ``span`` is where the text starts in its file. Problems carry exact spans but no source line.
    """
    reading = Reading(text, span)
    condition = None
    try:
        condition = Checker(reading, scope).condition(parse(text), Here(0, scope.event))
    except ConditionSyntaxError as error:
        reading.report(reading.at(error.mark), Code.CONDITION_SYNTAX, error.message, error.suggestion)
    except _TooDeepError as error:
        message = f"the condition nests deeper than {MAX_DEPTH} levels"
        reading.report(error.span, Code.CONDITION_SIZE, message, "move parts of it into segments")
    if condition is not None:
        parts, levels = parts_of(condition)
        if parts > MAX_PARTS or levels > MAX_LEVELS:
            message = (
                f"with its segments the condition has {parts:,} parts on {levels} levels, "
                f"at most {MAX_PARTS} on {MAX_LEVELS} are allowed"
            )
            reading.report(span, Code.CONDITION_SIZE, message, "put the answer into a customer attribute")
    if condition is None or any(problem.severity is Severity.ERROR for problem in reading.problems):
        return None, reading.problems
    advise(condition, reading, scope)
    return Clause(condition, text, span), reading.problems


class Checker:
    """Walks the parse tree once; a part with an error becomes None, and its siblings are still checked."""

    def __init__(self, reading: Reading, scope: Scope) -> None:
        self.reading = reading
        self.scope = scope
        self.names = Names(reading, scope)

    def condition(self, node: "Node", here: Here) -> Condition | None:
        """The condition a node stands for, or None (reported)."""
        span = self.reading.span_of(node)
        if here.depth > MAX_DEPTH:
            raise _TooDeepError(replace(span, width=1))
        match _kind(node):
            case "and_" | "or_" as kind:
                return self._junction(kind, _children(node), here, span)
            case "not_":
                part = self.condition(_children(node)[0], here.deeper())
                return None if part is None else Not(part, span)
            case "compare":
                return self._compare(_children(node), here, span)
            case "in_" | "not_in" as kind:
                return self._in(_children(node), here, span, negated=kind == "not_in")
            case "call" if str(_children(node)[0]) not in VALUE_CALLS:
                found = check_call(self, _children(node), here, span)
                return None if isinstance(found, Operand) else found
            case "NAME":
                named = self.names.resolve(_token(node), here)
                return self._truth(named, span) if isinstance(named, Operand) else named
            case _:
                return self._truth(self.value(node, here), span)

    def value(self, node: "Node", here: Here) -> Operand | None:
        """The value a node stands for, or None (reported)."""
        span = self.reading.span_of(node)
        if here.depth > MAX_DEPTH:
            raise _TooDeepError(replace(span, width=1))
        match _kind(node):
            case "default":
                return self._default(_children(node), here, span)
            case "call" if str(_children(node)[0]) not in CONDITION_CALLS:
                found = check_call(self, _children(node), here, span)
                return found if isinstance(found, Operand) else None
            case "call":
                name = str(_children(node)[0])
                hint = "write count(...)" if name == "happened" else f"write {name}(...) alone, or not {name}(...)"
                self.reading.report(span, Code.CONDITION_TYPE, f"{name}() is true or false and is not compared", hint)
                return None
            case "TEXT" | "NUMBER" | "DATE" | "DURATION":
                literal = self.reading.literal(_token(node))
                return None if literal is None else Operand(literal)
            case "NAME":
                named = self.names.resolve(_token(node), here)
                if named is None or isinstance(named, Operand):
                    return named
                hint = f"write {node} alone, or not {node}"
                self.reading.report(span, Code.CONDITION_TYPE, f"{node} is true or false and is not compared", hint)
                return None
            case _:
                self.reading.report(
                    span,
                    Code.CONDITION_TYPE,
                    "a condition stands where a value is expected",
                    "join conditions with and, or",
                )
                return None

    def _junction(self, kind: str, nodes: "list[Node]", here: Here, span: Span) -> Condition | None:
        node_type: type[And | Or] = And if kind == "and_" else Or
        parts: list[Condition] = []
        failed = False
        for node in nodes:
            part = self.condition(node, here.deeper())
            if part is None:
                failed = True
            elif isinstance(part, node_type):
                parts.extend(part.parts)
            else:
                parts.append(part)
        return None if failed else node_type(tuple(parts), span)

    def _truth(self, operand: Operand | None, span: Span) -> Condition | None:
        if operand is None:
            return None
        value = operand.value
        kind = value_type(value)
        if kind is ValueType.BOOL:
            return Truth(value, span)
        text = value_text(value)
        if isinstance(value, Literal):
            hint = "remove the quotes" if kind is ValueType.STRING else "compare it with customer.x"
        elif kind is ValueType.DATE:
            hint = f"compare it: days_until({text}) <= 7"
        elif kind is ValueType.NUMBER:
            hint = f"compare it: {text} >= 1"
        else:
            hint = f"compare it: {text} == '{operand.members[0] if operand.members else '...'}'"
        self.reading.report(span, Code.CONDITION_TYPE, f"{text} is {type_word(kind)}, not true or false", hint)
        return None

    def _compare(self, nodes: "list[Node]", here: Here, span: Span) -> Condition | None:
        left = self.value(nodes[0], here.deeper())
        right = self.value(nodes[2], here.deeper())
        op = str(nodes[1])
        if left is None or right is None or not self._same_type(left, right):
            return None
        kind = value_type(left.value)
        if op not in {"==", "!="} and kind not in _ORDERED:
            subject = right.value if isinstance(left.value, Literal) else left.value
            message = f"{op} needs numbers or dates; {value_text(subject)} is {type_word(kind)}"
            self.reading.report(span, Code.CONDITION_TYPE, message, "compare with == or !=")
            return None
        if not (self._member(left, right) and self._member(right, left)):
            return None
        return Compare(op, left.value, right.value, span)

    def _in(self, nodes: "list[Node]", here: Here, span: Span, *, negated: bool) -> Condition | None:
        subject = self.value(nodes[0], here.deeper())
        options: list[Literal] = []
        if not _children(nodes[1]):
            self.reading.report(
                self.reading.span_of(nodes[1]), Code.CONDITION_VALUE, "the list is empty", "write in ['a', 'b']"
            )
            return None
        failed = subject is None
        for node in _children(nodes[1]):
            option = self.value(node, here.deeper())
            if option is None:
                failed = True
            elif not isinstance(option.value, Literal):
                self.reading.report(
                    self.reading.span_of(node),
                    Code.CONDITION_TYPE,
                    f"a list holds plain values, not {value_text(option.value)}",
                    "compare with == and join with or",
                )
                failed = True
            elif subject is not None and not (self._same_type(subject, option) and self._member(subject, option)):
                failed = True
            else:
                options.append(option.value)
        return None if failed or subject is None else In(subject.value, tuple(options), negated, span)

    def _default(self, nodes: "list[Node]", here: Here, span: Span) -> Operand | None:
        inner = here.deeper(len(nodes) - 1)  # a ?? b ?? c is (a ?? b) ?? c
        operands = [self.value(node, inner) for node in nodes]
        result = operands[0]
        for operand in operands[1:]:
            if result is None or operand is None or not self._same_type(result, operand):
                return None
            if not self._member(result, operand):
                return None
            value = Default(result.value, operand.value, span)
            if isinstance(operand.value, Literal) or not (result.members and operand.members):
                members = result.members if isinstance(operand.value, Literal) else ()
            else:
                members = tuple(dict.fromkeys(result.members + operand.members))
            result = Operand(value, members, result.of)
        return result

    def _same_type(self, left: Operand, right: Operand) -> bool:
        if comparable(left.value, right.value):
            return True
        span, message, hint = mismatch(left.value, right.value)
        self.reading.report(span, Code.CONDITION_TYPE, message, hint)
        return False

    def _member(self, subject: Operand, literal: Operand) -> bool:
        """Whether a constant compared with an enum is one of its members (reported when not)."""
        if not subject.members or not isinstance(literal.value, Literal) or literal.value.value in subject.members:
            return True
        word = str(literal.value.value)
        message = f"{value_text(literal.value)} is not a value of {subject.of} ({', '.join(subject.members)})"
        self.reading.report(literal.value.span, Code.UNKNOWN_VALUE, message, _near_member(word, subject.members))
        return False


def _near_member(word: str, members: tuple[str, ...]) -> str:
    same = [member for member in members if member.lower() == word.lower()]
    return f"did you mean '{same[0]}'?" if same else did_you_mean(word, members)


def _kind(node: "Node") -> str:
    return str(getattr(node, "data", None) or getattr(node, "type", ""))


def _children(node: "Node") -> "list[Node]":
    children: list[Node] = getattr(node, "children", [])
    return children


def _token(node: "Node") -> "Token":
    return node  # type: ignore[return-value]  # the caller matched a terminal
