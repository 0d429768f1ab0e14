"""``outbound send`` sends once per (rule, key), says what it would do, and refuses what does not fit."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from planning_kit import NEWSLETTER, add_customer, balance, messages, publish, rows, rule_files, utc

from outbound.domain.errors import OutboundError
from outbound.services.releases import Active
from outbound.services.sends import Recipient, SendReport, read_recipients, send
from outbound.storage import tables
from outbound.storage.database import Database

NOW = utc("2026-03-02 12:00")
RECALL = """
rule: recall
owner: ops@shop.example
topic: notices
when: {script: {batch: string, size: number}}
send: {template: recall, channels: [sms, email]}
"""
FILES = {
    "templates/recall/template.yaml": (
        b"subject: {en: Recall}\ncontext: {script: [batch]}\nsample: {script: {batch: L77}}\n"
    ),
    "templates/recall/sms.txt": b"Please return batch {{ script.batch }}.",
    "templates/recall/email.mjml": (
        b"<mj-section><mj-column><mj-text>Please return batch {{ script.batch }}.</mj-text></mj-column></mj-section>"
    ),
}
ARGUMENTS = {"batch": "L77", "size": "12"}


@pytest.fixture
def active(database: Database) -> Active:
    """A recall rule and three customers: one with a phone, one with an address only, one with nothing."""
    active = publish(database, {**rule_files(RECALL, NEWSLETTER), **FILES}, utc("2026-01-02 00:00"))
    add_customer(database, "ada", phone="+393331234567")
    add_customer(database, "bob")
    add_customer(database, "mute", email=None)
    return active


def _send(database: Database, active: Active, ids: Sequence[str], **more: Any) -> SendReport:
    recipients = [Recipient(customer_id=name, line=number) for number, name in enumerate(ids, 1)]
    values: dict[str, Any] = {"rule": "recall", "arguments": ARGUMENTS, "key": "L77", "by": "mia", "now": NOW, **more}
    return send(database, active, recipients=recipients, **values)


def test_a_send_makes_one_message_each_with_typed_arguments(database: Database, active: Active) -> None:
    report = _send(database, active, ["ada", "bob", "mute", "ghost", "ada"])
    assert (report.rows, report.repeated, report.new, report.already) == (5, 1, 2, 0)
    assert dict(report.counts.channels) == {"sms": 1, "email": 1}
    assert dict(report.counts.skipped_by) == {"unreachable": 1}
    assert report.unknown == [Recipient(customer_id="ghost", line=4)]
    assert messages(database)["ada"].context == {"script": {"batch": "L77"}}
    assert messages(database)["ada"].once == "L77"
    [request] = rows(database, tables.send_request)
    assert request.arguments == {"batch": "L77", "size": 12}
    assert list(balance(database)) == [(3, 1, 2)]


def test_the_same_call_again_sends_to_nobody(database: Database, active: Active) -> None:
    _send(database, active, ["ada", "bob"])
    again = _send(database, active, ["bob", "ada"])
    assert (again.new, again.already) == (0, 2)
    assert list(balance(database)) == [(2, 0, 2)]


def test_other_recipients_under_the_key_are_refused_unless_the_call_extends(database: Database, active: Active) -> None:
    _send(database, active, ["ada"])
    with pytest.raises(OutboundError, match="other recipients") as refused:
        _send(database, active, ["ada", "bob"])
    assert "--extend" in refused.value.remedy
    extended = _send(database, active, ["ada", "bob"], extend=True)
    assert (extended.new, extended.already) == (1, 1)
    for ids in (["ada"], ["ada", "bob"]):  # every list accepted so far may be repeated
        assert _send(database, active, ids).new == 0
    assert len(rows(database, tables.run)) == 1
    assert list(balance(database)) == [(2, 0, 2)]


def test_other_arguments_under_the_key_are_refused(database: Database, active: Active) -> None:
    _send(database, active, ["ada"])
    with pytest.raises(OutboundError, match="other arguments"):
        _send(database, active, ["ada"], arguments={"batch": "L78", "size": 12})


def test_another_key_is_another_occasion(database: Database, active: Active) -> None:
    _send(database, active, ["ada"])
    assert _send(database, active, ["ada"], key="L77 second call").new == 1


def test_a_customer_imported_later_is_sent_to_by_the_same_call(database: Database, active: Active) -> None:
    assert _send(database, active, ["ada", "late"]).new == 1
    add_customer(database, "late")
    assert _send(database, active, ["ada", "late"]).new == 1


def test_a_dry_run_counts_and_writes_nothing(database: Database, active: Active) -> None:
    report = _send(database, active, ["ada", "bob", "mute", "ghost"], dry_run=True)
    assert report.new == 2
    assert (report.counts.cost, report.currency, report.counts.costs) == (70_400, "EUR", {"sms": 70_000, "email": 400})
    assert [r.line for r in report.unknown] == [4]
    for table in (tables.run, tables.decision, tables.message, tables.send_request, tables.manifest):
        assert rows(database, table) == []


def test_who_is_asked_of_named_recipients_too(database: Database) -> None:
    rule = RECALL + "who: customer.plan == 'pro'\n"
    active = publish(database, {**rule_files(rule, NEWSLETTER), **FILES}, utc("2026-01-02 00:00"))
    add_customer(database, "ada", attributes={"plan": "pro"})
    add_customer(database, "bob", timezone="Asia/Tokyo")
    report = _send(database, active, ["ada", "bob"])
    assert (report.new, report.missed) == (1, 1)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"rule": "nope"}, "send.rule"),
        ({"rule": "news"}, "send.rule"),
        ({"key": " "}, "send.key"),
        ({"arguments": {"batch": "L77"}}, "send.argument"),
        ({"arguments": {"batch": "L77", "size": "twelve"}}, "send.argument"),
        ({"arguments": {"batch": "L77", "size": "nan"}}, "send.argument"),
        ({"arguments": {**ARGUMENTS, "colour": "red"}}, "send.argument"),
    ],
)
def test_a_call_that_does_not_fit_the_rule_is_refused(
    database: Database, active: Active, more: dict[str, Any], code: str
) -> None:
    with pytest.raises(OutboundError) as refused:
        _send(database, active, ["ada"], **more)
    assert refused.value.code == code
    assert refused.value.remedy
    assert rows(database, tables.message) == []


@pytest.mark.parametrize(
    ("active_time", "now", "refused"),
    [
        ('{from: "2026-03-02", until: "2026-03-02"}', "2026-03-01 22:59", True),
        ('{from: "2026-03-02", until: "2026-03-02"}', "2026-03-01 23:00", False),
        ('{from: "2026-03-02", until: "2026-03-02"}', "2026-03-02 22:59", False),
        ('{from: "2026-03-02", until: "2026-03-02"}', "2026-03-02 23:00", True),
        ('{until: "2026-03-02T10:00"}', "2026-03-02 09:00", True),
    ],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_a_call_outside_the_active_time_of_the_rule_is_refused(
    database: Database, active_time: str, now: str, *, refused: bool, dry_run: bool
) -> None:
    """A day counts whole, in the zone of the policy (Rome)."""
    rule = f"{RECALL}active: {active_time}\n"
    active = publish(database, {**rule_files(rule, NEWSLETTER), **FILES}, utc("2026-01-02 00:00"))
    add_customer(database, "bob")
    if not refused:
        assert _send(database, active, ["bob"], now=utc(now), dry_run=dry_run).new == 1
        return
    with pytest.raises(OutboundError, match="not active now") as error:
        _send(database, active, ["bob"], now=utc(now), dry_run=dry_run)
    assert error.value.code == "send.inactive"
    assert rows(database, tables.run) == []


def test_of_two_first_calls_at_once_with_different_recipients_one_is_refused(
    database: Database, active: Active
) -> None:
    """Whichever comes first: the other would add to the occasion without having said ``extend``."""
    for number in range(8):
        start = Barrier(2)

        def call(who: str, key: str = f"k{number}", start: Barrier = start) -> str:
            start.wait(30)
            try:
                _send(database, active, [who], key=key)
            except OutboundError as error:
                return error.code
            return "sent"

        with ThreadPoolExecutor(2) as threads:
            assert sorted(threads.map(call, ("ada", "bob"))) == ["send.recipients", "sent"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ada\nbob\n", [("ada", 1), ("bob", 2)]),
        ("\ufeffcustomer_id\nada\n\nbob", [("ada", 2), ("bob", 4)]),
        ("name;id\nAda;ada\nBob;bob\n", [("ada", 2), ("bob", 3)]),
        ("ID\tname\r\nada\tAda L.\r\n", [("ada", 2)]),
    ],
)
def test_recipients_are_read_from_a_list_or_a_table(tmp_path: Path, text: str, expected: list[tuple[str, int]]) -> None:
    path = tmp_path / "affected.csv"
    path.write_text(text, encoding="utf-8")
    assert [(r.customer_id, r.line) for r in read_recipients(path)] == expected


def test_a_file_without_customers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "affected.csv"
    path.write_text("id\n\n", encoding="utf-8")
    for missing in (path, tmp_path / "nowhere.csv"):
        with pytest.raises(OutboundError):
            read_recipients(missing)
