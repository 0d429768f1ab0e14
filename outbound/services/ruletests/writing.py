"""A rule test as the text of its file, laid out as people write it."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from textwrap import wrap
from typing import Any, Final
from zoneinfo import ZoneInfo

from outbound.engine.timing.walls import resolve_wall

_PLAIN: Final = re.compile(r"(\.\./)*[A-Za-z][A-Za-z0-9_./-]*")
_NOT_TEXT: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
_WIDTH: Final = 118


def instant(at: datetime, zone: ZoneInfo) -> str:
    """``at`` on the clock of ``zone``, to the second; with its offset in an hour that comes twice."""
    local = at.astimezone(zone).replace(microsecond=0)
    wall = local.replace(tzinfo=None, fold=0)
    shown = wall if resolve_wall(wall, zone) == at.replace(microsecond=0) else local
    return shown.isoformat(timespec="seconds" if local.second else "minutes")


def flow(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {flow(one)}".rstrip() for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(one) for one in value) + "]"
    if value is None:
        return ""
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_TEXT:
        return value
    return json.dumps(value, ensure_ascii=False)


def written(head: Mapping[str, Any], sections: Mapping[str, Iterable[str]], notes: Sequence[str]) -> str:
    """The whole file: ``notes`` as comments, ``head`` a line each, then the sections with their lines."""
    lines = [f"# {line}" for note in notes for line in wrap(note, _WIDTH, subsequent_indent="  ")]
    lines += [f"{key}: {flow(value)}" for key, value in head.items()]
    for name, some in sections.items():
        if inner := list(some):
            lines += [f"{name}:", *(f"  {line}" for line in inner)]
    return "\n".join(lines) + "\n"
