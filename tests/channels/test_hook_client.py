"""News for other systems: signed, to where an operator named, and never inside by a trick (F77)."""

import asyncio
import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from http_hook import hook

from outbound.channels.hook_client import Answer, HookClient, HookTarget, body_of, secret_variable, signature
from outbound.channels.inside import GuardedResolver, InsideError, Reach
from outbound.domain.errors import ConfigurationError
from outbound.domain.hook import Post, PostState

NOW = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)
KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
OTHER = "whsec_" + base64.b64encode(bytes(24)).decode()
POST = Post(
    id="0193a1b2c3d47e5f8a9b0c1d2e3f4a5b",
    hook="erp",
    event="message.bounced",
    customer_id="C-1",
    data={"message": "m1", "channel": "email"},
    at=NOW,
    state=PostState.WAITING,
    tries=0,
    due_at=NOW,
)


def target(url: str, **more: Any) -> HookTarget:
    return HookTarget(name="erp", url=url, **{"secrets": (SECRET,), **more})


def post(one: HookTarget) -> Answer:
    async def ask() -> Answer:
        client = HookClient({"erp": one})
        answer = await client.post(POST, now=NOW)
        await client.close()
        return answer

    return asyncio.run(ask())


def test_the_signature_is_that_of_the_specifications_own_example() -> None:
    """The vector that the libraries of standardwebhooks.com test themselves with."""
    made = signature(
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",),
        identity="msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_post_can_be_proven_by_its_receiver_under_each_secret() -> None:
    with hook() as seen:
        one = target(f"{seen.url}/in", loopback=True, secrets=(SECRET, OTHER))
        assert post(one).taken
        [got] = seen.requests
    assert got.headers["webhook-id"] == f"msg_{POST.id}"
    assert got.headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    signed = f"{got.headers['webhook-id']}.{got.headers['webhook-timestamp']}.".encode() + got.body
    wanted = [base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode() for key in (KEY, bytes(24))]
    assert got.headers["webhook-signature"] == f"v1,{wanted[0]} v1,{wanted[1]}"
    assert json.loads(got.body) == {
        "type": "message.bounced",
        "timestamp": "2026-11-30T12:00:00Z",
        "data": {"customer": "C-1", "message": "m1", "channel": "email"},
    }
    assert body_of(POST) == got.body
    assert SECRET not in repr(one)


def test_only_a_2xx_is_taken_a_redirect_is_not_followed_and_waiting_is_heard() -> None:
    with hook() as seen:
        for status in (302, 410, 500):
            seen.status = status
            assert (post(target(seen.url, loopback=True)).taken, len(seen.requests)) == (False, 1)
            seen.requests.clear()
        seen.status, seen.headers = 429, {"Retry-After": "120"}
        assert post(target(seen.url, loopback=True)) == Answer(status=429, text="answered 429", retry_after=120.0)
        url = seen.url
    assert post(target(url, loopback=True)) == Answer(status=None, text="no answer: ClientConnectorError")


INSIDE = (
    *("127.0.0.1", "127.1", "2130706433", "10.0.0.7", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),  # noqa: S104 - nothing is bound
    *("100.64.0.1", "198.18.0.1", "224.0.0.1", "255.255.255.255", "[::1]", "[::]", "[fe80::1]", "[fd00::1]"),
    *("[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[ff02::1]"),
    *("localhost", "0x7f000001", "017700000001", "127.0.0.1.", "①②⑦.⓪.⓪.①"),
)


@pytest.mark.parametrize("host", INSIDE)
def test_f77_no_spelling_of_an_inside_address_is_reached(host: str) -> None:
    """F77: nothing is connected to: a server that listens there sees nobody."""
    with hook() as seen:
        answer = post(target(f"https://{host}:{seen.url.rpartition(':')[2]}/"))
        assert not seen.requests
    assert answer.status is None
    assert "inside" in answer.text or answer.text.startswith("no answer: InvalidUrl"), answer


def test_f77_one_inside_answer_of_a_resolver_refuses_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """F77: a name with an open and an inside address (rebinding) is refused; what is judged is what is connected to."""

    async def resolve(answers: list[str], reach: Reach) -> list[str]:
        async def told(*_: object, **__: object) -> list[Any]:
            return [(2, 1, 6, "", (one, 443)) for one in answers]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", told, raising=False)
        return [one["host"] for one in await GuardedResolver(reach).resolve("hooks.example", 443)]

    assert asyncio.run(resolve(["93.184.215.14"], Reach())) == ["93.184.215.14"]
    with pytest.raises(InsideError):
        asyncio.run(resolve(["93.184.215.14", "10.0.0.7"], Reach()))


def test_f77_an_operator_opens_single_networks() -> None:
    """F77: what [webhooks] networks names can be reached, and nothing beside it."""
    one = target("https://10.1.2.3/", networks=("10.1.0.0/16",)).reach
    assert (one.allows("10.1.2.3"), one.allows("10.2.2.3"), one.allows("127.0.0.1")) == (True, False, False)
    assert one.allows("::ffff:10.1.2.3")
    assert not one.allows("::ffff:10.2.2.3")


@pytest.mark.parametrize(
    ("url", "secrets", "said"),
    [
        ("http://hooks.example/x", (SECRET,), "must begin with https"),
        ("http://127.0.0.1/x", (SECRET,), "must begin with https"),
        ("https://name:word@hooks.example/", (SECRET,), "not a plain URL"),
        ("https:///x", (SECRET,), "not a plain URL"),
        ("https://hooks.example/", (), "no secret"),
        ("https://hooks.example/", ("whsec_c2hvcnQ=",), "24 to 64 bytes"),
        ("https://hooks.example/", ("plain words",), "24 to 64 bytes"),
    ],
)
def test_news_leaves_encrypted_and_signed_or_not_at_all(url: str, secrets: tuple[str, ...], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        target(url, secrets=secrets)
    assert secret_variable("shop-erp") == "OUTBOUND_WEBHOOK_SHOP_ERP_SECRET"
