"""What a template is given: plain JSON values, flat, bounded, without control characters."""

import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

MAX_TEXT: Final = 4_096
"""Characters of one text. A message quotes a name or a product, not a document."""
MAX_VALUES: Final = 1_000
"""Values of one context, counting every item of a list."""

_LARGEST: Final = 1e15

_CONTROL: Final = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f\\x85\\u2028\\u2029]")


class Unfit(Exception):  # noqa: N818 -- control flow: becomes a RenderStop
    """A value that no template may get."""


def plain(value: Any, name: str) -> Any:
    """``value`` as JSON holds it, dates as ISO text. Raises Unfit, naming the value but never quoting it."""
    counter = [0]
    return _plain(value, name, counter, 0)


def flat(context: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """``{"customer": {"first_name": "Giulia"}}`` as ``{"customer__first_name": "Giulia"}``.

    What is None or blank is left out: to a template it is missing. Raises Unfit.
    """
    counter = [0]
    found: dict[str, Any] = {}
    for root, names in context.items():
        for name, value in names.items():
            if type(value) is str:  # the usual case, kept short: this runs for every message
                if not value or value.isspace():
                    continue
                if len(value) > MAX_TEXT or not value.isprintable():
                    _text(value, f"{root}.{name}")
                counter[0] += 1
            elif value is None:
                continue
            else:
                value = _plain(value, f"{root}.{name}", counter, 0)  # noqa: PLW2901 -- the same value, checked
            found[f"{root}__{name}"] = value
    if counter[0] > MAX_VALUES:
        raise Unfit(f"more than {MAX_VALUES} values")
    return found


def _plain(value: Any, name: str, counter: list[int], depth: int) -> Any:
    counter[0] += 1
    if counter[0] > MAX_VALUES or depth > 3:  # noqa: PLR2004 -- a list of items with fields, and one list more
        raise Unfit(f"{name} holds too many values")
    if isinstance(value, str):
        return _text(value, name)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        if not -_LARGEST <= value <= _LARGEST:  # also refuses NaN
            raise Unfit(f"{name} is not a number of ordinary size")
        return value
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {
            str(key): _plain(item, f"{name}.{key}", counter, depth + 1)
            for key, item in value.items()
            if not _blank(item)
        }
    if isinstance(value, list | tuple):
        return [_plain(item, name, counter, depth + 1) for item in value if not _blank(item)]
    raise Unfit(f"{name} is not plain text or a number")


def _blank(value: Any) -> bool:
    """What has nothing to show is missing to a template: it never leaves a gap in a sentence."""
    return value is None or (isinstance(value, str) and not value.strip())


def _text(value: str, name: str) -> str:
    if len(value) > MAX_TEXT:
        raise Unfit(f"{name} is longer than {MAX_TEXT} characters")
    if _CONTROL.search(value):
        raise Unfit(f"{name} holds a control character")
    return str(value)
