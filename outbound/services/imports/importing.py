"""One call from a file and a mapping file to a report: what ``outbound import`` and the scripts use."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.rule import Schema
from outbound.domain.source import Problem, Severity
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.policy_file import read_policy
from outbound.engine.rulefiles.schema_file import read_schema
from outbound.engine.rulefiles.yaml_source import read_documents
from outbound.services import declared
from outbound.services.imports.customers import DEFAULTS, Options, import_customers
from outbound.services.imports.events import import_events
from outbound.services.imports.mapping import CustomerMapping
from outbound.services.imports.mapping_check import check_mapping
from outbound.services.imports.mapping_reader import read_mapping, with_source_lines
from outbound.services.imports.report import ImportReport
from outbound.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The attributes, events and topics a mapping may name. ``topics`` None: not known yet."""

    schema: Schema
    topics: Collection[str] | None


def vocabulary(database: Database, rules_dir: Path) -> Vocabulary:
    """What the active release declares; before the first release, what ``rules_dir`` does.

    Raises OutboundError ``import.schema`` where neither says anything readable.
    """
    running = declared.newest(database)
    if running is not None:
        return Vocabulary(schema=running.schema, topics=running.topics)
    findings = Findings()
    schema = policy = None
    path = rules_dir / "schema.yaml"
    if path.is_file():
        schema = read_schema(read_documents("rules/schema.yaml", path.read_bytes(), findings), findings)
    if schema is None or findings.errors:
        remedy = "declare the attributes there and run `outbound check`"
        raise OutboundError("import.schema", "no release is active and rules/schema.yaml cannot be read", remedy)
    path = rules_dir / "policy.yaml"
    if path.is_file():
        policy = read_policy(read_documents("rules/policy.yaml", path.read_bytes(), findings), findings)
    return Vocabulary(schema=schema, topics=frozenset(policy.topics) if policy else None)


def import_file(
    database: Database,
    keyring: Keyring,
    *,
    kind: str,
    file: Path,
    mapping: Path,
    words: Vocabulary,
    now: datetime,
    fire: bool = False,
    shift_newest_to: str | None = None,
    options: Options = DEFAULTS,
) -> ImportReport | tuple[Problem, ...]:
    """Import ``file`` (``kind`` is customers or events), or answer the problems of the mapping file.

    Raises OutboundError ``import.*`` when a file cannot be read, or when the mapping is for the other kind.
    """
    try:
        content = mapping.read_bytes()
    except OSError as error:
        raise OutboundError("import.mapping", f"{mapping.name} cannot be read: {error.strerror}", "") from None
    read, problems = read_mapping(mapping.name, content)
    if read is None:
        return problems
    problems = with_source_lines(check_mapping(read, words.schema, words.topics), content)
    if any(problem.severity is Severity.ERROR for problem in problems):
        return problems
    found = "customers" if isinstance(read, CustomerMapping) else "events"
    if found != kind:
        remedy = f"run `outbound import {found}`"
        raise OutboundError("import.mapping", f"{mapping.name} is a mapping for {found}", remedy)
    if isinstance(read, CustomerMapping):
        return import_customers(
            database, keyring, file=file, mapping=read, schema=words.schema, now=now, options=options
        )
    if shift_newest_to:
        read = replace(read, shift_newest_to=shift_newest_to)
    return import_events(database, file=file, mapping=read, schema=words.schema, now=now, fire=fire, options=options)
