"""The site answers as mail programs and scanners ask it, over a real socket."""

import http.client
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from site_kit import MESSAGE, NOW, ROOT, Running

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.services import preferences, releases, working_copy
from outbound.storage import tables
from outbound.storage.database import Database

ONE_CLICK = b"List-Unsubscribe=One-Click"
URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": 'multipart/form-data; boundary="---x"'}
MULTIPART_BODY = b'-----x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n-----x--\r\n'


@pytest.mark.parametrize(
    ("body", "headers"),
    [(ONE_CLICK, URLENCODED), (MULTIPART_BODY, MULTIPART), (b"", {})],
    ids=["form", "multipart", "bare"],
)
def test_one_click_withdraws_the_topic_before_the_answer(site: Running, body: bytes, headers: dict[str, str]) -> None:
    """C03: 2xx, no redirect, no cookie, and done (RFC 8058 section 3.2); other topics stay (C07)."""
    status, answer, _ = site.ask("POST", site.path(), body, headers)
    assert status == 200
    assert "location" not in answer
    assert "set-cookie" not in answer
    assert site.consents()[("newsletter", "email")] == "withdrawn"
    assert site.consents()[("offers", "email")] == "granted"


RFC_FORM = b"""POST {path} HTTP/1.1\r
Host: shop.example\r
Content-Type: application/x-www-form-urlencoded\r
Content-Length: 26\r
\r
List-Unsubscribe=One-Click"""
RFC_MULTIPART = b"""POST {path} HTTP/1.1\r
Host: shop.example\r
Content-Type: multipart/form-data; boundary="---FormBoundaryjWmhtjORrn"\r
Content-Length: 130\r
\r
-----FormBoundaryjWmhtjORrn\r
Content-Disposition: form-data; name="List-Unsubscribe"\r
\r
One-Click\r
-----FormBoundaryjWmhtjORrn--\r
"""


@pytest.mark.parametrize("request_bytes", [RFC_FORM, RFC_MULTIPART], ids=["urlencoded", "multipart"])
def test_the_posts_of_the_rfc_end_the_topic_byte_for_byte(site: Running, request_bytes: bytes) -> None:
    """C03, fault F73: RFC 8058 sections 8.2 and 8.3, as Gmail and Yahoo send them: 200, no redirect, no cookie."""
    sent = request_bytes.replace(b"{path}", site.path().encode())
    with socket.create_connection(("127.0.0.1", site.port), timeout=20) as connection:
        connection.sendall(sent)
        head = connection.recv(65_536).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 200")
    assert b"location:" not in head
    assert b"set-cookie:" not in head
    assert site.consents()[("newsletter", "email")] == "withdrawn"
    assert site.consents()[("offers", "email")] == "granted"


def test_asking_again_after_the_withdrawal_says_that_it_is_done(site: Running) -> None:
    site.ask("POST", site.path(), ONE_CLICK, URLENCODED)
    html = site.ask("GET", site.path())[2]
    assert "Fatto." in html
    assert "<form" not in html


def test_a_click_wins_over_a_consent_dated_later(site: Running) -> None:
    """The page must never say that it is done when it is not, whatever clock dated the consent."""
    later = NOW + timedelta(days=9)
    proof = Evidence(source="test form", wording="yes please")
    preferences.grant(
        site.database,
        customer_id="c-1",
        topic="newsletter",
        channel=ChannelName.EMAIL,
        evidence=proof,
        now=later,
        at=later,
    )
    assert site.ask("POST", site.path(), ONE_CLICK, URLENCODED)[0] == 200
    assert {state for (topic, _), state in site.consents().items() if topic == "newsletter"} == {"withdrawn"}


def test_repeating_it_is_fine_and_writes_nothing_more(site: Running) -> None:
    """C05."""
    site.ask("POST", site.path(), ONE_CLICK, URLENCODED)
    before = site.everything()
    assert site.ask("POST", site.path(), ONE_CLICK, URLENCODED)[0] == 200
    assert site.everything() == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_safe_methods_change_nothing_on_any_address(site: Running, method: str) -> None:
    """C04, fault F72: scanners may ask for every link in every way."""
    before = site.everything()
    for path in (
        site.path(),
        site.path(topic="offers"),
        "/health",
        "/ready",
        "/assets/x.png",
        "/icon.svg",
        "/u/k1.AAAA",
    ):
        site.ask(method, path)
    assert site.everything() == before


def test_the_page_asks_in_the_customers_language_with_a_button_that_needs_no_script(site: Running) -> None:
    """One page, no login (C04, C08)."""
    status, headers, html = site.ask("GET", site.path())
    assert status == 200
    assert '<html lang="it">' in html
    assert "La lettera del mese" in html
    assert '<form method="post"><button type="submit"' in html
    assert "<script" not in html
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"


def test_the_ledger_keeps_where_the_withdrawal_came_from(site: Running) -> None:
    site.ask("POST", site.path(), ONE_CLICK, URLENCODED | {"User-Agent": "Mail/1.0"})
    with site.database.read() as connection:
        rows = connection.execute(sa.select(tables.consent_event).where(tables.consent_event.c.state == "withdrawn"))
        evidence = rows.one().evidence
    assert evidence["source"] == f"unsubscribe link of message {MESSAGE}"
    assert evidence["user_agent"] == "Mail/1.0"
    assert evidence["actor"] == "customer"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("token", ["k1.AAAA", "nonsense", "k1." + "A" * 120])
def test_a_foreign_token_gets_a_way_out_and_changes_nothing(site: Running, method: str, token: str) -> None:
    """C05, fault F71: never a dead end, and never an effect."""
    before = site.everything()
    status, _, html = site.ask(method, f"/u/{token}", headers={"Accept-Language": "en-GB,en;q=0.8"})
    assert status == 404
    assert "mailto:" in html
    assert site.everything() == before


def test_an_erased_customers_link_still_answers(site: Running) -> None:
    status, _, html = site.ask("POST", site.path("gone"), ONE_CLICK, URLENCODED)
    assert status == 200
    assert "<h1>" in html


def test_assets_are_served_by_their_content(site: Running) -> None:
    active = releases.active(site.database)
    assert active is not None
    name, (media_type, content) = next(iter(active.templates.assets().items()))
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    connection.request("GET", f"/assets/{name}")
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("content-type"), answer.read()) == (200, media_type, content)
    assert "immutable" in (answer.getheader("cache-control") or "")
    connection.close()
    assert site.ask("GET", "/assets/..%2f..%2foutbound.toml")[0] == 404


def test_a_large_body_is_refused(site: Running) -> None:
    assert site.ask("POST", site.path(), b"x" * 70_000, URLENCODED)[0] == 413
    assert site.consents()[("newsletter", "email")] == "granted"


def test_a_record_that_cannot_be_written_is_never_called_done(site: Running) -> None:
    """Fault F37: another writer holds the lock for longer than we wait. The sender of the POST tries again."""
    if not site.database.is_sqlite:
        pytest.skip("one lock for all writers is SQLite's")
    with site.database.write():  # holds the lock
        # The site's connections wait a moment instead of half a minute.
        sa.event.listen(
            site.database.engine, "begin", lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 50"), insert=True
        )
        status, headers, html = site.ask("POST", site.path(), ONE_CLICK, URLENCODED)
    assert status == 503
    assert headers["retry-after"] == "60"
    assert "Fatto" not in html
    assert "Done." not in html
    assert site.consents()[("newsletter", "email")] == "granted"


def test_many_who_wait_for_the_record_keep_nobody_from_reading(site: Running) -> None:
    """Fault F37: more one-click POSTs than there are connections wait for a lock; pages and monitors are answered."""
    if not site.database.is_sqlite:
        pytest.skip("one lock for all writers is SQLite's")
    with ThreadPoolExecutor(24) as senders, site.database.write():  # holds the lock until the block ends
        waiting = [senders.submit(site.ask, "POST", site.path(), ONE_CLICK, URLENCODED) for _ in range(24)]
        for _ in range(5):
            assert site.ask("GET", site.path())[0] == 200
            assert site.ask("GET", "/ready")[0] == 200
        assert not any(one.done() for one in waiting)
    assert {one.result()[0] for one in waiting} == {200}
    assert site.consents()[("newsletter", "email")] == "withdrawn"


def test_health_and_readiness(site: Running) -> None:
    assert site.ask("GET", "/health")[0] == 200
    assert site.ask("GET", "/ready")[2] == '{"status":"ready","health":"green"}'


def test_a_refused_set_turns_health_red_and_nobody_off_the_net(site: Running, database: Database) -> None:
    """Fault F50. The answer names no file: it is for monitors, not for people."""
    files = working_copy.read_files(ROOT / "rules", ROOT / "templates")
    broken = {**files, "rules/policy.yaml": files["rules/policy.yaml"].replace(b"classes:", b"clases:", 1)}
    assert isinstance(releases.publish(database, broken, by="mia", now=NOW), tuple)
    code, _, body = site.ask("GET", "/ready")
    assert code == 200
    assert json.loads(body) == {
        "status": "ready",
        "health": "red",
        "refused": {"at": NOW.isoformat(), "errors": 1},
    }
    assert site.ask("GET", site.path())[0] == 200
    assert isinstance(releases.publish(database, files, by="mia", now=NOW), releases.Published)
    assert json.loads(site.ask("GET", "/ready")[2])["health"] == "green"
