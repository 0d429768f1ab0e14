"""What the channel tests share: contents, parcels, and a handover that tells whether it was asked."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, TypeVar

from outbound.channels.base import Adapter, Parcel
from outbound.channels.email import mime
from outbound.channels.email.dkim import Signer
from outbound.channels.email.signed_address import SignedAddress
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, SmtpTimeouts, Tls
from outbound.channels.sms.twilio import TwilioAdapter, TwilioSettings
from outbound.domain.customer import ChannelName
from outbound.domain.outcome import Outcome
from outbound.domain.rendered import Attachment, EmailEnvelope, RenderedEmail
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

T = TypeVar("T")
NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
URL = "https://shop.example/u/" + "Zx9-" * 40


class Handover:
    """Answers ``answer`` and counts how often it was asked."""

    def __init__(self, *, answer: bool = True) -> None:
        self.answer = answer
        self.asked = 0

    async def __call__(self) -> bool:
        self.asked += 1
        return self.answer


def email_content(
    subject: str = "Marta, è arrivata l'estate", *, sender: str = "Bottega Verde <news@bottega.example>", **changes: Any
) -> RenderedEmail:
    """A realistic rendered mail."""
    known: dict[str, Any] = {
        "html": "<html><body><p>Però che bello: 12,50 €</p></body></html>",
        "text": "Però che bello: 12,50 €\n",
        "reply_to": "ciao@bottega.example",
        "language": "it",
        "attachments": (),
    }
    return RenderedEmail(subject=subject, sender=sender, **(known | changes))


def envelope(to: str = "marta@example.it", **changes: Any) -> EmailEnvelope:
    """A marketing envelope."""
    known: dict[str, Any] = {
        "message_id": "<0193-1@bottega.example>",
        "date": NOW,
        "unsubscribe_url": URL,
        "list_id": "news.bottega.example",
    }
    return EmailEnvelope(to=to, **(known | changes))


def email_parcel(
    to: str = "marta.rossi@example.it", *, payload: bytes | None = None, reference: str = "0193-1"
) -> Parcel:
    """A packed mail."""
    content = mime.build(email_content(), envelope(to)) if payload is None else payload
    return Parcel(reference=reference, channel=ChannelName.EMAIL, address=to, payload=content, customer_id="c-1")


def big_payload(size: int = 3_000_000) -> bytes:
    """A mail too big for any socket buffer."""
    content = email_content(attachments=(Attachment(name="a.bin", media_type="application/pdf", content=b"x" * size),))
    return mime.build(content, envelope())


def sms_parcel(to: str = "+393401234567", *, reference: str = "0193-1") -> Parcel:
    """A packed text."""
    payload = "Ciao Marta, il pacco è arrivato".encode()
    return Parcel(reference=reference, channel=ChannelName.SMS, address=to, payload=payload, customer_id="c-1")


def smtp_adapter(
    server: SmtpServer, *, signer: Signer | None = None, bounces: SignedAddress | None = None, **changes: Any
) -> SmtpAdapter:
    """An adapter for a test server."""
    timeouts = SmtpTimeouts(connect=10, greeting=10, command=10, data=10, block=10, final=10)
    known: dict[str, Any] = {"host": "127.0.0.1", "port": server.port, "tls": Tls.NONE, "timeouts": timeouts}
    return SmtpAdapter(SmtpSettings(**(known | changes)), signer=signer, bounces=bounces)


def twilio_adapter(double: TwilioDouble, **changes: Any) -> TwilioAdapter:
    """An adapter for the double."""
    known: dict[str, Any] = {
        "account_sid": double.account_sid,
        "auth_token": double.auth_token,
        "from_number": "+15005550006",
        "api_base": double.api_base,
        "answer_timeout": 10.0,
    }
    return TwilioAdapter(TwilioSettings(**(known | changes)))


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine."""
    return asyncio.run(work)


def deliver(adapter: Adapter, *parcels: Parcel, handover: Handover | None = None) -> list[Outcome]:
    """Deliver the parcels one after the other, then close."""

    async def work() -> list[Outcome]:
        try:
            return [await adapter.deliver(parcel, handover or Handover()) for parcel in parcels]
        finally:
            await adapter.close()

    return run(work())


def deliver_one(adapter: Adapter, parcel: Parcel, handover: Handover | None = None) -> Outcome:
    """Deliver one parcel, then close."""
    return deliver(adapter, parcel, handover=handover)[0]
