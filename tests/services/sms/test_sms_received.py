"""Texts that come in: what they do, once, and what is answered (C13, C16-C24, C40)."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from trial_shop import FILES

from outbound.domain.consent import Evidence, Suppression
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.policy import Policy
from outbound.engine import rulefiles
from outbound.services import preferences, sms_words
from outbound.services.sms_words import Effect, Heard
from outbound.storage import consents, customers, ledger, people, suppressions, tables
from outbound.storage.database import Database

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
NUMBER = "+393401234567"
_N = iter(range(10_000))


def policy(more: str = "") -> Policy:
    files = {name: text.encode() if isinstance(text, str) else text for name, text in FILES.items()}
    files["rules/policy.yaml"] += more.encode()
    loaded = rulefiles.load(files)
    assert loaded.ruleset is not None, loaded.problems
    return loaded.ruleset.policy


class Phone:
    """A phone that texts us."""

    def __init__(self, database: Database, keyring: Keyring, rules: Policy) -> None:
        self.database, self.keyring, self.policy, self.now = database, keyring, rules, NOW

    def text(self, words: str, *, number: str = NUMBER, message_id: str = "") -> Heard:
        self.now += timedelta(minutes=1)
        return sms_words.receive(
            self.database,
            self.policy,
            self.keyring,
            number=number,
            text=words,
            message_id=message_id or f"SM{next(_N)}",
            now=self.now,
        )

    def blocks(self) -> set[tuple[str, str, str]]:
        with self.database.read() as connection:
            found = suppressions.of_hashes(connection, self.keyring.address_hashes("sms", NUMBER))
        return {(block.channel.value, block.scope, block.reason) for block in found}

    def said(self, who: str = "ada") -> list[tuple[str, str, str]]:
        with self.database.read() as connection:
            return [(e.topic, str(e.channel or ""), e.state) for e in consents.ledger(connection, who)]

    def standing(self, topic: str, who: str = "ada") -> str:
        with self.database.read() as connection:
            entry = people.load_people(connection, [who])[who].consents[topic, "sms"]
        return entry.state

    def asked(self) -> list[tuple[str, str]]:
        with self.database.read() as connection:
            query = sa.select(tables.event.c.customer_id, tables.event.c.name)
            return [(row[0], row[1]) for row in connection.execute(query.order_by(tables.event.c.at))]


@pytest.fixture
def phone(database: Database, keyring: Keyring) -> Phone:
    """``ada``'s, who said yes to the newsletter by text and by mail."""
    person(database, keyring, "ada")
    for channel in (ChannelName.SMS, ChannelName.EMAIL):
        preferences.grant(
            database,
            customer_id="ada",
            topic="newsletter",
            channel=channel,
            evidence=Evidence(source="web form", wording="Yes"),
            now=NOW - timedelta(days=9),
        )
    return Phone(database, keyring, policy())


def person(database: Database, keyring: Keyring, who: str, number: str = NUMBER) -> None:
    stored = customers.StoredAddress(
        channel=ChannelName.SMS, value=number, hash=keyring.address_hash(ChannelName.SMS, number)
    )
    update = customers.Update(customer_id=who, addresses={ChannelName.SMS: stored})
    with database.write() as connection:
        customers.apply(connection, update, source="test", now=NOW - timedelta(days=9))


def test_c13_c20_stop_blocks_marketing_texts_and_withdraws_on_the_ledger(phone: Phone) -> None:
    heard = phone.text("Stop, grazie!")
    assert (heard.effect, heard.customers, heard.answer) == (Effect.STOPPED, ("ada",), "request.stop")
    assert phone.blocks() == {("sms", "marketing", "opted_out")}
    assert phone.said()[-1] == ("newsletter", "sms", "withdrawn")
    with phone.database.read() as connection:
        person = people.load_people(connection, ["ada"])["ada"]
        event = consents.ledger(connection, "ada")[-1]
        assert ledger.verify(connection).broken == ()
    assert person.suppressed == {("sms", "marketing")}
    assert person.consents["newsletter", "email"].state == "granted"  # mail is another channel
    assert (event.evidence.source, event.address, event.evidence.actor) == (f"SMS STOP {heard.id}", NUMBER, "customer")


def test_c19_one_confirmation_then_silence(phone: Phone) -> None:
    answers = [phone.text(words).answer for words in ("STOP", "stop", "BASTA", "unsubscribe")]
    assert answers == ["request.stop", "", "", ""]
    assert phone.asked() == [("ada", "request.stop")]
    assert [state for *_, state in phone.said()] == ["granted", "granted", "withdrawn"]


def test_c21_the_same_text_fifty_times_is_one(phone: Phone) -> None:
    first = phone.text("STOP", message_id="SM1")
    again = [phone.text("STOP", message_id="SM1") for _ in range(49)]
    assert not first.repeated
    assert all(one.repeated and one.effect is Effect.STOPPED and not one.answer for one in again)
    assert phone.asked() == [("ada", "request.stop")]
    assert [state for *_, state in phone.said()].count("withdrawn") == 1


def test_c19_start_reverses_a_stop_as_it_was(phone: Phone) -> None:
    phone.text("STOP")
    heard = phone.text("riattiva per favore")
    assert (heard.effect, heard.answer) == (Effect.RESUMED, "request.start")
    assert phone.blocks() == set()
    assert phone.standing("newsletter") == "granted"
    with phone.database.read() as connection:
        event = consents.ledger(connection, "ada")[-1]
    assert event.evidence.wording == "Yes"
    assert event.evidence.source == f"SMS START {heard.id}, as before STOP"
    assert phone.text("STOP").answer == "request.stop"  # and a new STOP is confirmed again


def test_c19_c40_start_gives_no_consent_and_lifts_no_other_block(phone: Phone) -> None:
    """What STOP did not do, START does not undo: an earlier no, a complaint, a block after an erasure."""
    preferences.withdraw(
        phone.database,
        customer_id="ada",
        topic="newsletter",
        channel=ChannelName.SMS,
        evidence=Evidence(source="preference centre"),
        now=NOW,
    )
    blocks = [
        Suppression(channel=ChannelName.SMS, address_hash=h, scope="marketing", reason=reason, at=NOW)
        for h in phone.keyring.address_hashes("sms", NUMBER)
        for reason in ("complaint",)
    ]
    with phone.database.write() as connection:
        suppressions.add(connection, blocks)
    assert phone.text("START").effect is Effect.NONE
    phone.text("STOP")
    phone.text("YES")
    assert phone.standing("newsletter") == "withdrawn"
    assert phone.blocks() == {("sms", "marketing", "complaint")}


def test_c19_a_no_said_elsewhere_after_stop_survives_start(phone: Phone) -> None:
    phone.text("STOP")
    page = Evidence(source="page")
    preferences.withdraw(
        phone.database,
        customer_id="ada",
        topic="newsletter",
        channel=None,
        evidence=page,
        now=phone.now,
    )
    preferences.grant(
        phone.database,
        customer_id="ada",
        topic="newsletter",
        channel=ChannelName.SMS,
        evidence=page,
        now=phone.now + timedelta(seconds=1),
    )
    preferences.withdraw(
        phone.database,
        customer_id="ada",
        topic="newsletter",
        channel=ChannelName.SMS,
        evidence=page,
        now=phone.now + timedelta(seconds=2),
    )
    phone.text("START")
    assert phone.standing("newsletter") == "withdrawn"


def test_c18_an_unclear_text_pauses_marketing_and_waits_for_a_person(phone: Phone) -> None:
    heard = phone.text("please stop sending my parcels to the neighbour")
    assert (heard.effect, heard.answer) == (Effect.PAUSED, "")
    assert phone.blocks() == {("sms", "marketing", "unclear_text")}
    assert phone.standing("newsletter") == "granted"  # opted out nobody
    (waiting,) = sms_words.waiting(phone.database)
    assert (waiting.id, waiting.customer_id, waiting.text) == (
        heard.id,
        "ada",
        "please stop sending my parcels to the neighbour",
    )


@pytest.mark.parametrize(("opt_out", "blocks"), [(False, set()), (True, {("sms", "marketing", "opted_out")})])
def test_c18_c22_a_person_settles_it(phone: Phone, opt_out: bool, blocks: set[tuple[str, str, str]]) -> None:
    heard = phone.text("can you stop it")
    settled = sms_words.settle(
        phone.database, phone.policy, phone.keyring, text_id=heard.id, opt_out=opt_out, by="clerk", now=phone.now
    )
    assert (settled.review, settled.reviewed_by) == ("opt_out" if opt_out else "carry_on", "clerk")
    assert phone.blocks() == blocks
    assert phone.standing("newsletter") == ("withdrawn" if opt_out else "granted")
    assert sms_words.waiting(phone.database) == ()
    with pytest.raises(OutboundError, match=r"sms\.review"):
        sms_words.settle(
            phone.database, phone.policy, phone.keyring, text_id=heard.id, opt_out=opt_out, by="x", now=phone.now
        )
    with phone.database.read() as connection:
        found = connection.execute(sa.select(tables.operation.c.kind, tables.operation.c.by)).all()
    assert [tuple(row) for row in found] == [("consent.review", "clerk")]


@pytest.mark.parametrize(("word", "left"), [("START", set()), ("STOP", {("sms", "marketing", "opted_out")})])
def test_c18_the_person_can_say_it_plainly_instead(phone: Phone, word: str, left: set[tuple[str, str, str]]) -> None:
    phone.text("can you stop it")
    phone.text(word)
    assert phone.blocks() == left
    assert sms_words.waiting(phone.database) == ()


def test_c24_help_is_answered_also_after_stop(phone: Phone) -> None:
    phone.text("STOP")
    assert phone.text("AIUTO").answer == "request.help"
    assert phone.asked() == [("ada", "request.stop"), ("ada", "request.help")]


def test_c19_where_the_provider_answers_we_only_record(phone: Phone) -> None:
    phone.policy = policy("sms_words: {opt_out_replies: provider}\n")
    assert [phone.text(word).answer for word in ("STOP", "HELP", "START")] == ["", "", ""]
    assert phone.asked() == []
    assert phone.standing("newsletter") == "granted"


def test_c20_the_scope_is_the_policys(phone: Phone) -> None:
    phone.policy = policy("suppress:\n  - {event: opted_out, channel: sms, classes: [marketing, service]}\n")
    phone.text("STOP")
    assert phone.blocks() == {("sms", "marketing", "opted_out"), ("sms", "service", "opted_out")}


def test_c22_stop_works_for_a_number_of_nobody_and_of_two(phone: Phone) -> None:
    """The number counts: who gets it later is blocked too; two who share it are answered once."""
    stranger = phone.text("STOP", number="+393331112223")
    assert (stranger.effect, stranger.customers, stranger.answer) == (Effect.STOPPED, (), "")
    person(phone.database, phone.keyring, "later", "+393331112223")
    with phone.database.read() as connection:
        assert people.load_people(connection, ["later"])["later"].suppressed == {("sms", "marketing")}
    person(phone.database, phone.keyring, "bob")
    assert phone.text("STOP").customers == ("ada", "bob")
    assert phone.asked() == [("ada", "request.stop")]


def test_c41_a_stop_under_an_old_key_still_counts_and_is_carried_to_the_new_one(phone: Phone) -> None:
    phone.text("STOP")
    phone.keyring = Keyring((("k2", b"\x11" * 32), *phone.keyring.keys))
    assert phone.text("STOP").effect is Effect.NONE
    newest = phone.keyring.address_hash("sms", NUMBER)
    with phone.database.read() as connection:
        assert [block.reason for block in suppressions.of_hashes(connection, [newest])] == ["opted_out"]
    phone.text("START")
    assert phone.blocks() == set()


def test_a_text_from_no_number_is_refused(phone: Phone) -> None:
    with pytest.raises(OutboundError, match=r"sms\.number"):
        phone.text("STOP", number="SHOP")
