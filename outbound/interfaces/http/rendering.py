"""The HTML pages: autoescaped, no script, no third party, one nonce for the one style sheet."""

import secrets
from pathlib import Path

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from outbound.services import releases, unsubscribe

_PAGES = Path(__file__).parent / "pages"
RETRY = {"Retry-After": "60"}


class Pages:
    """Every page of the site."""

    def __init__(self) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_PAGES),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            auto_reload=False,
        )

    def page(self, name: str, status: int = 200, **values: object) -> HTMLResponse:
        """A page with its own content security policy."""
        nonce = secrets.token_urlsafe(16)
        html = self._templates.get_template(name).render(nonce=nonce, **values)
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(html, status, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})

    def unavailable(self, active: releases.Active, languages: list[str]) -> HTMLResponse:
        """The record is busy: nothing has changed, and the reader knows."""
        brand = active.ruleset.policy.brand
        language = unsubscribe.choose_language(active, languages)
        page = self.page("unavailable.html", 503, language=language, brand=brand.name, contact=brand.reply_to)
        page.headers.update(RETRY)
        return page

    def unknown(self, active: releases.Active, languages: list[str]) -> HTMLResponse:
        """A token that is not ours: never a dead end, the page names an address to write to."""
        brand = active.ruleset.policy.brand
        language = unsubscribe.choose_language(active, languages)
        return self.page("unknown.html", 404, language=language, brand=brand.name, contact=brand.reply_to)


def languages(request: Request) -> list[str]:
    """The reader's languages in their order (Accept-Language)."""
    header = request.headers.get("accept-language", "")
    return [part.split(";")[0].strip() for part in header.split(",")[:10] if part.strip()]
