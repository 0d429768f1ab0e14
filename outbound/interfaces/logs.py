"""Logs: one JSON line each on standard error; never an address, a body or a secret."""

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import structlog

_ADDRESS = re.compile(r"[^\s<>'\"(),;=]+@[^\s<>'\"(),;=]+|\+?\d[\d\s().-]{7,}\d")
_LONGEST = 300


def log_to_stderr() -> None:
    """Send the program's log and the libraries' warnings to standard error as JSON lines."""
    stream: Any = _Lasting(sys.stderr)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.EventRenamer("event"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(stream),
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a tick that outlasts the next one is no event
    logging.getLogger("pgqueuer").setLevel(logging.CRITICAL)  # we say ourselves that a line of hints is broken
    logging.basicConfig(level=logging.WARNING, handlers=[handler])


class JsonLines(logging.Formatter):
    """A library's warning as a JSON line: its first line, shortened, with whatever looks like an address masked.

    Of an exception only the type is said: its words may quote a customer.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        first = (record.getMessage().strip().splitlines() or [""])[0]
        entry = {
            "logger": record.name,
            "level": record.levelname.lower(),
            "event": _ADDRESS.sub("...", first)[:_LONGEST],
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat().replace("+00:00", "Z"),
        }
        if record.exc_info and record.exc_info[0]:
            entry["error"] = record.exc_info[0].__name__
        return json.dumps(entry, ensure_ascii=False)


class _Lasting:
    """A stream whose reader may go away: the daemon must not end because nobody reads its log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except (OSError, ValueError):
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            return
