"""Compiling the parts of one template in one language."""

from jinja2 import Environment, Template

from outbound.domain.rendered import Attachment
from outbound.domain.source import Problem, Span
from outbound.engine.rendering.brand import FOLDER, Brand
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.compose import cut, fill, line_piece, pieces_of
from outbound.engine.rendering.destinations import fixed_links
from outbound.engine.rendering.language import Checked, Scope, check
from outbound.engine.rendering.lint import lint
from outbound.engine.rendering.manifest import Manifest
from outbound.engine.rendering.mjml import to_html
from outbound.engine.rendering.plain import from_mjml, squeeze, static_text
from outbound.engine.rendering.report import Report
from outbound.engine.rendering.source import Fault, Piece, Segment, Source, Spread, fixed_piece
from outbound.engine.rendering.templates import Compiled, EmailParts, SmsParts
from outbound.engine.rulefiles.nodes import ScalarNode

_HTML_BEFORE = "<mj-section><mj-column><mj-text>"
_HTML_AFTER = "</mj-text></mj-column></mj-section>"
_CONTROL = {chr(code) for code in range(32)} | {"\x7f", "\x85", "\u2028", "\u2029"}


class Workshop:
    """Compiles what one template says in one language. ``used`` collects the context names it reads."""

    def __init__(
        self,
        brand: Brand,
        manifest: Manifest,
        assets: dict[str, tuple[str, str, bytes]],
        language: str,
        report: Report,
    ) -> None:
        self._brand = brand
        self._manifest = manifest
        self._report = report
        self._language = language
        self._environments = brand.environments[language]
        self.used: set[str] = set()
        self._scope = Scope(
            declared={root: frozenset(names) for root, names in manifest.context.items()},
            strings={**brand.file.strings.get(language, {}), **manifest.strings.get(language, {})},
            brand=brand.values(language),
            assets={name: address for name, (address, _, _) in {**brand.assets, **assets}.items()},
        )

    def email(
        self,
        markup: tuple[str, str] | None,
        text: tuple[str, str] | None,
        attachments: tuple[Attachment, ...],
    ) -> EmailParts | None:
        """The mail, or None after a report."""
        subject_node = self._manifest.subject.get(self._language)
        if markup is None or subject_node is None:
            return None
        try:
            for file in filter(None, (markup, text)):
                _require_words(*file)
            subject = self._line(subject_node)
            preheader = self._line(self._manifest.preheader.get(self._language))
            html, links = self._html(markup)
            plain = self._text(markup, text) if html or text else None
        except Fault as fault:
            self._report.add([fault.problem])
            return None
        if subject is None or preheader is None or html is None or plain is None:
            return None
        return EmailParts(
            subject=subject, preheader=preheader, html=html, text=plain, attachments=attachments, links=links
        )

    def sms(self, text: tuple[str, str] | None) -> SmsParts | None:
        """The text message, or None after a report."""
        if text is None:
            return None
        try:
            _require_words(*text)
            layout = pieces_of(f"{FOLDER}/layout.sms.txt", self._brand.texts["layout.sms.txt"], self._brand.texts)
            content = _stripped(pieces_of(*text, self._brand.texts))
            compiled = self._plain(fill(layout, content), self._environments.sms)
        except Fault as fault:
            self._report.add([fault.problem])
            return None
        return SmsParts(text=compiled) if compiled else None

    def _line(self, node: ScalarNode | None) -> Compiled | None:
        """A subject or preheader; an absent preheader is empty."""
        if node is None:
            return self._plain(Source([]), self._environments.text)
        odd = next((i for i, character in enumerate(node.text) if character in _CONTROL), None)
        if odd is not None:
            self._report.error(
                Code.SUBJECT, node.place(odd), "a subject or preheader is one line without control characters"
            )
            return None
        return self._plain(Source([line_piece(node)]), self._environments.text)

    def _html(self, markup: tuple[str, str]) -> tuple[Compiled | None, frozenset[str]]:
        """The HTML, and its links that are the same for every reader."""
        path, text = markup
        content = pieces_of(path, text, self._brand.texts)
        if path.endswith(".html"):
            span = Source(content).place(0)
            content = [fixed_piece(_HTML_BEFORE, span), *content, fixed_piece(_HTML_AFTER, span)]
        layout = pieces_of(f"{FOLDER}/layout.mjml", self._brand.texts["layout.mjml"], self._brand.texts)
        source = fill(layout, content)
        parts = cut(source, self._scope)
        environment = self._environments.html
        problems = list(lint(source, parts))
        checked = self._check(environment, source, parts)
        if not self._accept(problems + checked.problems, checked):
            return None, frozenset()
        made = to_html(source, parts)
        final = self._final(environment, made, source)
        self._report.add(final.problems)  # it was checked as written: what is found now is a fault of ours
        return None if final.problems else self._compiled(environment, final, source), fixed_links(made)

    def _text(self, markup: tuple[str, str], text: tuple[str, str] | None) -> Compiled | None:
        layout = pieces_of(f"{FOLDER}/layout.txt", self._brand.texts["layout.txt"], self._brand.texts)
        if text is not None:
            content = _stripped(pieces_of(*text, self._brand.texts))
        else:
            source = Source(pieces_of(*markup, self._brand.texts))
            parts = cut(source, self._scope)
            if any(lint(source, parts)):
                return None  # reported with the HTML
            derived = from_mjml(parts) if markup[0].endswith(".mjml") else _wrapped(source, self._scope)
            content = [fixed_piece(derived.strip("\n"), source.place(0))]
        return self._plain(fill(layout, content), self._environments.text)

    def _plain(self, source: Source, environment: Environment) -> Compiled | None:
        parts = cut(source, self._scope)
        final = self._final(environment, squeeze(static_text(parts)), source)
        if final.problems:
            written = self._check(environment, source, parts)
            self._accept(written.problems or final.problems, written)
            return None
        self.used |= final.used
        return self._compiled(environment, final, source)

    def _check(self, environment: Environment, source: Source, parts: list[Segment]) -> Checked:
        spread = Spread(source, parts)
        return check(environment, spread.text, self._scope, spread.place)

    def _accept(self, problems: list[Problem], checked: Checked) -> bool:
        self._report.add(problems)
        self.used |= checked.used
        return not problems

    def _final(self, environment: Environment, text: str, source: Source) -> Checked:
        """The text that is compiled. Where a problem stands, only the text as written can say."""
        return check(environment, text, self._scope, lambda _line, _word: source.place(0))

    def _compiled(self, environment: Environment, final: Checked, source: Source) -> Compiled | None:
        try:
            code = environment.compile(final.tree, filename="<template>")
        except (RecursionError, SyntaxError):
            raise source.fault(0, Code.TOO_LARGE, "too many conditions inside each other", "make it simpler") from None
        return Compiled(Template.from_code(environment, code, {}), loops=final.loops)


def _require_words(path: str, text: str) -> None:
    """Raise Fault for a body without a word: the message would be a header and a footer."""
    if not text.strip():
        hint = "write the message, or take the file away"
        raise Fault(Problem(span=Span(path, 1, 1), message="the file is empty", code=Code.EMPTY, suggestion=hint))


def _stripped(pieces: list[Piece]) -> list[Piece]:
    """The pieces without the line ends at the very end, which belong to the file and not to the text."""
    if not pieces:
        return pieces
    *head, last = pieces
    return [*head, Piece(text=last.text.rstrip("\n"), locate=last.locate)]


def _wrapped(source: Source, scope: Scope) -> str:
    """The text of an HTML body."""
    span = source.place(0)
    framed = Source([fixed_piece(_HTML_BEFORE, span), fixed_piece(source.text, span), fixed_piece(_HTML_AFTER, span)])
    return from_mjml(cut(framed, scope))
