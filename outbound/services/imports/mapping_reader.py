"""From the YAML of a mapping to its values; every problem with line and column, none raised."""

import codecs
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from outbound.domain.consent import ConsentState
from outbound.domain.customer import ChannelName
from outbound.domain.source import Problem, Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import ListNode, MapNode, Node, ScalarNode
from outbound.engine.rulefiles.yaml_source import read_documents
from outbound.engine.timing.zones import zone_names
from outbound.services.imports.mapping import (
    PREFERENCES,
    ConsentSource,
    CustomerMapping,
    EventMapping,
    Instant,
    Layout,
    Source,
    When,
)

_LAYOUT: Final = (
    "format",
    "encoding",
    "separator",
    "row_separator",
    "quote",
    "header",
    "columns",
    "empty_when",
)
_CUSTOMERS: Final = ("import", "source", *_LAYOUT, "key", "fields", "preferences", "consents")
_EVENTS: Final = ("import", "source", *_LAYOUT, "event", "customer", "id", "at", "shift_newest_to", "data")
_SOURCE: Final = (
    "column",
    "value",
    "empty",
    "map",
    "strip_prefix",
    "format",
    "true",
    "false",
    "decimal",
    "country",
    "invalid",
)
_CONSENT: Final = ("topic", "channel", "state", "when", "at", "wording", "language", "basis", "confirmed")


def read_mapping(path: str, content: bytes) -> tuple[CustomerMapping | EventMapping | None, tuple[Problem, ...]]:
    """The mapping in ``content``, or None with the problems that refuse it. ``path`` is only named in problems."""
    findings = Findings()
    documents = read_documents(path, content, findings)
    top = Span(path, 1, 1)
    if not documents and not findings.errors:
        findings.error(Code.MISSING_KEY, top, "the mapping is empty", "docs/import.md shows one")
    if len(documents) > 1:
        findings.error(Code.WRONG_SHAPE, documents[1].span, "a mapping is one document", "remove the ---")
    if findings.errors or not documents:
        return None, with_source_lines(findings.problems, content)
    section = _Section(documents[0], findings)
    kind = section.choice("import", ("customers", "events"), required=True)
    mapping = _events(section) if kind == "events" else _customers(section)
    return (None if findings.errors else mapping), with_source_lines(findings.problems, content)


def with_source_lines(problems: Iterable[Problem], content: bytes) -> tuple[Problem, ...]:
    """The problems with the text of their lines, for the three-line form."""
    lines = content.decode("utf-8", "replace").splitlines()
    return tuple(
        replace(problem, source_line=lines[problem.span.line - 1] if problem.span.line <= len(lines) else "")
        for problem in problems
    )


def _customers(section: "_Section") -> CustomerMapping:
    section.only(_CUSTOMERS)
    return CustomerMapping(
        layout=_layout(section),
        source=section.text("source"),
        key=section.text("key", required=True),
        span=section.span,
        fields=_sources(section, "fields"),
        preferences=_preferences(section),
        consents=tuple(_consent(_Section(node, section.findings)) for node in section.items("consents")),
    )


def _events(section: "_Section") -> EventMapping:
    section.only(_EVENTS)
    return EventMapping(
        layout=_layout(section),
        source=section.text("source"),
        event=section.text("event", required=True),
        customer=section.text("customer", required=True),
        id=section.text("id") or None,
        at=_instant(section, allow_now=False),
        span=section.span,
        data=_sources(section, "data"),
        shift_newest_to=section.text("shift_newest_to") or None,
    )


def _layout(section: "_Section") -> Layout:
    kind = section.choice("format", ("csv", "tsv", "jsonl")) or "csv"
    separator = section.text("separator") or ("\t" if kind == "tsv" else ",")
    row_separator = section.text("row_separator")
    plain = kind == "tsv" or len(separator) > 1 or bool(row_separator)
    quote = section.text("quote") or ("none" if plain else '"')
    encoding = section.text("encoding") or "utf-8"
    try:
        codecs.lookup(encoding)
    except LookupError:
        section.problem("encoding", Code.BAD_VALUE, f"unknown encoding {encoding!r}", "utf-8, utf-16, cp1252, ...")
    if quote != "none" and (len(quote) > 1 or len(separator) > 1 or row_separator):
        hint = "write quote: none; separators of several characters know no quotes"
        section.problem("quote", Code.BAD_VALUE, "quoting needs one character and plain line ends", hint)
    columns = section.words("columns")
    if len(set(columns)) < len(columns):
        section.problem("columns", Code.DUPLICATE_VALUE, "two columns have the same name", "name each once")
    return Layout(
        format=kind,
        encoding=encoding,
        separator=separator,
        row_separator=row_separator,
        quote="" if quote == "none" else quote,
        header=section.flag("header", default=not columns),
        columns=columns,
        empty_when=frozenset(section.words("empty_when")),
    )


def _preferences(section: "_Section") -> Mapping[str, Source]:
    found = _sources(section, "preferences")
    for name, source in found.items():
        if name not in PREFERENCES:
            hint = did_you_mean(name, PREFERENCES)
            section.findings.error(Code.UNKNOWN_KEY, source.span, f"unknown preference {name!r}", hint)
    return found


def _sources(section: "_Section", key: str) -> Mapping[str, Source]:
    return {name.text: _source(name.span, node, section.findings) for name, node in section.entries(key)}


def _source(span: Span, node: Node, findings: Findings) -> Source:
    """How one attribute is read; ``span`` is where its name stands."""
    if isinstance(node, ScalarNode):
        if node.empty:
            findings.error(Code.EMPTY_VALUE, span, f"{node.name} names no column", "write the column's name")
        return Source(span=span, column=node.text)
    section = _Section(node, findings)
    section.only(_SOURCE)
    column, constant = section.text("column"), section.text("value")
    if bool(column) == bool(constant):
        findings.error(Code.MISSING_KEY, span, "write either column: NAME or value: CONSTANT")
    decimal = section.choice("decimal", (".", ",")) or "."
    return Source(
        span=span,
        column=column or None,
        constant=constant or None,
        clear=section.choice("empty", ("keep", "clear")) == "clear",
        replace=section.texts("map"),
        strip_prefix=section.text("strip_prefix"),
        format=section.text("format"),
        true=frozenset(word.lower() for word in section.words("true")),
        false=frozenset(word.lower() for word in section.words("false")),
        decimal=decimal,
        country=section.text("country").upper() or None,
        ignore_invalid=section.choice("invalid", ("refuse", "ignore")) == "ignore",
    )


def _consent(section: "_Section") -> ConsentSource:
    section.only(_CONSENT)
    state = ConsentState(section.choice("state", tuple(ConsentState)) or ConsentState.GRANTED)
    channel = section.choice("channel", tuple(ChannelName))
    confirmed = section.flag("confirmed", default=False)
    if confirmed and not channel:
        section.problem("confirmed", Code.MISSING_KEY, "a confirmed consent belongs to one address", "write channel:")
    return ConsentSource(
        span=section.span,
        topic=section.text("topic", required=True),
        channel=ChannelName(channel) if channel else None,
        state=state,
        at=_instant(section, allow_now=state is ConsentState.WITHDRAWN),
        when=_when(section),
        wording=section.text("wording"),
        language=section.text("language"),
        basis=section.text("basis") or "consent",
        confirmed=confirmed,
    )


def _when(section: "_Section") -> When | None:
    node = section.node("when")
    if node is None:
        return None
    inner = _Section(node, section.findings)
    inner.only(("column", "in"))
    values = frozenset(inner.words("in")) if inner.node("in") is not None else None
    return When(column=inner.text("column", required=True), values=values, span=inner.span)


def _instant(section: "_Section", *, allow_now: bool) -> Instant:
    node = section.node("at")
    if node is None:
        hint = "proof says when (GDPR art. 7(1))" if section.node("topic") is not None else "name the column"
        section.findings.error(Code.MISSING_KEY, section.span, "'at' is missing", hint)
        return Instant(span=section.span, now=True)
    if isinstance(node, ScalarNode):
        if node.plain and node.text == "now":
            if not allow_now:
                section.findings.error(Code.BAD_VALUE, node.span, "'now' proves nothing", "name the column of the date")
            return Instant(span=node.span, now=True)
        return Instant(span=node.span, column=node.text)
    inner = _Section(node, section.findings)
    inner.only(("column", "value", "format", "zone"))
    column, constant = inner.text("column"), inner.text("value")
    if bool(column) == bool(constant):
        section.findings.error(Code.MISSING_KEY, node.span, "write either column: NAME or value: TIME")
    zone = inner.text("zone") or "UTC"
    if zone not in zone_names():
        inner.problem("zone", Code.UNKNOWN_ZONE, f"unknown zone {zone!r}", did_you_mean(zone, zone_names()))
        zone = "UTC"
    return Instant(
        span=node.span, column=column or None, constant=constant or None, format=inner.text("format"), zone=zone
    )


class _Section:
    """A mapping node, read key by key. A wrong shape is noted once and reads as absent."""

    def __init__(self, node: Node, findings: Findings) -> None:
        self.findings = findings
        self.span = node.span
        self._node = node if isinstance(node, MapNode) else None
        if self._node is None:
            findings.error(Code.WRONG_SHAPE, node.span, f"{node.name} must be a mapping", "write key: value lines")

    def node(self, key: str) -> Node | None:
        """The value under ``key``, None when absent or empty."""
        found = self._node.get(key) if self._node else None
        return None if isinstance(found, ScalarNode) and found.empty else found

    def only(self, allowed: tuple[str, ...]) -> None:
        """Note every key that is not in ``allowed``."""
        for name, _ in self._node or ():
            if name.text not in allowed:
                hint = did_you_mean(name.text, allowed)
                self.findings.error(Code.UNKNOWN_KEY, name.span, f"unknown key '{name.text}'", hint)

    def text(self, key: str, *, required: bool = False) -> str:
        """A text, empty when absent."""
        found = self.node(key)
        if isinstance(found, ScalarNode):
            return found.text
        if found is not None:
            self.findings.error(Code.WRONG_SHAPE, found.span, f"{key} must be a text")
        elif required and self._node is not None:
            self.findings.error(Code.MISSING_KEY, self.span, f"'{key}' is missing", f"write {key}: ...")
        return ""

    def choice(self, key: str, allowed: tuple[str, ...], *, required: bool = False) -> str:
        """One of ``allowed``, empty when absent."""
        word = self.text(key, required=required)
        if word and word not in allowed:
            self.problem(key, Code.BAD_VALUE, f"{key} cannot be {word!r}", did_you_mean(word, allowed))
            return ""
        return str(word)

    def flag(self, key: str, *, default: bool) -> bool:
        """``true`` or ``false``."""
        word = self.choice(key, ("true", "false"))
        return word == "true" if word else default

    def words(self, key: str) -> tuple[str, ...]:
        """A list of texts; a single text is a list of one."""
        found = self.node(key)
        if isinstance(found, ListNode):
            if all(isinstance(item, ScalarNode) for item in found.items):
                return tuple(item.text for item in found.items if isinstance(item, ScalarNode))
            self.findings.error(Code.WRONG_SHAPE, found.span, f"{key} must be a list of texts")
            return ()
        word = self.text(key)
        return (word,) if word else ()

    def items(self, key: str) -> tuple[Node, ...]:
        """A list of mappings."""
        found = self.node(key)
        if found is None or isinstance(found, ListNode):
            return found.items if found else ()
        self.findings.error(Code.WRONG_SHAPE, found.span, f"{key} must be a list", "start each entry with a dash")
        return ()

    def entries(self, key: str) -> tuple[tuple[ScalarNode, Node], ...]:
        """The keys and values of a mapping."""
        found = self.node(key)
        if found is None or isinstance(found, MapNode):
            return found.entries if found else ()
        self.findings.error(Code.WRONG_SHAPE, found.span, f"{key} must be a mapping")
        return ()

    def texts(self, key: str) -> dict[str, str]:
        """A mapping from text to text."""
        found = {}
        for name, value in self.entries(key):
            if isinstance(value, ScalarNode):
                found[name.text] = value.text
            else:
                self.findings.error(Code.WRONG_SHAPE, value.span, f"{key}.{name.text} must be a text")
        return found

    def problem(self, key: str, code: Code, message: str, hint: str = "") -> None:
        """Note a problem with the value of ``key``."""
        found = self._node.get(key) if self._node else None
        self.findings.error(code, found.span if found else self.span, message, hint)
