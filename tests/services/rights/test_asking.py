"""Export and erasure asked for by the customer: a link by e-mail, confirmed, done once (F71, F72, F82, F83)."""

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from rights_world import NOW, World, everything
from trial_shop import FILES

from outbound.domain.customer import ChannelName
from outbound.domain.message import Message
from outbound.domain.policy import Topic
from outbound.engine.rendering import Links
from outbound.services import planning, releases
from outbound.services.links import LinkMaker
from outbound.services.releases import Active, Published
from outbound.services.rights import asking
from outbound.services.rights.asking import Asked, Right
from outbound.storage import tables

RULE = b"""
rule: rights-link
owner: ops@shop.example
topic: orders
when: {event: request.erase}
once: "{event.id}"
expires: 24h
send: {template: rights-link, channels: [email]}
"""


def no_links(_message: Message, _channel: ChannelName, *, topic: Topic) -> Links:
    return Links(unsubscribe="x" if topic.declinable else "", preferences="", assets="")


@pytest.fixture
def links(world: World) -> LinkMaker:
    return LinkMaker(keyring=world.keyring, public_url="https://shop.example")


@pytest.fixture
def active(world: World) -> Active:
    files = {name: text.encode() if isinstance(text, str) else text for name, text in FILES.items()}
    files["rules/rights.yaml"] = RULE
    files["templates/rights-link/template.yaml"] = (
        b"subject: {en: Confirm}\ncontext: {event: [link]}\nsample: {event: {link: 'https://x.example/r'}}\n"
    )
    files["templates/rights-link/email.mjml"] = (
        b"<mj-section><mj-column><mj-text>{{ event.link }}</mj-text></mj-column></mj-section>"
    )
    published = releases.publish(world.database, files, by="test", now=NOW - timedelta(days=1))
    assert isinstance(published, Published), published
    return releases.running(world.database)


def token_of(address: str) -> str:
    return address.rpartition("/")[2]


def test_c39_asked_by_mail_confirmed_and_done(world: World, links: LinkMaker, active: Active) -> None:
    """The whole way: asked, planned as a message with the link, opened, confirmed, gone; the link is then dead."""
    asked = asking.ask(world.database, active, links, customer_id="lisa", right=Right.ERASE, now=NOW)
    assert asked is Asked.SENT
    planning.plan_due(world.database, active, now=NOW, keyring=world.keyring)
    with world.database.read() as connection:
        sent = sa.select(tables.message.c.context).where(tables.message.c.rule == "rights-link")
        address: str = connection.execute(sent).scalar_one()["event"]["link"]
    assert address.startswith("https://shop.example/rights/")
    token = token_of(address)
    offer = asking.offer(links, token, now=NOW)
    assert offer is not None
    assert (offer.right, offer.customer_id) == (Right.ERASE, "lisa")
    done = asking.confirm(world.database, links, token, message_links=no_links, now=NOW)
    assert done is not None
    assert done.receipt is not None
    assert done.receipt.by == "customer"
    assert asking.confirm(world.database, links, token, message_links=no_links, now=NOW) is None


def test_c38_an_export_is_confirmed_the_same_way(world: World, links: LinkMaker) -> None:
    token = token_of(asking.link(links, "lisa", Right.EXPORT, now=NOW))
    done = asking.confirm(world.database, links, token, message_links=no_links, now=NOW)
    assert done is not None
    assert done.export is not None
    assert done.export.customer_id == "lisa"


def test_f72_looking_at_a_link_changes_nothing(world: World, links: LinkMaker) -> None:
    token = token_of(asking.link(links, "lisa", Right.ERASE, now=NOW))
    before = everything(world.database)
    for _ in range(3):
        assert asking.offer(links, token, now=NOW) is not None
    assert everything(world.database) == before


def test_asking_twice_sends_one_mail(world: World, links: LinkMaker, active: Active) -> None:
    for _ in range(3):
        assert asking.ask(world.database, active, links, customer_id="lisa", right=Right.ERASE, now=NOW) is Asked.SENT
    with world.database.read() as connection:
        query = sa.select(tables.event.c.id).where(tables.event.c.name == "request.erase")
        assert len(connection.execute(query).all()) == 1


def test_without_a_rule_or_an_address_nothing_is_recorded(world: World, links: LinkMaker, active: Active) -> None:
    def ask(who: str, right: Right) -> Asked:
        return asking.ask(world.database, active, links, customer_id=who, right=right, now=NOW)

    before = everything(world.database)
    assert ask("lisa", Right.EXPORT) is Asked.UNANSWERED  # no rule listens
    assert ask("nobody", Right.ERASE) is Asked.UNANSWERED
    assert everything(world.database) == before


def test_f71_f82_a_token_opens_one_right_of_one_customer_for_a_day(links: LinkMaker) -> None:
    """Every bit of it counts, and none of another purpose, customer or key opens it."""
    address = asking.link(links, "lisa", Right.ERASE, now=NOW)
    token = token_of(address)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    for place, letter in enumerate(token):
        other = alphabet[(alphabet.find(letter) + 1) % 64]
        forged: Any = asking.offer(links, token[:place] + other + token[place + 1 :], now=NOW)
        assert forged is None, place
        assert asking.offer(links, token[:place], now=NOW) is None
    assert asking.offer(links, token, now=NOW + asking.LIFETIME) is None
    assert asking.offer(links, token, now=NOW + asking.LIFETIME - timedelta(seconds=1)) is not None
    stop = links.unsubscribe(customer_id="lisa", topic="newsletter", channel="email", message_id="0" * 32)
    assert asking.offer(links, token_of(stop), now=NOW) is None
    assert links.read_unsubscribe(token) is None
    assert asking.offer(links, token_of(asking.link(links, "ben", Right.EXPORT, now=NOW)), now=NOW) != asking.offer(
        links, token, now=NOW
    )


def test_f83_a_token_that_opens_nothing_says_the_same_as_one_of_nobody(world: World, links: LinkMaker) -> None:
    """Forged, over, of somebody erased, of somebody who never was: None, and nothing else."""
    tokens = [
        "x",
        "k1.AAAA",
        token_of(asking.link(links, "lisa", Right.ERASE, now=NOW - timedelta(days=2))),
        token_of(asking.link(links, "never", Right.EXPORT, now=NOW)),
        token_of(asking.link(links, "never", Right.ERASE, now=NOW)),
    ]
    answers = [asking.confirm(world.database, links, token, message_links=no_links, now=NOW) for token in tokens]
    assert answers == [None] * len(tokens)
