"""Fault F50: a bad file deployed live. The whole new set is refused, the last good one runs, and health turns red."""

import re

import pytest
from planning_kit import NEWSLETTER, publish, rows, rule_files, utc

from outbound.domain.source import Severity
from outbound.services import refusals, releases
from outbound.services.refusals import Refusal
from outbound.services.status import status
from outbound.storage import tables
from outbound.storage.database import Database

NOW = utc("2026-01-02 00:00")
LATER = utc("2026-01-03 00:00")
GOOD = rule_files(NEWSLETTER)


def standing(database: Database) -> Refusal | None:
    with database.read() as connection:
        return refusals.standing(connection)


def first_keys() -> list[tuple[str, int]]:
    """The first keys of every YAML file of the set: their places."""
    found = []
    for path, content in sorted(GOOD.items()):
        if path.endswith(".yaml"):
            keys = re.finditer(r"^([a-z_]+):", content.decode(), re.MULTILINE)
            found += [(path, match.start(1)) for match in list(keys)[:4]]
    return found


@pytest.mark.parametrize(("path", "place"), first_keys())
def test_one_wrong_key_in_any_file_refuses_the_whole_set_and_the_last_good_one_runs(
    database: Database, path: str, place: int
) -> None:
    good = publish(database, GOOD, NOW)
    text = GOOD[path].decode()
    broken = {**GOOD, path: (text[:place] + "x" + text[place:]).encode()}
    problems = releases.publish(database, broken, by="mia", now=LATER)
    assert isinstance(problems, tuple)
    line = text.count("\n", 0, place) + 1
    errors = [p for p in problems if p.severity is Severity.ERROR]
    assert (path, line) in {(p.span.file, p.span.line) for p in errors}
    assert releases.active(database) is good
    assert len(rows(database, tables.release)) == len(rows(database, tables.active_release)) == 1
    refused = standing(database)
    assert refused == Refusal(at=LATER, by="mia", errors=len(errors), first=f"{errors[0].span}: {errors[0].message}")


def test_a_refusal_stands_until_a_good_set_follows_also_when_that_is_the_one_that_runs(database: Database) -> None:
    assert standing(database) is None
    publish(database, GOOD, NOW)
    assert status(database, now=NOW).refused is None
    for attempt, by in ((LATER, "mia"), (utc("2026-01-04 00:00"), "leo")):
        releases.publish(database, rule_files(NEWSLETTER.replace("SU", "XX")), by=by, now=attempt)
        refused = status(database, now=attempt).refused
        assert refused is not None
        assert (refused.at, refused.by, refused.errors) == (attempt, by, 1)
        assert refused.first.startswith("rules/rules.yaml:")
    published = releases.publish(database, GOOD, by="mia", now=utc("2026-01-05 00:00"))
    assert isinstance(published, releases.Published)
    assert not published.changed
    assert standing(database) is None


def test_a_warning_refuses_nothing_and_a_check_records_nothing(database: Database) -> None:
    releases.check(rule_files(NEWSLETTER.replace("SU", "XX")))
    assert standing(database) is None


def test_a_very_long_sentence_is_cut(database: Database) -> None:
    name = "x" * 5000
    releases.publish(database, rule_files(NEWSLETTER.replace("rule: news", f"rule: {name}")), by="mia", now=NOW)
    refused = standing(database)
    assert refused is not None
    assert len(refused.first) <= 300
