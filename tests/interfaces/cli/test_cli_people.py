"""report --people: who of a run waits, was skipped or did not match; and what `approve RULE` takes."""

import pytest
import sqlalchemy as sa
from trial_shop import Shop

from outbound.interfaces.cli import report_people
from outbound.services import run_people
from outbound.storage.tables import message

RULES = """
rule: italians
owner: ops@shop.example
topic: notices
when: {script: {}}
who:
  - customer.country == 'IT'
  - customer.id == 'ada' or customer.id == 'ben'
send: {template: letter, channels: [email]}
---
rule: blast
owner: ops@shop.example
topic: notices
when: {script: {}}
limits: {recipients: 1}
send: {template: letter, channels: [email]}
"""
EIGHT = ("--at", "2026-11-24T08:00Z")


@pytest.fixture
def sent(shop: Shop) -> Shop:
    """Three customers asked for by a rule, one of whom it does not mean; another rule's run over its limit."""
    shop.write("rules/people.yaml", RULES)
    shop.customers(["ada", "ben", "cy"])
    shop.run("--at", "2026-11-20T08:00Z", "apply")
    everybody = [word for name in ("ada", "ben", "cy") for word in ("--customer", name)]
    shop.run(*EIGHT, "send", "italians", "--key", "k", *everybody)
    shop.run(*EIGHT, "send", "blast", "--key", "k", *everybody, status=2)
    return shop


def hold(shop: Shop, customer: str, reason: str, detail: str) -> None:
    """Hold a message as a gate does."""
    with shop.database() as database, database.write() as connection:
        mine = sa.and_(message.c.customer_id == customer, message.c.rule == "italians")
        connection.execute(message.update().where(mine).values(state="scheduled", reason=reason, detail=detail))


def test_everybody_of_a_run_is_named_with_state_reason_and_both_clocks(sent: Shop) -> None:
    """Who waits, why and until when: on their own clock (Rome) and in UTC. A filter of code and detail narrows it."""
    hold(sent, "ada", "cap", "marketing.day")
    hold(sent, "ben", "cap", "marketing.168h")
    lines = sent.run("report", "italians/k", "--people").out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["ada", "scheduled", "email", "cap.marketing.day", "2026-11-24", "09:00", "CET", "2026-11-24", "08:00"],
        ["ben", "scheduled", "email", "cap.marketing.168h", "2026-11-24", "09:00", "CET", "2026-11-24", "08:00"],
    ]
    for words, names in (
        (("--reason", "cap"), ["ada", "ben"]),
        (("--reason", "cap.marketing.168h"), ["ben"]),
        (("--state", "sent"), []),
    ):
        found = sent.run("report", "italians/k", "--people", *words, "--json").json
        assert [one["customer"] for one in found["people"]] == names
    said = sent.run("report", "italians/k").out
    assert "2   cap 2 (cap.marketing.168h 1, cap.marketing.day 1)\n" in said


def test_pages_meet_without_a_gap(sent: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page of one: each customer exactly once, in order."""
    monkeypatch.setattr(run_people, "PAGE", 1)
    found = sent.run("report", "blast/k", "--people", "--json").json
    assert [(one["customer"], one["reason"]) for one in found["people"]] == [
        (name, "limits.recipients") for name in ("ada", "ben", "cy")
    ]


def test_who_did_not_match_is_named_with_the_line_of_the_condition(sent: Shop) -> None:
    lines = sent.run("report", "italians/k", "--people", "--reason", "who").out.splitlines()
    assert [line.split() for line in lines[1:]] == [["cy", "not", "matched", "who", "rules/people.yaml:8"]]


def test_a_terminal_gets_some_lines_and_the_number_of_the_others(sent: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty lines at most (here two), unless --all."""
    monkeypatch.setattr(report_people, "_LINES", 2)
    assert len(sent.run("report", "blast/k", "--people").out.splitlines()) == 4
    monkeypatch.setattr(report_people, "_on_terminal", lambda: True)
    shown = sent.run("report", "blast/k", "--people").out.splitlines()
    assert shown[3:] == ["... and 1 more line: --all shows them, or pipe the output"]
    assert len(sent.run("report", "blast/k", "--people", "--all").out.splitlines()) == 4


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ("--people", 64, "outbound: --people needs a RUN"),
        ("blast/k --reason cap", 64, "outbound: --reason, --state and --all go with --people"),
        ("blast/k --people --reason nope", 1, "outbound: there is no reason 'nope' [report.reason]"),
        ("blast/k --people --state nope", 1, "outbound: there is no state 'nope' [report.state]"),
    ],
)
def test_wrong_questions_are_one_line(sent: Shop, words: str, status: int, sentence: str) -> None:
    assert sent.run("report", *words.split(), status=status).err.startswith(sentence)


def test_a_rule_means_its_one_waiting_run_and_several_are_named(sent: Shop) -> None:
    """`approve RULE` takes the only run that waits; of two it takes none."""
    shown = sent.run(*EIGHT, "approve", "blast", "--dry-run").out
    assert shown.startswith("blast/k  (script")
    sent.run(*EIGHT, "send", "blast", "--key", "l", "--customer", "ada", "--customer", "ben", status=2)
    asked = sent.run(*EIGHT, "approve", "blast", "--dry-run", status=1).err
    assert asked == "outbound: 2 runs of blast wait [approve.several] -> name one: blast/k, blast/l\n"
