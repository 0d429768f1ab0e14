"""Which release words a message, and from which values: settled at its first gate, the same for ever after. Pure."""

from collections.abc import Mapping
from typing import Any

from outbound.domain.customer import ChannelName, Customer
from outbound.domain.message import Message
from outbound.domain.rendered import RenderStop
from outbound.engine.conditions import customer_values
from outbound.services.releases import Active

_CUSTOMER = "customer"


def settle(
    message: Message, customer: Customer, channel: ChannelName, *, active: Active, planned: Active | None
) -> tuple[Active, Mapping[str, Any] | None]:
    """The release to render with, and the values to keep on the row instead of those of the planning (None: none).

    A row keeps only what its template declared when it was planned. A template edited since may declare more:
    what it reads of the customer is taken anew, everything else is what the row kept. Where that does not do,
    the message leaves in the words it was ``planned`` with; those may be unreadable (None).
    """
    if message.release == active.id:
        return active, None
    if planned is not None and needs_planned(message, active, (channel,)):
        return planned, None
    values = {**message.context, _CUSTOMER: customer_values(customer)}
    snapshot = active.templates.snapshot(message.template, values)
    if isinstance(snapshot, RenderStop):
        return planned or active, None
    return active, snapshot


def needs_planned(message: Message, active: Active, channels: tuple[ChannelName, ...]) -> bool:
    """Whether the running template is gone, has no body for a channel, or reads what the row never kept."""
    if message.release == active.id:
        return False
    templates = active.templates
    if not all(templates.has(message.template, channel) for channel in channels):
        return True
    return any(
        name not in message.context.get(root, ())
        for root, names in templates.declared(message.template).items()
        if root != _CUSTOMER
        for name in names
    )
