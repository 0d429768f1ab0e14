"""``outbound import`` and ``outbound customer`` as an operator types them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from outbound.domain.errors import OutboundError
from outbound.interfaces import cli

Run = Callable[..., Any]

PEOPLE = (
    "id,email,phone,name,yes\nc1,ada@shop.example,,A,\nc2,bad,,Bob,\nc1,ada@shop.example,340 123 4567,Ada,2026-01-31\n"
)
MAPPING = (
    "import: customers\nkey: id\nfields: {email: email, phone: {column: phone, country: IT}, first_name: name}\n"
    "consents:\n  - {topic: newsletter, channel: email, when: {column: 'yes'}, at: 'yes', wording: Yes please}\n"
)
ORDERS = '{"id": "o1", "who": "c1", "at": "2026-02-01T10:00:00+01:00", "total": 12.5}\n'
ORDER_MAPPING = (
    "import: events\nformat: jsonl\nevent: order.placed\ncustomer: who\nid: id\nat: at\n"
    "data: {order_id: id, total: total}\n"
)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command in a fresh workspace; the files of this test lie beside it."""
    runner = CliRunner()
    app = cli.build()
    workspace = tmp_path / "shop"
    for name, text in (("people.csv", PEOPLE), ("map.yaml", MAPPING), ("o.jsonl", ORDERS), ("o.yaml", ORDER_MAPPING)):
        (tmp_path / name).write_text(text, encoding="utf-8")

    def call(*arguments: str, status: int = 0) -> Any:
        given = [str(tmp_path / a) if (tmp_path / a).is_file() else a for a in arguments]
        result = runner.invoke(app, ["--workspace", str(workspace), *given])
        if isinstance(result.exception, OutboundError):
            raise result.exception
        assert result.exit_code == status, result.output
        return json.loads(result.stdout) if "--json" in arguments else result.output

    assert runner.invoke(app, ["init", str(workspace)]).exit_code == 0
    call("migrate")
    return call


def test_import_says_what_went_in_and_shows_no_address(run: Run, tmp_path: Path) -> None:
    output = run("import", "customers", "people.csv", "--mapping", "map.yaml", "--report", str(tmp_path / "r.jsonl"))
    assert output.splitlines()[:3] == [
        "people.csv: 3 rows",
        "  1 new, 1 duplicates in the file, 1 refused",
        "  consents: 1 granted",
    ]
    assert "ada@" not in output
    assert "line 3: refused: email" in output
    entries = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text("utf-8").splitlines()]
    assert [(e["line"], e["severity"]) for e in entries] == [(3, "refused"), (2, "warning")]
    again = run("import", "customers", "people.csv", "--mapping", "map.yaml", "--json")
    assert (again["new"], again["changed"], again["changed_nothing"]) == (0, 0, True)


def test_strict_and_dry_run_keep_nothing(run: Run) -> None:
    strict = run("import", "customers", "people.csv", "--mapping", "map.yaml", "--strict", "--json", status=1)
    assert (strict["applied"], strict["refused"]) == (False, 1)
    assert "nothing was imported" in run(
        "import", "customers", "people.csv", "--mapping", "map.yaml", "--strict", status=1
    )
    assert "nothing was kept" in run("import", "customers", "people.csv", "--mapping", "map.yaml", "--dry-run")
    with pytest.raises(OutboundError, match=r"customer.unknown"):
        run("customer", "show", "c1")


def test_problems_of_a_mapping_are_printed_with_line_and_column(run: Run, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(MAPPING.replace("first_name", "frist_name"), encoding="utf-8")
    output = run("import", "customers", "people.csv", "--mapping", "map.yaml", status=1)
    assert "map.yaml:3:61: error: 'frist_name' is not in rules/schema.yaml" in output
    assert "did you mean first_name?" in output
    with pytest.raises(OutboundError, match="is a mapping for events"):
        run("import", "customers", "people.csv", "--mapping", "o.yaml")
    with pytest.raises(OutboundError, match="cannot be read"):
        run("import", "customers", "people.csv", "--mapping", "nowhere.yaml")


def test_the_record_shows_person_consent_events_and_history_in_text_and_json(run: Run) -> None:
    run("import", "customers", "people.csv", "--mapping", "map.yaml")
    output = run("import", "events", "o.jsonl", "--mapping", "o.yaml")
    assert "history only: no rule sees them (--fire would)" in output
    text = run("customer", "show", "ada@shop.example")
    assert text.startswith("c1\n  email     ada@shop.example")
    assert "order.placed (order_id=o1, total=12.5)" in text
    record = run("customer", "show", "c1", "--json")
    assert record["customer"]["attributes"] == {"first_name": "Ada"}
    assert {entry["kind"] for entry in record["timeline"]} >= {"event", "change"}
    first = run("customer", "show", "c1", "--limit", "1", "--json")
    second = run("customer", "show", "c1", "--limit", "1", "--before", first["older"], "--json")
    assert [*first["timeline"], *second["timeline"]] == record["timeline"][:2]
    with pytest.raises(OutboundError, match=r"customer.cursor"):
        run("customer", "show", "c1", "--before", "yesterday")


def test_customers_are_merged_after_a_dry_run(run: Run, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("id,email,phone,name,yes\na,a@shop.example,,A,\nb,,,B,\n", encoding="utf-8")
    run("import", "customers", "people.csv", "--mapping", "map.yaml")
    assert "would move from a to b" in run("customer", "merge", "a", "b", "--dry-run")
    assert run("customer", "merge", "a", "b", "--json")["addresses"] == ["email"]
    assert run("customer", "show", "a", "--json")["customer"]["id"] == "b"
