"""The safety guard: outside production, nothing reaches an address that nobody named."""

from dataclasses import replace
from fnmatch import fnmatchcase
from typing import cast

from outbound.channels.base import Adapter, Capabilities, Handover, Listing, Parcel, Sightings, Wanted
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.domain.rendered import EmailEnvelope, Rendered


class Guarded:
    """An adapter that reaches only ``only_to`` (addresses or patterns such as ``*@shop.example``, ``+39055*``).

    Everything else goes to ``redirect_to`` where that is set, and is refused otherwise: ``rejected_policy``,
    with nothing handed over.
    """

    def __init__(self, adapter: Adapter, *, only_to: tuple[str, ...], redirect_to: str = "") -> None:
        self._adapter = adapter
        self._only_to = tuple(pattern.casefold() for pattern in only_to)
        self._redirect_to = redirect_to
        self.name = adapter.name
        self.capabilities: Capabilities = adapter.capabilities

    def pack(self, rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
        """As the adapter does: the headers keep the real recipient."""
        return self._adapter.pack(rendered, envelope)

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        """Deliver to an allowed address, divert to ``redirect_to``, or refuse."""
        address = parcel.address.casefold()
        if any(fnmatchcase(address, pattern) for pattern in self._only_to):
            return await self._adapter.deliver(parcel, handover)
        if self._redirect_to:
            outcome = await self._adapter.deliver(replace(parcel, address=self._redirect_to), handover)
            return _about_nobody(outcome)
        text = "safety guard: outside production only [safety] only_to is reached"
        return Outcome(kind=OutcomeKind.REJECTED_POLICY, enhanced="guard", text=text)

    async def look_up(self, wanted: Wanted) -> Sightings:
        """Where it went: to the address, or to ``redirect_to``. Only for an adapter that lists what it took."""
        address = wanted.address.casefold()
        if self._redirect_to and not any(fnmatchcase(address, pattern) for pattern in self._only_to):
            wanted = replace(wanted, address=self._redirect_to)
        return await cast("Listing", self._adapter).look_up(wanted)

    async def check(self) -> str:
        """As the adapter does."""
        return await self._adapter.check()

    async def close(self) -> None:
        """As the adapter does."""
        await self._adapter.close()


def _about_nobody(outcome: Outcome) -> Outcome:
    """An answer about the address in ``redirect_to`` says nothing about the customer's: it must not block theirs."""
    if outcome.kind is OutcomeKind.REJECTED_RECIPIENT:
        text = f"safety guard: the address in redirect_to was refused: {outcome.text}"
        return replace(outcome, kind=OutcomeKind.REJECTED_POLICY, suppress="", text=text)
    return replace(outcome, suppress="")
