"""What the pages about looking ahead show is what the commands answer in the demo shop, the evening before its day."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from doc_pages import DOCS, ROOT, Command, agrees, blocks, commands, masked
from doc_session import Session

DEMO = ROOT / "scripts" / "demo"
EVENING = "2026-11-23T23:00+01:00"
OFFER = """rule: oil-offer
owner: crm@dispensalevante.example
topic: offers
when: {schedule: FREQ=MONTHLY;BYDAY=1TU, at: "10:00", tz: customer}
who: segment.oil_delivery
once: "{experiment.id}"
experiment:
  id: oil-2026
  coverage: 60%
  holdout: 10%
  variants:
    plain: {weight: 50, template: new-oil}
    letter: {weight: 50, template: monthly-letter}
send: {channels: [email]}
"""


class Evening(Session):
    """Every command is called as of the evening."""

    def run(self, line: str) -> str:
        told = line.startswith("outbound --at ")
        return super().run(line if told else line.replace("outbound ", f"outbound --at {EVENING} ", 1))


@pytest.fixture
def evening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evening:
    """The demo shop with everything imported, before its day."""
    for name in ("rules", "templates"):
        shutil.copytree(ROOT / name, tmp_path / name)
    session = Evening(tmp_path, monkeypatch)
    for line in (
        "init",
        "migrate",
        "apply",
        f"import customers {DEMO}/customers.csv --mapping {DEMO}/customers.yaml",
        f"import events {DEMO}/orders-before.jsonl --mapping {DEMO}/orders.yaml",
        f"import events {DEMO}/orders-today.jsonl --mapping {DEMO}/orders.yaml --fire",
        f"import events {DEMO}/shipments-today.jsonl --mapping {DEMO}/shipments.yaml --fire",
    ):
        session.run(f"outbound {line}")
    return session


def shown(page: str) -> list[Command]:
    """The commands of a page whose answers it shows."""
    console = [block for block in blocks(DOCS / page) if block.kind == "console"]
    return [command for block in console for command in commands(block)]


def check(session: Evening, command: Command) -> None:
    wanted, got = masked("\n".join(command.shown)), masked(session.run(command.text))
    assert agrees(wanted, got), "\n".join((f"$ {command.text}", "--- the page shows", *wanted, "--- got", *got))


def change(file: str, old: str, new: str) -> None:
    path = Path(file)
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_the_page_shows_what_mail_programs_lack(evening: Evening, shared_data: Path) -> None:
    [command] = [one for one in shown("check.md") if "--caniemail" in one.text]
    Path("caniemail").symlink_to(shared_data / "caniemail")
    check(evening, command)


def test_the_page_shows_what_was_decided_before(evening: Evening) -> None:
    evening.run(f"outbound run --at {EVENING} --until 2026-11-24T12:00+01:00")
    before = shown("explain.md")[2]
    check(evening, replace(before, text=before.text.replace("outbound ", "outbound --at 2026-11-24T12:00+01:00 ", 1)))


def test_the_pages_show_what_the_commands_answer(evening: Evening) -> None:
    """One shop for all: making it takes longer than asking it."""
    [days] = shown("simulate.md")
    check(evening, days)
    for command in shown("explain.md")[:2]:
        check(evening, command)
    saved, ahead = shown("plan.md")
    change("rules/monthly-letter.yaml", 'at: "10:00"', 'at: "09:30"')
    check(evening, ahead)
    change("rules/monthly-letter.yaml", "who:\n", "who:\n  - customer.country == 'IT'\n")
    change("rules/segments.yaml", ", 'LU', 'NL']", ", 'LU']")
    change("templates/birthday/sms.it.txt", "auguri", "auguri di cuore")
    Path("rules/oil-offer.yaml").write_text(OFFER, encoding="utf-8")
    Path("rules/recall-notice.yaml").unlink()
    check(evening, saved)
    change("rules/birthday.yaml", "once: ", "onec: ")
    check(evening, shown("check.md")[0])
