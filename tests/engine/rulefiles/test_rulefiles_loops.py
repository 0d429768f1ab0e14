"""Fault F53: rules that set each other off are refused when they are read.

The depth and the daily maximum of the ladder are the backstop for what files cannot show.
"""

import time

import pytest
from rulefile_samples import edited, good_files

from outbound.domain.message_events import BUILT_IN, MESSAGE_EVENTS, MESSAGE_FIELDS
from outbound.domain.source import Severity
from outbound.engine.rulefiles import load

PATH = "rules/loops.yaml"


def rule(name: str, when: str, *, topic: str = "contract-notices", more: str = "") -> str:
    send = "send: {template: recall, channels: [email]}"
    return f"---\nrule: {name}\nowner: ops@shop.example\ntopic: {topic}\nwhen: {when}\n{more}{send}\n"


def found(*rules: str, segments: str = "") -> list[str]:
    """The loops of these rules beside the good set, without their places."""
    files = good_files()
    files[PATH] = "".join(rules).encode()
    files["rules/segments.yaml"] += segments.encode()
    loaded = load(files)
    assert {str(p.code) for p in loaded.problems} <= {"loop"}, [p.render() for p in loaded.problems]
    assert (loaded.ruleset is None) == any(p.severity is Severity.ERROR for p in loaded.problems)
    return [p.message for p in loaded.problems]


OWN = "rule 'a' sets itself off with its own messages"


@pytest.mark.parametrize("event", MESSAGE_EVENTS)
def test_a_rule_on_any_message_sets_itself_off(event: str) -> None:
    """Fault F53: its own click, opening, delivery and so on start it again."""
    assert found(rule("a", f"{{event: {event}}}")) == [OWN]


@pytest.mark.parametrize(
    ("condition", "loops"),
    [
        ("event.rule == 'a'", True),
        ("event.rule != 'a'", False),
        ("not event.rule == 'a'", False),
        ("event.rule == 'birthday'", False),
        ("event.rule in ['birthday', 'winback']", False),
        ("event.rule in ['birthday', 'a']", True),
        ("event.rule not in ['birthday', 'a']", False),
        ("event.rule not in ['birthday']", True),
        ("(event.rule ?? '') != 'a'", False),
        ("lower(event.rule) == 'b'", False),
        ("event.topic == 'gifts'", False),
        ("event.topic == 'contract-notices'", True),
        ("event.channel == 'sms'", False),
        ("event.channel in ['email', 'sms']", True),
        ("event.step == 'welcome'", True),
        ("event.rule == 'birthday' or customer.id == 'c1'", True),
        ("event.rule == 'birthday' or event.topic == 'gifts'", False),
        ("event.rule == 'birthday' and customer.id == 'c1'", False),
        ("event.rule == customer.id", True),
        ("has(event.rule)", True),
    ],
)
def test_a_condition_that_keeps_its_own_messages_out_breaks_the_loop(condition: str, loops: bool) -> None:
    """Fault F53: only what is certain counts, and a rule that names those it follows is fine, without a warning."""
    assert found(rule("a", f'{{event: message.clicked, if: "{condition}"}}')) == ([OWN] if loops else [])


def test_lines_of_the_condition_count_together() -> None:
    both = "[\"event.rule in ['a', 'birthday']\", \"event.topic == 'gifts'\"]"
    assert found(rule("a", f"{{event: message.clicked, if: {both}}}")) == []


def test_two_rules_that_follow_from_each_other_are_named_with_their_places() -> None:
    """Fault F53: A triggers B triggers A."""
    assert found(
        rule("a", "{event: message.clicked, if: event.rule == 'b'}"),
        rule("b", "{event: message.sent, if: event.rule == 'a'}"),
    ) == ["rule 'a' sets itself off: a (rules/loops.yaml:5:15) -> b (rules/loops.yaml:11:15) -> a"]


def test_a_longer_way_round_is_found_once_and_its_way_in_is_not_blamed() -> None:
    rules = [rule(name, f"{{event: message.sent, if: event.rule == '{by}'}}") for name, by in ("ac", "ba", "cb")]
    assert found(*rules, rule("d", "{event: message.sent, if: event.rule == 'a'}")) == [
        "rule 'a' sets itself off: "
        + " -> ".join(f"{name} (rules/loops.yaml:{line}:15)" for name, line in (("a", 5), ("b", 11), ("c", 17)))
        + " -> a"
    ]


def test_rules_that_follow_each_other_in_a_line_are_fine() -> None:
    assert (
        found(
            rule("a", "{event: message.sent, if: event.rule == 'birthday'}"),
            rule("b", "{event: message.sent, if: event.rule == 'a'}"),
        )
        == []
    )


@pytest.mark.parametrize(
    ("condition", "loops"),
    [
        ("happened(message.clicked, within 7d)", True),
        ("not happened(message.sent, within 7d)", True),
        ("count(message.opened, where event.rule == 'birthday') >= 3", False),
        ("count(message.opened, where event.rule != 'a') >= 3", False),
        ("(count(message.opened, where event.topic == 'contract-notices') >= 3) or customer.is_adult", True),
        ("segment.clickers and customer.is_adult", True),
        ("happened(order.placed)", False),
    ],
)
def test_a_segment_about_messages_counts_as_an_event(condition: str, loops: bool) -> None:
    """Fault F53: the rule's own messages move people into the segment that starts it."""
    segments = f"---\nsegment: clickers\nif: happened(message.clicked)\n---\nsegment: told\nif: {condition}\n"
    follower = rule("z", "{enters: clickers}", more="draft: true\n")  # so that no segment is unused
    assert (OWN in found(rule("a", "{enters: told}"), follower, segments=segments)) == loops


def test_a_draft_in_a_loop_is_a_warning() -> None:
    """It never fires, so nothing goes round; publishing it later would be refused."""
    assert found(rule("a", "{event: message.clicked}", more="draft: true\n")) == [OWN]
    files = good_files()
    files[PATH] = rule("a", "{event: message.clicked}", more="draft: true\n").encode()
    assert [p.severity for p in load(files).problems] == [Severity.WARNING]


def test_a_loop_of_live_rules_is_an_error_although_a_draft_would_be_shorter() -> None:
    files = good_files()
    files[PATH] = "".join(
        [
            rule("a", "{event: message.sent, if: \"event.rule in ['d', 'c']\"}"),
            rule("b", "{event: message.sent, if: event.rule == 'a'}"),
            rule("c", "{event: message.sent, if: event.rule == 'b'}"),
            rule("d", "{event: message.sent, if: event.rule == 'a'}", more="draft: true\n"),
        ]
    ).encode()
    problems = load(files).problems
    assert [(p.severity, p.message.partition(":")[0]) for p in problems] == [
        (Severity.ERROR, "rule 'a' sets itself off"),
        (Severity.WARNING, "rule 'd' sets itself off"),
    ]


def test_the_events_of_messages_are_declared_in_every_schema() -> None:
    ruleset = load(good_files()).ruleset
    assert ruleset is not None
    for event in MESSAGE_EVENTS:
        assert tuple(ruleset.schema.events[event]) == BUILT_IN[event]
        assert not any(field.required for field in ruleset.schema.events[event].values())


def test_an_event_of_messages_may_be_declared_again_with_more_fields() -> None:
    line = "  message.clicked: {step: {type: string}, rule: {type: string}, url: {type: string}}\n"
    files = edited("rules/schema.yaml", "events:\n", f"events:\n{line}")
    ruleset = load(files).ruleset
    assert ruleset is not None
    assert set(ruleset.schema.events["message.clicked"]) == {*MESSAGE_FIELDS, "url"}


def test_hundreds_of_rules_on_messages_are_judged_at_once() -> None:
    files = good_files()
    files[PATH] = "".join(
        rule(f"r{n}", f"{{event: message.sent, if: event.rule == 'r{n - 1}'}}") for n in range(300)
    ).encode()
    started = time.process_time()
    assert load(files).ruleset is not None
    with_it = time.process_time() - started
    files[PATH] = "".join(
        rule(f"r{n}", "{event: order.placed, if: event.order_id == 'r'}") for n in range(300)
    ).encode()
    started = time.process_time()
    assert load(files).ruleset is not None
    assert with_it - (time.process_time() - started) < 2
