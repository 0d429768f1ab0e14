"""A plan: who comes, who goes, which groups, and what speaks against publishing; nothing is written for it."""

from pathlib import Path

import pytest
from planning_kit import KEYRING, NEWSLETTER, add_customer, add_event, plan, publish, rows, rule_files, utc

from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.release import Files
from outbound.engine.rulefiles.differences import Change
from outbound.services.forecast import Account
from outbound.services.plans import plan_file
from outbound.services.plans.applying import apply
from outbound.services.plans.outlook import Ahead, moved
from outbound.services.plans.planned import Plan, make_plan
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.schema import migrate

NOW = utc("2026-01-02 00:00")
LATER = utc("2026-01-03 00:00")
SEGMENTS = "segment: near\nif: customer.country in ['IT']\n"
EXPERIMENT = """
rule: offer
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=WE, at: "17:00", tz: customer}
once: "{experiment.id}"
experiment:
  id: offer-2026
  unit: customer.id
  coverage: 50%
  holdout: 20%
  variants:
    plain: {weight: 1, template: plain}
    other: {weight: 1, template: plain}
send: {channels: [email]}
"""


def files_of(*rules: str, segments: str = "") -> Files:
    files = dict(rule_files(*rules))
    if segments:
        files["rules/segments.yaml"] = segments.encode()
    return files


def in_countries(*countries: str) -> str:
    listed = ", ".join(f"'{one}'" for one in countries)
    return f"{NEWSLETTER}who:\n  - customer.country in [{listed}]\n"


def planned(database: Database, files: Files, **asked: object) -> Plan:
    return make_plan(database, files, now=LATER, **asked)  # type: ignore[arg-type]


def test_people_gained_and_lost_are_those_whom_the_conditions_tell_apart(database: Database) -> None:
    """On both databases, in every zone, as planning itself would ask."""
    publish(database, files_of(in_countries("IT", "FR")), NOW)
    for number, country in enumerate(["IT", "IT", "FR", "DE", "DE", "DE", "US"]):
        add_customer(database, f"c{number}", country=country)
    made = planned(database, files_of(in_countries("IT", "DE"), NEWSLETTER.replace("rule: news", "rule: all")))
    everybody, news = made.rules
    assert (everybody.rule, everybody.change, everybody.reach.after) == ("all", Change.ADDED, 7)
    assert (news.reach.before, news.reach.after, news.reach.gained, news.reach.lost) == (3, 5, 3, 1)
    assert (set(news.reach.gained_ids), news.reach.lost_ids) == ({"c3", "c4", "c5"}, ("c2",))
    assert [part.path for part in news.parts] == ["who[0]"]
    assert (made.changes, made.errors) == (True, ())


def test_a_segment_that_changes_moves_the_people_of_rules_that_stayed_as_they_were(tmp_path: Path) -> None:
    database = _sqlite(tmp_path)
    rule = NEWSLETTER + "who: segment.near\n"
    publish(database, files_of(rule, segments=SEGMENTS), NOW)
    add_customer(database, "ada", country="IT")
    add_customer(database, "ben", country="FR")
    [news] = planned(database, files_of(rule, segments=SEGMENTS.replace("'IT'", "'IT', 'FR'"))).rules
    assert (news.rule, news.change, news.parts) == ("news", Change.CHANGED, ())
    assert (news.reach.before, news.reach.after) == (1, 2)


def test_a_date_and_a_segment_that_a_trigger_asks_for_count_and_a_draft_speaks_to_nobody(tmp_path: Path) -> None:
    database = _sqlite(tmp_path)
    add_customer(database, "ada", attributes={"birth_date": "1990-05-05"})
    add_customer(database, "ben", country="FR")
    dated = NEWSLETTER.replace(
        'schedule: FREQ=WEEKLY;BYDAY=SU, at: "10:00"',
        'date: customer.birth_date, every: year, feb29: skip, at: "10:00"',
    )
    enters = NEWSLETTER.replace("rule: news", "rule: come").replace("catch_up: 24h\n", "")
    enters = enters.replace('schedule: FREQ=WEEKLY;BYDAY=SU, at: "10:00", tz: customer', "enters: near")
    draft = NEWSLETTER.replace("rule: news", "rule: sketch") + "draft: true\n"
    made = planned(database, files_of(dated, enters, draft, segments=SEGMENTS))
    assert made.errors == ()
    assert {one.rule: one.reach.after for one in made.rules} == {"news": 1, "come": 1, "sketch": 0}


def test_a_removed_rule_says_how_many_of_its_messages_wait(tmp_path: Path) -> None:
    database = _sqlite(tmp_path)
    active = publish(database, files_of(NEWSLETTER), NOW)
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 08:45"))
    [gone] = planned(database, files_of(NEWSLETTER.replace("rule: news", "rule: more"))).rules[1:]
    assert (gone.rule, gone.change, gone.reach.before, gone.waiting) == ("news", Change.REMOVED, 1, 1)


def test_the_groups_are_those_that_planning_then_makes(tmp_path: Path) -> None:
    """Coverage, holdout and variants by the same hashes, after consent and reachability."""
    database = _sqlite(tmp_path)
    for number in range(60):
        add_customer(database, f"c{number}", consent=number % 10 != 0)
    [offer] = planned(database, files_of(EXPERIMENT)).rules
    active = publish(database, files_of(EXPERIMENT), LATER)
    plan(database, active, utc("2026-01-07 15:45"))
    decisions = rows(database, tables.decision)
    groups = offer.groups
    assert groups is not None
    for variant in ("plain", "other"):
        sent = [d for d in decisions if d.variant == variant and d.verdict != "skip"]
        assert groups.variants[variant] == len(sent) > 0
    assert groups.held_out == len([d for d in decisions if d.reason == "held_out"]) > 0
    assert groups.silent == len([d for d in decisions if d.reason == "consent"]) > 0
    assert groups.outside + groups.silent + groups.exposed == 60


def test_another_once_is_refused_until_somebody_accepts_what_may_come_again(tmp_path: Path) -> None:
    """A release that would send twice needs a person's word (rules.md 1.9, Dedup)."""
    database = _sqlite(tmp_path)
    rule = "rule: order\nowner: a@shop.example\ntopic: orders\nwhen: {event: order.placed}\n"
    rule += "send: {template: order, channels: [email]}\n"
    active = publish(database, files_of(rule), NOW)
    for name in ("ada", "ben"):
        add_customer(database, name)
        add_event(database, f"e-{name}", "order.placed", name, {"order_id": name, "total": 1}, NOW)
    plan(database, active, NOW)
    other = files_of(rule + 'once: "{event.order_id}"\n')
    [problem] = planned(database, other).errors
    assert (problem.code, "2 people" in problem.message) == ("plan.once-changed", True)
    assert apply(database, other, by="mia", now=LATER).refused
    assert not planned(database, other, accept_resend=2).errors
    assert apply(database, other, by="mia", now=LATER, accept_resend=2).release is not None


def test_what_the_stored_data_refuses_is_seen_in_the_plan(tmp_path: Path) -> None:
    database = _sqlite(tmp_path)
    active = publish(database, files_of(EXPERIMENT), NOW)
    for number in range(30):
        add_customer(database, f"c{number}")
    plan(database, active, utc("2026-01-07 15:45"))
    [problem] = planned(database, files_of(EXPERIMENT.replace("holdout: 20%", "holdout: 30%"))).errors
    assert problem.code == "experiment.frozen"


def test_files_that_do_not_pass_the_check_have_no_plan(tmp_path: Path) -> None:
    database = _sqlite(tmp_path)
    made = planned(database, files_of(NEWSLETTER.replace("SU", "XX")))
    assert (made.rules, [p.code for p in made.errors]) == ((), ["bad-schedule"])


def test_a_rule_that_nobody_knows_is_an_error(tmp_path: Path) -> None:
    database = _sqlite(tmp_path)
    with pytest.raises(OutboundError, match="there is no rule nwes"):
        planned(database, files_of(NEWSLETTER), only="nwes")


def test_a_plan_is_published_exactly_or_not_at_all(tmp_path: Path) -> None:
    database = _sqlite(tmp_path)
    publish(database, files_of(NEWSLETTER), NOW)
    files, path = files_of(in_countries("IT")), tmp_path / "p1"
    plan_file.write(path, plan_file.of_plan(planned(database, files), files), {})
    kept = plan_file.read(path)

    with pytest.raises(OutboundError, match=r"not those that were planned: rules/rules.yaml"):
        apply(database, files_of(in_countries("FR")), by="mia", now=LATER, kept=kept)
    published = apply(database, files, by="mia", now=LATER, kept=kept)
    assert published.release is not None
    assert published.release.id == kept.release
    with pytest.raises(OutboundError, match="ran when the plan was made") as error:
        apply(database, files, by="mia", now=LATER, kept=kept)
    assert error.value.code == "plan.stale"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 99}', '{"format": 1, "made_at": "yesterday"}', "\x00"])
def test_a_file_that_is_no_plan_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p1"
    path.write_text(text)
    with pytest.raises(OutboundError) as error:
        plan_file.read(path)
    assert error.value.code == "plan.file"


RIVAL = NEWSLETTER.replace("rule: news", "rule: rival")


def ahead(database: Database, until: str) -> Ahead:
    accounts = (Account(channel=ChannelName.EMAIL, name="mail"), Account(channel=ChannelName.SMS, name="text"))
    return Ahead(url=str(database.url), until=utc(until), accounts=accounts, keyring=KEYRING)


def capped(*rules: str) -> Files:
    """Marketing at most once a day."""
    files = dict(files_of(*rules))
    files["rules/policy.yaml"] += b"caps:\n  - {class: marketing, max: 1, per: day}\n"
    return files


def test_the_days_ahead_are_lived_through_with_the_planned_files(tmp_path: Path) -> None:
    """Messages, costs, skips and who takes whose turn; the database stays as it was."""
    database = _sqlite(tmp_path)
    for number in range(5):
        add_customer(database, f"c{number}", consent=number != 0)
    made = planned(database, capped(NEWSLETTER, RIVAL), ahead=ahead(database, "2026-01-10 00:00"))
    assert [p.render() for p in made.errors] == []
    outlook = made.outlook
    assert outlook is not None
    figures = outlook.forecast
    assert (figures.sent, figures.cost, figures.skipped_by) == (8, 8 * 400, {"consent.newsletter": 2})
    assert {(one.day.isoformat(), one.channel, one.messages) for one in figures.days} == {
        ("2026-01-04", "email", 4),
        ("2026-01-05", "email", 4),
    }
    assert sum(sum(hours.values()) for hours in outlook.hours.values()) == 8
    [collision] = outlook.collisions
    assert (collision.winner, collision.loser, collision.people) == ("news", "rival", 4)
    assert (collision.day.isoformat(), collision.until) == ("2026-01-04", utc("2026-01-05 07:00"))
    assert rows(database, tables.message) == rows(database, tables.decision) == []


def test_a_plan_whose_messages_moved_by_more_than_a_twentieth_is_stale(tmp_path: Path) -> None:
    database = _sqlite(tmp_path)
    publish(database, files_of(in_countries("FR")), NOW)
    for number in range(40):
        add_customer(database, f"c{number}")
    files, path = files_of(NEWSLETTER), tmp_path / "p1"
    until = ahead(database, "2026-01-10 00:00")
    plan_file.write(path, plan_file.of_plan(planned(database, files, ahead=until), files), {})
    kept = plan_file.read(path)
    later = utc("2026-01-03 05:00")

    add_customer(database, "c40")
    add_customer(database, "c41")
    assert apply(database, files, by="mia", now=later, kept=kept, ahead=until, dry_run=True).problems == ()
    add_customer(database, "c42")
    with pytest.raises(OutboundError, match="40 messages were planned for the hours that are left, now it would be 43"):
        apply(database, files, by="mia", now=later, kept=kept, ahead=until)
    with pytest.raises(OutboundError, match="which is past"):
        apply(database, files, by="mia", now=utc("2026-01-10 00:00"), kept=kept)


def test_only_the_hours_that_both_look_at_are_compared() -> None:
    before = {"a": {"2026-01-03T09:00:00+00:00": 500, "2026-01-04T09:00:00+00:00": 100}}
    after = {"a": {"2026-01-04T09:00:00+00:00": 100, "2026-01-09T09:00:00+00:00": 900}}
    asked = {"since": utc("2026-01-03 10:15"), "until": utc("2026-01-09 00:00")}
    assert moved(before, after, **asked) == ""
    swapped = {"a": {"2026-01-04T09:00:00+00:00": 79}, "b": {"2026-01-04T09:00:00+00:00": 21}}
    assert moved(before, swapped, **asked).startswith("100 messages of rule a were planned")


def _sqlite(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'outbound.db'}")
    migrate(database)
    return database
