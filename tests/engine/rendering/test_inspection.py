"""What readers would see of a rendered mail: dead links, faint texts, and what their programs lack."""

from pathlib import Path

import pytest
from template_workbench import compiled, section

from outbound.engine.rendering import addresses, contrast
from outbound.engine.rendering.clients import Feature, used
from outbound.engine.rendering.page import read_page
from outbound.services import caniemail

ASSETS = "https://links.shop.example/assets/"


def warned(code: str, body: str) -> list[str]:
    _, problems = compiled({"hello/email.mjml": section(body + " {{ customer.first_name }}")})
    return [f"{p.span.file}:{p.span.line}: {p.message}" for p in problems if p.code == code]


@pytest.mark.parametrize(
    ("address", "wrong"),
    [
        ("https://shop.example/a?b=c#d", ""),
        ("https://bücher.example/ü", ""),
        ("http://localhost:8025/u", ""),
        ("https://[2001:db8::1]/", ""),
        ("mailto:hello@shop.example?subject=Hi%20there", ""),
        ("tel:+49%20030%20123", ""),
        ("#top", ""),
        (f"{ASSETS}logo.png", ""),
        ("", "leads nowhere"),
        ("#", "leads nowhere"),
        ("/news", "is relative: a mail has no page it could start from"),
        ("www.shop.example", "is relative: a mail has no page it could start from"),
        ("https:///news", "has no host"),
        ("https://shop", "has no host"),
        ("https://shop..example/", "has no host"),
        ("https://shop.example:99999/", "is no address"),
        ("https://[shop", "is no address"),
        ("https://shop.example/a b", "has a character that must be encoded"),
        ("mailto:hello", "is no mail address"),
        ("tel:call me", "is no phone number"),
        ("javascript:alert(1)", "scripts do nothing in mail"),
        (f"{ASSETS}nope.png", "names an asset that is not there"),
    ],
)
def test_an_address_is_judged_without_asking_anybody(address: str, wrong: str) -> None:
    assert addresses.fault("a", address, assets=ASSETS, known=frozenset({"logo.png"})) == wrong


def test_a_dead_link_is_pointed_at_where_it_is_written() -> None:
    assert warned("template-link", '<a href="https://shop.example/x">x</a>') == []
    [found] = warned("template-link", "\n" + '<a href="/news/today">news</a>')
    assert found.startswith("templates/hello/email.mjml:2: the address '/news/today' is relative")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("#000", "#ffffff", 21.0),
        ("#777777", "white", 4.478),
        ("rgb(118, 118, 118)", "#fff", 4.542),
        ("#fff", "#fff", 1.0),
    ],
)
def test_contrast_is_that_of_wcag(one: str, other: str, expected: float) -> None:
    """Known pairs: #777 fails on white by a hair and #767676 passes (WCAG 2.1, 1.4.3)."""
    assert contrast.ratio(one, other) == pytest.approx(expected, abs=0.001)
    assert contrast.ratio(other, one) == contrast.ratio(one, other)


def test_a_colour_that_cannot_be_read_is_not_judged() -> None:
    assert contrast.ratio("papayawhip", "#fff") is None
    assert contrast.ratio("#12345", "#fff") is None


def test_faint_text_is_found_through_what_it_inherits() -> None:
    html = (
        '<div style="background:#fafafa;color:#999999"><p>small <span style="font-size:30px">large</span></p>'
        '<p style="display:none">hidden</p></div>'
        '<div style="background:url(x.png);color:#fff">over a picture</div>'
        '<td bgcolor="#222222"><b style="color:#333333">dark</b></td>'
    )
    found = {text: (round(ratio, 1), needed) for text, _, ratio, needed in contrast.faint(read_page(html))}
    assert found == {"small": (2.7, 4.5), "large": (2.7, 3.0), "dark": (1.3, 4.5)}


def test_faint_text_is_warned_of_in_the_authors_file() -> None:
    [found] = warned("template-contrast", '<span style="color:#dddddd">tiny print</span>')
    assert found == (
        "templates/hello/email.mjml:1: 'tiny print' is hard to read: #dddddd on #ffffff has a contrast of 1.4"
    )


def test_what_a_page_is_made_of_is_named_as_caniemail_names_it() -> None:
    page = read_page(
        "<style>@media (prefers-color-scheme: dark) { a:hover { color: red } } p::before { margin: 0 }</style>"
        '<div style="display:flex;width:calc(100% - 2rem);background:linear-gradient(red,blue)" role="x">'
        '<img src="https://shop.example/a.webp" loading="lazy"></div>'
    )
    assert {
        "css-at-media",
        "css-at-media-prefers-color-scheme",
        "css-pseudo-class-hover",
        "css-pseudo-element-before",
        "css-display-flex",
        "css-unit-calc",
        "css-unit-rem",
        "css-linear-gradient",
        "html-role",
        "html-loading-attribute",
        "html-img",
        "image-webp",
    } <= set(used(page))


FEATURE = """---
title: "position"
stats: {
    apple-mail: {
        macos: { "10.3":"y" }, ios: { "10.3":"n", "12.2":"y" }
    },
    outlook: {
        windows: {
            "2007":"y",
            "2019":"n #1",
        },
        android: { "2019-08":"u" }
    }
}
links: { nothing: { here: "n" } }
---
"""


def test_each_program_counts_by_its_newest_version_that_was_tested() -> None:
    feature = caniemail.read_feature(FEATURE)
    assert feature == Feature(title="position", clients=3, lacking=("outlook windows",))
    assert feature.share == pytest.approx(1 / 3)


def test_what_programs_lack_is_warned_of_only_where_an_author_wrote_it(shared_data: Path) -> None:
    """With the real data. What MJML itself adds (border-collapse, role ...) is nobody's mistake."""
    support = caniemail.read(shared_data / "caniemail")
    assert len(support) > 250
    assert 0.1 < support["css-border-radius"].share < 0.3
    body = section('<span style="box-shadow:1px 1px 2px #000000">over</span> {{ customer.first_name }}')
    _, problems = compiled({"hello/email.mjml": body}, support=support)
    [found] = [p for p in problems if p.code == "template-clients" and p.span.file.endswith("hello/email.mjml")]
    assert found.message.startswith("box-shadow: ")
    assert "of mail programs do not have it (" in found.message
    assert {p.span.file for p in problems if p.code == "template-clients"} <= {
        "templates/hello/email.mjml",
        "templates/brand/layout.mjml",
    }
