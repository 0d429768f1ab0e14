"""The documentation of rule files says what the loader does."""

import re
from pathlib import Path

from rulefile_samples import problems_of

from outbound.engine.conditions.codes import Code as ConditionCode
from outbound.engine.rulefiles import Code, load

DOCS = Path(__file__).parents[3] / "docs"
REFERENCE = (DOCS / "rules-reference.md").read_text(encoding="utf-8")


def documented_set() -> dict[str, bytes]:
    """The examples of the reference as one set, with every template they name."""
    blocks = re.findall(r"```yaml\n# (rules/\S+)\n(.*?)```", REFERENCE, re.DOTALL)
    files = {path: text.encode() for path, text in blocks}
    names = set(re.findall(r"(?:template: |-\d+d: )([a-z0-9-]+)", REFERENCE))
    bodies = ("template.yaml", "email.mjml", "sms.txt", "push.txt")
    return files | {f"templates/{name}/{body}": b"" for name in names for body in bodies}


def test_every_example_of_the_reference_loads_without_a_problem() -> None:
    files = documented_set()
    assert len([path for path in files if path.startswith("rules/")]) == 11
    assert [p.render() for p in problems_of(files)] == []


def test_the_examples_show_every_trigger() -> None:
    ruleset = load(documented_set()).ruleset
    assert ruleset is not None
    kinds = {type(rule.trigger).__name__ for rule in ruleset.rules.values()}
    assert kinds == {
        "EventTrigger",
        "ScheduleTrigger",
        "DateTrigger",
        "ScriptTrigger",
        "ChangedTrigger",
        "EntersTrigger",
    }


def test_every_problem_code_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `([a-z-]+)` \|", (DOCS / "check.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted({*map(str, Code), *map(str, ConditionCode)})


def test_every_key_of_the_language_stands_in_the_reference() -> None:
    """The keys that the readers accept, taken from their own tables."""
    from outbound.engine.rulefiles import (
        experiment,
        policy_caps,
        policy_classes,
        policy_file,
        policy_sharing,
        rule_file,
        schema_file,
        triggers,
    )

    keys = {
        *rule_file.RULE_KEYS,
        *rule_file._LATER,
        *policy_file.POLICY_KEYS,
        *policy_caps.CAP_KEYS,
        *policy_sharing.ARBITRATION_KEYS,
        *policy_sharing.HOLDOUT_KEYS,
        *policy_sharing.LOOPS_KEYS,
        *policy_file.BRAND_KEYS,
        *policy_classes.CLASS_KEYS,
        *policy_classes.TOPIC_KEYS,
        *schema_file.FIELD_KEYS,
        *experiment.EXPERIMENT_KEYS,
        *experiment.VARIANT_KEYS,
        *triggers.TRIGGERS,
        *(key for keys in triggers.TRIGGERS.values() for key in keys),
    }
    written = set(re.findall(r"`(?:[a-z_.]+\.)?(?:X\.)?([a-z_0-9]+)(?::[^`]*)?`", REFERENCE))
    assert {key for key in keys if key not in written and f"`brand.{key}`" not in REFERENCE} == set()
