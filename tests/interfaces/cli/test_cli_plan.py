"""plan, and apply with and without a plan: what they print, how they exit, and what they leave alone."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from trial_shop import Shop

from outbound.storage.schema import open_current

_WATCHED = """
import socket, sys
sys.addaudithook(lambda name, _: name.startswith("socket.") and sys.exit(f"opened a socket: {name}"))
from outbound.interfaces.cli import execute
sys.exit(execute(sys.argv[1:]))
"""


def change(shop: Shop, old: str, new: str) -> None:
    path = shop.folder / "rules" / "rules.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_plan_says_what_changes_and_exits_by_it(shop: Shop) -> None:
    same = shop.run("plan", "--next", "0d")
    assert same.out.startswith("No changes: release ")
    change(shop, "topic: newsletter\n", "topic: newsletter\nwho: customer.country == 'FR'\n")
    told = shop.run("plan", status=2)
    assert told.out.splitlines() == [
        "~ letter  who added  now 2 -> 0 people (+0 new, -2 gone)",
        "Next 7 days: 0 messages",
        "0 to add, 1 to change, 0 to remove.",
    ]
    detailed = shop.run("plan", "--rule", "letter", status=2).out
    assert "      + customer.country == 'FR'\n    gone: ada, ben\n" in detailed
    answer = shop.run("plan", "--json", status=2).json
    [rule] = answer["rules"]
    assert (answer["changes"], rule["rule"], rule["reach"]["lost"]) == (True, "letter", 2)


def test_wrong_usage_and_errors_have_their_own_exits(shop: Shop) -> None:
    assert "leave out --rule or -o" in shop.run("plan", "--rule", "letter", "-o", "x", status=64).err
    assert "--next takes a duration" in shop.run("plan", "--next", "soon", status=64).err
    assert "[plan.rule]" in shop.run("plan", "--rule", "nope", status=1).err
    assert "give these options to `outbound plan`" in shop.run("apply", "x", "--include-current", status=64).err
    change(shop, "topic: newsletter", "topic: newsleter")
    saved = shop.folder / "p1"
    refused = shop.run("plan", "-o", str(saved), status=1)
    assert refused.out.endswith(f"1 error: plan {saved} not saved.\n")
    assert not saved.exists()


def test_apply_publishes_the_saved_plan_and_refuses_it_later(shop: Shop) -> None:
    change(shop, "topic: newsletter\n", "topic: newsletter\nwho: has(customer.email)\n")
    saved = shop.folder / "p1"
    told = shop.run("plan", "-o", str(saved), status=2)
    assert told.out.endswith(f"Plan saved: outbound apply {saved}\n")
    assert [path.name for path in shop.folder.iterdir() if "p1" in path.name] == ["p1"]

    rules = (shop.folder / "rules" / "rules.yaml").read_bytes()
    change(shop, "who: has(customer.email)", "who: has(customer.phone)")
    stale = shop.run("apply", str(saved), status=1)
    assert stale.err == (
        "outbound: the files are not those that were planned: rules/rules.yaml [plan.stale] "
        "-> run `outbound plan` again\n"
    )
    (shop.folder / "rules" / "rules.yaml").write_bytes(rules)
    assert shop.run("apply", str(saved), "--dry-run").out.endswith("Would be published.\n")
    assert "runs now: 3 rules." in shop.run("apply", str(saved)).out
    assert "[plan.stale]" in shop.run("apply", str(saved), status=1).err


def test_apply_shows_what_changes(shop: Shop) -> None:
    change(shop, "topic: newsletter\n", "topic: newsletter\nwho: has(customer.email)\n")
    lines = shop.run("apply").out.splitlines()
    assert lines[0] == "~ letter  who added  now 2 people"
    assert lines[-1].endswith("runs now: 3 rules.")


@pytest.mark.parametrize(("words", "status"), [(["plan"], 2), (["simulate", "--days", "3"], 0)])
def test_a_forecast_writes_nothing_into_the_database_and_opens_no_socket(
    shop: Shop, words: list[str], status: int
) -> None:
    """The file is opened to read only, by SQLite itself; an audit hook ends the program at the first socket."""
    change(shop, "topic: newsletter\n", "topic: newsletter\nwho: has(customer.email)\n")
    path = shop.folder / "outbound.db"
    open_current(f"sqlite:///{path}").close()  # so that no log is left beside the file
    before = _state(path)
    command = [sys.executable, "-c", _WATCHED, "-w", str(shop.folder), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (status, "")
    assert _state(path) == before


def _state(path: Path) -> tuple[str, int]:
    return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns
