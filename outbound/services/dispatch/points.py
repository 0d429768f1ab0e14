"""Named points of one send at which a test kills the process (fault F01).

Nothing happens here unless OUTBOUND_KILL_AT was set when the process started; `outbound.testing.kill_points`
lists the names and starts such processes.
"""

import os
import signal
from collections.abc import Callable

VARIABLE = "OUTBOUND_KILL_AT"
"""``NAME`` kills at the first passing of the point, ``NAME:7`` at the seventh."""

NAMES = (
    "claim.open",  # claimed, not committed
    "claim.done",  # claim committed
    "gate.open",  # decided, attempt written, not committed
    "gate.done",  # attempt ``started`` committed
    "render.done",  # bytes exist
    "handoff.open",  # handover marked, not committed
    "handoff.done",  # handover committed, body not written
    "reply.done",  # the provider has answered, nothing written
    "record.open",  # result written, not committed
    "record.done",  # result committed
)


def _hook(setting: str) -> Callable[[str], None]:
    name, _, count = setting.partition(":")
    left = int(count or 1)

    def kill(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return kill


def _pass(_point: str) -> None:
    return None


hit: Callable[[str], None] = _hook(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else _pass
"""Called by the stages as they pass a point."""
