"""What two sets of files say differently: rules, segments, policy and schema by their parts, templates by their files.

Layout, comments and the order of keys and documents are no differences, as in a rule's version.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any, Final

from outbound.domain.release import Files
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import MapNode, ScalarNode
from outbound.engine.rulefiles.version import canonical
from outbound.engine.rulefiles.yaml_source import read_documents

_RULES: Final = "rules/"
_TEMPLATES: Final = "templates/"
_NAMED: Final = {"rules/policy.yaml": "policy", "rules/schema.yaml": "schema"}
_LISTS_OF_CONDITIONS: Final = frozenset({"who", "if", "goal"})


class Change(StrEnum):
    """What happened to a thing between two sets."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class Kind(StrEnum):
    """What the thing is."""

    RULE = "rule"
    SEGMENT = "segment"
    POLICY = "policy"
    SCHEMA = "schema"
    TEMPLATE = "template"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One place of a document, ``who[1]`` or ``when.at``: the texts before and after, None where there was none."""

    path: str
    before: str | None
    after: str | None

    @property
    def change(self) -> Change:
        """Whether it came, went or became another."""
        if self.before is None:
            return Change.ADDED
        return Change.REMOVED if self.after is None else Change.CHANGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A rule, segment or template that differs, with its parts; a thing that came or went has none."""

    kind: Kind
    name: str
    change: Change
    parts: tuple[Part, ...] = ()


def differences(before: Files, after: Files) -> tuple[Difference, ...]:
    """Everything that differs: rules first, then what they rest on. Documents that cannot be read are passed over."""
    touched = {path for path in (*before, *after) if before.get(path) != after.get(path)}
    old, new = _documents(before, touched), _documents(after, touched)
    found = []
    for key in sorted({*old, *new}, key=lambda key: (list(Kind).index(key[0]), key[1])):
        parts = tuple(_parts(old.get(key), new.get(key), ""))
        if key not in old or key not in new:
            found.append(Difference(kind=key[0], name=key[1], change=_change(key in old)))
        elif parts:
            found.append(Difference(kind=key[0], name=key[1], change=Change.CHANGED, parts=parts))
    return (*found, *_templates(before, after, touched))


def _change(was_there: bool) -> Change:
    return Change.REMOVED if was_there else Change.ADDED


def _documents(files: Files, touched: set[str]) -> dict[tuple[Kind, str], Any]:
    """The documents of the touched files of a set, by what they are."""
    found: dict[tuple[Kind, str], Any] = {}
    for path in sorted(touched & set(files)):
        if not (path.startswith(_RULES) and path.endswith(".yaml")):
            continue
        for document in read_documents(path, files[path], Findings()):
            if not isinstance(document, MapNode):
                continue
            if path in _NAMED:
                found[Kind(_NAMED[path]), ""] = canonical(document)
                continue
            for kind in (Kind.RULE, Kind.SEGMENT):
                name = document.get(kind.value)
                if isinstance(name, ScalarNode):
                    found[kind, name.text] = canonical(document)
    return found


def _parts(before: Any, after: Any, path: str) -> Iterator[Part]:
    """The places where two values differ, as deep as both have the same shape."""
    if before == after:
        return
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in dict.fromkeys((*before, *after)):
            one, other = before.get(key), after.get(key)
            if key in _LISTS_OF_CONDITIONS and one is not None and other is not None:
                one, other = _listed(one), _listed(other)
            yield from _parts(one, other, f"{path}.{key}" if path else key)
    elif isinstance(before, list) and isinstance(after, list):
        yield from _items(before, after, path)
    elif before is not None or after is not None:
        yield Part(path=path, before=_text(before), after=_text(after))


def _items(before: list[Any], after: list[Any], path: str) -> Iterator[Part]:
    """Items keep their neighbours: one that is put in between does not make all behind it differ."""
    old, new = ([json.dumps(item, sort_keys=True) for item in items] for items in (before, after))
    for what, i, i_end, j, j_end in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if what == "equal":
            continue
        shared = min(i_end - i, j_end - j)
        for n in range(shared):
            yield from _parts(before[i + n], after[j + n], f"{path}[{j + n}]")
        for n in range(i + shared, i_end):
            yield Part(path=f"{path}[{n}]", before=_text(before[n]), after=None)
        for n in range(j + shared, j_end):
            yield Part(path=f"{path}[{n}]", before=None, after=_text(after[n]))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _templates(before: Files, after: Files, touched: set[str]) -> Iterator[Difference]:
    """Template folders by the names of their files that differ; ``brand`` is a folder like the others."""
    folders: dict[str, list[str]] = {}
    for path in sorted(touched):
        if path.startswith(_TEMPLATES):
            name, _, file = path.removeprefix(_TEMPLATES).partition("/")
            folders.setdefault(name, []).append(file)
    for name, names in folders.items():
        had, has = (any(path.startswith(f"{_TEMPLATES}{name}/") for path in files) for files in (before, after))
        if not (had and has):
            yield Difference(kind=Kind.TEMPLATE, name=name, change=_change(had))
            continue
        paths = [(file, f"{_TEMPLATES}{name}/{file}") for file in names]
        parts = tuple(Part(path=file, before=_named(before, path), after=_named(after, path)) for file, path in paths)
        yield Difference(kind=Kind.TEMPLATE, name=name, change=Change.CHANGED, parts=parts)


def _named(files: Files, path: str) -> str | None:
    return "" if path in files else None
