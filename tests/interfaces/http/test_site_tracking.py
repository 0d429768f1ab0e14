"""Opens and clicks: off unless topic and consent allow (C43), no open redirect (F70), machines are no readers (F74)."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from site_kit import Running, serve
from trial_shop import make_shop

from outbound.domain.consent import Evidence
from outbound.domain.keyring import Keyring
from outbound.services import preferences, releases
from outbound.services.inbox import Inbox
from outbound.storage import tables

OIL = "https://oil.example/new?year=2026&tin=3"
LETTER = (
    '<mj-section><mj-column><mj-text>Look: <a href="https://oil.example/new?year=2026&amp;tin=3">the oil</a>, '
    '<a href="https://oil.example/hello/{{ customer.first_name }}">yours</a></mj-text></mj-column></mj-section>'
)
TEMPLATE = """subject: {en: The letter}
context: {customer: [first_name]}
sample: {customer: {first_name: Ada}}
"""
SENT = datetime(2026, 11, 30, 10, 0, tzinfo=UTC)
READER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101 Firefox/128.0"}
FORM = ("--source", "form", "--wording", "Yes, you may note what I read.")
EVIL = "evil.example"
PAYLOADS = (
    *(f"https://{EVIL}", f"//{EVIL}", f"///{EVIL}", f"/\\{EVIL}", f"\\\\{EVIL}", f"https:{EVIL}", f"/%09/{EVIL}"),
    *(f"%2f%2f{EVIL}", f"https%3A%2F%2F{EVIL}", f"http://oil.example@{EVIL}", f"//oil.example%40{EVIL}"),
    *(f"javascript:location='//{EVIL}'", f"/%2e%2e//{EVIL}", f"https://oil.example.{EVIL}", f"{EVIL}/%0d%0aLocation:"),
    f"\u3002{EVIL}",
)


class Sent:
    """Two letters: ``ada`` agreed that clicks and opens are noted, ``ben`` did not."""

    def __init__(self, folder: Path) -> None:
        self.shop = shop = make_shop(folder)
        shop.write("templates/letter/email.mjml", LETTER)
        shop.write("templates/letter/template.yaml", TEMPLATE)
        policy = (shop.folder / "rules/policy.yaml").read_text(encoding="utf-8")
        noted = "titles: {en: The monthly letter}, track: [opens, clicks]}\n"
        noted += "  tracking:   {class: marketing, titles: {en: Noting what I read}}\n"
        shop.write("rules/policy.yaml", policy.replace("titles: {en: The monthly letter}}\n", noted))
        shop.run("--at", "2026-11-02T08:00Z", "apply")
        who = str(shop.customers(["ada", "ben"]))
        shop.run("--at", "2026-11-03T08:00Z", "consent", "grant", "ada", "tracking", *FORM)
        shop.run("--at", f"{SENT:%FT%R}Z", "send", "letter", "--key", "k", "--customers", who)
        shop.run("run", "--at", f"{SENT:%FT%R}Z", "--until", f"{SENT + timedelta(minutes=2):%FT%R}Z")
        mails = [file.read_bytes().replace(b"=\r\n", b"") for file in (shop.folder / "mailbox").rglob("*.eml")]
        self.mails = {
            name: next(mail for mail in mails if f"To: {name}@".encode() in mail).decode().replace("=3D", "=")
            for name in ("ada", "ben")
        }
        self.links = re.findall(r'href="http://localhost:8025(/l/[^"]+)"', self.mails["ada"])
        self.pixels = re.findall(r'src="http://localhost:8025(/o/[^"]+)"', self.mails["ada"])

    @contextmanager
    def site(self, keyring: Keyring, *, after: timedelta = timedelta(hours=1)) -> Iterator[Running]:
        url = "http://localhost:8025"
        with self.shop.database() as database, serve(database, keyring, public_url=url, now=lambda: SENT + after) as it:
            yield it


@pytest.fixture(scope="module")
def _sent(tmp_path_factory: pytest.TempPathFactory) -> Sent:
    return Sent(tmp_path_factory.mktemp("tracking") / "shop")


@pytest.fixture
def sent(_sent: Sent) -> Iterator[Sent]:
    """Nothing was noted yet."""
    yield _sent
    with _sent.shop.database() as database, database.write() as connection:
        for table in (tables.delivery_event, tables.event):
            connection.execute(table.delete())


def noted(site: Running) -> list[tuple[str, str, str]]:
    with site.database.read() as connection:
        news = tables.delivery_event
        rows = connection.execute(sa.select(news.c.kind, news.c.customer_id, news.c.automated).order_by(news.c.kind))
        return [tuple(row) for row in rows]


def events(site: Running) -> list[str]:
    with site.database.read() as connection:
        return sorted(connection.execute(sa.select(tables.event.c.name)).scalars())


def test_c43_links_lead_straight_there_unless_topic_and_consent_allow(sent: Sent, keyring: Keyring) -> None:
    """C43: who did not agree gets plain links and no picture; who takes it back is noted no more, the link works."""
    ben = sent.mails["ben"]
    assert 'href="https://oil.example/new?year=2026&amp;tin=3"' in ben
    assert "/l/" not in ben
    assert "/o/" not in ben
    assert (len(sent.links), len(sent.pixels)) == (1, 1)
    assert 'href="https://oil.example/hello/Ada"' in sent.mails["ada"], "a link with their own words is left alone"
    with sent.site(keyring) as site:
        assert site.fetch("GET", sent.pixels[0], headers=READER)[1]["content-type"] == "image/gif"
        status, headers, _ = site.fetch("GET", sent.links[0], headers=READER)
        assert (status, headers["location"], headers["cache-control"]) == (302, OIL, "no-store")
        assert noted(site) == [("clicked", "ada", "waits"), ("opened", "ada", "")]
        assert events(site) == ["message.opened"]
        judge(site, keyring)
        assert noted(site) == [("clicked", "ada", ""), ("opened", "ada", "")]
        assert events(site) == ["message.clicked", "message.opened"]
        site.fetch("GET", sent.links[0], headers=READER)
        judge(site, keyring)
        assert events(site) == ["message.clicked", "message.opened"], "rules hear of it once"
        evidence = Evidence(source="test")
        preferences.withdraw(
            site.database, customer_id="ada", topic="tracking", channel=None, evidence=evidence, now=SENT
        )
        before = noted(site)
        assert site.fetch("GET", sent.links[0], headers=READER)[1]["location"] == OIL
        assert noted(site) == before
        again = Evidence(source="test", wording="yes")
        preferences.grant(
            site.database, customer_id="ada", topic="tracking", channel=None, evidence=again, now=SENT + timedelta(1)
        )
    shown = sent.shop.run("customer", "show", "ada").out
    assert "clicked" in shown


def test_f70_a_link_leads_only_to_what_a_template_says(sent: Sent, keyring: Keyring) -> None:
    """F70: whatever stands in query, path or token, nobody is ever sent to an address that no template holds."""
    (link,) = sent.links
    pages = ("/p/x", "/u/x", "/v", "/c/x", "/rights/x")
    with sent.site(keyring) as site:
        for payload in PAYLOADS:
            coded = quote(payload, safe="%")
            for name in ("url", "next", "return"):
                assert site.fetch("GET", f"{link}?{name}={coded}", headers=READER)[1]["location"] == OIL
    with sent.site(keyring) as site:  # with counters of its own
        for payload in PAYLOADS:
            coded = quote(payload, safe="%")
            tries = [f"/l/{coded}", f"/o/{coded}", f"{link}{coded}", f"{link}/{coded}"]
            tries += [f"{page}?{name}={coded}" for page in pages for name in ("next", "return")]
            for path in tries:
                for method in ("GET", "POST"):
                    _, headers, _ = site.fetch(method, path, headers=READER)
                    assert EVIL not in headers.get("location", ""), (method, path)
        token = link.removeprefix("/l/")
        for at in range(len(token)):
            changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
            status, headers, _ = site.fetch("GET", f"/l/{changed}")
            assert "location" not in headers, at
            assert status in {404, 429}, at
        other = sent.pixels[0].removeprefix("/o/")
        assert "location" not in site.fetch("GET", f"/l/{other}")[1], "a token of another purpose"


def judge(site: Running, keyring: Keyring) -> None:
    """The daemon's sweep, ten seconds after the click."""
    inbox = Inbox(site.database, readers={}, keyring=keyring, active=lambda: releases.active(site.database))
    inbox.sweep(now=SENT + timedelta(hours=1, seconds=10))


MACHINES = {
    "method": ("HEAD", READER["User-Agent"], timedelta(hours=1)),
    "agent": ("GET", "Mozilla/5.0 (compatible; Barracuda Sentinel)", timedelta(hours=1)),
    "too_fast": ("GET", READER["User-Agent"], timedelta(seconds=2)),
}


@pytest.mark.parametrize("why", MACHINES)
def test_f74_a_machines_click_is_kept_and_sets_nothing_off(sent: Sent, keyring: Keyring, why: str) -> None:
    """F74: the hit stands in the record with why; no event, so no rule; no receipt; the link leads on all the same."""
    method, agent, after = MACHINES[why]
    with sent.shop.database() as database, database.write() as connection:
        connection.execute(sa.update(tables.attempt).values(handoff_at=SENT))
        connection.execute(sa.update(tables.leg).values(receipt_at=None))
    with sent.site(keyring, after=after) as site:
        assert site.fetch(method, sent.links[0], headers={"User-Agent": agent})[1]["location"] == OIL
        assert noted(site) == [("clicked", "ada", why)]
        assert events(site) == []
        with site.database.read() as connection:
            assert set(connection.execute(sa.select(tables.leg.c.receipt_at)).scalars()) == {None}


def test_f74_pressing_on_fills_nothing(sent: Sent, keyring: Keyring) -> None:
    """F74: fifty hits of a kind are kept of one message, and then no more."""
    with sent.site(keyring) as site:
        for _ in range(55):
            site.fetch("GET", sent.pixels[0], headers={"User-Agent": "curl/8"})
        assert len(noted(site)) == 50
