"""approve, and where a run that a limit stopped is named: send, run, status, report."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from trial_shop import Shop

LIMITED = """
rule: blast
owner: ops@shop.example
topic: notices
when: {script: {}}
limits: {recipients: 2, cost: EUR 0.001}
send: {template: letter, channels: [email]}
---
rule: weekly
owner: crm@shop.example
topic: notices
when: {schedule: FREQ=WEEKLY;BYDAY=TU, at: "10:00", tz: Europe/Rome}
limits: {recipients: 2}
send: {template: letter, channels: [email]}
"""
EIGHT = ("--at", "2026-11-24T08:00Z")
BLAST = (*EIGHT, "send", "blast", "--key", "k1", "--customer", "ada", "--customer", "ben", "--customer", "cy")


@pytest.fixture
def limited(shop: Shop) -> Shop:
    """Two rules with limits, and a third customer."""
    shop.write("rules/limited.yaml", LIMITED)
    shop.customers(["ada", "ben", "cy"])
    shop.run("--at", "2026-11-20T08:00Z", "apply")
    return shop


class _Keyboard(io.StringIO):
    """What somebody types."""

    def isatty(self) -> bool:
        return True


@contextmanager
def typing(text: str) -> Iterator[None]:
    """A person at a terminal who answers ``text``."""
    before, sys.stdin = sys.stdin, _Keyboard(text)
    try:
        yield
    finally:
        sys.stdin = before


def hours(shop: Shop, start: str, end: str) -> str:
    """Run the daemon's work from one UTC time of 24 November to another."""
    return shop.run("run", "--at", f"2026-11-24T{start}Z", "--until", f"2026-11-24T{end}Z").out


def mailbox(shop: Shop) -> list[Path]:
    return list((shop.folder / "mailbox").rglob("*.eml"))


def test_a_send_over_a_limit_exits_2_and_says_how_to_approve_it(limited: Shop) -> None:
    """Exit 2: limit hit. The command it prints is the one that works, and the daemon then sends."""
    dry = limited.run(*BLAST, "--dry-run", status=2)
    assert "  ! over the limit: 3 recipients > 2; EUR 0.0012 > EUR 0.0010: somebody would have to approve it" in dry.out
    assert limited.states() == {}
    lines = limited.run(*BLAST, status=2).out.splitlines()
    assert lines[0] == "3 new (email 3), 0 already sent to"
    assert "  about EUR 0.0012" in lines
    assert "  ! over the limit, nothing is sent: 3 recipients > 2; EUR 0.0012 > EUR 0.0010" in lines
    words = lines[-1].removeprefix("  -> outbound ").split()
    hours(limited, "08:05", "08:10")
    assert mailbox(limited) == []
    done = limited.run("--at", "2026-11-24T08:10Z", *words, "--count", "3", "--by", "mia")
    assert done.out.endswith("blast/k1 approved. Let go: 3 messages.\n")
    assert "Spent EUR 0.0012.\n" in hours(limited, "08:10", "08:20")
    assert len(mailbox(limited)) == 3
    report = limited.run("report", "blast/k1").out
    assert "spent        EUR 0.0012\n  email      EUR 0.0012   IT 3 EUR 0.0012\n" in report
    assert "approved     by mia on 2026-11-24 08:10 UTC: 3 messages, EUR 0.0012\n" in report
    assert report.endswith("\n3 = 0 skipped + 3 messages (sent 3): holds\n")
    assert "spent EUR 0.0012 (email EUR 0.0012)\n" in limited.run("status").out


def test_the_queue_says_which_run_waits_and_what_for(limited: Shop) -> None:
    """Of a schedule nobody sees the exit status: run, status and report say it, as text and as JSON."""
    said = hours(limited, "08:30", "10:00")
    assert "Planned 3 messages (email 3), about EUR 0.0012.\n" in said
    assert "! weekly/2026-W48 is over a limit and waits: 3 recipients > 2 -> outbound approve weekly/2026-W48\n" in said
    assert (
        "! weekly/2026-W48 is over a limit and waits: 3 recipients > 2 -> outbound approve "
        in limited.run("status").out
    )
    assert limited.run("status", "--json").json["limited"][0]["counted"]["messages"] == 3
    for words in (("report", "weekly/2026-W48"), ("report",)):
        assert "! weekly/2026-W48 is over a limit and waits: 3 recipients > 2 ->" in limited.run(*words).out
    answer = limited.run("report", "weekly/2026-W48", "--json").json
    assert (answer["runs"][0]["limits"]["limited"], answer["costs"]["planned"]) == ("recipients", {"EUR": 1_200})
    assert answer["holds"]
    assert mailbox(limited) == []


def test_another_number_than_the_one_counted_is_refused(limited: Shop) -> None:
    """Fault F52: the number is the token. A script that never looked does not know it."""
    limited.run(*BLAST, status=2)
    answer = limited.run(*EIGHT, "approve", "blast/k1", "--count", "2", status=1)
    assert answer.err.startswith("outbound: blast/k1 has 3 messages, not 2 [approve.count] -> look at it again: ")
    unasked = limited.run(*EIGHT, "approve", "blast/k1", status=64)
    assert unasked.err == "outbound: give --count N, the number of messages you agree to\n"
    assert limited.states() == {"scheduled": 3}


def test_a_dry_run_shows_what_there_is_to_decide_and_decides_nothing(limited: Shop) -> None:
    limited.run(*BLAST, status=2)
    shown = limited.run(*EIGHT, "approve", "blast/k1", "--dry-run").out.splitlines()
    assert shown[0].startswith("blast/k1  (script, since 2026-11-24 08:00 UTC, run ")
    assert shown[1:] == [
        "  over the limit: 3 recipients > 2; EUR 0.0012 > EUR 0.0010",
        "  messages  3",
        "    email            3   EUR 0.0012",
        "  cost      EUR 0.0012",
        "  planned   3; waiting for you 3",
    ]
    asked = limited.run(*EIGHT, "approve", "blast/k1", "--dry-run", "--json").json
    assert (asked["request"]["held"], asked["approval"]) == (3, None)
    assert limited.states() == {"scheduled": 3}


def test_on_a_terminal_the_number_is_asked_for(limited: Shop) -> None:
    """Typed as it is shown, with or without its comma; anything else is another number."""
    limited.run(*BLAST, status=2)
    with typing("yes\n"):
        assert "[approve.count]" in limited.run(*EIGHT, "approve", "blast/k1", status=1).err
    with typing("3\n"):
        assert "Let go: 3 messages" in limited.run(*EIGHT, "approve", "blast/k1").out


def test_a_rejected_run_is_cancelled_for_good(limited: Shop) -> None:
    limited.run(*BLAST, status=2)
    unasked = limited.run(*EIGHT, "approve", "blast/k1", "--reject", status=64)
    assert unasked.err == "outbound: give --yes to reject blast/k1\n"
    with typing("n\n"):
        assert "nothing was decided" in limited.run(*EIGHT, "approve", "blast/k1", "--reject", status=1).err
    done = limited.run(*EIGHT, "approve", "blast/k1", "--reject", "--yes", "--by", "leo", "--json").json
    assert (done["approval"]["rejected"], done["approval"]["messages"]) == (True, 3)
    assert limited.states() == {"cancelled": 3}
    assert "rejected     by leo on 2026-11-24 08:00 UTC: 3 recipients > 2" in limited.run("report", "blast/k1").out
    assert "! the run was rejected: use another --key" in limited.run(*BLAST, status=2).out
    assert "[approve.rejected]" in limited.run(*EIGHT, "approve", "blast/k1", "--count", "3", status=1).err


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ("approve nope --count 1", 1, "outbound: 'nope' is no run [run.unknown]"),
        (
            "approve notice/k --count 1",
            1,
            "outbound: notice/k exceeds no limit: it waits for nobody [approve.unlimited]",
        ),
        (
            "approve notice/k --reject --count 1",
            64,
            "outbound: --count is what you agree to; --reject agrees to nothing",
        ),
        ("approve notice/k --yes", 64, "outbound: --yes goes with --reject; to approve without being asked"),
    ],
)
def test_what_cannot_be_approved_is_one_line(limited: Shop, words: str, status: int, sentence: str) -> None:
    limited.run("send", "notice", "--key", "k", "--data", "what=x", "--customer", "ada")
    answer = limited.run(*EIGHT, *words.split(), status=status)
    assert answer.err.startswith(sentence)
    assert answer.err.count("\n") == 1
