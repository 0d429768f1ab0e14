"""Start a program that kills itself with SIGKILL at a named point of one send (fault F01)."""

import os
import subprocess
from collections.abc import Sequence

from outbound.services.dispatch import points

NAMES = points.NAMES
"""Every point, in the order a message passes them. Nothing was handed over before ``handoff.done``."""

PROVABLY_UNSENT = frozenset(NAMES[: NAMES.index("handoff.done")])
"""Killed here, a message is sent once after a restart."""

MAYBE_SENT = frozenset({"handoff.done", "reply.done", "record.open"})
"""Killed here, a message is ``uncertain`` after a restart and is not sent again."""


def environment(point: str, *, count: int = 1) -> dict[str, str]:
    """The environment of a process that dies at the ``count``-th passing of ``point``."""
    if point not in (*NAMES, *points.INBOX):
        raise ValueError(f"there is no kill point {point!r}")
    return {**os.environ, points.VARIABLE: f"{point}:{count}"}


def run_until_killed(command: Sequence[str], point: str, *, count: int = 1, timeout: float = 60) -> int:
    """Run ``command`` with the point armed; its return code (-9 when the point was reached)."""
    done = subprocess.run(  # noqa: S603 - the test's own program
        command, env=environment(point, count=count), timeout=timeout, check=False
    )
    return done.returncode
