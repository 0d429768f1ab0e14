"""The HTTP application, put together from its groups of routes."""

import contextlib
from collections.abc import Callable, Sequence

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import OperationalError

from outbound.domain.errors import OutboundError
from outbound.interfaces.http import (
    assets,
    confirmations,
    health,
    preferences,
    tracking,
    unsubscribe,
    verification,
    webhooks,
)
from outbound.interfaces.http.entrance import Entrance
from outbound.interfaces.http.groups import Group
from outbound.interfaces.http.guard import Guard
from outbound.interfaces.http.limits import Asgi, LimitsMiddleware
from outbound.interfaces.http.metrics import Metrics
from outbound.interfaces.http.rendering import RETRY, Pages
from outbound.interfaces.http.site import Site
from outbound.services import releases

log = structlog.get_logger("outbound.http")

__all__ = ["Site", "create"]


def create(site: Site, *, api: Asgi | None = None) -> Asgi:
    """The ASGI application.

    No safe method (GET, HEAD, OPTIONS) changes anything anywhere in it; that a tracked link was followed is noted.
    From outside in: guard (path, headers, failures, figures), limits by group, the routes. ``api`` has limits and
    errors of its own.
    """
    pages, metrics = Pages(site.links.public_url), Metrics()
    groups: Sequence[Group] = (
        webhooks.group(site, metrics),  # first: routes are tried in order, and providers ask most
        unsubscribe.group(site, pages),
        preferences.group(site, pages),
        verification.group(site, pages),
        confirmations.group(site, pages),
        confirmations.access_group(site, pages),
        assets.group(site),
        health.group(site, metrics),
        tracking.group(site, pages),
    )
    app = FastAPI(title="Outbound", docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for group in groups:
        app.include_router(group.router)
    app.add_exception_handler(OperationalError, _unavailable(site, pages))
    app.add_exception_handler(OutboundError, _refused)
    pages_only = LimitsMiddleware(app, groups)
    whole = Entrance(pages_only, api) if api else pages_only
    return Guard(whole, public_url=site.links.public_url, metrics=metrics)


def _unavailable(site: Site, pages: Pages) -> Callable[[Request, Exception], Response]:
    def unavailable(request: Request, error: Exception) -> Response:
        """The record cannot be written now: say so, and when to come back; never claim that it is done."""
        log.warning("record unavailable", error=type(error).__name__)
        with contextlib.suppress(OperationalError):
            active = releases.active(site.database)
            if active is not None:
                return pages.unavailable(active, request)
        return Response(status_code=503, headers=RETRY)

    return unavailable


def _refused(_request: Request, error: Exception) -> Response:
    code, title = (error.code, error.message) if isinstance(error, OutboundError) else ("", "")
    return JSONResponse({"code": code, "title": title}, 503)
