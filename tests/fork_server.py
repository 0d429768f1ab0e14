"""Starts commands as processes of their own in the time of a fork, not of an import.

As a program it imports everything once and then obeys one JSON order per line: fork a child that runs a command
line, or tell how a child is. It has one thread, so that its children are as good as new, and they end with it.
``fork`` is for tests; what a start from nothing does is tested with real starts.
"""

import atexit
import functools
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PRELOADED = (
    "outbound.app",
    "outbound.channels.email.smtp",
    "outbound.channels.mailbox",
    "outbound.channels.sms.twilio",
    "outbound.interfaces.http.application",
    "outbound.interfaces.logs",
    "outbound.runtime.daemon",
    "outbound.runtime.virtual",
    "outbound.services.planning",
    "outbound.storage.schema",
)


class Forked:
    """A child of the server, steered as a ``subprocess.Popen`` is."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._status: int | None = None

    def poll(self) -> int | None:
        """Its exit status (negative: the signal that killed it), or None while it runs."""
        if self._status is None:
            self._status = _ask(poll=self.pid)
        return self._status

    def wait(self, timeout: float = 60) -> int:
        """Its exit status, once it has ended."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("outbound", timeout)
            time.sleep(0.01)
        return status

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fork(words: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> Forked:
    """Run ``outbound`` with these words, its standard error in ``log``."""
    return Forked(_ask(words=list(words), log=str(log), environ=dict(environ)))


@functools.cache
def _server() -> "subprocess.Popen[bytes]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OUTBOUND_")}
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=clean)
    atexit.register(server.communicate)
    return server


def _ask(**order: Any) -> Any:
    server = _server()
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps(order).encode() + b"\n")
    server.stdin.flush()
    return json.loads(server.stdout.readline())


def _start(order: Mapping[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    nothing = os.open(os.devnull, os.O_RDWR)
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (nothing, 1), (log, 2)):
        os.dup2(source, target)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - the one of the server has read ahead
    os.environ.update(order["environ"])
    status = 70
    try:
        status = _command(order["words"])
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _command(words: Sequence[str]) -> int:
    from outbound.interfaces import cli
    from outbound.services.dispatch import points

    if point := os.environ.get(points.VARIABLE):
        points.arm(point)
    sys.argv = ["outbound", *words]
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 70


def _main() -> None:
    from outbound.interfaces import cli

    cli.build()
    for name in _PRELOADED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    ended: dict[int, int] = {}
    started: set[int] = set()
    for line in sys.stdin:
        order = json.loads(line)
        if "poll" in order:
            pid = order["poll"]
            found, status = os.waitpid(pid, os.WNOHANG) if pid not in ended else (0, 0)
            if found:
                ended[pid] = os.waitstatus_to_exitcode(status)
            answer = ended.get(pid)
        else:
            started.add(answer := _start(order))
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    for pid in started - ended.keys():
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _main()
