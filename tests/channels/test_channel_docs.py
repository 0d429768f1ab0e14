"""docs/channels.md says what the code does."""

import re
from pathlib import Path

from outbound.channels import outcomes
from outbound.testing.faults import ACTIONS, HTTP_STAGES, NAMED, SMTP_STAGES

DOC = (Path(__file__).parents[2] / "docs" / "channels.md").read_text("utf-8")


def test_every_provider_code_of_the_tables_is_documented() -> None:
    """A number in a row of either table stands in the page."""
    numbers: set[str] = set()
    for row in (*outcomes.SMTP, *outcomes.TWILIO):
        numbers |= set(re.findall(r"\b\d{3,5}\b", f"{row.code} {row.detail}"))
    assert {"535", "21610"} <= numbers
    assert [number for number in sorted(numbers) if number not in DOC] == []


def test_every_outcome_and_suppression_is_documented() -> None:
    """Each word an attempt can store stands in the page."""
    words = {row.kind.value for row in (*outcomes.SMTP, *outcomes.TWILIO)} | {outcomes.HARD_BOUNCE, outcomes.OPTED_OUT}
    assert [word for word in sorted(words) if f"`{word}`" not in DOC] == []


def test_every_fault_of_the_doubles_is_documented() -> None:
    """Each stage, action and short name of a fault stands in the page."""
    words = {*SMTP_STAGES, *HTTP_STAGES, *NAMED, *(action for action in ACTIONS if action != "reply")}
    assert [word for word in sorted(words) if not re.search(rf"`{re.escape(word)}\b", DOC)] == []
