"""Reading a mapping key by key: what is there, what is missing, what does not belong.

A *shape* turns a node into a value, or reports why it cannot and answers None.
"""

from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from outbound.domain.source import Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean, nearest
from outbound.engine.rulefiles.nodes import DOCUMENT, MapNode, Node, ScalarNode

T = TypeVar("T")
Shape = Callable[[Node, Findings], T | None]


class Record:
    """One mapping whose keys are known.

    ``later`` names keys of the rule language that this version does not have yet; ``elsewhere`` says of a key
    in the wrong place where it belongs.
    """

    __slots__ = ("_findings", "_forgiven", "_keys", "_node", "_values")

    def __init__(
        self,
        node: MapNode,
        findings: Findings,
        *,
        keys: Collection[str],
        later: Collection[str] = (),
        elsewhere: Mapping[str, str] | None = None,
    ) -> None:
        self._node = node
        self._findings = findings
        self._keys = keys
        self._values: dict[str, tuple[ScalarNode, Node]] = {}
        self._forgiven: set[str] = set()
        """Required keys whose absence an earlier problem already explains."""
        for key, value in node:
            if key.text in keys:
                self._values[key.text] = (key, value)
            elif key.text in later:
                message = f"'{key.text}' is not supported by this version yet"
                findings.error(Code.UNSUPPORTED, key.span, message, "remove it, or wait for a later version")
                self._forgiven.update(keys)
            elif elsewhere and key.text in elsewhere:
                message = f"'{key.text}' does not belong here"
                findings.error(Code.MISPLACED_KEY, key.span, message, f"it stands in {elsewhere[key.text]}")
            elif key.text.lower() != "on":  # `on` was refused by the dialect
                hint = did_you_mean(key.text, [*keys, *later])
                if isinstance(value, ScalarNode) and value.empty and not nearest(key.text, keys):
                    hint = "quote a text with a comma inside { }" if node.flow else hint
                findings.error(Code.UNKNOWN_KEY, key.span, f"unknown key '{key.text}'", hint)
                self._forgiven.add(nearest(key.text, keys) or "")

    @property
    def span(self) -> Span:
        """Where the mapping starts."""
        return self._node.span

    def has(self, key: str) -> bool:
        """Whether the key is written."""
        return key in self._values

    def key_span(self, key: str) -> Span:
        """Where the key stands; the mapping where it is missing."""
        return self._values[key][0].span if key in self._values else self.span

    def node(self, key: str) -> Node | None:
        """The value as written."""
        return self._values[key][1] if key in self._values else None

    def value_span(self, key: str) -> Span:
        """Where the value stands; the mapping where it is missing."""
        return self._values[key][1].span if key in self._values else self.span

    def required(self, key: str, shape: Shape[T]) -> T | None:
        """The value, or None after a report that it is missing or wrong."""
        if key not in self._values:
            self.missing(key)
            return None
        return self.optional(key, shape)

    def optional(self, key: str, shape: Shape[T]) -> T | None:
        """The value; None where the key is missing, or after a report that it is wrong."""
        node = self.optional_node(key)
        return None if node is None else shape(node, self._findings)

    def required_node(self, key: str) -> Node | None:
        """The value as written; None after a report that it is missing or empty."""
        if key not in self._values:
            self.missing(key)
        return self.optional_node(key)

    def optional_node(self, key: str) -> Node | None:
        """The value as written; None where the key is missing, or after a report that it is empty."""
        if key not in self._values:
            return None
        name, value = self._values[key]
        if isinstance(value, ScalarNode) and value.empty:
            self._findings.error(
                Code.EMPTY_VALUE, name.span, f"'{key}' has no value", "write a value, or remove the key"
            )
            return None
        return value

    def excused(self) -> bool:
        """Whether a key of a later version already explains whatever is missing."""
        return set(self._keys) <= self._forgiven

    def missing(self, key: str, hint: str = "") -> None:
        """Report a key that must be there, unless another problem already explains its absence."""
        if key not in self._forgiven:
            self._findings.error(Code.MISSING_KEY, self.span, f"missing key '{key}'", hint)


def open_record(
    node: Node,
    findings: Findings,
    *,
    keys: Collection[str],
    later: Collection[str] = (),
    elsewhere: Mapping[str, str] | None = None,
) -> Record | None:
    """The mapping ready for reading; None after a report that ``node`` is no mapping."""
    if isinstance(node, MapNode):
        return Record(node, findings, keys=keys, later=later, elsewhere=elsewhere)
    example = ", ".join(f"{key}: .." for key in list(keys)[:2])
    what = "a document" if node.name == DOCUMENT else f"'{node.name}'"
    findings.error(Code.WRONG_SHAPE, node.span, f"{what} must be a mapping", f"write {{{example}}}")
    return None
