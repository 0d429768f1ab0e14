"""webhook: declared in outbound.toml, tried, told by the daemon's courier, listed, posted again."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from http_hook import hook
from trial_shop import Shop

from outbound.app import build
from outbound.config import read_settings
from outbound.runtime.failures import Failures
from outbound.runtime.posting import post_news

STOP = """From: Ada <ada@example.org>
To: hello@shop.example
Subject: unsubscribe
Message-ID: <r1@example.org>

unsubscribe
"""


def declare(shop: Shop, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTBOUND_WEBHOOK_SHOP_ERP_SECRET", shop.run("webhook", "secret").out.strip())
    events = '["message.*", "consent.changed"]'
    shop.settings(f'environment = "test"\n[webhooks.shop-erp]\nurl = "{url}/in"\nevents = {events}\n')


def courier_posts(shop: Shop, enough: Callable[[], bool]) -> None:
    """Let the courier of a daemon work in this process until ``enough``."""

    async def work() -> None:
        with shop.database() as database:
            courier = build(read_settings(shop.folder), database).courier()
            assert courier is not None
            stopping = asyncio.Event()

            async def in_thread(one: Callable[[], Any]) -> Any:
                answer = await asyncio.to_thread(one)
                if enough():
                    stopping.set()
                return answer

            await asyncio.wait_for(post_news(courier, stopping, in_thread=in_thread, failures=Failures()), 20)

    asyncio.run(work())


def test_another_system_is_told_what_happens(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shop.run("webhook", "list").out.startswith("no webhook is declared")
    with hook() as seen:
        declare(shop, seen.url, monkeypatch)
        assert shop.run("webhook", "test", "shop-erp").out == "shop-erp: answered 204\n"
        assert json.loads(seen.requests.pop().body)["type"] == "webhook.test"
        shop.run("mail-in", "--file", str(shop.write("stop.eml", STOP)))
        (waits,) = shop.run("webhook", "deliveries", "shop-erp", "--json").json
        assert (waits["event"], waits["state"], waits["data"]["state"]) == ("consent.changed", "waiting", "withdrawn")
        courier_posts(shop, lambda: bool(seen.requests))
        (told,) = seen.requests
        assert json.loads(told.body)["data"] == {"customer": "ada", "topic": "newsletter", "state": "withdrawn"}
        (row,) = shop.run("webhook", "list", "--json").json
        assert (row["name"], row["state"], row["done"], row["waiting"]) == ("shop-erp", "works", 1, 0)
        replayed = shop.run("webhook", "replay", "shop-erp", told.headers["webhook-id"]).out
        assert replayed == "1 wait to be posted again by `outbound run`\n"
        courier_posts(shop, lambda: len(seen.requests) == 2)
        assert seen.requests[1].headers["webhook-id"] == told.headers["webhook-id"]
        assert "answered 204" in shop.run("webhook", "deliveries", "--state", "done").out
        seen.status = 503
        assert shop.run("webhook", "test", "shop-erp", status=1).out == "shop-erp: answered 503: not taken\n"
    assert shop.run("webhook", "enable", "shop-erp").out == "shop-erp is on: 0 wait to be posted by `outbound run`\n"
    assert "[webhook.unknown]" in shop.run("webhook", "enable", "crm", status=1).err
    assert "[webhook.unknown]" in shop.run("webhook", "test", "crm", status=1).err
    shop.run("webhook", "replay", "shop-erp", status=64)
    shop.run("webhook", "deliveries", "--state", "lost", status=64)


def test_what_cannot_be_signed_or_is_called_so_by_nobody_is_refused(shop: Shop) -> None:
    shop.settings('[webhooks.erp]\nurl = "https://erp.example/in"\n')
    refused = shop.run("webhook", "test", "erp", status=1).err
    assert "set OUTBOUND_WEBHOOK_ERP_SECRET" in refused
    shop.settings('[webhooks.erp]\nurl = "https://erp.example/in"\nevents = ["message.eaten"]\n')
    assert "no event is called 'message.eaten'" in shop.run("webhook", "list", status=1).err
