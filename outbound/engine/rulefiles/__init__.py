"""From files to a checked set of rules, with every problem of every file reported in one go.

The way of a file: ``yaml_source`` (dialect and positions) → ``nodes`` → ``record`` and ``shapes`` (keys and values)
→ schema, policy, segments, rules → what the files say about each other.
"""

from collections import defaultdict
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

from outbound.domain.release import Files, Ruleset
from outbound.domain.rule import Rule
from outbound.domain.source import Problem, Severity, Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.loops import refuse_loops
from outbound.engine.rulefiles.nodes import Node
from outbound.engine.rulefiles.overlaps import warn_overlaps
from outbound.engine.rulefiles.policy_file import read_policy
from outbound.engine.rulefiles.rule_file import read_rule
from outbound.engine.rulefiles.schema_file import read_schema
from outbound.engine.rulefiles.segments_file import compile_segments, read_segments, unused_segments
from outbound.engine.rulefiles.world import World
from outbound.engine.rulefiles.yaml_source import MAX_FILE_BYTES, read_documents

__all__ = ["Code", "Loaded", "load"]

_SCHEMA: Final = "rules/schema.yaml"
_POLICY: Final = "rules/policy.yaml"
_SEGMENTS: Final = "rules/segments.yaml"
_TESTS: Final = "rules/tests/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The checked set, or None when any problem is an error; the problems in the order of files and lines.

    ``readable`` is what stands although some rule is in error: schema and policy without a fault and the rules
    that could be read. Templates can be checked against it, so that one typo does not hide the problems there.
    """

    ruleset: Ruleset | None
    problems: tuple[Problem, ...]
    readable: Ruleset | None = None


def load(files: Files) -> Loaded:
    """Read ``rules/**`` (without ``rules/tests/``); of ``templates/**`` only the names of the files are looked at."""
    findings = Findings()
    documents = {path: read_documents(path, files[path], findings) for path in _rule_paths(files, findings)}
    schema, policy = None, None
    if _present(_SCHEMA, files, findings) and documents[_SCHEMA]:
        schema = read_schema(documents[_SCHEMA], findings)
    if _present(_POLICY, files, findings):
        policy = read_policy(documents[_POLICY], findings)
    sound = not any(p.severity is Severity.ERROR and p.span.file in (_SCHEMA, _POLICY) for p in findings.problems)
    written = read_segments(documents.get(_SEGMENTS, []), findings)
    segments = compile_segments(written, schema, findings)
    world = World(schema=schema, policy=policy, segments=segments, templates=_templates(files))
    rules = _rules({p: d for p, d in documents.items() if p not in (_SCHEMA, _POLICY, _SEGMENTS)}, findings, world)
    if not findings.unreadable:
        unused_segments(written, world.mentioned, findings)
    problems = _finished(findings.problems, files)
    if schema is None or policy is None or not sound:
        return Loaded(ruleset=None, problems=problems)
    read = Ruleset(schema=schema, policy=policy, segments=segments, rules=rules)
    return Loaded(ruleset=None if findings.errors else read, problems=problems, readable=read)


def _rule_paths(files: Files, findings: Findings) -> list[str]:
    """The files to read, in order; a name that would be passed over in silence is reported."""
    paths = sorted(path for path in files if path.startswith("rules/") and not path.startswith(_TESTS))
    for path in paths:
        if path.endswith((".yml", ".YAML", ".YML")):
            hint = f"rename it to {path.rpartition('.')[0]}.yaml"
            findings.error(Code.FILE_NAME, Span(path, 1, 1), "rule files end in .yaml", hint)
    return [path for path in paths if path.endswith(".yaml")]


def _present(path: str, files: Files, findings: Findings) -> bool:
    if path not in files:
        near = get_close_matches(path, [p for p in files if p.startswith("rules/")], n=1, cutoff=0.8)
        findings.error(
            Code.MISSING_FILE, Span(path, 1, 1), f"{path} is missing", f"is {near[0]} meant?" if near else ""
        )
    return path in files


def _templates(files: Files) -> dict[str, AbstractSet[str]]:
    """The files of every template folder that has a template.yaml, without languages' sub-folders."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in files:
        parts = path.split("/")
        if len(parts) == 3 and parts[0] == "templates":  # noqa: PLR2004 -- templates/NAME/FILE
            found[parts[1]].add(parts[2])
    return {name: names for name, names in found.items() if "template.yaml" in names}


def _rules(documents: dict[str, list[Node]], findings: Findings, world: World) -> dict[str, Rule]:
    """All rules by id; a second one with the same id is refused, wherever it stands."""
    rules: dict[str, Rule] = {}
    places: dict[str, Span] = {}
    experiments: dict[str, Span] = {}
    triggers: dict[str, Span] = {}
    for of_file in documents.values():
        for document in of_file:
            read = read_rule(document, findings, world)
            if read is None:
                continue
            if read.id in places:
                message = f"rule '{read.id}' stands twice, first in {places[read.id]}"
                findings.error(Code.DUPLICATE_RULE, read.span, message, "give it another id")
                continue
            places[read.id] = read.span
            arms = read.experiment
            if arms is not None and arms.id in experiments:
                message = f"experiment '{arms.id}' stands twice, first in {experiments[arms.id]}"
                hint = "give it another id: it decides who gets what"
                findings.error(Code.DUPLICATE_EXPERIMENT, arms.span, message, hint)
            elif arms is not None and arms.id:
                experiments[arms.id] = arms.span
            if read.rule is not None:
                rules[read.id] = read.rule
                triggers[read.id] = read.trigger
    refuse_loops(rules, triggers, world.segments, findings)
    if world.policy is not None and world.schema is not None:
        warn_overlaps(
            rules,
            triggers,
            policy=world.policy,
            schema=world.schema,
            segments=world.segments,
            findings=findings,
        )
    return rules


def _finished(problems: list[Problem], files: Files) -> tuple[Problem, ...]:
    """In reading order, once each, with the line of the file."""
    lines: dict[str, list[str]] = {}
    finished = []
    for problem in sorted(dict.fromkeys(problems), key=lambda p: (p.span, p.severity is Severity.WARNING)):
        path = problem.span.file
        if path not in lines:
            content = files.get(path, b"")[:MAX_FILE_BYTES]
            lines[path] = content.decode("utf-8-sig", "replace").replace("\r\n", "\n").split("\n")
        number = problem.span.line
        line = lines[path][number - 1] if number <= len(lines[path]) else ""
        finished.append(replace(problem, source_line=line))
    return tuple(finished)
