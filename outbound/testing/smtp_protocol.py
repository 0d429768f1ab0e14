"""The server's half of one SMTP connection: fast on the plain way, faulty where told (RFC 5321, 2920, 3207, 4954)."""

import asyncio
import base64
import hashlib
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from outbound.testing.faults import Fault
from outbound.testing.ledger import LedgerWriter

_MESSAGE_ID = re.compile(rb"^message-id:[ \t]*(?:\r\n[ \t]+)?(\S+)", re.IGNORECASE | re.MULTILINE)
_PATH = re.compile(r"(?:FROM|TO):\s*<([^>]*)>(.*)", re.IGNORECASE)
_END = b"\r\n.\r\n"
EXTENSIONS = frozenset({"PIPELINING", "8BITMIME", "SMTPUTF8", "ENHANCEDSTATUSCODES"})


@dataclass(slots=True, kw_only=True)
class Behaviour:
    """What every connection of one server shares. ``accounts`` None means: no AUTH is offered."""

    ledger: LedgerWriter
    faults: list[Fault] = field(default_factory=list)
    accounts: Mapping[str, str] | None = None
    certificate: ssl.SSLContext | None = None
    extensions: frozenset[str] = EXTENSIONS
    size_limit: int = 50_000_000
    store: Path | None = None
    accepted: int = 0
    connections: int = 0
    open_now: set["Session"] = field(default_factory=set)

    def fault(self, stage: str, recipient: str = "") -> Fault | None:
        """The first fault that strikes at ``stage``."""
        return next((f for f in self.faults if f.stage == stage and f.strikes(recipient)), None)


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._transport: asyncio.Transport = cast("asyncio.Transport", None)
        self._buffer = bytearray()
        self._in_data = False
        self._scanned = 0
        self._deaf = False  # hanging, closing or waiting: input is kept but not read
        self._user = ""
        self._encrypted = False
        self._expect: Callable[[str], None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._reset()

    def _reset(self) -> None:
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._parameters = ""

    # -- events of the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast("asyncio.Transport", transport)
        if transport.get_extra_info("sslcontext") is not None:
            self._encrypted = True
        self._behaviour.connections += 1
        self._behaviour.open_now.add(self)
        self._act("connect", "220 double ESMTP ready")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the signature is asyncio's
        """Forget the connection."""
        self._behaviour.open_now.discard(self)
        for task in self._tasks:
            task.cancel()

    def data_received(self, data: bytes) -> None:
        """Read as many commands as have arrived."""
        self._buffer += data
        self._read()

    def hang_up(self) -> None:
        """Close from the outside, as a restart of the server would."""
        self._transport.close()

    # -- reading

    def _read(self) -> None:
        while not self._deaf and not self._transport.is_closing():
            if self._in_data:
                if not self._read_body():
                    return
            else:
                end = self._buffer.find(b"\n")
                if end < 0:
                    return
                line = bytes(self._buffer[:end]).rstrip(b"\r")
                del self._buffer[: end + 1]
                self._command(line.decode("utf-8", "surrogateescape"))

    def _read_body(self) -> bool:
        strike = next((f for f in self._behaviour.faults if f.stage == "body" and f.value and f.left != 0), None)
        if strike is not None and len(self._buffer) >= int(strike.value) and strike.strikes(self._recipients[0]):
            self._strike(strike, "")
            return False
        if self._buffer.startswith(b".\r\n"):
            body, size = b"", 3
        else:
            end = self._buffer.find(_END, self._scanned)
            if end < 0:
                self._scanned = max(0, len(self._buffer) - len(_END))
                return False
            body, size = bytes(self._buffer[: end + 2]), end + len(_END)
        del self._buffer[:size]
        self._in_data, self._scanned = False, 0
        self._end_of_body(body)
        return True

    def _command(self, line: str) -> None:
        if self._expect is not None:
            expect, self._expect = self._expect, None
            expect(line)
            return
        verb, _, rest = line.partition(" ")
        handler = _VERBS.get(verb.upper())
        if handler is None:
            self._say("500 5.5.2 command not understood")
        else:
            handler(self, rest)

    # -- commands

    def _ehlo(self, rest: str) -> None:
        self._reset()
        offers = sorted(self._behaviour.extensions)
        offers.append(f"SIZE {self._behaviour.size_limit}")
        if self._behaviour.certificate is not None and not self._encrypted:
            offers.append("STARTTLS")
        if self._behaviour.accounts is not None:
            offers.append("AUTH PLAIN LOGIN")
        fault = self._behaviour.fault("hello", rest)
        if fault is not None and fault.action == "hide":
            offers = [offer for offer in offers if not offer.startswith(fault.value)]
        lines = ["double", *offers]
        self._finish(fault, "\r\n".join([f"250-{word}" for word in lines[:-1]] + [f"250 {lines[-1]}"]))

    def _helo(self, rest: str) -> None:  # noqa: ARG002 - every command takes its argument
        self._reset()
        self._act("hello", "250 double")

    def _starttls(self, rest: str) -> None:  # noqa: ARG002 - every command takes its argument
        context = self._behaviour.certificate
        if context is None or self._encrypted:
            self._say("454 4.7.0 TLS not available")
            return
        fault = self._behaviour.fault("starttls")
        if fault is not None:
            self._strike(fault, "220 go ahead")
            return
        self._say("220 2.0.0 go ahead")
        self._deaf = True
        self._buffer.clear()  # RFC 3207 4.2: nothing said in the clear counts
        self._start(self._encrypt(context))

    async def _encrypt(self, context: ssl.SSLContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            secure = await loop.start_tls(self._transport, self, context, server_side=True)
        except (OSError, ssl.SSLError):
            self._transport.abort()
            return
        if secure is not None:
            self._transport = secure
            self._encrypted = True
            self._deaf = False
            self._reset()
            self._read()

    def _auth(self, rest: str) -> None:
        method, _, initial = rest.partition(" ")
        if method.upper() == "PLAIN":
            if initial:
                self._plain(initial)
            else:
                self._expect = self._plain
                self._say("334 ")
        elif method.upper() == "LOGIN":
            if initial:
                self._login_name(initial)
            else:
                self._expect = self._login_name
                self._say("334 VXNlcm5hbWU6")
        else:
            self._say("504 5.5.4 method not known")

    def _plain(self, answer: str) -> None:
        try:
            _, user, password = _plain_text(answer).split("\0")
        except ValueError:
            self._say("501 5.5.2 not base64")
            return
        self._check(user, password)

    def _login_name(self, answer: str) -> None:
        user = _plain_text(answer)
        self._expect = lambda line: self._check(user, _plain_text(line))
        self._say("334 UGFzc3dvcmQ6")

    def _check(self, user: str, password: str) -> None:
        accounts = self._behaviour.accounts or {}
        if accounts.get(user) == password:
            self._user = user
            self._act("auth", "235 2.7.0 welcome")
        else:
            self._say(f"535 5.7.8 credentials of {user} with {password} are wrong")

    def _mail(self, rest: str) -> None:
        found = _PATH.match(rest)
        if self._behaviour.accounts is not None and not self._user:
            self._say("530 5.7.0 authentication required")
        elif found is None:
            self._say("501 5.5.4 syntax: MAIL FROM:<address>")
        elif not found[0].isascii() and "SMTPUTF8" not in found[2].upper():
            self._say("553 5.6.7 SMTPUTF8 needed")
        else:
            fault = self._behaviour.fault("mail", found[1])
            if fault is not None:
                self._strike(fault, "250 2.1.0 ok")
                return
            self._sender, self._parameters = found[1], found[2].upper()
            self._say("250 2.1.0 ok")

    def _rcpt(self, rest: str) -> None:
        found = _PATH.match(rest)
        if self._sender is None:
            self._say("503 5.5.1 MAIL first")
        elif found is None:
            self._say("501 5.1.3 syntax: RCPT TO:<address>")
        elif not found[1].isascii() and "SMTPUTF8" not in self._parameters:
            self._say("553 5.6.7 SMTPUTF8 needed")
        else:
            fault = self._behaviour.fault("rcpt", found[1])
            if fault is not None and fault.action != "delay":
                self._strike(fault, "250 2.1.5 ok")
                return
            self._recipients.append(found[1])
            self._finish(fault, "250 2.1.5 ok")

    def _data(self, rest: str) -> None:  # noqa: ARG002 - every command takes its argument
        if not self._recipients:
            self._say("503 5.5.1 RCPT first")
            return
        recipient = self._recipients[0]
        fault = self._behaviour.fault("data", recipient)
        if fault is not None and fault.action != "delay":
            self._strike(fault, "354 go ahead")
            return
        early = next((f for f in self._behaviour.faults if f.stage == "body" and not f.value), None)
        if early is not None and early.strikes(recipient):
            self._together("354 go ahead")
            return
        self._in_data = True
        self._finish(fault, "354 go ahead")

    def _end_of_body(self, wire: bytes) -> None:
        body = wire.replace(b"\r\n..", b"\r\n.")
        body = body[1:] if body.startswith(b"..") else body
        fault = self._behaviour.fault("sent", self._recipients[0])
        if fault is None or fault.kept or fault.action == "delay":
            self._keep(body)
        self._reset()
        self._finish(fault, "250 2.0.0 accepted")

    def _keep(self, body: bytes) -> None:
        found = _MESSAGE_ID.search(body)
        digest = hashlib.sha256(body).hexdigest()
        self._behaviour.accepted += 1
        if self._behaviour.store is not None:
            (self._behaviour.store / f"{self._behaviour.accepted:06d}-{digest[:12]}.eml").write_bytes(body)
        self._behaviour.ledger.append(
            reference=found[1].decode("utf-8", "replace") if found else "",
            recipient=self._recipients[0],
            recipients=len(self._recipients),
            sender=self._sender,
            parameters=self._parameters.strip(),
            user=self._user,
            encrypted=self._encrypted,
            bare_line_ends=body.count(b"\r") + body.count(b"\n") - 2 * body.count(b"\r\n"),
            sha256=digest,
            size=len(body),
            time=time.time(),
        )

    def _rset(self, rest: str) -> None:  # noqa: ARG002 - every command takes its argument
        self._reset()
        self._say("250 2.0.0 ok")

    def _noop(self, rest: str) -> None:  # noqa: ARG002 - every command takes its argument
        self._say("250 2.0.0 ok")

    def _quit(self, rest: str) -> None:  # noqa: ARG002 - every command takes its argument
        self._act("quit", "221 2.0.0 bye")
        if not self._deaf:
            self._transport.close()

    # -- answers and faults

    def _say(self, line: str) -> None:
        self._transport.write(line.encode("utf-8", "replace") + b"\r\n")

    def _act(self, stage: str, line: str) -> None:
        self._finish(self._behaviour.fault(stage), line)

    def _finish(self, fault: Fault | None, line: str) -> None:
        if fault is None or fault.action == "hide":
            self._say(line)
        else:
            self._strike(fault, line)

    def _strike(self, fault: Fault, line: str) -> None:
        match fault.action:
            case "reply":
                self._say(fault.value)
                if fault.value.startswith("421"):
                    self._deaf = True
                    self._transport.close()
            case "close":
                self._deaf = True
                self._transport.close()
            case "reset":
                self._deaf = True
                reset(self._transport)
            case "hang":
                self._deaf = True
                self._transport.pause_reading()
            case "partial":
                self._deaf = True
                self._transport.write(b"250-2.0.0 acc")
                self._transport.close()
            case "garbage":
                self._say("\x07%$ what?")
            case _:
                self._deaf = True
                self._start(self._later(float(fault.value), line))

    def _together(self, line: str) -> None:
        """The reply and the end of the stream in one segment: no body can have been awaited."""
        self._deaf = True
        connection = self._transport.get_extra_info("socket")
        if not self._encrypted and hasattr(socket, "TCP_CORK"):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        self._say(line)
        self._transport.close()

    async def _later(self, seconds: float, line: str) -> None:
        await asyncio.sleep(seconds)
        self._deaf = False
        self._say(line)
        self._read()

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _plain_text(answer: str) -> str:
    """Base64 as a client sends it; nonsense reads as nothing, which is no password."""
    try:
        return base64.b64decode(answer).decode()
    except ValueError:
        return ""


def reset(transport: asyncio.WriteTransport) -> None:
    """Close with a TCP reset, as a crashed peer or a firewall does."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:  # the other side may have closed it just now
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


_VERBS: Mapping[str, Callable[[Session, str], None]] = {
    "EHLO": Session._ehlo,  # noqa: SLF001 - the table of the class's own methods
    "HELO": Session._helo,  # noqa: SLF001
    "STARTTLS": Session._starttls,  # noqa: SLF001
    "AUTH": Session._auth,  # noqa: SLF001
    "MAIL": Session._mail,  # noqa: SLF001
    "RCPT": Session._rcpt,  # noqa: SLF001
    "DATA": Session._data,  # noqa: SLF001
    "RSET": Session._rset,  # noqa: SLF001
    "NOOP": Session._noop,  # noqa: SLF001
    "QUIT": Session._quit,  # noqa: SLF001
}
