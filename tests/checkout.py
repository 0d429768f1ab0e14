"""A copy of the working tree, as a new clone of it would be, for tests that run its scripts.

Nothing is installed: ``.venv/`` borrows the programs of this one, with the stamp that tells scripts/venv that it
is complete, and Python finds the package in the copy.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
QUICKSTART = "scripts/quickstart"

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_days: dict[str, tuple["Checkout", str]] = {}


class Checkout:
    """The copy. Make it with ``copy_checkout``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("OUTBOUND_", "GIT_"))}
        self._environment = {**clean, "PYTHONPATH": str(folder), "GIT_CONFIG_GLOBAL": os.devnull}

    def run(self, script: str) -> str:
        """Run lines of shell in its top folder, which must succeed; answers what they print on both streams."""
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, f"{script}\nended with {done.returncode}:\n{done.stdout}"
        return _COLOUR.sub("", done.stdout)

    def changes(self) -> str:
        """What git would call changed or new."""
        return self.run("git status --porcelain")


def first_day(factory: pytest.TempPathFactory) -> tuple[Checkout, str]:
    """A clone in which the quickstart ran once, and what it printed. Once per test session: it takes a while."""
    if QUICKSTART not in _days:
        checkout = copy_checkout(factory.mktemp("clone") / "outbound")
        _days[QUICKSTART] = (checkout, checkout.run(QUICKSTART))
    return _days[QUICKSTART]


def copy_checkout(folder: Path) -> Checkout:
    """Copy every file that git knows or would add. The test is skipped where this is no git checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():  # a file may be deleted and not committed yet
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    _borrow_programs(folder)
    checkout = Checkout(folder)
    checkout.run("git init -q; git add -A; git -c user.name=test -c user.email=test@shop.example commit -qm copy")
    return checkout


def _borrow_programs(folder: Path) -> None:
    programs = folder / ".venv"
    programs.mkdir()
    (programs / "bin").symlink_to(Path(sys.executable).parent)
    for kind in ("runtime", "dev"):
        lock = (folder / "scripts" / "lock" / f"{kind}.txt").read_bytes()
        wanted = hashlib.sha256(lock + (folder / "pyproject.toml").read_bytes()).hexdigest()
        (programs / f".installed-{kind}").write_text(f"{wanted}\n")
