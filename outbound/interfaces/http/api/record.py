"""What became of it: messages, the timeline of a customer, runs."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from outbound.domain.access import Scope
from outbound.domain.money import money_text
from outbound.interfaces.http.api.access import ApiOf, requires
from outbound.interfaces.http.api.answers import told
from outbound.interfaces.http.api.cursors import Cursor, Limit, before, further, instant, opened, seal
from outbound.interfaces.http.api.customers import CustomerId
from outbound.interfaces.http.api.problems import documented
from outbound.interfaces.http.api.values import Key, Moment, Told
from outbound.services import customer_reads, records
from outbound.services.reports import RunReport
from outbound.storage import message_pages
from outbound.storage.timeline import Place

router = APIRouter()


class Turn(Told):
    """One channel's turn of a message."""

    n: int
    channel: str
    moved_on: str = Field(description="why the next channel was tried; empty: it was not")
    delivered_at: Moment | None = Field(description="when the provider reported the delivery")


class ToldMessage(Told):
    """One message: what became of it, and when. docs/states.md has the states, docs/reasons.md the reasons."""

    id: str
    customer: str | None = Field(description="null: the customer was erased")
    rule: str
    run: str
    template: str
    topic: str
    message_class: str
    state: str
    reason: str
    not_before: Moment
    expires: Moment
    created_at: Moment
    updated_at: Moment
    sent_at: Moment | None
    turns: list[Turn]


class MessagePage(Told):
    """Messages, newest first."""

    messages: list[ToldMessage]
    next: str | None = Field(description="cursor of the next page; null at the end")


class TimelineEntry(Told):
    """One thing that happened. docs/customers.md explains the kinds."""

    at: Moment
    kind: str = Field(description="message, interaction, delivery, decision, consent, event, change or operation")
    key: str
    title: str
    channel: str
    state: str
    reason: str
    details: dict[str, Any]


class TimelinePage(Told):
    """Everything that happened with one customer, newest first."""

    customer: str
    entries: list[TimelineEntry]
    next: str | None = Field(description="cursor of what is older; null at the end")


class ToldRun(Told):
    """One slot of a rule over its audience: candidates = skipped + messages, and messages = the sum of the states."""

    id: str
    rule: str
    slot: str
    trigger: str
    started_at: Moment
    planned_at: Moment | None
    candidates: int
    skipped: int
    messages: int
    states: dict[str, int]
    planning_reasons: dict[str, int] = Field(description="who was skipped at planning, by reason")
    planned_cost: list[str]
    spent: list[str]
    waits_for_approval: str = Field(description="the limit that is exceeded, in words; empty: none is")
    holds: bool = Field(description="whether the sums balance")


class RunPage(Told):
    """Runs, newest first."""

    runs: list[ToldRun]
    next: str | None = Field(description="cursor of the next page; null at the end")


_MESSAGES = Depends(requires(Scope.MESSAGES_READ))
_RUNS = Depends(requires(Scope.RUNS_READ))


@router.get(
    "/messages/{message}",
    summary="Read one message",
    response_model=ToldMessage,
    responses=documented(404),
    tags=["messages"],
    dependencies=[_MESSAGES],
)
async def read_message(message: Annotated[Key, Path(description="its id")], api: ApiOf) -> Response:
    """What became of one message. Scope: `messages:read`."""
    return told(_message(await api.run(lambda: records.message(api.database, message))))


@router.get(
    "/customers/{customer}/messages",
    summary="List a customer's messages",
    response_model=MessagePage,
    responses=documented(404),
    tags=["messages"],
    dependencies=[_MESSAGES],
)
async def list_messages(customer: CustomerId, api: ApiOf, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """The messages of one customer, newest first. Scope: `messages:read`."""
    listing = f"messages|{customer}"
    place = before(api.keyring, listing, cursor)
    found = await api.run(lambda: records.messages(api.database, customer, limit=limit, before=place))
    more = further(api.keyring, listing, found, limit, lambda one: one.created_at)
    return told(MessagePage(messages=[_message(one) for one in found], next=more))


@router.get(
    "/customers/{customer}/timeline",
    summary="Read a customer's timeline",
    response_model=TimelinePage,
    responses=documented(404),
    tags=["timeline"],
    dependencies=[Depends(requires(Scope.TIMELINE_READ))],
)
async def read_timeline(customer: CustomerId, api: ApiOf, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """Everything that was sent, said, decided and changed, newest first: what `outbound customer show` shows.

    It has addresses and what customers said: give the scope to those who talk with customers. Scope: `timeline:read`.
    """
    listing = f"timeline|{customer}"
    place = opened(api.keyring, listing, cursor, 3)
    from_here = Place(at=instant(place[0]), kind=place[1], key=place[2]) if place else None
    identity, entries = await api.run(
        lambda: customer_reads.history(api.database, customer, limit=limit, before=from_here)
    )
    last = entries[-1].place if len(entries) == limit else None
    more = seal(api.keyring, listing, (last.at.isoformat(), last.kind, last.key)) if last else None
    listed = [
        TimelineEntry(
            at=e.at,
            kind=e.kind,
            key=e.key,
            title=e.title,
            channel=e.channel,
            state=e.state,
            reason=e.reason,
            details=dict(e.details),
        )
        for e in entries
    ]
    return told(TimelinePage(customer=identity, entries=listed, next=more))


@router.get("/runs", summary="List runs", response_model=RunPage, tags=["runs"], dependencies=[_RUNS])
async def list_runs(
    api: ApiOf,
    rule: Annotated[Key | None, Query(description="only those of this rule")] = None,
    limit: Annotated[int, Query(ge=1, le=50, description="entries of a page")] = 20,
    cursor: Cursor = None,
) -> Response:
    """Runs, newest first, with their sums. Scope: `runs:read`."""
    listing = f"runs|{rule or ''}"
    place = before(api.keyring, listing, cursor)
    found = await api.run(lambda: records.runs(api.database, rule=rule or "", limit=limit, before=place, now=api.now()))
    more = further(api.keyring, listing, found, limit, lambda one: one.started_at)
    return told(RunPage(runs=[_run(one) for one in found], next=more))


@router.get(
    "/runs/{run}",
    summary="Read one run",
    response_model=ToldRun,
    responses=documented(404),
    tags=["runs"],
    dependencies=[_RUNS],
)
async def read_run(run: Annotated[Key, Path(description="its id")], api: ApiOf) -> Response:
    """One run with its sums: what `outbound report` shows. Scope: `runs:read`."""
    return told(_run(await api.run(lambda: records.run(api.database, run, now=api.now()))))


def _message(one: message_pages.Told) -> ToldMessage:
    return ToldMessage(
        id=one.id,
        customer=one.customer_id or None,
        rule=one.rule,
        run=one.run_id,
        template=one.template,
        topic=one.topic,
        message_class=one.message_class,
        state=one.state,
        reason=one.reason,
        not_before=one.not_before,
        expires=one.expires,
        created_at=one.created_at,
        updated_at=one.updated_at,
        sent_at=one.sent_at,
        turns=[Turn(n=t.n, channel=t.channel, moved_on=t.moved_on, delivered_at=t.delivered_at) for t in one.turns],
    )


def _run(report: RunReport) -> ToldRun:
    sums, money = report.equation, report.costs
    return ToldRun(
        id=report.id,
        rule=report.rule,
        slot=report.slot,
        trigger=report.trigger,
        started_at=report.started_at,
        planned_at=report.planned_at,
        candidates=sums.candidates,
        skipped=sums.skipped,
        messages=sums.messages,
        states=dict(sums.states),
        planning_reasons=dict(sums.planning_reasons),
        planned_cost=[money_text(amount, currency) for currency, amount in sorted(money.planned.items())],
        spent=[money_text(amount, currency) for currency, amount in sorted(money.total.items())],
        waits_for_approval=report.limits.text if report.limits.limited else "",
        holds=sums.holds,
    )
