"""Staged consents into the ledger and the projection, set by set. An import never reverses a withdrawal."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage import ledger
from outbound.storage.tables import consent_event

_SAME: Final = (
    "c.customer_id = stage_consent.customer_id AND c.topic = stage_consent.topic AND c.channel = stage_consent.channel"
)
_ANY_CHANNEL: Final = "c.customer_id = stage_consent.customer_id AND c.topic = stage_consent.topic"

# Said of this channel, or (where nothing was said of it) of all channels.
_BLOCKED: Final = (
    f"EXISTS (SELECT 1 FROM consent c WHERE {_SAME} AND c.state = 'withdrawn')"
    f" OR EXISTS (SELECT 1 FROM consent c WHERE {_ANY_CHANNEL} AND c.channel = '' AND c.state = 'withdrawn')"
    f" AND NOT EXISTS (SELECT 1 FROM consent c WHERE {_SAME})"
)
_STREAM: Final = {"yield_per": 1_000}
_LEDGER: Final = ("id", "customer_id", "topic", "channel", "state", "address", "at", "evidence")
_STAGED: Final = sa.table("stage_consent", *(sa.column(name, consent_event.c[name].type) for name in _LEDGER))

Remark = Callable[[int, str, str], None]
"""Called with line, topic and reason for every consent that was not taken over."""


def merge(connection: Connection, *, now: datetime, remark: Remark) -> Counter[str]:
    """Append what is new; counts granted, withdrawn, unchanged, older (ledger only) and kept_withdrawn."""
    counts: Counter[str] = Counter()
    place = "temp.stage_consent_by" if connection.dialect.name == "sqlite" else "stage_consent_by"
    connection.exec_driver_sql(f"CREATE INDEX {place} ON stage_consent (customer_id, topic, channel)")
    _reduce(connection)
    counts["kept_withdrawn"] = _refuse(
        connection, f"state = 'granted' AND ({_BLOCKED})", "withdrawn on record: an import never reverses that", remark
    )
    address = "SELECT a.value FROM address a WHERE a.customer_id = stage_consent.customer_id"
    connection.exec_driver_sql(
        f"UPDATE stage_consent SET address = ({address} AND a.channel = stage_consent.channel) WHERE confirmed = 1"
    )
    _refuse(connection, "confirmed = 1 AND address IS NULL", "no address that the consent could belong to", remark)
    _renew(connection)
    counts["unchanged"] = _delete(connection, _unchanged(connection))
    known, counts["older"] = _keep_older(connection, now)
    counts["unchanged"] += known
    rows = connection.exec_driver_sql("SELECT state, count(*) FROM stage_consent GROUP BY state")
    counts.update({state: number for state, number in rows})  # noqa: C416 - rows are not pairs for a type checker
    _append(connection, now)
    return +counts


def _reduce(connection: Connection) -> None:
    """One per customer, topic and channel: a withdrawal before a grant, then the newest."""
    better = (
        "b.customer_id = stage_consent.customer_id AND b.topic = stage_consent.topic"
        " AND b.channel = stage_consent.channel AND (b.state = 'withdrawn' AND stage_consent.state = 'granted'"
        " OR b.state = stage_consent.state AND (b.at, b.line, b.id) > (stage_consent.at, stage_consent.line,"
        " stage_consent.id))"
    )
    _delete(connection, f"EXISTS (SELECT 1 FROM stage_consent b WHERE {better})")
    everywhere = (
        "b.customer_id = stage_consent.customer_id AND b.topic = stage_consent.topic AND b.channel = ''"
        " AND b.state = 'withdrawn'"
    )
    _delete(connection, f"state = 'granted' AND EXISTS (SELECT 1 FROM stage_consent b WHERE {everywhere})")


def _renew(connection: Connection) -> None:
    """A withdrawal said again counts from its newest time: an older yes that arrives later does not reverse it."""
    connection.exec_driver_sql(
        "UPDATE consent SET at = s.at FROM stage_consent s WHERE s.state = 'withdrawn' AND consent.state = 'withdrawn'"
        " AND consent.customer_id = s.customer_id AND consent.topic = s.topic AND consent.channel = s.channel"
        " AND consent.at < s.at"
    )


def _unchanged(connection: Connection) -> str:
    same = "IS" if connection.dialect.name == "sqlite" else "IS NOT DISTINCT FROM"
    return (
        f"state = 'granted' AND EXISTS (SELECT 1 FROM consent c WHERE {_SAME} AND c.state = 'granted'"
        f" AND (stage_consent.confirmed = 0 OR c.address {same} stage_consent.address))"
        f" OR state = 'withdrawn' AND EXISTS (SELECT 1 FROM consent c WHERE {_SAME} AND c.state = 'withdrawn')"
        f" AND NOT (channel = '' AND EXISTS (SELECT 1 FROM consent c WHERE {_ANY_CHANNEL}"
        " AND c.state = 'granted' AND c.at <= stage_consent.at))"
    )


def _keep_older(connection: Connection, now: datetime) -> tuple[int, int]:
    """Withdrawals from before the grant on record go into the ledger only: how many it had, and how many not."""
    older = (
        f"state = 'withdrawn' AND EXISTS (SELECT 1 FROM consent c WHERE {_SAME} AND c.state = 'granted'"
        " AND c.at > stage_consent.at)"
    )
    known = (
        "EXISTS (SELECT 1 FROM consent_event e WHERE e.customer_id = stage_consent.customer_id"
        " AND e.at = stage_consent.at AND e.topic = stage_consent.topic AND e.channel = stage_consent.channel"
        " AND e.state = stage_consent.state)"
    )
    repeated = _delete(connection, f"{older} AND {known}")
    number = _insert_ledger(connection, older, now)
    _delete(connection, older)
    return repeated, number


def _append(connection: Connection, now: datetime) -> None:
    _insert_ledger(connection, "true", now)
    connection.exec_driver_sql(
        "INSERT INTO consent (customer_id, topic, channel, state, address, at, event_id)"
        " SELECT customer_id, topic, channel, state, address, at, id FROM stage_consent WHERE true"
        " ON CONFLICT (customer_id, topic, channel) DO UPDATE SET state = excluded.state,"
        " address = excluded.address, event_id = excluded.event_id,"
        " at = CASE WHEN excluded.at > consent.at THEN excluded.at ELSE consent.at END"
    )
    connection.exec_driver_sql(
        "UPDATE consent SET state = 'withdrawn', address = NULL, at = s.at, event_id = s.id FROM stage_consent s"
        " WHERE s.state = 'withdrawn' AND s.channel = '' AND consent.customer_id = s.customer_id"
        " AND consent.topic = s.topic AND consent.state = 'granted' AND consent.at <= s.at"
    )


def _insert_ledger(connection: Connection, which: str, now: datetime) -> int:
    """Append what is staged to the chains of the customers, each in the order it was said."""
    query = sa.select(*(_STAGED.c[name] for name in _LEDGER)).where(sa.text(which))
    query = query.order_by(_STAGED.c.customer_id, _STAGED.c.at, _STAGED.c.id)
    rows = connection.execute(query, execution_options=_STREAM)
    return ledger.append(connection, ({**row._mapping, "recorded_at": now} for row in rows))  # noqa: SLF001 - its API


def _refuse(connection: Connection, which: str, reason: str, remark: Remark) -> int:
    query = sa.text(f"SELECT line, topic FROM stage_consent WHERE {which} ORDER BY line")
    for line, topic in connection.execute(query, execution_options=_STREAM):
        remark(line, topic, reason)
    return _delete(connection, which)


def _delete(connection: Connection, which: str) -> int:
    number: int = connection.exec_driver_sql(f"DELETE FROM stage_consent WHERE {which}").rowcount
    return number
