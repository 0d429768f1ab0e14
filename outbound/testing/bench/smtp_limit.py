"""The limit of the e-mail bench: the same bytes through ten sessions, by ``smtp-source`` where it is installed."""

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from outbound.testing.smtp_server import SmtpServer

SESSIONS = 10
_ELSEWHERE = "/usr/sbin:/usr/local/sbin"
_START_SECONDS = 10.0


def installed(name: str) -> str | None:
    """The path of one of Postfix's test programs."""
    return shutil.which(name) or shutil.which(name, path=_ELSEWHERE)


@contextmanager
def sink() -> Iterator[tuple[int, str]]:
    """A server that accepts everything: its port and its name."""
    program = installed("smtp-sink")
    if program is None:
        with (
            tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder,
            SmtpServer(Path(folder), keep=False) as own,
        ):
            yield own.port, "the package's own sink"
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    user = ["-u", "nobody"]
    child = subprocess.Popen([program, *user, f"127.0.0.1:{port}", "1000"])  # noqa: S603 - Postfix's own test program
    try:
        _wait_for(port)
        yield port, "smtp-sink"
    finally:
        child.kill()
        child.wait()


def source_rate(port: int, payload: bytes, count: int) -> tuple[float, str]:
    """Messages per second of the fastest sender at hand, and its name."""
    program = installed("smtp-source")
    if program is None:
        return asyncio.run(_own_source(port, payload, count)), "the package's own bare client"
    with tempfile.NamedTemporaryFile(prefix="outbound-bench-") as file:
        # it doubles dots and ends lines itself
        file.write(payload.replace(b"\r\n", b"\n"))
        file.flush()
        shape = ["-s", str(SESSIONS), "-m", str(count), "-d", "-F", file.name]
        people = ["-f", "news@shop.example", "-t", "c@example.com"]
        command = [program, *shape, *people, f"127.0.0.1:{port}"]
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - likewise
        return count / (time.perf_counter() - start), "smtp-source, 10 sessions"


async def _own_source(port: int, payload: bytes, count: int) -> float:
    left = iter(range(count))
    body = payload + b".\r\n"

    async def session() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def ask(line: bytes) -> None:
            writer.write(line)
            while (await reader.readline())[3:4] == b"-":
                pass

        await reader.readline()
        await ask(b"EHLO bench\r\n")
        for _ in left:
            for line in (b"MAIL FROM:<news@shop.example>\r\n", b"RCPT TO:<c@example.com>\r\n", b"DATA\r\n", body):
                await ask(line)
        writer.close()

    start = time.perf_counter()
    await asyncio.gather(*(session() for _ in range(SESSIONS)))
    return count / (time.perf_counter() - start)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
