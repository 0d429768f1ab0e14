"""The preference centre: opened from a message, obeyed by the next gate."""

import re
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from site_kit import MESSAGE_ID, NOW, Running, add_address, add_customer, publish, serve, shipped

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.domain.policy import Policy
from outbound.engine.ladder import Candidate, Switches, decide
from outbound.services import preferences, releases
from outbound.storage import people, tables
from outbound.storage.database import Database

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ALL = "newsletter.email offers.email"


@pytest.fixture
def shop(tmp_path: Path, keyring: Keyring) -> Iterator[Running]:
    database = Database(f"sqlite:///{tmp_path / 'site.db'}")
    tables.metadata.create_all(database.engine)
    publish(database)
    add_customer(database)
    add_address(database, keyring, ChannelName.EMAIL, "giulia@posta.example")
    add_address(database, keyring, ChannelName.SMS, "+393401234567")
    with serve(database, keyring) as running:
        yield running
    database.close()


def path(site: Running, customer_id: str = "c-1", message_id: str = MESSAGE_ID) -> str:
    url = site.links.preferences(customer_id=customer_id, topic="newsletter", channel="email", message_id=message_id)
    return url.removeprefix("https://shop.example")


def save(site: Running, *on: str, shown: str = ALL, **fields: str) -> tuple[int, dict[str, str], str]:
    body = urlencode([("shown", shown), *(("on", one) for one in on), *fields.items()]).encode()
    return site.ask("POST", path(site) + "?lang=it", body, FORM)


def verdict(site: Running, topic: str, *channels: str, days: float = 0) -> str:
    """What the ladder, which planning and gate share, would say of a message on this topic now."""
    active = releases.running(site.database)
    policy: Policy = active.ruleset.policy
    at = NOW + timedelta(days=days)
    with site.database.read() as connection:
        person = people.load_people(connection, ["c-1"])["c-1"]
    candidate = Candidate(
        rule="any",
        topic=policy.topics[topic],
        channels=tuple(ChannelName(one) for one in channels),
        due=at,
        expires=at + timedelta(days=30),
    )
    found = decide(candidate, person, policy=policy, now=at, switches=Switches())
    return str(getattr(found, "reason", "")) or ",".join(getattr(found, "channels", ()))


def test_the_page_shows_what_stands(shop: Running) -> None:
    status, headers, html = shop.ask("GET", path(shop))
    assert status == 200
    assert '<html lang="it">' in html
    assert len(re.findall(r'name="on" value="[a-z]+\.(?:email|sms)" checked', html)) == 2
    assert "La lettera del mese" in html
    assert "giulia@" not in html
    assert "g•••@posta.example" in html
    assert "<script" not in html
    assert "default-src 'none'" in headers["content-security-policy"]
    assert '<html lang="en">' in shop.ask("GET", path(shop) + "?lang=en")[2]


def test_a_change_is_obeyed_by_the_next_decision(shop: Running) -> None:
    """C35: withdrawing is one tick less on the same page. What was not touched stays as it was."""
    assert verdict(shop, "newsletter", "email") == "email"
    status, headers, _ = save(shop, "offers.email", "newsletter.sms")
    assert status == 303
    assert headers["location"] == f"{path(shop)}?lang=it&note=saved"
    assert verdict(shop, "newsletter", "email") == "consent.newsletter"
    assert verdict(shop, "newsletter", "sms") == "sms"
    assert verdict(shop, "offers", "email") == "email"
    assert "Salvato" in shop.ask("GET", headers["location"])[2]


def test_a_change_is_evidence(shop: Running) -> None:
    """C33: what was shown, in which language, where and by whom."""
    save(shop, "offers.email", "newsletter.email", "gifts.sms")
    with shop.database.read() as connection:
        rows = connection.execute(sa.select(tables.consent_event).where(tables.consent_event.c.topic == "gifts")).all()
    (row,) = rows
    assert (row.state, row.channel) == ("granted", "sms")
    assert row.evidence["wording"] == "Auguri e piccoli regali: SMS"
    assert row.evidence["language"] == "it"
    assert row.evidence["source"] == f"preference page of message {MESSAGE_ID}"
    assert row.evidence["actor"] == "customer"


def test_saving_without_a_change_writes_nothing(shop: Running) -> None:
    before = shop.everything()
    assert save(shop, *ALL.split(), language="it")[0] == 303
    assert shop.everything() == before


def test_a_page_from_yesterday_takes_nothing_back_that_it_does_not_show(shop: Running) -> None:
    """Unsubscribed meanwhile from the mail program: an old page that is saved does not subscribe again."""
    preferences.withdraw(
        shop.database,
        customer_id="c-1",
        topic="newsletter",
        channel=None,
        evidence=Evidence(source="one click"),
        now=NOW,
    )
    assert save(shop, *ALL.split(), "gifts.email")[0] == 303
    assert verdict(shop, "newsletter", "email") == "consent.newsletter"
    assert verdict(shop, "gifts", "email") == "email"


def test_preferences_are_kept_and_obeyed(shop: Running) -> None:
    until = (NOW + timedelta(days=3)).date().isoformat()
    fields = {"channel": "sms", "language": "en", "quiet_from": "12:00", "quiet_to": "15:30", "pause_until": until}
    assert save(shop, *ALL.split(), "newsletter.sms", **fields)[0] == 303
    with shop.database.read() as connection:
        stated = people.load_people(connection, ["c-1"])["c-1"].customer.preference
    assert (stated.channel, stated.language) == (ChannelName.SMS, "en")
    assert stated.quiet_hours is not None
    assert (f"{stated.quiet_hours.start:%H:%M}", f"{stated.quiet_hours.end:%H:%M}") == ("12:00", "15:30")
    assert (stated.pauses[0].start, stated.pauses[0].end) == (NOW.date(), date.fromisoformat(until))
    assert verdict(shop, "newsletter", "email", "sms").startswith("quiet_hours.")
    assert verdict(shop, "newsletter", "email", "sms", days=4) == "sms,email"
    assert verdict(shop, "order-updates", "email") == "email"  # a pause stops no parcel notice
    html = shop.ask("GET", path(shop))[2]
    assert '<option value="sms" selected>' in html
    assert 'value="12:00"' in html
    assert f'value="{until}"' in html


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"quiet_from": "22:00"}, "Scrivi tutti e due gli orari"),
        ({"quiet_from": "22:00", "quiet_to": "22:00"}, "Scrivi tutti e due gli orari"),
        ({"quiet_from": "late", "quiet_to": "07:00"}, "Scrivi tutti e due gli orari"),
        ({"pause_until": "2026-11-01"}, "Scegli un giorno da oggi"),
        ({"pause_until": "2036-11-01"}, "Scegli un giorno da oggi"),
        ({"pause_until": "soon"}, "Scegli un giorno da oggi"),
    ],
)
def test_a_mistake_is_shown_and_nothing_is_kept(shop: Running, fields: dict[str, str], says: str) -> None:
    before = shop.everything()
    status, _, html = save(shop, "offers.email", **fields)
    assert status == 422
    assert says in html
    assert 'aria-invalid="true"' in html
    assert shop.everything() == before


def test_one_button_stops_all_that_can_be_declined(shop: Running) -> None:
    """C08: one page, one click."""
    status, headers, _ = shop.ask("POST", path(shop) + "/stop")
    assert status == 303
    assert headers["location"].endswith("note=stopped")
    assert verdict(shop, "newsletter", "email") == "consent.newsletter"
    assert verdict(shop, "gifts", "sms") == "consent.gifts"
    assert verdict(shop, "order-updates", "email") == "email"


def test_a_suppressed_address_is_not_asked_to_come_back(shop: Running, keyring: Keyring) -> None:
    """C40: no choice is offered for it, and a form that was made up grants nothing."""
    preferences.suppress(
        shop.database,
        keyring,
        channel=ChannelName.EMAIL,
        address="giulia@posta.example",
        scope="marketing",
        reason="complaint",
        now=NOW,
    )
    html = shop.ask("GET", path(shop))[2]
    assert "A questo indirizzo non scriviamo più" in html
    assert not re.search(r'value="[a-z]+\.email"', html)
    before = shop.everything()
    assert save(shop, "gifts.email", *ALL.split())[0] == 303
    assert shop.everything() == before


def test_fewer_messages_is_asked_for_and_taken_back(shop: Running) -> None:
    assert save(shop, *ALL.split(), fewer="yes", language="it")[0] == 303
    assert 'name="fewer" value="yes" aria-describedby="fewer-hint" checked' in shop.ask("GET", path(shop))[2]
    with shop.database.read() as connection:
        assert people.load_people(connection, ["c-1"])["c-1"].customer.preference.fewer
    assert save(shop, *ALL.split(), language="it")[0] == 303
    with shop.database.read() as connection:
        assert not people.load_people(connection, ["c-1"])["c-1"].customer.preference.fewer


def test_fewer_messages_is_offered_only_where_the_policy_has_a_cap_for_it(tmp_path: Path, keyring: Keyring) -> None:
    database = Database(f"sqlite:///{tmp_path / 'site.db'}")
    tables.metadata.create_all(database.engine)
    files = shipped()
    lines = files["rules/policy.yaml"].decode().splitlines(keepends=True)
    files["rules/policy.yaml"] = "".join(line for line in lines if "for: fewer" not in line).encode()
    publish(database, files)
    add_customer(database)
    with serve(database, keyring) as site:
        assert 'name="fewer"' not in site.ask("GET", path(site))[2]
    database.close()


def test_what_we_hold_and_sent_is_shown_and_nobody_elses(shop: Running) -> None:
    """Fault F82: the page of one customer has nothing of another."""
    add_customer(shop.database, "c-2")
    with shop.database.write() as connection:
        connection.execute(
            tables.customer.update().where(tables.customer.c.id == "c-2").values(attributes={"first_name": "Otto"})
        )
        connection.execute(
            tables.customer.update()
            .where(tables.customer.c.id == "c-1")
            .values(attributes={"first_name": "<b>Giulia</b>"}, country="IT")
        )
    html = shop.ask("GET", path(shop) + "/data")[2]
    assert "&lt;b&gt;Giulia&lt;/b&gt;" in html
    assert "Otto" not in html
    assert "24 novembre 2026" in html
    assert "La lettera del mese" in html
    assert "Otto" in shop.ask("GET", path(shop, "c-2") + "/data")[2]


def test_a_link_opens_the_page_for_ninety_days_and_the_way_out_for_ever(shop: Running) -> None:
    """C05, C06, fault F71: an expired link is no dead end."""
    old = new_id(NOW - timedelta(days=91))
    for method, more in (("GET", ""), ("POST", ""), ("GET", "/data"), ("POST", "/stop")):
        before = shop.everything()
        status, _, html = shop.ask(method, path(shop, message_id=old) + more)
        assert status == 410
        assert "mailto:" in html
        assert shop.everything() == before
    url = shop.links.unsubscribe(customer_id="c-1", topic="newsletter", channel="email", message_id=old)
    assert shop.ask("POST", url.removeprefix("https://shop.example"))[0] == 200
    assert verdict(shop, "newsletter", "email") == "consent.newsletter"


@pytest.mark.parametrize("more", ["", "/data", "/stop"])
def test_a_token_of_another_purpose_opens_nothing(shop: Running, more: str) -> None:
    """Faults F71, F82: signed for the way out, or forged."""
    unsubscribe = shop.path().removeprefix("/u/")
    before = shop.everything()
    for token in (unsubscribe, path(shop).removeprefix("/p/")[:-2] + "AA", "k1.AAAA", "x" * 500):
        method = "POST" if more == "/stop" else "GET"
        status, _, html = shop.ask(method, f"/p/{token}{more}")
        assert status == 404
        assert "mailto:" in html
    assert shop.everything() == before


def test_a_merged_customer_finds_their_page(shop: Running) -> None:
    add_customer(shop.database, "c-9")
    with shop.database.write() as connection:
        change = tables.customer.update().where(tables.customer.c.id == "c-9").values(merged_into="c-1")
        connection.execute(change)
    assert "La lettera del mese" in shop.ask("GET", path(shop, "c-9"))[2]


def test_an_erased_customers_page_is_gone(shop: Running) -> None:
    assert shop.ask("GET", path(shop, "gone"))[0] == 404
