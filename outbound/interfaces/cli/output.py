"""How commands speak: JSON with ``--json``, else plain text; numbers grouped; errors on standard error."""

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """``value`` as JSON types: frozen values become objects, instants ISO 8601, enums their word."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return value


def print_json(value: Any) -> None:
    """Print ``value`` as one JSON document."""
    print(json.dumps(plain(value), ensure_ascii=False, indent=2))


def print_rows(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a plain aligned table; numbers to the right."""
    texts = [[_cell(c) for c in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in texts) and bool(texts) for i in range(len(headers))]
    widths = [max(len(h), *(len(row[i]) for row in texts)) if texts else len(h) for i, h in enumerate(headers)]
    for row in (list(headers), *texts):
        cells = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True))
        print("  ".join(cells).rstrip())


def print_error(message: str) -> None:
    """Print to standard error."""
    print(message, file=sys.stderr)


def alarm(text: str) -> str:
    """``text`` in red where a person reads it: on a terminal, unless NO_COLOR is set."""
    if not sys.stdout.isatty() or "NO_COLOR" in os.environ:
        return text
    return f"\033[31m{text}\033[0m"


def counted(number: int, noun: str) -> str:
    """``1 row``, ``2 rows``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def give_up_output() -> None:
    """Let the rest of standard output go nowhere: its reader has gone, and Python must not complain on exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").isdigit()
