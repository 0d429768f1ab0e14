"""The real files: 19,972 people in three files with separators of two characters, imported onto one key."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from import_shop import FIELDS, Shop

from outbound.storage.tables import address, consent, customer

EMAILS = (
    'import: customers\nsource: adventureworks\nseparator: "+|"\nrow_separator: "&|\\n"\n'
    "columns: [id, number, email, guid, modified]\nkey: id\nfields: {email: email}\n"
)
PEOPLE = (
    "import: customers\nkey: businessentityid\nfields: {first_name: firstname}\nconsents:\n"
    "  - {topic: newsletter, channel: email, when: {column: emailpromotion, in: ['1', '2']}, at: modifieddate}\n"
)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_everybody_goes_in_once_with_consents_only_where_there_is_evidence(shop: Shop, shared_data: Path) -> None:
    folder = shared_data / "adventureworks"
    report = shop.customers(EMAILS, (folder / "ms_EmailAddress.csv").read_bytes())
    assert (report.rows, report.new, report.refused, report.warnings) == (19_972, 19_972, 0, 0)
    names = shop.customers(PEOPLE, (folder / "dec_person.csv").read_bytes())
    assert (names.new, names.changed, names.consents) == (0, 2_057, {"granted": 926})
    assert names.warnings == 5
    assert {r.value for r in names.samples} >= {"FranÃ§ois", "JosÃ©", "JÃ©sus"}
    again = shop.customers(EMAILS, (folder / "ms_EmailAddress.csv").read_bytes())
    assert (again.unchanged, again.changed_nothing) == (19_972, True)
    with shop.database.read() as connection:
        count = sa.func.count()
        assert connection.execute(sa.select(count).select_from(customer)).scalar_one() == 19_972
        assert connection.execute(sa.select(count).select_from(consent)).scalar_one() == 926
        values = connection.execute(sa.select(address.c.value)).scalars().all()
    assert sum(not value.isascii() for value in values) == 43
    assert "françois0@adventure-works.com" in values


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_phones_are_cleaned_by_country_on_postgresql(shop: Shop, shared_data: Path) -> None:
    """3,000 of the phones; the people of the others are in another country or unknown."""
    content = (shared_data / "adventureworks" / "ms_PersonPhone.csv").read_text("utf-8")
    some = "&|\n".join(content.split("&|\n")[:3_000]) + "&|\n"
    shop.customers(FIELDS + "country: country", "id,country\n" + "".join(f"{n},DE\n" for n in range(2_000, 4_000)))
    mapping = EMAILS.replace("[id, number, email, guid, modified]", "[id, phone, kind, modified]").replace(
        "fields: {email: email}", 'fields: {phone: {column: phone, country: US, strip_prefix: "1 (11) "}}'
    )
    report = shop.customers(mapping, some)
    assert report.rows == 3_000
    assert report.refused == 0
    with shop.database.read() as connection:
        values = connection.execute(sa.select(address.c.value, address.c.state)).all()
    assert {value[:2] for value, _ in values} == {"+1", "+4"}
    assert {state for _, state in values} == {"ok", "unreachable"}
    assert report.unreachable == sum(state == "unreachable" for _, state in values)
