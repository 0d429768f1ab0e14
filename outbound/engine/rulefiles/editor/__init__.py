"""JSON Schemas (2020-12) of the files in ``rules/``: an editor completes and checks them while they are written.

They are made of the keys, names and words that the readers use, and of what a workspace declares. ``outbound check``
knows more: a schema sees one file, and no condition from within.
"""

from collections.abc import Mapping
from typing import Any, Final

from outbound.engine.rulefiles.editor.declared import Declared, declared_in
from outbound.engine.rulefiles.editor.policy import policy_schema
from outbound.engine.rulefiles.editor.rule import rule_schema
from outbound.engine.rulefiles.editor.schema import schema_schema
from outbound.engine.rulefiles.editor.segments import segments_schema
from outbound.engine.rulefiles.editor.tests import test_schema

__all__ = ["FILES", "Declared", "declared_in", "editor_schemas"]

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

FILES: Final[Mapping[str, tuple[str, ...]]] = {
    "policy": ("rules/policy.yaml",),
    "schema": ("rules/schema.yaml",),
    "segments": ("rules/segments.yaml",),
    "test": ("rules/tests/*.test.yaml",),
    "rule": ("rules/*.yaml", "!rules/policy.yaml", "!rules/schema.yaml", "!rules/segments.yaml"),
}
"""Which files each schema is for, as patterns; those that begin with ``!`` are not meant."""


def editor_schemas(declared: Declared) -> dict[str, dict[str, Any]]:
    """The schemas by name, for a workspace that declares these names. Without any, every name is allowed."""
    made = {
        "policy": policy_schema(declared),
        "schema": schema_schema(),
        "segments": segments_schema(declared),
        "test": test_schema(declared),
        "rule": rule_schema(declared),
    }
    return {name: {"$schema": DIALECT, "title": f"Outbound: {name}", **made[name]} for name in FILES}
