"""Customers as other systems write and read them, and how they want to be contacted."""

import json
from datetime import time
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import Field, StringConstraints, model_validator

from outbound.domain.access import Scope
from outbound.domain.customer import ChannelName, Customer, OwnQuietHours, Pause, Preference
from outbound.domain.errors import OutboundError
from outbound.interfaces.http.api.access import ApiOf, Caller, IdempotencyKey, repeatable, requires
from outbound.interfaces.http.api.answers import given, told
from outbound.interfaces.http.api.cursors import Cursor, Limit, opened, seal
from outbound.interfaces.http.api.problems import documented
from outbound.interfaces.http.api.values import Clock, Day, FieldName, Key, Line, Moment, Scalar, Strict, Told
from outbound.services import customer_reads, idempotency
from outbound.services.customer_writes import write
from outbound.services.idempotency import Answer
from outbound.services.preferences import set_preferences

router = APIRouter(tags=["customers"])

CustomerId = Annotated[Key, Path(description="the customer's id; one that was merged leads to who it lives on as")]


class CustomerFields(Strict):
    """Attributes by their names in rules/schema.yaml; email, phone, country, language and timezone among them."""

    attributes: dict[FieldName, Scalar] = Field(max_length=200, description="null removes one")


class ToldCustomer(Told):
    """A customer as rules and templates see them."""

    id: str
    attributes: dict[str, Scalar]
    unreachable: list[str] = Field(description="attributes that hold an address which cannot be reached")
    updated_at: Moment | None


class WrittenCustomer(ToldCustomer):
    """A customer as the record has them now."""

    new: bool
    changed: list[str] = Field(description="what really changed")


class CustomerPage(Told):
    """Customers in the order of their ids."""

    customers: list[ToldCustomer]
    next: str | None = Field(description="cursor of the next page; null at the end")


class Lookup(Strict):
    """Either of the two."""

    email: Line | None = None
    phone: Line | None = Field(default=None, description="in E.164: +39333...")

    @model_validator(mode="after")
    def _one(self) -> "Lookup":
        if (self.email is None) == (self.phone is None):
            raise ValueError("give either email or phone")
        return self


class Found(Told):
    """The ids of those who have the address."""

    customers: list[str]


class QuietHours(Strict):
    """Hours without messages, in the person's zone; they may cross midnight."""

    start: Clock
    end: Clock


class PauseDays(Strict):
    """Days without messages, the first and the last included."""

    start: Day
    end: Day


class Preferences(Strict):
    """How the person wants to be contacted. What is null is not stated."""

    channel: Literal["email", "sms", "push", "whatsapp", "voice", "letter", "inbox", "chat"] | None = None
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")] | None = None
    timezone: Annotated[str, StringConstraints(max_length=60, pattern=r"^[A-Za-z0-9_+/-]+$")] | None = None
    quiet_hours: QuietHours | None = None
    pause: PauseDays | None = None


_READ = Depends(requires(Scope.CUSTOMERS_READ))
_WRITE = Depends(requires(Scope.CUSTOMERS_WRITE))


@router.get("/customers", summary="List customers", response_model=CustomerPage, dependencies=[_READ])
async def list_customers(api: ApiOf, limit: Limit = 50, cursor: Cursor = None) -> Response:
    """All customers, in the order of their ids. Scope: `customers:read`."""
    after = opened(api.keyring, "customers", cursor, 1)
    found = await api.run(lambda: customer_reads.page(api.database, after=after[0] if after else "", limit=limit))
    more = seal(api.keyring, "customers", (found[-1].id,)) if len(found) == limit else None
    return told(CustomerPage(customers=[_as_told(one) for one in found], next=more))


@router.post("/customers/lookup", summary="Find customers by address", response_model=Found, dependencies=[_READ])
async def look_up(body: Lookup, api: ApiOf) -> Response:
    """Who has this e-mail address or phone number. Addresses stand in no URL. Scope: `customers:read`."""
    found = await api.run(lambda: customer_reads.with_address(api.database, api.keyring, body.email, body.phone))
    return told(Found(customers=list(found)))


@router.get(
    "/customers/{customer}",
    summary="Read one customer",
    response_model=ToldCustomer,
    responses=documented(404),
    dependencies=[_READ],
)
async def read(customer: CustomerId, api: ApiOf) -> Response:
    """One customer. Scope: `customers:read`."""
    return told(_as_told(await api.run(lambda: customer_reads.one(api.database, customer))))


class _Writing:
    """One request that writes a customer: whom, what, on whose behalf, and whether it was asked before."""

    def __init__(
        self,
        customer: CustomerId,
        body: CustomerFields,
        request: Request,
        api: ApiOf,
        caller: Annotated[Caller, _WRITE],
        idempotency_key: IdempotencyKey = None,
    ) -> None:
        self._customer, self._body, self._request = customer, body, request
        self._api, self._caller, self._key = api, caller, idempotency_key

    async def answer(self, *, whole: bool) -> Response:
        """Write the customer and answer what the record has now."""
        api, again = self._api, await repeatable(self._request, self._caller, self._key)
        schema, now = (await api.declared()).schema, api.now()

        def work() -> Answer:
            done = write(
                api.database,
                api.keyring,
                schema,
                customer_id=self._customer,
                fields=self._body.attributes,
                whole=whole,
                source=self._caller.name,
                now=now,
            )
            told_now = _as_told(done.customer).model_dump(mode="json")
            answer = told_now | {"new": done.new, "changed": list(done.changed)}
            return Answer(status=201 if done.new else 200, body=json.dumps(answer, ensure_ascii=False))

        return given(await api.run(lambda: idempotency.once(api.database, again, work, now=now)))


@router.put(
    "/customers/{customer}",
    summary="Create or replace one customer",
    response_model=WrittenCustomer,
    responses={201: {"model": WrittenCustomer, "description": "The customer is new"}},
)
async def replace(writing: Annotated[_Writing, Depends()]) -> Response:
    """Store a customer as a whole: attributes that are not named are removed, preferences and consents stay.

    Scope: `customers:write`.
    """
    return await writing.answer(whole=True)


@router.patch(
    "/customers/{customer}",
    summary="Change one customer",
    response_model=WrittenCustomer,
    responses=documented(404),
)
async def change(writing: Annotated[_Writing, Depends()]) -> Response:
    """Change the attributes that are named; null removes one. Scope: `customers:write`."""
    return await writing.answer(whole=False)


@router.get(
    "/customers/{customer}/preferences",
    summary="Read a customer's preferences",
    response_model=Preferences,
    responses=documented(404),
    dependencies=[_READ],
)
async def read_preferences(customer: CustomerId, api: ApiOf) -> Response:
    """How the person wants to be contacted. Scope: `customers:read`."""
    found = await api.run(lambda: customer_reads.one(api.database, customer))
    return told(_preferences(found.preference))


@router.put(
    "/customers/{customer}/preferences",
    summary="Store a customer's preferences",
    response_model=Preferences,
    responses=documented(404),
)
async def store_preferences(
    customer: CustomerId, body: Preferences, api: ApiOf, caller: Annotated[Caller, _WRITE]
) -> Response:
    """Store how the person wants to be contacted, as a whole: it holds for every message that has not left yet.

    Scope: `customers:write`.
    """
    wanted = _wanted(body)
    await api.run(
        lambda: set_preferences(
            api.database, customer_id=customer, preference=wanted, source=caller.name, now=api.now()
        )
    )
    found = await api.run(lambda: customer_reads.one(api.database, customer))
    return told(_preferences(found.preference))


def _as_told(customer: Customer) -> ToldCustomer:
    return ToldCustomer(
        id=customer.id,
        attributes=customer_reads.attributes(customer),
        unreachable=customer_reads.unreachable(customer),
        updated_at=customer.updated_at,
    )


def _preferences(known: Preference) -> Preferences:
    hours, pause = known.quiet_hours, known.pauses[0] if known.pauses else None
    return Preferences.model_construct(
        channel=known.channel.value if known.channel else None,
        language=known.language,
        timezone=known.timezone,
        quiet_hours=QuietHours.model_construct(start=f"{hours.start:%H:%M}", end=f"{hours.end:%H:%M}")
        if hours
        else None,
        pause=PauseDays.model_construct(start=pause.start, end=pause.end) if pause else None,
    )


def _wanted(body: Preferences) -> Preference:
    customer_reads.require_zone(body.timezone)
    hours, pause = body.quiet_hours, body.pause
    if hours is not None and hours.start == hours.end:
        raise OutboundError("preference.hours", "quiet hours begin when they end", "leave them out, or name two hours")
    if pause is not None and pause.end < pause.start:
        raise OutboundError("preference.pause", "the pause ends before it begins", "give the first day as start")
    return Preference(
        channel=ChannelName(body.channel) if body.channel else None,
        language=body.language,
        timezone=body.timezone,
        quiet_hours=OwnQuietHours(start=time.fromisoformat(hours.start), end=time.fromisoformat(hours.end))
        if hours
        else None,
        pauses=(Pause(start=pause.start, end=pause.end),) if pause else (),
    )
