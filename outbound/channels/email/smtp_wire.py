"""The wire to an SMTP server once it is open: commands out, replies in, each in its turn (RFC 5321 4.2, RFC 2920).

The client library that opened it waits for the answer to each command before it sends the next one. Here several may
be under way, and what was said is never taken for the answer to anything else.
"""

import asyncio
from collections import deque
from typing import NamedTuple

_LONGEST_LINE = 8_192
_LONGEST_REPLY = 65_536


class Reply(NamedTuple):
    """Reply code and text; the lines of a longer one are joined by line feeds."""

    code: int
    text: str


class UnreadableError(Exception):
    """The server said something that is no SMTP reply."""


class SmtpWire(asyncio.Protocol):
    """Takes an open transport over from whoever opened it."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._rest = b""
        self._text: list[bytes] = []
        self._owed = 0
        self._replies: deque[Reply | UnreadableError] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._is_full = False
        self._is_lost = False
        self._problem: Exception | None = None
        transport.set_protocol(self)

    @property
    def is_alive(self) -> bool:
        """Whether neither side has closed it, as far as is known here."""
        return not (self._is_lost or self._transport.is_closing())

    def send(self, octets: bytes, *, replies: int = 1) -> None:
        """Write commands, or the end of a body, that are answered by so many replies. Raises ConnectionResetError."""
        self._owed += replies
        self.write(octets)

    def write(self, octets: bytes) -> None:
        """Write what has no reply of its own. Raises ConnectionResetError."""
        if not self.is_alive:
            raise ConnectionResetError("connection closed")
        self._transport.write(octets)

    async def reply(self, limit: float) -> Reply:
        """The next reply that is owed, waited for ``limit`` seconds.

        Raises TimeoutError, ConnectionResetError where the connection ended before it, UnreadableError.
        """
        while not self._replies:
            if self._is_lost:
                raise ConnectionResetError("connection closed") from self._problem
            await self._news(limit)
        answer = self._replies.popleft()
        if isinstance(answer, UnreadableError):
            raise answer
        return answer

    async def flushed(self, limit: float) -> None:
        """Wait until the server has room again (RFC 5321 4.5.3.2.5). Raises TimeoutError, ConnectionResetError."""
        while self._is_full and not self._is_lost:
            await self._news(limit)
        await asyncio.sleep(0)
        if not self.is_alive:
            raise ConnectionResetError("connection closed")

    def abort(self) -> None:
        """Close at once; bytes not yet on the wire are thrown away."""
        self._transport.abort()

    async def _news(self, limit: float) -> None:
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_later(limit, _too_late, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- events of the transport

    def data_received(self, data: bytes) -> None:
        """Read as many replies as have arrived. One that nobody is owed makes the connection unfit for more."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if not line[:3].isdigit():
                self._answer(UnreadableError("no reply code"))
                return
            self._text.append(line[4:].strip(b" \t\r"))
            if line[3:4] != b"-":
                self._answer(Reply(int(line[:3]), b"\n".join(self._text).decode("utf-8", "replace")))
                self._text = []
        if len(self._rest) > _LONGEST_LINE or sum(map(len, self._text)) > _LONGEST_REPLY:
            self._answer(UnreadableError("reply too long"))
        elif not self._owed and (self._rest or self._text):
            self.abort()

    def _answer(self, answer: Reply | UnreadableError) -> None:
        if not self._owed:
            self.abort()
            return
        self._owed -= 1
        self._replies.append(answer)
        if isinstance(answer, UnreadableError):  # where the next reply begins nobody can say
            self.abort()
        self._wake()

    def eof_received(self) -> bool:
        """The server has closed its side: so do we."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits hears of it."""
        self._is_lost, self._problem = True, exc
        self._wake()

    def pause_writing(self) -> None:
        """The server takes what was written more slowly than it came."""
        self._is_full = True

    def resume_writing(self) -> None:
        """There is room again."""
        self._is_full = False
        self._wake()


def _too_late(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
