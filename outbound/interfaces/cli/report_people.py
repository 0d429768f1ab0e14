"""``outbound report RUN --people``: one line per customer."""

import json
import sys
from itertools import islice
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from outbound.services.run_people import Listed
    from outbound.storage.database import Database

_LINES = 50
"""Lines on a terminal unless ``--all``."""

_BATCH = 500
"""So many lines are aligned together: a run of a million never stands in memory."""

_HEADERS = ("customer", "state", "channel", "reason", "until (local)", "until (UTC)")


def print_people(database: "Database", run_id: str, *, reason: str, state: str, everybody: bool, as_json: bool) -> None:
    """Print the customers of a run. Raises what ``services.run_people.wanted`` raises."""
    from outbound.interfaces.cli.output import counted
    from outbound.services import run_people

    asked = run_people.wanted(reason, state)
    listed = run_people.people(database, run_id, asked)
    if as_json:
        _print_json(run_id, listed)
        return
    limited = _on_terminal() and not everybody
    shown = _print_lines(islice(listed, _LINES) if limited else listed)
    if not shown:
        print("nobody")
    elif shown == _LINES and limited and (more := run_people.count(database, run_id, asked) - shown) > 0:
        print(f"... and {counted(more, 'more line')}: --all shows them, or pipe the output")


def _on_terminal() -> bool:
    return sys.stdout.isatty()


def _print_lines(listed: "Iterable[Listed]") -> int:
    """Aligned as far as a batch goes; the widths only grow, so that the columns stay where they are."""
    widths, shown, lines = [len(name) for name in _HEADERS], 0, iter(listed)
    while batch := [_cells(one) for one in islice(lines, _BATCH)]:
        rows = [*([_HEADERS] if not shown else []), *batch]
        widths = [max(width, *(len(row[n]) for row in rows)) for n, width in enumerate(widths)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        shown += len(batch)
    return shown


def _cells(one: "Listed") -> tuple[str, ...]:
    state = f"{one.state} at planning" if one.at_planning and one.state == "skipped" else one.state
    local = f"{one.local:%Y-%m-%d %H:%M %Z}" if one.local else "-" if one.until else ""
    until = f"{one.until:%Y-%m-%d %H:%M}" if one.until else ""
    return (one.customer, state, one.channel, one.reason, local, until)


def _print_json(run_id: str, listed: "Iterable[Listed]") -> None:
    """One document, written as it is read."""
    from outbound.interfaces.cli.output import plain

    print(f'{{"run": {json.dumps(run_id)}, "people": [', end="")
    for n, one in enumerate(listed):
        print(",\n  " if n else "\n  ", json.dumps(plain(one), ensure_ascii=False), sep="", end="")
    print("\n]}")
