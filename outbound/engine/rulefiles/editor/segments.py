"""The schema of rules/segments.yaml."""

from outbound.engine.rulefiles.editor.declared import Declared
from outbound.engine.rulefiles.editor.pieces import Json, conditions, name, record
from outbound.engine.rulefiles.segments_file import SEGMENT_KEYS, SEGMENT_NAME


def segments_schema(declared: Declared) -> Json:
    """One named condition."""
    paths = ", ".join(declared.paths()[:20])
    about = f"What its members have in common. Attributes: {paths}." if paths else "What its members have in common."
    return record(
        SEGMENT_KEYS,
        {
            "segment": name(SEGMENT_NAME, "Its name, as segment.NAME in conditions.", "active_buyers"),
            "if": conditions(about),
        },
        "A named condition.",
        required=SEGMENT_KEYS,
    )
