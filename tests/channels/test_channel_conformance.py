"""What every adapter must do, run against each of them over its real provider or folder."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from channels_kit import (
    Handover,
    deliver,
    deliver_one,
    email_content,
    email_parcel,
    envelope,
    run,
    sms_parcel,
    smtp_adapter,
    twilio_adapter,
)

from outbound.channels.base import Adapter, Parcel
from outbound.channels.email import mime
from outbound.channels.mailbox import MailboxAdapter
from outbound.channels.sms import text
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.outcome import OutcomeKind
from outbound.domain.rendered import EmailEnvelope, Rendered, RenderedSms
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

SECRET = "hunter2-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One adapter with its world: how to make it, what it carries, what arrived, how to make it refuse."""

    make: Callable[[], Adapter]
    parcel: Callable[..., Parcel]
    arrived: Callable[[], int]
    refuse: Callable[[], None]
    content: Rendered
    around: EmailEnvelope | None


@pytest.fixture(params=["smtp", "twilio", "mailbox-email", "mailbox-sms"])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Case:
    """Each adapter."""
    sms = RenderedSms(text="Ciao Marta", segments=1, encoding="GSM-7", language="it")
    if request.param == "smtp":
        server: SmtpServer = request.getfixturevalue("smtp_server")
        return Case(
            make=lambda: smtp_adapter(server),
            parcel=email_parcel,
            arrived=lambda: len(server.accepted()),
            refuse=lambda: server.set_modes(f"rcpt=550 5.1.1 <marta.rossi@example.it> {SECRET} gone"),
            content=email_content(),
            around=envelope(),
        )
    if request.param == "twilio":
        double: TwilioDouble = request.getfixturevalue("twilio_double")
        return Case(
            make=lambda: twilio_adapter(double, auth_token=double.auth_token),
            parcel=sms_parcel,
            arrived=lambda: len(double.accepted()),
            refuse=lambda: double.set_modes(f"request=400 21610 +393401234567 with {double.auth_token} opted out"),
            content=sms,
            around=None,
        )
    folder = tmp_path / "mailbox"
    is_email = request.param == "mailbox-email"

    def refuse() -> None:
        folder.write_text("a file where the folder should be")

    return Case(
        make=lambda: MailboxAdapter(
            folder,
            channel=ChannelName.EMAIL if is_email else ChannelName.SMS,
            pack=mime.pack if is_email else text.pack,
        ),
        parcel=email_parcel if is_email else sms_parcel,
        arrived=lambda: len([*folder.glob("email/*.eml"), *folder.glob("sms/*.txt")]),
        refuse=refuse,
        content=email_content() if is_email else sms,
        around=envelope() if is_email else None,
    )


def test_an_accepted_parcel_arrives_once_with_a_reference(case: Case) -> None:
    """Accepted means: the provider has it once, the handover was asked exactly once."""
    handover = Handover()
    outcome = deliver_one(case.make(), case.parcel(), handover)
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert (case.arrived(), handover.asked) == (1, 1)


def test_a_refused_handover_sends_nothing(case: Case) -> None:
    """Delivery 2.4 step 6: a lost lease means not_sent, and nothing arrives."""
    handover = Handover(answer=False)
    outcome = deliver_one(case.make(), case.parcel(), handover)
    assert outcome.kind is OutcomeKind.NOT_SENT
    assert (case.arrived(), handover.asked) == (0, 1)


def test_after_a_refused_handover_the_next_parcel_still_goes(case: Case) -> None:
    """One lost lease does not poison the connection for others."""

    async def work() -> OutcomeKind:
        adapter = case.make()
        try:
            await adapter.deliver(case.parcel(reference="m1-1"), Handover(answer=False))
            return (await adapter.deliver(case.parcel(reference="m2-1"), Handover())).kind
        finally:
            await adapter.close()

    assert run(work()) is OutcomeKind.ACCEPTED
    assert case.arrived() == 1


def test_an_error_in_the_handover_sends_nothing_and_is_not_swallowed(case: Case) -> None:
    """Delivery 2.4: any error means do not send; a database error is not a provider outcome."""

    async def broken() -> bool:
        raise RuntimeError("the database is gone")

    async def work() -> None:
        adapter = case.make()
        try:
            await adapter.deliver(case.parcel(), broken)
        finally:
            await adapter.close()

    with pytest.raises(RuntimeError, match="database is gone"):
        run(work())
    assert case.arrived() == 0


def test_cancelled_before_the_handover_leaves_nothing(case: Case) -> None:
    """The adapter's contract: cancellation before the handover leaves nothing behind."""

    async def work() -> None:
        adapter = case.make()
        waiting = asyncio.Event()

        async def never() -> bool:
            waiting.set()
            await asyncio.Event().wait()
            return True

        task = asyncio.create_task(adapter.deliver(case.parcel(), never))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await adapter.close()

    run(work())
    assert case.arrived() == 0


def test_a_refusal_is_an_outcome_without_secrets_or_addresses(case: Case) -> None:
    """Never raises; I9: what the provider echoes of the person or the credentials stays out of the record."""
    case.refuse()
    parcel = case.parcel()
    outcome = deliver_one(case.make(), parcel)
    assert outcome.kind in {OutcomeKind.REJECTED_RECIPIENT, OutcomeKind.NOT_SENT}
    assert case.arrived() == 0
    shown = repr(outcome)
    for leak in (parcel.address, parcel.address.lstrip("+"), "marta.rossi", "double-token"):
        assert leak not in shown


def test_closing_twice_is_safe_and_a_later_delivery_connects_anew(case: Case) -> None:
    """Close releases, it does not forbid: a command may run several event loops with one adapter."""
    adapter = case.make()

    async def one(reference: str) -> OutcomeKind:
        await adapter.close()
        kind = (await adapter.deliver(case.parcel(reference=reference), Handover())).kind
        await adapter.close()
        await adapter.close()
        return kind

    assert [run(one("m1-1")), run(one("m2-1"))] == [OutcomeKind.ACCEPTED] * 2
    assert case.arrived() == 2


def test_check_tries_the_account_and_sends_nothing(case: Case) -> None:
    """The doctor's question: "" where a delivery would go through, and nothing arrives for asking."""

    async def work() -> str:
        adapter = case.make()
        try:
            return await adapter.check()
        finally:
            await adapter.close()

    assert run(work()) == ""
    assert case.arrived() == 0


def test_packing_is_pure_and_delivers(case: Case) -> None:
    """Pack gives the same bytes twice, and bytes that can be delivered; foreign content is a programming error."""
    adapter = case.make()
    packed = adapter.pack(case.content, case.around)
    assert packed == adapter.pack(case.content, case.around)
    parcel = case.parcel()
    outcome = deliver_one(
        adapter, Parcel(reference="m9-1", channel=parcel.channel, address=parcel.address, payload=packed)
    )
    assert outcome.kind is OutcomeKind.ACCEPTED


def test_half_a_character_stops_at_packing(case: Case) -> None:
    """A lone surrogate is refused as an OutboundError, which stops that one message."""
    broken: Rendered
    if isinstance(case.content, RenderedSms):
        broken = RenderedSms(text="Ciao \ud83d", segments=1, encoding="UCS-2", language="it")
    else:
        broken = email_content(text="Ciao \ud83d")
    with pytest.raises(OutboundError):
        case.make().pack(broken, case.around)


def test_many_parcels_at_once_all_arrive_once(case: Case) -> None:
    """More parcels than connections: none lost, none doubled."""

    async def work() -> list[OutcomeKind]:
        adapter = case.make()
        try:
            parcels = [case.parcel(reference=f"m{n}-1") for n in range(50)]
            outcomes = await asyncio.gather(*(adapter.deliver(parcel, Handover()) for parcel in parcels))
            return [outcome.kind for outcome in outcomes]
        finally:
            await adapter.close()

    assert run(work()) == [OutcomeKind.ACCEPTED] * 50
    assert case.arrived() == 50


def open_files() -> int:
    """How many files and sockets this process holds."""
    return sum(1 for _ in Path("/dev/fd").iterdir())


def test_nothing_is_opened_before_the_first_delivery(case: Case) -> None:
    """Making an adapter costs no connection: every command builds all of them."""
    before = open_files()
    adapters = [case.make() for _ in range(20)]
    after = open_files()
    assert after == before
    assert deliver(adapters[0]) == []
