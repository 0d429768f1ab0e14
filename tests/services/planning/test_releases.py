"""A release is named by its content, a bad one is refused, and the last good one goes on."""

from pathlib import Path

import pytest
from planning_kit import NEWSLETTER, SCHEMA, add_customer, publish, rows, rule_files, utc

from outbound.domain.errors import OutboundError
from outbound.services import releases, working_copy
from outbound.services.releases import Published
from outbound.storage import attribute_indexes, tables
from outbound.storage.database import Database
from outbound.storage.releases import activate, pack, store, unpack

NOW = utc("2026-01-02 00:00")
LATER = utc("2026-01-03 00:00")


ROOT = Path(__file__).resolve().parents[3]


def test_the_same_files_are_the_same_bytes_and_come_back_as_they_were() -> None:
    files = {"b/x": b"2", "a/y": bytes(range(256)), "ü.txt": b""}
    assert pack(files) == pack(dict(sorted(files.items())))
    assert unpack(pack(files)) == files


def test_publishing_the_same_content_again_changes_nothing(database: Database) -> None:
    first = releases.publish(database, rule_files(NEWSLETTER), by="mia", now=NOW)
    again = releases.publish(database, rule_files(NEWSLETTER), by="leo", now=LATER)
    assert isinstance(first, Published)
    assert isinstance(again, Published)
    assert (first.changed, again.changed) == (True, False)
    assert first.id == again.id
    [activation] = rows(database, tables.active_release)
    assert (activation.activated_by, activation.activated_at) == ("mia", NOW)


def test_a_bad_set_is_refused_with_its_problems_and_the_last_good_one_runs(database: Database) -> None:
    good = publish(database, rule_files(NEWSLETTER), NOW)
    problems = releases.publish(database, rule_files(NEWSLETTER.replace("SU", "XX")), by="mia", now=LATER)
    assert isinstance(problems, tuple)
    assert problems[0].span.file == "rules/rules.yaml"
    assert releases.active(database) is good
    broken = {**rule_files(NEWSLETTER), "templates/plain/sms.txt": b"{{ customer.nope }}"}
    problems = releases.publish(database, broken, by="mia", now=LATER)
    assert isinstance(problems, tuple)
    assert {p.span.file for p in problems} == {"templates/plain/sms.txt"}
    assert releases.active(database) is good
    assert len(rows(database, tables.release)) == 1


def test_going_back_activates_the_stored_release_again(database: Database) -> None:
    first = publish(database, rule_files(NEWSLETTER), NOW)
    publish(database, rule_files(NEWSLETTER, NEWSLETTER.replace("rule: news", "rule: more")), LATER)
    back = publish(database, rule_files(NEWSLETTER), utc("2026-01-04 00:00"))
    assert back.id == first.id
    assert len(rows(database, tables.release)) == 2
    assert len(rows(database, tables.active_release)) == 3


def test_since_is_the_start_of_the_latest_unbroken_line(database: Database) -> None:
    """A rule that was there all the time keeps its date, one that was away starts anew, a draft has none."""
    other = NEWSLETTER.replace("rule: news", "rule: other")
    draft = NEWSLETTER.replace("rule: news", "rule: draft") + "draft: true\n"
    publish(database, rule_files(NEWSLETTER, other, draft), NOW)
    publish(database, rule_files(NEWSLETTER, draft), LATER)
    active = publish(database, rule_files(NEWSLETTER, other), utc("2026-01-05 00:00"))
    assert active.since == {"news": NOW, "other": utc("2026-01-05 00:00")}


def test_a_release_is_found_by_id_after_another_took_over(database: Database) -> None:
    first = publish(database, rule_files(NEWSLETTER), NOW)
    publish(database, rule_files(NEWSLETTER.replace("10:00", "11:00")), LATER)
    assert releases.by_id(database, first.id).ruleset.rules["news"].version == first.ruleset.rules["news"].version
    with pytest.raises(OutboundError, match="there is no release"):
        releases.by_id(database, "f" * 64)


@pytest.mark.parametrize(
    ("before", "after", "value", "refused"),
    [
        ("points:       {type: number}", "points:       {type: string}", 12, True),
        ("points:       {type: number}", "points:       {type: bool}", 12, True),
        ("plan:         {type: enum, values: [free, pro]}", "plan:         {type: enum, values: [free]}", "pro", True),
        ("plan:         {type: enum, values: [free, pro]}", "plan:         {type: string}", "pro", False),
        ("renewal_date: {type: date}", "renewal_date: {type: string}", "2026-01-01", False),
    ],
)
def test_a_retyped_attribute_is_refused_while_stored_values_do_not_fit(
    database: Database, before: str, after: str, value: object, *, refused: bool
) -> None:
    publish(database, rule_files(NEWSLETTER), NOW)
    add_customer(database, "ada", attributes={before.partition(":")[0]: value})
    changed = rule_files(NEWSLETTER, schema=SCHEMA.replace(before, after))
    answer = releases.publish(database, changed, by="mia", now=LATER)
    assert isinstance(answer, tuple) is refused
    if isinstance(answer, tuple):
        [problem] = answer
        assert problem.code == "schema.retyped"
        assert "customer ada" in problem.message
        assert SCHEMA.splitlines()[problem.span.line - 1].strip().startswith(before.partition(":")[0])


def test_reading_files_leaves_out_hidden_ones_and_rule_tests(tmp_path: Path) -> None:
    for name in ("rules/a.yaml", "rules/tests/a.test.yaml", "rules/.hidden", "rules/x/b.yaml", "rules/a.yaml~"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    for name in ("templates/news/email.mjml", "templates/.git/config", "templates/tests/sms.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"y")
    assert set(working_copy.read_files(tmp_path / "rules", tmp_path / "templates")) == {
        "rules/a.yaml",
        "rules/x/b.yaml",
        "templates/news/email.mjml",
        "templates/tests/sms.txt",
    }
    with pytest.raises(OutboundError, match="no folder"):
        working_copy.read_files(tmp_path / "nowhere", tmp_path / "templates")


def test_a_mistake_in_a_rule_does_not_hide_those_in_templates() -> None:
    """``check`` reports all problems of all files in one go."""
    files = dict(working_copy.read_files(ROOT / "rules", ROOT / "templates"))
    files["rules/birthday.yaml"] = files["rules/birthday.yaml"].replace(b"once:", b"onec:")
    body = "templates/new-oil/email.it.mjml"
    files[body] = files[body].replace(b"customer.first_name", b"customer.nope", 1)
    found = {problem.span.file for problem in releases.check(files).errors}
    assert found == {"rules/birthday.yaml", body}


def test_a_release_that_this_version_cannot_read_does_not_stand_in_the_way(database: Database) -> None:
    """After an upgrade the running release may not pass the check any more: publishing is the way out."""
    good = dict(working_copy.read_files(ROOT / "rules", ROOT / "templates"))
    broken = good | {"rules/birthday.yaml": b"rule: birthday\nonce_was: fine\n"}
    with database.write() as connection:
        old = store(connection, pack(broken), versions={}, by="older version", now=utc("2026-11-01T00:00"))
        activate(connection, old, by="older version", now=utc("2026-11-01T00:00"))
    with pytest.raises(OutboundError) as error:
        releases.active(database)
    assert error.value.code == "release.unreadable"
    assert isinstance(releases.publish(database, good, by="test", now=utc("2026-11-02T00:00")), Published)
    assert releases.active(database) is not None


def test_publishing_makes_the_indexes_that_the_schema_asks_for(database: Database) -> None:
    """Reserved attributes have columns of their own: an index on them is not of this kind."""

    def indexed() -> list[str]:
        with database.read() as connection:
            return [name[:-9] for name in attribute_indexes.names(connection)]

    asked = SCHEMA.replace("{type: date}", "{type: date, index: true}", 1)
    asked = asked.replace("country:      {type: string}", "country:      {type: string, index: true}")
    publish(database, rule_files(NEWSLETTER, schema=asked), NOW)
    assert indexed() == ["ix_attribute_birth_date"]
    publish(database, rule_files(NEWSLETTER), LATER)
    assert indexed() == []
