"""One SMTP connection: one recipient per transaction, its stage always known.

"Closed before the body" and "closed after the dot" look the same on a socket. Only the stage recorded here tells a
message that was surely not sent from one that may have been. Where the server takes commands together (PIPELINING,
RFC 2920) the envelope costs one round trip instead of three; the body goes only after the 354 and the handover.
"""

import asyncio
import contextlib
import re
import ssl
from collections.abc import Mapping, Sequence

from outbound.channels.base import Handover
from outbound.channels.email.smtp_opening import open_wire
from outbound.channels.email.smtp_problems import PROBLEMS, failure, local
from outbound.channels.email.smtp_settings import SmtpSettings
from outbound.channels.email.smtp_wire import Reply, SmtpWire
from outbound.channels.outcomes import Stage, smtp_outcome
from outbound.domain.outcome import Outcome

_CHUNK = 65536
_GO_AHEAD = 354
_CLOSING = 421
_GOODBYE_SECONDS = 2.0
_QUEUED_AS = re.compile(r"(?:queued as|\bid=)\s*<?([\w.-]+)", re.IGNORECASE)
_STAGES = (Stage.MAIL, Stage.RCPT, Stage.DATA)


class SmtpConnection:
    """An open, authenticated connection. ``used`` counts its transactions, ``idle_since`` is loop time.

    ``offered`` is what the server's EHLO named. ``reached_server`` tells whether the server answered anything in the
    last transaction.
    """

    def __init__(self, wire: SmtpWire, offered: Mapping[str, str], settings: SmtpSettings) -> None:
        self._wire = wire
        self._offered = offered
        self._together = "pipelining" in offered
        self._timeouts = settings.timeouts
        self.born = self.idle_since = asyncio.get_running_loop().time()
        self.used = 0
        self.reached_server = False

    @classmethod
    async def open(cls, settings: SmtpSettings, context: ssl.SSLContext | None, helo_name: str) -> "SmtpConnection":
        """Connect, say hello, encrypt, authenticate. Raises Refusal for whatever stops it."""
        wire, offered = await open_wire(settings, context, helo_name)
        return cls(wire, offered, settings)

    @property
    def is_alive(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""
        return self._wire.is_alive

    async def is_answering(self) -> bool:
        """Ask (NOOP) whether the server is still there."""
        with contextlib.suppress(*PROBLEMS):
            return (await self._ask(b"NOOP")).code == 250  # noqa: PLR2004 - RFC 5321 4.2
        return False

    async def transact(
        self, *, sender: bytes, recipient: bytes, payload: bytes, handover: Handover, secrets: Sequence[str]
    ) -> Outcome:
        """MAIL, RCPT, DATA, the handover, the body and its dot, the reply. One recipient, one outcome.

        Raises only what ``handover`` raises, after the connection is gone.
        """
        stage = Stage.MAIL
        self.used += 1
        self.reached_server = False
        try:
            envelope = self._envelope(sender, recipient, payload)
            if isinstance(envelope, Outcome):
                return envelope
            if self._together:
                self._wire.send(b"".join(envelope), replies=len(envelope))
            for stage, command in zip(_STAGES, envelope, strict=True):
                if not self._together:
                    self._wire.send(command)
                reply = await self._answer(stage)
                self.reached_server = True
                if not _goes_on(reply, stage):
                    await self._back_out(reply, stage)
                    return smtp_outcome(code=reply.code, text=reply.text, stage=stage, secrets=secrets)
        except PROBLEMS as problem:
            self.abort()
            return failure(problem, stage, secrets)
        except asyncio.CancelledError:
            self.abort()
            raise
        return await self._hand_over(payload, handover, secrets)

    async def _hand_over(self, payload: bytes, handover: Handover, secrets: Sequence[str]) -> Outcome:
        try:
            is_mine = await handover()
        except BaseException:
            self.abort()
            raise
        stage = Stage.BODY
        if not is_mine:
            # After 354 there is no way back but to leave: without the dot nothing is delivered (RFC 5321 4.1.1.4).
            self.abort()
            return local("handover refused: the lease is lost", stage)
        try:
            body = _dot_stuffed(payload)
            at = 0
            while len(body) - at > _CHUNK:
                self._wire.write(body[at : at + _CHUNK])
                at += _CHUNK
                await self._wire.flushed(self._timeouts.block)
            await asyncio.sleep(0)  # hear of a close that came together with the 354
            if not self.is_alive:
                return local("connection closed before the final dot", stage)
            stage = Stage.SENT
            self._wire.send(body[at:] + b".\r\n")
            reply = await self._wire.reply(self._timeouts.final)
        except PROBLEMS as problem:
            self.abort()
            return failure(problem, stage, secrets)
        except asyncio.CancelledError:
            self.abort()
            raise
        if not _is_final(reply):
            self.abort()
        found = _QUEUED_AS.search(reply.text)
        reference = found[1] if found else ""
        return smtp_outcome(code=reply.code, text=reply.text, stage=stage, secrets=secrets, provider_ref=reference)

    def abort(self) -> None:
        """Close at once; bytes not yet on the wire are thrown away."""
        self._wire.abort()

    async def quit(self) -> None:
        """Say goodbye, briefly."""
        with contextlib.suppress(*PROBLEMS):
            self._wire.send(b"QUIT\r\n")
            await self._wire.reply(min(_GOODBYE_SECONDS, self._timeouts.command))
        self.abort()

    def _envelope(self, sender: bytes, recipient: bytes, payload: bytes) -> tuple[bytes, bytes, bytes] | Outcome:
        """The three commands before the body; or why this server cannot take the message (RFC 1870, 6152, 6531)."""
        offered = self._offered
        parameters = b""
        if "size" in offered:
            limit = int(offered["size"]) if offered["size"].strip().isdigit() else 0
            if 0 < limit < len(payload):
                return smtp_outcome(code=552, text="5.3.4 larger than the server takes", stage=Stage.MAIL)
            parameters += b" SIZE=%d" % len(payload)
        if not payload.isascii():
            if "8bitmime" not in offered:
                return smtp_outcome(code=554, text="5.6.3 the server takes seven bits only", stage=Stage.MAIL)
            parameters += b" BODY=8BITMIME"
        if not (sender.isascii() and recipient.isascii() and _head(payload).isascii()):
            if "smtputf8" not in offered:
                return smtp_outcome(code=553, text="5.6.7 the server does not offer SMTPUTF8", stage=Stage.MAIL)
            parameters += b" SMTPUTF8"
        if any(character < 0x20 for character in sender + recipient):  # noqa: PLR2004 - they were checked; a second lock
            raise ValueError("an address holds a control character")
        return b"MAIL FROM:<%s>%s\r\n" % (sender, parameters), b"RCPT TO:<%s>\r\n" % recipient, b"DATA\r\n"

    async def _ask(self, command: bytes) -> Reply:
        self._wire.send(command + b"\r\n")
        return await self._wire.reply(self._timeouts.command)

    async def _answer(self, stage: Stage) -> Reply:
        return await self._wire.reply(self._timeouts.data if stage is Stage.DATA else self._timeouts.command)

    async def _back_out(self, refused: Reply, stage: Stage) -> None:
        """After a no: make the connection fit for the next transaction, or drop it."""
        try:
            if not _is_final(refused):
                self.abort()
            elif self._together and stage is not Stage.DATA:
                await self._hear_out(refused, stage)
            elif stage is not Stage.MAIL:
                await self._reset()
        except PROBLEMS:
            self.abort()

    async def _hear_out(self, refused: Reply, stage: Stage) -> None:
        """The answers to what was sent together with the command that was refused (RFC 2920 3.1)."""
        recipient = refused if stage is Stage.RCPT else await self._answer(Stage.RCPT)
        if not _is_final(recipient):
            self.abort()
            return
        body = await self._answer(Stage.DATA)
        if body.code != _GO_AHEAD:
            await self._reset()
        elif _goes_on(recipient, Stage.RCPT):
            self.abort()  # it has a recipient and waits for a body: a dot would be a mail
        else:
            self._wire.send(b".\r\n")  # a body for nobody ends the transaction as the server sees it
            if not _is_final(await self._wire.reply(self._timeouts.final)):
                self.abort()

    async def _reset(self) -> None:
        if (await self._ask(b"RSET")).code // 100 != 2:  # noqa: PLR2004 - RFC 5321 4.2
            self.abort()


def _goes_on(reply: Reply, stage: Stage) -> bool:
    return reply.code == _GO_AHEAD if stage is Stage.DATA else reply.code // 100 == 2  # noqa: PLR2004 - RFC 5321 4.2


def _is_final(reply: Reply) -> bool:
    """Whether the connection is as it was after a command: no other first digit ends one (RFC 5321 4.2)."""
    return reply.code // 100 in (2, 4, 5) and reply.code != _CLOSING


def _head(payload: bytes) -> bytes:
    return payload[: payload.find(b"\r\n\r\n") + 4]


def _dot_stuffed(payload: bytes) -> bytes:
    """RFC 5321 4.5.2. The payload is CRLF throughout and ends in one."""
    if b"\r\n." in payload:
        payload = payload.replace(b"\r\n.", b"\r\n..")
    return b"." + payload if payload.startswith(b".") else payload
