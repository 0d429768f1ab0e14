"""What ``outbound check`` says about templates, with the exact place and sentence."""

from dataclasses import replace

import pytest
from template_workbench import (
    BRAND,
    LAYOUT,
    LAYOUT_SMS,
    LAYOUT_TXT,
    MANIFEST,
    compiled,
    files,
    problems_of,
    section,
    shipped_files,
    shipped_ruleset,
)

from outbound.domain.experiment import Experiment, Variant
from outbound.domain.rule import ChangedTrigger, EntersTrigger
from outbound.domain.source import Severity
from outbound.engine.rendering import compile_templates

GREETING = "{{ customer.first_name }}"
HELLO = "templates/hello"


AT = "¦"
"""Marks in a body where the problem must be found."""

WRONG = [
    # unknown tags pass silently through MJML
    (section(GREETING) + "¦<mj-buton href='x'>a</mj-buton>", "unknown tag <mj-buton>"),
    (section(GREETING + "¦<script>x</script>"), "unknown tag <script>"),
    (section(GREETING) + "¦<mj-include path='x' />", "unknown tag <mj-include>"),
    # statements and values inside a tag
    (section("<b ¦{% if customer.first_name %}class='x'{% endif %}>" + GREETING + "</b>"), "a statement inside a tag"),
    (section(f"<b class=¦{GREETING}>x</b>"), "a value inside a tag needs quotes"),
    (section(f"¦<b style='color: {GREETING}'>x</b>"), "a value inside a style"),
    (f"<mj-raw><style>a {{ color: ¦{GREETING} }}</style></mj-raw>", "a value inside a style"),
    (section(f"¦<b onclick='x'>{GREETING}</b>"), "event handlers do nothing in mail"),
    # images and links
    (
        section(GREETING) + '<mj-section><mj-column>¦<mj-image src="x" /></mj-column></mj-section>',
        "<mj-image> without alt text",
    ),
    (section(f"{GREETING}¦<img src='x'>"), "<img> without alt text"),
    (section(f"{GREETING}¦<a>x</a>"), "<a> without href"),
    # tags that do not close, a literal < and tags across each other
    (section(f"{GREETING}¦<b>x"), "<b> is still open where </mj-text> closes"),
    (section(f"{GREETING}x¦</b>"), "</b> closes nothing"),
    (section(f"{GREETING} 3 ¦< 4"), "this is no complete tag"),
    # Jinja
    (section("¦{{ customer.first_name"), "{{ is never closed"),
    (section("¦{{ customer. }}"), "template syntax: expected name or number"),
    (section("x\n{{ ¦customer.frist_name }}"), "'customer.frist_name' is not declared under context in template.yaml"),
    (section("{{ ¦costumer.first_name }}"), "'costumer.first_name' is not declared under context"),
    (section("{{ customer.first_name | ¦uper }}"), "unknown filter 'uper'"),
    (section(GREETING + "{{ ¦t.leve }}"), "'t.leve' is not in strings: of template.yaml or brand.yaml"),
    (section(GREETING + "{{ ¦brand.ikn }}"), "'brand.ikn' is not in values: of brand.yaml"),
    (section(GREETING + "{{ asset('¦lgo.png') }}"), "there is no asset 'lgo.png'"),
    (section(GREETING) + '\n¦{% include "footer.mjml" %}', "there is no partial templates/brand/footer.mjml"),
    # what MJML loses
    (
        f"<mj-section><mj-column><mj-text nonsense='¦{GREETING}'>x</mj-text></mj-column></mj-section>",
        "this value gets lost in MJML",
    ),
]


@pytest.mark.parametrize(("body", "message"), WRONG)
def test_a_wrong_body_is_refused_with_its_place(body: str, message: str) -> None:
    before = body.partition(AT)[0]
    place = f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
    assert f"{HELLO}/email.mjml:{place}: {message}" in problems_of({"hello/email.mjml": body.replace(AT, "")})


def test_what_is_never_closed_is_found_in_the_file_that_opened_it() -> None:
    found = problems_of({"hello/email.mjml": "<mj-section><mj-column><mj-text>" + GREETING})
    assert f"{HELLO}/email.mjml:1:24: <mj-text> is still open where </mj-body> closes" in found
    found = problems_of({"hello/email.mjml": section("{% if customer.first_name %}x")})
    assert any("Unexpected end of template" in problem for problem in found)


def test_a_block_that_begins_and_ends_in_different_elements_is_refused() -> None:
    body = section(f"{GREETING}{{% if customer.first_name %}}<b>x") + "{% endif %}"
    assert any("<b> is still open" in problem for problem in problems_of({"hello/email.mjml": body}))
    text = f"{{% if customer.first_name %}}<mj-text>{GREETING}{{% endif %}}</mj-text>"
    body = f"<mj-section><mj-column>{text}</mj-column></mj-section>"
    found = problems_of({"hello/email.mjml": body})
    assert any("'endif' stands in another element than the beginning of its block" in problem for problem in found), (
        found
    )


@pytest.mark.parametrize(
    ("manifest", "problem"),
    [
        (MANIFEST + "colour: red\n", "7:1: unknown key 'colour'"),
        (MANIFEST.replace("  en:", "  de:"), "3:3: unknown language 'de'"),
        (
            MANIFEST.replace("customer: [first_name]", "customer: [frist_name]"),
            "5:14: 'customer.frist_name' is not in rules/schema.yaml",
        ),
        (MANIFEST.replace("customer: [first", "client: [first"), "5:3: unknown root 'client'"),
        (MANIFEST.replace("{first_name: Giulia}", "{}"), "5:14: hello, email in 'it': customer.first_name missing"),
        (MANIFEST.replace("{first_name: Giulia}", "{name: Giulia}"), "7:14: 'customer.name' is not under context"),
        (MANIFEST.replace('"Ciao {{', '"Ciao\\n{{'), "2:12: a subject or preheader is one line"),
        (
            MANIFEST.replace('"Ciao {{ customer.first_name }}"', '"Ciao {{ customer.first_nam }}"'),
            "2:18: 'customer.first_nam' is not declared",
        ),
        (MANIFEST + "attachments: [listino.pdf]\n", "8:15: templates/hello/listino.pdf does not exist"),
        (MANIFEST + "strings: {it: {a: x}, en: {}}\n", "8:10: string 'a' has no text in 'en'"),
    ],
)
def test_a_wrong_template_yaml_is_refused_with_its_place(manifest: str, problem: str) -> None:
    found = problems_of({"hello/template.yaml": manifest})
    key = problem.split(": ", 1)[1]
    assert any(key in entry and entry.startswith(f"{HELLO}/template.yaml:") for entry in found), found


def test_the_fallback_language_needs_everything_and_another_language_is_a_warning() -> None:
    found = problems_of({"hello/email.mjml": "", "hello/email.it.mjml": section(GREETING)})
    assert f"{HELLO}/template.yaml:1:1: no email body in 'en'" in found
    templates, problems = compiled({"hello/email.mjml": "", "hello/email.en.mjml": section(GREETING)})
    assert templates is not None
    assert [(p.severity, p.message) for p in problems] == [(Severity.WARNING, "no email body in 'it'")]


@pytest.mark.parametrize("file", ["email.de.mjml", "mail.mjml", "email.docx", "sms.html", "push.txt", "email.mjml.bak"])
def test_a_file_that_is_no_part_of_a_template_is_reported(file: str) -> None:
    assert any(f"{HELLO}/{file}:1:1:" in problem for problem in problems_of({f"hello/{file}": section("x")}))


def test_a_declared_name_that_nothing_uses_is_a_warning_for_the_sake_of_data_minimisation() -> None:
    manifest = MANIFEST.replace("[first_name]", "[first_name, last_name]")
    templates, problems = compiled({"hello/template.yaml": manifest})
    assert templates is not None
    assert [problem.message for problem in problems] == ["'customer.last_name' is declared but not used"]


@pytest.mark.parametrize("text", ["layout.mjml", "layout.txt", "layout.sms.txt", "brand.yaml"])
def test_a_brand_without_a_layout_is_refused(text: str) -> None:
    assert f"templates/brand/{text}:1:1: templates/brand/{text} does not exist" in problems_of({f"brand/{text}": ""})


def test_marketing_without_the_unsubscribe_link_or_postal_address_is_refused() -> None:
    """C09, and C23 for texts."""
    without_link = LAYOUT.replace("{{ unsubscribe_url }}", "https://shop.example")
    assert any(
        "layout.mjml:1:1: hello, email in 'it': no link to unsubscribe" in p
        for p in problems_of({"brand/layout.mjml": without_link})
    )
    without_address = LAYOUT.replace("{{ brand.postal_address }}", "")
    assert any(
        "layout.mjml:1:1: hello, email in 'it': no postal address" in p
        for p in problems_of({"brand/layout.mjml": without_address})
    )
    assert any(
        "no link" in p for p in problems_of({"brand/layout.txt": LAYOUT_TXT.replace("{{ unsubscribe_url }}", "")})
    )
    assert any(
        "no postal" in p
        for p in problems_of({"brand/layout.txt": LAYOUT_TXT.replace("{{ brand.postal_address }}", "")})
    )
    extra = {"hello/sms.txt": "ciao", "brand/layout.sms.txt": LAYOUT_SMS.replace("{{ unsubscribe_url }}", "")}
    assert any("layout.sms.txt:1:1: hello, sms in 'it': no way to opt out" in p for p in problems_of(extra))


def test_c25_each_marketing_text_and_so_the_first_names_the_brand_and_the_way_out() -> None:
    assert compiled({"hello/sms.txt": "ciao " + GREETING})[0] is not None
    told = problems_of({"hello/sms.txt": "ciao " + GREETING, "brand/layout.sms.txt": "{{ content }}"})
    where = "templates/brand/layout.sms.txt:1:1: hello, sms in 'it':"
    assert [problem for problem in told if problem.startswith(where)] == [
        f"{where} no way to opt out",
        f"{where} it does not say who writes",
    ]


def test_a_layout_without_content_is_refused() -> None:
    assert any(
        "a layout contains {{ content }} once" in p
        for p in problems_of({"brand/layout.mjml": LAYOUT.replace("{{ content }}", "")})
    )


def test_partials_that_include_each_other_are_refused() -> None:
    extra = {
        "brand/loop.mjml": '{% include "loop.mjml" %}',
        "hello/email.mjml": section(GREETING) + '{% include "loop.mjml" %}',
    }
    assert any("include each other without end" in p for p in problems_of(extra))


def test_a_problem_inside_a_partial_is_reported_in_the_partials_file_once() -> None:
    extra = {
        "brand/part.mjml": "\n" + section("{{ customer.frist_name }}"),
        "hello/email.mjml": section(GREETING) + '{% include "part.mjml" %}',
    }
    assert problems_of(extra) == [
        "templates/brand/part.mjml:2:36: 'customer.frist_name' is not declared under context in template.yaml"
    ]


def test_characters_that_force_ucs2_are_named() -> None:
    """C26."""
    templates, problems = compiled({"hello/sms.txt": "perché È ’ " + GREETING})  # noqa: RUF001
    assert templates is not None
    assert {p.suggestion for p in problems if p.code == "template-sms-unicode"} == {
        "È ’ make every part hold 70 characters instead of 160: 1 part without"  # noqa: RUF001 -- the character is the case
    }


def test_a_text_message_longer_than_the_policy_allows_is_refused() -> None:
    found = problems_of({"hello/sms.txt": "a" * 320 + GREETING})
    assert f"{HELLO}/sms.txt:1:1: hello, sms in 'it', class service: 3 SMS parts, at most 2 allowed" in found


def test_the_character_that_makes_a_text_too_long_is_named_where_it_stands() -> None:
    """C26: without it the text would fit."""
    _, problems = compiled({"hello/sms.txt": "a" * 100 + "\nciao — " + GREETING + "a" * 60})
    found = next(p for p in problems if p.code == "template-sms-parts")
    assert (found.span.file, found.span.line, found.span.column) == (f"{HELLO}/sms.txt", 2, 6)
    assert found.suggestion.startswith(
        "— make every part hold 70 characters instead of 160: 2 parts without; or shorten"
    )


@pytest.mark.parametrize("file", ["hello/email.mjml", "hello/sms.txt"])
def test_a_body_without_a_word_is_refused(file: str) -> None:
    for empty in (b" ", b"\n\n"):
        assert f"templates/{file}:1:1: the file is empty" in problems_of({file: empty})


def test_the_link_of_marketing_counts_where_a_rule_sends_the_template_as_marketing() -> None:
    ruleset = shipped_ruleset()
    changed = dict(shipped_files())
    changed["templates/new-oil/sms.it.txt"] += b"a" * 60
    _, problems = compile_templates(changed, policy=ruleset.policy, schema=ruleset.schema, rules=ruleset.rules)
    message = "new-oil, sms in 'it', class marketing: 3 SMS parts, at most 2 allowed"
    assert [problem.message for problem in problems] == [message]
    _, problems = compile_templates(changed, policy=ruleset.policy, schema=ruleset.schema)
    assert not problems, "without rules nobody knows that this is marketing"


def test_an_image_that_is_no_image_and_a_file_that_is_no_text_are_refused() -> None:
    assert any("this file is not image/png" in p for p in problems_of({"brand/logo.png": b"<svg onload=alert(1)>"}))
    assert any("not UTF-8" in p for p in problems_of({"hello/email.mjml": b"caff\xe8"}))
    assert any("invisible character U+0000" in p for p in problems_of({"hello/email.mjml": "a\x00b"}))


def test_a_template_may_read_only_what_its_rule_can_give() -> None:
    ruleset = shipped_ruleset()
    changed = dict(shipped_files())
    name = "templates/order-received/template.yaml"
    changed[name] = changed[name].replace(b"event: [order_id,", b"event: [carrier, order_id,")
    _, problems = compile_templates(changed, policy=ruleset.policy, schema=ruleset.schema, rules=ruleset.rules)
    assert "rule order-received has no 'event.carrier' to give" in [problem.message for problem in problems]


def test_what_a_change_and_an_entry_give_is_the_same_for_every_rule() -> None:
    """``change`` is there for rules of the trigger ``changed`` alone, ``entry`` for those of ``enters``."""
    ruleset = shipped_ruleset()
    changed = dict(shipped_files())
    name = "templates/order-received/template.yaml"
    roots = b"\n  change: [attribute, old, new, date]\n  entry: [number, date]\n  event: ["
    changed[name] = changed[name].replace(b"\n  event: [", roots)
    _, problems = compile_templates(changed, policy=ruleset.policy, schema=ruleset.schema, rules=ruleset.rules)
    told = {problem.message.removeprefix("rule order-received has no ") for problem in problems}
    assert {"'change.old' to give", "'entry.number' to give"} <= told

    rule = ruleset.rules["order-received"]
    for trigger, missing in (
        (ChangedTrigger(attribute="country"), {"entry.number", "entry.date"}),
        (EntersTrigger(segment="regulars"), {"change.attribute", "change.old", "change.new", "change.date"}),
    ):
        rules = {rule.id: replace(rule, trigger=trigger)}
        _, problems = compile_templates(changed, policy=ruleset.policy, schema=ruleset.schema, rules=rules)
        lacking = {problem.message.split("'")[1] for problem in problems if "to give" in problem.message}
        assert {value for value in lacking if not value.startswith("event.")} == missing

    changed[name] = changed[name].replace(b"[number, date]", b"[nummer, date]")
    _, problems = compile_templates(changed, policy=ruleset.policy, schema=ruleset.schema)
    told = {(problem.message, problem.suggestion) for problem in problems}
    assert ("there is no 'entry.nummer'", "did you mean number?") in told


def test_a_template_of_a_variant_is_checked_against_its_rule() -> None:
    """The variants of an experiment send templates too."""
    ruleset = shipped_ruleset()
    changed = dict(shipped_files())
    name = "templates/order-received/template.yaml"
    changed[name] = changed[name].replace(b"event: [order_id,", b"event: [carrier, order_id,")
    rule = ruleset.rules["order-received"]
    arms = {"one": Variant(name="one", weight=1, template="order-received")}
    experiment = Experiment(id="x", unit="id", coverage=10_000, holdout=100, variants=arms)
    tried = replace(rule, experiment=experiment, send=replace(rule.send, templates={}))
    _, problems = compile_templates(changed, policy=ruleset.policy, schema=ruleset.schema, rules={rule.id: tried})
    assert "rule order-received has no 'event.carrier' to give" in [problem.message for problem in problems]


def test_a_broken_template_hides_nothing_of_the_others() -> None:
    """What only a rendered sample shows (a dead link, a mail too large) stands beside an error in another's source."""
    other = {
        "zeta/template.yaml": MANIFEST,
        "zeta/email.mjml": section(f'{GREETING} <a href="/news">news</a> <p>{"long " * 21_000}</p>'),
    }
    first, second, *rest = problems_of({**other, "hello/email.mjml": section(f"{GREETING}<b>x")})
    assert first.startswith(f"{HELLO}/email.mjml:1:")
    assert "<b> is still open" in first
    assert second.startswith("templates/zeta/email.mjml:1:")
    assert "the address '/news' is relative" in second
    assert rest
    assert all("Gmail hides" in one for one in rest)


def test_an_error_of_the_layout_is_told_once_and_blames_no_template() -> None:
    """Both templates use it and neither could be compiled, so nothing is said about names they would not use."""
    other = {"zeta/template.yaml": MANIFEST, "zeta/email.mjml": section(GREETING)}
    [found] = problems_of({**other, "brand/layout.mjml": LAYOUT.replace("{{ t.leave }}", "{{ t.leave | uper }}")})
    assert "unknown filter 'uper'" in found


def test_every_problem_shows_the_line_it_is_about() -> None:
    templates, problems = compiled({"hello/email.mjml": section("x\n{{ customer.frist_name }}")})
    assert templates is None
    (problem,) = problems
    assert problem.render().splitlines() == [
        f"{HELLO}/email.mjml:2:4: error: 'customer.frist_name' is not declared under context in template.yaml",
        "    2 | {{ customer.frist_name }}</mj-text></mj-column></mj-section>",
        "      |    ^^^^^^^^^^^^^^^^^^^ did you mean first_name?",
    ]


def test_compiling_garbage_reports_and_never_raises() -> None:
    for text in (
        "",
        "\n",
        "<",
        "{{",
        "{%",
        "%}",
        "}}",
        "<!--",
        "<mjml>",
        "\u202e",
        "{{ '" * 50,
        "<b " * 500,
        "{% if 1 %}" * 300,
    ):
        for file in (
            "hello/email.mjml",
            "hello/email.txt",
            "hello/sms.txt",
            "hello/template.yaml",
            "brand/layout.mjml",
            "brand/brand.yaml",
        ):
            changed = files() | {f"templates/{file}": text.encode()}
            ruleset = shipped_ruleset()
            compile_templates(changed, policy=ruleset.policy, schema=ruleset.schema)


def test_the_brand_file_is_checked_too() -> None:
    assert any(
        "unknown locale 'it_XX_YY'" in p for p in problems_of({"brand/brand.yaml": BRAND.replace("it_IT", "it_XX_YY")})
    )
    assert any(
        "unknown language 'fr'" in p for p in problems_of({"brand/brand.yaml": BRAND.replace("  it: {", "  fr: {")})
    )
