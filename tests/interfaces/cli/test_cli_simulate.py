"""simulate: the figures, the page, two releases beside each other, the past under new rules; nothing is written."""

import hashlib
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from trial_shop import Shop, make_shop

WEEKLY = """
---
rule: weekly
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=DAILY, at: "10:00", tz: customer}
send: {template: letter, channels: [email]}
---
rule: thanks
owner: crm@shop.example
topic: notices
when: {event: message.clicked, if: event.rule == 'weekly'}
once: "{event.id}"
send: {template: letter, channels: [email]}
"""
START = "2026-11-02T08:00Z"


@pytest.fixture
def daily(shop: Shop) -> Iterator[Shop]:
    """A letter every day that is not published yet, and a thank-you for each click."""
    path = shop.folder / "rules" / "rules.yaml"
    path.write_text(path.read_text() + WEEKLY)
    return shop


def test_files_that_nobody_published_are_lived_through_and_nothing_is_written(daily: Shop) -> None:
    database = daily.folder / "outbound.db"
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    told = daily.run("--at", START, "simulate", "--days", "2")
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    assert re.search(r"^weekly +4 +4 +0 +0 +0 +2  EUR 0\.0016$", told.out, re.MULTILINE)
    assert "4 messages: email 4 (EUR 0.0016). Total EUR 0.0016." in told.out
    assert "People with most messages: ada (2), ben (2). 2 get 2 to 4." in told.out
    assert "  notice: only `outbound send` starts it\n" in told.out
    assert "Assumes no opens or clicks" in told.out
    assert daily.states() == {}


def test_supposed_clicks_are_drawn_from_the_seed(daily: Shop) -> None:
    def thanked(*words: str) -> int:
        answer = daily.run("--at", START, "simulate", "--days", "3", "--json", *words).json
        return next(rule["sent"] for rule in answer["forecast"]["rules"] if rule["rule"] == "thanks")

    assert thanked() == 0
    assert thanked("--react", "message.clicked=100%") > 4
    half = [thanked("--react", "message.clicked=50%", "--seed", str(seed)) for seed in (1, 1, 2, 3)]
    assert half[0] == half[1]
    assert len(set(half)) > 1


def test_reactions_and_times_that_cannot_be_read_are_wrong_usage(daily: Shop) -> None:
    for word in ("clicks=5", "clicked=12%", "message.clicked=120%"):
        refused = daily.run("simulate", "--react", word, status=64).err
        assert refused.startswith(f"outbound: '{word}' is no reaction [simulate.react]")
    assert "'2026-13-01' is not a time [time.format]" in daily.run("simulate", "--from", "2026-13-01", status=64).err


def test_two_sets_stand_beside_each_other(daily: Shop) -> None:
    told = daily.run("--at", START, "simulate", "--days", "2", "--compare", "running").out
    assert re.search(r"^rule +entered +sent +sent, running +held", told, re.MULTILINE)
    assert "With running: 0 messages, EUR 0.00. Difference: +4 messages, +EUR 0.0016.\n" in told
    answer = daily.run("--at", START, "simulate", "--days", "2", "--json", "--compare", str(daily.folder)).json
    assert answer["compared"]["sent"] == answer["forecast"]["sent"] == 4
    assert "[release.unknown]" in daily.run("--at", START, "simulate", "--compare", "abcdef12", status=1).err


def test_files_with_mistakes_are_refused_as_by_check(daily: Shop) -> None:
    path = daily.folder / "rules" / "rules.yaml"
    path.write_text(
        path.read_text().replace("topic: notices\nwhen: {event: mess", "topic: notises\nwhen: {event: mess")
    )
    refused = daily.run("simulate", status=1)
    assert "notises" in refused.err
    assert "Not simulated: 1 error." in refused.err


def test_the_past_is_lived_again_under_the_new_rules(shop: Shop) -> None:
    orders = shop.write(
        "orders.jsonl",
        '{"customer": "ada", "order_id": "A1", "at": "2026-11-02T12:00Z"}\n'
        '{"customer": "ben", "order_id": "B1", "at": "2026-11-03T12:00Z"}\n',
    )
    shop.run(
        "--at", "2026-11-05T08:00Z", "import", "events", str(orders), "--mapping", str(shop.folder / "orders.yaml")
    )
    answer = shop.run("simulate", "--from", START, "--days", "2", "--json").json["forecast"]
    assert [(one["day"], one["messages"]) for one in answer["days"]] == [("2026-11-02", 1), ("2026-11-03", 1)]
    assert "time in the past" in shop.run("simulate", "--from", "2126-01-01", status=64).err


def test_the_page_is_complete_in_itself_and_escapes_what_it_shows(daily: Shop) -> None:
    file = daily.folder / "forecast.html"
    told = daily.run("--at", START, "simulate", "--days", "2", "--html", str(file), "--compare", "running")
    assert told.out.endswith(f"The page: {file}\n")
    page = file.read_text(encoding="utf-8")
    looked = _Page()
    looked.feed(page)
    assert looked.open == []
    assert looked.fetched == []
    assert any(label.startswith("Messages per day by channel.") for label in looked.labels)
    assert ">4<small>" in page
    assert "<script" not in page
    assert page.count("no-repeat local") == 2, "what is wider than the window shows a shadow where there is more"


def test_a_shop_without_customers_has_a_page_too(tmp_path: Path) -> None:
    shop = make_shop(tmp_path / "shop")
    file = shop.folder / "forecast.html"
    shop.run("simulate", "--days", "3", "--html", str(file))
    page = file.read_text(encoding="utf-8")
    assert "<dt>People reached</dt><dd>0<" in page
    assert "nothing leaves" in page
    assert "of 0, " not in page


class _Page(HTMLParser):
    """What a page asks for from elsewhere, which elements it leaves open, and how its pictures are described."""

    _EMPTY = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.labels: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self._EMPTY:
            self.open.append(tag)
        for name, value in attrs:
            if name in {"src", "href", "action"}:
                self.fetched.append(value or "")
            if name == "aria-label":
                self.labels.append(value or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Closed where it opens."""

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
