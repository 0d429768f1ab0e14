"""Everything of one person taken out of the record, or left without the person (GDPR art. 17).

Messages and decisions stay as rows, so that every run's equation still holds: without customer, address and context,
their ``once`` a keyed hash. What to do with each table stands in ``ERASED``, ``EMPTIED``, ``IMPERSONAL`` and
``PASSING``; a test holds them against all tables there are.
"""

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.domain.reasons import ReasonCode
from outbound.storage import locks, tables
from outbound.storage.outbox import move, state_is
from outbound.storage.sets import among

S = MessageState

ERASED: Final = (
    *("address", "consent", "consent_event", "consent_anchor", "customer", "customer_change"),
    *("event", "interaction", "membership", "sms_in", "delivery_event", "hook_post"),
)
"""Tables whose rows about the person go."""

EMPTIED: Final = ("message", "leg", "attempt", "decision", "manifest", "operation", "inbox_event")
"""Tables whose rows stay without the person."""

IMPERSONAL: Final = (
    *("account_day", "account_rate", "active_release", "alert", "api_key", "breaker", "daemon", "erasure"),
    *(
        "evidence_look",
        "experiment",
        "firing",
        "hook",
        "import_batch",
        "installation",
        "release",
        "run",
        "send_request",
        "stranger_count",
        "suppression",
    ),
)
"""Tables that know nobody, or nobody but by a keyed hash."""

PASSING: Final = ("api_request",)
"""Tables whose rows go by themselves within a week: answers kept for a repeated request."""

_WAITING: Final = (S.SCHEDULED, S.READY, S.CLAIMED)

Hasher = Callable[[str, str], str]
"""The keyed hash of (customer id, key)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How much went or was emptied, rows by table, and how many waiting messages were cancelled."""

    rows: dict[str, int]
    cancelled: int


def in_flight(connection: Connection, ids: Sequence[str]) -> int:
    """How many messages of these customers are being handed over at this moment."""
    query = sa.select(sa.func.count()).select_from(tables.message)
    mine = among(connection, tables.message.c.customer_id, ids)
    return int(connection.execute(query.where(mine, state_is(S.SENDING))).scalar_one())


def mentions(connection: Connection, ids: Sequence[str]) -> list[tuple[str, str]]:
    """The manifests (run, range) that name one of these customers. Reads all of them: ask before writing."""
    manifest, found = tables.manifest, []
    marks = [json.dumps(identity, ensure_ascii=False).encode() for identity in ids]
    query = sa.select(manifest.c.run_id, manifest.c.zone, manifest.c.misses)
    for row in connection.execute(query, execution_options={"yield_per": 200}):
        text = zlib.decompress(row.misses)
        if any(mark in text for mark in marks):
            found.append((row.run_id, row.zone))
    return found


def erase(
    connection: Connection,
    ids: Sequence[str],
    *,
    address_hashes: Sequence[str],
    manifests: Sequence[tuple[str, str]],
    hasher: Hasher,
    now: datetime,
) -> Taken:
    """Take these customers out: one person with all the ids they ever had. Call it inside ``database.write()``."""
    locks.customers(connection, ids)
    locks.messages_of(connection, ids)
    cancelled = _cancel(connection, ids, now)
    rows = {"decision": _rename(connection, tables.decision, ids, hasher)}
    rows |= _empty_messages(connection, ids, hasher)
    rows["manifest"] = _empty_manifests(connection, ids, manifests)
    rows["operation"] = _empty_operations(connection, ids)
    sms_in, anchor = tables.sms_in, tables.consent_anchor
    chains = sa.select(tables.consent_event.c.chain).where(among(connection, tables.consent_event.c.customer_id, ids))
    rows["consent_anchor"] = _count(connection, sa.delete(anchor).where(anchor.c.chain.in_(chains)))
    texts = sa.or_(among(connection, sms_in.c.customer_id, ids), among(connection, sms_in.c.hash, address_hashes))
    rows["sms_in"] = _count(connection, sa.delete(sms_in).where(texts))
    rows |= _empty_inbox(connection, ids, address_hashes)
    for name in (
        *("consent_event", "consent", "address", "customer_change", "event", "interaction", "membership"),
        "hook_post",
    ):
        table = tables.metadata.tables[name]
        rows[name] = _count(connection, sa.delete(table).where(among(connection, table.c.customer_id, ids)))
    customer = tables.customer
    rows["customer"] = _count(connection, sa.delete(customer).where(among(connection, customer.c.id, ids)))
    return Taken(rows={name: rows[name] for name in (*ERASED, *EMPTIED)}, cancelled=cancelled)


def _empty_inbox(connection: Connection, ids: Sequence[str], address_hashes: Sequence[str]) -> dict[str, int]:
    """News of this person goes, and the bytes of every request and mail that it or a contact came from."""
    news, inbox, contact = tables.delivery_event, tables.inbox_event, tables.interaction
    theirs = sa.or_(among(connection, news.c.customer_id, ids), among(connection, news.c.address_hash, address_hashes))
    came = sa.union(
        sa.select(news.c.inbox_id).where(theirs),
        sa.select(contact.c.inbox_id).where(among(connection, contact.c.customer_id, ids)),
    )
    change = sa.update(inbox).where(inbox.c.id.in_(came), sa.func.length(inbox.c.raw) > 0)
    emptied = _count(
        connection,
        change.values(raw=b"", head={}, processed_at=sa.func.coalesce(inbox.c.processed_at, inbox.c.received_at)),
    )
    return {"inbox_event": emptied, "delivery_event": _count(connection, sa.delete(news).where(theirs))}


def _cancel(connection: Connection, ids: Sequence[str], now: datetime) -> int:
    """What waits, or was claimed and not begun, is not sent any more."""
    change = move(S.CANCELLED, *_WAITING).where(among(connection, tables.message.c.customer_id, ids))
    values = {"reason": ReasonCode.ERASED.value, "detail": "", "lease_until": None, "updated_at": now}
    return _count(connection, change.values(**values, lease_token=tables.message.c.lease_token + 1))


def _empty_messages(connection: Connection, ids: Sequence[str], hasher: Hasher) -> dict[str, int]:
    message, leg, attempt = tables.message, tables.leg, tables.attempt
    mine = sa.select(message.c.id).where(among(connection, message.c.customer_id, ids))
    attempts = _count(connection, sa.update(attempt).where(attempt.c.message_id.in_(mine)).values(text=""))
    nobody = {"customer_id": "", "address": "", "provider_ref": ""}
    own = sa.or_(leg.c.message_id.in_(mine), among(connection, leg.c.customer_id, ids))
    legs = _count(connection, sa.update(leg).where(own).values(**nobody))
    connection.execute(
        sa.update(message)
        .where(among(connection, message.c.customer_id, ids))
        .values(context={}, detail="", held_by="", zone="", local_time="", language="", message_id="", body_hash="")
    )
    return {"message": _rename(connection, message, ids, hasher), "leg": legs, "attempt": attempts}


def _rename(connection: Connection, table: sa.Table, ids: Sequence[str], hasher: Hasher) -> int:
    """Nobody's from now on, under a key that is unique and tells nothing. A message and its decision keep one key."""
    query = sa.select(table.c.rule, table.c.once, table.c.customer_id, table.c.step)
    rows = connection.execute(query.where(among(connection, table.c.customer_id, ids))).all()
    if not rows:
        return 0
    key = (table.c[name] == sa.bindparam(f"b_{name}") for name in ("rule", "once", "customer_id", "step"))
    connection.execute(
        sa.update(table).where(*key).values(once=sa.bindparam("b_hashed"), customer_id=""),
        [
            {
                **{f"b_{name}": getattr(row, name) for name in ("rule", "once", "customer_id", "step")},
                "b_hashed": f"erased:{hasher(row.customer_id, row.once)}",
            }
            for row in rows
        ],
    )
    return len(rows)


def _empty_manifests(connection: Connection, ids: Sequence[str], keys: Sequence[tuple[str, str]]) -> int:
    """Take the ids out of who did not match. ``upto`` goes too: planning would begin the zone again, adding nobody."""
    manifest, gone = tables.manifest, frozenset(ids)
    for run_id, zone in keys:
        this = sa.and_(manifest.c.run_id == run_id, manifest.c.zone == zone)
        told: dict[str, Any] = json.loads(
            zlib.decompress(connection.execute(sa.select(manifest.c.misses).where(this)).scalar_one())
        )
        told["misses"] = {
            clause: [who for who in customers if who not in gone] for clause, customers in told["misses"].items()
        }
        if told["upto"] in gone:
            told["upto"] = ""
        text = json.dumps(told, ensure_ascii=False, separators=(",", ":"))
        connection.execute(sa.update(manifest).where(this).values(misses=zlib.compress(text.encode(), 6)))
    return len(keys)


def _empty_operations(connection: Connection, ids: Sequence[str]) -> int:
    """That somebody looked or acted stays, without about whom."""
    operation = tables.operation
    about = sa.or_(among(connection, operation.c.customer_id, ids), among(connection, operation.c.subject, ids))
    subject = sa.case((among(connection, operation.c.subject, ids), ""), else_=operation.c.subject)
    change = sa.update(operation).where(about).values(customer_id="", note="", details={}, subject=subject)
    return _count(connection, change)


def _count(connection: Connection, statement: sa.Update | sa.Delete) -> int:
    number: int = connection.execute(statement).rowcount
    return number
