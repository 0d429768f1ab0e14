"""test --record: what happened to a customer becomes a test that holds and names nobody."""

from pathlib import Path

import pytest
from trial_shop import Shop

MORE = """
---
rule: birthday
owner: crm@shop.example
topic: newsletter
when: {date: customer.birth_date, every: year, at: "08:30", tz: customer, feb29: feb28}
who: customer.country == 'IT'
send: {template: letter, channels: [email]}
---
rule: thanks
owner: crm@shop.example
topic: newsletter
when: {event: order.placed, if: event.total >= 20}
who:
  - customer.nickname != 'Countess'
  - count(order.placed, where event.total >= 20, within 52w) >= 2
once: "{event.order_id}"
send: {template: letter, channels: [email]}
"""
PERSON = """id,email,phone,country,first_name,letter,consent_at,born,nick
lady,lady@example.org,,IT,Augusta,yes,2026-01-01T10:00Z,1815-11-09,Countess of Lovelace
"""
RECORDED = """# Recorded from 5 days up to 2026-11-12; nothing here tells who.
# Differs from the record: birthday would leave at 2026-11-09T08:30 by email, and did not.
test: recorded-1
rules: [../rules.yaml]
clock: {start: "2026-11-07T09:01", stop: "2026-11-12T09:01", tz: Europe/Rome}
customers:
  somebody: {country: IT, birth_date: "1980-11-09", nickname: nickname-1, reach: [email], consent: [newsletter]}
events:
  - {at: "2026-11-03T09:00", event: order.placed, data: {order_id: order_id-1, total: 25}, customer: somebody}
  - {at: "2026-11-10T09:00", event: order.placed, data: {order_id: order_id-2, total: 25}, customer: somebody}
  - {at: "2026-11-10T10:00", refused: newsletter, customer: somebody}
expect:
  somebody:
    - {at: "2026-11-09T08:30", channel: email, template: letter, rule: birthday}
    - {at: "2026-11-10T09:00", channel: email, template: receipt, rule: receipt}
    - {at: "2026-11-10T09:00", channel: email, template: letter, rule: thanks}
"""
FILE = Path("rules/tests/recorded-1.test.yaml")
SECRETS = ("lady", "example.org", "Lovelace", "A-77", "a leak", "1815", "Countess of")


@pytest.fixture
def lived(shop: Shop) -> Shop:
    """Two weeks in which ada had a past, ordered, was told, was born, said no and bought again."""
    schema = (shop.folder / "rules/schema.yaml").read_text()
    declared = "  birth_date: {type: date}\n  nickname: {type: string}\nevents:"
    shop.write("rules/schema.yaml", schema.replace("events:", declared))
    shop.write("rules/rules.yaml", (shop.folder / "rules/rules.yaml").read_text() + MORE)
    mapping = (shop.folder / "mapping.yaml").read_text()
    shop.write("more.yaml", mapping.replace("fields: {", "fields: {birth_date: born, nickname: nick, "))
    shop.write("more.csv", PERSON)
    begin = ("--at", "2026-11-01T08:00Z")
    shop.run(*begin, "apply")
    shop.run(*begin, "import", "customers", str(shop.folder / "more.csv"), "--mapping", str(shop.folder / "more.yaml"))
    for day, order in (("2026-11-03", "A-76"), ("2026-11-10", "A-77")):
        at = ("--at", f"{day}T08:00Z")
        shop.run(*at, "event", "order.placed", "lady", "--data", f"order_id={order}", "--data", "total=25")
        shop.run("run", "--at", f"{day}T08:00Z", "--until", f"{day}T08:20Z")
    return shop


def test_a_recorded_test_holds_names_nobody_and_fails_when_the_rules_change(lived: Shop) -> None:
    lived.run("--at", "2026-11-10T09:00Z", "consent", "withdraw", "lady", "newsletter")
    told = lived.run("--at", "2026-11-12T08:00Z", "test", "--record", "lady", "--days", "5").out.splitlines()
    assert told[0].endswith("recorded-1.test.yaml: 3 messages, 0 reasons for silence.")
    assert told[1:] == ["  differs from the record: birthday would leave at 2026-11-09T08:30 by email, and did not."]
    text = (lived.folder / FILE).read_text()
    assert not [word for word in SECRETS if word in text]
    assert text == RECORDED
    assert lived.run("test").out == "3 passed in 1 test.\n"
    edited = (lived.folder / "rules/rules.yaml").read_text().replace("total >= 20}", "total >= 30}")
    lived.write("rules/rules.yaml", edited)
    assert "expected  2026-11-10T09:00  email   letter  (thanks)" in lived.run("test", status=2).out


def test_a_silence_is_recorded_with_its_reason_and_nothing_is_overwritten(lived: Shop) -> None:
    at = ("--at", "2026-11-20T08:00Z")
    lived.run("--at", "2026-11-10T09:00Z", "consent", "withdraw", "lady", "newsletter")
    lived.run(
        "--at", "2026-11-18T08:00Z", "event", "order.placed", "lady", "--data", "order_id=B", "--data", "total=99"
    )
    lived.run(
        "--at", "2026-11-18T08:01Z", "send", "notice", "--customer", "lady", "--key", "k", "--data", "what=a leak"
    )
    lived.run("run", "--at", "2026-11-18T08:02Z", "--until", "2026-11-18T08:20Z")
    told = lived.run(*at, "test", "--record", "lady@example.org", "--days", "3", "--json").json
    assert (told["messages"], told["reasons"], told["differs"]) == (2, 1, [])
    text = (lived.folder / FILE).read_text()
    assert "refused: [newsletter]" in text
    assert "  - {customer: somebody, rule: thanks, reason: consent.newsletter}\n" in text
    assert '  - {at: "2026-11-18T09:01", send: notice, data: {what: what-1}, customer: somebody}\n' in text
    again = lived.run(*at, "test", "--record", "lady", "-o", told["file"], status=1).err
    assert "recorded-1.test.yaml exists [test.file] -> name another with -o" in again
    assert "would not be found" in lived.run(*at, "test", "--record", "lady", "-o", "here.yaml", status=1).err
    assert "no rule had anything to do with" in lived.run(*at, "test", "--record", "lady", "--days", "1", status=1).err
    assert lived.run("test").out == "3 passed in 1 test.\n"
