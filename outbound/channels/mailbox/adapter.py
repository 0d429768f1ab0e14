"""Deliver into a folder instead of the world: for a first look, for demos and for tests. Needs no credential."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile

from outbound.channels.base import Capabilities, Handover, Parcel
from outbound.channels.mailbox.folder import SUFFIXES, About, file_name, keep
from outbound.domain.customer import ChannelName
from outbound.domain.errors import ConfigurationError
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.domain.rendered import EmailEnvelope, Rendered

Pack = Callable[[Rendered, EmailEnvelope | None], bytes]


def wall_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


class MailboxAdapter:
    """One channel of a mailbox folder; several channels may share the folder.

    ``pack`` is the packing of the channel it stands for (``email.mime.pack``, ``sms.text.pack``): the folder
    holds exactly the bytes that would have gone out. ``clock`` dates the files; a virtual day passes its own.
    With ``receipts`` it is said to report deliveries, and somebody has to (``outbound receipt``).
    """

    def __init__(
        self,
        folder: Path,
        *,
        channel: ChannelName,
        pack: Pack,
        clock: Callable[[], datetime] = wall_clock,
        name: str = "",
        receipts: bool = False,
    ) -> None:
        if channel not in SUFFIXES:
            raise ConfigurationError(f"the mailbox has no form for {channel}")
        self.name = name or f"mailbox-{channel}"
        self.capabilities = Capabilities(channel=channel, receipts=receipts, is_mailbox=True)
        self._folder = folder
        self._pack = pack
        self._clock = clock

    def pack(self, rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
        """The payload exactly as the real channel would send it. Raises what that channel's packing raises."""
        return self._pack(rendered, envelope)

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        """Write one file. A full disk or a missing right is not_sent: the file is there whole or not at all."""
        if not await handover():
            return Outcome(kind=OutcomeKind.NOT_SENT, text="handover refused: the lease is lost")
        about = About(
            reference=parcel.reference,
            channel=self.capabilities.channel,
            customer_id=parcel.customer_id,
            address=parcel.address,
            subject=parcel.subject,
            time=self._clock().astimezone(UTC).isoformat(timespec="seconds"),
        )
        try:
            keep(self._folder, about, parcel.payload)
        except OSError as problem:
            return Outcome(kind=OutcomeKind.NOT_SENT, text=f"mailbox folder: {problem.strerror or 'not writable'}")
        return Outcome(kind=OutcomeKind.ACCEPTED, text="stored", provider_ref=file_name(parcel.reference))

    async def check(self) -> str:
        """Whether the folder can be written: "" or what is wrong."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with TemporaryFile(dir=self._folder):
                return ""
        except OSError as problem:
            return f"mailbox folder: {problem.strerror or 'not writable'}"

    async def close(self) -> None:
        """Nothing to release."""
