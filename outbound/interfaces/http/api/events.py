"""What happened to customers: one event, or many in a stream of lines."""

import hashlib
import json
from collections.abc import Iterator
from tempfile import SpooledTemporaryFile
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints, ValidationError

from outbound.domain.access import Scope
from outbound.domain.customer import Event
from outbound.domain.errors import OutboundError
from outbound.domain.message_events import PREFIXES
from outbound.domain.rule import Schema
from outbound.interfaces.http.api.access import ApiOf, Caller, IdempotencyKey, repeatable, requires
from outbound.interfaces.http.api.answers import given
from outbound.interfaces.http.api.bodies import spooled
from outbound.interfaces.http.api.context import Api
from outbound.interfaces.http.api.problems import documented
from outbound.interfaces.http.api.values import FieldName, Instant, Key, Moment, Scalar, Strict, Told
from outbound.services import idempotency
from outbound.services.event_intake import own_id, record_each
from outbound.services.events import another_customer, make_event
from outbound.services.idempotency import Answer
from outbound.storage.api_requests import Request as Repeatable

router = APIRouter(tags=["events"])

_LONGEST_LINE: Final = 64 * 1024
_BATCH: Final = 1_000
_LISTED: Final = 100
_NDJSON: Final = "application/x-ndjson"

EventName = Annotated[
    str, StringConstraints(max_length=255, pattern=r"^[a-z][a-z0-9_]{0,62}(\.[a-z][a-z0-9_]{0,62}){0,3}$")
]


class NewEvent(Strict):
    """Something that happened to a customer."""

    name: EventName = Field(description="an event of rules/schema.yaml", examples=["order.placed"])
    customer: Key = Field(description="the customer's id; an unknown one is taken too, the rules say what follows")
    data: dict[FieldName, Scalar] = Field(
        default_factory=dict, max_length=100, description="its fields, as the schema declares them"
    )
    id: Key | None = Field(default=None, description="your own id of it: the same event again changes nothing")
    at: Instant | None = Field(default=None, description="when it happened; now, unless given")


class RecordedEvent(Told):
    """An event that is on record, durably."""

    id: str = Field(description="NAME/ID, or an id of ours where none was given")
    name: str
    customer: str
    at: Moment
    new: bool = Field(description="false: it was on record before, and nothing changed")


class Refusal(Told):
    """A line that was not taken, and why."""

    line: int
    code: str
    message: str
    remedy: str


class BulkReport(Told):
    """What became of the lines. All that were taken are on record, durably."""

    lines: int
    new: int
    known: int = Field(description="on record before; nothing changed")
    refused: int
    refusals: list[Refusal] = Field(description="the first hundred of them")


@router.post(
    "/events",
    status_code=201,
    summary="Tell of one event",
    response_model=RecordedEvent,
    responses={200: {"model": RecordedEvent, "description": "It was on record before"}, **documented(409)},
)
async def record(
    body: NewEvent,
    request: Request,
    api: ApiOf,
    caller: Annotated[Caller, Depends(requires(Scope.EVENTS_WRITE))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Record that something happened to a customer. The rules that listen to it are planned within a second.

    201: it is on disk. Scope: `events:write`.
    """
    again = await repeatable(request, caller, idempotency_key)
    event = _event((await api.declared()).schema, body, own_id(again), api)
    return given(await api.intake.record(event, again, source=caller.name))


@router.post(
    "/events/bulk",
    summary="Tell of many events",
    response_model=BulkReport,
    responses=documented(409),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {_NDJSON: {"schema": {"type": "string", "description": "one NewEvent in JSON on each line"}}},
        }
    },
)
async def record_bulk(
    request: Request,
    api: ApiOf,
    caller: Annotated[Caller, Depends(requires(Scope.EVENTS_WRITE))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Record many events, one JSON object on each line (`application/x-ndjson`), in transactions of a thousand.

    A line that cannot be taken is reported and stops none of the others. Nothing is recorded before the whole body
    has arrived. Give each event its own `id`, or the request an `Idempotency-Key`: then it can be sent again when
    the answer got lost. Scope: `events:write`.
    """
    if request.headers.get("content-type", "").split(";")[0].strip().lower() not in {_NDJSON, "application/jsonl"}:
        raise OutboundError("api.media", f"the body is not {_NDJSON}", f"send it with Content-Type: {_NDJSON}")
    schema = (await api.declared()).schema
    file = await spooled(request)
    try:
        digest = await api.run(lambda: hashlib.file_digest(file, "sha256").digest())
        again = await repeatable(request, caller, idempotency_key, body=digest)
        now = api.now()
        answer = await api.run(
            lambda: idempotency.once(
                api.database, again, lambda: _record_lines(api, schema, file, again, caller.name), now=now
            )
        )
    finally:
        file.close()
    return given(answer)


def _event(schema: Schema, told: NewEvent, otherwise: str | None, api: Api) -> Event:
    if told.name.startswith(PREFIXES):
        message = f"{told.name} is recorded by the service alone"
        raise OutboundError("event.name", message, "tell of events that rules/schema.yaml declares")
    return make_event(
        schema,
        name=told.name,
        customer_id=told.customer,
        data=told.data,
        event_id=told.id or otherwise,
        at=told.at,
        now=api.now(),
    )


def _record_lines(
    api: Api, schema: Schema, file: SpooledTemporaryFile[bytes], request: Repeatable | None, source: str
) -> Answer:
    counts = {"lines": 0, "new": 0, "known": 0, "refused": 0}
    refusals: list[Refusal] = []

    def refuse(line: int, error: OutboundError) -> None:
        counts["refused"] += 1
        if len(refusals) < _LISTED:
            refusals.append(Refusal(line=line, code=error.code, message=error.message, remedy=error.remedy))

    def write(batch: list[tuple[int, Event]]) -> None:
        with api.database.write() as connection:
            recorded = record_each(connection, [(event, source) for _, event in batch])
        for (line, event), new in zip(batch, recorded, strict=True):
            if new is None:
                refuse(line, another_customer(event))
            else:
                counts["new" if new else "known"] += 1

    batch: list[tuple[int, Event]] = []
    file.seek(0)
    for number, line in _lines(file):
        counts["lines"] += 1
        try:
            batch.append((number, _event(schema, _read(line), own_id(request, number), api)))
        except OutboundError as error:
            refuse(number, error)
        if len(batch) == _BATCH:
            write(batch)
            batch = []
    if batch:
        write(batch)
    listed: list[Any] = [one.model_dump() for one in sorted(refusals, key=lambda one: one.line)]
    return Answer(status=200, body=json.dumps({**counts, "refusals": listed}, ensure_ascii=False))


def _lines(file: SpooledTemporaryFile[bytes]) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers; of a longer one only its beginning, which is no JSON."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        first = line
        while line and not line.endswith(b"\n"):  # the rest of it
            line = file.readline(_LONGEST_LINE)
        if first.strip():
            yield number, first


def _read(line: bytes) -> NewEvent:
    if len(line) > _LONGEST_LINE:
        raise OutboundError("event.line", f"the line is longer than {_LONGEST_LINE:,} bytes", "send less with an event")
    try:
        return NewEvent.model_validate_json(line)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        message = f"{place}: {first['msg']}" if place else str(first["msg"])
        raise OutboundError("event.line", message[:300], "one event in JSON on each line") from None
