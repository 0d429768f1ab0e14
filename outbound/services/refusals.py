"""The last `outbound apply` that was refused, until a good one: the last good release runs, and health is red (F50)."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.source import Problem, Severity
from outbound.storage.database import Database
from outbound.storage.runs import drop_facts, read_fact, write_fact

_FACT = "refused"
_LONGEST = 300
"""A sentence longer than that quotes something; `outbound check` has the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """When (UTC) and for whom a set was refused, its number of errors, and the first of them in one line."""

    at: datetime
    by: str
    errors: int
    first: str


def record(database: Database, problems: Sequence[Problem], *, by: str, now: datetime) -> None:
    """Keep a refusal; a newer one replaces it. ``problems`` are those of the whole set, warnings too."""
    errors = [problem for problem in problems if problem.severity is Severity.ERROR]
    first = f"{errors[0].span}: {errors[0].message}" if errors else ""
    value = {"at": now.isoformat(), "by": by, "errors": len(errors), "first": first[:_LONGEST]}
    with database.write() as connection:
        write_fact(connection, _FACT, json.dumps(value, ensure_ascii=False))


def forget(connection: Connection) -> None:
    """A good set was published: nothing is refused any more."""
    drop_facts(connection, [_FACT])


def standing(connection: Connection) -> Refusal | None:
    """The refusal that no good set has followed yet."""
    written = read_fact(connection, _FACT)
    if written is None:
        return None
    value = json.loads(written)
    return Refusal(at=datetime.fromisoformat(value["at"]), by=value["by"], errors=value["errors"], first=value["first"])
