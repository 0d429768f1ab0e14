"""CSV that a spreadsheet can open without running what somebody wrote into a field (fault F78, ASVS 5.0 1.2.10)."""

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a program read a cell as a formula, alone or as its full-width form, and what hides one behind it."""


def cell(value: Any) -> str:
    """One value as text that is never a formula: ``'`` goes before what could be one."""
    if value is None:
        return ""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}") if "\0" in text and not text.startswith("\0") else text
    return "'" + text.replace("\0", "") if text.lstrip(" ").startswith(_FORMULA) else text


def table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows as RFC 4180 writes them: CRLF, quotes where needed, a header."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([cell(row.get(name)) for name in columns] for row in rows)
    return out.getvalue()
