"""Runs, the slots that fired, how far planning got, and the calls of ``outbound send``."""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.ids import new_id
from outbound.domain.reasons import ReasonCode
from outbound.storage import tables
from outbound.storage.prepared import Prepared
from outbound.storage.sets import among, chunks, insert_into

Miss = tuple[str, int]
"""Customer id and the index of the first ``who`` clause that did not match; NOT_COVERED where all of them did."""

NOT_COVERED = -2
"""The miss of somebody outside the coverage of the rule's experiment: a candidate once it has grown that far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """A call of ``outbound send``. ``hashes`` names every list of recipients accepted under the key."""

    rule: str
    key: str
    run_id: str
    hashes: tuple[str, ...]
    arguments: Mapping[str, Any]


def lock(connection: Connection, name: str) -> None:
    """One planner of ``name`` at a time, until this transaction ends.

    On SQLite the write transaction itself is the lock.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})


def open_run(
    connection: Connection, *, rule: str, slot: str, release: str, rule_version: str, trigger: str, now: datetime
) -> str:
    """The id of the run of (rule, slot), made now if this is its first range."""
    row = {
        "id": new_id(now),
        "rule": rule,
        "slot": slot,
        "release": release,
        "rule_version": rule_version,
        "trigger": trigger,
        "started_at": now,
        "candidates": 0,
        "skipped": 0,
        "cost": 0,
        "currency": "",
        "limited": "",
        "approved_messages": 0,
        "approved_cost": 0,
        "approved_by": "",
    }
    _insert_ignore(connection, tables.run, [row])
    run = tables.run
    found: str = connection.execute(sa.select(run.c.id).where(run.c.rule == rule, run.c.slot == slot)).scalar_one()
    return found


def find_run(connection: Connection, *, rule: str, slot: str) -> str | None:
    """The id of the run of (rule, slot), if anybody was looked at for it."""
    run = tables.run
    return connection.execute(sa.select(run.c.id).where(run.c.rule == rule, run.c.slot == slot)).scalar()


def any_of(connection: Connection, rule: str) -> bool:
    """Whether the rule has ever had a run."""
    run = tables.run
    return connection.execute(sa.select(sa.literal(1)).where(run.c.rule == rule).limit(1)).first() is not None


def slots(connection: Connection, run_ids: Iterable[str]) -> dict[str, str]:
    """The slots of these runs, by id."""
    run, found = tables.run, {}
    for some in chunks(sorted(set(run_ids))):
        statement = sa.select(run.c.id, run.c.slot).where(among(connection, run.c.id, some))
        found.update({row[0]: row[1] for row in connection.execute(statement)})
    return found


class Added(NamedTuple):
    """What one range adds to a run. ``cost`` is in millionths of the policy's currency."""

    run_id: str
    candidates: int
    skipped: int
    cost: int = 0


def add_counts(connection: Connection, added: Iterable[Added], *, now: datetime, currency: str = "") -> None:
    """Add a range to each of some runs. In the transaction that inserts its decisions, so that both or neither exist.

    Without candidates nothing changes: it was planned again, and the run keeps its date.
    """
    rows: list[dict[str, Any]] = [
        {"run": one.run_id, "more": one.candidates, "skips": one.skipped, "now": now}
        | ({"spent": one.cost, "in": currency} if currency else {})
        for one in added
        if one.candidates
    ]
    if rows:
        (_ADD_COSTS if currency else _ADD).run_all(connection, rows)


_ADDED = (
    tables.run.update()
    .where(tables.run.c.id == sa.bindparam("run"))
    .values(
        candidates=tables.run.c.candidates + sa.bindparam("more"),
        skipped=tables.run.c.skipped + sa.bindparam("skips"),
        planned_at=sa.bindparam("now", type_=tables.run.c.planned_at.type),
    )
)
_ADD = Prepared(_ADDED)
_ADD_COSTS = Prepared(_ADDED.values(cost=tables.run.c.cost + sa.bindparam("spent"), currency=sa.bindparam("in")))


def paced(connection: Connection, run_id: str) -> tuple[datetime | None, int]:
    """How far a run's queue goes, over all zones.

    When the last message leaves or left that nothing holds (not one that was tried again later), and how many wait
    behind a gate that opens; those that wait for approval have no turn yet.
    """
    message = tables.message
    free = sa.and_(message.c.reason == "", message.c.attempts <= 1)
    latest = sa.func.max(sa.case((free, message.c.not_before)), type_=message.c.not_before.type)
    held = sa.func.sum(sa.case((message.c.reason.in_(["", ReasonCode.LIMITS.value]), 0), else_=1))
    row = connection.execute(sa.select(latest, held).where(message.c.run_id == run_id)).one()
    return row[0], int(row[1] or 0)


def fired(connection: Connection, *, rules: Iterable[str], since: datetime) -> set[tuple[str, str, str]]:
    """The (rule, slot, zone) that fired with a nominal time at or after ``since``."""
    firing = tables.firing
    statement = sa.select(firing.c.rule, firing.c.slot, firing.c.zone).where(
        firing.c.rule.in_(sorted(set(rules))), firing.c.nominal >= since
    )
    return {(row[0], row[1], row[2]) for row in connection.execute(statement)}


def has_fired(connection: Connection, *, rule: str, slot: str, zone: str) -> bool:
    """Whether (rule, slot, zone) is planned to its end."""
    firing = tables.firing
    statement = sa.select(sa.literal(1)).where(firing.c.rule == rule, firing.c.slot == slot, firing.c.zone == zone)
    return connection.execute(statement).first() is not None


def fire(
    connection: Connection, *, rule: str, slot: str, zone: str, nominal: datetime, now: datetime, note: str = ""
) -> bool:
    """Mark (rule, slot, zone) as done. False when somebody was first."""
    row = {"rule": rule, "slot": slot, "zone": zone, "nominal": nominal, "planned_at": now, "note": note}
    return _insert_ignore(connection, tables.firing, [row]) == 1


def progress(connection: Connection, run_id: str, zone: str) -> tuple[int, str]:
    """How many key ranges of (run, zone) are committed, and the last customer id of the newest ("" for none)."""
    manifest = tables.manifest
    statement = (
        sa.select(manifest.c.zone, manifest.c.misses)
        .where(manifest.c.run_id == run_id, manifest.c.zone.startswith(f"{zone}#", autoescape=True))
        .order_by(manifest.c.zone.desc())
        .limit(1)
    )
    row = connection.execute(statement).first()
    if row is None:
        return 0, ""
    return int(row.zone.rpartition("#")[2]) + 1, json.loads(zlib.decompress(row.misses))["upto"]


def record_range(
    connection: Connection,
    *,
    run_id: str,
    zone: str,
    number: int,
    upto: str,
    misses: Sequence[Miss],
    now: datetime,
) -> None:
    """Keep one key range: its last customer, and who in it did not match and why, in a few bytes each."""
    by_clause: dict[int, list[str]] = {}
    for customer_id, clause in misses:
        by_clause.setdefault(clause, []).append(customer_id)
    text = json.dumps({"upto": upto, "misses": by_clause}, ensure_ascii=False, separators=(",", ":"))
    row = {
        "run_id": run_id,
        "zone": f"{zone}#{number:08d}",
        "misses": zlib.compress(text.encode(), 6),
        "count": len(misses),
        "at": now,
    }
    _insert_ignore(connection, tables.manifest, [row])


def misses(connection: Connection, run_id: str) -> dict[str, int]:
    """Who was looked at in a run and did not become a candidate: customer id to clause index (see ``Miss``)."""
    manifest = tables.manifest
    found: dict[str, int] = {}
    for row in connection.execute(sa.select(manifest.c.misses).where(manifest.c.run_id == run_id)):
        for clause, customers in json.loads(zlib.decompress(row.misses))["misses"].items():
            found.update(dict.fromkeys(customers, int(clause)))
    return found


def send_request(connection: Connection, *, rule: str, key: str) -> SendRequest | None:
    """The earlier call under (rule, key), if there was one."""
    request = tables.send_request
    row = connection.execute(sa.select(request).where(request.c.rule == rule, request.c.key == key)).first()
    if row is None:
        return None
    hashes = tuple(row.recipients_hash.split(","))
    return SendRequest(rule=rule, key=key, run_id=row.run_id, hashes=hashes, arguments=row.arguments)


def keep_send_request(connection: Connection, request: SendRequest, *, by: str, now: datetime) -> None:
    """Insert the call, or note the further list of recipients of an extended one."""
    hashes = ",".join(request.hashes)
    row = {
        "rule": request.rule,
        "key": request.key,
        "run_id": request.run_id,
        "recipients_hash": hashes,
        "arguments": dict(request.arguments),
        "at": now,
        "by": by,
    }
    if not _insert_ignore(connection, tables.send_request, [row]):
        table = tables.send_request
        connection.execute(
            table.update()
            .where(table.c.rule == request.rule, table.c.key == request.key)
            .values(recipients_hash=hashes)
        )


def read_fact(connection: Connection, name: str) -> str | None:
    """A named fact of the installation."""
    return connection.execute(_FACT, {"name": name}).scalar()


_FACT = sa.select(tables.installation.c.value).where(tables.installation.c.name == sa.bindparam("name"))


def write_fact(connection: Connection, name: str, value: str) -> None:
    """Set a named fact of the installation."""
    installation = tables.installation
    changed = connection.execute(installation.update().where(installation.c.name == name).values(value=value))
    if changed.rowcount == 0:
        _insert_ignore(connection, installation, [{"name": name, "value": value}])


def facts(connection: Connection, prefix: str) -> dict[str, str]:
    """The facts whose names begin with ``prefix``."""
    installation = tables.installation
    found = sa.select(installation.c.name, installation.c.value).where(
        installation.c.name.startswith(prefix, autoescape=True)
    )
    return {row[0]: row[1] for row in connection.execute(found)}


def drop_facts(connection: Connection, names: Iterable[str]) -> None:
    """Forget some named facts."""
    installation = tables.installation
    connection.execute(installation.delete().where(installation.c.name.in_(sorted(names))))


def _insert_ignore(connection: Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> int:
    """How many rows were new. Counted by RETURNING: psycopg reports no row count for such an insert."""
    statement = insert_into(connection, table).values(list(rows)).on_conflict_do_nothing()
    return len(connection.execute(statement.returning(*table.primary_key.columns)).all())
