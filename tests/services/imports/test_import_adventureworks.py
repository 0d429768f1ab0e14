"""The real files: 19,972 people in three files with separators of two characters, imported onto one key."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from import_shop import FIELDS, Shop

from outbound.engine.rulefiles import load
from outbound.services.imports.mapping_check import check_mapping
from outbound.services.imports.mapping_reader import read_mapping
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


def _script() -> Any:
    path = Path(__file__).parents[3] / "scripts" / "adventureworks_import.py"
    spec = spec_from_file_location("adventureworks_import", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_prepares_countries_and_orders_of_people_who_are_there(shared_data: Path, tmp_path: Path) -> None:
    script, source = _script(), shared_data / "adventureworks"
    script.write_countries(source, tmp_path / "countries.tsv")
    script.write_orders(source, tmp_path / "orders.tsv")
    countries = [line.split("\t") for line in (tmp_path / "countries.tsv").read_text("utf-8").splitlines()]
    orders = [line.split("\t") for line in (tmp_path / "orders.tsv").read_text("utf-8").splitlines()]
    assert countries[0] == ["person", "country"]
    assert len(countries) == 19_409 + 1
    assert {country for _, country in countries[1:]} == {"US", "CA", "AU", "GB", "FR", "DE"}
    assert orders[0] == ["order", "person", "placed", "total"]
    assert len(orders) == 1_566 + 1


def test_the_scripts_mappings_fit_the_shipped_schema_and_policy() -> None:
    root = Path(__file__).parents[3]
    shipped = load({f"rules/{p.name}": p.read_bytes() for p in (root / "rules").glob("*.yaml")} | _templates(root))
    assert shipped.ruleset is not None, [p.render() for p in shipped.problems]
    mappings = sorted((root / "scripts" / "adventureworks.d").glob("*.yaml"))
    assert len(mappings) == 5
    for path in mappings:
        found, problems = read_mapping(path.name, path.read_bytes())
        assert found is not None, [p.render() for p in problems]
        assert not check_mapping(found, shipped.ruleset.schema, shipped.ruleset.policy.topics)


def _templates(root: Path) -> dict[str, bytes]:
    files = (p for p in (root / "templates").rglob("*") if p.is_file())
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in files}
