"""News of messages: one effect each, in any order, on both databases (F58, F59, F60, F66, F67, F74, C13)."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations

import pytest
import sqlalchemy as sa
from inbox_kit import M1, NOW, PHONE, Post, add_customer, add_message, agree, news

from outbound.domain.consent import Evidence
from outbound.domain.delivery import BounceKind, DeliveryEvent, DeliveryKind, RejectReason
from outbound.domain.keyring import Keyring
from outbound.services import customers, preferences
from outbound.services.releases import Active
from outbound.storage import delivery_events, inbox, suppressions, tables
from outbound.storage.database import Database

K = DeliveryKind
M2 = "0193a1b2c3d47e5f8a9b0c1d2e3f4a5c"
HARD = {"bounce": BounceKind.HARD, "code": "5.1.1", "response": "550 5.1.1 <ada@example.org> unknown"}


def test_f58_the_same_webhook_fifty_times_has_one_effect(post: Post) -> None:
    """Also where its provider groups the same news anew under another request."""
    add_message(post.database)
    complained = news(K.COMPLAINED, "c1")
    for _ in range(48):
        post.bring(complained, key="same")
    post.bring(complained, news(K.DELIVERED, "d1"), key="regrouped")
    post.inbox.work(now=NOW)
    post.inbox.work(now=NOW)
    assert len(post.rows(tables.inbox_event, "id")) == 2
    assert sorted(row[0] for row in post.rows(tables.delivery_event, "kind")) == ["complained", "delivered"]
    assert post.events() == ["message.complained", "message.delivered"]
    assert post.blocks() == {("email", "marketing", "complaint")}


def _end(post: Post) -> object:
    """Everything that news may change."""
    leg = post.rows(tables.leg, "n", "channel", "receipt_at", "moved_on")
    facts = sorted(post.rows(tables.delivery_event, "kind", "message_id", "leg", "at"))
    return post.state(), sorted(leg, key=str), post.blocks(), post.events(), facts


STORY = (
    news(K.SENT, at=NOW - timedelta(minutes=50)),
    news(K.DELIVERED, at=NOW - timedelta(minutes=40)),
    news(K.OPENED, at=NOW - timedelta(minutes=30), user_agent="Mozilla/5.0 Firefox"),
    news(K.BOUNCED, at=NOW - timedelta(minutes=20), **HARD),
    news(K.COMPLAINED, at=NOW - timedelta(minutes=10)),
)


def test_f59_five_pieces_of_news_end_the_same_in_every_order(keyring: Keyring, shipped: Active) -> None:
    """All 120 orders: facts keep the provider's time, and what they do only goes one way."""
    database = Database("sqlite://")
    tables.metadata.create_all(database.engine)
    post = Post(database, keyring, shipped)
    orders = list(permutations(STORY))
    for number in range(len(orders)):
        who, address = f"c{number}", f"c{number}@example.org"
        add_customer(database, keyring, who, address)
        agree(database, who)
        add_message(database, f"{number:032x}", state="uncertain", customer_id=who, address=address)
    for turn in range(len(STORY)):  # one piece of news of each story, then the next
        for number, order in enumerate(orders):
            reference, address = f"<{number:032x}@shop.example>", f"c{number}@example.org"
            one = replace(order[turn], event_id=f"{order[turn].kind}{number}", reference=reference, recipient=address)
            post.bring(one)
        post.inbox.work(now=NOW)
    ends = {str(_end_of(database, keyring, f"c{number}")) for number in range(len(orders))}
    database.close()
    arrived, blocks = NOW - timedelta(minutes=40), [("all", "bounced.hard"), ("marketing", "complaint")]
    told = ["message.bounced", "message.complained", "message.delivered", "message.opened"]
    assert ends == {str(("ready", [(1, "email", arrived, "bounced"), (2, "sms", None, "")], blocks, told))}


def _end_of(database: Database, keyring: Keyring, who: str) -> object:
    """Everything that news may change, of one customer with one message."""
    leg, message, event = tables.leg, tables.message, tables.event
    with database.read() as connection:
        state = connection.execute(sa.select(message.c.state).where(message.c.customer_id == who)).scalar_one()
        columns = sa.select(leg.c.n, leg.c.channel, leg.c.receipt_at, leg.c.moved_on)
        legs = connection.execute(columns.where(leg.c.customer_id == who).order_by(leg.c.n)).all()
        names = connection.execute(sa.select(event.c.name).where(event.c.customer_id == who)).scalars()
        digests = keyring.address_hashes("email", f"{who}@example.org")
        found = suppressions.of_hashes(connection, digests)
        told = sorted(names)
    return state, [tuple(row) for row in legs], sorted((one.scope, one.reason) for one in found), told


def test_f60_news_that_comes_before_our_own_commit_waits_for_it(post: Post) -> None:
    """Its message is still being handed over; then what the provider calls it is written."""
    add_message(post.database, state="sending", channel="sms", address=PHONE)
    told = news(K.DELIVERED, reference="SM1", provider="twilio", recipient=PHONE)
    post.tell(told, provider="twilio")
    by_ours = DeliveryEvent(provider="twilio", kind=K.SENT, event_id="s", ours=f"{M1}.1", at=NOW)
    post.tell(by_ours, provider="twilio")
    assert post.inbox.sweep(now=NOW).matched == 0
    with post.database.write() as connection:
        connection.execute(sa.update(tables.message).values(state="sent"))
        connection.execute(sa.update(tables.leg).values(provider_ref="SM1"))
    assert post.inbox.sweep(now=NOW).matched == 2
    assert post.rows(tables.leg, "receipt_at") == [(NOW - timedelta(minutes=10),)]
    assert set(post.rows(tables.delivery_event, "message_id", "leg", "customer_id")) == {(M1, 1, "ada")}
    assert post.inbox.sweep(now=NOW).matched == 0


def test_news_settles_what_was_uncertain_also_when_it_came_first(post: Post) -> None:
    add_message(post.database, state="uncertain")
    post.tell(news(K.DELIVERED))
    assert post.state() == "sent"
    add_message(post.database, M2, state="sending")
    post.tell(news(K.QUEUED, "q2", reference=f"<{M2}@shop.example>"))
    with post.database.write() as connection:
        connection.execute(sa.update(tables.message).where(tables.message.c.id == M2).values(state="uncertain"))
    post.inbox.sweep(now=NOW)
    assert post.state(M2) == "sent"


def test_unknown_news_settles_nothing(post: Post) -> None:
    add_message(post.database, state="uncertain")
    post.tell(news(K.UNKNOWN))
    assert post.state() == "uncertain"


@pytest.mark.parametrize(
    ("told", "blocked", "moved"),
    [
        ({"kind": K.BOUNCED, **HARD}, {"bounced.hard"}, True),
        ({"kind": K.BOUNCED, "bounce": BounceKind.SOFT, "code": "5.2.2"}, set(), False),
        ({"kind": K.BOUNCED, "bounce": BounceKind.POLICY, "code": "5.7.1"}, set(), False),
        ({"kind": K.BOUNCED, "bounce": BounceKind.SENDER, "code": "5.7.26"}, set(), False),
        ({"kind": K.REJECTED, "bounce": BounceKind.POLICY, "reason": RejectReason.UNSUBSCRIBED}, {"opted_out"}, False),
        ({"kind": K.REJECTED, "bounce": BounceKind.SENDER}, set(), False),
        ({"kind": K.DEFERRED}, set(), False),
    ],
)
def test_c13_only_a_hard_bounce_blocks_the_address_and_moves_the_message_on(
    post: Post, told: dict[str, object], blocked: set[str], *, moved: bool
) -> None:
    add_message(post.database)
    post.tell(news(**told))  # type: ignore[arg-type]
    assert {reason for _, _, reason in post.blocks()} == blocked
    assert post.state() == ("ready" if moved else "sent")
    assert len(post.rows(tables.leg, "n")) == (2 if moved else 1)
    assert [data.get("bounce") for (data,) in post.rows(tables.event, "data")] == [
        told[name] for name in ("bounce",) if name in told
    ]


def test_soft_bounces_of_one_mailbox_on_three_days_block_it(post: Post) -> None:
    for day in range(3):
        identity = f"{M1[:-1]}{day}"
        add_message(post.database, identity)
        at = NOW - timedelta(days=2 - day)
        full = {"bounce": BounceKind.SOFT, "code": "5.2.2", "at": at}
        assert post.blocks() == set()
        post.tell(news(K.BOUNCED, f"b{day}", reference=f"<{identity}@shop.example>", **full))
    assert {reason for _, _, reason in post.blocks()} == {"bounced.soft"}


def test_f66_the_block_is_on_the_address_the_message_went_to(post: Post, keyring: Keyring) -> None:
    """The customer has another address since, and the bounce names a third."""
    add_message(post.database, address="old@example.org")
    post.tell(news(K.BOUNCED, recipient="alias@elsewhere.example", **HARD))
    hashes = {row[0] for row in post.rows(tables.suppression, "hash")}
    assert hashes == set(keyring.address_hashes("email", "old@example.org"))


def test_f66_what_a_mail_says_without_our_token_changes_nothing(post: Post) -> None:
    add_message(post.database, state="uncertain")
    before = _end(post)
    post.tell(news(K.BOUNCED, provider="mail", **HARD), news(K.COMPLAINED, provider="mail"), provider="mail")
    assert post.inbox.sweep(now=NOW).matched == 0
    after = _end(post)
    assert isinstance(before, tuple)
    assert isinstance(after, tuple)
    assert after[:4] == before[:4]
    assert len(post.rows(tables.delivery_event, "key")) == 2, "kept, for whoever looks"


def test_f67_a_complaint_blocks_the_channel_before_the_next_claim(post: Post, keyring: Keyring) -> None:
    """C13: what was answered is worked on before a slice is claimed, and the gate reads it."""
    add_message(post.database)
    post.bring(news(K.COMPLAINED, provider="mail", ours=f"{M1}.1", reference=""), provider="mail")
    post.inbox.work(now=NOW)
    record = customers.show(post.database, keyring, "ada")
    assert [(b.channel.value, b.scope, b.reason) for b in record.suppressions] == [("email", "marketing", "complaint")]


def test_a_complaint_after_the_customer_is_gone_still_blocks_the_address(post: Post) -> None:
    """F59: the record may have been erased; a provider's own word about an address counts."""
    post.tell(news(K.COMPLAINED, reference="<nobody@elsewhere.example>"))
    assert post.blocks() == {("email", "marketing", "complaint")}


def test_unsubscribed_at_the_provider_is_off_here_too(post: Post) -> None:
    add_message(post.database)
    post.tell(news(K.UNSUBSCRIBED))
    assert post.rows(tables.consent, "topic", "channel", "state") == [("newsletter", "", "withdrawn")]


@pytest.mark.parametrize(
    ("kind", "agent", "at", "flag"),
    [
        (K.OPENED, "Mozilla/5.0 Firefox/121", timedelta(minutes=5), ""),
        (K.OPENED, "Mozilla/5.0 (via ggpht.com GoogleImageProxy)", timedelta(minutes=5), "agent"),
        (K.CLICKED, "Mozilla/5.0 Chrome/120", timedelta(seconds=2), "too_fast"),
        (K.CLICKED, "Barracuda Sentinel", timedelta(minutes=9), "agent"),
    ],
)
def test_f74_what_machines_open_and_click_is_kept_and_triggers_nothing(
    post: Post, kind: DeliveryKind, agent: str, at: timedelta, flag: str
) -> None:
    add_message(post.database)
    agree(post.database)
    post.tell(news(kind, user_agent=agent, at=NOW - timedelta(hours=1) + at))
    assert post.rows(tables.delivery_event, "kind", "automated") == [(kind.value, flag)]
    assert post.events() == ([] if flag else [f"message.{kind.value}"])
    received = post.rows(tables.leg, "receipt_at")[0][0]
    assert (received is None) == bool(flag)


@pytest.mark.parametrize("who", ["said nothing", "took it back", "was not asked for this message", "is not known yet"])
def test_c43_what_a_provider_tells_of_readers_is_kept_of_who_agreed_only(post: Post, who: str) -> None:
    """C43: of anybody else an open says that the provider has the message, which settles it, and no more."""
    if who != "said nothing":
        agree(post.database)
    if who == "took it back":
        said = Evidence(source="test")
        preferences.withdraw(
            post.database, customer_id="ada", topic="tracking", channel=None, evidence=said, now=NOW - timedelta(days=1)
        )
    if who != "is not known yet":
        add_message(
            post.database, state="uncertain", tracked="" if who == "was not asked for this message" else "opens"
        )
    post.tell(*(news(kind, user_agent="Mozilla/5.0 Firefox/121") for kind in (K.OPENED, K.CLICKED)))
    if who == "is not known yet":
        add_message(post.database, state="uncertain")
        assert post.inbox.sweep(now=NOW).matched == 2
    assert post.rows(tables.delivery_event, "kind", "automated", "detail") == [("sent", "", "")] * 2
    assert (post.events(), post.rows(tables.leg, "receipt_at"), post.state()) == ([], [(None,)], "sent")


@pytest.mark.parametrize("links", [2, 3])
def test_f74_whoever_follows_every_link_at_once_is_a_machine(post: Post, links: int) -> None:
    """F74: a click waits ten seconds; three links within five are no reader's, also the first of them."""
    add_message(post.database)
    agree(post.database)
    reader = {"user_agent": "Mozilla/5.0 Chrome/120"}
    at = NOW - timedelta(minutes=30)
    for n in range(links):
        told = news(K.CLICKED, f"c{n}", at=at + timedelta(seconds=2 * n), url=f"https://oil.example/{n}", **reader)
        post.tell(told, told)
    post.inbox.sweep(now=NOW + timedelta(seconds=9))
    assert (post.events(), post.rows(tables.leg, "receipt_at")) == ([], [(None,)])
    post.inbox.sweep(now=NOW + timedelta(seconds=10))
    many = links == 3
    assert post.rows(tables.delivery_event, "kind", "automated") == [("clicked", "all_links" if many else "")] * links
    assert post.events() == ([] if many else ["message.clicked"])
    assert post.rows(tables.leg, "receipt_at") == [(None if many else at,)]


def test_a_request_nobody_can_read_holds_up_no_other_and_is_given_up(post: Post) -> None:
    add_message(post.database)
    post.news.append(())
    bad = post.bring(news(K.DELIVERED, "x"), key="bad")
    with post.database.write() as connection:
        connection.execute(sa.update(tables.inbox_event).where(tables.inbox_event.c.id == bad.id).values(raw=b"no"))
    post.bring(news(K.DELIVERED))
    done = post.inbox.work(now=NOW)
    assert (done.received, done.troubled) == (1, 1)
    for _ in range(6):
        post.inbox.work(now=NOW)
    with post.database.read() as connection:
        found = inbox.find(connection, bad.id)
    assert found is not None
    assert (found.trouble, found.tries, found.processed_at) == ("ValueError", 5, NOW)
    with post.database.write() as connection:
        assert inbox.again(connection, [bad.id]) == 1


def test_what_was_kept_is_emptied_after_ninety_days_and_never_new_again(post: Post) -> None:
    add_message(post.database)
    post.tell(news(K.DELIVERED), now=NOW)
    later = NOW + timedelta(days=91)
    post.inbox.sweep(now=later)
    assert post.rows(tables.inbox_event, "raw") == [(b"",)]
    assert len(post.rows(tables.inbox_event, "key")) == 1


def test_news_for_a_text_moves_on_when_it_failed_for_good(post: Post) -> None:
    add_message(post.database, channel="sms", address=PHONE, channels="sms,email", provider_ref="SM9")
    told = news(K.BOUNCED, reference="SM9", provider="twilio", recipient=PHONE, bounce=BounceKind.POLICY, code="30007")
    post.tell(told, provider="twilio")
    assert post.blocks() == set()
    assert [(n, c) for n, c in post.rows(tables.leg, "n", "channel")] == [(1, "sms"), (2, "email")]


def test_an_expired_message_is_not_moved_on(post: Post) -> None:
    add_message(post.database, expires=NOW - timedelta(minutes=1))
    post.tell(news(K.BOUNCED, **HARD))
    assert post.state() == "sent"
    with post.database.read() as connection:
        assert delivery_events.of_leg(connection, M1) is not None
