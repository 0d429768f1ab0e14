"""The gate: nothing leaves that should not, one bad message never stops the others, and the reason is on the record."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from dispatch_world import EMAIL, NOW, SMS, World, add_customers, names, queue, release, ruleset

from outbound.channels.email import mime
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.channels.sms import text
from outbound.domain.condition import Clause, Compare, Literal, Root
from outbound.domain.condition import Path as Attribute
from outbound.domain.message import Lane
from outbound.domain.source import Span
from outbound.services import pauses
from outbound.services.dispatch import SliceReport
from outbound.services.releases import Active
from outbound.storage import tables
from outbound.storage.database import Database


@pytest.fixture
def world(database: Database, tmp_path: Path) -> World:
    """Ten customers, a mailbox folder for e-mail and SMS."""
    add_customers(database, names(10))
    return World(database=database, adapters=mailbox(tmp_path))


def mailbox(folder: Path) -> dict[Any, Any]:
    return {
        EMAIL: MailboxAdapter(folder / "box", channel=EMAIL, pack=mime.pack),
        SMS: MailboxAdapter(folder / "box", channel=SMS, pack=text.pack),
    }


def run(world: World, lane: Lane = Lane.EXPRESS, **more: Any) -> SliceReport:
    """One slice by a fresh worker."""

    async def main() -> SliceReport:
        dispatcher = world.dispatcher()
        report = await dispatcher.run_slice(lane, now=more.pop("now", NOW))
        await dispatcher.close()
        return report

    return asyncio.run(main())


def found(world: World) -> dict[str, Any]:
    with world.database.read() as connection:
        return {row.customer_id: row for row in connection.execute(sa.select(tables.message))}


def files(folder: Path) -> int:
    return len(list((folder / "box").glob("**/*.eml")))


def execute(world: World, statement: sa.Executable) -> None:
    with world.database.write() as connection:
        connection.execute(statement)


def withdraw(world: World, customer: str) -> None:
    changed = tables.consent.update().where(tables.consent.c.customer_id == customer)
    execute(world, changed.values(state="withdrawn"))


def test_a_revocation_before_the_gate_stops_the_message_for_good(world: World, tmp_path: Path) -> None:
    """F56, P5: skipped with the reason, not held, not retried; the others leave."""
    queue(world.database, "news", names(3))
    withdraw(world, "c0002")
    run(world, Lane.BULK)
    rows = found(world)
    assert (rows["c0002"].state, rows["c0002"].reason, rows["c0002"].detail) == ("skipped", "consent", "letters")
    assert [rows[c].state for c in ("c0001", "c0003")] == ["sent", "sent"]
    assert files(tmp_path) == 2
    assert run(world, Lane.BULK, now=NOW + timedelta(days=1)).claimed == 0


def test_an_erased_customer_cancels_the_message(world: World, tmp_path: Path) -> None:
    """F57: no crash, nothing sent, the reason says why."""
    queue(world.database, "receipt", names(3))
    execute(world, tables.customer.delete().where(tables.customer.c.id == "c0002"))
    run(world)
    rows = found(world)
    assert (rows["c0002"].state, rows["c0002"].reason) == ("cancelled", "erased")
    assert rows["c0001"].state == rows["c0003"].state == "sent"
    assert files(tmp_path) == 2


def test_a_merged_customer_is_reached_as_who_they_live_on_as(world: World) -> None:
    queue(world.database, "receipt", ["c0001"])
    changed = tables.customer.update().where(tables.customer.c.id == "c0001")
    execute(world, changed.values(merged_into="c0002"))
    run(world)
    with world.database.read() as connection:
        assert connection.execute(sa.select(tables.leg.c.address)).scalar_one() == "c0002@example.com"


def test_a_withdrawn_rule_sends_nothing(world: World) -> None:
    queue(world.database, "receipt", names(2))
    rules = ruleset()
    world.active = release("r2", rules=replace(rules, rules={"news": rules.rules["news"]}))
    run(world)
    assert {(r.state, r.reason) for r in found(world).values()} == {("cancelled", "rule_withdrawn")}


def test_a_rule_past_its_last_day_sends_nothing(world: World) -> None:
    """``active: {until}`` as a date is inclusive: on the day itself it still sends."""
    queue(world.database, "receipt", ["c0001"])
    queue(world.database, "news", ["c0002"])
    rules = ruleset()
    until = {"receipt": NOW.date() - timedelta(days=1), "news": NOW.date()}
    changed = {name: replace(rule, active_until=until.get(name)) for name, rule in rules.rules.items()}
    world.active = release("r2", rules=replace(rules, rules=changed))
    run(world)
    run(world, Lane.BULK)
    rows = found(world)
    assert (rows["c0001"].state, rows["c0001"].detail) == ("cancelled", "active.until")
    assert rows["c0002"].state == "sent"


def test_what_expired_while_it_was_held_says_by_what(world: World) -> None:
    queue(world.database, "receipt", ["c0001"], expires=NOW, held_by="quiet_hours.IT", state="scheduled")
    run(world)
    row = found(world)["c0001"]
    assert (row.state, row.reason, row.detail) == ("expired", "expired", "quiet_hours.IT")


def test_a_kill_switch_holds_and_then_lets_go(world: World) -> None:
    """Paused is a hold: the message leaves when the switch is off; the first holder stays on the row."""
    queue(world.database, "receipt", names(2))
    execute(world, tables.installation.insert().values(name="paused:rule:receipt", value="wrong price"))
    run(world)
    rows = found(world)
    assert {(r.state, r.reason, r.held_by) for r in rows.values()} == {("scheduled", "paused", "paused.rule")}
    later = NOW + timedelta(seconds=5)
    pauses.resume(world.database, world.active.ruleset, "rule:receipt", by="mia", now=later)
    run(world, now=later)
    assert {r.state for r in found(world).values()} == {"sent"}


def test_a_gate_that_breaks_on_one_message_holds_that_one(world: World, tmp_path: Path) -> None:
    """Fail closed: an exception is no permission. The others go on."""
    queue(world.database, "receipt", names(2))
    broken = {"local_time": "2026-11-24T11:00:00", "zone": "Mars/Olympus"}
    changed = tables.message.update().where(tables.message.c.customer_id == "c0001")
    execute(world, changed.values(**broken))
    run(world)
    rows = found(world)
    assert (rows["c0001"].state, rows["c0001"].reason) == ("scheduled", "paused")
    assert rows["c0001"].detail.startswith("gate_error")
    assert rows["c0002"].state == "sent"
    assert files(tmp_path) == 1


def test_a_person_that_cannot_be_read_holds_only_their_message(world: World) -> None:
    """The set-wise read fails for the whole chunk; each message is then judged alone."""
    queue(world.database, "receipt", names(5))
    changed = tables.address.update().where(tables.address.c.customer_id == "c0003")
    execute(world, changed.values(state="nonsense"))
    report = run(world)
    rows = found(world)
    assert (rows["c0003"].state, rows["c0003"].detail) == ("scheduled", "gate_error KeyError")
    assert [rows[c].state for c in names(5) if c != "c0003"] == ["sent"] * 4
    assert sum(report.states.values()) == report.claimed == 5


def test_who_is_asked_again_of_a_held_message(world: World) -> None:
    """A held message re-evaluates ``who``; one that was never held does not."""
    span = Span("rules/all.yaml", 1, 1)
    country = Compare("==", Attribute(Root.CUSTOMER, "country", span), Literal("IT", span), span)
    rules = ruleset()
    rule = replace(rules.rules["receipt"], who=(Clause(country, "customer.country == 'IT'", span),))
    world.active = release("r2", rules=replace(rules, rules={**rules.rules, "receipt": rule}))
    queue(world.database, "receipt", names(3))
    with world.database.write() as connection:
        held = tables.message.update().where(tables.message.c.customer_id != "c0003")
        connection.execute(held.values(held_by="quiet_hours"))
        connection.execute(tables.customer.update().where(tables.customer.c.id == "c0001").values(country="IT"))
    run(world)
    rows = found(world)
    assert (rows["c0001"].state, rows["c0003"].state) == ("sent", "sent")
    assert (rows["c0002"].state, rows["c0002"].reason, rows["c0002"].detail) == ("skipped", "who", "after_hold")


def test_a_poison_template_stops_its_message_and_no_other(world: World, tmp_path: Path) -> None:
    """F54, F55: missing data or a crash in a template is ``skipped(render)``; the run continues."""
    queue(world.database, "receipt", names(3))
    for customer, context in (("c0001", {"stop": 1}), ("c0002", {"boom": 1})):
        changed = tables.message.update().where(tables.message.c.customer_id == customer)
        execute(world, changed.values(context=context))
    run(world)
    rows = found(world)
    assert (rows["c0001"].state, rows["c0001"].reason, rows["c0001"].detail) == (
        "skipped",
        "render",
        "customer.first_name missing",
    )
    assert (rows["c0002"].state, rows["c0002"].detail) == ("skipped", "error ZeroDivisionError")
    assert rows["c0003"].state == "sent"
    assert files(tmp_path) == 1


def test_marketing_carries_one_click_and_other_classes_do_not(world: World, tmp_path: Path) -> None:
    """RFC 8058 headers only where the class asks for an unsubscribe link."""
    queue(world.database, "news", ["c0001"])
    queue(world.database, "receipt", ["c0002"])
    run(world)
    run(world, Lane.BULK)
    mails = {b"c0001@" in mail: mail for mail in (f.read_bytes() for f in (tmp_path / "box").glob("**/*.eml"))}
    assert b"List-Unsubscribe-Post: List-Unsubscribe=One-Click" in mails[True]
    assert b"List-Unsubscribe" not in mails[False]
    assert b"@shop.example>" in mails[True].split(b"Message-ID: ", 1)[1].split(b"\r\n", 1)[0]


def test_the_first_render_fixes_the_release(database: Database, tmp_path: Path) -> None:
    """F51: the template is that of the release active at the first claim, not of the planning."""
    add_customers(database, ["c0001"])
    world = World(database=database, adapters=mailbox(tmp_path), active=release("r9", "Ciao"))
    queue(database, "receipt", ["c0001"], release="planned")
    run(world)
    assert found(world)["c0001"].release == "r9"
    (mail,) = (tmp_path / "box").glob("**/*.eml")
    assert b"Ciao receipt" in mail.read_bytes()


def test_without_a_release_nothing_is_claimed_for_ever(world: World) -> None:
    """The error is raised, and the messages are given back unspent."""
    queue(world.database, "receipt", names(2))

    def nothing() -> Active | None:
        return None

    async def main() -> None:
        dispatcher = world.dispatcher()
        dispatcher._kit = replace(dispatcher._kit, active=nothing)
        with pytest.raises(Exception, match="no release is active"):
            await dispatcher.run_slice(Lane.EXPRESS, now=NOW)
        await dispatcher.close()

    asyncio.run(main())
    assert {r.state for r in found(world).values()} == {"ready"}
