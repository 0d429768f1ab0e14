"""The script from end to end with the first few hundred people: real files, servers, daemon and database."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from outbound.testing.ledger import read_ledger

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PEOPLE = 400


@pytest.fixture
def source(shared_data: Path) -> Path:
    folder = shared_data / "adventureworks"
    if not folder.is_dir():
        pytest.skip("the AdventureWorks files are not among the real data")
    return folder


def demonstrate(workspace: Path, source: Path, *arguments: str) -> str:
    """Run the script; what it prints. It must end well."""
    command = [sys.executable, str(SCRIPTS / "adventureworks.d" / "main.py"), "--people", str(PEOPLE)]
    command += ["--workspace", str(workspace), "--source", str(source), "--deadline", "60", *arguments]
    elsewhere = "postgresql://nobody@nowhere.invalid/shop"  # another installation's, which must not be touched
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS), "OUTBOUND_DATABASE_URL": elsewhere}
    environment["PYTHONDONTWRITEBYTECODE"] = ""  # a dozen commands must not each compile the program anew
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=140)
    log = workspace / "daemon.log"
    assert done.returncode == 0, done.stdout + done.stderr + (log.read_text("utf-8") if log.exists() else "")
    return done.stdout


def figures(output: str, label: str) -> list[int]:
    """The numbers of one line of the proof."""
    line = next(line for line in output.splitlines() if line.strip().startswith(label))
    return [int(word.replace(",", "")) for word in re.findall(r"\d[\d,]*", line)]


def check_proof(output: str, workspace: Path) -> None:
    """Every figure that the script prints, held against what the servers wrote down."""
    people, orders, _ = figures(output, "people, orders imported")
    assert people == PEOPLE
    assert figures(output, "candidates") == [people, orders, people + orders]
    consents = figures(output, "consents in the files")[0]
    assert figures(output, "consent ")[0] == people - consents
    messages = figures(output, "+ messages")
    assert messages[0] == consents > 0
    assert figures(output, "sent ") == messages
    emails, texts = figures(output, "by email"), figures(output, "by sms")
    assert min(emails[1], texts[1]) > 0, "the follow-up goes to both channels"
    assert emails[2] + texts[2] == messages[2]
    accepted = read_ledger(workspace / "smtp-ledger.jsonl"), read_ledger(workspace / "twilio-ledger.jsonl")
    assert figures(output, "accepted by the SMTP server") == [len(accepted[0])] * 2 == [emails[2]] * 2
    assert figures(output, "accepted by the Twilio double") == [len(accepted[1])] * 2 == [texts[2]] * 2
    assert figures(output, "accepted twice") == [0]
    assert figures(output, "checker: promises broken") == [0]
    assert output.rstrip().endswith("All of it balances.")


@pytest.mark.timeout(300)
def test_everybody_gets_theirs_once_and_a_second_run_repeats_nothing(source: Path, tmp_path: Path) -> None:
    first = demonstrate(tmp_path, source)
    check_proof(first, tmp_path)
    sent = figures(first, "+ messages")[2]
    assert f"{sent:,} new this time" in first
    greetings = [file.read_text("utf-8") for file in (tmp_path / "kept").iterdir()]
    assert any(re.search(r"^Hello,\r?$", text, re.MULTILINE) for text in greetings), "people without a name"
    assert any(re.search(r"^Hello \w+,\r?$", text, re.MULTILINE) for text in greetings), "people with one"

    again = demonstrate(tmp_path, source)
    check_proof(again, tmp_path)
    assert "nothing changed: all of it was there already" in again
    assert "\n0 new this time (0 e-mails, 0 text messages)" in again


@pytest.mark.timeout(300)
@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_the_same_on_postgresql(source: Path, tmp_path: Path, database_url: str) -> None:
    check_proof(demonstrate(tmp_path, source, "--database", database_url), tmp_path)
    assert not list(tmp_path.glob("*.db")), "SQLite has no part in it"
