"""What the running release declares, without compiling its rules and templates.

An event or an import asks only which attributes, events and topics there are: two files of the release, read in a
hundredth of the time that ``services.releases`` takes for all of it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from outbound.domain.errors import OutboundError
from outbound.domain.rule import Schema
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.policy_file import read_policy
from outbound.engine.rulefiles.schema_file import read_schema
from outbound.engine.rulefiles.yaml_source import read_documents
from outbound.storage import releases as store
from outbound.storage.database import Database

_SCHEMA: Final = "rules/schema.yaml"
_POLICY: Final = "rules/policy.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """The schema of a release and the names of its topics."""

    schema: Schema
    topics: Collection[str]


def newest(database: Database) -> Declared | None:
    """What the running release declares; None before the first. Raises OutboundError ``release.unreadable``."""
    with database.read() as connection:
        active = store.newest(connection)
        content = store.content(connection, active[1]) if active else None
    if active is None or content is None:
        return None
    files = store.unpack_some(content, (_SCHEMA, _POLICY))
    findings = Findings()
    schema = read_schema(read_documents(_SCHEMA, files.get(_SCHEMA, b""), findings), findings)
    policy = read_policy(read_documents(_POLICY, files.get(_POLICY, b""), findings), findings)
    if findings.errors or policy is None:
        remedy = "publish the rules again with this version (`outbound apply`)"
        raise OutboundError("release.unreadable", f"release {active[1][:12]} cannot be read by this version", remedy)
    return Declared(schema=schema, topics=frozenset(policy.topics))


def running(database: Database) -> Declared:
    """What the running release declares. Raises OutboundError ``release.none`` before the first `outbound apply`."""
    found = newest(database)
    if found is None:
        raise OutboundError("release.none", "no release is active", "run `outbound apply`")
    return found


class Reader:
    """Reads what the running release declares again and again, and unpacks it only when it is another one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: tuple[int, str] | None = None
        self._declared: Declared | None = None

    def read(self) -> Declared | None:
        """What is declared now; None before the first release. Raises OutboundError ``release.unreadable``."""
        with self._database.read() as connection:
            active = store.newest(connection)
        if active != self._last:
            self._declared, self._last = newest(self._database), active
        return self._declared
