"""The small shapes: texts, names, choices, numbers, lists and tables."""

import re
from collections.abc import Collection

from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean, near_hint
from outbound.engine.rulefiles.nodes import ListNode, MapNode, Node, ScalarNode
from outbound.engine.rulefiles.record import Shape, T

_BOOLS = {"true": True, "false": False}
_LIKE_BOOLS = {"yes": "true", "y": "true", "on": "true", "no": "false", "n": "false", "off": "false"}
_LONGEST_TEXT = 1000


def scalar(node: Node, findings: Findings) -> ScalarNode | None:
    """Any single value that is not empty."""
    if not isinstance(node, ScalarNode):
        findings.error(Code.WRONG_SHAPE, node.span, f"'{node.name}' must be a single value")
        return None
    if node.empty or not node.text.strip():
        findings.error(Code.EMPTY_VALUE, node.span, f"'{node.name}' has no value", "write a value, or remove the key")
        return None
    return node


def text(node: Node, findings: Findings) -> str | None:
    """A text of one line. Control characters are refused: texts end up in headers and log lines."""
    found = scalar(node, findings)
    if found is None:
        return None
    value = found.text.strip()
    if len(value) > _LONGEST_TEXT or not value.isprintable():
        message = f"'{node.name}' must be one line of text, at most {_LONGEST_TEXT:,} characters"
        findings.error(Code.BAD_VALUE, node.span, message)
        return None
    return value


def name(pattern: str, example: str) -> Shape[str]:
    """A name of a given form."""
    compiled = re.compile(pattern)

    def read(node: Node, findings: Findings) -> str | None:
        found = scalar(node, findings)
        if found is None:
            return None
        if not compiled.fullmatch(found.text):
            findings.error(
                Code.BAD_NAME, node.span, f"'{_short(found.text)}' is not a usable name", f"write it like {example}"
            )
            return None
        return found.text

    return read


def choice(options: Collection[str], *, code: Code = Code.BAD_VALUE, what: str = "") -> Shape[str]:
    """One of ``options``. ``what`` is the word of the message (``unknown channel 'e-mail'``)."""

    def read(node: Node, findings: Findings) -> str | None:
        found = scalar(node, findings)
        if found is None:
            return None
        if found.text not in options:
            word = _short(found.text)
            if what:
                findings.error(code, node.span, f"unknown {what} '{word}'", did_you_mean(found.text, options))
            else:
                message = f"'{word}' is not a value of {node.name} ({', '.join(options)})"
                findings.error(code, node.span, message, near_hint(found.text, options))
            return None
        return found.text

    return read


def boolean(node: Node, findings: Findings) -> bool | None:
    """``true`` or ``false``; YAML 1.1's yes and no are texts."""
    found = scalar(node, findings)
    if found is None:
        return None
    if found.text not in _BOOLS:
        lower = found.text.lower()
        hint = f"write {_LIKE_BOOLS.get(lower, lower)}" if lower in {**_LIKE_BOOLS, **_BOOLS} else ""
        findings.error(Code.BAD_VALUE, node.span, f"'{node.name}' must be true or false", hint)
        return None
    return _BOOLS[found.text]


def integer(low: int, high: int) -> Shape[int]:
    """A whole number within bounds."""

    def read(node: Node, findings: Findings) -> int | None:
        found = scalar(node, findings)
        if found is None:
            return None
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", found.text) or not low <= int(found.text) <= high:
            grouped = re.fullmatch(r"[1-9][0-9]{0,2}([_,. '][0-9]{3})+", found.text)
            hint = f"write {re.sub(r'[^0-9]', '', found.text)}" if grouped else ""
            findings.error(
                Code.BAD_VALUE, node.span, f"'{node.name}' must be a whole number from {low} to {high}", hint
            )
            return None
        return int(found.text)

    return read


def items(shape: Shape[T], *, at_least: int = 1, example: str = "") -> Shape[tuple[T, ...]]:
    """A list without repetitions. Items that cannot be read are reported and left out."""

    def read(node: Node, findings: Findings) -> tuple[T, ...] | None:
        if not isinstance(node, ListNode):
            hint = f"write [{node.text}]" if isinstance(node, ScalarNode) and not node.empty else example
            findings.error(Code.WRONG_SHAPE, node.span, f"'{node.name}' must be a list", hint)
            return None
        if len(node.items) < at_least:
            findings.error(
                Code.EMPTY_VALUE, node.span, f"'{node.name}' is an empty list", "write a value, or remove the key"
            )
            return None
        found: list[T] = []
        for item in node.items:
            value = shape(item, findings)
            if value is None:
                continue
            if value in found:
                shown = f"'{value}'" if isinstance(item, ScalarNode) else "the same"
                findings.error(Code.DUPLICATE_VALUE, item.span, f"{shown} stands twice in '{node.name}'", "remove one")
                continue
            found.append(value)
        return tuple(found)

    return read


def table(key_shape: Shape[str], value_shape: Shape[T]) -> Shape[dict[str, T]]:
    """A mapping whose keys the author chooses. Entries that cannot be read are reported and left out."""

    def read(node: Node, findings: Findings) -> dict[str, T] | None:
        if not isinstance(node, MapNode):
            findings.error(Code.WRONG_SHAPE, node.span, f"'{node.name}' must be a mapping", "write name: value")
            return None
        found: dict[str, T] = {}
        for key_node, value_node in node:
            key = key_shape(key_node, findings)
            value = value_shape(value_node, findings)
            if key is not None and value is not None:
                found[key] = value
        return found

    return read


def _short(word: str) -> str:
    """A word as it may stand in a message."""
    return word if len(word) <= 60 and word.isprintable() else ascii(word[:60])[1:-1] + ".."  # noqa: PLR2004 -- a line
