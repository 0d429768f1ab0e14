"""Alerts by e-mail: through the adapter that customers' mail goes through, past its breaker and the outbox."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape

from outbound.channels.alerts import words
from outbound.channels.base import Adapter, Parcel
from outbound.domain.alert import Notice
from outbound.domain.customer import ChannelName
from outbound.domain.ids import new_id
from outbound.domain.outcome import OutcomeKind
from outbound.domain.rendered import EmailEnvelope, RenderedEmail

_MAY_HAVE_IT = frozenset({OutcomeKind.ACCEPTED, OutcomeKind.UNCERTAIN})


@dataclass(frozen=True, slots=True, kw_only=True)
class MailReceiver:
    """One mail to each address. ``sender`` as ``Name <address>``; ``installation`` names us in the subject.

    An unknown outcome counts as told: the alert comes again after its ``repeat``.
    """

    adapter: Adapter
    to: tuple[str, ...]
    sender: str
    installation: str
    name: str = "email"

    async def tell(self, notices: Sequence[Notice], *, now: datetime) -> str:
        """Send it; "" when at least one address has it, else the answer to the last."""
        text = words.body(notices)
        rendered = RenderedEmail(
            subject=words.headline(notices, self.installation),
            html=f"<pre>{escape(text)}</pre>",
            text=text,
            sender=self.sender,
            reply_to="",
            language="en",
        )
        said, anybody = "", False
        for address in self.to:
            reference = new_id(now)
            domain = self.sender.rstrip(">").rpartition("@")[2]
            envelope = EmailEnvelope(to=address, message_id=f"<{reference}@{domain}>", date=now)
            parcel = Parcel(
                reference=f"alert-{reference}",
                channel=ChannelName.EMAIL,
                address=address,
                payload=self.adapter.pack(rendered, envelope),
                subject=rendered.subject,
            )
            outcome = await self.adapter.deliver(parcel, _always)
            anybody = anybody or outcome.kind in _MAY_HAVE_IT
            said = f"{outcome.kind} {outcome.code or ''} {outcome.text}".replace("  ", " ")
        return "" if anybody else said


async def _always() -> bool:
    return True
