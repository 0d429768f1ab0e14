"""A few open connections to one SMTP account, reused newest first."""

import asyncio
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
        self.closed = False

    async def take(self, *, fresh: bool = False) -> SmtpConnection:
        """A connection ready for MAIL: a proven idle one, or with ``fresh`` or none idle a new one.

        Raises Refusal. Every connection taken is given back with ``give``.
        """
        self._bind()
        await self._places.acquire()
        try:
            while self._idle and not fresh:
                connection = self._idle.pop()
                if await self._is_fit(connection):
                    return connection
                await connection.quit()
            if self._context is None and self._settings.tls is not Tls.NONE:
                self._context = await asyncio.to_thread(_trust, self._settings)
            return await SmtpConnection.open(self._settings, self._context)
        except BaseException:
            self._places.release()
            raise

    async def give(self, connection: SmtpConnection) -> None:
        """Take a connection back: kept if it can be used again, closed if not."""
        self._places.release()
        if connection.is_alive and not self.closed and not self._is_worn(connection):
            connection.idle_since = asyncio.get_running_loop().time()
            self._idle.append(connection)
        elif connection.is_alive:
            await connection.quit()

    async def close(self) -> None:
        """Say goodbye on every idle connection; those in use close when they come back."""
        self.closed = True
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

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
            self._idle = []
            self._places = asyncio.Semaphore(self._settings.pool_size)


def _trust(settings: SmtpSettings) -> ssl.SSLContext:
    """Whom to believe. Reads the system's authorities from disk, so it runs in a thread."""
    context = ssl.create_default_context(cafile=None if settings.ca_file is None else str(settings.ca_file))
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
