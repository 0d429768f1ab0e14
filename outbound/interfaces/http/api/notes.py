"""What customers said, and notes of calls, visits and chats."""

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints

from outbound.domain.access import Scope
from outbound.domain.interaction import Interaction, InteractionKind
from outbound.interfaces.http.api.access import ApiOf, Caller, IdempotencyKey, repeatable, requires
from outbound.interfaces.http.api.answers import given, told
from outbound.interfaces.http.api.cursors import Cursor, Limit, before, further
from outbound.interfaces.http.api.customers import CustomerId
from outbound.interfaces.http.api.problems import documented
from outbound.interfaces.http.api.values import Instant, Key, Moment, Strict, Text, Told
from outbound.services import idempotency, notes
from outbound.services.event_intake import own_id
from outbound.services.idempotency import Answer

router = APIRouter(tags=["interactions"])


class NewInteraction(Strict):
    """A contact as somebody noted it."""

    kind: Literal["call", "visit", "chat", "other"]
    text: Annotated[Text, StringConstraints(min_length=1)] = Field(description="what was said")
    about: Key | None = Field(default=None, description="the id of the message of ours that it answers")
    at: Instant | None = Field(default=None, description="when it happened; now, unless given")
    by: Key | None = Field(default=None, description="who spoke with the customer")
    id: Key | None = Field(default=None, description="your own id of it: the same note again changes nothing")


class ToldInteraction(Told):
    """A contact on the customer's timeline. `reply` and `message` came in by themselves."""

    id: str
    customer: str
    kind: str
    channel: str | None
    subject: str
    text: str
    about: str | None = Field(description="the message of ours that it answers")
    by: str
    source: str
    attention: str = Field(description="why a person should read it; empty: no need")
    at: Moment
    recorded_at: Moment


class RecordedInteraction(ToldInteraction):
    """A note that is on record, durably."""

    new: bool = Field(description="false: it was on record before, and nothing changed")


class InteractionPage(Told):
    """Contacts, newest first."""

    interactions: list[ToldInteraction]
    next: str | None = Field(description="cursor of the next page; null at the end")


@router.post(
    "/customers/{customer}/interactions",
    status_code=201,
    summary="Note a contact",
    response_model=RecordedInteraction,
    responses={200: {"model": RecordedInteraction, "description": "It was on record before"}, **documented(404, 409)},
)
async def note(
    customer: CustomerId,
    body: NewInteraction,
    request: Request,
    api: ApiOf,
    caller: Annotated[Caller, Depends(requires(Scope.INTERACTIONS_WRITE))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Write down a call, a visit or a chat: it stands on the timeline beside what was sent, under what it answers.

    Rules that listen to `interaction.noted` learn of it. Scope: `interactions:write`.
    """
    again, now = await repeatable(request, caller, idempotency_key), api.now()

    def work() -> Answer:
        contact, new = notes.note(
            api.database,
            customer_id=customer,
            kind=InteractionKind(body.kind),
            text=body.text,
            about=body.about or "",
            by=body.by or caller.key.name,
            source=caller.name,
            key=body.id or own_id(again) or "",
            at=body.at,
            now=now,
        )
        answer = _as_told(contact).model_dump(mode="json") | {"new": new}
        return Answer(status=201 if new else 200, body=json.dumps(answer, ensure_ascii=False))

    return given(await api.run(lambda: idempotency.once(api.database, again, work, now=now)))


@router.get(
    "/customers/{customer}/interactions",
    summary="List a customer's contacts",
    response_model=InteractionPage,
    responses=documented(404),
    dependencies=[Depends(requires(Scope.TIMELINE_READ))],
)
async def list_interactions(customer: CustomerId, api: ApiOf, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """What the customer said, newest first: replies, texts and notes. Scope: `timeline:read`."""
    listing = f"interactions|{customer}"
    place = before(api.keyring, listing, cursor)
    found = await api.run(lambda: notes.listed(api.database, customer, limit=limit, before=place))
    more = further(api.keyring, listing, found, limit, lambda one: one.at)
    return told(InteractionPage(interactions=[_as_told(one) for one in found], next=more))


def _as_told(contact: Interaction) -> ToldInteraction:
    return ToldInteraction(
        id=contact.id,
        customer=contact.customer_id,
        kind=contact.kind.value,
        channel=contact.channel.value if contact.channel else None,
        subject=contact.subject,
        text=contact.text,
        about=contact.message_id or None,
        by=contact.by,
        source=contact.source,
        attention=contact.attention,
        at=contact.at,
        recorded_at=contact.recorded_at,
    )
