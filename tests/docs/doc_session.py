"""Somebody who follows a page: writes its files, runs its commands, and compares the answers.

``outbound`` runs in this process: starting Python for each command would be most of the time. Everything else
is a shell's.
"""

import contextlib
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import Block, Command, agrees, blocks, commands, edit, masked

from outbound.interfaces import cli


class Session:
    """A terminal in ``folder`` without settings of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        for name in [name for name in os.environ if name.startswith("OUTBOUND_")]:
            monkeypatch.delenv(name)
        monkeypatch.chdir(folder)

    def follow(self, page: Path) -> int:
        """Do everything the page asks for, in order; returns how many commands that were."""
        ran = 0
        for block in blocks(page):
            self.order(block)
            if block.file:
                write(block)
            if block.kind == "console":
                for command in commands(block):
                    self._check(page, command)
                    ran += 1
        return ran

    def order(self, block: Block) -> None:
        """Obey an order of the page to its test (``<!-- kind: body -->``). Here there are none."""

    def run(self, line: str) -> str:
        """What one command line answers on both streams."""
        words = shlex.split(line)
        if words[0] == "cd":
            self._monkeypatch.chdir(words[1])
            return ""
        if words[0] == "outbound":
            return self._outbound(words[1:])
        done = subprocess.run(  # noqa: S602 - the page's own commands
            line,
            shell=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout

    def _outbound(self, arguments: list[str]) -> str:
        self._monkeypatch.setattr(sys, "argv", ["outbound", *arguments])
        answer = io.StringIO()
        with contextlib.redirect_stdout(answer), contextlib.redirect_stderr(answer), contextlib.suppress(SystemExit):
            cli.main()
        return answer.getvalue()

    def _check(self, page: Path, command: Command) -> None:
        shown, got = masked("\n".join(command.shown)), masked(self.run(command.text))
        assert agrees(shown, got), "\n".join(
            (f"{page.name}:{command.line}: $ {command.text}", "--- the page shows", *shown, "--- the answer is", *got)
        )


def write(block: Block) -> None:
    """Write the file a block shows, or change the one it is a diff of."""
    path = Path(block.file)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = edit(path.read_text(encoding="utf-8"), block.body) if block.kind == "diff" else block.body
    path.write_text(text, encoding="utf-8")
