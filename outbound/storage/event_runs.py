"""The runs of event rules, asked for and counted for a whole batch at once: one event may concern a dozen rules."""

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.ids import new_id
from outbound.storage.bulk import insert_ignore, instant_writer
from outbound.storage.prepared import Prepared
from outbound.storage.runs import Miss
from outbound.storage.sets import among_bound, bound
from outbound.storage.tables import manifest, run

Key = tuple[str, str]
"""Rule id and slot, the UTC day."""

_RUN = (
    "id",
    "rule",
    "slot",
    "release",
    "rule_version",
    "trigger",
    "started_at",
    "candidates",
    "skipped",
    "cost",
    "currency",
    "limited",
    "approved_messages",
    "approved_cost",
    "approved_by",
)
_MANIFEST = ("run_id", "zone", "misses", "count", "at")


def open_runs(connection: Connection, wanted: Mapping[Key, str], *, release: str, now: datetime) -> dict[Key, str]:
    """The id of the run of each (rule, slot), made now where there is none. ``wanted`` has the rules' versions."""
    found = _known(connection, list(wanted))
    missing = [key for key in wanted if key not in found]
    if not missing:
        return found
    at = instant_writer(connection)(now)
    rows = [
        (new_id(now), rule, slot, release, wanted[rule, slot], "event", at, 0, 0, 0, "", "", 0, 0, "")
        for rule, slot in missing
    ]
    if insert_ignore(connection, run, _RUN, rows) == len(rows):
        return found | {(row[1], row[2]): row[0] for row in rows}
    return found | _known(connection, missing)


def _known(connection: Connection, keys: Sequence[Key]) -> dict[Key, str]:
    values = {
        "rules": bound(connection, sorted({rule for rule, _ in keys})),
        "slots": bound(connection, sorted({slot for _, slot in keys})),
    }
    rows = _runs(connection.dialect.name).rows(connection, values)
    asked = set(keys)
    return {(row[0], row[1]): row[2] for row in rows if (row[0], row[1]) in asked}


@cache
def _runs(dialect: str) -> Prepared:
    mine = among_bound(dialect, run.c.rule, "rules"), among_bound(dialect, run.c.slot, "slots")
    return Prepared(sa.select(run.c.rule, run.c.slot, run.c.id).where(*mine))


def record_misses(connection: Connection, misses: Mapping[str, Sequence[Miss]], *, upto: str, now: datetime) -> None:
    """Keep who did not match in each run and why. ``upto``, the batch's last event, names the piece."""
    at = instant_writer(connection)(now)
    rows = []
    for run_id, missed in misses.items():
        by_clause: dict[int, list[str]] = {}
        for customer_id, clause in missed:
            by_clause.setdefault(clause, []).append(customer_id)
        text = json.dumps({"upto": upto, "misses": by_clause}, ensure_ascii=False, separators=(",", ":"))
        rows.append((run_id, f"events#{upto}", zlib.compress(text.encode(), 6), len(missed), at))
    insert_ignore(connection, manifest, _MANIFEST, rows)
