"""Importing customers: what goes in, what stays, what is refused; on SQLite and on PostgreSQL."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from import_shop import FIELDS, NOW, Shop

from outbound.domain.consent import Suppression
from outbound.domain.customer import AddressState, ChannelName
from outbound.domain.keyring import Keyring
from outbound.services.imports.report import ImportReport
from outbound.storage import people, suppressions
from outbound.storage.tables import address, customer, customer_change, import_batch

Remarks = Callable[[ImportReport], list[tuple[int, str, str]]]
WHOLE = (
    "import: customers\nkey: id\nfields: {email: email, phone: {column: phone, country: IT}, country: country,"
    " language: lang, timezone: zone, first_name: name, plan: plan, spent: {column: spent, decimal: ','},"
    ' is_adult: {column: adult, "true": [si], "false": [no]}, birth_date: {column: born, format: "%d/%m/%Y"}}\n'
    "preferences: {channel: pref, quiet_from: from, quiet_to: to, pause_from: off, pause_to: back}\n"
)
HEADER = "id,email,phone,country,lang,zone,name,plan,spent,adult,born,pref,from,to,off,back\n"
ADA = (
    'c1,Ada@Shop.Example,340 123 4567,it,it_IT,Europe/Rome,Ada,pro,"12,50",SI,22/11/1990,'
    "sms,22:00,08:00,2026-12-24,2026-12-26\n"
)


def test_every_kind_of_value_arrives_as_its_type(shop: Shop) -> None:
    report = shop.customers(WHOLE, HEADER + ADA)
    assert (report.rows, report.new, report.refused, report.samples) == (1, 1, 0, ())
    person = shop.person("c1").customer
    assert person.attributes == {
        "first_name": "Ada",
        "plan": "pro",
        "spent": 12.5,
        "is_adult": True,
        "birth_date": "1990-11-22",
    }
    assert [(a.channel.value, a.value, a.state.value) for a in person.addresses] == [
        ("email", "Ada@shop.example", "ok"),
        ("sms", "+393401234567", "ok"),
    ]
    stated = person.preference
    assert (person.country, stated.language, stated.timezone) == ("IT", "it-IT", "Europe/Rome")
    assert stated.channel is ChannelName.SMS
    assert stated.quiet_hours is not None
    assert str(stated.pauses[0].end) == "2026-12-26"
    assert person.zone_source == "tz:Europe/Rome"


def test_the_same_file_again_changes_nothing_and_says_so(shop: Shop) -> None:
    first = shop.customers(WHOLE, HEADER + ADA)
    assert not first.changed_nothing
    before = shop.person("c1")
    with shop.database.read() as connection:
        history = connection.execute(sa.select(customer_change)).all()
    again = shop.customers(WHOLE, HEADER + ADA, now=NOW + timedelta(days=1))
    assert (again.new, again.changed, again.unchanged, again.changed_nothing) == (0, 0, 1, True)
    assert shop.person("c1") == before
    with shop.database.read() as connection:
        assert connection.execute(sa.select(customer_change)).all() == history
        batches = connection.execute(sa.select(import_batch.c.file_hash, import_batch.c.counts)).all()
    assert len({batch.file_hash for batch in batches}) == 1
    assert {batch.counts["new"] for batch in batches} == {0, 1}


def test_an_absent_column_leaves_untouched_and_an_empty_cell_too_unless_the_mapping_clears(shop: Shop) -> None:
    shop.customers(WHOLE, HEADER + ADA)
    shop.customers(FIELDS + "first_name: name", "id,name\nc1,\n")
    assert shop.person("c1").customer.attributes["first_name"] == "Ada"
    report = shop.customers(
        FIELDS
        + "first_name: {column: name, empty: clear}\n  phone: {column: phone, empty: clear}\n"
        + "  country: {column: country, empty: clear}\npreferences: {pause_from: {column: off, empty: clear}}",
        "id,name,phone,country,off\nc1,,,,\n",
    )
    assert (report.changed, report.refused) == (1, 0)
    person = shop.person("c1").customer
    assert "first_name" not in person.attributes
    assert person.attributes["plan"] == "pro"
    assert person.address(ChannelName.SMS) is None
    assert person.address(ChannelName.EMAIL) is not None
    assert person.country is None
    assert person.preference.pauses == ()


def test_a_mapped_column_that_the_file_lacks_is_said_and_leaves_untouched(shop: Shop, remarks_of: Remarks) -> None:
    shop.customers(WHOLE, HEADER + ADA)
    report = shop.customers(
        FIELDS + "first_name: {column: nome, empty: clear}\n  plan: plan", "id,plan,name\nc1,free,x\n"
    )
    assert report.changed == 1
    assert remarks_of(report) == [
        (0, "nome", "the file has no such column: first_name stays as it is (did you mean name?)")
    ]
    assert shop.person("c1").customer.attributes["first_name"] == "Ada"


def test_in_json_lines_an_absent_key_never_clears_and_null_is_an_empty_cell(shop: Shop) -> None:
    shop.customers(WHOLE, HEADER + ADA)
    mapping = FIELDS + "first_name: {column: name, empty: clear}\n  spent: spent\n  is_adult: adult\nformat: jsonl"
    shop.customers(mapping, '{"id": "c1", "spent": 7.25, "adult": false}\n')
    assert shop.person("c1").customer.attributes["first_name"] == "Ada"
    assert shop.person("c1").customer.attributes["spent"] == 7.25
    shop.customers(mapping, '{"id": "c1", "name": null}\n')
    attributes = shop.person("c1").customer.attributes
    assert "first_name" not in attributes
    assert (attributes["spent"], attributes["is_adult"]) == (7.25, False)


def test_the_history_holds_what_really_changed_with_old_and_new(shop: Shop) -> None:
    shop.customers(WHOLE, HEADER + ADA)
    changed = ADA.replace(",pro,", ",free,").replace("12,50", "13").replace(",SI,", ",no,").replace("Ada@", "ada@")
    shop.customers(WHOLE, HEADER + changed, now=NOW + timedelta(days=1))
    query = sa.select(customer_change).where(customer_change.c.at > NOW).order_by(customer_change.c.attribute)
    with shop.database.read() as connection:
        rows = [(row.attribute, row.old, row.new, row.source) for row in connection.execute(query)]
    source = "import people.csv"
    assert rows == [
        ("email", "Ada@shop.example", "ada@shop.example", source),
        ("is_adult", True, False, source),
        ("plan", "pro", "free", source),
        ("spent", 12.5, 13, source),
    ]


def test_good_rows_go_in_and_bad_ones_into_the_report_with_line_column_value_and_reason(
    shop: Shop, tmp_path: Path
) -> None:
    target = tmp_path / "report.jsonl"
    rows = [
        "c1,ada@shop.example,,,,,Ada,pro,,,,,,,,",
        "c2,not an address,,,,,Bob,,,,,,,,,",
        "c3,,12,,,,Cy,,,,,,,,,",
        "c4,,,ITA,,,Di,,,,,,,,,",
        "c5,,,,italiano!,,Ed,,,,,,,,,",
        "c6,,,,,Europe/Roma,Fay,,,,,,,,,",
        "c7,,,,,,Gil,gold,,,,,,,,",
        "c8,,,,,,Hal,,1.5,,,,,,,",
        "c9,,,,,,Ivy,,,maybe,,,,,,",
        "c10,,,,,,Joe,,,,1990-11-22,,,,,",
        "c11,,,,,,Kim,,,,01/01/1900,,,,,",
        "c12,,,,,,Lea,,,,,fax,,,,",
        "c13,,,,,,Max,,,,,,25:00,,,",
        ",,,,,,Nobody,,,,,,,,,",
    ]
    report = shop.customers(WHOLE, HEADER + "\n".join(rows), report=target)
    assert (report.rows, report.new, report.refused) == (14, 1, 13)
    entries = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert [(e["line"], e["severity"], e["column"], e["value"]) for e in entries] == [
        (3, "refused", "email", "not an address"),
        (4, "refused", "phone", "12"),
        (5, "refused", "country", "ITA"),
        (6, "refused", "lang", "italiano!"),
        (7, "refused", "zone", "Europe/Roma"),
        (8, "refused", "plan", "gold"),
        (9, "refused", "spent", "1.5"),
        (10, "refused", "adult", "maybe"),
        (11, "refused", "born", "1990-11-22"),
        (12, "refused", "born", "01/01/1900"),
        (13, "refused", "pref", "fax"),
        (14, "refused", "from", "25:00"),
        (15, "refused", "", ""),
    ]
    assert entries[1]["reason"] == "not a possible phone number in IT"
    assert entries[9]["reason"] == "a date that stands for nothing"
    assert list(shop.everyone("c1", "c2", "c13")) == ["c1"]


def test_strict_takes_all_or_nothing(shop: Shop) -> None:
    text = "id,email\nc1,ada@shop.example\nc2,nonsense\n"
    report = shop.customers(FIELDS + "email: email", text, strict=True)
    assert (report.applied, report.refused, report.new) == (False, 1, 0)
    assert shop.everyone("c1") == {}
    assert shop.customers(FIELDS + "email: email", text.replace("nonsense", "b@shop.example"), strict=True).new == 2


def test_a_dry_run_counts_everything_and_keeps_nothing(shop: Shop) -> None:
    report = shop.customers(WHOLE, HEADER + ADA, dry_run=True)
    assert (report.new, report.applied, report.dry_run) == (1, False, True)
    with shop.database.read() as connection:
        for table in (customer, address, customer_change, import_batch):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() == 0


def test_of_rows_with_one_key_the_last_wins_and_the_others_are_reported(shop: Shop, remarks_of: Remarks) -> None:
    text = "id,name,plan\nc1,Ada,pro\nc2,Bob,\nc1,Adele,\n"
    report = shop.customers(FIELDS + "first_name: name\n  plan: plan", text)
    assert (report.rows, report.new, report.duplicates) == (3, 2, 1)
    assert remarks_of(report) == [(2, "id", "the same key again further down: the last row wins")]
    assert shop.person("c1").customer.attributes == {"first_name": "Adele"}


def test_a_possible_but_invalid_number_is_kept_as_unreachable(shop: Shop) -> None:
    report = shop.customers(FIELDS + "phone: {column: phone, country: US}", "id,phone\nc1,697-555-0142\n")
    assert (report.new, report.unreachable) == (1, 1)
    phone = shop.person("c1").customer.address(ChannelName.SMS)
    assert phone is not None
    assert (phone.value, phone.state) == ("+16975550142", AddressState.UNREACHABLE)


def test_a_number_takes_its_country_from_the_row_then_the_store_then_the_mapping(
    shop: Shop, remarks_of: Remarks
) -> None:
    shop.customers(FIELDS + "country: country", "id,country\nc1,DE\nc2,\nc3,FR\n")
    shop.customers(FIELDS + "phone: {column: phone, country: IT}", "id,phone\nc1,0151 23456789\nc2,340 1234567\n")
    shop.customers(FIELDS + "phone: phone\n  country: land", "id,phone,land\nc3,020 7946 0958,GB\n")
    phones = {i: p.customer.address(ChannelName.SMS) for i, p in shop.everyone("c1", "c2", "c3").items()}
    assert {i: a.value for i, a in phones.items() if a} == {
        "c1": "+4915123456789",
        "c2": "+393401234567",
        "c3": "+442079460958",
    }
    report = shop.customers(FIELDS + "phone: phone", "id,phone\nc9,340 1234567\n")
    assert remarks_of(report)[0][2].startswith("no country is known for a number without +")


def test_invalid_ignore_takes_the_row_without_the_value(shop: Shop, remarks_of: Remarks) -> None:
    mapping = FIELDS + "email: email\n  phone: {column: phone, country: IT, invalid: ignore}"
    report = shop.customers(mapping, "id,email,phone\nc1,ada@shop.example,12\n")
    assert (report.new, report.refused, report.warnings) == (1, 0, 1)
    assert remarks_of(report) == [(2, "phone", "not a possible phone number in IT")]


def test_mojibake_is_reported_and_never_changed_and_formulas_stay_text(shop: Shop, remarks_of: Remarks) -> None:
    text = "id,name\nc1,SÃ¡nchez\nc2,=SUM(A1)\nc3,Zoë Müller\nc4,Łukasz Żółć\n"
    report = shop.customers(FIELDS + "first_name: name", text)
    assert remarks_of(report) == [(2, "name", "looks like wrongly decoded text, perhaps 'Sánchez'")]
    names = {i: p.customer.attributes["first_name"] for i, p in shop.everyone("c1", "c2", "c3", "c4").items()}
    assert names == {"c1": "SÃ¡nchez", "c2": "=SUM(A1)", "c3": "Zoë Müller", "c4": "Łukasz Żółć"}


def test_non_ascii_local_parts_are_kept(shop: Shop) -> None:
    shop.customers(FIELDS + "email: email", "id,email\nc1,françois0@Adventure-Works.com\n")
    email = shop.person("c1").customer.address(ChannelName.EMAIL)
    assert email is not None
    assert email.value == "françois0@adventure-works.com"


def test_the_send_zone_comes_from_zone_then_country_then_phone(shop: Shop) -> None:
    mapping = FIELDS + "timezone: zone\n  country: country\n  phone: phone"
    text = "id,zone,country,phone\nc1,Europe/Rome,US,+393401234567\nc2,,US,+393401234567\nc3,,,+393401234567\nc4,,,\n"
    shop.customers(mapping, text)
    sources = {i: p.customer.zone_source for i, p in shop.everyone("c1", "c2", "c3", "c4").items()}
    assert sources["c1"] == "tz:Europe/Rome"
    assert sources["c2"] == "country:US"
    assert sources["c3"].startswith("phone:Europe/Rome")
    assert sources["c4"] == ""
    shop.customers(FIELDS + "country: country", "id,country\nc3,FR\n")
    assert shop.person("c3").customer.zone_source == "country:FR"


def test_a_suppression_survives_reimport_also_under_an_older_key(shop: Shop) -> None:
    block = Suppression(
        channel=ChannelName.EMAIL,
        address_hash=shop.keyring.address_hash("email", "ADA@shop.example"),
        scope="all",
        reason="complaint",
        at=NOW,
    )
    with shop.database.write() as connection:
        suppressions.add(connection, [block])
    shop.customers(FIELDS + "email: email", "id,email\nc1,ada@shop.example\n")
    assert shop.person("c1").suppressed == {("email", "all")}
    shop.keyring = Keyring.parse("k2:" + "7b" * 32 + ",k1:" + "5a" * 32)
    shop.customers(FIELDS + "email: email", "id,email\nc1,ada@shop.example\nc2,ada@shop.example\n")
    with shop.database.read() as connection:
        found = people.load_people(connection, ["c1", "c2"])
    assert {i: p.suppressed for i, p in found.items()} == {
        "c1": frozenset({("email", "all")}),
        "c2": frozenset({("email", "all")}),
    }


def test_two_imports_of_different_columns_add_up_on_one_key(shop: Shop) -> None:
    shop.customers(FIELDS + "email: email", "id,email\nc1,ada@shop.example\n")
    report = shop.customers(FIELDS + "first_name: name", "id,name\nc1,Ada\n")
    assert (report.new, report.changed) == (0, 1)
    person = shop.person("c1").customer
    assert (person.attributes, len(person.addresses)) == ({"first_name": "Ada"}, 1)


def test_values_are_shown_masked_outside_the_report_file(shop: Shop) -> None:
    report = shop.customers(
        FIELDS + "email: email\n  phone: {column: phone, country: IT}",
        "id,email,phone\nc1,ada lovelace@shop.example,\nc2,,+1 5555555555555\n",
    )
    assert [r.masked for r in report.samples] == ["a***@shop.example", "***55"]
