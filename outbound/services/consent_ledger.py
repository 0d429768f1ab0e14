"""Looking at the consent ledger and proving that it is whole."""

from collections.abc import Sequence

from outbound.domain.errors import OutboundError
from outbound.domain.policy import Policy
from outbound.storage import customers, ledger
from outbound.storage.database import Database
from outbound.storage.ledger import Verified


def verify(database: Database, customer_id: str | None = None) -> Verified:
    """Walk the chains of a customer, or of everybody, in one snapshot; the first bad link of each is named."""
    with database.read() as connection:
        ids: Sequence[str] | None = None
        if customer_id is not None:
            survivor = customers.survivors(connection, [customer_id]).get(customer_id, customer_id)
            ids = [survivor, *customers.merged_from(connection, survivor)]
        return ledger.verify(connection, ids)


def require_topic(policy: Policy, topic: str) -> None:
    """Raise OutboundError ``consent.topic`` for one that the policy does not have."""
    if topic not in policy.topics:
        raise OutboundError("consent.topic", f"there is no topic {topic!r}", f"topics: {', '.join(policy.topics)}")
