"""The port through which a worker learns that a lane may have due messages.

In one process a hint is a call (``outbound.runtime.hints``); across processes it is a row of a queue
(``outbound.runtime.fleet``), written in the transaction of the messages. Hints carry no ids: a lost or repeated
one is harmless, because the worker claims what is due and every tick hints again.
"""

from typing import Protocol

from outbound.domain.message import Lane


class Hints(Protocol):
    """Says that there may be work, and waits for being told so."""

    def hint(self, lane: Lane) -> None:
        """Say that ``lane`` may have due messages."""
        ...

    def hint_all(self) -> None:
        """Say so for every lane."""
        ...

    async def wait(self, lane: Lane) -> None:
        """Wait for the next hint for ``lane``, and take it."""
        ...
