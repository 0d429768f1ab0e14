"""The events of a YAML text: by libyaml where both parsers tell them alike, by ruamel.yaml for everything else.

libyaml is thirty times faster. Its events differ from those of ruamel.yaml, which is the one that knows YAML 1.2 and
says what is wrong, in few places: tabs, ends of documents, anchors, tags, block texts, and where a value that is not
there stands. A text with any of these, or with a fault, is read by ruamel.yaml.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import yaml

_FAST: Final = getattr(yaml, "CSafeLoader", None)
"""Absent where PyYAML was built without libyaml."""
_UNALIKE: Final = re.compile(r"\t|^\.\.\.", re.MULTILINE)


class YamlFault(Exception):  # noqa: N818 -- always caught and turned into a Problem
    """What is wrong with a text, in the words of the parser, at a line and column counted from 0."""

    def __init__(self, problem: str, line: int, column: int) -> None:
        super().__init__(problem)
        self.problem, self.line, self.column = problem, line, column


def events(text: str) -> Iterator[Any]:
    """The events with their marks; the class of each is known by its name alone. Raises YamlFault on the way."""
    fast = by_libyaml(text)
    return by_ruamel(text) if fast is None else iter(fast)


def by_libyaml(text: str) -> list[Any] | None:
    """All events; None where ruamel.yaml must be asked."""
    if _FAST is None or _UNALIKE.search(text):
        return None
    try:
        found = list(yaml.parse(text, Loader=_FAST))
    except yaml.YAMLError:
        return None
    return None if _any_unalike(found) else found


def _any_unalike(found: Iterable[Any]) -> bool:
    for event in found:
        if isinstance(event, yaml.NodeEvent) and (event.anchor is not None or getattr(event, "tag", None) is not None):
            return True
        if isinstance(event, yaml.ScalarEvent) and (
            event.style in ("|", ">") or event.start_mark.index == event.end_mark.index
        ):
            return True
    return False


def by_ruamel(text: str) -> Iterator[Any]:
    """All events as they are read. Raises YamlFault at the first fault."""
    from ruamel.yaml import YAML  # noqa: PLC0415 - loaded where it is needed: most files do without
    from ruamel.yaml.error import MarkedYAMLError  # noqa: PLC0415 - as above

    try:
        yield from YAML(typ="safe", pure=True).parse(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        problem = str(error.problem or error.context or "unreadable").strip()
        raise YamlFault(problem, mark.line if mark else 0, mark.column if mark else 0) from None
