"""What a condition may name: declared attributes and events, segments, and the event it is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from outbound.domain.condition import Clause, Path, Root, ValueType
from outbound.domain.rule import Field, Schema
from outbound.domain.source import Span

RESERVED = ("id", "email", "phone", "country", "language", "timezone")
"""Customer attributes that always exist, backed by columns and addresses; the schema may narrow them to an enum."""

Segments = Mapping[str, tuple[Clause, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Names a condition can use. ``event`` is the event ``event.x`` means outside ``where``; None where there is none.

    ``segments`` holds the compiled clauses of every segment the condition may mention: compile segments in
    the order of their references. A segment with errors of its own is the empty tuple: what mentions it
    does not compile either, without a second report.
    """

    schema: Schema
    segments: Segments = field(default_factory=dict)
    event: str | None = None

    def customer_field(self, name: str) -> Field | None:
        """The declaration of ``customer.name``; reserved attributes are text unless narrowed to an enum."""
        declared = self.schema.customer.get(name)
        if name not in RESERVED:
            return declared
        required = name == "id" or (declared is not None and declared.required)
        if declared is not None and declared.type is ValueType.ENUM:
            return Field(type=ValueType.ENUM, values=declared.values, required=required)
        return Field(type=ValueType.STRING, required=required)

    def members(self, path: Path) -> tuple[str, ...]:
        """The values of an enum attribute of the customer; nothing for any other."""
        declared = self.customer_field(path.name) if path.root is Root.CUSTOMER else None
        return declared.values if declared is not None else ()

    def customer_names(self) -> list[str]:
        """Every attribute a condition can name."""
        return sorted({*RESERVED, *self.schema.customer})


def path_of(root: Root, name: str, declared: Field, span: Span) -> Path:
    """The path node of a declared attribute."""
    return Path(root, name, span, declared.type, declared.required)


def did_you_mean(word: str, known: Iterable[str], prefix: str = "") -> str:
    """``did you mean customer.country?``, or nothing when no known word is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {prefix}{near[0]}?" if near else ""
