"""Conditions inside rule files: one text or a list of texts, each compiled by ``engine.conditions``."""

import re
from bisect import bisect_left
from dataclasses import replace

from outbound.domain.condition import Clause
from outbound.engine.conditions import Scope, clash, compile_clause
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import ListNode, MapNode, Node, ScalarNode
from outbound.engine.rulefiles.shapes import scalar

_SEGMENT = re.compile(r"'[^']*'|\bsegment\.(\w+)")


def condition_nodes(node: Node | None) -> tuple[Node, ...]:
    """The conditions of a ``who`` or ``if``: the text alone, or the items of the list."""
    if node is None:
        return ()
    return node.items if isinstance(node, ListNode) else (node,)


def segments_in(text: str) -> list[tuple[str, int]]:
    """The segments a condition mentions, with their offsets; texts in quotes do not count."""
    return [(match[1], match.start(1)) for match in _SEGMENT.finditer(text) if match[1]]


def read_clauses(node: Node | None, findings: Findings, scope: Scope | None) -> tuple[Clause, ...]:
    """The compiled conditions under a key. One with a fault is reported and left out.

    Without a ``scope`` (the schema could not be read) only the shape is checked.
    """
    if isinstance(node, ListNode) and not node.items:
        message = f"'{node.name}' is an empty list"
        findings.error(Code.EMPTY_VALUE, node.span, message, "write a condition, or remove the key")
    nodes = condition_nodes(node)
    read = [(item, clause) for item in nodes if (clause := _clause(item, findings, scope)) is not None]
    if scope is not None:
        _together(read, scope, findings)
    return tuple(clause for _, clause in read)


def _together(read: list[tuple[Node, Clause]], scope: Scope, findings: Findings) -> None:
    """Warn about a line that can never be true beside the lines above it: the list then finds nobody.

    A line that is never true by itself has been reported, and is left aside.
    """
    lines = [(node, clause) for node, clause in read if not clash([clause.condition], scope)]
    tests = [clause.condition for _, clause in lines]
    if not clash(tests, scope):
        return
    fewest = bisect_left(range(len(tests)), 1, key=lambda index: bool(clash(tests[: index + 1], scope)))
    node, clause = lines[min(fewest, len(lines) - 1)]
    for _, earlier in lines[:fewest]:
        why = clash([earlier.condition, clause.condition], scope)
        if why:
            message = f"{why}, so this is never true together with: {earlier.text}"
            break
    else:
        message = f"{clash(tests, scope)}, so this is never true together with the lines above"
    span = node.place(0, len(clause.text)) if isinstance(node, ScalarNode) else node.span
    findings.warning(Code.NOBODY, span, message, "a list means all of: did you mean or?")


def _clause(node: Node, findings: Findings, scope: Scope | None) -> Clause | None:
    if isinstance(node, MapNode):
        hint = "a condition has no colon: write within 7d, not within: 7d"
        findings.error(Code.WRONG_SHAPE, node.span, "a condition must be a text", hint)
        return None
    found = scalar(node, findings)
    if found is None or scope is None:
        return None
    # A line end inside a condition is a blank; one for one, so that offsets in both texts agree.
    text = found.text.replace("\n", " ").rstrip()
    start = found.place(0)
    clause, problems = compile_clause(text, span=start, scope=scope)
    for problem in problems:
        place = found.place(problem.span.column - start.column, problem.span.width)
        findings.add(replace(problem, span=place))
    return clause


def written_conditions(node: Node | None) -> list[ScalarNode]:
    """The conditions that are texts, as written."""
    return [item for item in condition_nodes(node) if isinstance(item, ScalarNode)]
