"""Start a server of this package as a real process, learn its port, steer it, stop it."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


class ServerProcess:
    """A ``python -m outbound.testing.X`` child: it prints its port as JSON and dies with its parent.

    Orders go to its standard input as JSON lines; each is answered by one line on its standard output.
    """

    def __init__(self, module: str, arguments: Sequence[str]) -> None:
        command = [sys.executable, "-m", module, "--control", *arguments]
        self._child = subprocess.Popen(  # noqa: S603 - our own module, started with our own arguments
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            self.facts: dict[str, Any] = self._answer()
        except BaseException:
            self.stop()
            raise

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    def order(self, **order: Any) -> dict[str, Any]:
        """Send one order and wait until the server has obeyed it."""
        if self._child.stdin is None:
            raise RuntimeError("the server has no control line")
        self._child.stdin.write(json.dumps(order).encode() + b"\n")
        self._child.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        """End the child and wait for it. Safe to call twice."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None and not pipe.closed:
                pipe.close()

    def _answer(self) -> dict[str, Any]:
        line = self._child.stdout.readline() if self._child.stdout is not None else b""
        if not line:
            raise RuntimeError(f"the test server ended with code {self._child.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer
