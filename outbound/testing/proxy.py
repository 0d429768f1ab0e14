"""A TCP proxy on loopback that can stall, drop, half-close, slow down and lose answers (PX of the fault catalogue).

It stands before an SMTP, HTTP or PostgreSQL server and knows none of them: it carries bytes. As a program:
``python -m outbound.testing.proxy --target 127.0.0.1:2525`` prints ``{"port": N}`` on its first line. In tests:
``with TcpProxy("127.0.0.1:2525") as proxy: ...``.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from outbound.testing.control import announce, run, serve_orders
from outbound.testing.smtp_protocol import reset
from outbound.testing.spawn import ServerProcess

_READ = 65_536
_SLICES_A_SECOND = 20
_PATTERN_MAX = 1000


class TcpProxy:
    """The proxy as a child process. Use as a context manager.

    ``target`` is ``HOST:PORT`` or the path of a UNIX socket after ``unix:``. A fault with ``seconds`` ends by
    itself, so that whoever sent the order may be waiting behind the proxy; with 0 it lasts until ``heal``.
    """

    def __init__(self, target: str, *, port: int = 0) -> None:
        self._arguments = ["--target", target, "--port", str(port)]
        self._process: ServerProcess | None = None
        self.port = port

    def __enter__(self) -> Self:
        self._process = ServerProcess("outbound.testing.proxy", self._arguments)
        self.port = int(self._process.facts["port"])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._process is not None:
            self._process.stop()

    def stall(self, seconds: float = 0) -> None:
        """Let no byte through in either direction; connections stay open and new ones are taken."""
        self._order(fault="stall", seconds=seconds)

    def refuse(self, seconds: float = 0) -> None:
        """Reset every new connection; those that are open go on."""
        self._order(fault="refuse", seconds=seconds)

    def limit(self, bytes_a_second: int, seconds: float = 0) -> None:
        """Carry no more than this in each direction of each connection."""
        self._order(fault="limit", rate=bytes_a_second, seconds=seconds)

    def lose_answer(self, after: bytes, *, times: int = 1) -> None:
        """Carry what the client sends up to and with ``after``, then lose the answer and reset the connection.

        The server has done its work and the client cannot know it (faults F24, F29, F39).
        """
        self._order(lose=after.decode("latin-1"), times=times)

    def drop(self) -> None:
        """Reset every open connection now."""
        self._order(drop=True)

    def half_close(self, side: Literal["client", "server"]) -> None:
        """Say on every open connection that no more is to come, to ``side`` only. The other direction stays open."""
        self._order(half_close=side)

    def heal(self) -> None:
        """End every fault."""
        self._order(heal=True)

    def connections(self) -> int:
        """How many connections are open now."""
        return int(self._order()["open"])

    def _order(self, **order: Any) -> dict[str, Any]:
        if self._process is None:
            raise RuntimeError("the proxy is not running: use it as a context manager")
        return self._process.order(**order)


@dataclass(slots=True)
class _Losing:
    """Which bytes of a client end its connection without an answer, and how often still."""

    pattern: bytes
    left: int


@dataclass(slots=True)
class _Faults:
    """What is wrong now."""

    flow: asyncio.Event = field(default_factory=asyncio.Event)
    refusing: bool = False
    rate: int = 0
    losing: list[_Losing] = field(default_factory=list)

    def heal(self) -> None:
        self.flow.set()
        self.refusing, self.rate, self.losing = False, 0, []


class _Link:
    """One connection through the proxy: two directions that carry bytes until both have ended."""

    def __init__(self, faults: _Faults, client: "_End", server: "_End") -> None:
        self._faults = faults
        self.client, self.server = client, server
        self._mute = False
        self._tail = b""

    async def carry(self) -> None:
        """Carry until both ends have said their last, or one broke."""
        up = asyncio.create_task(self._pump(self.client, self.server, self._upward))
        down = asyncio.create_task(self._pump(self.server, self.client, self._downward))
        try:
            done, _ = await asyncio.wait({up, down}, return_when=asyncio.FIRST_EXCEPTION)
            if any(task.exception() for task in done):
                self.reset()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            self.client.close()
            self.server.close()

    def reset(self) -> None:
        """Break both halves."""
        self.client.reset()
        self.server.reset()

    async def _pump(self, source: "_End", target: "_End", pass_on: Callable[[bytes], bool]) -> None:
        while True:
            rate = self._faults.rate
            data = await source.reader.read(max(1, rate // _SLICES_A_SECOND) if rate else _READ)
            await self._faults.flow.wait()
            if not data:
                target.finish()
                return
            if rate := self._faults.rate:
                await asyncio.sleep(len(data) / rate)
            if pass_on(data):
                target.writer.write(data)
                await target.writer.drain()

    def _upward(self, data: bytes) -> bool:
        seen = self._tail + data
        for losing in self._faults.losing:
            if losing.left and not self._mute and losing.pattern in seen:
                losing.left -= 1
                self._mute = True
        self._tail = seen[-_PATTERN_MAX:]
        return True

    def _downward(self, _data: bytes) -> bool:
        if self._mute:  # the server has answered what nobody will hear
            self.reset()
        return not self._mute


class _End:
    """One side of a link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def finish(self) -> None:
        """Say that no more is to come."""
        with contextlib.suppress(OSError, RuntimeError):
            if not self.writer.transport.is_closing():
                self.writer.write_eof()

    def close(self) -> None:
        """Close in order."""
        self.writer.close()

    def reset(self) -> None:
        """Close with a reset: what was under way is lost."""
        reset(self.writer.transport)


class Proxy:
    """The proxy itself, in the child."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._faults = _Faults()
        self._faults.heal()
        self._links: set[_Link] = set()
        self._ending: dict[str, asyncio.TimerHandle] = {}

    async def serve_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Connect one client to the target."""
        client = _End(reader, writer)
        if self._faults.refusing:
            client.reset()
            return
        try:
            await self._faults.flow.wait()
            server = _End(*await self._connect())
        except OSError:
            client.reset()
            return
        link = _Link(self._faults, client, server)
        self._links.add(link)
        try:
            await link.carry()
        finally:
            self._links.discard(link)

    def obey(self, order: dict[str, Any]) -> dict[str, Any]:
        """One order of the control line."""
        match order:
            case {"fault": str(name), "seconds": seconds}:
                self._begin(name, int(order.get("rate", 0)))
                if name in self._ending:
                    self._ending.pop(name).cancel()
                if seconds:
                    self._ending[name] = asyncio.get_running_loop().call_later(seconds, self._end, name)
            case {"lose": str(pattern), "times": int(times)}:
                self._faults.losing.append(_Losing(pattern.encode("latin-1"), times))
            case {"half_close": side}:
                for link in self._links:
                    (link.client if side == "client" else link.server).finish()
            case {"drop": _}:
                for link in self._links:
                    link.reset()
            case {"heal": _}:
                self._faults.heal()
            case _:
                pass
        return {"open": len(self._links)}

    def _begin(self, name: str, rate: int) -> None:
        if name == "stall":
            self._faults.flow.clear()
        elif name == "refuse":
            self._faults.refusing = True
        else:
            self._faults.rate = rate

    def _end(self, name: str) -> None:
        if name == "stall":
            self._faults.flow.set()
        elif name == "refuse":
            self._faults.refusing = False
        else:
            self._faults.rate = 0

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.startswith("unix:"):
            return await asyncio.open_unix_connection(self._target.removeprefix("unix:"))
        host, _, port = self._target.rpartition(":")
        return await asyncio.open_connection(host, int(port))


async def serve(options: argparse.Namespace) -> None:
    """Serve until cancelled or, with ``--control``, until standard input closes."""
    proxy = Proxy(options.target)
    server = await asyncio.start_server(proxy.serve_client, options.host, options.port, backlog=512)
    announce(port=server.sockets[0].getsockname()[1])
    if options.control:
        await serve_orders(proxy.obey)
        server.close()
    else:
        await server.serve_forever()


def options_from(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m outbound.testing.proxy", description=__doc__)
    parser.add_argument("--target", required=True, help="HOST:PORT, or unix:PATH")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--control", action="store_true", help="obey JSON lines on standard input, end with it")
    return parser.parse_args(arguments)


def main() -> None:
    """Run the proxy."""
    run(serve(options_from(sys.argv[1:])))


if __name__ == "__main__":
    main()
