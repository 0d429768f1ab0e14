"""docs/conditions.md tells the truth: its conditions compile, its explanation is real, every code is listed."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from condition_schema import BARE, START, must

from outbound.domain.condition import ValueType
from outbound.domain.customer import Event
from outbound.domain.rule import Field, Schema
from outbound.engine.conditions import Facts, Scope, compile_clause, explain, render
from outbound.engine.conditions.codes import Code

DOCS = (Path(__file__).parents[3] / "docs" / "conditions.md").read_text(encoding="utf-8")
BOX = ("none", "small", "large")
SHOP = Schema(
    customer={
        "country": Field(type=ValueType.ENUM, values=("IT", "SM", "DE")),
        "box": Field(type=ValueType.ENUM, values=BOX),
        "last_name": Field(type=ValueType.STRING),
        "is_adult": Field(type=ValueType.BOOL),
        "birth_date": Field(type=ValueType.DATE),
        "renewal_date": Field(type=ValueType.DATE),
    },
    events={"order.placed": {"total": Field(type=ValueType.NUMBER, required=True)}},
)
SCOPE = Scope(schema=SHOP, segments={"recent_buyers": (must("happened(order.placed)", BARE),)})


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)\n```", DOCS, re.DOTALL)


def test_every_condition_shown_compiles() -> None:
    shown = [line for block in blocks("conditions") for line in block.splitlines()]
    shown += [
        cell for cell in re.findall(r"^\| `([^`]+)` \|", DOCS, re.MULTILINE) if "customer." in cell or "(" in cell
    ]
    assert len(shown) > 10
    for text in shown:
        clause, problems = compile_clause(text, span=START, scope=SCOPE)
        assert clause is not None, (text, problems)


def test_the_explanation_shown_is_what_the_program_prints() -> None:
    text = (
        "customer.country in ['IT', 'DE'] and (customer.box ?? 'none') != 'none' and not happened(order.placed, "
        "within 13w) and customer.is_adult and days_until(customer.renewal_date) == 14"
    )
    at = datetime(2026, 12, 2, 9, 0, tzinfo=UTC)
    facts = Facts(
        customer={"country": "DE", "renewal_date": "2027-01-29"},
        history=[Event(id="1", name="order.placed", customer_id="c", data={"total": 5}, at=at, received_at=at)],
        now=datetime(2027, 1, 15, 9, 0, tzinfo=UTC),
        today=date(2027, 1, 15),
        zone=ZoneInfo("Europe/Berlin"),
    )
    assert blocks("explain") == [render(explain(must(text, SCOPE), facts))]


def test_every_code_is_listed() -> None:
    listed = re.findall(r"^\| `([a-z-]+)` \|", DOCS, re.MULTILINE)
    assert listed == [str(code) for code in Code]
