"""test: rules lived through on a virtual clock; what differs, what is wrong in a file, what no test exercises."""

import tomllib
from importlib.metadata import entry_points
from pathlib import Path
from xml.etree.ElementTree import parse

import pytest
from trial_shop import Shop

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[3]
PLUGIN = "outbound.interfaces.pytest_plugin"

ORDER = """
test: receipts
rules: [../rules.yaml]
policy: ../policy.yaml
clock: {start: "2026-11-02T10:00", stop: "2026-11-03T10:00", tz: Europe/Rome}
customers:
  _defaults: {country: IT, reach: [email]}
  ada: {}
  ben: {reach: []}
events:
  - {at: +30m, event: order.placed, customer: [ada, ben], data: {order_id: A1, total: 12.5}}
  - {at: +45m, send: notice, customer: ada, data: {what: a leak}}
expect:
  ada:
    - {at: "2026-11-02T10:30", channel: email, template: receipt, rule: receipt, topic: orders}
    - {at: "2026-11-02T10:45", template: notice}
why_not:
  - {customer: ben, rule: receipt, reason: unreachable}
  - {customer: ben, rule: receipt, reason: unreachable.no_email}
  - {customer: ben, rule: notice, reason: match}
"""
NAME = "rules/tests/order.test.yaml"


@pytest.fixture
def tested(shop: Shop) -> Shop:
    """The shop with one file of tests that hold."""
    shop.write(NAME, ORDER)
    return shop


def change(shop: Shop, old: str, new: str) -> None:
    assert old in ORDER
    shop.write(NAME, ORDER.replace(old, new))


def test_tests_that_hold_say_so_and_name_what_they_leave_out(tested: Shop) -> None:
    assert tested.run("test").out == "6 passed in 1 test.\n"
    told = tested.run("test", "--coverage", status=2).out
    assert "Not covered:\n" in told
    assert "  rules/rules.yaml:10 notice: channel sms is never used\n" in told
    assert "  rules/rules.yaml:17 letter: never decides about anybody\n" in told
    answer = tested.run("test", "--json").json
    assert (answer["good"], answer["passed"], answer["failed"], answer["uncovered"]) == (True, 6, 0, None)


def test_a_difference_is_shown_field_by_field_with_its_place(tested: Shop) -> None:
    change(tested, 'at: "2026-11-02T10:30", channel: email', 'at: "2026-11-02T10:31", channel: sms')
    assert tested.run("test", status=2).out.splitlines() == [
        f"{'FAIL receipts  ada[0]':<70}  rules/tests/order.test.yaml:15",
        "  expected  2026-11-02T10:31  sms     receipt  (receipt)",
        "  got       2026-11-02T10:30  email   receipt  (receipt)",
        "  near      rules/rules.yaml:2  rule: receipt  channels: [email]",
        "  differs   at, channel",
        "1 failed, 5 passed in 1 test.",
    ]


def test_lists_are_complete_and_whoever_is_not_listed_gets_nothing(tested: Shop) -> None:
    change(tested, '    - {at: "2026-11-02T10:45", template: notice}\n', "")
    told = tested.run("test", status=2).out
    assert "FAIL receipts  ada[1]" in told
    assert "  expected  nothing\n  got       2026-11-02T10:45  email   notice  (notice)\n" in told
    begin = ORDER.index("expect:")
    tested.write(NAME, ORDER[:begin] + ORDER[ORDER.index("why_not:") :])
    assert tested.run("test", status=2).out.count("expected  nothing (not listed)") == 2


def test_a_missing_message_and_a_wrong_reason_say_what_the_reason_is(tested: Shop) -> None:
    change(tested, "why_not:\n", "  ben:\n    - {template: receipt, rule: receipt}\nwhy_not:\n")
    assert "  got       nothing: unreachable.no_email\n" in tested.run("test", status=2).out
    change(tested, "reason: match", "reason: consent.notices")
    told = tested.run("test", status=2).out
    assert "FAIL receipts  ben why_not" in told
    assert "  expected  consent.notices\n  got       match\n" in told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("reason: match", "reson: match", "unknown field 'reson'"),
        ("template: notice", "chanel: email", "unknown field 'chanel'"),
        ("country: IT", "contry: IT", "unknown field 'contry'"),
        (
            "customer: ben, rule: receipt, reason: unreachable}",
            "customer: bob, reason: who}",
            "'bob' is not a customer",
        ),
        ("at: +30m", 'at: "2026-11-03T10:01"', "this is after the clock stops"),
        ("order_id: A1, ", "", "needs the field 'order_id'"),
        ("event: order.placed", "event: order.place", "'order.place' is not an event"),
        ("template: notice", "step: welcome", "journeys are not built"),
        ("expect:", "end: {ada: completed}\nexpect:", "journeys are not built"),
        ("[../rules.yaml]", "[../rule.yaml]", "there is no file rules/rule.yaml"),
        ("rule: notice, reason", "rule: notices, reason", "there is no rule 'notices'"),
        ("send: notice", "send: receipt", "is not a rule that a script starts"),
        ("reach: [email]", "reach: [email], quiet_from: 9pm", "'9pm' is no value of quiet_from"),
        ("reach: [email]", "reach: [email], refused: newsletter/fax", "there is no channel 'fax'"),
        ("reach: [email]", "reach: [email], blocked: email/news", "there is no class 'news'"),
    ],
)
def test_what_is_wrong_in_a_file_is_named_with_its_place(tested: Shop, old: str, new: str, told: str) -> None:
    change(tested, old, new)
    answer = tested.run("test", status=1).out
    assert told in answer
    assert answer.startswith("rules/tests/order.test.yaml:") or "/rules/tests/order.test.yaml:" in answer


def test_a_file_without_a_test_is_no_success(tested: Shop) -> None:
    for empty in ("", "# to be written\n"):
        tested.write("rules/tests/empty.test.yaml", empty)
        assert "empty.test.yaml:1:1: error: there is no test in this file" in tested.run("test", status=1).out


def test_a_release_whose_tests_fail_is_refused_and_the_last_one_goes_on(tested: Shop) -> None:
    tested.run("apply")
    running = tested.run("status", "--json").json["release"]
    change(tested, "reason: match", "reason: cap")
    refused = tested.run("apply", status=1)
    assert "test receipts: ben why_not: expected cap; got match" in refused.out
    assert "Refused: 1 rule test assertion failed. The release that ran before goes on." in refused.err
    assert tested.run("status", "--json").json["release"] == running
    assert tested.run("apply", "--json", "--dry-run", status=1).json["refused"] is True


def test_junit_has_a_case_for_each_test(tested: Shop) -> None:
    change(tested, "reason: match", "reason: cap")
    file = tested.folder / "junit.xml"
    tested.run("test", "--junit", str(file), status=2)
    suite = parse(file).getroot()[0]  # noqa: S314 - our own file
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("1", "1", "0")
    assert "expected  cap" in (suite[0][0].text or "")


def test_files_are_chosen_by_their_name(tested: Shop) -> None:
    tested.write("rules/tests/other.test.yaml", ORDER.replace("test: receipts", "test: others"))
    assert tested.run("test", "other.test.yaml").out == "6 passed in 1 test.\n"
    assert "[test.none]" in tested.run("test", "none.test.yaml", status=1).err


def test_pytest_collects_the_same_files(tested: Shop, pytester: pytest.Pytester) -> None:
    known = {point.value for point in entry_points(group="pytest11")}
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"] == {
        "outbound": PLUGIN
    }
    loaded = [] if PLUGIN in known else ["-p", PLUGIN]  # an editable install may be older than the entry point
    result = pytester.inline_run("-p", "no:cacheprovider", *loaded, str(tested.folder / "rules" / "tests"))
    result.assertoutcome(passed=1)
    change(tested, "reason: match", "reason: cap")
    failed = pytester.inline_run("-p", "no:cacheprovider", *loaded, str(tested.folder / "rules" / "tests"))
    failed.assertoutcome(failed=1)


def test_the_shipped_rules_have_tests_that_cover_every_line() -> None:
    from outbound.services import working_copy
    from outbound.services.ruletests import find_tests, run_tests

    suite = run_tests(working_copy.read_files(ROOT / "rules", ROOT / "templates"), find_tests(ROOT / "rules"))
    assert suite.good, [failure.render() for failure in suite.failures]
    assert [one.render() for one in suite.uncovered] == []


def test_words_blocks_and_hours_of_their_own_count_from_when_they_are_told(tested: Shop) -> None:
    change(tested, "  _defaults: {country: IT, reach: [email]}", "  _defaults: {country: IT, reach: [email, sms]}")
    test = (tested.folder / NAME).read_text()
    told = test.replace("customers:", "customers:\n  cleo: {prefers: sms}").replace("expect:", LATER)
    tested.write(NAME, told)
    assert tested.run("test").out == "8 passed in 1 test.\n"


LATER = """  - {at: +1h, set: {prefers: email}, customer: cleo}
  - {at: +2h, blocked: email/service, customer: cleo}
  - {at: +61m, send: notice, customer: cleo, data: {what: one}}
  - {at: +3h, send: notice, customer: cleo, data: {what: two}}
expect:
  cleo:
    - {at: "2026-11-02T11:01", channel: email}
    - {at: "2026-11-02T13:00", channel: sms}
"""
