"""The API put together: routes, keys, limits, problems and the document that describes them."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from outbound.interfaces.http.api import consents, customers, events, notes, record, triggers
from outbound.interfaces.http.api.access import Rates, Uses
from outbound.interfaces.http.api.bodies import Bounded
from outbound.interfaces.http.api.context import Api
from outbound.interfaces.http.api.problems import Finding, Problem, add_handlers, documented

PREFIX = "/api/v1"

_DESCRIPTION = """\
Tell what happened, start rules, keep customers and their wishes, and read what became of it.

Every answer with 2xx that acknowledges a change is durable: what it says survives a crash. Errors are
`application/problem+json` with a stable `code` and a `remedy`. A request with an `Idempotency-Key` may be sent again.
"""

ROUTERS = (
    events.router,
    triggers.router,
    customers.router,
    consents.router,
    notes.router,
    record.router,
)


def create(api: Api) -> ASGIApp:
    """The API as an ASGI application that answers below ``/api/v1``."""
    return _Headers(Bounded(describe(api), most=api.limits.body, bulk=api.limits.bulk))


def describe(api: Api | None) -> FastAPI:
    """The routes alone; without ``api`` they can be described and not called."""
    app = FastAPI(
        title="Outbound",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=f"{PREFIX}/openapi.json",
        redirect_slashes=False,
    )
    app.state.api = api
    app.state.rates = Rates(api.limits.rate if api else None)
    app.state.uses = Uses()
    add_handlers(app)
    for router in ROUTERS:
        app.include_router(router, prefix=PREFIX, responses=documented(400, 401, 403, 413, 415, 422, 429, 503, 507))
    app.openapi = lambda: document(app)  # type: ignore[method-assign] # FastAPI's own way to change the document
    return app


def document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = found["components"]["schemas"]
        reference = "#/components/schemas/{model}"
        for model in (Finding, Problem):
            described = model.model_json_schema(ref_template=reference)
            described.pop("$defs", None)
            schemas[model.__name__] = described
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = found
    return app.openapi_schema


class _Headers:
    """Answers are never stored on the way."""

    _SAFE = ((b"cache-control", b"no-store"),)

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._SAFE]
            await send(message)

        await self._app(scope, receive, with_headers)
