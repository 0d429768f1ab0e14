"""What one mail is: a complaint, a bounce, an answer of a machine, or something a person wrote; in that order.

Nothing a mail says of itself is believed to be about a message of ours: only an address or a link that we signed proves
it (fault F66). Everything else may be anybody's, and is kept without effect.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message

from outbound.channels.mail_in.automatic import automatic
from outbound.channels.mail_in.delivery_status import reports
from outbound.channels.mail_in.feedback_report import complaint
from outbound.channels.mail_in.mail import Mail
from outbound.domain.customer import ChannelName
from outbound.domain.delivery import DeliveryEvent, DeliveryKind
from outbound.domain.incoming import IncomingMessage

_REACHED = ("Delivered-To", "X-Original-To", "Envelope-To", "X-Envelope-To", "X-Forwarded-To", "To", "Cc")
_MACHINE = re.compile(r".*(mailer-daemon|postmaster|mail delivery (sub)?system|<\s*>\s*$)", re.IGNORECASE)
_ENVELOPE_FROM = re.compile(r"envelope-from=\"?<?([^\s<>;\")]+)", re.IGNORECASE)
_LINK = re.compile(r"<(https?://[^<>\s]+)>")


def _nobody(_given: str) -> str:
    return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What only we could have made. Each answers our reference (``MESSAGE.LEG``), or "" for what is not ours.

    ``address`` reads a signed envelope sender, ``link`` a signed unsubscribe link (leg 0: the link does not say);
    ``reply`` reads a signed Reply-To, which proves an answer and no bounce.
    """

    address: Callable[[str], str] = field(default=_nobody)
    link: Callable[[str], str] = field(default=_nobody)
    reply: Callable[[str], str] = field(default=_nobody)


def read(
    raw: bytes, *, proof: Proof, provider: str = "mail", key: str = ""
) -> tuple[DeliveryEvent | IncomingMessage, ...]:
    """The news in a mail; any bytes have some. ``key`` is its id where it came from, else its Message-ID."""
    mail = Mail.read(raw)
    key = key or next(iter(mail.ids("Message-ID")), "")
    reached = [address for address in mail.addresses(*_REACHED) if address]
    ours = next((one for address in reached if (one := proof.address(address))), "")
    told = complaint(mail)
    if told is not None:
        enclosed = _Enclosed.of(mail)
        about = proof.address(told.mail_from) or enclosed.ours(proof)
        return (
            DeliveryEvent(
                provider=provider,
                kind=told.kind,
                event_id=key,
                reference=enclosed.message_id,
                ours=about,
                recipient=told.recipient,
                at=mail.date(),
            ),
        )
    why = automatic(mail)
    bounced = tuple(_bounces(mail, provider, key, ours, proof)) if _may_bounce(mail, ours, why) else ()
    if bounced:
        return bounced
    ours = ours or next((one for address in reached if (one := proof.reply(address))), "")
    if why and ours:  # an answering machine answered the envelope, as it should (RFC 3834 4)
        kind = DeliveryKind.AUTORESPONDED
        return (DeliveryEvent(provider=provider, kind=kind, event_id=key, ours=ours, at=mail.date(), description=why),)
    return (message(mail, provider=provider, key=key, ours=ours),)


def message(
    mail: Mail,
    *,
    provider: str,
    key: str,
    ours: str = "",
    envelope: tuple[str, str] = ("", ""),
    spam: bool | None = None,
) -> IncomingMessage:
    """The mail as what somebody wrote. ``envelope`` is its sender and recipient where the provider names them."""
    sender = next(iter(mail.addresses("From", "Sender", "Reply-To")), "")
    return IncomingMessage(
        provider=provider,
        channel=ChannelName.EMAIL,
        sender=sender,
        text=mail.text(),
        key=key,
        recipient=next(iter(mail.addresses("To", "Cc")), ""),
        envelope_sender=envelope[0],
        envelope_recipient=envelope[1],
        subject=mail.header("Subject")[:998],
        at=mail.date(),
        message_id=next(iter(mail.ids("Message-ID")), ""),
        references=mail.ids("In-Reply-To", "References")[:50],
        ours=ours,
        automatic="" if mail.header("X-Apple-Unsubscribe") else automatic(mail),
        spam=spam,
    )


def envelope_sender(mail: Mail) -> str:
    """What the last server wrote down about the envelope: while it checked SPF, else as return path."""
    checked = mail.headers("Received-SPF")
    if len(checked) == 1 and checked[0].lower().startswith(("pass", "neutral")):
        found = _ENVELOPE_FROM.search(checked[0])
        return found[1] if found else ""
    return next(iter(mail.addresses("Return-Path")[:1]), "")


def _may_bounce(mail: Mail, ours: str, why: str) -> bool:
    """Only what a machine sent is looked at for wordings of bounces: people quote them."""
    if any(part.get_content_type().endswith("delivery-status") for part in mail.parts()):
        return True
    machine = any(_MACHINE.match(value) for value in [*mail.headers("From"), *mail.headers("Return-Path")])
    return machine or bool(ours and why)


def _bounces(mail: Mail, provider: str, key: str, ours: str, proof: Proof) -> Iterator[DeliveryEvent]:
    enclosed = _Enclosed.of(mail)
    about = ours or enclosed.ours(proof)
    for number, report in enumerate(reports(mail)):
        yield DeliveryEvent(
            provider=provider,
            kind=report.kind,
            event_id=key,
            key=f"{key}#{number}" if key and number else "",
            reference=enclosed.message_id,
            ours=about,
            recipient=report.recipient,
            at=mail.date(),
            bounce=report.bounce,
            code=report.status,
            response=report.text,
        )


@dataclass(frozen=True, slots=True)
class _Enclosed:
    """The head of the mail that a report is about."""

    head: Mail | None

    @classmethod
    def of(cls, mail: Mail) -> "_Enclosed":
        for part in mail.parts():
            if part.get_content_type() == "message/rfc822":
                payload = part.get_payload()
                inner = payload[0] if isinstance(payload, list) and payload else None
                return cls(Mail(inner) if isinstance(inner, Message) else None)
            if part.get_content_type() == "text/rfc822-headers":
                raw = part.get_payload(decode=True)
                return cls(Mail.read(raw) if isinstance(raw, bytes) else None)
        return cls(None)

    @property
    def message_id(self) -> str:
        return next(iter(self.head.ids("Message-ID")), "") if self.head else ""

    def ours(self, proof: Proof) -> str:
        """Our reference by what we signed in it: its return path, or its unsubscribe link."""
        if self.head is None:
            return ""
        for address in self.head.addresses("Return-Path"):
            if found := proof.address(address):
                return found
        links = _LINK.findall(self.head.header("List-Unsubscribe"))
        return next((found for link in links if (found := proof.link(link))), "")
