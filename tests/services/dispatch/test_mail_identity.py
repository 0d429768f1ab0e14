"""Through the whole dispatcher: who a mail says it is from, which list, which signature, and where it bounces to."""

import asyncio
import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dkim
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from dispatch_world import EMAIL, KEYRING, NOW, World, add_customers, names, policy, queue, release, ruleset

from outbound.app import build
from outbound.channels.base import Parcel
from outbound.channels.email import mime
from outbound.channels.email.dkim import Signer
from outbound.channels.email.dkim_keys import DkimKey
from outbound.channels.email.signed_address import SignedAddress
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.config import read_settings
from outbound.domain.errors import ConfigurationError
from outbound.domain.message import Lane
from outbound.domain.rendered import EmailEnvelope, RenderedEmail
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.testing.smtp_server import SmtpServer

BOUNCES = SignedAddress("bounces@bounces.shop.example", KEYRING)
REPLIES = SignedAddress("reply@replies.shop.example", KEYRING, "reply")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SmtpServer]:
    """A server of this test's own."""
    with SmtpServer(tmp_path) as server:
        yield server


def new_key(selector: str) -> DkimKey:
    return DkimKey(domain="shop.example", selector=selector, private=Ed25519PrivateKey.generate())


def adapter(server: SmtpServer, key: DkimKey) -> dict[Any, Any]:
    account = SmtpSettings(host="127.0.0.1", port=server.port, tls=Tls.NONE)
    return {EMAIL: SmtpAdapter(account, signer=Signer((key,)), bounces=BOUNCES)}


def run(world: World, lane: Lane = Lane.EXPRESS, *, minutes: int = 0) -> None:
    async def main() -> None:
        dispatcher = world.dispatcher()
        await dispatcher.run_slice(lane, now=NOW + timedelta(minutes=minutes))
        await dispatcher.close()

    asyncio.run(main())


def rows(database: Database) -> dict[str, Any]:
    with database.read() as connection:
        return {row.customer_id: row for row in connection.execute(sa.select(tables.message))}


def verifies(raw: bytes, key: DkimKey) -> bool:
    records = {f"{key.record_name}.".encode(): key.record.encode()}
    return bool(dkim.DKIM(raw).verify(dnsfunc=lambda name, timeout=5: records.get(name)))  # noqa: ARG005 - dkimpy's call


def test_c10_what_people_can_decline_has_a_list_id_and_nothing_else_has(database: Database, server: SmtpServer) -> None:
    """C10, RFC 2919: marketing and opt-out topics are lists under the sender's domain; a login code is none."""
    rules = ruleset()
    known = policy()
    topics = {**known.topics, "orders": replace(known.topics["orders"], opt_out=True)}
    rules = replace(rules, policy=replace(known, topics=topics))
    add_customers(database, names(3))
    world = World(database=database, adapters=adapter(server, new_key("s1")), active=release(rules=rules))
    for rule, customer in (("news", "c0001"), ("receipt", "c0002"), ("code", "c0003")):
        queue(database, rule, [customer])
    run(world)
    run(world, Lane.BULK)
    found = {}
    for raw in server.messages():
        to = re.search(rb"\r\nTo: (\w+)@", raw)
        assert to is not None
        found[to[1].decode()] = re.findall(rb"\r\nList-Id: (.*)\r\n", raw)
    assert found == {"c0001": [b"<letters.shop.example>"], "c0002": [b"<orders.shop.example>"], "c0003": []}


def test_a_retry_is_the_same_signed_bytes_and_comes_back_to_the_same_places(
    database: Database, server: SmtpServer
) -> None:
    """Delivery 2.2: after a refusal after the dot, body, signature, envelope sender and Reply-To are as before."""
    key = new_key("s1")
    add_customers(database, names(1))
    world = World(database=database, adapters=adapter(server, key), reply_to=REPLIES.of)
    (message,) = queue(database, "receipt", ["c0001"])
    server.set_modes("sent=451 4.3.0 later kept times 1")
    run(world)
    first = rows(database)["c0001"]
    assert first.state == "ready"
    run(world, minutes=20)
    again = rows(database)["c0001"]
    assert (again.state, again.body_hash) == ("sent", first.body_hash)
    one, two = server.messages()
    assert one == two
    assert verifies(two, key)
    assert {BOUNCES.read(entry.facts["sender"]) for entry in server.accepted()} == {f"{message}.1"}
    (to,) = re.findall(rb"\r\nReply-To: (\S+)\r\n", one)
    assert REPLIES.read(to.decode()) == f"{message}.1"
    assert BOUNCES.read(to.decode()) is None


def test_a_new_dkim_key_between_two_tries_does_not_make_it_another_mail(database: Database, server: SmtpServer) -> None:
    """The signature is no part of the frozen bytes: a key changed in between signs the retry, nothing is uncertain."""
    old, new = new_key("s1"), new_key("s2")
    add_customers(database, names(1))
    queue(database, "receipt", ["c0001"])
    server.set_modes("sent=451 4.3.0 later times 1")
    run(World(database=database, adapters=adapter(server, old)))
    first = rows(database)["c0001"]
    run(World(database=database, adapters=adapter(server, new)), minutes=20)
    again = rows(database)["c0001"]
    assert (again.state, again.body_hash) == ("sent", first.body_hash)
    (mail,) = server.messages()
    assert verifies(mail, new)


def test_settings_alone_make_the_service_sign_and_own_its_bounces(
    database: Database, server: SmtpServer, tmp_path: Path
) -> None:
    """[email] bounce and [[email.dkim]] with a key in the environment reach the adapter; a bad address stops it."""
    key = new_key("s1")
    octets = key.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    environment = {
        "OUTBOUND_SECRET_KEY": "k1:" + "5a" * 32,
        "OUTBOUND_DKIM_KEYS": f"s1@shop.example:{base64.b64encode(octets).decode()}",
    }
    text = (
        f'[email]\nadapter = "smtp"\nhost = "127.0.0.1"\nport = {server.port}\ntls = "none"\n'
        f'bounce = "{BOUNCES.address}"\n'
        '[[email.dkim]]\ndomain = "shop.example"\nselector = "s1"\n[safety]\nonly_to = ["*"]\n'
    )
    (tmp_path / "outbound.toml").write_text(text, encoding="utf-8")
    settings = read_settings(tmp_path, environment)
    assert environment["OUTBOUND_DKIM_KEYS"] not in repr(settings)
    adapter = build(settings, database).adapters[EMAIL]
    content = RenderedEmail(
        subject="Però", html="<p>x</p>", text="x", sender="Shop <a@shop.example>", reply_to="", language="it"
    )
    payload = mime.pack(content, EmailEnvelope(to="c@example.com", message_id="<1@shop.example>", date=NOW))
    reference = f"{'0a' * 16}.1"
    parcel = Parcel(reference=reference, channel=EMAIL, address="c@example.com", payload=payload)

    async def main() -> None:
        async def handover() -> bool:
            return True

        assert (await adapter.deliver(parcel, handover)).kind == "accepted"
        await adapter.close()

    asyncio.run(main())
    (mail,) = server.messages()
    assert verifies(mail, key)
    assert BOUNCES.read(server.accepted()[0].facts["sender"]) == reference

    (tmp_path / "outbound.toml").write_text(
        text.replace(BOUNCES.address, "much-too-long@shop.example"), encoding="utf-8"
    )
    with pytest.raises(ConfigurationError, match="bounce"):
        build(read_settings(tmp_path, environment), database)
