# ruff: noqa: RUF001 -- typographic characters are what these tests are about
"""The measured traps of MJML, the CSS inliner and SMS, each with its proof."""

import re

import pytest
from template_workbench import good, mail, section

from outbound.engine.rendering.segmenting import count

LIST = """subject: {it: Ciao, en: Hello}
context: {script: [items]}
sample: {script: {items: [a, b]}}
"""
ITEMS = {"script": {"items": ["uno", "due", "tre"]}}


def test_a_loop_stays_inside_its_table_and_the_implied_tbody_is_not_repeated() -> None:
    rows = "{% for item in script.items %}<tr><td>{{ item }}</td></tr>{% endfor %}"
    table = f"<mj-section><mj-column><mj-table>{rows}</mj-table></mj-column></mj-section>"
    html = mail(good({"hello/template.yaml": LIST, "hello/email.mjml": table}), context=ITEMS).html
    found = re.search(r"<tbody>((?:<tr><td[^>]*>\w+</td></tr>)+)</tbody>", html)
    assert found
    assert re.findall(r">(\w+)</td>", found[1]) == ["uno", "due", "tre"]


def test_rows_of_a_table_become_lines_of_text_with_their_loops_and_conditions() -> None:
    rows = (
        "<tr><td>Ordine</td><td>DL-1</td></tr>"
        "{% for item in script.items %}<tr><td>Voce</td><td>{{ item }}</td></tr>{% endfor %}"
        "{% if script.items == 1 %}<tr><td>Mai</td></tr>{% endif %}<tr><td>Totale</td><td>9</td><td>EUR</td></tr>"
    )
    table = f"<mj-section><mj-column><mj-table>{rows}</mj-table></mj-column></mj-section>"
    text = mail(good({"hello/template.yaml": LIST, "hello/email.mjml": table}), context=ITEMS).text
    assert text.startswith("Ordine: DL-1\nVoce: uno\nVoce: due\nVoce: tre\nTotale: 9, EUR\n")


def test_a_condition_around_whole_elements_keeps_its_place_in_the_text() -> None:
    body = (
        "<mj-section><mj-column><mj-text>prima</mj-text>"
        "{% if script.items == 1 %}<mj-button href='https://shop.example/mai'>Mai</mj-button>{% endif %}"
        "{% for item in script.items %}<mj-text>{{ item }}</mj-text>{% endfor %}"
        "<mj-button href='https://shop.example/x'>Vai</mj-button><mj-text>dopo</mj-text></mj-column></mj-section>"
    )
    text = mail(good({"hello/template.yaml": LIST, "hello/email.mjml": body}), context=ITEMS).text
    assert text.startswith("prima\n\nuno\n\ndue\n\ntre\n\nVai:\nhttps://shop.example/x\n\ndopo\n")


def test_a_loop_over_whole_sections_repeats_them() -> None:
    body = "{% for item in script.items %}" + section("{{ item }}") + "{% endfor %}"
    html = mail(good({"hello/template.yaml": LIST, "hello/email.mjml": body}), context=ITEMS).html
    assert re.findall(r">(uno|due|tre)</div>", html) == ["uno", "due", "tre"]


def test_comparison_signs_inside_jinja_survive() -> None:
    manifest = LIST.replace("items: [a, b]", "items: 3")
    body = section(
        "{% if script.items > 2 and script.items < 9 %}molti{% endif %}{{ 'pochi' if script.items <= 2 else 'basta' }}"
    )
    html = mail(
        good({"hello/template.yaml": manifest, "hello/email.mjml": body}), context={"script": {"items": 5}}
    ).html
    assert "moltibasta" in html


def test_style_rules_are_inlined_and_media_queries_are_kept() -> None:
    html = mail(good({"hello/email.mjml": section('<span class="deep">{{ customer.first_name }}</span>')})).html
    assert '<span class="deep" style="color: #123456;">Giulia</span>' in html
    assert re.search(r"@media \(max-width: ?479px\) ?\{ ?\.deep ?\{ ?color: ?#654321", html)


def test_the_conditional_comments_for_outlook_survive_the_inliner() -> None:
    html = mail(good()).html
    assert html.count("<!--[if") == html.count("<![endif]")
    assert "<!--[if mso | IE]>" in html


def test_no_font_or_anything_else_is_fetched_from_a_third_party() -> None:
    html = mail(
        good(
            {
                "hello/email.mjml": section("{{ customer.first_name }}").replace(
                    "<mj-text>", '<mj-text font-family="Roboto, Lato, Arial">'
                )
            }
        )
    ).html
    hosts = set(re.findall(r"https?://([^/\"')]+)", html)) - {"www.w3.org"}
    assert hosts == set()


def test_accents_and_entities_come_through_once() -> None:
    body = section("perch&eacute; &egrave; così &amp; già – «ok» {{ customer.first_name }}")
    rendered = mail(good({"hello/email.mjml": body}))
    assert "perché è così &amp; già – «ok» Giulia" in rendered.html
    assert "perché è così & già – «ok» Giulia" in rendered.text


def test_a_comment_of_the_author_reaches_nobody() -> None:
    extra = {
        "hello/email.mjml": section("{# segreto #}{{ customer.first_name }}"),
        "hello/email.txt": "{# segreto #}ciao {{ customer.first_name }}",
    }
    rendered = mail(good(extra))
    assert "segreto" not in rendered.html + rendered.text


def test_quotes_and_braces_in_strings_do_not_confuse_the_scanner() -> None:
    body = section("""{{ "}}" }}{{ '%}' }}{{ "it's" }}{{ customer.first_name }}""")
    assert "}}%}it's Giulia" in mail(good({"hello/email.mjml": body.replace('"it\'s" }}', '"it\'s " }}')})).text


@pytest.mark.parametrize(
    ("text", "segments", "encoding"),
    [
        ("à è é ì ò ù", 1, "GSM-7"),
        ("a" * 160, 1, "GSM-7"),
        ("a" * 161, 2, "GSM-7"),
        ("a" * 306, 2, "GSM-7"),
        ("a" * 307, 3, "GSM-7"),
        ("€" * 80, 1, "GSM-7"),
        ("€" * 81, 2, "GSM-7"),
        ("€" * 152, 2, "GSM-7"),
        ("€" * 153, 3, "GSM-7"),
        ("À" * 70, 1, "UCS-2"),
        ("È" * 71, 2, "UCS-2"),
        ("’" * 134, 2, "UCS-2"),
        ("–" * 135, 3, "UCS-2"),
        ("😀" * 35, 1, "UCS-2"),
        ("😀" * 36, 2, "UCS-2"),
        ("", 1, "GSM-7"),
    ],
)
def test_parts_are_counted_as_the_network_counts_them(text: str, segments: int, encoding: str) -> None:
    """C26: 160/153 and 70/67."""
    counted = count(text)
    assert (counted.segments, counted.encoding) == (segments, encoding)
