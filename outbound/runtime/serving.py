"""Serving HTTP beside or without the daemon."""

import asyncio
import contextlib
import errno
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence

import uvicorn

from outbound.domain.errors import OutboundError

_OPEN_REQUESTS_SECONDS = 5
_OPEN_REQUESTS = 1000
"""More connections at once than that are answered 503, so that memory is bounded."""

Site = Callable[..., Awaitable[None]]
"""An ASGI application."""


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handling: its owner decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Listener:
    """A port that is ours from now on, and the site that answers on it once ``serve`` runs.

    Listening comes first, so that a port that is in use is an error before anything else has begun. ``port`` 0
    takes a free one. Only ``trusted_proxies`` (addresses, networks) may say for whom they ask. Raises
    OutboundError ``server.port``.
    """

    def __init__(self, site: Site, host: str, port: int, *, trusted_proxies: Sequence[str] = ()) -> None:
        self._socket = _listen(host, port)
        self.host = host
        self.port = int(self._socket.getsockname()[1])
        # Its log goes where ours goes, and no visitor is in it. A request that hangs must not hold up the end.
        config = uvicorn.Config(
            site,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            forwarded_allow_ips=list(trusted_proxies),
            limit_concurrency=_OPEN_REQUESTS,
            timeout_graceful_shutdown=_OPEN_REQUESTS_SECONDS,
        )
        self._server = _QuietServer(config)

    async def serve(self) -> None:
        """Answer until ``stop``, and close the port."""
        try:
            await self._server.serve(sockets=[self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Take no further request; those that are open have five seconds."""
        self._server.should_exit = True

    def close(self) -> None:
        """Give the port back without ever having served."""
        self._socket.close()


async def serve_until_signal(listener: Listener) -> None:
    """Serve until SIGTERM or SIGINT; open requests are finished."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, listener.stop)
    await listener.serve()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            if os.name == "posix":  # elsewhere it would let two programs share a port
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(socket.SOMAXCONN)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        used = error.errno == errno.EADDRINUSE
        trouble = "is in use" if used else f"cannot be listened on: {error.strerror}"
        remedy = "write another port under [server], or start `outbound run --no-http` beside the one that serves"
        raise OutboundError("server.port", f"port {port} of {host} {trouble}", remedy) from None
    return listening
