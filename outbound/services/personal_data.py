"""What we hold about a customer and what we sent them: the part of the record that their own page shows."""

from dataclasses import dataclass, replace

from outbound.domain.consent import ConsentEvent
from outbound.domain.customer import Customer
from outbound.domain.verification import written
from outbound.storage import consents, customers, people, sent_messages
from outbound.storage.database import Database
from outbound.storage.sent_messages import SentMessage

_NEWEST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The profile, what the customer said and what was sent, both newest first and at most a hundred each."""

    customer: Customer
    consents: tuple[ConsentEvent, ...]
    sent: tuple[SentMessage, ...]


def read(database: Database, customer_id: str) -> Held | None:
    """Everything the page shows, in one snapshot; None when the customer is gone."""
    with database.read() as connection:
        person = people.load_people(connection, [customer_id]).get(customer_id)
        if person is None:
            return None
        also = customers.merged_from(connection, customer_id)
        said = consents.ledger(connection, customer_id)
        sent = sent_messages.of_customer(connection, [customer_id, *also], limit=_NEWEST)
    return Held(
        customer=person.customer,
        consents=said[::-1][:_NEWEST],
        sent=tuple(replace(one, code=written(one.code)) for one in sent),
    )
