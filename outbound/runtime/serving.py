"""Serving HTTP beside or without the daemon."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import uvicorn
from fastapi import FastAPI


class _QuietServer(uvicorn.Server):
    """uvicorn without its own signal handling: its owner decides when it ends."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def make_server(site: FastAPI, host: str, port: int) -> uvicorn.Server:
    """A server that leaves signals to its owner and logs no visitor."""
    config = uvicorn.Config(site, host=host, port=port, access_log=False, log_level="warning", lifespan="off")
    return _QuietServer(config)


async def serve_until_signal(site: FastAPI, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; open requests are finished."""
    server = make_server(site, host, port)

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    await server.serve()
