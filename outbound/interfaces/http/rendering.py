"""The HTML pages: autoescaped, no script, no third party, one nonce for the one style sheet."""

import secrets
from pathlib import Path
from urllib.parse import urlsplit

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse

from outbound.domain.consent import Evidence
from outbound.interfaces.http.colors import scheme
from outbound.interfaces.http.words import LANGUAGES, WORDS, spoken
from outbound.interfaces.http.writers import Writers
from outbound.services import releases, unsubscribe
from outbound.services.page_requests import ACCESS, listened

_FOLDER = Path(__file__).parent / "pages"
RETRY = {"Retry-After": "60"}


class Pages:
    """Every page of the site, and who may write from one.

    ``root`` is the path of the public URL, without a slash at its end.
    """

    def __init__(self, public_url: str) -> None:
        self.writers = Writers()
        self.root = urlsplit(public_url).path.rstrip("/")
        self._style = (_FOLDER / "style.css").read_text(encoding="utf-8")
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def page(
        self,
        name: str,
        active: releases.Active,
        language: str,
        *,
        status: int = 200,
        here: str = "",
        home: str = "",
        **values: object,
    ) -> HTMLResponse:
        """A page in the brand's looks, with its own content security policy.

        ``language`` is the reader's; ``here`` the page's own name in the navigation, ``home`` the path of the
        reader's preference centre where there is one.
        """
        nonce = secrets.token_urlsafe(16)
        look, brand = active.templates.look, active.ruleset.policy.brand
        tongue = spoken(language)
        html = self._templates.get_template(name).render(
            nonce=nonce,
            style=self._style,
            colors=scheme(look.color),
            logo=f"{self.root}/assets/{look.logo}" if look.logo else "",
            brand=brand,
            language=tongue,
            t=WORDS[tongue],
            tongues=[(code, LANGUAGES[code]) for code in WORDS if code in brand.languages or code == tongue],
            root=self.root,
            here=here,
            home=home,
            **values,
        )
        policy = (
            f"default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self'; "
            "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
        )
        return HTMLResponse(html, status, headers={"Content-Security-Policy": policy, "Cache-Control": "no-store"})

    def lost(self, name: str, active: releases.Active, request: Request, *, status: int) -> HTMLResponse:
        """A link that opens nothing: never a dead end (C05). With an e-mail address a new one is sent."""
        if not listened(active, ACCESS):
            return self.notice(name, active, request, status=status)
        language = reader_language(active, request)
        words = WORDS[spoken(language)]
        heading, text = words[f"{name}_title"], words[f"{name}_lead"]
        return self.page("access.html", active, language, status=status, heading=heading, text=text, done=False)

    def notice(self, name: str, active: releases.Active, request: Request, *, status: int) -> HTMLResponse:
        """A page that says one thing and names an address to write to: never a dead end (C05)."""
        language = reader_language(active, request)
        words = WORDS[spoken(language)]
        return self.page(
            "notice.html",
            active,
            language,
            status=status,
            heading=words[f"{name}_title"],
            text=words[f"{name}_lead"],
            subject=words["unsubscribe_title"],
        )

    def unavailable(self, active: releases.Active, request: Request) -> HTMLResponse:
        """The record is busy: nothing has changed, and the reader knows."""
        page = self.notice("unavailable", active, request, status=503)
        page.headers.update(RETRY)
        return page

    def unknown(self, active: releases.Active, request: Request) -> HTMLResponse:
        """A token that is not ours."""
        return self.lost("unknown", active, request, status=404)


def chosen_language(request: Request) -> str:
    """The language picked on the page (``?lang=it``), "" for none."""
    return request.query_params.get("lang", "")[:8]


def reader_language(active: releases.Active, request: Request) -> str:
    """The language for a reader of whom nothing is known: picked on the page, or the browser's."""
    picked = chosen_language(request)
    return unsubscribe.choose_language(active, [picked] if picked else languages(request))


def languages(request: Request) -> list[str]:
    """The reader's languages in their order (Accept-Language)."""
    header = request.headers.get("accept-language", "")
    return [part.split(";")[0].strip() for part in header.split(",")[:10] if part.strip()]


def visitor(request: Request, source: str) -> Evidence:
    """What proves what a visitor of ``source`` said: by whom, from where, with which browser."""
    return Evidence(
        source=source,
        actor="customer",
        ip=request.client.host if request.client else "",
        user_agent=request.headers.get("user-agent", "")[:200],
    )
