"""E-mail over SMTP: the adapter that puts frozen bytes on the wire, one recipient per transaction."""

import re
from functools import lru_cache

from outbound.channels.base import Capabilities, Handover, Parcel
from outbound.channels.email import mime
from outbound.channels.email.dkim import Signer
from outbound.channels.email.headers import MailRefusedError, normal_address, split_mailbox
from outbound.channels.email.signed_address import SignedAddress
from outbound.channels.email.smtp_pool import SmtpPool
from outbound.channels.email.smtp_problems import Refusal
from outbound.channels.email.smtp_settings import SmtpSettings, SmtpTimeouts, Tls
from outbound.channels.outcomes import Stage, smtp_outcome
from outbound.domain.customer import ChannelName
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.domain.rendered import EmailEnvelope, Rendered

__all__ = ["SmtpAdapter", "SmtpSettings", "SmtpTimeouts", "Tls"]

_SYLLABLE = 3
_FROM = re.compile(rb"^From:((?:[^\r\n]|\r\n[ \t])*)", re.MULTILINE)


class SmtpAdapter:
    """One SMTP account. Cheap to create: it connects at the first delivery.

    With a ``signer`` it signs what it delivers; with ``bounces`` each message has an envelope sender of its own.
    """

    def __init__(
        self,
        settings: SmtpSettings,
        *,
        name: str = "smtp",
        signer: Signer | None = None,
        bounces: SignedAddress | None = None,
    ) -> None:
        self.name = name
        self.capabilities = Capabilities(channel=ChannelName.EMAIL, receipts=False, concurrency=settings.pool_size)
        self._settings = settings
        self._signer, self._bounces = signer, bounces
        self._pool = SmtpPool(settings)

    def pack(self, rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
        """The exact bytes of the mail but for its DKIM signature, which is put before them when it leaves.

        Raises MailRefusedError (an OutboundError) for content no mail can carry.
        """
        return mime.pack(rendered, envelope)

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        """One SMTP transaction. Answers an outcome whatever the server and the network do."""
        try:
            recipient = normal_address(parcel.address)
            sender = normal_address(self._sender(parcel), "sender")
        except MailRefusedError as refused:
            return smtp_outcome(code=501, text=refused.message, stage=Stage.RCPT)
        if not (isinstance(parcel.payload, mime.Mail) or mime.is_clean(parcel.payload)):
            return smtp_outcome(code=554, text="5.6.0 the payload holds bare line ends or NUL", stage=Stage.MAIL)
        payload = parcel.payload if self._signer is None else self._signer.signed(parcel.payload)
        secrets = (*self._settings.secrets, parcel.address, recipient, *_local_word(recipient))
        fresh = False
        while True:
            try:
                connection = await self._pool.take(fresh=fresh)
            except Refusal as refusal:
                return refusal.outcome
            is_reused = connection.used > 0
            try:
                outcome = await connection.transact(
                    sender=sender.encode(),
                    recipient=recipient.encode(),
                    payload=payload,
                    handover=handover,
                    secrets=secrets,
                )
            finally:
                await self._pool.give(connection)
            if not (is_reused and not connection.reached_server and outcome.kind is OutcomeKind.NOT_SENT):
                return outcome
            fresh = True  # a connection the server had already closed says nothing about the message

    async def check(self) -> str:
        """Connect, encrypt and sign in, then leave: "" when all of it works, else what is wrong."""
        try:
            connection = await self._pool.take(fresh=True)
        except Refusal as refusal:
            said = refusal.outcome
            return f"{said.code} {said.text}" if said.code else said.text
        await self._pool.give(connection)
        return ""

    async def close(self) -> None:
        """Close the connections. Safe to call twice; a later delivery connects anew."""
        await self._pool.close()

    def _sender(self, parcel: Parcel) -> str:
        own = self._bounces.of(parcel.reference) if self._bounces is not None else ""
        named = parcel.sender or own or self._settings.sender
        if named:
            return split_mailbox(named)[1]
        found = _FROM.search(parcel.payload)
        return _address_of(found[1]) if found else ""


@lru_cache(maxsize=256)
def _address_of(mailbox: bytes) -> str:
    return split_mailbox(mailbox.decode("utf-8", "replace"))[1]


def _local_word(address: str) -> tuple[str, ...]:
    """The part before the @, where it is long enough to stand for a person and not for a syllable."""
    word = address.rpartition("@")[0]
    return (word,) if len(word) > _SYLLABLE else ()
