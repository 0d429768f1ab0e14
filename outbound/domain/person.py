"""All the ladder needs to know about one customer, loaded set-wise by storage and read by the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from outbound.domain.consent import ConsentState
from outbound.domain.customer import Customer


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentEntry:
    """The newest word on a (topic, channel). ``address`` is set where the consent belongs to that address."""

    state: ConsentState
    address: str | None = None
    basis: str = "consent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A customer with consents by (topic, channel name or "" for all) and suppressions as (channel name, scope)."""

    customer: Customer
    consents: Mapping[tuple[str, str], ConsentEntry] = field(default_factory=dict)
    suppressed: frozenset[tuple[str, str]] = frozenset()
