"""Schedule rules fire once per zone, at the right instant, over changes of the clock and over downtime."""

from datetime import timedelta

import pytest
from planning_kit import (
    NEWSLETTER,
    add_customer,
    balance,
    messages,
    plan,
    publish,
    rows,
    rule_files,
    utc,
)

from outbound.services.planning import firing, next_due
from outbound.storage import runs, tables
from outbound.storage.database import Database

BEFORE = utc("2026-01-02 00:00")


@pytest.mark.parametrize(
    ("planned", "rome", "new_york"),
    [
        ("2026-03-29 07:40", "2026-03-29 08:00", None),  # Rome has changed its clocks that night
        ("2026-03-29 13:40", "2026-03-29 08:00", "2026-03-29 14:00"),
        ("2026-10-25 08:40", "2026-10-25 09:00", None),
        ("2026-10-25 13:40", "2026-10-25 09:00", "2026-10-25 14:00"),  # New York changes a week later
    ],
)
def test_ten_o_clock_is_ten_o_clock_where_the_customer_lives(
    database: Database, planned: str, rome: str, new_york: str | None
) -> None:
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    add_customer(database, "ada", timezone="Europe/Rome")
    add_customer(database, "bob", timezone="America/New_York")
    plan(database, active, utc(planned) - timedelta(days=1))
    plan(database, active, utc(planned))
    found = messages(database)
    assert found["ada"].not_before == utc(rome)
    assert found["ada"].local_time == f"{rome[:10]}T10:00"
    assert found["ada"].zone == "Europe/Rome"
    assert (found["bob"].not_before if "bob" in found else None) == (utc(new_york) if new_york else None)


@pytest.mark.parametrize(
    ("day", "at", "instant"),
    [
        ("2026-03-29", "02:30", "2026-03-29 01:00"),  # the gap: the first valid instant, 03:00 summer time
        ("2026-10-25", "02:30", "2026-10-25 00:30"),  # the repeated hour: the first time
    ],
)
def test_a_time_that_does_not_exist_or_exists_twice_fires_once(
    database: Database, day: str, at: str, instant: str
) -> None:
    rule = f"""
rule: night
owner: ops@shop.example
topic: notices
when: {{schedule: {day}, at: "{at}", tz: customer}}
send: {{template: plain, channels: [email]}}
"""
    active = publish(database, rule_files(rule), BEFORE)
    add_customer(database, "ada")
    moment = utc(f"{day} 00:00") - timedelta(hours=2)
    while moment < utc(f"{day} 04:00"):
        plan(database, active, moment)
        moment += timedelta(minutes=10)
    assert [row.not_before for row in rows(database, tables.message)] == [utc(instant)]


def test_a_slot_is_planned_half_an_hour_ahead_and_not_earlier(database: Database) -> None:
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 08:29"))
    assert messages(database) == {}
    plan(database, active, utc("2026-01-04 08:30"))
    assert messages(database)["ada"].state == "scheduled"
    assert messages(database)["ada"].not_before == utc("2026-01-04 09:00")


def test_planning_again_changes_nothing(database: Database) -> None:
    """Every pass after the first finds the slot fired: same rows, same counts, at any later time."""
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    for name in ("ada", "bob"):
        add_customer(database, name)
    add_customer(database, "eve", consent=False)
    plan(database, active, utc("2026-01-04 08:40"))
    before = [rows(database, table) for table in (tables.message, tables.decision, tables.run, tables.firing)]
    for minute in (40, 41, 59):
        plan(database, active, utc(f"2026-01-04 08:{minute}"))
    plan(database, active, utc("2026-01-04 20:00"))
    assert [rows(database, table) for table in (tables.message, tables.decision, tables.run, tables.firing)] == before
    assert list(balance(database)) == [(3, 1, 2)]


def test_moving_the_time_within_the_period_cannot_send_again(database: Database) -> None:
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 08:40"))
    later = publish(database, rule_files(NEWSLETTER.replace("10:00", "15:00")), utc("2026-01-04 09:10"))
    plan(database, later, utc("2026-01-04 13:50"))
    assert messages(database)["ada"].not_before == utc("2026-01-04 09:00")
    assert list(balance(database)) == [(1, 0, 1)]


def test_a_slot_missed_by_less_than_catch_up_runs_late(database: Database) -> None:
    """Fault F14: the daemon was down for six hours."""
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 07:00"))
    report = plan(database, active, utc("2026-01-04 13:00"))
    assert messages(database)["ada"].state == "ready"
    assert report.missed == ()


def test_a_slot_missed_by_more_than_catch_up_is_skipped_and_reported(database: Database) -> None:
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 07:00"))
    report = plan(database, active, utc("2026-01-05 09:01"))
    assert messages(database) == {}
    assert [(m.rule, m.slot, m.note) for m in report.missed] == [("news", "2026-W01", "missed; older than 24h")]
    assert [row.note for row in rows(database, tables.firing)] == ["missed; older than 24h"]
    assert plan(database, active, utc("2026-01-05 09:02")).missed == ()


def test_several_missed_periods_collapse_into_the_newest(database: Database) -> None:
    """Fault F14: three weeks down, back an hour after the third slot."""
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    add_customer(database, "ada")
    report = plan(database, active, utc("2026-01-18 10:00"))
    assert [row.once for row in rows(database, tables.message)] == ["2026-W03"]
    assert [(m.slot, m.note) for m in report.missed] == [
        ("2026-W01", "missed; 2026-W03 runs instead"),
        ("2026-W02", "missed; 2026-W03 runs instead"),
    ]


def test_a_rule_does_not_fire_for_slots_older_than_its_publication(database: Database) -> None:
    publish(database, rule_files(NEWSLETTER), BEFORE)
    add_customer(database, "ada")
    more = NEWSLETTER.replace("rule: news", "rule: late")
    active = publish(database, rule_files(NEWSLETTER, more), utc("2026-01-04 09:30"))
    plan(database, active, utc("2026-01-04 10:00"))
    assert [row.rule for row in rows(database, tables.message)] == ["news"]


def test_a_rule_that_came_back_does_not_fire_for_the_time_it_was_away(database: Database) -> None:
    files, empty = rule_files(NEWSLETTER), rule_files(NEWSLETTER.replace("rule: news", "rule: other"))
    publish(database, files, BEFORE)
    publish(database, empty, utc("2026-01-03 00:00"))
    active = publish(database, files, utc("2026-01-04 10:00"))
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 10:01"))
    assert messages(database) == {}


def test_a_draft_does_nothing(database: Database) -> None:
    active = publish(database, rule_files(NEWSLETTER + "draft: true\n"), BEFORE)
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 08:40"))
    assert messages(database) == {}
    assert next_due(database, active, now=utc("2026-01-04 08:40")) is None


@pytest.mark.parametrize(
    ("written", "fired"),
    [
        ("{from: 2026-01-11, until: 2026-01-18}", ["2026-W02", "2026-W03"]),
        ("{until: 2026-01-11}", ["2026-W01", "2026-W02"]),
        ('{from: "2026-01-11T10:00", until: "2026-01-18T10:00"}', ["2026-W02"]),
    ],
)
def test_a_rule_fires_within_its_active_range(database: Database, written: str, fired: list[str]) -> None:
    active = publish(database, rule_files(NEWSLETTER + f"active: {written}\n"), BEFORE)
    add_customer(database, "ada")
    for day in (4, 11, 18, 25):
        plan(database, active, utc(f"2026-01-{day:02} 08:45"))
    assert [row.once for row in rows(database, tables.message)] == fired


def test_a_message_held_over_quiet_hours_is_scheduled_with_the_reason(database: Database) -> None:
    active = publish(database, rule_files(NEWSLETTER.replace("10:00", "22:00")), BEFORE)
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 20:45"))
    held = messages(database)["ada"]
    assert (held.state, held.reason, held.held_by) == ("scheduled", "quiet_hours", "quiet_hours")
    assert held.not_before == utc("2026-01-05 07:00")
    assert held.local_time == "2026-01-05T08:00"
    assert [row.verdict for row in rows(database, tables.decision)] == ["hold"]


def test_a_message_that_would_expire_while_held_is_not_made(database: Database) -> None:
    rule = NEWSLETTER.replace("10:00", "22:00") + "expires: 2h\n"
    active = publish(database, rule_files(rule), BEFORE)
    add_customer(database, "ada")
    plan(database, active, utc("2026-01-04 20:45"))
    assert messages(database) == {}
    assert [(row.reason, row.detail) for row in rows(database, tables.decision)] == [("expired", "quiet_hours")]
    assert list(balance(database)) == [(1, 1, 0)]


def test_who_is_asked_in_the_database_and_misses_are_kept_by_line(database: Database) -> None:
    """The manifest says for everybody who was looked at and did not match, which line of ``who`` it was."""
    rule = NEWSLETTER + "who: [customer.country == 'IT', customer.plan == 'pro']\n"
    active = publish(database, rule_files(rule), BEFORE)
    add_customer(database, "ada", attributes={"plan": "pro"})
    add_customer(database, "bob", attributes={"plan": "free"})
    add_customer(database, "cleo", timezone="Europe/Rome", country="FR")
    add_customer(database, "dan")
    plan(database, active, utc("2026-01-04 08:45"))
    assert set(messages(database)) == {"ada"}
    [run] = rows(database, tables.run)
    with database.read() as connection:
        assert runs.misses(connection, run.id) == {"bob": 1, "cleo": 0, "dan": 1}
    assert list(balance(database)) == [(1, 0, 1)]


def test_who_is_asked_with_the_day_of_the_zone(database: Database) -> None:
    """At 10:00 in Auckland it is still the day before in New York: each is asked about their own today."""
    rule = NEWSLETTER.replace("topic: newsletter", "topic: notices").replace("BYDAY=SU", "BYDAY=MO")
    active = publish(database, rule_files(rule + "who: days_until(customer.renewal_date) == 0\n"), BEFORE)
    for zone in ("Pacific/Auckland", "America/New_York"):
        for day in (4, 5, 6):
            name = f"{zone} {day}"
            add_customer(database, name, timezone=zone, attributes={"renewal_date": f"2026-01-{day:02}"})
    moment = utc("2026-01-04 20:45")
    while moment < utc("2026-01-05 16:00"):
        plan(database, active, moment)
        moment += timedelta(minutes=30)
    assert set(messages(database)) == {"Pacific/Auckland 5", "America/New_York 5"}


def test_a_day_off_moves_to_the_next_working_day_of_the_customers_country(database: Database) -> None:
    """6 January is a holiday in Italy and an ordinary Tuesday in France."""
    rule = NEWSLETTER.replace("BYDAY=SU", "BYDAY=TU").replace("tz: customer", "tz: customer, calendar: business-days")
    active = publish(database, rule_files(rule), BEFORE)
    add_customer(database, "ada", country="IT")
    add_customer(database, "bea", country="FR")
    moment = utc("2026-01-05 08:45")
    for _ in range(4):
        plan(database, active, moment)
        moment += timedelta(days=1)
    found = messages(database)
    assert found["bea"].not_before == utc("2026-01-06 09:00")
    assert found["ada"].not_before == utc("2026-01-07 09:00")
    assert list(balance(database)) == [(2, 0, 2)]


def test_the_next_due_moment_is_the_slot_then_nothing_before_it(database: Database) -> None:
    active = publish(database, rule_files(NEWSLETTER), BEFORE)
    assert next_due(database, active, now=BEFORE) is None  # nobody, no zone
    add_customer(database, "ada")
    assert next_due(database, active, now=BEFORE) == utc("2026-01-04 09:00")
    assert next_due(database, active, now=utc("2026-01-04 09:00")) == utc("2026-01-11 09:00")
    plan(database, active, utc("2026-01-04 08:40"))
    assert next_due(database, active, now=utc("2026-01-04 08:50")) == utc("2026-01-04 09:00")


def test_going_over_everybody_again_finds_the_decided_by_key_and_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the second key range on the decided are not asked about ``who``: they are counted, and no misses."""
    monkeypatch.setattr(firing, "RANGE", 5)
    rule = NEWSLETTER.replace("send:", "who:\n  - customer.plan == 'pro'\nsend:")
    active = publish(database, rule_files(rule), utc("2026-10-01 00:00"))
    for number in range(23):
        add_customer(database, f"c{number:02}", attributes={"plan": "free" if number % 4 == 1 else "pro"})
    first = plan(database, active, utc("2026-11-01 08:50")).counts
    kept = [sorted(map(tuple, rows(database, table))) for table in (tables.decision, tables.message)]
    with database.write() as connection:
        missed = runs.misses(connection, rows(database, tables.run)[0].id)
        for table in (tables.firing, tables.manifest, tables.installation):
            connection.execute(table.delete())
        connection.execute(tables.customer.update().values(attributes={"plan": "free"}))
    again = plan(database, active, utc("2026-11-01 08:50")).counts
    assert first.candidates == 17
    assert kept == [sorted(map(tuple, rows(database, table))) for table in (tables.decision, tables.message)]
    assert (again.candidates, again.already) == (0, 0)  # nobody matches in the first range: who is asked as before
    with database.write() as connection:
        for table in (tables.firing, tables.manifest, tables.installation):
            connection.execute(table.delete())
        connection.execute(tables.customer.update().values(attributes={"plan": "pro"}))
        connection.execute(tables.customer.update().where(tables.customer.c.id.in_(missed)).values(attributes={}))
    again = plan(database, active, utc("2026-11-01 08:50")).counts
    assert (again.candidates, again.already) == (0, 17)
    assert kept == [sorted(map(tuple, rows(database, table))) for table in (tables.decision, tables.message)]
    with database.read() as connection:
        assert runs.misses(connection, rows(database, tables.run)[0].id) == missed
