"""Every code of an OutboundError in the source, read without running it."""

import ast
from functools import cache

from doc_pages import ROOT

SOURCE = ROOT / "outbound"
BASE = "OutboundError"


def error_classes() -> set[str]:
    """OutboundError and every class that derives from it, also at several removes."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for _, tree in _modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = {BASE}
    while more := {name for name, parents in bases.items() if parents & found} - found:
        found |= more
    return found


def raised() -> dict[str, list[str]]:
    """The places (``file:line``) of each code. A code that is no literal counts as ``""``."""
    classes = error_classes()
    found: dict[str, list[str]] = {}
    for name, tree in _modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                first = node.args[0] if node.args else None
                code = first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else ""
                found.setdefault(code, []).append(f"{name}:{node.lineno}")
    return found


@cache
def _modules() -> list[tuple[str, ast.Module]]:
    paths = sorted(SOURCE.rglob("*.py"))
    return [(str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))) for path in paths]
