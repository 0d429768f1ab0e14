"""The HTTP application: the unsubscribe page and its one-click address, brand assets, health."""

import contextlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import jinja2
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy.exc import OperationalError

from outbound.domain.errors import OutboundError
from outbound.services import refusals, releases, unsubscribe
from outbound.services.links import LinkMaker
from outbound.storage.database import Database

_PAGES = Path(__file__).parent / "pages"
_MAX_BODY = 64 * 1024
_YEAR = 365 * 24 * 3600
_RETRY = {"Retry-After": "60"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the pages work with. ``now`` reads the clock of the installation."""

    database: Database
    links: LinkMaker
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


def create(site: Site) -> FastAPI:
    """The ASGI application. No safe method (GET, HEAD, OPTIONS) changes anything anywhere in it."""
    app = FastAPI(title="Outbound", docs_url=None, redoc_url=None, openapi_url=None)
    pages = Pages()
    _add_headers(app)
    _add_unavailable(app, site, pages)
    _add_unsubscribe(app, site, pages)
    _add_assets(app, site)
    _add_health(app, site)
    return app


class Pages:
    """The HTML pages: autoescaped, no script, no third party, one nonce for the one style sheet."""

    def __init__(self) -> None:
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(_PAGES), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
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

    def unsubscribe(self, offered: unsubscribe.Offer, *, done: bool) -> HTMLResponse:
        """The question, or the confirmation that it is done."""
        return self.page(
            "unsubscribe.html",
            language=offered.language,
            brand=offered.brand_name,
            topic=offered.topic_title,
            contact=offered.contact,
            done=done,
        )

    def unavailable(self, active: releases.Active, languages: list[str]) -> HTMLResponse:
        """The record is busy: nothing has changed, and the reader knows."""
        brand = active.ruleset.policy.brand
        language = unsubscribe.choose_language(active, languages)
        page = self.page("unavailable.html", 503, language=language, brand=brand.name, contact=brand.reply_to)
        page.headers.update(_RETRY)
        return page

    def unknown(self, active: releases.Active, languages: list[str]) -> HTMLResponse:
        """A token that is not ours: never a dead end, the page names an address to write to."""
        brand = active.ruleset.policy.brand
        language = unsubscribe.choose_language(active, languages)
        return self.page("unknown.html", 404, language=language, brand=brand.name, contact=brand.reply_to)


def _add_unavailable(app: FastAPI, site: Site, pages: Pages) -> None:
    @app.exception_handler(OperationalError)
    def unavailable(request: Request, _error: Exception) -> Response:
        """The record cannot be written now: say so, and when to come back; never claim that it is done."""
        with contextlib.suppress(OperationalError):
            active = releases.active(site.database)
            if active is not None:
                return pages.unavailable(active, _languages(request))
        return Response(status_code=503, headers=_RETRY)


def _add_unsubscribe(app: FastAPI, site: Site, pages: Pages) -> None:
    @app.get("/u/{token}")
    def show(token: str, request: Request) -> Response:
        active, languages = releases.running(site.database), _languages(request)
        offered = unsubscribe.offer(site.database, active, site.links, token, languages=languages)
        return pages.unsubscribe(offered, done=offered.withdrawn) if offered else pages.unknown(active, languages)

    @app.post("/u/{token}")
    def act(token: str, request: Request) -> Response:
        """One click (RFC 8058) and the page's button are the same request: the token says it all, no body is read."""
        active, languages = releases.running(site.database), _languages(request)
        offered = unsubscribe.offer(site.database, active, site.links, token, languages=languages)
        if offered is None:
            return pages.unknown(active, languages)
        client = request.client.host if request.client else ""
        agent = request.headers.get("user-agent", "")
        unsubscribe.unsubscribe(site.database, offered, ip=client, user_agent=agent, now=site.now())
        return pages.unsubscribe(offered, done=True)


def _add_assets(app: FastAPI, site: Site) -> None:
    @app.get("/assets/{name}")
    def asset(name: str) -> Response:
        """A brand asset by its content-addressed name: it never changes, so it may be kept for a year."""
        found = releases.asset(site.database, name)
        if found is None:
            return Response(status_code=404)
        media_type, content = found
        return Response(
            content, media_type=media_type, headers={"Cache-Control": f"public, max-age={_YEAR}, immutable"}
        )


def _add_health(app: FastAPI, site: Site) -> None:
    @app.get("/health")
    def health() -> JSONResponse:
        """The process answers."""
        return JSONResponse({"status": "ok"})

    @app.get("/ready")
    def ready() -> JSONResponse:
        """The database answers and a release is active.

        ``health`` is red after a refused apply. The code stays 200: the last good release runs, and taking the
        unsubscribe page off the net would mend nothing. The mistakes themselves are for `outbound status`.
        """
        found = releases.active(site.database)
        with site.database.read() as connection:
            refused = refusals.standing(connection)
        said: dict[str, object] = {"status": "ready" if found else "no active release"}
        said["health"] = "green" if found and refused is None else "red"
        if refused is not None:
            said["refused"] = {"at": refused.at.isoformat(), "errors": refused.errors}
        return JSONResponse(said, 200 if found else 503)


def _languages(request: Request) -> list[str]:
    header = request.headers.get("accept-language", "")
    return [part.split(";")[0].strip() for part in header.split(",")[:10] if part.strip()]


def _add_headers(app: FastAPI) -> None:
    @app.middleware("http")
    async def headers(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        length = request.headers.get("content-length", "0")
        if not length.isdigit() or int(length) > _MAX_BODY:
            return Response(status_code=413)
        try:
            response = await call_next(request)
        except OutboundError as error:
            return JSONResponse({"code": error.code, "title": error.message}, 503)
        response.headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Robots-Tag"] = "noindex"
        return response
