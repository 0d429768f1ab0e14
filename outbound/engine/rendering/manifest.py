"""Reading template.yaml and brand.yaml."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from babel import Locale, UnknownLocaleError

from outbound.domain.condition import ValueType
from outbound.domain.rule import Schema
from outbound.domain.source import Span
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.report import Report
from outbound.engine.rulefiles.findings import did_you_mean
from outbound.engine.rulefiles.nodes import ListNode, MapNode, Node, ScalarNode
from outbound.engine.rulefiles.yaml_source import read_documents

ROOTS: Final = ("customer", "event", "script", "change", "entry")
"""Where the values of a message's context come from."""
GIVEN: Final = {"change": ("attribute", "old", "new", "date"), "entry": ("number", "date")}
"""What rules of the triggers ``changed`` and ``enters`` give, the same for each of them."""

Example = str | float | bool | list[str | float | bool]
Sample = Mapping[str, Mapping[str, Example]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """template.yaml: what a template may read, its subject lines and an example to check it with."""

    span: Span
    subject: Mapping[str, ScalarNode] = field(default_factory=dict)
    preheader: Mapping[str, ScalarNode] = field(default_factory=dict)
    context: Mapping[str, Mapping[str, Span]] = field(default_factory=dict)
    sample: Sample = field(default_factory=dict)
    strings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    attachments: tuple[ScalarNode, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrandFile:
    """brand.yaml: how each language writes dates and amounts, fixed values and texts for every template."""

    locales: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    strings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def read_manifest(path: str, content: bytes, *, schema: Schema, languages: tuple[str, ...], report: Report) -> Manifest:
    """template.yaml, as far as it is right; the rest is reported."""
    root = _document(path, content, report)
    if root is None:
        return Manifest(span=Span(path, 1, 1))
    keys = ("subject", "preheader", "context", "sample", "strings", "attachments")
    _known_keys(root, keys, report)
    context = _context(root.get("context"), schema, report)
    attachments = root.get("attachments")
    return Manifest(
        span=root.span,
        subject=_by_language(root.get("subject"), languages, report),
        preheader=_by_language(root.get("preheader"), languages, report),
        context=context,
        sample=_sample(root.get("sample"), context, schema, report),
        strings=_strings(root.get("strings"), languages, report),
        attachments=tuple(_items(attachments, report)) if attachments else (),
    )


def read_brand(path: str, content: bytes, *, languages: tuple[str, ...], report: Report) -> BrandFile:
    """brand.yaml, as far as it is right; the rest is reported."""
    root = _document(path, content, report)
    if root is None:
        return BrandFile()
    _known_keys(root, ("locales", "values", "strings"), report)
    locales: dict[str, str] = {}
    for language, node in _by_language(root.get("locales"), languages, report).items():
        try:
            Locale.parse(node.text)
            locales[language] = node.text
        except (ValueError, UnknownLocaleError):
            report.error(Code.MANIFEST, node.span, f"unknown locale '{node.text}'", "write a locale such as it_IT")
    values = root.get("values")
    return BrandFile(
        locales=locales,
        values={key.text: node.text for key, node in _scalars(values, report)} if values else {},
        strings=_strings(root.get("strings"), languages, report),
    )


def _document(path: str, content: bytes, report: Report) -> MapNode | None:
    documents = read_documents(path, content, report.yaml)
    if len(documents) > 1:
        report.error(Code.MANIFEST, documents[1].span, "one document only", "remove the ---")
    if documents and not isinstance(documents[0], MapNode):
        report.error(Code.MANIFEST, documents[0].span, "keys are expected here", "write subject: {...}")
    first = documents[0] if documents else None
    return first if isinstance(first, MapNode) else None


def _known_keys(node: MapNode, known: Iterable[str], report: Report) -> None:
    for key, _ in node:
        if key.text not in known:
            hint = did_you_mean(key.text, known)
            report.error(Code.MANIFEST, key.span, f"unknown key '{key.text}'", hint)


def _scalars(node: Node, report: Report) -> Iterable[tuple[ScalarNode, ScalarNode]]:
    """Key and text of each entry of a mapping of texts."""
    if not isinstance(node, MapNode):
        report.error(Code.MANIFEST, node.span, f"'{node.name}' is a mapping", "write key: text")
        return
    for key, value in node:
        if isinstance(value, ScalarNode) and not value.empty:
            yield key, value
        else:
            report.error(Code.MANIFEST, value.span, f"'{key.text}' needs a text")


def _items(node: Node, report: Report) -> Iterable[ScalarNode]:
    """The texts of a list."""
    for item in node.items if isinstance(node, ListNode) else (node,):
        if isinstance(item, ScalarNode) and not item.empty:
            yield item
        else:
            report.error(Code.MANIFEST, item.span, f"'{node.name}' is a list of names")


def _by_language(node: Node | None, languages: tuple[str, ...], report: Report) -> dict[str, ScalarNode]:
    found: dict[str, ScalarNode] = {}
    for key, value in _scalars(node, report) if node is not None else ():
        if key.text in languages:
            found[key.text] = value
        else:
            hint = f"the brand's languages in rules/policy.yaml are {', '.join(languages)}"
            report.error(Code.LANGUAGE, key.span, f"unknown language '{key.text}'", hint)
    return found


def _strings(node: Node | None, languages: tuple[str, ...], report: Report) -> dict[str, dict[str, str]]:
    """Texts by language; every language must have the same names."""
    found: dict[str, dict[str, str]] = {}
    if node is None:
        return found
    if not isinstance(node, MapNode):
        report.error(Code.MANIFEST, node.span, "strings are given by language", "write strings: {it: {...}, en: {...}}")
        return found
    for key, value in node:
        if key.text not in languages:
            hint = did_you_mean(key.text, languages)
            report.error(Code.LANGUAGE, key.span, f"unknown language '{key.text}'", hint)
            continue
        found[key.text] = {name.text: text.text for name, text in _scalars(value, report)}
    names = {name for texts in found.values() for name in texts}
    for language in languages:
        for name in sorted(names - set(found.get(language, {}))):
            report.error(Code.LANGUAGE, node.span, f"string '{name}' has no text in '{language}'", f"add {language}")
    return found


def _context(node: Node | None, schema: Schema, report: Report) -> dict[str, dict[str, Span]]:
    """The declared names by root, each with its place."""
    found: dict[str, dict[str, Span]] = {}
    if node is None:
        return found
    if not isinstance(node, MapNode):
        report.error(Code.MANIFEST, node.span, "context lists names by root", "write customer: [first_name]")
        return found
    fields = {name for fields in schema.events.values() for name in fields}
    known = {"customer": set(schema.customer), "event": fields}
    fixed = {root: set(names) for root, names in GIVEN.items()}
    for key, value in node:
        if key.text not in ROOTS:
            report.error(Code.MANIFEST, key.span, f"unknown root '{key.text}'", did_you_mean(key.text, ROOTS))
            continue
        names = found.setdefault(key.text, {})
        for item in _items(value, report):
            names[item.text] = item.span
            if not item.text.isidentifier() or "__" in item.text:
                report.error(Code.MANIFEST, item.span, f"'{item.text}' is not a name")
            elif key.text in known and item.text not in known[key.text]:
                hint = did_you_mean(item.text, known[key.text])
                message = f"'{key.text}.{item.text}' is not in rules/schema.yaml"
                report.error(Code.UNDECLARED, item.span, message, hint)
            elif key.text in fixed and item.text not in fixed[key.text]:
                hint = did_you_mean(item.text, fixed[key.text])
                report.error(Code.UNDECLARED, item.span, f"there is no '{key.text}.{item.text}'", hint)
    return found


def _sample(
    node: Node | None, context: Mapping[str, Mapping[str, Span]], schema: Schema, report: Report
) -> dict[str, dict[str, Example]]:
    """The example values, typed as rules/schema.yaml says (script arguments: as they look)."""
    found: dict[str, dict[str, Example]] = {}
    if node is None:
        return found
    if not isinstance(node, MapNode):
        report.error(Code.SAMPLE, node.span, "sample gives values by root", "write customer: {first_name: Giulia}")
        return found
    for root, values in node:
        if root.text not in context:
            report.error(Code.SAMPLE, root.span, f"'{root.text}' is not under context", "declare it there")
            continue
        for name, value in values if isinstance(values, MapNode) else ():
            if name.text not in context[root.text]:
                hint = did_you_mean(name.text, context[root.text])
                report.error(Code.SAMPLE, name.span, f"'{root.text}.{name.text}' is not under context", hint)
                continue
            example = _example(value, _types(schema, root.text, name.text), report)
            if example is not None:
                found.setdefault(root.text, {})[name.text] = example
    return found


def _types(schema: Schema, root: str, name: str) -> set[ValueType]:
    if root == "customer":
        return {schema.customer[name].type} if name in schema.customer else set()
    if root == "event":
        return {fields[name].type for fields in schema.events.values() if name in fields}
    return set()


def _example(node: Node, types: set[ValueType], report: Report) -> Example | None:
    """A value, or a list of them where the schema names no type; None after a report."""
    if isinstance(node, ListNode) and not types:
        return [typed for item in _items(node, report) if (typed := _typed(item, types)) is not None]
    typed = _typed(node, types) if isinstance(node, ScalarNode) and not node.empty else None
    if typed is None:
        report.error(Code.SAMPLE, node.span, f"'{node.name}' does not fit its type in rules/schema.yaml")
    return typed


def _typed(node: ScalarNode, types: set[ValueType]) -> str | float | bool | None:
    text = node.text
    if ValueType.NUMBER in types or (not types and node.plain):
        try:
            return float(text) if "." in text else int(text)
        except ValueError:
            return None if types else text
    if ValueType.BOOL in types:
        return {"true": True, "false": False}.get(text)
    return text
