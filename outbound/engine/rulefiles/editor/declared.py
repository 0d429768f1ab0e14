"""What a workspace declares: the names that a rule file may use, read as far as they can be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from outbound.domain.condition import ValueType
from outbound.domain.release import Files
from outbound.domain.rule import Field
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import Node
from outbound.engine.rulefiles.policy_file import read_policy
from outbound.engine.rulefiles.schema_file import read_schema
from outbound.engine.rulefiles.segments_file import read_segments
from outbound.engine.rulefiles.yaml_source import read_documents


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Names in the order of their files. An empty one allows every name: nothing is known, or nothing is there yet."""

    attributes: Mapping[str, Field] = field(default_factory=dict)
    events: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    calendars: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    templates: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def paths(self, *types: ValueType, required: bool = False) -> tuple[str, ...]:
        """``customer.x`` of every attribute, of these types where some are named, and always there if ``required``."""
        return tuple(
            f"customer.{name}"
            for name, one in self.attributes.items()
            if (not types or one.type in types) and (one.required or not required)
        )


def declared_in(files: Files) -> Declared:
    """What the files declare. Mistakes are for `outbound check`: an editor is open because they are being made."""
    findings = Findings()

    def read(path: str) -> list[Node]:
        return read_documents(path, files[path], findings) if path in files else []

    schema = read_schema(read("rules/schema.yaml"), findings) if "rules/schema.yaml" in files else None
    policy = read_policy(read("rules/policy.yaml"), findings) if "rules/policy.yaml" in files else None
    templates = sorted(
        path.split("/")[1] for path in files if path.startswith("templates/") and path.endswith("/template.yaml")
    )
    return Declared(
        attributes=schema.customer if schema else {},
        events=tuple(schema.events) if schema else (),
        segments=tuple(read_segments(read("rules/segments.yaml"), findings)),
        classes=tuple(policy.classes) if policy else (),
        topics=tuple(policy.topics) if policy else (),
        channels=tuple(channel.value for channel in policy.channels) if policy else (),
        calendars=tuple(policy.calendars) if policy else (),
        languages=policy.brand.languages if policy else (),
        templates=tuple(templates),
    )
