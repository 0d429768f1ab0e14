"""Erasing a person: everything goes, what must be counted stays without them, and the address stays blocked (C39)."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from outbound.domain.consent import Suppression
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.storage import customers, erasing, ledger, locks, operations, people, suppressions, tables
from outbound.storage.database import Database

REASON = "erased"
"""The reason of the block that stays: who comes back by an import gets no marketing until they ask for it."""
SCOPE = "marketing"

_KIND = "customer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest of ``n`` events of a consent chain that went, by its hash."""

    n: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What is kept of an erasure. ``customer_hash`` is the keyed hash of the id, ``chains`` the heads of the ledger.

    ``rows`` says by table how many went or were emptied, ``blocked`` how many addresses stay blocked.
    """

    id: str
    customer_hash: str
    at: datetime
    by: str
    chains: tuple[Head, ...]
    rows: dict[str, int]
    cancelled: int
    blocked: int
    dry_run: bool = False


def erase(
    database: Database, keyring: Keyring, *, customer_id: str, by: str, now: datetime, dry_run: bool = False
) -> Receipt:
    """Erase a customer and every record merged into them, in one transaction; waiting messages are cancelled.

    Raises OutboundError ``customer.unknown``, or ``erase.in_flight`` while a message is being handed over: it is
    finished within a minute.
    """
    with database.read() as connection:
        known = customers.survivors(connection, [customer_id]).get(customer_id, customer_id)
        if not customers.exists(connection, known):
            raise OutboundError("customer.unknown", "no such customer", "see `outbound customer show`")
        ids = [known, *customers.merged_from(connection, known)]
        manifests = erasing.mentions(connection, ids)
    with database.write() as connection:
        locks.customers(connection, ids)
        if erasing.in_flight(connection, ids):
            message = "a message to this customer is being handed over at this moment"
            raise OutboundError("erase.in_flight", message, "try again in a minute")
        savepoint = connection.begin_nested()
        person = people.load_people(connection, [known]).get(known)
        addresses = person.customer.addresses if person else ()
        hashed = [(a.channel, digest) for a in addresses for digest in keyring.address_hashes(a.channel, a.value)]
        chains = tuple(Head(n=head.n, hash=head.hash) for head in ledger.heads_of(connection, ids))
        blocks = [
            Suppression(channel=channel, address_hash=digest, scope=SCOPE, reason=REASON, at=now)
            for channel, digest in hashed
        ]
        suppressions.add(connection, blocks)
        taken = erasing.erase(
            connection,
            ids,
            address_hashes=[digest for _, digest in hashed],
            manifests=manifests,
            hasher=lambda who, key: keyring.pseudonym("once", f"{who}|{key}"),
            now=now,
        )
        receipt = Receipt(
            id=new_id(now),
            customer_hash=keyring.pseudonym(_KIND, known),
            at=now,
            by=by,
            chains=chains,
            rows=taken.rows,
            cancelled=taken.cancelled,
            blocked=len(addresses),
            dry_run=dry_run,
        )
        if dry_run:
            savepoint.rollback()
            return receipt
        connection.execute(sa.insert(tables.erasure).values(**_row(receipt)))
        operations.record(connection, kind="customer.erase", subject=receipt.id, by=by, note="", now=now)
        savepoint.commit()
    return receipt


def receipts_of(database: Database, keyring: Keyring, customer_id: str) -> tuple[Receipt, ...]:
    """The receipts of whoever had this id, under every live key: what can still be answered after an erasure."""
    erasure = tables.erasure
    query = sa.select(erasure).where(erasure.c.customer_hash.in_(keyring.pseudonyms(_KIND, customer_id)))
    with database.read() as connection:
        return tuple(
            Receipt(
                id=row.id,
                customer_hash=row.customer_hash,
                at=row.at,
                by=row.by,
                chains=tuple(Head(**head) for head in row.chains),
                rows=dict(row.counts["rows"]),
                cancelled=row.counts["cancelled"],
                blocked=row.counts["blocked"],
            )
            for row in connection.execute(query.order_by(erasure.c.at))
        )


def _row(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "customer_hash": receipt.customer_hash,
        "at": receipt.at,
        "by": receipt.by,
        "chains": [{"n": head.n, "hash": head.hash} for head in receipt.chains],
        "counts": {"rows": receipt.rows, "cancelled": receipt.cancelled, "blocked": receipt.blocked},
    }
