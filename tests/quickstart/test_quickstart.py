"""scripts/quickstart: a day of the demo shop, twice."""

import re
from pathlib import Path

import pytest
from checkout import QUICKSTART, first_day


def messages(mailbox: Path) -> dict[str, bytes]:
    """Every message the mailbox was given, by file."""
    return {str(p.relative_to(mailbox)): p.read_bytes() for p in mailbox.rglob("*") if p.suffix in {".eml", ".txt"}}


def report(output: str) -> list[str]:
    """The lines of the table and the sums."""
    return output.partition("What happened")[2].partition("One customer's record")[0].splitlines()


@pytest.mark.timeout(330)  # it installs an environment first, which its own limit of 300 s allows for
def test_the_demo_day_runs_and_a_second_time_sends_nothing_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    checkout, first = first_day(tmp_path_factory)
    mailbox = checkout.folder / "demo" / "mailbox"

    # A summary: planned, sent by channel, held and skipped by reason, and the sums balance.
    summary = "\n".join(report(first))
    for line in (
        r"planned +\d+",
        r"sent +\d+ +email \d+, sms \d+",
        r"held +\d+ +cap\.marketing\.day \d+, quiet_hours \d+",
        r"skipped +\d+ +consent",
    ):
        assert re.search(rf"^{line}", summary, re.MULTILINE), summary
    assert summary.rstrip().endswith(": holds")
    # A rule of each kind fired, each rule once; nobody asked for anything or sent a text of their own that day.
    rules = sorted(path.stem for path in (checkout.folder / "rules").glob("*.yaml"))
    fired = [line.partition("/")[0] for line in report(first) if "/" in line.split(" ")[0]]
    silent = {"policy", "schema", "segments", "requests", "text-answers"}
    assert sorted(fired) == [rule for rule in rules if rule not in silent]
    # One customer's timeline, and a mailbox to look through.
    assert "timeline (UTC)" in first
    assert (mailbox / "index.html").is_file()
    sent = re.search(r"sent +(\d+) +email (\d+), sms (\d+)", summary)
    assert sent is not None
    written = messages(mailbox)
    assert len(written) == int(sent[1])
    assert sum(name.endswith(".eml") for name in written) == int(sent[2])
    assert checkout.changes() == ""

    second = checkout.run(QUICKSTART)
    assert "is there already: nothing changed" in second
    assert "runs already: nothing changed." in second
    assert "0 new, 14 already sent to" in second
    assert report(second) == report(first)
    assert messages(mailbox) == written
    assert checkout.changes() == ""
