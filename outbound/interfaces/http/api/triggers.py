"""Starting a script rule for named customers: what ``outbound send`` does, over HTTP."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field

from outbound.domain.access import Scope
from outbound.domain.money import money_text
from outbound.interfaces.http.api.access import ApiOf, Caller, IdempotencyKey, repeatable, requires
from outbound.interfaces.http.api.answers import given
from outbound.interfaces.http.api.context import Api
from outbound.interfaces.http.api.problems import documented
from outbound.interfaces.http.api.values import FieldName, Key, Scalar, Strict, Told
from outbound.services import idempotency, releases
from outbound.services.idempotency import Answer
from outbound.services.sends import Recipient, SendReport, send

router = APIRouter(tags=["triggers"])

_MOST: Final = 10_000


class Trigger(Strict):
    """Whom a rule is started for, and with what."""

    key: Key = Field(description="names this occasion: under one key nobody gets the rule's message twice")
    customers: list[Key] = Field(min_length=1, max_length=_MOST, description="the ids of the customers")
    data: dict[FieldName, Scalar] = Field(
        default_factory=dict, max_length=100, description="the arguments that the rule declares"
    )
    dry_run: bool = Field(default=False, description="only say who would get what; nothing is kept")
    extend: bool = Field(default=False, description="add customers to an earlier call with the same key")


class Triggered(Told):
    """What the call did, or with `dry_run` would do. The daemon sends the messages."""

    rule: str
    key: str
    dry_run: bool
    run: str | None = Field(description="the run that GET /runs/RUN reports on")
    new: int = Field(description="messages of this call")
    already: int = Field(description="customers who were decided on by an earlier call")
    missed: int = Field(description="customers to whom `who` does not apply")
    repeated: int = Field(description="customers who were named more than once")
    unknown: list[str] = Field(description="ids that no customer has")
    channels: dict[str, int] = Field(description="messages by channel")
    held: dict[str, int] = Field(description="messages that wait, by the gate that holds them")
    skipped: dict[str, int] = Field(description="customers who get nothing, by reason")
    cost: str = Field(description="what the messages will cost, about", examples=["EUR 1.40"])
    waits_for_approval: str = Field(description="the limit of the rule that is exceeded, in words; empty: none is")


@router.post(
    "/triggers/{rule}",
    status_code=202,
    summary="Start a rule",
    response_model=Triggered,
    responses={200: {"model": Triggered, "description": "A dry run"}, **documented(404, 409)},
)
async def trigger(
    rule: Annotated[Key, Path(description="a rule with a script trigger")],
    body: Trigger,
    request: Request,
    api: ApiOf,
    caller: Annotated[Caller, Depends(requires(Scope.TRIGGERS_WRITE))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Start a script rule for the named customers, once per `key`: the same use case as `outbound send`.

    202: the messages are on record, durably. Calling again with the same `key` adds nobody twice. Over a limit of
    the rule they wait until somebody approves. Scope: `triggers:write`.
    """
    again = None if body.dry_run else await repeatable(request, caller, idempotency_key)
    now = api.now()
    work = api.run(lambda: idempotency.once(api.database, again, lambda: _send(api, rule, body, caller.name), now=now))
    return given(await work)


def _send(api: Api, rule: str, body: Trigger, by: str) -> Answer:
    report = send(
        api.database,
        releases.running(api.database),
        rule=rule,
        recipients=[Recipient(customer_id=one) for one in body.customers],
        arguments=body.data,
        key=body.key,
        dry_run=body.dry_run,
        extend=body.extend,
        by=by,
        now=api.now(),
    )
    told = _told(rule, body.key, report)
    return Answer(status=200 if body.dry_run else 202, body=json.dumps(told, ensure_ascii=False))


def _told(rule: str, key: str, report: SendReport) -> dict[str, Any]:
    counts = report.counts
    told = Triggered(
        rule=rule,
        key=key,
        dry_run=report.dry_run,
        run=report.run_id or None,
        new=report.new,
        already=report.already,
        missed=report.missed,
        repeated=report.repeated,
        unknown=[one.customer_id for one in report.unknown],
        channels=dict(counts.channels),
        held=dict(counts.held),
        skipped=dict(counts.skipped_by),
        cost=money_text(counts.cost, report.currency),
        waits_for_approval=report.exceeded if report.limited else "",
    )
    return told.model_dump()
