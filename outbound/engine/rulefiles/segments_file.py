"""rules/segments.yaml: named conditions, one document each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from outbound.domain.condition import Clause, Has, Path, Root
from outbound.domain.rule import Schema
from outbound.domain.source import Span
from outbound.engine.conditions import Scope
from outbound.engine.rulefiles.clauses import read_clauses, segments_in, written_conditions
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import Node
from outbound.engine.rulefiles.record import open_record
from outbound.engine.rulefiles.shapes import name

SEGMENT_KEYS: Final = ("segment", "if")
SEGMENT_NAME: Final = r"[a-z][a-z0-9_]{0,62}"
_segment_name = name(SEGMENT_NAME, "active_buyers")


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenSegment:
    """A segment before its conditions are compiled. ``mentions`` are the segments it refers to."""

    name: str
    span: Span
    conditions: Node | None
    mentions: Mapping[str, Span]


def read_segments(documents: list[Node], findings: Findings) -> dict[str, WrittenSegment]:
    """The segments as written, in the order of the file."""
    found: dict[str, WrittenSegment] = {}
    for document in documents:
        record = open_record(document, findings, keys=SEGMENT_KEYS)
        if record is None:
            continue
        segment = record.required("segment", _segment_name)
        conditions = record.required_node("if")
        if segment is None:
            continue
        span = record.value_span("segment")
        if segment in found:
            message = f"segment '{segment}' stands twice, first on line {found[segment].span.line}"
            findings.error(Code.DUPLICATE_SEGMENT, span, message, "give it another name")
            continue
        mentions: dict[str, Span] = {}
        for node in written_conditions(conditions):
            for mentioned, offset in segments_in(node.text):
                mentions.setdefault(mentioned, node.place(offset, len(mentioned)))
        found[segment] = WrittenSegment(name=segment, span=span, conditions=conditions, mentions=mentions)
    return found


def compile_segments(
    written: Mapping[str, WrittenSegment], schema: Schema | None, findings: Findings
) -> dict[str, tuple[Clause, ...]]:
    """Every segment's clauses, those it refers to before itself.

    One that refers to itself, directly or in a circle, is reported. One with a fault keeps a stand-in, so
    that a rule that names it is not blamed for it.
    """
    compiled: dict[str, tuple[Clause, ...]] = {}
    path: list[str] = []

    def compile_one(segment: WrittenSegment) -> None:
        path.append(segment.name)
        for mentioned, span in segment.mentions.items():
            if mentioned in path:
                circle = " -> ".join([*path[path.index(mentioned) :], mentioned])
                findings.error(Code.SEGMENT_CYCLE, span, f"segments go round in a circle: {circle}", "break it here")
                compiled.setdefault(mentioned, _stand_in(segment.span))
            elif mentioned in written and mentioned not in compiled:
                compile_one(written[mentioned])
        path.pop()
        scope = None if schema is None else Scope(schema=schema, segments=compiled)
        compiled[segment.name] = read_clauses(segment.conditions, findings, scope) or _stand_in(segment.span)

    for segment in written.values():
        if segment.name not in compiled:
            compile_one(segment)
    return compiled


def _stand_in(span: Span) -> tuple[Clause, ...]:
    return (Clause(Has(Path(Root.CUSTOMER, "id", span, required=True), span), "has(customer.id)", span),)


def unused_segments(written: Mapping[str, WrittenSegment], mentioned: set[str], findings: Findings) -> None:
    """Warn about segments that neither a rule nor another segment names."""
    by_segments = {other for segment in written.values() for other in segment.mentions if other != segment.name}
    for segment in written.values():
        if segment.name not in mentioned | by_segments:
            message = f"no rule uses segment '{segment.name}'"
            findings.warning(Code.UNUSED_SEGMENT, segment.span, message, "remove it, or use it in a rule")
