"""``outbound preview``: on a terminal, bare, and on a page in the browser."""

import webbrowser
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from trial_shop import Shop


class Page(HTMLParser):
    """What a page consists of: its tags, and what its frames hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.frames: list[dict[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "iframe":
            self.frames.append(dict(attrs))


def test_the_bare_words_go_to_a_pager_and_what_cannot_to_standard_error(shop: Shop) -> None:
    words = ("notice", "ada", "--data", "what=boots")
    assert shop.run("preview", *words, "--text").out.startswith("About boots.")
    html = shop.run("preview", *words, "--html")
    assert html.out.lstrip().lower().startswith("<!doctype html>")
    assert html.err == "notice by sms has no HTML\n"
    assert shop.run("preview", *words, "--text", "--html", status=64).err.startswith("outbound: --text, --html")


def test_a_customer_is_found_by_their_address(shop: Shop) -> None:
    assert "letter by email (marketing)" in shop.run("preview", "letter", "ada@example.org").out
    assert "no such customer" in shop.run("preview", "letter", "nobody", status=1).err


def test_the_page_shows_every_channel_and_runs_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The customer's own text is text in it, whatever it says; the mail is framed without rights."""
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    attack = "</pre><script>alert(1)</script>"
    out = shop.run("preview", "notice", "ada", "--data", f"what={attack}", "--open", "--all-languages").out
    assert "notice by email in en (service)" in out
    [url] = opened
    page = Page(Path(unquote(urlsplit(url).path)).read_text(encoding="utf-8"))
    assert "script" not in page.tags
    [frame] = page.frames
    assert frame["sandbox"] is None, "without any of its permissions"
    inner = Page(frame["srcdoc"] or "")
    assert "script" not in inner.tags
    assert "table" in inner.tags
