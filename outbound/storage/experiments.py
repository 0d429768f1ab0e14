"""Experiments from their first exposure on: what was frozen then, kept beside the decisions that it explains."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.domain.experiment import Experiment, GlobalHoldout
from outbound.storage import releases, runs
from outbound.storage.bulk import insert_ignore, instant_writer, json_text
from outbound.storage.sets import among
from outbound.storage.tables import experiment as table

_COLUMNS = ("id", "kind", "rule", "definition", "exposed_at")
_FOR_EVER = ("unit", "holdout", "variants")
"""What would move people to another group if it changed. Templates may change, coverage and share may grow."""
_GROWING = ("coverage", "share")


class Kind(StrEnum):
    """Whose the row is: a rule's experiment, or the policy's holdout."""

    RULE = "rule"
    GLOBAL = "global"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """An experiment as it was at its first exposure, at ``exposed_at``.

    ``definition`` of kind rule has ``unit``, ``holdout``, ``variants`` (name and weight, in the order written) and the
    highest ``coverage`` so far; of kind global the highest ``share``.
    """

    id: str
    kind: Kind
    rule: str
    definition: Mapping[str, Any]
    exposed_at: datetime


def definition_of(what: Experiment | GlobalHoldout) -> dict[str, Any]:
    """What is frozen of it, as it is stored."""
    if isinstance(what, GlobalHoldout):
        return {"share": what.share}
    return {
        "unit": what.unit,
        "holdout": what.holdout,
        "variants": [[variant.name, variant.weight] for variant in what.variants.values()],
        "coverage": what.coverage,
    }


def lock(connection: Connection) -> None:
    """One first exposure or one publication at a time, until this transaction ends: what is published stands."""
    runs.lock(connection, "experiments")


def expose(
    connection: Connection, what: Experiment | GlobalHoldout, *, rule: str = "", release: str, now: datetime
) -> None:
    """Freeze ``what``, whose decisions this transaction stores; afterwards a look by its key, and nothing more.

    ``rule`` is the experiment's, "" for the global holdout; ``release`` is what the decisions rest on. A larger
    coverage or share than ever is noted. Raises OutboundError ``experiment.release`` when another release was published
    meanwhile, which may have it otherwise, and ``experiment.frozen`` when it is frozen otherwise: nobody may be moved
    to another group by two releases that ran beside each other.
    """
    kind = Kind.GLOBAL if isinstance(what, GlobalHoldout) else Kind.RULE
    asked = definition_of(what)
    row = _row(connection, what.id)
    if row is None:
        lock(connection)
        newest = releases.newest(connection)
        if newest is not None and newest[1] != release:
            raise OutboundError(
                "experiment.release", f"{what.id} was published anew while this was planned", "plan it again"
            )
        values = (what.id, kind.value, rule, json_text(asked), instant_writer(connection)(now))
        if insert_ignore(connection, table, _COLUMNS, [values]):
            return
        row = _row(connection, what.id)
    if row is None or row.kind is not kind or row.rule != rule or not same_groups(asked, row.definition):
        raise OutboundError(
            "experiment.frozen",
            f"{what.id} is not what it was at its first exposure",
            f"give it a new id, or publish it as `outbound experiment show {what.id}` has it",
        )
    if _larger(asked, row.definition):
        _raise_mark(connection, what.id, asked)


def same_groups(definition: Mapping[str, Any], frozen: Mapping[str, Any]) -> bool:
    """Whether everybody is in the group they were in when it was frozen."""
    return all(definition.get(name) == frozen.get(name) for name in _FOR_EVER)


def load(connection: Connection, ids: Collection[str] | None = None) -> dict[str, Frozen]:
    """What is frozen, by id in the order of first exposure: of ``ids``, or everything."""
    query = sa.select(table).order_by(table.c.exposed_at, table.c.id)
    if ids is not None:
        query = query.where(among(connection, table.c.id, list(ids)))
    return {row.id: _frozen(row) for row in connection.execute(query)}


def _row(connection: Connection, experiment_id: str, *, lock: bool = False) -> Frozen | None:
    query = sa.select(table).where(table.c.id == experiment_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _frozen(row)


def _larger(asked: Mapping[str, Any], frozen: Mapping[str, Any]) -> bool:
    return any(asked.get(name, 0) > frozen.get(name, 0) for name in _GROWING)


def _raise_mark(connection: Connection, experiment_id: str, asked: Mapping[str, Any]) -> None:
    row = _row(connection, experiment_id, lock=True)  # another planner may have raised it further
    if row is not None and _larger(asked, row.definition):
        definition = {**row.definition, **{name: asked[name] for name in _GROWING if name in asked}}
        connection.execute(sa.update(table).where(table.c.id == experiment_id).values(definition=definition))


def _frozen(row: Any) -> Frozen:
    return Frozen(id=row.id, kind=Kind(row.kind), rule=row.rule, definition=row.definition, exposed_at=row.exposed_at)
