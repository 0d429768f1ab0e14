"""`outbound check` for people who wait for it: on all processors, and at once where nothing has changed.

The answer for a set of files is kept under the name of their content in a folder of the workspace. The folder is safe
to delete; another version of the program, or of the data of caniemail, has other names.
"""

import json
import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from outbound import __version__
from outbound.domain.ids import content_hash
from outbound.domain.release import Files, Ruleset
from outbound.domain.source import Problem, Severity, Span
from outbound.engine import rulefiles
from outbound.engine.rendering import compile_templates
from outbound.engine.rendering.clients import Support
from outbound.services import releases

FOLDER: Final = ".outbound"
_KEPT: Final = 20
_MANY_TEMPLATES: Final = 12
"""Fewer are checked sooner than other processes have started."""
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


def check(files: Files, *, support: Support | None = None, cache: Path | None = None) -> Found:
    """What ``releases.check`` says, from the ``cache`` folder where it was said before."""
    if cache is None:
        return _check(files, support)
    kept = cache / "check" / f"{_name(files, support)}.json"
    known = _read(kept)
    if known is None:
        known = _check(files, support)
        _write(kept, known)
    return known


def _check(files: Files, support: Support | None) -> Found:
    names = sorted({path.split("/")[1] for path in files if path.startswith("templates/") and path.count("/") > 1})
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, len(names))
    if workers < 2 or len(names) < _MANY_TEMPLATES or "fork" not in multiprocessing.get_all_start_methods():  # noqa: PLR2004
        checked = releases.check(files, support=support)
        return Found(rules=len(checked.ruleset.rules) if checked.ruleset else 0, problems=checked.problems)
    loaded = rulefiles.load(files)
    if loaded.readable is None:
        return Found(rules=0, problems=loaded.problems)
    told = _in_turn(files, loaded.readable, support, names, workers)
    problems = (*loaded.problems, *told)
    refused = any(problem.severity is Severity.ERROR for problem in problems)
    return Found(rules=0 if refused else len(loaded.readable.rules), problems=problems)


_shared: tuple[Files, Ruleset, Support | None] | None = None
"""What the children of a check inherit: files and rules need not be sent to them."""


def _in_turn(
    files: Files, read: Ruleset, support: Support | None, names: Sequence[str], workers: int
) -> tuple[Problem, ...]:
    """The problems of all templates, each checked in one of ``workers`` processes with its brand."""
    global _shared  # noqa: PLW0603 - inherited by fork
    _shared = (files, read, support)
    try:
        with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("fork")) as pool:
            found: list[Problem] = []
            for problems in pool.map(_check_some, [names[n::workers] for n in range(workers)]):
                found += problems
    finally:
        _shared = None
    return tuple(sorted(dict.fromkeys(found), key=lambda problem: (problem.span, problem.severity)))


def _check_some(names: Iterable[str]) -> tuple[Problem, ...]:
    if _shared is None:
        return ()
    files, read, support = _shared
    wanted = tuple(f"templates/{name}/" for name in {"brand", *names})
    some = {path: content for path, content in files.items() if path.startswith(wanted)}
    return compile_templates(some, policy=read.policy, schema=read.schema, rules=read.rules, support=support)[1]


def _name(files: Files, support: Support | None) -> str:
    """The content, the program and the data, in one hash."""
    code = max((path.stat().st_mtime_ns for path in _PROGRAM.rglob("*.py")), default=0)
    data = content_hash(repr(sorted(support.items())).encode()) if support else ""
    return content_hash(f"{__version__} {code} {releases.name_of(files)} {data}".encode())


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
