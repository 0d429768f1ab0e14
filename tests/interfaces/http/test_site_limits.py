"""What the site refuses, whom it believes, and what it says of itself."""

import http.client
import io
import json
import logging
import socket
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
import structlog
from site_kit import NOW, add_customer, publish, serve

from outbound.config import ServerSection, Settings
from outbound.domain.errors import ConfigurationError
from outbound.domain.keyring import Keyring
from outbound.interfaces.http.groups import Rate
from outbound.interfaces.http.rates import Buckets, address_key
from outbound.interfaces.logs import log_to_stderr
from outbound.storage import tables
from outbound.storage.database import Database


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'site.db'}")
    tables.metadata.create_all(database.engine)
    publish(database)
    add_customer(database)
    yield database
    database.close()


def evidence(database: Database) -> dict[str, str]:
    with database.read() as connection:
        rows = connection.execute(sa.select(tables.consent_event).where(tables.consent_event.c.state == "withdrawn"))
        found: dict[str, str] = rows.one().evidence
    return found


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    buckets = Buckets(Rate(burst=3, per_second=2), most=10)
    assert [buckets.wait(b"a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.wait(b"b", 0.0) == 0
    assert buckets.wait(b"a", 0.5) == 0
    assert buckets.wait(b"a", 0.5) == 0.5


def test_buckets_remember_no_more_than_they_may() -> None:
    buckets = Buckets(Rate(burst=1, per_second=1), most=100)
    for number in range(10_000):
        buckets.wait(str(number).encode(), 0.0)
    assert len(buckets) == 100


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("unix:", "nonsense", True),
    ],
)
def test_an_ipv6_household_is_one_asker(one: str, other: str, same: bool) -> None:
    assert (address_key(one) == address_key(other)) is same


def test_one_link_is_not_asked_for_ever(shop: Database, keyring: Keyring) -> None:
    """C03 stays: another link of the same shop is answered at once."""
    with serve(shop, keyring) as site:
        answers = [site.ask("GET", site.path()) for _ in range(64)]
        assert [status for status, _, _ in answers[:60]] == [200] * 60
        status, headers, body = answers[-1]
        assert (status, body) == (429, "Too Many Requests")
        assert int(headers["retry-after"]) >= 1
        assert headers["x-content-type-options"] == "nosniff"
        assert site.ask("GET", site.path(topic="offers"))[0] == 200


def test_a_body_is_counted_as_it_arrives(shop: Database, keyring: Keyring) -> None:
    """Fault F64: without Content-Length a sender cannot hide how much it sends; a lie in it helps nobody."""
    with serve(shop, keyring) as site:
        before = site.everything()
        for length in ("x", "-1", "9" * 30, "70000"):
            assert site.ask("POST", "/nowhere", headers={"Content-Length": length})[0] in {400, 413}
        with socket.create_connection(("127.0.0.1", site.port), timeout=10) as connection:
            connection.sendall(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
            connection.sendall(b"400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n")
            assert connection.recv(200).startswith((b"HTTP/1.1 404", b"HTTP/1.1 413"))
        assert site.everything() == before


@pytest.mark.parametrize(
    ("trusted", "said", "noted"),
    [
        (("127.0.0.1",), "203.0.113.9", "203.0.113.9"),
        (("127.0.0.0/8",), "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (("10.0.0.1",), "203.0.113.9", "127.0.0.1"),
        ((), "203.0.113.9", "127.0.0.1"),
    ],
)
def test_only_a_trusted_proxy_says_for_whom_it_asks(
    shop: Database, keyring: Keyring, trusted: tuple[str, ...], said: str, noted: str
) -> None:
    """Fault F62: what an asker claims of itself (the left of the list) is not believed either."""
    with serve(shop, keyring, settings=Settings(server=ServerSection(trusted_proxies=trusted))) as site:
        assert site.ask("POST", site.path(), headers={"X-Forwarded-For": said})[0] == 200
    assert evidence(shop)["ip"] == noted


@pytest.mark.parametrize("prefix", ["", "/contact", "/a/b"])
def test_the_public_url_may_have_a_path_that_the_proxy_keeps_or_takes(
    shop: Database, keyring: Keyring, prefix: str
) -> None:
    """Fault F62."""
    with serve(shop, keyring, public_url=f"https://shop.example{prefix}/") as site:
        path = site.path()
        assert path.startswith(f"{prefix}/u/")
        assert site.ask("GET", path)[0] == 200
        assert site.ask("GET", path.removeprefix(prefix))[0] == 200
        assert site.ask("GET", f"{prefix or '/'}x/u/k1.AAAA")[0] == 404


def test_every_answer_is_closed_to_frames_sniffing_and_referrers(shop: Database, keyring: Keyring) -> None:
    with serve(shop, keyring) as site:
        for path in (site.path(), "/u/nonsense", "/nowhere", "/health", "/assets/none.png", "/u/"):
            _, headers, _ = site.ask("GET", path)
            assert "frame-ancestors 'none'" in headers["content-security-policy"], path
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["strict-transport-security"] == "max-age=31536000"
            assert "server" not in headers
            assert "set-cookie" not in headers


def test_metrics_are_for_those_named_and_name_nobody(shop: Database, keyring: Keyring) -> None:
    """Fault F81: labels are groups of routes, never an address, a token or a customer."""
    with serve(shop, keyring) as site:
        site.ask("GET", site.path())
        site.ask("PROPFIND", "/u/nonsense")
        status, headers, body = site.ask("GET", "/metrics")
        assert status == 200
        assert headers["content-type"].startswith("text/plain")
        assert 'outbound_http_requests_total{group="unsubscribe",method="GET",status="200"} 1.0' in body
        assert 'method="other"' in body
        assert 'outbound_messages{state="ready"} 0.0' in body
        assert "outbound_lag_seconds 0.0" in body
        assert site.path().removeprefix("/u/") not in body
        assert "c-1" not in body
        assert site.ask("GET", "/metrics", headers={"X-Forwarded-For": "203.0.113.9"})[0] == 404
        assert "outbound" not in site.ask("GET", "/metrics", headers={"X-Forwarded-For": "203.0.113.9"})[2]


def test_metrics_count_what_waits(database: Database, keyring: Keyring) -> None:
    publish(database)
    row = {"id": "e-1", "customer_id": "c-1", "name": "order.placed", "data": {}, "at": NOW, "received_at": NOW}
    with database.write() as connection:
        connection.execute(tables.event.insert(), row)
    with serve(database, keyring) as site:
        body = site.ask("GET", "/metrics")[2]
    assert "outbound_events_waiting 1.0" in body
    assert "outbound_runs_limited 0.0" in body
    assert "outbound_accounts_paused 0.0" in body


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the service would write to standard error."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    handlers = list(logging.root.handlers)
    log_to_stderr()
    yield written
    logging.root.handlers[:] = handlers
    structlog.reset_defaults()


def test_a_failure_is_logged_without_a_word_about_anybody(shop: Database, keyring: Keyring, log: io.StringIO) -> None:
    """Fault F81: neither the link, nor who asked, nor what the failure said."""
    headers = {"X-Forwarded-For": "203.0.113.9", "User-Agent": "Canary/1", "Accept-Language": "it"}

    def broken() -> datetime:
        raise ValueError("canary c-1")

    with serve(shop, keyring, now=broken) as site:
        path = site.path()
        assert site.ask("POST", path, headers=headers)[::2] == (500, "Internal Server Error")
        with shop.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE customer RENAME COLUMN language TO tongue")
        status, _, body = site.ask("GET", path, headers=headers)
    assert status == 503
    assert "Non è cambiato nulla" in body
    said = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [line["event"] for line in said] == ["request failed", "record unavailable"]
    assert [line["error"] for line in said] == ["ValueError", "OperationalError"]
    for canary in (path.removeprefix("/u/"), "c-1", "203.0.113.9", "anary", "tongue"):
        assert canary not in log.getvalue()


def test_a_setting_that_is_no_network_is_refused(tmp_path: Path) -> None:
    from outbound.config import read_settings

    (tmp_path / "outbound.toml").write_text('[server]\ntrusted_proxies = ["proxy.internal"]\n', encoding="utf-8")
    with pytest.raises(ConfigurationError, match="trusted_proxies"):
        read_settings(tmp_path, {})


def test_a_request_that_never_ends_its_body_is_answered(shop: Database, keyring: Keyring) -> None:
    """One click reads no body, so that a sender who never finishes it still gets out at once."""
    with serve(shop, keyring) as site:
        connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
        connection.putrequest("POST", site.path())
        connection.putheader("Content-Length", "26")
        connection.endheaders()
        assert connection.getresponse().status == 200
        connection.close()
        assert site.consents()[("newsletter", "email")] == "withdrawn"
