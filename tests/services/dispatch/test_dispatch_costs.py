"""A leg costs something once its provider accepted it: by channel, country and segments, and nothing before."""

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, SMS, PlainTemplates, World, add_customers, policy, queue, release, ruleset

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.channels.sms import text
from outbound.domain.message import Lane
from outbound.domain.policy import ChannelPolicy
from outbound.domain.rendered import RenderedSms
from outbound.engine.rendering import Templates
from outbound.services.releases import Active
from outbound.storage import costs, tables
from outbound.storage.costs import Spent
from outbound.storage.database import Database
from outbound.testing.smtp_server import SmtpServer

PRICES = {
    EMAIL: ChannelPolicy(cost={"default": 0.0004}, currency="EUR"),
    SMS: ChannelPolicy(cost={"DE": 0.075, "default": 0.09}, currency="EUR"),
}


class LongTexts(PlainTemplates):
    """Every SMS takes two segments."""

    def render(self, *names: Any, **values: Any) -> Any:
        rendered = super().render(*names, **values)
        return replace(rendered, segments=2) if isinstance(rendered, RenderedSms) else rendered


def priced(prices: Mapping[Any, ChannelPolicy] = PRICES) -> Active:
    rules = replace(ruleset(), policy=replace(policy(), channels=prices))
    return replace(release(rules=rules), templates=cast("Templates", LongTexts()))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path, keep=False) as server:
        yield server


@pytest.fixture
def world(database: Database, server: SmtpServer, tmp_path: Path) -> World:
    """Three customers: Germany, France, nobody knows."""
    add_customers(database, ["c0001", "c0002", "c0003"])
    with database.write() as connection:
        for name, country in (("c0001", "DE"), ("c0002", "FR")):
            customer = tables.customer
            connection.execute(customer.update().where(customer.c.id == name).values(country=country))
    email = SmtpAdapter(SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE))
    sms = MailboxAdapter(tmp_path / "box", channel=SMS, pack=text.pack)
    return World(database=database, adapters={EMAIL: email, SMS: sms}, active=priced())


def run(world: World) -> None:
    async def main() -> None:
        dispatcher = world.dispatcher()
        for lane in Lane:
            await dispatcher.run_slice(lane, now=NOW)
        await dispatcher.close()

    asyncio.run(main())


def legs(world: World) -> dict[tuple[str, int], int]:
    with world.database.read() as connection:
        rows = connection.execute(sa.select(tables.leg)).all()
    return {(row.customer_id, row.n): row.cost for row in rows}


def test_a_bounced_mail_costs_nothing_and_the_sms_after_it_costs_its_segments(world: World, server: SmtpServer) -> None:
    """0 for what was not accepted; an SMS of two segments costs twice its country's price."""
    queue(world.database, "both", ["c0001", "c0002", "c0003"])
    server.set_modes("rcpt=550 5.1.1 no such user")
    run(world)
    assert set(legs(world).values()) == {0}
    run(world)
    found = legs(world)
    assert {name: found[name, 2] for name in ("c0001", "c0002", "c0003")} == {
        "c0001": 150_000,
        "c0002": 180_000,
        "c0003": 180_000,
    }
    assert {found[name, 1] for name in ("c0001", "c0002", "c0003")} == {0}


def test_what_was_spent_is_summed_by_channel_and_country(world: World) -> None:
    """Mails cost 400 millionths each; a rule that never ran has spent nothing."""
    queue(world.database, "receipt", ["c0001", "c0002", "c0003"])
    run(world)
    with world.database.read() as connection:
        assert costs.spent(connection, "run-receipt") == tuple(
            Spent(channel="email", country=country, currency="", legs=1, cost=400) for country in ("", "DE", "FR")
        )
        assert costs.spent(connection, "run-other") == ()
        assert sum(one.cost for one in costs.spent(connection, None)) == 1_200


def test_nothing_is_charged_while_nobody_knows(world: World, server: SmtpServer) -> None:
    """An uncertain outcome costs nothing until evidence proves it sent."""
    queue(world.database, "receipt", ["c0001"])
    server.set_modes("sent=close")
    run(world)
    assert legs(world) == {("c0001", 1): 0}
