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

INBOX = (
    "inbox.open",  # written, not committed
    "inbox.done",  # committed, not answered
    "inbox.worked",  # worked on, not committed
)
"""Points between the receipt of a webhook and its effect (fault F63)."""


def _pass(_point: str) -> None:
    return None


_act: Callable[[str], None] = _pass


def hit(point: str) -> None:
    """Called by the stages as they pass ``point``."""
    _act(point)


def arm(setting: str) -> None:
    """From now on, kill this process as ``setting`` says (see ``VARIABLE``)."""
    global _act  # noqa: PLW0603 - one switch for the process, off in every real one
    name, _, count = setting.partition(":")
    left = int(count or 1)

    def kill(point: str) -> None:
        nonlocal left
        if point == name:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    _act = kill


if os.environ.get(VARIABLE):
    arm(os.environ[VARIABLE])
