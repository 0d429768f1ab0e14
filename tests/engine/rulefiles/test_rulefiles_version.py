"""A rule's version changes with what it says and with nothing else."""

import pytest
from rulefile_samples import edited, good_files

from outbound.engine.rulefiles import load


def version(files: dict[str, bytes], rule: str = "order-shipped") -> str:
    ruleset = load(files).ruleset
    assert ruleset is not None
    return ruleset.rules[rule].version


ORIGINAL = version(good_files())

SAME = {
    "a comment": ("owner: ops@shop.example", "owner: ops@shop.example  # the night shift"),
    "quotes": ("owner: ops@shop.example", 'owner: "ops@shop.example"'),
    "a folded text": (
        "who: has(customer.email) or has(customer.phone)   #",
        "who: >\n  has(customer.email)\n  or has(customer.phone)\nexpires: 36h #",
    ),
    "a list of one": (
        "who: has(customer.email) or has(customer.phone)",
        "who: [has(customer.email) or has(customer.phone)]",
    ),
    "blanks in a condition": ("event.carrier != 'pickup'", "event.carrier   !=  'pickup'"),
    "block instead of flow": ("  channels: [push, email, sms]     #", "  channels:\n  - push\n  - email\n  - sms\n#"),
    "the order of keys": ("topic: order-updates               # policy.yaml says: class transactional\nwhen:", "when:"),
}

OTHER = {
    "another owner": ("ops@shop.example", "crm@shop.example"),
    "another expiry": ("36h", "35h"),
    "another order of channels": ("[push, email, sms]", "[email, push, sms]"),
    "another value": ("'pickup'", "'ups'"),
    "draft": ("owner:", "draft: true\nowner:"),
}


@pytest.mark.parametrize("change", SAME)
def test_layout_does_not_count(change: str) -> None:
    old, new = SAME[change]
    files = edited("rules/orders.yaml", old, new)
    text = files["rules/orders.yaml"].decode()
    if change == "a folded text":
        text = text.replace("\nexpires: 36h                       #", "\n#")
    if change == "the order of keys":
        text += "topic: order-updates\n"
    files["rules/orders.yaml"] = text.encode()
    assert version(files) == ORIGINAL


@pytest.mark.parametrize("change", OTHER)
def test_meaning_counts(change: str) -> None:
    old, new = OTHER[change]
    assert version(edited("rules/orders.yaml", old, new)) != ORIGINAL


def test_blanks_inside_a_quoted_text_count() -> None:
    versions = {
        version(edited("rules/recall.yaml", "send:", f"who: customer.phone == '{text}'\nsend:"), "recall-notice")
        for text in ("a b", "a  b")
    }
    assert len(versions) == 2


def test_the_place_in_the_file_does_not_count() -> None:
    files = good_files()
    rule = files.pop("rules/orders.yaml")
    files["rules/recall.yaml"] += b"---\n\n" + rule
    assert version(files) == ORIGINAL


def test_the_version_is_stable_across_releases_of_the_program() -> None:
    """Stored with every run: a new version of the program must not re-version every rule."""
    assert ORIGINAL == "946b8aaaf3ce8d9cffb9ef933b8970825e084395b048b429185ab130c8a6b730"
