"""A few open connections to one SMTP account, reused newest first."""

import asyncio
import re
import socket
import ssl

from outbound.channels.email.smtp_connection import SmtpConnection
from outbound.channels.email.smtp_settings import SmtpSettings, Tls


class SmtpPool:
    """At most ``pool_size`` connections at once. Belongs to the event loop that first used it."""

    def __init__(self, settings: SmtpSettings) -> None:
        self._settings = settings
        self._idle: list[SmtpConnection] = []
        self._places = asyncio.Semaphore(settings.pool_size)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context: ssl.SSLContext | None = None
        self._helo_name = settings.helo_name
        self._out: set[SmtpConnection] = set()
        self._retired: set[SmtpConnection] = set()

    async def take(self, *, fresh: bool = False) -> SmtpConnection:
        """A connection ready for MAIL: a proven idle one, or with ``fresh`` or none idle a new one.

        Raises Refusal. Every connection taken is given back with ``give``.
        """
        self._bind()
        await self._places.acquire()
        try:
            connection = await self._ready(fresh=fresh)
        except BaseException:
            self._places.release()
            raise
        self._out.add(connection)
        return connection

    async def give(self, connection: SmtpConnection) -> None:
        """Take a connection back: kept if it can be used again, closed if not."""
        self._out.discard(connection)
        self._places.release()
        is_retired = connection in self._retired
        self._retired.discard(connection)
        if connection.is_alive and not is_retired and not self._is_worn(connection):
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        elif connection.is_alive:
            await connection.quit()

    async def close(self) -> None:
        """Say goodbye on every idle connection; those in use are closed when they come back."""
        self._retired |= self._out
        idle, self._idle = self._idle, []
        if self._loop is asyncio.get_running_loop():
            await asyncio.gather(*(connection.quit() for connection in idle))

    async def _ready(self, *, fresh: bool) -> SmtpConnection:
        while self._idle and not fresh:
            connection = self._idle.pop()
            if await self._is_fit(connection):
                return connection
            await connection.quit()
        if self._context is None and self._settings.tls is not Tls.NONE:
            self._context = await asyncio.to_thread(_trust, self._settings)
        if not self._helo_name:
            self._helo_name = await _own_name(self._settings)
        return await SmtpConnection.open(self._settings, self._context, self._helo_name)

    async def _is_fit(self, connection: SmtpConnection) -> bool:
        idle = asyncio.get_running_loop().time() - connection.idle_since
        if not connection.is_alive or idle > self._settings.max_idle or self._is_worn(connection):
            return False
        return idle < self._settings.probe_after or await connection.is_answering()

    def _is_worn(self, connection: SmtpConnection) -> bool:
        age = asyncio.get_running_loop().time() - connection.born
        return connection.used >= self._settings.max_messages or age > self._settings.max_age

    def _bind(self) -> None:
        """A new event loop cannot use the sockets of the last one."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._idle, self._out, self._retired = [], set(), set()
            self._places = asyncio.Semaphore(self._settings.pool_size)


async def _own_name(settings: SmtpSettings) -> str:
    """What this machine calls itself, asked once; a server on the same machine does not care."""
    if settings.is_loopback:
        return "localhost"
    name = await asyncio.to_thread(socket.getfqdn)
    return name if re.fullmatch(r"[A-Za-z0-9.-]+", name) else "localhost"


def _trust(settings: SmtpSettings) -> ssl.SSLContext:
    """Whom to believe. Reads the system's authorities from disk, so it runs in a thread."""
    context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
