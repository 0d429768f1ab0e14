"""send, preview, proof: messages started or looked at by hand."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from trial_shop import Shop

from outbound.services import presence
from outbound.testing.smtp_server import SmtpServer

NOTICE = ("send", "notice", "--key", "k1", "--data", "what=boots")
HOURS = ("run", "--at", "2026-11-24T08:00Z", "--until", "2026-11-24T09:00Z")
AT = ("--at", "2026-11-24T08:00Z")


def snapshot(shop: Shop) -> bytes:
    """Every row of the record."""
    with shop.database() as database:
        connection = database.engine.raw_connection()
        try:
            return "\n".join(connection.driver_connection.iterdump()).encode()  # type: ignore[union-attr]
        finally:
            connection.close()


def mailbox(shop: Shop) -> list[Path]:
    """Everything that the mailbox adapters were given."""
    return sorted(path for path in (shop.folder / "mailbox").rglob("*") if path.suffix in {".eml", ".txt"})


def test_a_key_sends_once_to_each(shop: Shop) -> None:
    assert shop.run(*AT, *NOTICE, "--customer", "ada").out == "1 new (email 1), 0 already sent to\n  about EUR 0.0004\n"
    assert shop.run(*AT, *NOTICE, "--customer", "ada").out == "0 new, 1 already sent to\n"
    shop.run(*HOURS)
    shop.run(*AT, *NOTICE, "--customer", "ada")
    shop.run(*HOURS)
    assert len(mailbox(shop)) == 1


def test_a_dry_run_says_who_and_what_it_costs_and_writes_nothing(shop: Shop) -> None:
    before = snapshot(shop)
    words = (*NOTICE, "--customer", "ada", "--customer", "nobody", "--dry-run")
    assert shop.run(*words).out == (
        "2 rows: 1 would be sent (email 1)\n  1 unknown customer (nobody)\n  about EUR 0.0004\n"
    )
    answer = shop.run(*words, "--json").json
    assert answer["send"]["counts"]["channels"] == {"email": 1}
    assert answer["send"]["unknown"] == [{"customer_id": "nobody", "line": 0}]
    assert snapshot(shop) == before


def test_other_people_under_the_same_key_are_an_error_unless_it_is_extended(shop: Shop) -> None:
    shop.run(*NOTICE, "--customer", "ada")
    assert "[send.recipients] -> give --extend" in shop.run(*NOTICE, "--customer", "ben", status=1).err
    assert shop.run(*NOTICE, "--customer", "ben", "--extend").out.startswith("1 new")
    other = ("send", "notice", "--key", "k1", "--data", "what=hats", "--customer", "ada")
    assert "[send.arguments]" in shop.run(*other, status=1).err


def test_a_file_names_the_lines_nobody_has(shop: Shop) -> None:
    file = shop.write("people.csv", "customer_id;note\nada;x\nnobody;y\nada;again\n")
    answer = shop.run(*NOTICE, "--customers", str(file))
    assert answer.out == (
        "1 new (email 1), 0 already sent to\n  1 named more than once\n  1 unknown customer (line 3)\n"
        "  about EUR 0.0004\n"
    )
    assert "[send.file]" in shop.run(*NOTICE, "--customers", "/nope.csv", status=1).err


CODE = """
rule: code
owner: ops@shop.example
topic: {topic}
when: {{script: {{what: string}}}}
once: "{{key}}"
send: {{template: notice, channels: [email, sms]}}
"""


def test_a_transactional_message_goes_to_a_bare_address_once(shop: Shop) -> None:
    """A known address is its customer; another becomes a customer, the same one the next time."""
    shop.write("rules/code.yaml", CODE.format(topic="orders"))
    shop.run("--at", "2026-11-24T07:00Z", "apply")
    before = snapshot(shop)
    words = ("send", "code", "--key", "k1", "--data", "what=1234", "--to", "new@example.org", "--to", "ADA@example.org")
    told = "1 new customer of whom nothing but the address is known\n"
    assert shop.run(*AT, *words, "--dry-run").out.splitlines()[1].strip() == told.strip()
    assert snapshot(shop) == before
    assert shop.run(*AT, *words).out == f"2 new (email 2), 0 already sent to\n  {told}  about EUR 0.0008\n"
    assert shop.run(*AT, *words).out == "0 new, 2 already sent to\n"
    assert shop.run("customer", "show", "new@example.org", "--json").json["customer"]["id"].startswith("to-")
    shop.run(*HOURS)
    assert len(mailbox(shop)) == 2
    texted = shop.run(*AT, "send", "code", "--key", "k2", "--data", "what=5", "--to", "+393401234599")
    assert texted.out.startswith("1 new (sms 1), 0 already sent to\n")


def test_what_cannot_go_to_a_bare_address_makes_nobody(shop: Shop) -> None:
    shop.write("rules/code.yaml", CODE.format(topic="orders"))
    shop.run("apply")
    before = snapshot(shop)
    to = ("--to", "new@example.org")
    assert "[send.to]" in shop.run(*NOTICE, *to, status=1).err
    assert "[send.argument]" in shop.run("send", "code", "--key", "k", *to, status=1).err
    assert "[send.address]" in shop.run("send", "code", "--key", "k", "--data", "what=1", "--to", "+1", status=1).err
    assert snapshot(shop) == before


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ("send notice --key k", 64, "outbound: name the customers with either --customers FILE or --customer ID"),
        ("send notice --key k --customer a --customers b", 64, "outbound: name the customers with either"),
        ("send notice --key k --customer ada", 1, "outbound: notice needs the argument 'what' [send.argument]"),
        ("send nope --key k --customer ada", 1, "outbound: there is no rule 'nope' in the running release [send.rule]"),
        ("send receipt --key k --customer ada", 1, "outbound: receipt is not started by `outbound send` [send.rule]"),
        ("send letter --key  --customer ada", 1, "outbound: a key is needed [send.key]"),
        ("--at 2026-11-24T08:00Z send letter --key k --customer ada --wait", 64, "outbound: --wait waits for a daemon"),
        ("preview nope ada", 1, "outbound: there is no rule 'nope' in the running release [preview.rule]"),
        ("preview letter nobody", 1, "outbound: no such customer [customer.unknown]"),
        ("preview receipt ada", 1, "outbound: customer 'ada' has no event order.placed [preview.event]"),
        ("proof letter --as ada --to me", 64, "outbound: --to takes an e-mail address, or a phone number such as"),
        ("proof letter --as ada --to +39340123456", 1, "outbound: letter does not use sms [proof.channel]"),
        ("proof notice --as ada --to me@example.org", 1, "outbound: it cannot be rendered: script.what missing"),
    ],
)
def test_what_cannot_be_sent_or_shown_is_one_line(shop: Shop, words: str, status: int, sentence: str) -> None:
    answer = shop.run(*words.split(" "), status=status)
    assert answer.err.startswith(sentence)
    assert answer.err.count("\n") == 1


def test_waiting_without_a_daemon_is_an_error_that_says_so(shop: Shop) -> None:
    answer = shop.run(*NOTICE, "--customer", "ada", "--wait", status=1)
    assert answer.err.endswith("no daemon is running [daemon.none] -> start `outbound run`; the messages wait\n")
    assert shop.states() == {"ready": 1}


def test_waiting_for_a_daemon_that_does_nothing_ends(shop: Shop) -> None:
    with shop.database() as database:
        presence.started(database, now=datetime.now(UTC))
    answer = shop.run(*NOTICE, "--customer", "ada", "--wait", "--timeout", "0.1", status=1)
    assert answer.err == "outbound: gave up after 0.1 s: 1 message in motion\n"
    assert answer.out.endswith(": ready 1\n")


def test_a_preview_shows_every_channel_and_writes_only_the_files_asked_for(shop: Shop) -> None:
    before = snapshot(shop)
    shown = shop.run("preview", "notice", "ada", "--data", "what=boots").out
    assert "notice by email (service)" in shown
    assert "Subject: A notice" in shown
    assert "notice by sms (service)\nAbout boots.\n\n1 segment, GSM-7" in shown
    answer = shop.run("preview", "letter", "ada", "--out", str(shop.folder / "out"), "--json").json
    assert answer["files"] == [str(shop.folder / "out" / name) for name in ("letter.ada.html", "index.html")]
    assert "Hello from the shop." in Path(answer["files"][0]).read_text(encoding="utf-8")
    assert answer["previews"][0]["content"]["subject"] == "The letter"
    assert snapshot(shop) == before


def test_the_unsubscribe_link_of_a_preview_leads_nowhere(shop: Shop) -> None:
    assert "/u/preview" in shop.run("preview", "letter", "ada").out


def test_a_preview_says_why_a_message_would_not_be_sent(shop: Shop) -> None:
    assert "would not be sent: render.script.what missing" in shop.run("preview", "notice", "ada").out


def test_a_customer_id_is_no_path(shop: Shop) -> None:
    file = shop.write("more.csv", "id,email,phone,country,first_name,letter,consent_at\n../a,a@example.org,,IT,A,,\n")
    shop.run("import", "customers", str(file), "--mapping", str(shop.folder / "mapping.yaml"))
    answer = shop.run("preview", "letter", "../a", "--out", str(shop.folder / "out"), "--json").json
    assert {Path(file).parent for file in answer["files"]} == {shop.folder / "out"}


def test_a_proof_is_marked_and_counted_nowhere(shop: Shop) -> None:
    before = snapshot(shop)
    answer = shop.run("proof", "notice", "--as", "ada", "--to", "me@example.org", "--data", "what=boots")
    assert answer.out == "notice by email: accepted stored\n"
    text = shop.run("proof", "notice", "--as", "ada", "--to", "+393401234567", "--data", "what=boots", "--json").json
    assert (text[0]["template"], text[0]["outcome"]["kind"]) == ("notice", "accepted")
    mail, sms = mailbox(shop)
    assert b"Subject: [PROOF] A notice" in mail.read_bytes()
    assert b"me@example.org" in mail.read_bytes()
    assert b"ada@example.org" not in mail.read_bytes()
    assert "[PROOF] About boots." in sms.read_text(encoding="utf-8")
    assert snapshot(shop) == before


def test_a_proof_goes_through_the_safety_guard(shop: Shop, tmp_path: Path) -> None:
    def settings(only_to: str) -> None:
        shop.settings(
            f'[email]\nadapter = "smtp"\nhost = "127.0.0.1"\nport = {smtp.port}\ntls = "none"\n'
            f"[safety]\nonly_to = [{only_to}]\n"
        )

    with SmtpServer(tmp_path) as smtp:
        settings("")
        words = ("proof", "letter", "--as", "ada", "--to", "me@example.org")
        refused = shop.run(*words, status=1)
        assert refused.out.startswith("letter by email: rejected_policy safety guard: ")
        assert smtp.accepted() == []
        settings('"me@example.org"')
        assert shop.run(*words).out.startswith("letter by email: accepted ")
        assert [entry.recipient for entry in smtp.accepted()] == ["me@example.org"]
