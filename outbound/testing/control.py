"""The control line of a provider double: orders in as JSON lines, one answer each, the end when it closes."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

Obey = Callable[[dict[str, Any]], dict[str, Any]]


def announce(**facts: Any) -> None:
    """Print one JSON line on standard output at once."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


async def serve_orders(obey: Obey) -> None:
    """Obey orders from standard input until it closes, which is how a child learns that its parent is gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            announce(**obey(json.loads(line)))
        except (ValueError, KeyError) as problem:
            announce(error=str(problem))


def run(work: Coroutine[None, None, None]) -> None:
    """Run a double's main coroutine, on the faster event loop where it is installed."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - optional
    except ImportError:
        new_event_loop = asyncio.new_event_loop  # type: ignore[assignment]  # wider than uvloop's, and enough
    with contextlib.suppress(KeyboardInterrupt), asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)
