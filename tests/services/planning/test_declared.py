"""The schema and topics of the running release are read alone, and are those that the whole release has."""

import pytest
from planning_kit import NEWSLETTER, publish, rule_files, utc

from outbound.domain.errors import OutboundError
from outbound.services import declared, releases
from outbound.storage import tables
from outbound.storage.database import Database

NOW = utc("2026-01-02 00:00")


def test_it_is_what_the_compiled_release_says(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read without compiling: the check of a whole set is not called."""
    assert declared.newest(database) is None
    with pytest.raises(OutboundError, match="no release is active"):
        declared.running(database)
    active = publish(database, rule_files(NEWSLETTER), NOW)
    monkeypatch.setattr(releases, "check", lambda _: pytest.fail("compiled"))
    found = declared.running(database)
    assert found.schema == active.ruleset.schema
    assert found.topics == frozenset(active.ruleset.policy.topics)


def test_a_release_that_cannot_be_read_says_so(database: Database) -> None:
    publish(database, rule_files(NEWSLETTER), NOW)
    content = releases.store.pack({"rules/schema.yaml": b"customer: [", "rules/policy.yaml": b"policy: 1"})
    with database.write() as connection:
        connection.execute(tables.release.update().values(content=content))
    with pytest.raises(OutboundError, match="cannot be read by this version"):
        declared.running(database)
