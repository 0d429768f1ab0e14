"""A rendered mail looked at as its reader will see it: links, contrast, and what mail programs lack. Warnings only.

What is found is pointed at in the author's own file. What no author wrote (MJML made it) is nobody's mistake.
"""

from dataclasses import dataclass, field

from outbound.domain.release import Files
from outbound.domain.source import Span
from outbound.engine.rendering import addresses, clients, contrast
from outbound.engine.rendering.clients import Feature, Support
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.page import Page, read_page
from outbound.engine.rendering.report import Report
from outbound.engine.rendering.templates import Links

_FEW = 3


@dataclass(slots=True)
class Inspection:
    """The pages of one template in one language. The same page, sent as another class, is read once."""

    name: str
    language: str
    files: Files
    otherwise: Span
    assets: frozenset[str]
    support: Support | None = None
    _seen: set[int] = field(default_factory=set)

    def inspect(self, html: str, links: Links, report: Report) -> None:
        """Report what is wrong with a rendered page. ``links`` are those the message was given: they are not judged."""
        if hash(html) in self._seen:
            return
        self._seen.add(hash(html))
        page = read_page(html)
        self._links(page, links, report)
        self._contrast(page, report)
        if self.support:
            self._clients(page, self.support, report)

    def _links(self, page: Page, links: Links, report: Report) -> None:
        ours = {links.unsubscribe, links.preferences} - {""}
        for tag, _, address in page.links:
            wrong = "" if address in ours else addresses.fault(tag, address, assets=links.assets, known=self.assets)
            if wrong:
                shown = address if len(address) <= 60 else f"{address[:57]}..."  # noqa: PLR2004 - what fits a line
                hint = "write the whole address, https://..., or {{ asset('NAME') }} for a picture of the brand"
                place = self._place(address) if address not in {"", "#"} else self._place(f'="{address}"')
                report.warning(Code.LINK, place or self.otherwise, f"the address '{shown}' {wrong}", hint)

    def _contrast(self, page: Page, report: Report) -> None:
        for text, look, ratio, needed in contrast.faint(page):
            shown = text if len(text) <= 30 else f"{text[:27]}..."  # noqa: PLR2004
            message = f"'{shown}' is hard to read: {look.colour} on {look.background} has a contrast of {ratio:.1f}"
            hint = f"at least {needed:g} is needed (WCAG 2.1, 1.4.3)"
            place = self._place(look.colour) or self._place(text) or self.otherwise
            report.warning(Code.CONTRAST, place, message, hint)

    def _clients(self, page: Page, support: Support, report: Report) -> None:
        for word, feature in clients.lacking(page, support):
            place = self._place(word) or self._place(word.replace(":", "="))  # MJML: box-shadow="..."
            if place is not None:
                report.warning(Code.CLIENTS, place, _lack(feature), "make sure the mail works without it")

    def _place(self, word: str) -> Span | None:
        """Where the author wrote a word: in a body of this language, one of any language, or the brand."""
        own, brand = f"templates/{self.name}/", "templates/brand/"
        paths = [path for path in self.files if path.startswith((own, brand)) and path.endswith((".mjml", ".html"))]
        for path in sorted(paths, key=lambda path: (path.startswith(brand), f".{self.language}." not in path, path)):
            if path.startswith(own) and path.count(".") > 1 and f".{self.language}." not in path:
                continue
            text = self.files[path].decode("utf-8", "replace")
            at = text.lower().find(word.lower())
            if at >= 0:
                line = text.count("\n", 0, at)
                return Span(path, line + 1, at - text.rfind("\n", 0, at), max(1, len(word)))
        return None


def _lack(feature: Feature) -> str:
    few = ", ".join(feature.lacking[:_FEW])
    more = len(feature.lacking) - _FEW
    programs = f"{few} and {more} more" if more > 0 else few
    return f"{feature.title}: {feature.share:.0%} of mail programs do not have it ({programs})"
