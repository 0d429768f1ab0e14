"""The hash chain of the consent ledger: each customer's events in order, each sealed over the one before (C33).

An event that is changed, put in, taken out or moved breaks the chain from there on. The hash is SHA-256 over
everything the row says, in one canonical form that both databases and a later export can compute again.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.bulk import copies, copy_lines, copy_text, instant_writer, json_text
from outbound.storage.prepared import insert_all
from outbound.storage.sets import among, chunks
from outbound.storage.tables import consent, consent_anchor, consent_event, customer

COLUMNS: Final = (
    *("id", "customer_id", "topic", "channel", "state", "address", "at", "recorded_at", "evidence"),
    *("chain", "n", "previous", "hash"),
)
_BATCH: Final = 5_000

Line = Mapping[str, Any]
"""One event of the ledger by column, without the last four; ``evidence`` as a mapping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest event of a chain: its number and hash."""

    chain: str
    n: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenLink:
    """The first event of a chain that does not follow. ``why``: changed, missing, unlinked or lost."""

    chain: str
    customer_id: str
    n: int
    event_id: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a walk over the chains found: ``broken`` has the first bad link of each bad chain."""

    chains: int
    events: int
    broken: tuple[BrokenLink, ...]


def seal(previous: str, chain: str, n: int, line: Line) -> str:
    """The hash of an event: SHA-256, in hex, over ``previous`` and everything it says, as one JSON array."""
    said = [line[name] for name in ("id", "topic", "channel", "state", "address")]
    when = [line[name].astimezone(UTC).isoformat(timespec="microseconds") for name in ("at", "recorded_at")]
    text = json.dumps([previous, chain, n, *said, *when, line["evidence"]], sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()


def append(connection: Connection, lines: Iterable[Line]) -> int:
    """Append events to the chains of their customers, in the order given. Answers how many.

    The caller has locked the customers: of two writers the second one must see what the first one wrote.
    """
    written = 0
    for some in _batches(lines):
        last = {head.chain: head for head in heads(connection, list({line["customer_id"] for line in some}))}
        rows = []
        for line in some:
            chain = line["customer_id"]
            before = last.get(chain) or Head(chain=chain, n=0, hash="")
            n = before.n + 1
            sealed = seal(before.hash, chain, n, line)
            last[chain] = Head(chain=chain, n=n, hash=sealed)
            rows.append({**line, "chain": chain, "n": n, "previous": before.hash, "hash": sealed})
        _insert(connection, rows)
        written += len(rows)
    return written


def heads(connection: Connection, chains: Sequence[str]) -> list[Head]:
    """The heads of those among ``chains`` that have any event."""
    found = []
    later = consent_event.alias("later")
    mine = sa.and_(later.c.chain == consent_event.c.chain, later.c.n > 0)  # as the index says it
    newest = sa.select(sa.func.max(later.c.n)).where(mine).scalar_subquery()
    for some in chunks(chains):
        query = sa.select(consent_event.c.chain, consent_event.c.n, consent_event.c.hash).where(
            among(connection, consent_event.c.chain, some), consent_event.c.n > 0, consent_event.c.n == newest
        )
        found += [Head(chain=row[0], n=row[1], hash=row[2]) for row in connection.execute(query)]
    return found


def heads_of(connection: Connection, customer_ids: Sequence[str]) -> list[Head]:
    """The heads of every chain of these customers, those of records merged into them included."""
    query = sa.select(consent_event.c.chain).where(among(connection, consent_event.c.customer_id, customer_ids))
    return sorted(heads(connection, list(connection.execute(query.distinct()).scalars())), key=lambda head: head.chain)


def verify(connection: Connection, customer_ids: Sequence[str] | None = None) -> Verified:
    """Walk the chains of these customers (None: of all) in one pass, and name the first bad link of each.

    Also looked for: events that what stands (``consent``) goes back to, and that are not there any more.
    """
    counts = {"chains": 0, "events": 0}
    broken: dict[str, BrokenLink] = {}
    begins = {row.chain: (row.n, row.hash) for row in connection.execute(sa.select(consent_anchor))}
    chain, n, before = "", 0, ""
    for row in _walk(connection, customer_ids):
        counts["events"] += 1
        if row.chain != chain:
            counts["chains"] += 1
            chain = row.chain
            n, before = begins.get(chain, (0, ""))
        if chain not in broken and (why := _wrong(row, n, before)):
            broken[chain] = BrokenLink(chain=chain, customer_id=row.customer_id, n=row.n, event_id=row.id, why=why)
        n, before = row.n, row.hash
    for row in _lost(connection, customer_ids):
        link = BrokenLink(chain=row.customer_id, customer_id=row.customer_id, n=0, event_id=row.event_id, why="lost")
        broken.setdefault(row.customer_id, link)
    return Verified(**counts, broken=tuple(broken[name] for name in sorted(broken)))


def _wrong(row: Any, n: int, before: str) -> str:
    """What is wrong with an event that should follow number ``n``; "" for nothing."""
    if not row.hash:
        return "unlinked"
    if row.n != n + 1 or row.previous != before:
        return "missing"
    return "" if seal(row.previous, row.chain, row.n, row._mapping) == row.hash else "changed"  # noqa: SLF001 - its API


def _walk(connection: Connection, customer_ids: Sequence[str] | None) -> Iterator[Any]:
    query = sa.select(consent_event).order_by(consent_event.c.chain, consent_event.c.n)
    if customer_ids is not None:
        query = query.where(among(connection, consent_event.c.customer_id, customer_ids))
    yield from connection.execute(query, execution_options={"yield_per": _BATCH})


def _lost(connection: Connection, customer_ids: Sequence[str] | None) -> Iterator[Any]:
    """What stands without the event it goes back to."""
    gone = ~sa.exists().where(consent_event.c.id == consent.c.event_id)
    query = sa.select(consent.c.customer_id, consent.c.event_id).where(gone, customer.c.id == consent.c.customer_id)
    if customer_ids is not None:
        query = query.where(among(connection, consent.c.customer_id, customer_ids))
    yield from connection.execute(query.order_by(consent.c.customer_id, consent.c.event_id))


def _insert(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    if len(rows) == 1:
        connection.execute(sa.insert(consent_event), rows)
        return
    instant = instant_writer(connection)
    values = [
        tuple(
            json_text(row[name])
            if name == "evidence"
            else instant(row[name])
            if isinstance(row[name], datetime)
            else row[name]
            for name in COLUMNS
        )
        for row in rows
    ]
    if copies(connection, len(values)):
        lines = ["\t".join(map(copy_text, one)) for one in values]
        if copy_lines(connection, consent_event, COLUMNS, lines):
            return
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    marks = ", ".join(f"{mark}::jsonb" if name == "evidence" and mark == "%s" else mark for name in COLUMNS)
    insert_all(connection, f"INSERT INTO consent_event ({names}) VALUES ({marks})", values)


def _batches(lines: Iterable[Line]) -> Iterator[list[Line]]:
    batch: list[Line] = []
    for line in lines:
        batch.append(line)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
