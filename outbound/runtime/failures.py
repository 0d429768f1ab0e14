"""Failures of ticks in the log: the first one, then one a minute, and the end of it."""

import contextlib
import time
from collections.abc import Callable, Iterator

import structlog

from outbound.domain.errors import ConfigurationError, OutboundError

log = structlog.get_logger("outbound.daemon")

_AGAIN_SECONDS = 60.0


class Failures:
    """The record is the truth and the next tick reads it again: a failure is logged and the work goes on.

    A database that is away for an hour fails several times a second, and the log says so once a minute.
    ``clock`` counts seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[str, tuple[str, float]] = {}
        self._silent: dict[str, int] = {}

    @contextlib.contextmanager
    def logged(self, stage: str) -> Iterator[None]:
        """Log what the block raises under the name of its stage, and go on behind it."""
        try:
            yield
        except OutboundError as error:
            self._failed(stage, error.code, {"code": error.code, "error": error.message, "remedy": error.remedy})
        except ConfigurationError as error:
            self._failed(stage, error.message, {"error": error.message, "remedy": error.remedy})
        except Exception as error:  # noqa: BLE001 - the daemon outlives any single failure
            name = type(error).__name__  # not its words: they may quote what was being worked on
            self._failed(stage, name, {"error": name})
        else:
            if self._last.pop(stage, None):
                log.info("works again", stage=stage, failures=self._silent.pop(stage))

    def _failed(self, stage: str, kind: str, facts: dict[str, str]) -> None:
        before, at = self._last.get(stage, ("", 0.0))
        self._silent[stage] = self._silent.get(stage, 0) + 1
        if kind != before or self._clock() - at >= _AGAIN_SECONDS:
            self._last[stage] = (kind, self._clock())
            log.error("failed", stage=stage, failures=self._silent[stage], **facts)
