"""The dialect of rule files: strict YAML 1.2, one language for people and for every tool that reads the file.

Refused: duplicate keys, merge keys, anchors, aliases, tags, directives, keys that are not texts, a key named ``on``
(YAML 1.1 reads it as true), control and invisible characters. Limits stop a file that is built to cost time
(faults K4, F80) before it costs any: the parser is read event by event, and nothing is ever expanded.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from outbound.domain.source import Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import DOCUMENT, ListNode, MapNode, Node, ScalarNode
from outbound.engine.rulefiles.yaml_events import YamlFault, events

MAX_FILE_BYTES: Final = 1024 * 1024
MAX_DOCUMENT_CHARACTERS: Final = 64 * 1024
"""A rule has some hundred characters, a large schema some thousand; the parser's worst of this size is harmless."""
MAX_DEPTH: Final = 12
MAX_NODES: Final = 2000
MAX_DOCUMENTS: Final = 2000
_MAX_SEPARATORS: Final = 3000
"""Most of the parser's time goes by values; so many separators are too many of them, known without parsing."""
_MAX_BRACKETS: Final = 60
"""The parser looks far ahead of an open bracket, so a pile of them is counted before it sees any."""

_ODD = re.compile(
    "[^\\t\\n\\r\\x20-\\x7e\\xa0-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]|[\\u200b\\u2060\\u2028-\\u202e\\u2066-\\u2069\\ufeff]"
)
"""What is not printable, what some tools take for a line end, and what turns the reading direction."""

_MARKER = re.compile(r"^---(?=\s|$)", re.MULTILINE)
"""A document starts here and nowhere else: YAML forbids these characters at a line's start inside any text."""

_HINTS: Final = (
    ("'\\t' that cannot", "indent with blanks, not with tabs"),
    ("mapping values are not allowed", 'a text that contains ": " must stand in quotes'),
    ("cannot start any token", "quote a text that starts with a special character"),
    ("could not find expected ':'", 'every line of a mapping is "key: value"'),
    ("expected <block end>", "keys of one mapping start in the same column; or a quote above is left open"),
    ("expected ',' or", "close the bracket, or write one item per line"),
    ("found unexpected end of stream", "close the quote"),
    ("expected '<document start>'", "separate documents with --- on a line of its own"),
)


class _Refused(Exception):  # noqa: N818 -- control flow inside this module, not an error of the program
    """This document cannot be read further."""


def read_documents(path: str, content: bytes, findings: Findings) -> list[Node]:
    """The documents of one file that could be read, in order; empty ones are left out.

    A document with a fault of syntax is reported and left out, the others of the file are read on. A file that
    exceeds a limit is not read further.
    """
    text = _decode(path, content, findings)
    if text is None:
        findings.unreadable = True
        return []
    documents: list[Node] = []
    chunks = list(_chunks(text))
    for line, chunk in chunks:
        excess = _excess(chunk, len(chunks))
        if excess:
            code, message, hint = excess
            findings.error(code, Span(path, line, 1), message, hint)
            findings.unreadable = True
            break
        builder = _Builder(path, line, chunk, findings)
        try:
            documents.extend(builder.documents())
        except _Refused:
            findings.unreadable = True
            if builder.over_limit:
                break
    return documents


def _excess(chunk: str, documents: int) -> tuple[Code, str, str] | None:
    """Which limit a document of a file with so many exceeds, as far as this can be told without parsing it."""
    split = "split it with --- or into several files"
    if documents > MAX_DOCUMENTS:
        return Code.TOO_LARGE, f"more than {MAX_DOCUMENTS:,} documents in one file", "split it into several files"
    if len(chunk) > MAX_DOCUMENT_CHARACTERS:
        message = f"a document of {len(chunk):,} characters is too large (limit {MAX_DOCUMENT_CHARACTERS:,})"
        return Code.TOO_LARGE, message, split
    if chunk.count(",") + chunk.count("\n") > _MAX_SEPARATORS:
        return Code.TOO_LARGE, f"more than {_MAX_SEPARATORS:,} lines and commas in one document", split
    if _bracket_depth(chunk) > _MAX_BRACKETS:
        return Code.TOO_DEEP, f"nested more than {MAX_DEPTH} levels deep", "close the brackets"
    return None


def _decode(path: str, content: bytes, findings: Findings) -> str | None:
    """The text with line feeds as line ends, or None after a report."""
    if len(content) > MAX_FILE_BYTES:
        message = f"the file has {len(content):,} bytes (limit {MAX_FILE_BYTES:,})"
        findings.error(Code.TOO_LARGE, Span(path, 1, 1), message, "split it into several files")
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        place = Span(path, before.count("\n") + 1, len(before) - before.rfind("\n"))
        findings.error(Code.ENCODING, place, "the file is not UTF-8 text", "save it as UTF-8")
        return None
    text = text.replace("\r\n", "\n")
    odd = _ODD.search(text) or re.search("\r", text)
    if odd:
        place = Span(path, text.count("\n", 0, odd.start()) + 1, odd.start() - text.rfind("\n", 0, odd.start()))
        findings.error(Code.ENCODING, place, f"invisible character U+{ord(odd[0]):04X}", "remove it")
        return None
    return text


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    """(1-based first line, text) of every document, cut at the ``---`` lines."""
    starts = sorted({0, *(match.start() for match in _MARKER.finditer(text))})
    line = 1
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        chunk = text[start:end]
        if chunk.strip():
            yield line, chunk
        line += chunk.count("\n")


def _bracket_depth(chunk: str) -> int:
    """The most brackets open at once, also counting those in texts: an upper bound."""
    depth = deepest = 0
    for bracket in re.finditer(r"[\[\]{}]", chunk):
        depth = depth + 1 if bracket[0] in "[{" else max(0, depth - 1)
        deepest = max(deepest, depth)
    return deepest


class _Builder:
    """Turns the parser's events of one chunk into nodes and refuses what the dialect refuses."""

    def __init__(self, path: str, line: int, chunk: str, findings: Findings) -> None:
        self._path = path
        self._line = line
        self._chunk = chunk
        self._findings = findings
        self._nodes = 0
        self.over_limit = False
        self._events: Iterator[Any] = iter(())

    def documents(self) -> Iterator[Node]:
        """Every document of the chunk. Raises _Refused after reporting a fault."""
        directive = re.match(r"(?:\s*(?:#.*)?\n)*%", self._chunk)
        if directive:
            span = Span(self._path, self._line + directive[0].count("\n"), 1)
            self._refuse(Code.DIRECTIVE, span, "YAML directives are not used here", "remove the line")
        self._events = events(self._chunk)
        try:
            for event in self._events:
                if _kind(event) == "DocumentStartEvent":
                    node = self._node(next(self._events), DOCUMENT, 1)
                    if not (isinstance(node, ScalarNode) and node.empty):
                        yield node
        except YamlFault as fault:
            self._syntax(fault)

    def _node(self, event: Any, name: str, depth: int) -> Node:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self.over_limit = True
            self._refuse(Code.TOO_LARGE, self._span(event), f"more than {MAX_NODES:,} values in one document")
        if depth > MAX_DEPTH:
            self.over_limit = True
            self._refuse(Code.TOO_DEEP, self._span(event), f"nested more than {MAX_DEPTH} levels deep")
        kind = _kind(event)
        if kind == "AliasEvent" or event.anchor is not None:
            hint = "write the value out"
            self._refuse(Code.ANCHOR, self._span(event, 1), "YAML anchors and aliases are not used here", hint)
        if event.tag is not None:
            self._refuse(
                Code.TAG, self._span(event, 1), "YAML tags are not used here", "remove the tag, or quote the text"
            )
        if kind == "MappingStartEvent":
            return self._mapping(event, name, depth)
        if kind == "SequenceStartEvent":
            return self._sequence(event, name, depth)
        return self._scalar(event, name)

    def _scalar(self, event: Any, name: str) -> ScalarNode:
        raw = self._chunk[event.start_mark.index : event.end_mark.index].rstrip()
        text = event.value
        return ScalarNode(
            text=text,
            span=self._span(event),
            name=name,
            plain=not event.style,
            raw="" if raw == text else raw,
        )

    def _sequence(self, event: Any, name: str, depth: int) -> ListNode:
        items = []
        while _kind(item := next(self._events)) != "SequenceEndEvent":
            items.append(self._node(item, name, depth + 1))
        start, end = event.start_mark, item.end_mark
        width = end.column - start.column if event.flow_style and end.line == start.line else 1
        return ListNode(items=tuple(items), span=self._span(event, width), name=name)

    def _mapping(self, event: Any, name: str, depth: int) -> MapNode:
        entries: list[tuple[ScalarNode, Node]] = []
        lines: dict[str, int] = {}
        while _kind(item := next(self._events)) != "MappingEndEvent":
            key = self._key(item, name, depth)
            value = self._node(next(self._events), key.text, depth + 1)
            if key.text in lines:
                message = f"duplicate key '{key.text}', first on line {lines[key.text]}"
                self._findings.error(Code.DUPLICATE_KEY, key.span, message, "remove one")
                continue
            lines[key.text] = key.span.line
            entries.append((key, value))
        width = 1 if event.flow_style or not entries else entries[0][0].span.width
        return MapNode(entries=tuple(entries), span=self._span(event, width), name=name, flow=event.flow_style)

    def _key(self, event: Any, name: str, depth: int) -> ScalarNode:
        if _kind(event) not in ("ScalarEvent", "AliasEvent"):
            self._refuse(Code.COMPLEX_KEY, self._span(event, 1), "a key must be a text", "write key: value")
        key = self._node(event, name, depth)
        if not isinstance(key, ScalarNode):  # never: an alias was refused, and a text is a scalar
            raise _Refused
        if key.text == "<<":
            self._refuse(Code.MERGE_KEY, key.span, "merge keys (<<) are not used here", "write the keys out")
        if key.empty:
            self._refuse(Code.COMPLEX_KEY, key.span, "a key is missing before the colon", "write key: value")
        if key.text.lower() == "on":
            hint = "other YAML tools read this key as true; choose another name"
            self._findings.error(Code.KEY_ON, key.span, f"no key may be named '{key.text}'", hint)
        return key

    def _span(self, event: Any, width: int | None = None) -> Span:
        start, end = event.start_mark, event.end_mark
        if width is None and end.line == start.line:
            width = end.column - start.column
        elif width is None:
            line_end = self._chunk.find("\n", start.index)
            width = line_end - start.index
        return Span(self._path, self._line + start.line, start.column + 1, max(1, width))

    def _syntax(self, fault: YamlFault) -> None:
        hint = next((hint for words, hint in _HINTS if words in fault.problem), "")
        span = Span(self._path, self._line + fault.line, fault.column + 1)
        self._refuse(Code.SYNTAX, span, f"YAML: {fault.problem}", hint)

    def _refuse(self, code: Code, span: Span, message: str, hint: str = "") -> None:
        self._findings.error(code, span, message, hint)
        raise _Refused


def _kind(event: Any) -> str:
    """``ScalarEvent`` and the like: both parsers use the same names."""
    return type(event).__name__
