"""Errors as ``application/problem+json`` (RFC 9457): a stable code, what went wrong, and what to do."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException

from outbound.domain.errors import OutboundError

log = structlog.get_logger("outbound.api")

MEDIA_TYPE: Final = "application/problem+json"
_URN: Final = "urn:outbound:problem:"
_SHOWN: Final = 20
_RETRY_SECONDS: Final = 5

_STATUS: Final[Mapping[str, int]] = {
    "api.json": 400,
    "api.cursor": 400,
    "api.idempotency_key": 400,
    "api.key": 401,
    "api.scope": 403,
    "api.address": 404,
    "customer.unknown": 404,
    "message.unknown": 404,
    "run.unknown": 404,
    "send.rule": 404,
    "api.method": 405,
    "api.idempotency_running": 409,
    "customer.ambiguous": 409,
    "event.id": 409,
    "send.arguments": 409,
    "send.inactive": 409,
    "send.recipients": 409,
    "api.body": 413,
    "api.media": 415,
    "api.rate": 429,
    "internal": 500,
    "api.busy": 503,
    "api.full": 507,
}
_ASKED_FOR: Final = ("api", "event", "send", "customer", "consent", "preference", "suppression", "interaction")
"""Codes that begin so are about what was asked; of the others the caller is innocent."""
_FULL: Final = ("disk is full", "DiskFull", "No space left", "could not extend file")


class Finding(BaseModel):
    """One thing that is wrong with a request."""

    at: str = Field(description="where: body.customer, query.limit, header.Idempotency-Key")
    message: str


class Problem(BaseModel):
    """What went wrong, and what to do (RFC 9457)."""

    type: str = Field(description="`urn:outbound:problem:` and the code")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what went wrong, in a sentence")
    code: str = Field(description="stable; docs/errors.md explains it")
    remedy: str = Field(description="what to do next")
    errors: list[Finding] = Field(default_factory=list, description="of an invalid request: each place that is wrong")


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The answers with a problem that a route may give, for its ``responses``."""
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: reference}} for status in statuses
    }


def status_of(error: OutboundError) -> int:
    """The HTTP status of an error."""
    known = _STATUS.get(error.code)
    if known is not None:
        return known
    return 422 if error.code.partition(".")[0] in _ASKED_FOR else 503


def problem(error: OutboundError, findings: Sequence[Finding] = ()) -> JSONResponse:
    """The answer that tells of an error."""
    status = status_of(error)
    told = Problem(
        type=_URN + error.code,
        title=HTTPStatus(status).phrase,
        status=status,
        detail=error.message,
        code=error.code,
        remedy=error.remedy,
        errors=list(findings),
    )
    headers = {}
    if status in {429, 503} or error.code == "api.idempotency_running":
        headers["Retry-After"] = str(1 if status != HTTPStatus.SERVICE_UNAVAILABLE else _RETRY_SECONDS)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="outbound"'
    return JSONResponse(told.model_dump(), status, headers, media_type=MEDIA_TYPE)


def add_handlers(app: FastAPI) -> None:
    """Let every error of ``app`` be answered as a problem."""

    @app.exception_handler(OutboundError)
    async def ours(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OutboundError)  # noqa: S101 - what it is registered for
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)  # noqa: S101
        return _invalid(error)

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)  # noqa: S101
        return _refused(error)

    @app.exception_handler(DBAPIError)
    @app.exception_handler(PoolTimeout)
    async def unavailable(_request: Request, error: Exception) -> JSONResponse:
        return problem(of_database(error))

    @app.exception_handler(Exception)
    async def surprised(_request: Request, _error: Exception) -> JSONResponse:
        message = "this should not have happened: whether anything was kept is not known"
        return problem(OutboundError("internal", message, "send it again with its Idempotency-Key, and report it"))


def of_database(error: Exception) -> OutboundError:
    """What the caller may know of an error of the database; its own words may quote values."""
    words = f"{type(getattr(error, 'orig', error)).__name__}: {getattr(error, 'orig', error)}"
    if any(sign in words for sign in _FULL):
        log.error("no room for a request")
        return OutboundError("api.full", "the record has no room left: nothing was kept", "tell whoever operates it")
    if not isinstance(error, OperationalError | PoolTimeout):
        log.error("a request failed in the database", error=type(error).__name__)
        return OutboundError("api.database", "the record did not take it: nothing was kept", "tell who operates it")
    return OutboundError("api.busy", "the record cannot be reached now: nothing was kept", "try again in a moment")


def _invalid(error: RequestValidationError) -> JSONResponse:
    found = error.errors()
    if any(one["type"] == "json_invalid" for one in found):
        return problem(OutboundError("api.json", "the body is not JSON", "send one JSON document in UTF-8"))
    findings = [Finding(at=_place(one["loc"]), message=_sentence(one)) for one in found[:_SHOWN]]
    if any(one.at == "header.idempotency-key" for one in findings):
        message = "the Idempotency-Key is empty, too long or not printable ASCII"
        return problem(OutboundError("api.idempotency_key", message, "send 1 to 255 printable characters"), findings)
    message = "the request is not as the schema wants it"
    return problem(OutboundError("api.request", message, "see `errors`, and /api/v1/openapi.json"), findings)


def _place(location: Sequence[Any]) -> str:
    return ".".join(str(part) for part in location)[:200]


def _sentence(one: Mapping[str, Any]) -> str:
    """The words of the check, never the value."""
    return str(one["msg"]).removeprefix("Value error, ")[:300]


def _refused(error: HTTPException) -> JSONResponse:
    match error.status_code:
        case 404:
            known = OutboundError("api.address", "there is nothing at this address", "see /api/v1/openapi.json")
        case 405:
            known = OutboundError("api.method", "this address has no such method", "see /api/v1/openapi.json")
        case 413:
            known = OutboundError("api.body", str(error.detail), "send less at once; see docs/api.md")
        case 415:
            known = OutboundError("api.media", str(error.detail), "send it as docs/api.md shows")
        case _:
            known = OutboundError("api.json", "the body cannot be read", "send one JSON document in UTF-8")
    answer = problem(known)
    if error.headers and "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer
