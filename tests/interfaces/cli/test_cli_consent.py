"""Consent, words in texts, rights and the audit as an operator types them (C22, C33, C36, C38, C39, C44)."""

import json
import stat
import zipfile
from pathlib import Path

import pytest
import sqlalchemy as sa
from trial_shop import Shop

from outbound.interfaces.cli.arguments import operator
from outbound.storage.tables import address, consent_event, leg, message

FORM = ("--source", "paper form of 3 May", "--wording", "Yes, write to me")


def test_c33_a_grant_needs_source_and_wording_and_shows_them(shop: Shop) -> None:
    shop.run("consent", "grant", "ada", "notices", status=64)
    said = shop.run("consent", "grant", "ada", "notices", "--channel", "email", *FORM, "--jurisdiction", "IT")
    assert said.out == "ada: notices by email granted\n"
    assert "nothing changed" in shop.run("consent", "grant", "ada", "notices", "--channel", "email", *FORM).out
    shown = shop.run("consent", "show", "ada").out
    assert 'notices / email: granted, paper form of 3 May "Yes, write to me"' in shown
    assert "1 chain, 2 events: all whole" in shown
    assert f"operator {operator()}" in shown
    assert shop.run("consent", "grant", "ada", "nosuch", *FORM, status=1).err.endswith(
        "topics: orders, notices, newsletter\n"
    )


def test_c36_soft_spam_needs_each_condition_and_e_mail(shop: Shop) -> None:
    """Own similar goods, address given in a sale, told then, not refused: one missing and there is no consent."""
    whole = ("--sale", "order 42", "--similar-goods", "--told", "--not-refused")
    for lacking in ((), *(whole[:n] + whole[n + 1 :] for n in (2, 3, 4))):
        given = lacking or whole[2:]
        answer = shop.run("consent", "grant", "ada", "notices", "--channel", "email", *FORM, *given, status=1)
        assert "consent.evidence" in answer.err
    for channel in (("--channel", "sms"), ()):
        answer = shop.run("consent", "grant", "ada", "notices", *channel, *FORM, *whole, status=1)
        assert "channel email missing" in answer.err
    shop.run("consent", "grant", "ada", "notices", "--channel", "email", *FORM, *whole)
    assert "notices / email: granted (soft_spam)" in shop.run("consent", "show", "ada").out


def test_c22_c35_taking_back_is_one_command(shop: Shop) -> None:
    shop.run("consent", "grant", "ada", "notices", *FORM)
    assert shop.run("consent", "withdraw", "ada", "notices").out == "ada: notices withdrawn\n"
    assert "nothing changed" in shop.run("consent", "withdraw", "ada", "notices").out
    shown = json.loads(shop.run("consent", "show", "ada", "--json").out)
    assert [event["state"] for event in shown["ledger"]] == ["granted", "granted", "withdrawn"]


def test_c33_verify_names_the_first_broken_link(shop: Shop) -> None:
    shop.run("consent", "grant", "ada", "notices", *FORM)
    shop.run("consent", "withdraw", "ada", "notices")
    shop.run("consent", "grant", "ben", "notices", *FORM)
    assert shop.run("consent", "verify").out == "2 chains, 5 events: all whole\n"
    with shop.database() as database, database.write() as connection:
        first = sa.and_(consent_event.c.customer_id == "ada", consent_event.c.n == 2)
        connection.execute(sa.update(consent_event).where(first).values(topic="orders"))
    answer = shop.run("consent", "verify", status=2)
    assert answer.out.startswith("! ada: event 2 (")
    assert answer.out.endswith("2 chains, 5 events: 1 chain broken\n")
    assert shop.run("consent", "verify", "ben").out == "1 chain, 2 events: all whole\n"


def test_c18_an_unclear_text_shows_in_status_and_is_settled(shop: Shop) -> None:
    heard = json.loads(shop.run("sms-in", "+393401234567", "please do not stop", "--id", "SM1", "--json").out)
    assert (heard["meaning"], heard["effect"]) == ("unclear", "paused")
    assert "1 texts wait for a person" in shop.run("status").out
    assert "please do not stop" in shop.run("consent", "review").out
    shop.run("consent", "review", "SM1", status=64)
    assert shop.run("consent", "review", "SM1", "--carry-on", "--note", "called her").out == "SM1: marketing goes on\n"
    assert shop.run("consent", "review").out == "no text waits\n"
    assert "SM1 was taken in before" in shop.run("sms-in", "+393401234567", "please do not stop", "--id", "SM1").out
    assert "called her" in shop.run("audit", "SM1").out


def test_c38_c44_an_export_is_a_private_file_and_on_record(shop: Shop, tmp_path: Path) -> None:
    target = tmp_path / "ada.zip"
    shop.run("customer", "export", "ada", "--to", str(target))
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    with zipfile.ZipFile(target) as packed:
        assert json.loads(packed.read("record.json"))["customer"]["id"] == "ada"
    assert "export.file" in shop.run("customer", "export", "ada", "--to", str(target), status=1).err
    assert json.loads(shop.run("customer", "export", "ada", "--json").out)["customer"]["id"] == "ada"
    shop.run("customer", "show", "ada")
    listed = json.loads(shop.run("audit", "ada", "--json").out)
    assert [entry["kind"] for entry in listed] == ["customer.show", "customer.export", "customer.export"]
    assert {entry["by"] for entry in listed} == {operator()}
    assert shop.run("audit", "--by", "somebody else").out == "nothing on record\n"


def test_c39_an_erasure_asks_first_and_leaves_a_receipt(shop: Shop) -> None:
    assert "would erase: 1 address" in shop.run("customer", "erase", "ada", "--dry-run").out
    shop.run("customer", "erase", "ada", status=1)  # nobody there to ask
    receipt = json.loads(shop.run("customer", "erase", "ada", "--yes", "--json").out)
    assert receipt["blocked"] == 1
    assert receipt["by"] == operator()
    assert "customer.unknown" in shop.run("customer", "show", "ada", status=1).err
    assert "customer.erase" in shop.run("audit", receipt["id"]).out


@pytest.mark.parametrize(("text", "said"), [("STOP", "stop (STOP)"), ("hello", "other")])
def test_a_text_is_taken_in_from_a_number_of_no_customer(shop: Shop, text: str, said: str) -> None:
    assert shop.run("sms-in", "+39 340 1234567", text).out.startswith(f"{said} from a number of no customer: ")


ANSWERS = "".join(
    f"""
---
rule: sms-{what}
owner: ops@shop.example
topic: orders
when: {{event: request.{what}}}
once: "{{event.id}}"
expires: 1h
send: {{template: sms-{what}, channels: [sms]}}
"""
    for what in ("stop", "help")
)


def test_c19_c24_answers_leave_through_the_outbox_also_after_stop(shop: Shop) -> None:
    """STOP is confirmed once; HELP is answered with brand and contact although the number is blocked."""
    shop.customers(["ada"], phones=True)
    shop.write("rules/answers.yaml", ANSWERS.removeprefix("\n---"))
    for what, text in (("stop", "Shop: no more texts."), ("help", "Shop: hello@shop.example")):
        shop.write(f"templates/sms-{what}/template.yaml", "sample: {}\n")
        shop.write(f"templates/sms-{what}/sms.txt", text)
    shop.run("apply")
    with shop.database() as database, database.read() as connection:
        number = connection.execute(sa.select(address.c.value).where(address.c.channel == "sms")).scalar_one()
    for minute, word in enumerate(("STOP", "stop", "AIUTO"), 1):
        shop.run("--at", f"2030-06-03T09:0{minute}Z", "sms-in", number, word)
    shop.run("run", "--at", "2030-06-03T09:05Z", "--until", "2030-06-03T09:30Z")
    with shop.database() as database, database.read() as connection:
        query = sa.select(message.c.rule, message.c.state, leg.c.address).join(leg, leg.c.message_id == message.c.id)
        sent = sorted(tuple(row) for row in connection.execute(query))
    assert sent == [("sms-help", "sent", number), ("sms-stop", "sent", number)]
    texts = [file.read_text(encoding="utf-8") for file in sorted((shop.folder / "mailbox").rglob("*.txt"))]
    assert any("hello@shop.example" in text for text in texts)


def test_c27_c30_quiet_hours_are_asked_again_at_the_gate(shop: Shop) -> None:
    """Planned in the evening while the daemon was down: at 21:10 in Rome it waits, and leaves after 08:00."""
    shop.customers(["eve"], phones=True)
    policy = (shop.folder / "rules" / "policy.yaml").read_text(encoding="utf-8")
    quiet = policy.replace("service:       {consent: none, quiet: []", "service:       {consent: none, quiet: [sms]")
    assert quiet != policy
    shop.write("rules/policy.yaml", quiet)
    shop.run("apply")
    shop.run("--at", "2030-06-03T18:50Z", "send", "notice", "--customer", "eve", "--key", "k", "--data", "what=x")

    def state() -> tuple[str, str]:
        with shop.database() as database, database.read() as connection:
            return tuple(connection.execute(sa.select(message.c.state, message.c.reason)).one())  # type: ignore[return-value]

    assert state() == ("ready", "")
    shop.run("run", "--at", "2030-06-03T19:10Z", "--until", "2030-06-03T19:30Z")
    assert state() == ("scheduled", "quiet_hours")
    shop.run("run", "--at", "2030-06-04T06:00Z", "--until", "2030-06-04T06:10Z")
    assert state() == ("sent", "")
