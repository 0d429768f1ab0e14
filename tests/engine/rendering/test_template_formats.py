"""Dates, amounts and numbers in the reader's language."""

import pytest
from template_workbench import good, mail, section, sms, stop

MANIFEST = """subject: {it: Ciao, en: Hello}
context: {event: [total, order_id, items], customer: [birth_date]}
sample:
  event: {total: 1249.5, order_id: DL-1, items: 3}
  customer: {birth_date: 1984-11-24}
"""
CONTEXT = {"event": {"total": 1249.5, "order_id": "DL-1", "items": 1249.5}, "customer": {"birth_date": "2026-11-24"}}


def shown(expression: str, language: str) -> str:
    """What the reader sees in the text part."""
    written = f"[[{expression}]]" if "{" in expression else f"[[{{{{ {expression} }}}}]]"
    used = "{{ event.total }}{{ event.order_id }}{{ event.items }}{{ customer.birth_date }}"
    body = section(f"{written} {used}")
    text = mail(
        good({"hello/template.yaml": MANIFEST, "hello/email.mjml": body}), language=language, context=CONTEXT
    ).text
    return text.split("[[")[1].split("]]")[0]


@pytest.mark.parametrize(
    ("expression", "italian", "english"),
    [
        ("event.total | money('EUR')", "1.249,50\u00a0€", "€1,249.50"),
        ("event.total | money('JPY')", "1.250\u00a0JPY", "JP¥1,250"),
        ("event.items | number", "1.249,5", "1,249.5"),
        ("event.items | number(2)", "1.249,50", "1,249.50"),
        ("customer.birth_date | date", "24 novembre 2026", "24 November 2026"),
        ("customer.birth_date | date('EEEE d MMMM')", "martedì 24 novembre", "Tuesday 24 November"),
        ("customer.birth_date | date('short')", "24/11/26", "24/11/2026"),
        ("'2026-11-24T09:30:00+01:00' | time", "09:30", "09:30"),
        ("'18:05' | time", "18:05", "18:05"),
    ],
)
def test_a_value_is_written_as_the_language_writes_it(expression: str, italian: str, english: str) -> None:
    assert shown(expression, "it") == italian
    assert shown(expression, "en") == english


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("event.order_id | money('EUR')", "money needs a number, not str"),
        ("event.total | money('euro')", "money needs a currency such as 'EUR'"),
        ("event.order_id | date", "date needs a day such as 2026-11-24"),
        ("event.total | date", "date needs text, not float"),
        ("event.order_id | time", "time needs a time such as 09:30"),
    ],
)
def test_a_value_that_does_not_fit_stops_the_message_with_a_reason(expression: str, reason: str) -> None:
    used = "{{ event.total }}{{ event.order_id }}{{ event.items }}{{ customer.birth_date }}"
    guarded = f"{{% if event.items == 3 %}}fine{{% else %}}{{{{ {expression} }}}}{{% endif %}}"
    templates = good({"hello/template.yaml": MANIFEST, "hello/email.mjml": section(used + guarded)})
    assert stop(templates, context=CONTEXT) == reason


def test_an_amount_in_a_text_message_does_not_force_unicode() -> None:
    extra = {
        "hello/template.yaml": "context: {event: [total]}\nsample: {event: {total: 58.9}}\n",
        "hello/email.mjml": "",
        "hello/sms.txt": "totale {{ event.total | money('EUR') }}",
    }
    text = sms(good(extra), context={"event": {"total": 58.9}})
    assert text.text == "Dispensa Levante: totale 58,90 €"
    assert text.encoding == "GSM-7"
