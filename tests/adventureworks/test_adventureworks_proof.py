"""The proof is one: whatever does not balance is found, and named."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from proof import Facts, Ledgers, problems, table

from outbound.testing.checker import Violation
from outbound.testing.ledger import Accepted


def accepted(reference: str, *, sha256: str = "") -> Accepted:
    return Accepted(reference=reference, recipient="r", sha256=sha256 or reference, size=1, time=0.0, facts={})


def run(candidates: int, skipped_by: Mapping[str, int], sent: Mapping[str, int]) -> dict[str, Counter[str]]:
    skipped, messages = sum(skipped_by.values()), sum(sent.values())
    return {
        "sums": Counter(candidates=candidates, skipped=skipped, messages=messages),
        "skipped_by": Counter(skipped_by),
        "states": Counter(sent=messages),
        "sent_by_channel": Counter(sent),
    }


EMAILS, TEXTS = [accepted("a"), accepted("b"), accepted("c")], [accepted("s1")]
BALANCED = Facts(
    people=5,
    customers=5,
    consents=2,
    orders=3,
    runs={
        "newsletter": run(5, {"consent": 3}, {"email": 2}),
        "order-follow-up": run(3, {"expired": 1}, {"email": 1, "sms": 1}),
    },
    total={"candidates": 8, "states": {"sent": 4}, "sent_by_channel": {"email": 3, "sms": 1}},
    holds=True,
    ledgers=Ledgers(email=EMAILS, sms=TEXTS),
    violations=(),
)


def test_what_balances_has_no_problem_and_a_table_with_every_figure() -> None:
    assert problems(BALANCED) == []
    text = "\n".join(table(BALANCED))
    rows = {line[:34].strip(): line.split()[-3:] for line in text.splitlines()}
    assert rows["candidates"] == ["5", "3", "8"]
    assert rows["= skipped at planning"] == ["3", "1", "4"]
    assert rows["consent"] == ["3", "0", "3"]
    assert rows["by sms"] == ["0", "1", "1"]
    assert "accepted by the SMTP server                       3   = sent by email on the record 3" in text


def test_the_page_shows_the_proof_line_by_line_as_it_is_printed() -> None:
    page = (Path(__file__).parents[2] / "docs" / "adventureworks.md").read_text(encoding="utf-8")
    shown = page.partition("## The proof")[2].split("```")[1].strip("\n").splitlines()
    assert [line[:34] for line in shown[:-2]] == [line[:34] for line in table(BALANCED)]


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ({"customers": 4}, "people in the files and on the record: 5 and 4"),
        ({"people": 6, "customers": 6}, "candidates of the newsletter: 6 and 5"),
        ({"orders": 4}, "candidates of the follow-up: 4 and 3"),
        ({"consents": 3}, "skipped for it: 2 and 3"),
        ({"total": {**BALANCED.total, "candidates": 9}}, "in total: 8 and 9"),
        ({"total": {**BALANCED.total, "states": {"sent": 3, "uncertain": 1}}}, "neither sent nor ended and none: 1"),
        ({"ledgers": Ledgers(email=EMAILS[1:], sms=TEXTS)}, "e-mails sent and accepted: 3 and 2"),
        ({"ledgers": Ledgers(email=EMAILS, sms=[])}, "text messages sent and accepted: 1 and 0"),
        ({"ledgers": Ledgers(email=[*EMAILS[1:], EMAILS[1]], sms=TEXTS)}, "twice and none: 1 and 0"),
        ({"holds": False}, "equation"),
        ({"violations": (Violation(invariant="I3", subject="m", text="accepted, but ready"),)}, "I3 m"),
    ],
)
def test_whatever_is_off_is_named(broken: Mapping[str, Any], named: str) -> None:
    found = problems(replace(BALANCED, **broken))
    assert [text for text in found if named in text], found


def test_the_same_text_to_the_same_number_is_a_copy_though_twilio_names_it_anew() -> None:
    twice = Ledgers(email=[], sms=[accepted("s1", sha256="x"), accepted("s2", sha256="x")])
    assert twice.copies == 1
