"""``outbound explain``: the ladder on a terminal, as JSON, of another moment; and it leaves nothing behind."""

import socket
import sqlite3
from pathlib import Path

import pytest
from trial_shop import Shop

MORNING = "2026-11-30T09:30+01:00"
NOTICE = """
rule: renewal
owner: ops@shop.example
topic: notices
when: {schedule: FREQ=WEEKLY;BYDAY=MO, at: "10:00"}
who:
  - customer.country == 'IT'
  - has(customer.phone)
send: {template: receipt-like, channels: [email]}
"""


@pytest.fixture
def shop(shop: Shop) -> Shop:
    """The shop with a weekly rule that wants a telephone number, which nobody has."""
    rules = (shop.folder / "rules" / "rules.yaml").read_text()
    shop.write("rules/rules.yaml", rules + "---" + NOTICE.replace("receipt-like", "letter"))
    shop.run("--at", "2026-11-02T08:00Z", "apply")
    return shop


def test_the_ladder_is_shown_gate_by_gate_with_values_and_places(shop: Shop) -> None:
    lines = shop.run("--at", MORNING, "explain", "ada", "renewal").out.splitlines()
    assert lines[0].startswith("ada  renewal@")
    assert lines[0].endswith("Mon 30 Nov 2026 10:00 Europe/Rome (zone from customer.country)")
    shown = [" ".join(line.split()) for line in lines]
    assert "yes match schedule FREQ=WEEKLY;BYDAY=MO at 10:00 of the customer rules/rules.yaml:27" in shown
    assert "yes who[0] customer.country == 'IT' customer.country is 'IT' rules/rules.yaml:29" in shown
    assert "NO who[1] has(customer.phone) customer.phone is MISSING rules/rules.yaml:30" in shown
    assert lines[-1] == "  => not sent: who"


def test_what_if_shows_the_other_end(shop: Shop) -> None:
    found = shop.run("--at", MORNING, "explain", "ada", "renewal", "--what-if", "phone=+393401234567")
    assert "assuming phone '+393401234567'" in found.out
    assert found.out.endswith("=> leaves Mon 30 Nov 2026 10:00 by email\n")
    assert "yes render       template letter in en" in found.out


def test_every_rule_has_a_line_and_json_has_everything(shop: Shop) -> None:
    out = shop.run("explain", "ada@example.org").out.splitlines()
    assert [line.split()[0] for line in out[1:]] == ["letter", "notice", "receipt", "renewal"]
    assert "nothing is due   match event order.placed  it never happened" in " ".join(out)
    everything = shop.run("explain", "ada", "--json").json
    assert {one["rule"] for one in everything} == {"letter", "notice", "receipt", "renewal"}
    one = shop.run("explain", "ada", "renewal", "--json").json
    assert one["lines"][2]["because"] == "customer.phone is MISSING"
    assert (one["outcome"]["decision"], one["outcome"]["reason"]) == ("skip", "who")


def test_what_was_sent_is_shown_with_the_release_and_the_values_that_made_it(shop: Shop) -> None:
    shop.run("--at", "2026-11-10T08:00Z", "event", "order.placed", "ada", "--data", "order_id=A1")
    shop.run("run", "--at", "2026-11-10T08:00Z", "--until", "2026-11-10T09:00Z")
    out = shop.run("explain", "ada", "receipt").out
    assert "NO  once         A1 sent 2026-11-10 09:00" in out
    assert "=> decided before: sent Tue 10 Nov 2026 09:00 by email" in out
    assert "  2026-11-10 09:00  sent by email 09:00\n      run receipt/2026-11-10, release " in out


def test_mistakes_are_one_line(shop: Shop) -> None:
    assert "there is no rule 'renewall'" in shop.run("explain", "ada", "renewall", status=1).err
    assert "no such customer" in shop.run("explain", "nobody", "renewal", status=1).err
    assert "no release was active" in shop.run("explain", "ada", "letter", "--at", "2026-10-01", status=1).err
    assert "no attribute 'size'" in shop.run("explain", "ada", "--what-if", "size=3", status=1).err
    assert "'soon' is not a time" in shop.run("explain", "ada", "--at", "soon", status=1).err
    assert "--what-if takes name=value" in shop.run("explain", "ada", "--what-if", "size", status=64).err


def test_it_writes_nothing_and_opens_no_socket(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a database file that may only be read, with a message waiting and one sent."""
    shop.run("--at", "2026-11-10T08:00Z", "event", "order.placed", "ada", "--data", "order_id=A1")
    shop.run("run", "--at", "2026-11-10T08:00Z", "--until", "2026-11-10T09:00Z")
    shop.run("--at", "2026-11-10T09:00Z", "send", "letter", "--key", "k", "--customer", "ada")
    file = shop.folder / "outbound.db"
    with sqlite3.connect(file) as settled:
        settled.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    settled.close()
    before = contents(shop.folder)
    file.chmod(0o444)

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for words in (
        (),
        ("letter",),
        ("receipt",),
        ("renewal", "--at", "2099-01-01"),
        ("letter", "--what-if", "country=DE"),
    ):
        shop.run("explain", "ada", *words)
        shop.run("explain", "ada", *words, "--json")
    shop.run("preview", "receipt", "ada")
    assert contents(shop.folder) == before


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of the workspace, but for what SQLite keeps beside a database that somebody reads."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if not path.name.endswith(("-shm", "-wal"))}
