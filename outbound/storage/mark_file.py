"""The mark outside of the database: how far this workspace has seen each installation's database get.

A small JSON file in the workspace, ``{"INSTALLATION": {"mark": 71, "at": "..."}}``. It is replaced as a whole, and
only ever says less than the database did, never more.
"""

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

NAME = ".outbound-mark.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """How many marks a database had made, and when the last one was."""

    number: int
    at: datetime


def read(path: Path) -> dict[str, Mark]:
    """The marks by installation; none where there is no file, or none that can be understood."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(name): Mark(number=int(one["mark"]), at=datetime.fromisoformat(one["at"])) for name, one in told.items()
        }
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def write(path: Path, installation: str, mark: Mark) -> None:
    """Keep a mark, unless a higher one stands there. Raises OSError."""
    marks = read(path)
    known = marks.get(installation)
    if known is not None and known.number >= mark.number:
        return
    marks[installation] = mark
    told = {name: {"mark": one.number, "at": one.at.isoformat()} for name, one in marks.items()}
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    beside.replace(path)
