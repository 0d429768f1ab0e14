"""The whole program reads time zones from one place: the pinned tzdata package (fault F47)."""

import ast
from pathlib import Path

import outbound

ROOT = Path(outbound.__file__).parent
THE_PLACE = ROOT / "engine" / "timing" / "zones.py"


def test_nothing_else_asks_the_machine_for_a_zone() -> None:
    """``ZoneInfo(name)`` takes the machine's zones, which may be years older."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOT.rglob("*.py")
        if path != THE_PLACE
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "ZoneInfo"
    ]
    assert found == []
