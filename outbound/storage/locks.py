"""The one order in which transactions lock rows, so that no two ever wait for each other in a ring (PostgreSQL).

1. advisory locks: one import (``stage.merging``), one planner of a rule (``runs.lock``)
2. customers, in the order of their ids, all that the transaction needs in one statement: ``customers`` here
3. messages, in the order of their ids
4. what belongs to a customer: addresses, consents, blocks on their addresses, events

Whoever changes what the gate reads of a person locks the customer first, so that what the gate has read stands
until what it decided is written: the other waits, or the gate waits and reads what the other wrote. That holds
for the gate itself (``outbox_claims.lock_claimed``), a word of the person (``consents.record``), a block
(``suppressions.add``), an import (``merge_customers.merge``) and two records made one (``customer_merge``).
On SQLite a writer is alone anyway.

The first exposure of an experiment takes one more advisory lock (``experiments.lock``) late, after its messages:
whoever else takes it, a publication, has no row that planning waits for.
"""

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import among
from outbound.storage.tables import customer, message


def customers(connection: Connection, ids: Collection[str]) -> None:
    """Lock these customers, and those that the merged among them live on as, to the end of the transaction."""
    if connection.dialect.name == "sqlite" or not ids:
        return
    asked = list(dict.fromkeys(ids))
    heirs = sa.select(customer.c.merged_into).where(
        among(connection, customer.c.id, asked), customer.c.merged_into.is_not(None)
    )
    both = list(dict.fromkeys([*asked, *connection.execute(heirs).scalars()]))
    # the database sorts, all in one statement: its order of text is not Python's
    query = sa.select(customer.c.id).where(among(connection, customer.c.id, both)).order_by(customer.c.id)
    connection.execute(query.with_for_update()).all()


def of_messages(connection: Connection, ids: Collection[str]) -> None:
    """Lock the customers of these messages; call it before the messages themselves are locked."""
    if connection.dialect.name != "sqlite":
        owners = sa.select(message.c.customer_id).where(among(connection, message.c.id, list(ids)))
        customers(connection, connection.execute(owners).scalars().all())


def messages_of(connection: Connection, customer_ids: Collection[str]) -> None:
    """Lock every message of these customers, whom the transaction has locked."""
    if connection.dialect.name != "sqlite":
        query = sa.select(message.c.id).where(among(connection, message.c.customer_id, list(customer_ids)))
        connection.execute(query.order_by(message.c.id).with_for_update()).all()
