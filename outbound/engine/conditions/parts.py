"""What a condition is made of, segments opened: which attributes it reads, and a name for what it says."""

from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

from outbound.domain.condition import Clause, InSegment, Path, Root
from outbound.domain.ids import content_hash
from outbound.engine.conditions.text import condition_text


def needs_attributes(clauses: Iterable[Clause]) -> frozenset[str]:
    """The customer's attributes these clauses read, in whatever place."""
    return frozenset(
        part.name
        for clause in clauses
        for part in parts_of(clause.condition)
        if isinstance(part, Path) and part.root is Root.CUSTOMER
    )


def fingerprint(clauses: Iterable[Clause]) -> str:
    """SHA-256 (hex) of what these clauses and the segments in them say: layout and comments do not count."""
    lines = []
    for clause in clauses:
        lines.append(condition_text(clause.condition))
        lines += [
            f"{part.name}: {condition_text(part.condition)}"
            for part in parts_of(clause.condition)
            if isinstance(part, InSegment)
        ]
    return content_hash("\n".join(lines).encode())


def parts_of(node: Any) -> Iterator[Any]:
    """A node, or nodes, and everything below, segments opened."""
    if isinstance(node, tuple | list):
        for item in node:
            yield from parts_of(item)
    elif is_dataclass(node):
        yield node
        for field in fields(node):
            if field.name != "span":
                yield from parts_of(getattr(node, field.name))
