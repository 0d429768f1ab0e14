"""Mappings: every mistake is refused with line, column and the word that mends it."""

from pathlib import Path

import pytest
from import_shop import SCHEMA

from outbound.services.imports.mapping import CustomerMapping, EventMapping
from outbound.services.imports.mapping_check import check_mapping
from outbound.services.imports.mapping_reader import read_mapping

TOPICS = ("newsletter", "offers")
CASES = [
    ("", "map.yaml:1:1", "the mapping is empty"),
    ("import: peple\nkey: id", "map.yaml:1:9", "import cannot be 'peple'"),
    ("import: customers\nkye: id\nkey: id", "map.yaml:2:1", "unknown key 'kye'"),
    ("import: customers", "map.yaml:1:1", "'key' is missing"),
    ("import: customers\nkey: id\nkey: id", "map.yaml:3:1", "duplicate key 'key', first on line 2"),
    ("import: customers\nkey: id\nfields: {email: }", "map.yaml:3:10", "email names no column"),
    ("import: customers\nkey: id\nfields: {plan: {column: p, value: pro}}", "map.yaml:3:10", "either column: NAME"),
    ("import: customers\nkey: id\nfields: {plan: {column: p, empt: clear}}", "map.yaml:3:28", "unknown key 'empt'"),
    ("import: customers\nkey: id\nfields: {plan: {column: p, empty: wipe}}", "map.yaml:3:35", "empty cannot be 'wipe'"),
    ("import: customers\nkey: id\nfields: {plna: p}", "map.yaml:3:10", "'plna' is not in rules/schema.yaml"),
    ("import: customers\nkey: id\nfields: {plan: {column: p, country: IT}}", "map.yaml:3:10", "belongs to the field"),
    ("import: customers\nkey: id\nencoding: klingon", "map.yaml:3:11", "unknown encoding 'klingon'"),
    ("import: customers\nkey: id\nseparator: '||'\nquote: '\"'", "map.yaml:4:8", "quoting needs one character"),
    ("import: customers\nkey: id\ncolumns: [a, a]", "map.yaml:3:10", "two columns have the same name"),
    ("import: customers\nkey: id\npreferences: {chanel: x}", "map.yaml:3:15", "unknown preference 'chanel'"),
    ("import: customers\nkey: id\nconsents: [{topic: newsletter}]", "map.yaml:3:12", "'at' is missing"),
    ("import: customers\nkey: id\nconsents: [{topic: newsletter, at: now}]", "map.yaml:3:36", "'now' proves nothing"),
    ("import: customers\nkey: id\nconsents: [{topic: nwes, at: x}]", "map.yaml:3:12", "'nwes' is not a topic"),
    (
        "import: customers\nkey: id\nconsents: [{topic: offers, at: x, channel: fax}]",
        "map.yaml:3:44",
        "channel cannot be",
    ),
    (
        "import: customers\nkey: id\nconsents: [{topic: offers, at: {column: x, zone: Europe/Roma}}]",
        "map.yaml:3:50",
        "unknown zone 'Europe/Roma'",
    ),
    (
        "import: customers\nkey: id\nconsents: [{topic: offers, at: x, confirmed: true}]",
        "map.yaml:3:46",
        "a confirmed consent belongs to one address",
    ),
    ("import: events\nevent: order.placd\ncustomer: c\nat: t", "map.yaml:1:1", "'order.placd' is not in"),
    (
        "import: events\nevent: order.placed\ncustomer: c\nat: t\ndata: {order_id: o}",
        "map.yaml:1:1",
        "requires 'total' (number)",
    ),
    (
        "import: events\nevent: order.placed\ncustomer: c\nat: t\ndata: {order_id: o, total: t, x: y}",
        "map.yaml:5:31",
        "has no field 'x'",
    ),
]


@pytest.mark.parametrize(("text", "place", "message"), CASES)
def test_a_mistake_in_a_mapping_is_refused_where_it_stands(text: str, place: str, message: str) -> None:
    found, problems = read_mapping("map.yaml", text.encode())
    if found is not None:
        problems = check_mapping(found, SCHEMA, TOPICS)
    rendered = [problem.render() for problem in problems]
    assert [str(problem.span) for problem in problems if message in problem.message] == [place], rendered


def test_unquoted_words_of_yaml_stay_texts() -> None:
    found, problems = read_mapping(
        "map.yaml",
        b"import: customers\nkey: id\nfields: {country: {value: NO}}\npreferences: {quiet_from: {value: 22:00}}",
    )
    assert not problems
    assert isinstance(found, CustomerMapping)
    assert found.fields["country"].constant == "NO"
    assert found.preferences["quiet_from"].constant == "22:00"


def test_the_mappings_of_the_documentation_are_read() -> None:
    page = (Path(__file__).parents[3] / "docs" / "import.md").read_text("utf-8")
    blocks = [part.split("```")[0] for part in page.split("```yaml\n")[1:]]
    kinds = []
    for block in blocks:
        found, problems = read_mapping("docs/import.md", block.encode())
        assert not problems, [p.render() for p in problems]
        kinds.append(type(found))
    assert kinds == [CustomerMapping, EventMapping]
