"""The safety guard: outside production, nothing reaches an address that nobody named."""

import asyncio
from pathlib import Path

import pytest
from channels_kit import Handover, email_parcel, sms_parcel, smtp_adapter

from outbound.app import build, redirections, refused_channels
from outbound.channels.guard import Guarded
from outbound.config import Settings
from outbound.domain.customer import ChannelName
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.storage.database import Database
from outbound.testing.smtp_server import SmtpServer

SECRETS = {"OUTBOUND_SECRET_KEY": "k1:" + "5a" * 32, "OUTBOUND_TWILIO_AUTH_TOKEN": "t"}


def deliver(server: SmtpServer, to: str, *only_to: str, redirect_to: str = "") -> tuple[Outcome, Handover]:
    handover = Handover()

    async def run() -> Outcome:
        guarded = Guarded(smtp_adapter(server), only_to=only_to, redirect_to=redirect_to)
        try:
            return await guarded.deliver(email_parcel(to), handover)
        finally:
            await guarded.close()

    return asyncio.run(run()), handover


@pytest.mark.parametrize("pattern", ["ada@shop.example", "ADA@Shop.Example", "*@shop.example", "*"])
def test_a_named_address_is_reached(smtp_server: SmtpServer, pattern: str) -> None:
    outcome, _ = deliver(smtp_server, "Ada@shop.example", pattern)
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert [entry.recipient for entry in smtp_server.accepted()] == ["Ada@shop.example"]


@pytest.mark.parametrize("pattern", ["ben@shop.example", "*@shop.example.org", "shop.example", "*@*.shop.example"])
def test_any_other_is_refused_before_anything_is_handed_over(smtp_server: SmtpServer, pattern: str) -> None:
    before = smtp_server.connections()
    outcome, handover = deliver(smtp_server, "ada@shop.example", pattern)
    assert (outcome.kind, outcome.enhanced) == (OutcomeKind.REJECTED_POLICY, "guard")
    assert "ada@" not in outcome.text
    assert outcome.suppress == ""
    assert handover.asked == 0
    assert smtp_server.connections() == before


def test_without_any_name_nobody_is_reached(smtp_server: SmtpServer) -> None:
    outcome, _ = deliver(smtp_server, "ada@shop.example")
    assert outcome.kind is OutcomeKind.REJECTED_POLICY


def test_a_redirected_mail_keeps_its_headers_and_goes_elsewhere(smtp_server: SmtpServer) -> None:
    outcome, handover = deliver(smtp_server, "ada@shop.example", redirect_to="me@shop.example")
    assert outcome.kind is OutcomeKind.ACCEPTED
    assert handover.asked == 1
    assert [entry.recipient for entry in smtp_server.accepted()] == ["me@shop.example"]
    assert b"To: ada@shop.example" in smtp_server.messages()[0]


def test_a_named_address_is_not_redirected(smtp_server: SmtpServer) -> None:
    deliver(smtp_server, "ada@shop.example", "ada@*", redirect_to="me@shop.example")
    assert [entry.recipient for entry in smtp_server.accepted()] == ["ada@shop.example"]


def test_a_refused_redirection_never_blocks_the_customer(smtp_server: SmtpServer) -> None:
    """The answer is about the address in ``redirect_to``: suppressing the customer's for it would be wrong."""
    smtp_server.set_modes("rcpt=550 5.1.1 no such user")
    plain, _ = deliver(smtp_server, "ada@shop.example", "*")
    assert (plain.kind, plain.suppress) == (OutcomeKind.REJECTED_RECIPIENT, "bounced.hard")
    redirected, _ = deliver(smtp_server, "ada@shop.example", redirect_to="me@shop.example")
    assert (redirected.kind, redirected.suppress) == (OutcomeKind.REJECTED_POLICY, "")
    assert redirected.text.startswith("safety guard: the address in redirect_to was refused")


def real(**more: object) -> Settings:
    return Settings.model_validate(
        {
            "email": {"adapter": "smtp"},
            "sms": {"adapter": "twilio", "account_sid": "AC1", "from_number": "+15005550006"},
            "secrets": SECRETS,
            **more,
        }
    )


@pytest.mark.parametrize(
    ("settings", "guards"),
    [
        (real(), True),
        (real(environment="test"), True),
        (real(environment="production"), False),
        (real(environment="production", safety={"enabled": True}), True),
        (real(safety={"enabled": False}), False),
    ],
)
def test_the_guard_stands_before_every_real_adapter_outside_production(
    settings: Settings, guards: bool, tmp_path: Path
) -> None:
    built = build(settings, Database(f"sqlite:///{tmp_path / 'x.db'}"))
    assert [isinstance(adapter, Guarded) for adapter in built.adapters.values()] == [guards, guards]


def test_the_mailbox_needs_no_guard(tmp_path: Path) -> None:
    built = build(Settings(root=tmp_path, secrets=SECRETS), Database(f"sqlite:///{tmp_path / 'x.db'}"))
    assert not any(isinstance(adapter, Guarded) for adapter in built.adapters.values())


def test_a_guard_that_lets_nobody_through_is_known_by_channel() -> None:
    email, sms = ChannelName.EMAIL, ChannelName.SMS
    assert refused_channels(real()) == [email, sms]
    assert refused_channels(real(safety={"redirect_to": {"email": "me@shop.example"}})) == [sms]
    assert refused_channels(real(safety={"only_to": ["me@shop.example"]})) == []
    assert refused_channels(real(environment="production")) == []
    assert refused_channels(Settings()) == []
    assert redirections(real(safety={"redirect_to": {"sms": "+39055123456"}})) == {sms: "+39055123456"}


def test_a_phone_number_is_named_by_its_beginning() -> None:
    class Reached(Exception):  # noqa: N818 - it tells that the adapter was asked
        pass

    class Adapter:
        name, capabilities = "x", None

        async def deliver(self, *_: object) -> Outcome:
            raise Reached

    guarded = Guarded(Adapter(), only_to=("+39340*",))  # type: ignore[arg-type]
    with pytest.raises(Reached):
        asyncio.run(guarded.deliver(sms_parcel("+393401234567"), Handover()))
    outcome = asyncio.run(guarded.deliver(sms_parcel("+33612345678"), Handover()))
    assert outcome.kind is OutcomeKind.REJECTED_POLICY
