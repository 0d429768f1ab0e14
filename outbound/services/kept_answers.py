"""What `outbound check` said before, kept so that it can be said again at once while nothing has changed.

The answer for a set of files is kept under the name of their content in a folder of the workspace. The folder is safe
to delete; another version of the program, or of the data of caniemail, has other names. Nothing here needs the rules
or a database: asking for what is kept must not cost loading them.
"""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from outbound import __version__
from outbound.domain.ids import content_hash
from outbound.domain.release import Files
from outbound.domain.source import Problem, Severity, Span

FOLDER: Final = ".outbound"
_KEPT: Final = 20
_PROGRAM: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The number of rules of a set without errors, and the problems of any set."""

    rules: int
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> bool:
        """Whether the set would be refused."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


def answer(files: Files, cache: Path | None, *, data: Mapping[str, object] | None, ask: Callable[[], Found]) -> Found:
    """What is kept in ``cache`` of these files under ``data`` of mail programs, else what ``ask`` says, kept."""
    if cache is None:
        return ask()
    kept = cache / "check" / f"{_name(files, data)}.json"
    known = _read(kept)
    if known is None:
        known = ask()
        _write(kept, known)
    return known


def _name(files: Files, support: Mapping[str, object] | None) -> str:
    """The content, the program and the data, in one hash."""
    code = max((path.stat().st_mtime_ns for path in _PROGRAM.rglob("*.py")), default=0)
    data = content_hash(repr(sorted(support.items())).encode()) if support else ""
    return content_hash(f"{__version__} {code} {_hash(files)} {data}".encode())


def _hash(files: Files) -> str:
    return content_hash("\n".join(f"{path} {content_hash(files[path])}" for path in sorted(files)).encode())


def _read(path: Path) -> Found | None:
    """A kept answer; None where there is none that can be understood."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        return Found(rules=int(told["rules"]), problems=tuple(_problem(one) for one in told["problems"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _problem(told: dict[str, Any]) -> Problem:
    return Problem(**{**told, "span": Span(**told["span"]), "severity": Severity(told["severity"])})


def _write(path: Path, found: Found) -> None:
    """Keep an answer beside the newest others. A folder that cannot be written keeps nothing."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parents[1] / ".gitignore").write_text("*\n", encoding="utf-8")
        told = {"rules": found.rules, "problems": [asdict(problem) for problem in found.problems]}
        part.write_text(json.dumps(told, ensure_ascii=False), encoding="utf-8")
        part.replace(path)
        kept = sorted(path.parent.glob("*.json"), key=lambda one: one.stat().st_mtime_ns, reverse=True)
        for old in kept[_KEPT:]:
            old.unlink(missing_ok=True)
    except OSError:
        with suppress(OSError):
            part.unlink()
