"""The Twilio adapter against the double, and the double against Twilio's own description of its API."""

import asyncio
import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jsonschema
import pytest
from channels_kit import Handover, deliver, deliver_one, run, sms_parcel, twilio_adapter

from outbound.channels.sms.twilio import TwilioSettings
from outbound.domain.errors import ConfigurationError
from outbound.domain.outcome import OutcomeKind as K
from outbound.testing.twilio_double import TwilioDouble

SERVICE = "MG" + "a" * 32


def test_an_accepted_text_carries_twilios_sid(twilio_double: TwilioDouble) -> None:
    """201: the reference is the sid the ledger holds; only To, From and Body are sent, no reference of ours."""
    outcome = deliver_one(twilio_adapter(twilio_double), sms_parcel())
    entry = twilio_double.accepted()[0]
    assert (outcome.kind, outcome.code, outcome.provider_ref) == (K.ACCEPTED, 201, entry.reference)
    assert (entry.recipient, entry.facts["sender"]) == ("+393401234567", "+15005550006")
    assert entry.facts["fields"] == ["Body", "From", "To"]


def test_sender_by_service_and_status_callback(twilio_double: TwilioDouble) -> None:
    """A messaging service wins over a number; a callback is asked for only where one is set."""
    adapter = twilio_adapter(
        twilio_double, messaging_service_sid=SERVICE, status_callback="https://shop.example/hooks/twilio"
    )
    assert deliver_one(adapter, sms_parcel()).kind is K.ACCEPTED
    entry = twilio_double.accepted()[0]
    assert entry.facts["sender"] == SERVICE
    assert entry.facts["fields"] == ["Body", "MessagingServiceSid", "StatusCallback", "To"]


def test_no_sender_at_all_is_said_before_anything_is_handed_over(twilio_double: TwilioDouble) -> None:
    """An account without a number cannot send; the recipient is not at fault."""
    handover = Handover()
    outcome = deliver_one(twilio_adapter(twilio_double, from_number=""), sms_parcel(), handover)
    assert (outcome.kind, handover.asked) == (K.REJECTED_SENDER, 0)


@pytest.mark.parametrize(
    ("header", "low", "high"), [("30", 30, 30), ("Wed, 21 Oct 2099 07:28:00 GMT", 86400, 86400), ("soon", None, None)]
)
def test_f28_429_is_throttled_with_its_wait(
    twilio_double: TwilioDouble, header: str, low: float | None, high: float | None
) -> None:
    """F28: both forms of Retry-After arrive in seconds; the text was not sent."""
    twilio_double.set_modes(f"request=429 {header}")
    outcome = deliver_one(twilio_adapter(twilio_double), sms_parcel())
    assert outcome.kind is K.THROTTLED
    assert (outcome.retry_after is None) if low is None else (low <= (outcome.retry_after or -1) <= (high or 0))
    assert twilio_double.accepted() == []


@pytest.mark.parametrize(
    ("fault", "arrived"),
    [
        ("sent=hang", 1),
        ("sent=reset", 1),
        ("sent=truncate", 1),
        ("sent=garbage", 1),
        ("request=hang", 0),
        ("request=reset", 0),
        ("request=502", 0),
        ("sent=500", 1),
    ],
)
def test_f29_anything_unclear_after_the_request_is_uncertain(
    twilio_double: TwilioDouble, fault: str, arrived: int
) -> None:
    """F29: POST has no idempotency key, so an answer that never came whole leaves only one honest word."""
    twilio_double.set_modes(fault)
    handover = Handover()
    outcome = deliver_one(twilio_adapter(twilio_double, answer_timeout=0.3), sms_parcel(), handover)
    assert (outcome.kind, handover.asked) == (K.UNCERTAIN, 1)
    assert len(twilio_double.accepted()) == arrived


def test_f29_nothing_is_ever_posted_twice(twilio_double: TwilioDouble) -> None:
    """A reset connection is not retried behind our back by the HTTP client."""
    twilio_double.set_modes("sent=reset times 1")
    deliver_one(twilio_adapter(twilio_double), sms_parcel())
    assert len(twilio_double.accepted()) == 1


def test_f30_an_opted_out_number_is_suppressed(twilio_double: TwilioDouble) -> None:
    """F30: 21610 becomes a local suppression; the echoed number does not reach the record."""
    twilio_double.set_modes("request=400 21610 Attempt to send to unsubscribed recipient +393401234567 for 401234567$")
    first, second = deliver(twilio_adapter(twilio_double), sms_parcel(), sms_parcel("+393409999999"))
    assert (first.kind, first.suppress, first.enhanced) == (K.REJECTED_RECIPIENT, "opted_out", "21610")
    assert "340123" not in first.text
    assert second.kind is K.ACCEPTED


def test_an_invalid_number_is_the_recipients(twilio_double: TwilioDouble) -> None:
    """21211, as the double says of itself."""
    outcome = deliver_one(twilio_adapter(twilio_double), sms_parcel("12"))
    assert (outcome.kind, outcome.enhanced, outcome.suppress) == (K.REJECTED_RECIPIENT, "21211", "bounced.hard")


@pytest.mark.parametrize("change", [{"auth_token": "wrong-secret"}, {"account_sid": "AC" + "f" * 32}])
def test_wrong_credentials_are_an_account_fault(twilio_double: TwilioDouble, change: dict[str, str]) -> None:
    """401: rows go back unspent, the account's breaker opens; no credential in the outcome or the settings' repr."""
    adapter = twilio_adapter(twilio_double, **change)
    outcome = deliver_one(adapter, sms_parcel())
    assert (outcome.kind, outcome.account_fault, outcome.enhanced) == (K.NOT_SENT, True, "20003")

    async def ask_doctor() -> str:
        trouble = await adapter.check()
        await adapter.close()
        return trouble

    trouble = run(ask_doctor())
    assert trouble.startswith("401 ")
    assert "wrong-secret" not in repr(outcome) + repr(adapter._settings) + trouble


def test_503_is_deferred_and_a_refused_connection_not_sent(twilio_double: TwilioDouble, tmp_path: Path) -> None:
    """What provably did nothing may be tried again."""
    twilio_double.set_modes("request=503 5")
    outcome = deliver_one(twilio_adapter(twilio_double), sms_parcel())
    assert (outcome.kind, outcome.retry_after) == (K.DEFERRED, 5.0)
    with TwilioDouble(tmp_path) as gone:
        pass
    assert deliver_one(twilio_adapter(gone), sms_parcel()).kind is K.NOT_SENT


def test_a_redirect_is_never_followed(twilio_double: TwilioDouble) -> None:
    """A POST repeated at another address could be a second text."""
    twilio_double.set_modes("request=307")
    assert deliver_one(twilio_adapter(twilio_double), sms_parcel()).kind is K.NOT_SENT


@pytest.mark.parametrize("base", ["http://api.twilio.com", "ftp://127.0.0.1", "http://127.0.0.1.evil.example"])
def test_credentials_go_over_https_or_stay_on_this_machine(base: str) -> None:
    """api_base is https, or http on loopback."""
    with pytest.raises(ConfigurationError):
        TwilioSettings(account_sid="AC1", auth_token="t", api_base=base)


def test_a_regional_api_base_is_allowed() -> None:
    """Twilio's regions are other host names."""
    assert TwilioSettings(account_sid="AC1", auth_token="t", api_base="https://api.dublin.ie1.twilio.com")


# -- the double against Twilio's OpenAPI file


def ask(double: TwilioDouble, *, form: Mapping[str, str] | None = None, query: str = "") -> tuple[int, dict[str, Any]]:
    """Call the double without any client of ours."""
    url = f"{double.api_base}/2010-04-01/Accounts/{double.account_sid}/Messages.json{query}"
    key = base64.b64encode(f"{double.account_sid}:{double.auth_token}".encode()).decode()
    body = urlencode(form).encode() if form is not None else None
    request = urllib.request.Request(url, data=body, headers={"Authorization": f"Basic {key}"})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, json.load(refused)


def openapi(shared_data: Path) -> dict[str, Any]:
    """Twilio's file with OpenAPI 3.0's ``nullable`` said in JSON Schema's words."""

    def translate(node: Any) -> Any:
        if isinstance(node, list):
            return [translate(item) for item in node]
        if not isinstance(node, dict):
            return node
        made = {name: translate(value) for name, value in node.items() if name != "nullable"}
        if node.get("nullable") and isinstance(made.get("type"), str):
            made["type"] = [made["type"], "null"]
        return made

    description = translate(json.loads((shared_data / "twilio" / "twilio_api_v2010.json").read_text("utf-8")))
    assert isinstance(description, dict)
    return description


def check(instance: Any, description: dict[str, Any], schema: dict[str, Any]) -> None:
    jsonschema.validate(instance, {"components": description["components"], **schema})


@pytest.mark.parametrize("sender", [{"From": "+15005550006"}, {"MessagingServiceSid": SERVICE}])
def test_the_doubles_answers_have_the_shape_twilio_describes(
    twilio_double: TwilioDouble, shared_data: Path, sender: dict[str, str]
) -> None:
    """POST and GET validate against Twilio's OpenAPI file and have exactly the fields of its example."""
    description = openapi(shared_data)
    path = description["paths"]["/2010-04-01/Accounts/{AccountSid}/Messages.json"]
    status, message = ask(twilio_double, form={"To": "+393401234567", "Body": "Ciao", **sender})
    assert str(status) in path["post"]["responses"]
    created = path["post"]["responses"]["201"]["content"]["application/json"]
    check(message, description, created["schema"])
    assert set(message) == set(description["components"]["schemas"]["api.v2010.account.message"]["properties"])
    _, listed = ask(twilio_double, query="?To=%2B393401234567&PageSize=1")
    check(listed, description, path["get"]["responses"]["200"]["content"]["application/json"]["schema"])
    assert listed["messages"][0] == message


def test_the_double_lists_by_recipient_sender_and_day(twilio_double: TwilioDouble) -> None:
    """F29: what reconciling an uncertain text asks for."""
    deliver(twilio_adapter(twilio_double), sms_parcel("+393401111111"), sms_parcel("+393402222222"))
    sids = {entry.recipient: entry.reference for entry in twilio_double.accepted()}
    _, found = ask(twilio_double, query="?To=%2B393402222222&From=%2B15005550006&DateSent%3E=2020-01-01")
    assert sids["+393402222222"] in [message["sid"] for message in found["messages"]]
    assert sids["+393401111111"] not in [message["sid"] for message in found["messages"]]
    assert ask(twilio_double, query="?DateSent%3C=2020-01-01")[1]["messages"] == []


def test_the_double_refuses_like_twilio(twilio_double: TwilioDouble) -> None:
    """Each error carries code, message, more_info and status."""
    for form, code in (
        ({"Body": "x", "From": "+1500"}, 21604),
        ({"To": "12", "Body": "x", "From": "+1500"}, 21211),
        ({"To": "+393401234567", "Body": "x"}, 21603),
        ({"To": "+393401234567", "From": "+1500"}, 21602),
    ):
        status, error = ask(twilio_double, form=form)
        assert (status, error["code"], set(error)) == (400, code, {"code", "message", "more_info", "status"})


def test_the_vendors_library_logs_nothing(twilio_double: TwilioDouble, caplog: pytest.LogCaptureFixture) -> None:
    """I9: at the most talkative level, no log line carries the number, the text or the token."""
    with caplog.at_level("DEBUG"):
        run_outcome = deliver_one(twilio_adapter(twilio_double), sms_parcel())
    assert run_outcome.kind is K.ACCEPTED
    for leak in ("3401234567", "pacco", twilio_double.auth_token):
        assert leak not in caplog.text


def test_cancelled_while_waiting_for_the_answer_is_no_outcome(twilio_double: TwilioDouble) -> None:
    """Shutdown after the handover raises: the row stays in handoff, and recovery will call it uncertain."""
    twilio_double.set_modes("sent=hang")

    async def work() -> None:
        adapter = twilio_adapter(twilio_double, answer_timeout=30)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await adapter.deliver(sms_parcel(), Handover())
        await adapter.close()

    run(work())
