"""Who is told by webhook learns of a message that left, or never will, in the transaction that says so."""

import asyncio
from pathlib import Path

from dispatch_world import EMAIL, NOW, World, add_customers, queue

from outbound.channels.base import Handover, Parcel
from outbound.channels.email import mime
from outbound.channels.mailbox.adapter import MailboxAdapter
from outbound.domain.message import Lane
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.services import hooks
from outbound.storage import hook_posts
from outbound.storage.database import Database


def test_what_was_accepted_is_told_and_only_to_who_asked(database: Database, tmp_path: Path) -> None:
    add_customers(database, ["c0001", "c0002"])
    adapter = MailboxAdapter(tmp_path / "box", channel=EMAIL, pack=mime.pack)
    world = World(database=database, adapters={EMAIL: adapter})
    hooks.declare(database, {"erp": frozenset({"message.sent"}), "crm": frozenset({"message.bounced"})})
    ids = queue(database, "receipt", ["c0001", "c0002"])

    async def work() -> None:
        dispatcher = world.dispatcher()
        await dispatcher.run_slice(Lane.EXPRESS, now=NOW)
        await dispatcher.close()

    asyncio.run(work())
    with database.read() as connection:
        told = hook_posts.listed(connection)
    assert sorted((one.hook, one.event, one.customer_id, one.data["message"], one.data["channel"]) for one in told) == [
        ("erp", "message.sent", customer, message, "email")
        for customer, message in zip(["c0001", "c0002"], ids, strict=True)
    ]


class Refusing(MailboxAdapter):
    """A mail server that does not want what we send."""

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:  # noqa: ARG002 - refused before it
        return Outcome(kind=OutcomeKind.REJECTED_POLICY, code=550, enhanced="5.7.1", text="550 5.7.1 c0001@example.org")


def test_what_was_refused_for_good_is_told_without_the_servers_words(database: Database, tmp_path: Path) -> None:
    add_customers(database, ["c0001"])
    world = World(database=database, adapters={EMAIL: Refusing(tmp_path / "box", channel=EMAIL, pack=mime.pack)})
    hooks.declare(database, {"erp": frozenset({"message.failed", "message.sent"})})
    (message,) = queue(database, "receipt", ["c0001"])

    async def work() -> None:
        dispatcher = world.dispatcher()
        await dispatcher.run_slice(Lane.EXPRESS, now=NOW)
        await dispatcher.close()

    asyncio.run(work())
    with database.read() as connection:
        (told,) = hook_posts.listed(connection)
    assert (told.event, told.customer_id) == ("message.failed", "c0001")
    assert told.data == {
        "message": message,
        "rule": "receipt",
        "topic": "orders",
        "channel": "email",
        "reason": "provider",
    }
