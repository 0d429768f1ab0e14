"""Refuse to publish what would move people of a running experiment to another group (rules.md 1.9, Experiments)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy.engine import Connection

from outbound.domain.experiment import BUCKETS, GlobalHoldout
from outbound.domain.release import Files, Ruleset
from outbound.domain.rule import Rule
from outbound.domain.source import Problem, Span
from outbound.storage import experiments, memberships, runs
from outbound.storage.experiments import Frozen, Kind

CODE = "experiment.frozen"
_POLICY_FILE = "rules/policy.yaml"
_EXPERIMENT = re.compile(r"\s*(experiment)\s*:")
_HOLDOUT = re.compile(r"\s*(holdout)\s*:")
_NEXT = "give the experiment a new id"


def frozen_problems(
    connection: Connection, ruleset: Ruleset, files: Files, *, to_publish: bool = True
) -> tuple[Problem, ...]:
    """The experiments and the holdout of ``ruleset`` that are not what they were at their first exposure.

    Drafts are left out: they expose nobody. ``to_publish``: until the transaction ends nobody is exposed for the first
    time; whoever only looks keeps nobody waiting.
    """
    rules = {rule.experiment.id: rule for rule in ruleset.rules.values() if rule.experiment and not rule.draft}
    holdout = ruleset.policy.holdout
    ids = [*rules, *([holdout.id] if holdout else [])]
    if not ids:
        return ()
    if to_publish:  # in this order: planning what people enter holds the first when it comes to expose them
        runs.lock(connection, memberships.LOCK)
        experiments.lock(connection)
    problems: list[Problem] = []
    for frozen in experiments.load(connection, ids).values():
        if holdout is not None and frozen.id == holdout.id:
            said = _holdout_changes(holdout, frozen)
            span = _holdout_span(files)
            hint = f"write share: {percent(frozen.definition.get('share', 0))} or more, or give the holdout a new id"
            problems += [_problem(files, span, message, hint) for message in said]
        if frozen.id in rules:
            rule = rules[frozen.id]
            span = _experiment_span(files, rule)
            problems += [_problem(files, span, *said) for said in _changes(rule, frozen)]
    return tuple(problems)


def percent(share: int) -> str:
    """A share of BUCKETS as rule files write it: ``20%``, ``0.5%``."""
    return f"{share * 100 / BUCKETS:g}%"


def split(variants: object) -> str:
    """Frozen variants in words: ``plain 50, discount 50``."""
    pairs = variants if isinstance(variants, list) else []
    return ", ".join(f"{name} {weight}" for name, weight in pairs)


def _changes(rule: Rule, frozen: Frozen) -> Iterator[tuple[str, str]]:
    """What changed and what to do, for each of the things that must not."""
    experiment = rule.experiment
    if experiment is None:
        return
    since = f"{frozen.id} has exposed people since {frozen.exposed_at:%Y-%m-%d}"
    if frozen.kind is not Kind.RULE:
        yield f"{frozen.id} was the id of the policy's holdout", _NEXT
        return
    if frozen.rule != rule.id:
        yield f"{since}, by rule {frozen.rule}", _NEXT
        return
    asked, then = experiments.definition_of(experiment), frozen.definition
    for name, words in (("unit", _unit), ("holdout", _holdout), ("variants", _split)):
        if asked[name] != then.get(name):
            message = f"{since}: its {name} cannot change from {words(then)} to {words(asked)}"
            yield message, f"{_NEXT}, or write {name}: {words(then)} again"
    if experiment.coverage < then.get("coverage", 0):
        reached = percent(then.get("coverage", 0))
        message = f"{since}: its coverage may only grow, and reached {reached}"
        yield message, f"{_NEXT}, or write coverage: {reached} or more; stop: DATE ends it"


def _holdout_changes(holdout: GlobalHoldout, frozen: Frozen) -> Iterator[str]:
    if frozen.kind is not Kind.GLOBAL:
        yield f"{frozen.id} was the id of the experiment of rule {frozen.rule}"
    elif holdout.share < frozen.definition.get("share", 0):
        was = percent(frozen.definition.get("share", 0))
        yield (
            f"{frozen.id} has held people out since {frozen.exposed_at:%Y-%m-%d}: its share may only grow, "
            f"and reached {was}"
        )


def _unit(definition: Mapping[str, Any]) -> str:
    return f"customer.{definition.get('unit', '')}"


def _holdout(definition: Mapping[str, Any]) -> str:
    return percent(definition.get("holdout", 0))


def _split(definition: Mapping[str, Any]) -> str:
    return f"{{{split(definition.get('variants'))}}}"


def _problem(files: Files, span: Span, message: str, hint: str) -> Problem:
    lines = _lines(files, span.file)
    source = lines[span.line - 1] if span.line <= len(lines) else ""
    return Problem(span=span, message=message, code=CODE, suggestion=hint, source_line=source)


def _experiment_span(files: Files, rule: Rule) -> Span:
    """The key ``experiment`` of the rule's document; the rule itself where it is written in another way."""
    lines = _lines(files, rule.span.file)
    here = rule.span.line - 1
    start = next((n + 1 for n in range(here, -1, -1) if lines[n].startswith("---")), 0)
    end = next((n for n in range(here + 1, len(lines)) if lines[n].startswith("---")), len(lines))
    return _key_span(rule.span.file, lines, range(start, end), _EXPERIMENT) or rule.span


def _holdout_span(files: Files) -> Span:
    lines = _lines(files, _POLICY_FILE)
    return _key_span(_POLICY_FILE, lines, range(len(lines)), _HOLDOUT) or Span(_POLICY_FILE, 1, 1)


def _key_span(file: str, lines: list[str], where: range, key: re.Pattern[str]) -> Span | None:
    for number in where:
        found = key.match(lines[number])
        if found:
            return Span(file, number + 1, found.start(1) + 1, len(found[1]))
    return None


def _lines(files: Files, file: str) -> list[str]:
    return files.get(file, b"").decode(errors="replace").splitlines()
