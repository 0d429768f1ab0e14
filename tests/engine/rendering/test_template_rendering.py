"""What a reader gets: language, missing data, escaping, links, text part, determinism."""

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest
from template_workbench import LINKS, PNG, good, mail, render, section, sms, stop

from outbound.domain.customer import ChannelName
from outbound.domain.rendered import RenderStop

BOTH = {"hello/email.mjml": "", "hello/email.it.mjml": section("Ciao"), "hello/email.en.mjml": section("Hello")}


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("it", "it"),
        ("it-CH", "it"),
        ("it_IT", "it"),
        ("IT", "it"),
        ("en-US", "en"),
        ("de", "en"),
        (None, "en"),
        ("", "en"),
    ],
)
def test_the_customers_language_is_used_and_the_fallback_otherwise(wanted: str | None, language: str) -> None:
    rendered = mail(good(BOTH | {"hello/template.yaml": "subject: {it: Ciao, en: Hello}\n"}), language=wanted)
    assert rendered.language == language
    assert rendered.subject == {"it": "Ciao", "en": "Hello"}[language]
    assert ("Ciao" in rendered.html) is (language == "it")
    assert f'lang="{language}"' in rendered.html


def test_missing_data_stops_the_message_and_names_what_is_missing() -> None:
    templates = good()
    assert stop(templates, context={"customer": {}}) == "customer.first_name missing"
    assert stop(templates, context={}) == "customer.first_name missing"


@pytest.mark.parametrize("nothing", [None, "", "   ", "\u00a0"])
def test_a_blank_value_counts_as_missing_so_that_nobody_reads_ciao_comma(nothing: str | None) -> None:
    assert stop(good(), context={"customer": {"first_name": nothing}}) == "customer.first_name missing"


def test_a_default_answers_for_missing_data() -> None:
    manifest = "subject: {it: Ciao, en: Hello}\ncontext: {customer: [first_name]}\n"
    body = section("Ciao {{ customer.first_name | default('amico') }}")
    templates = good({"hello/template.yaml": manifest, "hello/email.mjml": body})
    assert "Ciao amico" in mail(templates, context={}).html
    assert "Ciao Giulia" in mail(templates).html


@pytest.mark.parametrize("name", ["{{7*7}}", "{% for x in y %}", "${7*7}", "<%= 7*7 %>", "{{ config }}", "#{7*7}"])
def test_data_is_never_a_template(name: str) -> None:
    rendered = mail(good(), context={"customer": {"first_name": name}})
    assert rendered.subject == f"Ciao {name}"
    assert name in rendered.text
    assert "49" not in rendered.subject
    assert "49" not in rendered.text


def test_values_are_escaped_in_html_and_not_in_text_or_subject() -> None:
    name = '<b>"O\'Dell" & co</b>'
    rendered = mail(good(), context={"customer": {"first_name": name}})
    assert "&lt;b&gt;&#34;O&#39;Dell&#34; &amp; co&lt;/b&gt;" in rendered.html
    assert "<b>" not in rendered.html
    assert rendered.subject == f"Ciao {name}"
    assert f"Ciao {name}!" in rendered.text


def test_a_quote_in_a_value_cannot_leave_an_attribute() -> None:
    body = section('<span title="{{ customer.first_name }}">x</span>')
    rendered = mail(good({"hello/email.mjml": body}), context={"customer": {"first_name": '" onmouseover="alert(1)'}})
    assert 'onmouseover="' not in rendered.html


@pytest.mark.parametrize(
    "address",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//evil.example",
        "/x",
        "x y:z",
        "http://[",
    ],
)
def test_a_value_that_becomes_a_link_must_be_a_web_address(address: str) -> None:
    body = section('<a href="{{ customer.first_name }}">qui</a>')
    templates = good({"hello/template.yaml": LINK_MANIFEST, "hello/email.mjml": body})
    assert stop(templates, context={"customer": {"first_name": address}}) == "a link is not a web address"


LINK_MANIFEST = """subject: {it: Ciao, en: Hello}
context: {customer: [first_name]}
sample: {customer: {first_name: "https://shop.example"}}
"""


def test_a_web_address_as_a_link_is_kept_and_escaped() -> None:
    body = section('<a href="{{ customer.first_name }}">qui</a>')
    templates = good({"hello/template.yaml": LINK_MANIFEST, "hello/email.mjml": body})
    rendered = mail(templates, context={"customer": {"first_name": "https://shop.example/?a=1&b=2"}})
    assert 'href="https://shop.example/?a=1&amp;b=2"' in rendered.html


@pytest.mark.parametrize("character", ["\r", "\n", "\x00", "\x0b", "\x85", "\u2028"])
def test_a_control_character_never_reaches_a_subject(character: str) -> None:
    reason = stop(good(), context={"customer": {"first_name": f"Giulia{character}Bcc: x@y.example"}})
    assert "Bcc" not in reason
    assert "control character" in reason or "not one line" in reason


def test_the_reason_of_a_stop_never_quotes_the_value() -> None:
    reason = stop(good(), context={"customer": {"first_name": "secret" * 1000}})
    assert reason == "customer.first_name is longer than 4096 characters"


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", float("nan"), float("inf"), 10**20])
def test_only_plain_values_of_ordinary_size_reach_a_template(value: object) -> None:
    assert stop(good(), context={"customer": {"first_name": value}}).startswith("customer.first_name is not")


def test_a_marketing_mail_carries_its_link_in_html_and_text_and_stops_without_one() -> None:
    templates = good()
    rendered = mail(templates, message_class="marketing", links=LINKS)
    assert f'href="{LINKS.unsubscribe}"' in rendered.html
    assert LINKS.unsubscribe in rendered.text
    assert stop(templates, message_class="marketing") == "no unsubscribe link"


def test_other_mail_carries_no_unsubscribe_link() -> None:
    rendered = mail(good())
    assert "Disiscriviti" not in rendered.html
    assert "Disiscriviti" not in rendered.text


def test_marketing_and_transactional_mail_come_from_different_senders() -> None:
    templates = good()
    senders = {
        mail(templates, message_class=name, links=LINKS).sender for name in ("marketing", "transactional", "security")
    }
    assert len(senders) == 3


def test_an_unknown_template_channel_or_class_is_a_stop_and_no_exception() -> None:
    templates = good()
    assert stop(templates, name="nothing") == "template nothing has no email"
    assert stop(templates, channel=ChannelName.SMS) == "template hello has no sms"
    assert stop(templates, message_class="gossip") == "there is no class gossip"


def test_the_text_part_is_made_from_the_html_with_links_spelled_out() -> None:
    body = section('Leggi <a href="https://shop.example/x">la lettera</a> con calma') + section("Secondo")
    text = mail(good({"hello/email.mjml": body + section("{{ customer.first_name }}")})).text
    assert "la lettera:\nhttps://shop.example/x" in text
    assert "Secondo\n" in text
    assert "<" not in text
    assert "\n\n\n" not in text


def test_a_written_text_part_is_used_as_written() -> None:
    extra = {"hello/email.it.txt": "Testo mio, {{ customer.first_name }}.\n"}
    assert mail(good(extra)).text.startswith("Testo mio, Giulia.\n")


def test_a_condition_keeps_its_place_in_the_derived_text() -> None:
    body = section("{% if customer.first_name == 'Ada' %}prima{% else %}seconda{% endif %}")
    templates = good({"hello/email.mjml": body})
    assert "seconda" in mail(templates).text
    assert "prima" not in mail(templates).text
    assert "prima" in mail(templates, context={"customer": {"first_name": "Ada"}}).text


def test_a_line_of_statements_leaves_no_empty_line() -> None:
    extra = {"hello/email.txt": "uno\n{% if customer.first_name %}\ndue\n{% endif %}\ntre\n"}
    assert mail(good(extra)).text.startswith("uno\ndue\ntre\n")


def test_an_html_body_gets_the_layout_and_a_text_part_too() -> None:
    extra = {"hello/email.mjml": "", "hello/email.html": '<p class="deep">Ciao <b>{{ customer.first_name }}</b></p>'}
    rendered = mail(good(extra))
    assert re.search(r'<p class="deep" style="[^"]*color: #123456;">Ciao <b>Giulia</b></p>', rendered.html)
    assert "Salita del Limone" in rendered.html
    assert "Ciao Giulia" in rendered.text


def test_the_same_values_give_the_same_bytes_in_any_thread_and_after_compiling_again() -> None:
    first, second = good(), good()
    expected = mail(first)
    with ThreadPoolExecutor(4) as pool:
        assert all(rendered == expected for rendered in pool.map(lambda _: mail(first), range(200)))
    assert mail(second) == expected


def test_one_message_never_sees_the_values_of_another() -> None:
    body = section("{% set name = customer.first_name %}{{ name }}")
    templates = good({"hello/email.mjml": body})
    mail(templates)
    assert render(templates, context={}) == RenderStop(detail="customer.first_name missing")


def test_a_snapshot_keeps_declared_names_only_as_plain_json() -> None:
    manifest = """subject: {it: "{{ customer.first_name }}", en: "{{ customer.birth_date }}"}
context: {customer: [first_name, birth_date]}
sample: {customer: {first_name: Giulia, birth_date: 1984-11-24}}
"""
    templates = good({"hello/template.yaml": manifest, "hello/email.mjml": section("x")})
    values = {
        "customer": {"first_name": "Giulia", "birth_date": date(1984, 11, 24), "email": "g@posta.example"},
        "event": {"order_id": "1"},
    }
    assert templates.snapshot("hello", values) == {"customer": {"birth_date": "1984-11-24", "first_name": "Giulia"}}
    assert templates.snapshot("hello", {}) == {"customer": {}}
    assert isinstance(templates.snapshot("nothing", {}), RenderStop)


def test_a_snapshot_renders_like_the_values_it_was_made_from() -> None:
    templates = good()
    snapshot = templates.snapshot("hello", {"customer": {"first_name": "Niccolò", "phone": "1"}})
    assert not isinstance(snapshot, RenderStop)
    assert mail(templates, context=snapshot) == mail(templates, context={"customer": {"first_name": "Niccolò"}})


def test_assets_are_named_by_their_content() -> None:
    body = (
        section("Ciao")
        + '<mj-section><mj-column><mj-image src="{{ asset(\'logo.png\') }}" alt="Marchio" /></mj-column></mj-section>'
    )
    extra = {"hello/email.mjml": body, "hello/template.yaml": "subject: {it: Ciao, en: Hello}\n"}
    templates = good(extra)
    name = hashlib.sha256(PNG).hexdigest()[:20] + ".png"
    assert templates.assets() == {name: ("image/png", PNG)}
    assert f'src="{LINKS.assets}{name}"' in mail(templates).html
    changed = good(extra | {"brand/logo.png": PNG + b"!"})
    assert name not in changed.assets()


def test_attachments_travel_with_the_mail() -> None:
    extra = {
        "hello/template.yaml": "subject: {it: Ciao, en: Hello}\nattachments: [listino.pdf]\n",
        "hello/email.mjml": section("Ciao"),
        "hello/listino.pdf": b"%PDF-1.4 prices",
    }
    (attachment,) = mail(good(extra)).attachments
    assert (attachment.name, attachment.media_type) == ("listino.pdf", "application/pdf")
    assert attachment.content == b"%PDF-1.4 prices"


def test_nothing_of_the_machinery_is_left_in_a_message() -> None:
    rendered = mail(good(), message_class="marketing", links=LINKS)
    assert not re.search(r"jx[qs]|jsq|\{\{|\{%|None|Undefined", rendered.html + rendered.text + rendered.subject)


def test_a_text_message_is_one_line_with_the_brand_in_front() -> None:
    text = sms(good({"hello/sms.txt": "ciao {{ customer.first_name }}\n"}))
    assert (text.text, text.segments, text.encoding) == ("Dispensa Levante: ciao Giulia", 1, "GSM-7")


def test_a_marketing_text_carries_the_way_out() -> None:
    text = sms(good({"hello/sms.txt": "ciao {{ customer.first_name }}\n"}), message_class="marketing", links=LINKS)
    assert text.text.endswith(LINKS.unsubscribe)


def test_a_text_longer_than_the_policy_allows_stops_that_message() -> None:
    templates = good({"hello/sms.txt": "{{ customer.first_name }}"})
    assert stop(templates, channel=ChannelName.SMS, context={"customer": {"first_name": "x" * 400}}) == (
        "3 SMS parts, at most 2 allowed"
    )
