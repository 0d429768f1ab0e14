"""Rules that fire at one moment for the same people are named, with the one that goes first."""

import pytest
from rulefile_samples import good_files

from outbound.engine.rulefiles import load

ONE = """
rule: one
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=WE, at: "17:00", tz: customer}
who: customer.country in ['DE', 'AT']
send: {template: news, channels: [email]}
"""


def told(*rules: str) -> list[str]:
    kept = ("templates/", "rules/policy.yaml", "rules/schema.yaml", "rules/segments.yaml")
    files = {path: text for path, text in good_files().items() if path.startswith(kept)}
    files["rules/tried.yaml"] = "\n---\n".join(rules).encode()
    loaded = load(files)
    assert not [p.render() for p in loaded.problems if p.severity == "error"]
    return [f"{p.span.line}: {p.message}" for p in loaded.problems if p.code == "overlap"]


def test_the_one_that_waits_is_told_who_goes_first() -> None:
    """By priority, and by name where that is the same."""
    gift = ONE.replace("rule: one", "rule: other").replace("topic: newsletter", "topic: gifts")
    assert told(ONE, gift) == [
        "5: fires at the same moment as rule 'other', for people who may be the same: that goes first"
    ]
    assert told(gift.replace("topic: gifts", "topic: newsletter"), ONE) == [
        "5: fires at the same moment as rule 'one', for people who may be the same: that goes first"
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('at: "17:00"', 'at: "17:30"'),
        ("customer.country in ['DE', 'AT']", "customer.country == 'FR'"),
        ("customer.country in ['DE', 'AT']", "not customer.country in ['DE', 'AT']"),
        ("topic: newsletter", "topic: order-updates"),
        ("owner:", "draft: true\nowner:"),
    ],
)
def test_rules_that_cannot_meet_are_left_in_peace(old: str, new: str) -> None:
    other = ONE.replace("rule: one", "rule: other")
    assert told(ONE, other)
    assert old in other
    assert told(ONE, other.replace(old, new)) == []
