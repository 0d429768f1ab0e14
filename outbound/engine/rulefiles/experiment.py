"""The ``experiment`` of a rule: who is covered, who is held out, and what the others get."""

from typing import Final, NamedTuple

from outbound.domain.condition import Clause
from outbound.domain.experiment import BUCKETS, Experiment, Variant
from outbound.domain.source import Span
from outbound.engine.conditions import Scope
from outbound.engine.rulefiles.clauses import read_clauses, segments_in, written_conditions
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import MapNode, Node
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.shapes import integer, name, text
from outbound.engine.rulefiles.values import day, share
from outbound.engine.rulefiles.world import World

EXPERIMENT_KEYS: Final = ("id", "unit", "coverage", "holdout", "variants", "goal", "stop")
VARIANT_KEYS: Final = ("weight", "template")
EXPERIMENT_ID: Final = r"[a-z0-9][a-z0-9_.-]{0,62}"
VARIANT_NAME: Final = r"[a-z][a-z0-9_-]{0,30}"
_experiment_id = name(EXPERIMENT_ID, "winback-2026-q4")
_variant_name = name(VARIANT_NAME, "discount")
_ARMS: Final = 2
_FEW: Final = 5
MOST_WEIGHT: Final = 10_000


class ReadExperiment(NamedTuple):
    """What stands under ``experiment``, for checks elsewhere, and the experiment itself unless it has errors.

    ``templates`` are the names its variants give, each with its place; ``bare`` are the variants without one.
    """

    id: str
    span: Span
    templates: tuple[tuple[str, Span], ...]
    bare: tuple[tuple[str, Span], ...]
    experiment: Experiment | None


def read_experiment(record: Record, findings: Findings, world: World) -> ReadExperiment | None:
    """The experiment of a rule; None without one, and after a report that it is no mapping."""
    node = record.optional_node("experiment")
    written = None if node is None else open_record(node, findings, keys=EXPERIMENT_KEYS)
    if written is None:
        return None
    before = findings.errors
    found_id = written.required("id", _experiment_id)
    if found_id is not None and world.policy and world.policy.holdout and world.policy.holdout.id == found_id:
        message = f"'{found_id}' is the id of the policy's holdout too: the same people would be held out of both"
        findings.error(Code.DUPLICATE_EXPERIMENT, written.value_span("id"), message, "give it another id")
    unit = _unit(written, findings, world)
    coverage = written.optional("coverage", share(1, BUCKETS))
    holdout = written.optional("holdout", share(0, BUCKETS - 1)) or 0
    arms = _variants(written, findings)
    if arms and not holdout and len(arms) < _ARMS:
        message = "one variant and no holdout: there is nothing to compare"
        findings.error(Code.BAD_VALUE, written.key_span("variants"), message, "add a variant, or holdout: 10%")
    goal = _goal(written, findings, world)
    stop = written.optional("stop", day)
    templates = tuple((variant.template, span) for variant, span in arms.values() if variant.template)
    bare = tuple((name, span) for name, (variant, span) in arms.items() if not variant.template)
    span = written.value_span("id")
    if findings.errors > before or found_id is None or unit is None or not arms:
        return ReadExperiment(found_id or "", span, templates, bare, None)
    experiment = Experiment(
        id=found_id,
        unit=unit,
        coverage=BUCKETS if coverage is None else coverage,
        holdout=holdout,
        variants={variant.name: variant for variant, _ in arms.values()},
        goal=goal,
        stop=stop,
    )
    return ReadExperiment(found_id, span, templates, bare, experiment)


def _unit(written: Record, findings: Findings, world: World) -> str | None:
    """The attribute that is hashed: always there, or people without it would be assigned together."""
    path = written.optional("unit", text) if written.has("unit") else "customer.id"
    if path is None:
        return None
    root, _, attribute = path.partition(".")
    span = written.value_span("unit")
    fields = world.schema.customer if world.schema else None
    always = [f"customer.{known}" for known, field in (fields or {}).items() if field.required]
    if root != "customer" or not attribute:
        hint = did_you_mean(path, always) or "write unit: customer.id"
        findings.error(Code.UNKNOWN_ATTRIBUTE, span, f"'{path}' is not a customer attribute", hint)
        return None
    if fields is not None and attribute not in fields:
        message = f"'{path}' is not in rules/schema.yaml"
        findings.error(Code.UNKNOWN_ATTRIBUTE, span, message, f"known here: {', '.join(always[:_FEW])}")
    elif fields is not None and not fields[attribute].required:
        message = f"{path} may be missing: all people without it would get the same"
        findings.error(Code.UNIT_OPTIONAL, span, message, "make it required in rules/schema.yaml, or use customer.id")
    return attribute


def _variants(written: Record, findings: Findings) -> dict[str, tuple[Variant, Span]]:
    """The variants by name, each with the place of its template."""
    node = written.required_node("variants")
    if node is None:
        return {}
    if not isinstance(node, MapNode) or not node.entries:
        hint = "write {plain: {weight: 50, template: NAME}, other: {..}}"
        findings.error(Code.WRONG_SHAPE, node.span, "'variants' must be a mapping of variants", hint)
        return {}
    found: dict[str, tuple[Variant, Span]] = {}
    for key, value in node:
        arm = _variant_name(key, findings)
        variant = _variant(arm or key.text, value, findings)
        if arm is not None and variant is not None:
            found[arm] = variant
    return found


def _variant(arm: str, node: Node, findings: Findings) -> tuple[Variant, Span] | None:
    record = open_record(node, findings, keys=VARIANT_KEYS)
    if record is None:
        return None
    weight = record.required("weight", integer(1, MOST_WEIGHT))
    template = record.optional("template", text)
    return Variant(name=arm, weight=weight or 1, template=template or ""), record.value_span("template")


def _goal(written: Record, findings: Findings, world: World) -> tuple[Clause, ...]:
    node = written.optional_node("goal")
    for text_node in written_conditions(node):
        world.mentioned.update(mentioned for mentioned, _ in segments_in(text_node.text))
    return read_clauses(
        node, findings, None if world.schema is None else Scope(schema=world.schema, segments=world.segments)
    )
