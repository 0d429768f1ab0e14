"""Date rules fire once per customer, date and offset, on the right local day."""

from datetime import timedelta

from planning_kit import add_customer, balance, messages, next_due_of, plan, publish, rows, rule_files, utc

from outbound.storage import tables
from outbound.storage.database import Database

BEFORE = utc("2026-01-02 00:00")
RENEWAL = """
rule: renewal
owner: billing@shop.example
topic: notices
when: {date: customer.renewal_date, offset: [-14d, -3d], at: "09:00", tz: customer}
catch_up: 30d
send: {template: {-14d: plain, -3d: second}, channels: [email]}
"""
BIRTHDAY = """
rule: birthday
owner: crm@shop.example
topic: notices
when: {date: customer.birth_date, every: year, at: "08:30", tz: customer, feb29: feb28}
once: "{year}"
catch_up: 12h
send: {template: plain, channels: [email]}
"""
SECOND = {
    "templates/second/template.yaml": b"subject: {en: Last call}\n",
    "templates/second/email.mjml": (
        b"<mj-section><mj-column><mj-text>Your contract ends in three days.</mj-text></mj-column></mj-section>"
    ),
}


def test_each_offset_fires_on_its_day_with_its_template(database: Database) -> None:
    active = publish(database, {**rule_files(RENEWAL), **SECOND}, BEFORE)
    add_customer(database, "ada", attributes={"renewal_date": "2026-04-01"})
    add_customer(database, "bob")
    moment = utc("2026-03-10 00:00")
    while moment < utc("2026-04-05 00:00"):
        plan(database, active, moment)
        moment += timedelta(hours=1)
    found = [(row.once, row.template, row.not_before, row.local_time) for row in rows(database, tables.message)]
    assert sorted(found) == [
        ("2026-04-01/-14d", "plain", utc("2026-03-18 08:00"), "2026-03-18T09:00"),
        ("2026-04-01/-3d", "second", utc("2026-03-29 07:00"), "2026-03-29T09:00"),  # after the change of clocks
    ]
    assert list(balance(database)) == [(1, 0, 1), (1, 0, 1)]


def test_a_new_date_arms_the_rule_again(database: Database) -> None:
    active = publish(database, {**rule_files(RENEWAL), **SECOND}, BEFORE)
    add_customer(database, "ada", attributes={"renewal_date": "2026-02-15"})
    plan(database, active, utc("2026-02-01 07:45"))
    add_customer(database, "ada", attributes={"renewal_date": "2027-02-15"})
    plan(database, active, utc("2027-02-01 07:45"))
    assert {row.once for row in rows(database, tables.message)} == {"2026-02-15/-14d", "2027-02-15/-14d"}


def test_catching_up_never_goes_past_the_next_offset(database: Database) -> None:
    """Down from before the first notice until after the second: only the second is sent, although both are young."""
    active = publish(database, {**rule_files(RENEWAL), **SECOND}, BEFORE)
    add_customer(database, "ada", attributes={"renewal_date": "2026-04-01"})
    plan(database, active, utc("2026-03-17 00:00"))
    report = plan(database, active, utc("2026-03-29 12:00"))
    assert [row.once for row in rows(database, tables.message)] == ["2026-04-01/-3d"]
    assert report.counts.messages == 1


def test_a_day_missed_by_more_than_catch_up_is_reported(database: Database) -> None:
    active = publish(database, rule_files(BIRTHDAY), BEFORE)
    add_customer(database, "ada", attributes={"birth_date": "1990-05-10"})
    plan(database, active, utc("2026-05-09 12:00"))
    report = plan(database, active, utc("2026-05-10 20:00"))
    assert messages(database) == {}
    assert [(m.slot, m.note) for m in report.missed] == [("2026-05-10", "missed; older than 12h")]


def test_a_birthday_is_wished_once_a_year_and_those_of_29_february_every_year(database: Database) -> None:
    active = publish(database, rule_files(BIRTHDAY), BEFORE)
    add_customer(database, "ada", attributes={"birth_date": "1992-02-29"})
    add_customer(database, "bob", attributes={"birth_date": "1985-02-28"})
    add_customer(database, "not born", attributes={"birth_date": "2030-02-28"})
    for day in ("2026-02-27", "2026-02-28", "2026-03-01", "2028-02-28", "2028-02-29"):
        plan(database, active, utc(f"{day} 07:10"))
    found = sorted((row.customer_id, row.once, row.local_time[:10]) for row in rows(database, tables.message))
    assert found == [
        ("ada", "2026", "2026-02-28"),
        ("ada", "2028", "2028-02-29"),
        ("bob", "2026", "2026-02-28"),
        ("bob", "2028", "2028-02-28"),
    ]


def test_who_restricts_those_whose_day_it_is(database: Database) -> None:
    active = publish(database, rule_files(BIRTHDAY + "who: customer.plan == 'pro'\n"), BEFORE)
    add_customer(database, "ada", attributes={"birth_date": "1990-05-10", "plan": "pro"})
    add_customer(database, "bob", attributes={"birth_date": "1991-05-10"})
    add_customer(database, "cleo", attributes={"birth_date": "1991-05-11", "plan": "pro"})
    plan(database, active, utc("2026-05-10 06:15"))
    assert set(messages(database)) == {"ada"}
    [manifest] = rows(database, tables.manifest)
    assert manifest.count == 1


def test_the_next_due_moment_of_a_date_rule_is_its_time_of_day(database: Database) -> None:
    active = publish(database, rule_files(BIRTHDAY), BEFORE)
    add_customer(database, "ada", attributes={"birth_date": "1990-05-10"})
    assert next_due_of(database, active, utc("2026-05-10 07:00")) == utc("2026-05-11 06:30")
