"""What pages send a mail for: a person's data, its end, a double opt-in, a new link."""

import io
import json
import re
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from site_kit import MESSAGE_ID, NOW, Running, add_address, add_customer, publish, serve, shipped

from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.storage import tables
from outbound.storage.database import Database

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def doubled() -> dict[str, bytes]:
    """The shipped files where gifts take a double opt-in."""
    files = shipped()
    gifts = b"  gifts:\n    class: marketing\n"
    assert gifts in files["rules/policy.yaml"]
    files["rules/policy.yaml"] = files["rules/policy.yaml"].replace(
        gifts, gifts + b"    consent: {email: double_opt_in, sms: double_opt_in}\n"
    )
    return files


@pytest.fixture
def shop(tmp_path: Path, keyring: Keyring) -> Iterator[Running]:
    database = Database(f"sqlite:///{tmp_path / 'site.db'}")
    tables.metadata.create_all(database.engine)
    publish(database, doubled())
    add_customer(database)
    add_address(database, keyring, ChannelName.EMAIL, "giulia@posta.example")
    with serve(database, keyring) as running:
        yield running
    database.close()


def own_page(site: Running) -> str:
    url = site.links.preferences(customer_id="c-1", topic="newsletter", channel="email", message_id=MESSAGE_ID)
    return url.removeprefix("https://shop.example")


def mailed(site: Running, name: str) -> list[str]:
    """The links of requests of this kind, as paths."""
    with site.database.read() as connection:
        rows = connection.execute(sa.select(tables.event).where(tables.event.c.name == name)).all()
    return [row.data["link"].removeprefix("https://shop.example") for row in rows]


def test_the_data_is_sent_for_and_downloaded_after_a_confirmation(shop: Running) -> None:
    """C38: the page alone gives nothing; the link that was mailed asks, and its POST answers with an archive."""
    status, headers, _ = shop.ask("POST", own_page(shop) + "/export")
    assert (status, headers["location"].rpartition("note=")[2]) == (303, "request_sent")
    assert "Ti abbiamo mandato un messaggio" in shop.ask("GET", headers["location"])[2]
    (link,) = mailed(shop, "request.export")
    before = shop.everything()
    status, _, html = shop.ask("GET", link, headers={"Accept-Language": "it"})
    assert (status, shop.everything()) == (200, before)
    assert "Scarica" in html
    status, headers, content = shop.fetch("POST", link)
    assert (status, headers["content-type"]) == (200, "application/zip")
    record = json.loads(zipfile.ZipFile(io.BytesIO(content)).read("record.json"))
    assert record["customer"]["email"] == "giulia@posta.example"
    shop.ask("POST", own_page(shop) + "/export")
    assert len(mailed(shop, "request.export")) == 1  # within ten minutes nobody's mailbox is filled


def test_erasing_takes_the_link_that_was_mailed_and_works_once(shop: Running) -> None:
    """C39: afterwards every link of the customer answers, and opens nothing."""
    shop.ask("POST", own_page(shop) + "/erase")
    (link,) = mailed(shop, "request.erase")
    shop.ask("GET", link)
    assert shop.ask("GET", own_page(shop))[0] == 200
    status, _, html = shop.ask("POST", link, headers={"Accept-Language": "en"})
    assert status == 200
    assert re.search(r"receipt:</p>\s*<p>[0-9a-f]{32}</p>", html)
    assert shop.ask("GET", own_page(shop))[0] == 404
    assert shop.ask("POST", link)[0] == 404
    assert shop.ask("POST", shop.path())[0] == 200  # the way out answers whoever still has it


def test_a_double_opt_in_counts_after_a_post_of_its_own_link(shop: Running) -> None:
    """C11, fault F72: ticking asks, opening the link asks again, the button grants; and for that address alone."""
    body = urlencode([("shown", ""), ("on", "gifts.email"), ("language", "it")]).encode()
    status, headers, _ = shop.ask("POST", own_page(shop), body, FORM)
    assert (status, headers["location"].rpartition("note=")[2]) == (303, "confirm_sent")
    assert ("gifts", "email") not in shop.consents()
    (link,) = mailed(shop, "request.confirm")
    for method in ("GET", "HEAD", "OPTIONS"):
        shop.ask(method, link)
    assert ("gifts", "email") not in shop.consents()
    assert "Auguri e piccoli regali" in shop.ask("GET", link, headers={"Accept-Language": "it"})[2]
    status, headers, _ = shop.ask("POST", link)
    assert status == 200
    assert "location" not in headers
    with shop.database.read() as connection:
        row = connection.execute(sa.select(tables.consent_event).where(tables.consent_event.c.topic == "gifts")).one()
    assert (row.state, row.address) == ("granted", "giulia@posta.example")
    assert row.evidence["proof"].startswith("opened the link sent to the address")


def test_a_confirmation_is_over_in_time_and_with_the_address(keyring: Keyring, shop: Running) -> None:
    """C11: what was sent to one address says nothing about the next one."""
    body = urlencode([("shown", ""), ("on", "gifts.email")]).encode()
    shop.ask("POST", own_page(shop), body, FORM)
    (link,) = mailed(shop, "request.confirm")
    with serve(shop.database, keyring, now=lambda: NOW + timedelta(hours=49)) as later:
        assert later.ask("POST", link)[0] == 404
    with shop.database.write() as connection:
        connection.execute(tables.address.update().values(value="new@posta.example", hash="other"))
    assert shop.ask("POST", link)[0] == 404
    assert ("gifts", "email") not in shop.consents()


def test_what_nothing_would_confirm_is_not_offered(tmp_path: Path, keyring: Keyring) -> None:
    """C11."""
    database = Database(f"sqlite:///{tmp_path / 'none.db'}")
    tables.metadata.create_all(database.engine)
    files = doubled()
    files = {name: text for name, text in files.items() if "requests" not in name}
    publish(database, files)
    add_customer(database)
    add_address(database, keyring, ChannelName.EMAIL, "giulia@posta.example")
    with serve(database, keyring) as site:
        html = site.ask("GET", own_page(site))[2]
    database.close()
    assert 'value="newsletter.email"' in html
    assert 'value="gifts.email"' not in html


def test_a_new_link_is_sent_to_whoever_is_known_and_everybody_reads_the_same(shop: Running) -> None:
    """C05, faults F83, F84: the answer is given before anything is looked up, and one mail in ten minutes is sent."""
    answers = []
    for address in ("giulia@posta.example", "nobody@posta.example", "GIULIA@posta.example", "", "x" * 300):
        status, headers, html = shop.ask("POST", "/p?lang=en", urlencode({"email": address}).encode(), FORM)
        answers.append((status, sorted(set(headers) - {"date"}), re.sub(r'nonce="[^"]+"', "", html)))
    assert answers.count(answers[0]) == len(answers)
    assert "If we know this address" in answers[0][2]
    (link,) = mailed(shop, "request.access")
    assert "Le tue preferenze" in shop.ask("GET", link)[2]


def test_a_link_that_opens_nothing_leads_to_a_new_one(shop: Running) -> None:
    """C05: never a dead end."""
    for path in ("/u/k1.AAAA", "/p/k1.AAAA", "/p/k1.AAAA/data"):
        status, _, html = shop.ask("GET", path, headers={"Accept-Language": "en"})
        assert status == 404
        assert '<form class="card stack" method="post" action="/p?lang=en">' in html
        assert "mailto:" in html


@pytest.mark.parametrize("page", ["/rights/", "/c/"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_token_of_another_purpose_or_none_finishes_nothing(shop: Running, page: str, method: str) -> None:
    """Faults F71, F82."""
    shop.ask("POST", own_page(shop) + "/erase")
    before = shop.everything()
    tokens = [shop.path().removeprefix("/u/"), own_page(shop).removeprefix("/p/"), "k1.AAAA", "nonsense"]
    if page == "/c/":
        tokens.append(mailed(shop, "request.erase")[0].removeprefix("/rights/"))
    for token in tokens:
        assert shop.ask(method, page + token)[0] == 404
    assert shop.everything() == before
