"""One SMTP connection: opened with TLS and AUTH, then one recipient per transaction, its stage always known.

The client library raises the same error for "closed before the body" and "closed after the dot". Only the stage
recorded here tells a message that was surely not sent from one that may have been.
"""

import asyncio
import contextlib
import re
import socket
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import replace

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol

from outbound.channels.base import Handover
from outbound.channels.email.smtp_settings import SmtpSettings, Tls
from outbound.channels.outcomes import Stage, smtp_outcome
from outbound.domain.outcome import Outcome

_CHUNK = 65536
_GO_AHEAD = 354
_CLOSING = 421
_QUEUED_AS = re.compile(r"(?:queued as|\bid=)\s*<?([\w.-]+)", re.IGNORECASE)


class Refusal(Exception):  # noqa: N818 - carries an outcome up one floor, it is no error
    """The connection cannot be used; ``outcome`` says why."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.kind)
        self.outcome = outcome


class SmtpConnection:
    """An open, authenticated connection. ``used`` counts its transactions, ``idle_since`` is loop time.

    ``reached_server`` tells whether the server answered anything in the last transaction.
    """

    def __init__(self, client: aiosmtplib.SMTP, protocol: SMTPProtocol, settings: SmtpSettings, born: float) -> None:
        self._client = client
        self._protocol = protocol
        self._settings = settings
        self.born = born
        self.idle_since = born
        self.used = 0
        self.reached_server = False

    @classmethod
    async def open(cls, settings: SmtpSettings, context: ssl.SSLContext | None, helo_name: str) -> "SmtpConnection":
        """Connect, say hello, encrypt, authenticate. Raises Refusal for whatever stops it."""
        client = aiosmtplib.SMTP(
            hostname=settings.host,
            local_hostname=helo_name,
            use_tls=settings.tls is Tls.IMPLICIT,
            start_tls=False,
            tls_context=context,
        )
        try:
            with _refused_at(Stage.CONNECT, settings):
                connection = await _connect(settings.host, settings.port, settings.timeouts.connect)
                await client.connect(sock=connection, timeout=settings.timeouts.greeting)
            await _hello(client, settings)
            await _encrypt(client, settings, context)
            await _log_in(client, settings)
            if client.protocol is None:
                raise Refusal(_local("connection lost", Stage.HELLO))
        except BaseException:
            client.close()
            raise
        return cls(client, client.protocol, settings, asyncio.get_running_loop().time())

    @property
    def is_alive(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""
        return self._client.is_connected

    async def is_answering(self) -> bool:
        """Ask (NOOP) whether the server is still there."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            return bool((await self._command(b"NOOP")).code == 250)  # noqa: PLR2004 - RFC 5321 4.2
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
            parameters = self._parameters(sender, recipient, payload)
            if isinstance(parameters, Outcome):
                return parameters
            for stage, command in (
                (Stage.MAIL, (b"MAIL", b"FROM:<" + sender + b">", *parameters)),
                (Stage.RCPT, (b"RCPT", b"TO:<" + recipient + b">")),
                (Stage.DATA, (b"DATA",)),
            ):
                reply = await self._command(*command, data=stage is Stage.DATA)
                self.reached_server = True
                if reply.code != _GO_AHEAD if stage is Stage.DATA else reply.code // 100 != 2:  # noqa: PLR2004
                    await self._recover(reply.code, stage)
                    return smtp_outcome(code=reply.code, text=reply.message, stage=stage, secrets=secrets)
        except (aiosmtplib.SMTPException, OSError, ValueError) as problem:
            self.abort()
            return _failure(problem, stage, secrets)
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
            return _local("handover refused: the lease is lost", stage)
        try:
            wire = _dot_stuffed(payload)
            at = 0
            while len(wire) - at > _CHUNK:
                self._write(wire[at : at + _CHUNK])
                at += _CHUNK
                await self._flushed()
            await asyncio.sleep(0)  # hear of a close that came together with the 354
            if not self.is_alive:
                return _local("connection closed before the final dot", stage)
            stage = Stage.SENT
            self._write(wire[at:] + b".\r\n")
            reply = await self._protocol.read_response(timeout=self._settings.timeouts.final)
        except (aiosmtplib.SMTPException, OSError, RuntimeError) as problem:
            self.abort()
            return _failure(problem, stage, secrets)
        except asyncio.CancelledError:
            self.abort()
            raise
        await self._recover(reply.code, stage)
        outcome = smtp_outcome(code=reply.code, text=reply.message, stage=stage, secrets=secrets)
        found = _QUEUED_AS.search(reply.message)
        return replace(outcome, provider_ref=found[1]) if found else outcome

    def abort(self) -> None:
        """Close at once; bytes not yet on the wire are thrown away."""
        transport = self._protocol.transport
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
        self._client.close()

    async def quit(self) -> None:
        """Say goodbye, briefly."""
        with contextlib.suppress(aiosmtplib.SMTPException, OSError):
            await self._client.quit(timeout=min(2.0, self._settings.timeouts.command))
        self.abort()

    def _parameters(self, sender: bytes, recipient: bytes, payload: bytes) -> list[bytes] | Outcome:
        """What MAIL must announce, or why this server cannot take the message (RFC 1870, 6152, 6531)."""
        offered = self._client.esmtp_extensions
        head = payload[: payload.find(b"\r\n\r\n") + 4]
        parameters = []
        if "size" in offered:
            limit = int(offered["size"]) if offered["size"].strip().isdigit() else 0
            if 0 < limit < len(payload):
                return smtp_outcome(code=552, text="5.3.4 larger than the server takes", stage=Stage.MAIL)
            parameters.append(b"SIZE=%d" % len(payload))
        if not payload.isascii():
            if "8bitmime" not in offered:
                return smtp_outcome(code=554, text="5.6.3 the server takes seven bits only", stage=Stage.MAIL)
            parameters.append(b"BODY=8BITMIME")
        if not (sender.isascii() and recipient.isascii() and head.isascii()):
            if "smtputf8" not in offered:
                return smtp_outcome(code=553, text="5.6.7 the server does not offer SMTPUTF8", stage=Stage.MAIL)
            parameters.append(b"SMTPUTF8")
        return parameters

    async def _command(self, *words: bytes, data: bool = False) -> aiosmtplib.SMTPResponse:
        timeouts = self._settings.timeouts
        return await self._protocol.execute_command(*words, timeout=timeouts.data if data else timeouts.command)

    async def _recover(self, code: int, stage: Stage) -> None:
        """Make the connection fit for the next transaction, or drop it."""
        if code == _CLOSING or not 200 <= code < 600:  # noqa: PLR2004 - RFC 5321 4.2: no other reply exists
            self.abort()
        elif stage in {Stage.RCPT, Stage.DATA}:
            try:
                if (await self._command(b"RSET")).code // 100 != 2:  # noqa: PLR2004 - RFC 5321 4.2
                    self.abort()
            except (aiosmtplib.SMTPException, OSError):
                self.abort()

    def _write(self, octets: bytes) -> None:
        self._protocol.write(octets)

    async def _flushed(self) -> None:
        """Wait until the peer has room again (RFC 5321 4.5.3.2.5)."""
        drained = self._protocol._drain_helper()  # noqa: SLF001 - aiosmtplib's flow control has no public name
        await asyncio.wait_for(drained, self._settings.timeouts.block)
        await asyncio.sleep(0)
        if not self.is_alive:
            raise ConnectionResetError("connection closed in the body")


async def _connect(host: str, port: int, timeout: float) -> socket.socket:  # noqa: ASYNC109 - a limit for each address
    """A connected socket to the first address of ``host`` that answers. Raises OSError."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(timeout):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    problem: OSError = OSError("no address")
    for family, kind, protocol, _, address in found:
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            async with asyncio.timeout(timeout):
                await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            problem = error
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise problem


async def _hello(client: aiosmtplib.SMTP, settings: SmtpSettings) -> None:
    limit = settings.timeouts.command
    with _refused_at(Stage.HELLO, settings):
        try:
            await client.ehlo(timeout=limit)
        except aiosmtplib.SMTPHeloError as refused:
            if refused.code // 100 != 5:  # noqa: PLR2004 - RFC 5321 3.2: only a permanent no means "try HELO"
                raise
            await client.helo(timeout=limit)


async def _encrypt(client: aiosmtplib.SMTP, settings: SmtpSettings, context: ssl.SSLContext | None) -> None:
    """STARTTLS as the settings want it (RFC 3207); what was offered in the clear is asked again."""
    if settings.tls not in {Tls.REQUIRED, Tls.OPPORTUNISTIC}:
        return
    if client.supports_extension("starttls"):
        with _refused_at(Stage.TLS, settings):
            await client.starttls(tls_context=context, timeout=settings.timeouts.command)
        await _hello(client, settings)
    elif settings.tls is Tls.REQUIRED:
        raise Refusal(_local("tls is required and the server offers no STARTTLS", Stage.TLS))


async def _log_in(client: aiosmtplib.SMTP, settings: SmtpSettings) -> None:
    if not settings.username:
        return
    with _refused_at(Stage.AUTH, settings):
        if client.get_transport_info("sslcontext") is None and not settings.is_loopback:
            raise Refusal(_local("credentials are never sent over an unencrypted connection", Stage.AUTH))
        await client.login(settings.username, settings.password, timeout=settings.timeouts.command)


@contextlib.contextmanager
def _refused_at(stage: Stage, settings: SmtpSettings) -> Iterator[None]:
    """Turn whatever goes wrong inside into a Refusal that knows the stage."""
    try:
        yield
    except (aiosmtplib.SMTPException, OSError, ValueError) as problem:
        at = Stage.TLS if _tls_problem(problem) is not None else stage
        raise Refusal(_failure(problem, at, settings.secrets)) from None


def _tls_problem(problem: BaseException) -> ssl.SSLError | None:
    return next((p for p in (problem, problem.__cause__) if isinstance(p, ssl.SSLError)), None)


def _dot_stuffed(payload: bytes) -> bytes:
    """RFC 5321 4.5.2. The payload is CRLF throughout and ends in one."""
    if b"\r\n." in payload:
        payload = payload.replace(b"\r\n.", b"\r\n..")
    return b"." + payload if payload.startswith(b".") else payload


def _failure(problem: Exception, stage: Stage, secrets: Sequence[str]) -> Outcome:
    """The outcome of an exchange that ended without a reply of its own."""
    cause = problem.__cause__ or problem
    if isinstance(problem, aiosmtplib.SMTPResponseException) and 400 <= problem.code < 600:  # noqa: PLR2004
        return smtp_outcome(code=problem.code, text=problem.message, stage=stage, secrets=secrets)
    if (tls := _tls_problem(problem)) is not None:
        text = f"tls: {getattr(tls, 'verify_message', '') or tls.reason or 'handshake failed'}"
    elif isinstance(problem, TimeoutError | aiosmtplib.SMTPTimeoutError):
        text = f"no answer in time {_where(stage)}"
    elif isinstance(problem, aiosmtplib.SMTPResponseException):
        text = f"answer {_where(stage)} was not SMTP"
    elif isinstance(cause, socket.gaierror):
        text = f"host name not resolved: {cause.strerror}"
    elif isinstance(cause, ConnectionRefusedError):
        text = "connection refused"
    else:
        text = f"connection lost {_where(stage)}"
    return smtp_outcome(code=None, text=text, stage=stage, secrets=secrets)


def _local(text: str, stage: Stage) -> Outcome:
    """An outcome decided here, without the server."""
    return smtp_outcome(code=None, text=text, stage=stage)


def _where(stage: Stage) -> str:
    return "after the final dot" if stage is Stage.SENT else f"at {stage}"
