"""A mapping against the schema and the file: unknown names are refused, absent columns leave things untouched."""

from collections.abc import Collection, Mapping
from dataclasses import replace

from outbound.domain.condition import ValueType
from outbound.domain.rule import Schema
from outbound.domain.source import Problem
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.services.imports.mapping import RESERVED, CustomerMapping, EventMapping, Source
from outbound.services.imports.report import Remarks


def check_mapping(
    mapping: CustomerMapping | EventMapping, schema: Schema, topics: Collection[str] | None
) -> tuple[Problem, ...]:
    """Names the mapping uses that the schema or (where given) the policy does not know."""
    findings = Findings()
    if isinstance(mapping, CustomerMapping):
        _check_customers(mapping, schema, topics, findings)
    else:
        _check_events(mapping, schema, findings)
    return tuple(findings.problems)


def narrow(mapping: CustomerMapping, columns: tuple[str, ...] | None, remarks: Remarks) -> CustomerMapping:
    """The mapping without the fields whose column this file does not have; each is named in a warning.

    The key, and the columns of a consent, must be there: half a proof is none.
    """
    if columns is None:
        return mapping

    def kept(sources: Mapping[str, Source]) -> dict[str, Source]:
        found = {}
        for name, source in sources.items():
            if source.column is None or source.column in columns:
                found[name] = source
            else:
                hint = did_you_mean(source.column, columns)
                remarks.warn(0, source.column, "", f"the file has no such column: {name} stays as it is ({hint})")
        return found

    return replace(mapping, fields=kept(mapping.fields), preferences=kept(mapping.preferences))


def _check_customers(
    mapping: CustomerMapping, schema: Schema, topics: Collection[str] | None, findings: Findings
) -> None:
    known = {*schema.customer, *RESERVED} - {"id"}
    for name, source in mapping.fields.items():
        if name not in known:
            hint = did_you_mean(name, known)
            findings.error(Code.UNKNOWN_ATTRIBUTE, source.span, f"'{name}' is not in rules/schema.yaml", hint)
        if source.country and name != "phone":
            findings.error(Code.MISPLACED_KEY, source.span, "country: belongs to the field phone")
    if topics is None:
        return
    for consent in mapping.consents:
        if consent.topic not in topics:
            hint = did_you_mean(consent.topic, topics)
            findings.error(Code.UNKNOWN_TOPIC, consent.span, f"'{consent.topic}' is not a topic of the policy", hint)


def _check_events(mapping: EventMapping, schema: Schema, findings: Findings) -> None:
    declared = schema.events.get(mapping.event)
    if declared is None:
        hint = did_you_mean(mapping.event, schema.events)
        findings.error(Code.UNKNOWN_EVENT, mapping.span, f"'{mapping.event}' is not in rules/schema.yaml", hint)
        return
    for name, source in mapping.data.items():
        if name not in declared:
            hint = did_you_mean(name, declared)
            findings.error(Code.UNKNOWN_ATTRIBUTE, source.span, f"'{mapping.event}' has no field '{name}'", hint)
        elif source.clear:
            findings.error(Code.MISPLACED_KEY, source.span, "an event has nothing to clear", "remove empty: clear")
    for name, entry in declared.items():
        if entry.required and name not in mapping.data:
            message = f"'{mapping.event}' requires '{name}' ({ValueType(entry.type)})"
            findings.error(Code.MISSING_KEY, mapping.span, message, f"write {name}: COLUMN under data:")
