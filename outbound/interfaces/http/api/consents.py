"""What customers agreed to or took back, with its proof, and blocks on addresses."""

import json
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field, StringConstraints

from outbound.domain.access import Scope
from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.interfaces.http.api.access import ApiOf, Caller, IdempotencyKey, repeatable, requires
from outbound.interfaces.http.api.answers import given, told
from outbound.interfaces.http.api.context import Api
from outbound.interfaces.http.api.customers import CustomerId
from outbound.interfaces.http.api.problems import documented
from outbound.interfaces.http.api.values import Instant, Key, Line, Moment, Strict, Text, Told
from outbound.services import consents, idempotency
from outbound.services.idempotency import Answer

router = APIRouter(tags=["consents"])

Channel = Literal["email", "sms", "push", "whatsapp", "voice", "letter", "inbox", "chat"]


class NewEvidence(Strict):
    """What proves it (GDPR art. 7(1)). The key that sends it is written down too."""

    source: Key = Field(description="the form, call or paper it was given on", examples=["checkout form 3"])
    wording: Text = Field(default="", description="the exact words shown; a consent that is granted needs them")
    language: Annotated[str, StringConstraints(max_length=20, pattern=r"^[A-Za-z0-9-]*$")] = ""
    ip: Annotated[str, StringConstraints(max_length=45, pattern=r"^[0-9A-Fa-f.:]*$")] = ""
    user_agent: Annotated[Line, StringConstraints(max_length=200)] = ""


class NewConsent(Strict):
    """A word of the person about a topic."""

    topic: Key = Field(description="a topic of rules/policy.yaml")
    channel: Channel | None = Field(default=None, description="null: every channel")
    state: Literal["granted", "withdrawn"]
    at: Instant | None = Field(default=None, description="when they said so; now, unless given")
    evidence: NewEvidence


class RecordedConsent(Told):
    """A word that is on the ledger, durably."""

    customer: str
    topic: str
    channel: str | None
    state: str
    new: bool = Field(description="false: it stood already")


class StandingConsent(Told):
    """What stands now."""

    topic: str
    channel: str | None = Field(description="null: every channel")
    state: str


class Consents(Told):
    """What the person says now, by topic and channel. What is not listed was never said: that is no consent."""

    customer: str
    consents: list[StandingConsent]


class Address(Strict):
    """An address of one channel."""

    channel: Literal["email", "sms"]
    address: Annotated[Line, StringConstraints(min_length=1, max_length=254)] = Field(
        description="a phone number in E.164"
    )


class NewSuppression(Address):
    """A block on an address. It holds for whoever has the address, now or later."""

    scope: Literal["all", "security", "transactional", "service", "marketing"] = Field(
        default="all", description="which messages are blocked"
    )
    reason: Key = Field(examples=["asked by telephone"])


class Suppressed(Told):
    """The block is on record, durably."""

    new: bool = Field(description="false: it stood already, and keeps its first reason")


class Block(Told):
    """One block."""

    scope: str
    reason: str
    at: Moment


class Blocks(Told):
    """The blocks on one address; the record knows the address by a keyed hash alone."""

    blocks: list[Block]


@router.get(
    "/customers/{customer}/consents",
    summary="Read a customer's consents",
    response_model=Consents,
    responses=documented(404),
    dependencies=[Depends(requires(Scope.CUSTOMERS_READ))],
)
async def read(customer: CustomerId, api: ApiOf) -> Response:
    """What the person says now. Scope: `customers:read`."""
    identity, found = await api.run(lambda: consents.standing(api.database, customer))
    listed = [StandingConsent(topic=t, channel=c or None, state=e.state.value) for (t, c), e in found]
    return told(Consents(customer=identity, consents=listed))


@router.post(
    "/customers/{customer}/consents",
    status_code=201,
    summary="Record a consent or its withdrawal",
    response_model=RecordedConsent,
    responses={200: {"model": RecordedConsent, "description": "It stood already"}, **documented(404, 409)},
)
async def record(
    customer: CustomerId,
    body: NewConsent,
    request: Request,
    api: ApiOf,
    caller: Annotated[Caller, Depends(requires(Scope.CONSENTS_WRITE))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Append what the person said to the ledger. A withdrawal holds for every message that has not left yet.

    Scope: `consents:write`.
    """
    if body.topic not in (await api.declared()).topics:
        raise OutboundError("consent.topic", "rules/policy.yaml has no such topic", "see `topics` there")
    again, now = await repeatable(request, caller, idempotency_key), api.now()
    work = api.run(lambda: idempotency.once(api.database, again, lambda: _record(api, customer, body, caller), now=now))
    return given(await work)


@router.post(
    "/suppressions",
    status_code=201,
    summary="Block an address",
    response_model=Suppressed,
    responses={200: {"model": Suppressed, "description": "It was blocked before"}, **documented(409)},
    tags=["suppressions"],
)
async def suppress(
    body: NewSuppression,
    request: Request,
    api: ApiOf,
    caller: Annotated[Caller, Depends(requires(Scope.SUPPRESSIONS_WRITE))],
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Block an address before the next message leaves. Kept as a keyed hash: it survives erasure and import.

    Scope: `suppressions:write`.
    """
    again, now = await repeatable(request, caller, idempotency_key), api.now()

    def work() -> Answer:
        new = consents.block(
            api.database,
            api.keyring,
            channel=ChannelName(body.channel),
            address=body.address,
            scope=body.scope,
            reason=body.reason,
            now=now,
        )
        return Answer(status=201 if new else 200, body=json.dumps({"new": new}))

    return given(await api.run(lambda: idempotency.once(api.database, again, work, now=now)))


@router.post(
    "/suppressions/lookup",
    summary="Read the blocks on an address",
    response_model=Blocks,
    tags=["suppressions"],
    dependencies=[Depends(requires(Scope.SUPPRESSIONS_READ))],
)
async def look_up(body: Address, api: ApiOf) -> Response:
    """Whether an address is blocked. Addresses stand in no URL. Scope: `suppressions:read`."""
    channel = ChannelName(body.channel)
    found = await api.run(lambda: consents.blocks(api.database, api.keyring, channel=channel, address=body.address))
    return told(Blocks(blocks=[Block(scope=b.scope, reason=b.reason, at=b.at) for b in found]))


def _record(api: Api, customer: str, body: NewConsent, caller: Caller) -> Answer:
    proof = body.evidence
    identity, new = consents.say(
        api.database,
        customer_id=customer,
        topic=body.topic,
        channel=ChannelName(body.channel) if body.channel else None,
        granted=body.state == "granted",
        evidence=Evidence(
            source=proof.source,
            wording=proof.wording,
            language=proof.language,
            actor=caller.name,
            ip=proof.ip,
            user_agent=proof.user_agent,
        ),
        at=body.at,
        now=api.now(),
    )
    answer = {"customer": identity, "topic": body.topic, "channel": body.channel, "state": body.state, "new": new}
    return Answer(status=201 if new else 200, body=json.dumps(answer, ensure_ascii=False))
