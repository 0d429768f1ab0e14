"""docs/operations.md: the commands of a day are run, and every line of the log is explained."""

import ast
import asyncio
import re
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from doc_pages import DOCS, ROOT, Block, table
from doc_session import Session

from outbound.app import build
from outbound.config import read_settings
from outbound.interfaces.cli.context import parse_instant
from outbound.runtime.virtual import VirtualClock, run_virtual
from outbound.services import presence
from outbound.storage.database import Database

PAGE = DOCS / "operations.md"
DEMO = ROOT / "scripts" / "demo"
CLOCKLESS = ("outbound migrate",)


class Day(Session):
    """A session on a made-up day. The page's orders set the clock, bring files, and let the daemon work."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(folder, monkeypatch)
        self._folder = folder
        self._at = self._daemon_id = ""
        super().run("outbound init")

    def order(self, block: Block) -> None:
        match block.kind:
            case "clock":
                self._at = block.body
            case "copy":
                for name in block.body.split():
                    shutil.copy(DEMO / name, self._folder)
            case "daemon":
                self._daemon(parse_instant(self._at), parse_instant(block.body))
                self._at = block.body

    def run(self, line: str) -> str:
        """The command as if it were the hour of the page."""
        return super().run(line if line in CLOCKLESS else line.replace("outbound ", f"outbound --at {self._at} ", 1))

    def _daemon(self, start: datetime, end: datetime) -> None:
        settings = read_settings(self._folder)
        database = Database(settings.database_url)
        clock = VirtualClock(start)
        asyncio.run(run_virtual(build(settings, database, clock=clock), clock, until=end))
        self._daemon_id = self._daemon_id or presence.started(database, now=start)
        presence.seen(database, self._daemon_id, now=end)
        database.close()


def test_a_day_of_an_operator_goes_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Day(tmp_path, monkeypatch).follow(PAGE) > 8


def logged() -> set[str]:
    """The first words of every log call in the program."""
    found = set()
    for path in (ROOT / "outbound").rglob("*.py"):
        if path.is_relative_to(ROOT / "outbound" / "testing"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "log":
                assert isinstance(node, ast.Call)
                assert isinstance(node.args[0], ast.Constant), path
                found.add(node.args[0].value)
    return found


def test_every_line_of_the_log_is_explained() -> None:
    rows = table(PAGE, "Logs")
    assert {word for row in rows for word in re.findall(r"`([^`]+)`", row[0])} == logged()
