"""The examples in scripts/examples run as they stand, on a workspace with a real daemon."""

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_pages import ROOT
from doc_session import Session

EXAMPLES = ROOT / "scripts" / "examples"
DEMO = ROOT / "scripts" / "demo"
WRONG_USAGE = 64


class Shop:
    """A workspace of the demo shop, and the examples called in it."""

    def __init__(self, workspace: Path) -> None:
        self.workspace = workspace
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.environment = {**os.environ, "PATH": path, "OUTBOUND_WORKSPACE": str(workspace), "TMPDIR": str(workspace)}

    def call(self, example: str, *arguments: object, typed: str = "") -> subprocess.CompletedProcess[str]:
        words = [str(EXAMPLES / example), *map(str, arguments)]
        return subprocess.run(
            words, env=self.environment, input=typed, capture_output=True, text=True, check=False, timeout=60
        )

    def daemon(self) -> "subprocess.Popen[bytes]":
        """A running daemon."""
        words = ["outbound", "run", "--no-http"]
        daemon = subprocess.Popen(words, env=self.environment, stderr=subprocess.PIPE)
        assert daemon.stderr is not None
        assert b"daemon started" in daemon.stderr.readline()
        return daemon


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The demo shop with the two rules that the examples use, and a daemon."""
    folder = tmp_path_factory.mktemp("shop")
    for name in ("policy", "schema", "segments", "recall-notice", "order-shipped"):
        copy(ROOT / "rules" / f"{name}.yaml", folder / "rules")
    for name in ("brand", "recall-notice", "order-shipped"):
        shutil.copytree(ROOT / "templates" / name, folder / "templates" / name)
    with pytest.MonkeyPatch.context() as monkeypatch:
        session = Session(folder, monkeypatch)
        customers = f"import customers {DEMO / 'customers.csv'} --mapping {DEMO / 'customers.yaml'}"
        for line in ("init", "migrate", "apply", customers):
            session.run(f"outbound {line}")
        shop = Shop(folder)
        daemon = shop.daemon()
        yield shop
        daemon.send_signal(signal.SIGTERM)
        daemon.communicate(timeout=60)


def copy(file: Path, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    shutil.copy(file, folder)


@pytest.mark.parametrize("example", sorted(path.name for path in EXAMPLES.iterdir()))
def test_an_example_explains_itself_when_it_is_called_wrongly(example: str, tmp_path: Path) -> None:
    done = Shop(tmp_path).call(example, *range(9))
    assert done.returncode == WRONG_USAGE
    assert "Usage: " + example in done.stderr
    assert "set -euo pipefail" in (EXAMPLES / example).read_text(encoding="utf-8")


def test_a_recall_is_shown_sent_and_reported(shop: Shop) -> None:
    done = shop.call("send-recall", DEMO / "recall.csv", "Acciughe", "L1", typed="y\n")
    assert done.returncode == 0, done.stderr
    assert "15 rows: 13 would be sent" in done.stdout
    assert "13 new" in done.stdout
    assert done.stdout.rstrip().endswith("holds")
    assert shop.call("watch-status").stdout.startswith("OK ")


def test_nothing_is_sent_before_somebody_says_yes(shop: Shop) -> None:
    done = shop.call("send-recall", DEMO / "recall.csv", "Acciughe", "L2", typed="n\n")
    assert (done.returncode, "Nothing was sent." in done.stderr, "new" in done.stdout) == (1, True, False)


def test_an_installation_that_does_not_answer_is_critical(tmp_path: Path) -> None:
    done = Shop(tmp_path).call("watch-status")
    assert (done.returncode, done.stdout) == (2, "CRITICAL outbound does not answer\n")


def test_the_nightly_import_is_silent_until_rows_are_refused(shop: Shop, tmp_path: Path) -> None:
    export = tmp_path / "customers.csv"
    header, *rows = (DEMO / "customers.csv").read_text(encoding="utf-8").splitlines()
    export.write_text("\n".join([header, *rows[:3]]), encoding="utf-8")
    good = shop.call("nightly-import", export, DEMO / "customers.yaml")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    wrong = "C-9001,not an address" + "," * (header.count(",") - 1)
    export.write_text("\n".join([header, *rows[:3], wrong]), encoding="utf-8")
    bad = shop.call("nightly-import", export, DEMO / "customers.yaml")
    assert (bad.returncode, "1 rows of" in bad.stderr) == (1, True)
    assert "not an address" in Path(f"{export}.refused.jsonl").read_text(encoding="utf-8")


def test_a_parcel_that_is_reported_twice_is_one_event(shop: Shop) -> None:
    assert "recorded." in shop.call("order-shipped", "C-1001", "DL-77", "brt").stdout
    again = shop.call("order-shipped", "C-1001", "DL-77", "brt", "https://spedizioni.example/DL-77")
    assert (again.returncode, "nothing changed" in again.stdout) == (0, True)


def test_a_backup_made_under_a_running_daemon_is_whole(shop: Shop, tmp_path: Path) -> None:
    done = shop.call("backup", "sqlite", shop.workspace / "outbound.db", tmp_path)
    copy = Path(done.stdout.strip())
    assert copy.parent == tmp_path, done.stderr
    with sqlite3.connect(copy) as connection:
        assert connection.execute("SELECT count(*) FROM customer").fetchone() == (60,)
    assert copy.stat().st_mode & 0o077 == 0
