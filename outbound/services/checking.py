"""`outbound check` for people who wait for it: on all processors where there is much to do."""

import multiprocessing
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Final

from outbound.domain.release import Files, Ruleset
from outbound.domain.source import Problem, Severity
from outbound.engine import rulefiles
from outbound.engine.rendering import compile_templates
from outbound.engine.rendering.clients import Support
from outbound.services.kept_answers import Found

_MANY_TEMPLATES: Final = 12
"""Fewer are checked sooner than other processes have started."""


def check(files: Files, *, support: Support | None = None) -> Found:
    """What ``releases.check`` says, without what a release needs of a database."""
    loaded = rulefiles.load(files)
    read = loaded.readable
    if read is None:
        return Found(rules=0, problems=loaded.problems)
    names = sorted({path.split("/")[1] for path in files if path.startswith("templates/") and path.count("/") > 1})
    workers = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1, len(names))
    if workers < 2 or len(names) < _MANY_TEMPLATES or "fork" not in multiprocessing.get_all_start_methods():  # noqa: PLR2004
        told = compile_templates(files, policy=read.policy, schema=read.schema, rules=read.rules, support=support)[1]
    else:
        told = _in_turn(files, read, support, names, workers)
    problems = (*loaded.problems, *told)
    refused = any(problem.severity is Severity.ERROR for problem in problems)
    return Found(rules=0 if refused else len(read.rules), problems=problems)


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
