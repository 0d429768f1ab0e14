"""Which lines of the rules no test has exercised.

A rule is exercised by deciding about somebody, a line of ``who`` and an ``if`` by keeping somebody out, a channel and
a template by a message that left.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from outbound.domain.release import Ruleset
from outbound.domain.rule import EventTrigger, Rule
from outbound.domain.source import Span
from outbound.engine.conditions.evaluate import evaluate
from outbound.engine.conditions.facts import Facts
from outbound.services.ruletests.record import Record
from outbound.services.ruletests.values import RuleTest


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncovered:
    """One line, and what about it no test has seen."""

    span: Span
    rule: str
    what: str

    def render(self) -> str:
        """``rules/x.yaml:11 who[0] customer.is_adult``."""
        return f"{self.span.file}:{self.span.line} {self.rule}: {self.what}"


class Coverage:
    """What the tests have exercised so far."""

    def __init__(self) -> None:
        self._started: set[str] = set()
        self._clauses: defaultdict[str, set[int]] = defaultdict(set)
        self._templates: defaultdict[str, set[str]] = defaultdict(set)
        self._channels: defaultdict[str, set[str]] = defaultdict(set)
        self._refused: set[str] = set()

    def add(self, test: RuleTest, ruleset: Ruleset, record: Record) -> None:
        """Count one test that was lived through."""
        self._started |= record.started
        for rule, clauses in record.clauses.items():
            self._clauses[rule] |= clauses
        for rule, templates in record.templates.items():
            self._templates[rule] |= templates
        for rule, channels in record.channels.items():
            self._channels[rule] |= channels
        self._refused |= {rule.id for rule in ruleset.rules.values() if _refuses_an_event(rule, test)}

    def missing(self, ruleset: Ruleset) -> list[Uncovered]:
        """What is left, in the order of the files. Drafts need no tests."""
        rules = sorted((r for r in ruleset.rules.values() if not r.draft), key=lambda r: (r.span.file, r.span.line))
        return [one for rule in rules for one in self._of(rule)]

    def _of(self, rule: Rule) -> Iterator[Uncovered]:
        def uncovered(span: Span, what: str) -> Uncovered:
            return Uncovered(span=span, rule=rule.id, what=what)

        if rule.id not in self._started:
            yield uncovered(rule.span, "never decides about anybody")
            return
        if isinstance(rule.trigger, EventTrigger) and rule.trigger.condition and rule.id not in self._refused:
            clause = rule.trigger.condition[0]
            yield uncovered(clause.span, f"if {clause.text} is never false")
        for number, clause in enumerate(rule.who):
            if number not in self._clauses[rule.id]:
                yield uncovered(clause.span, f"who[{number}] {clause.text} keeps nobody out")
        for template in sorted(rule.templates - self._templates[rule.id]):
            yield uncovered(rule.span, f"template {template} is never sent")
        for channel in rule.send.channels:
            if channel.value not in self._channels[rule.id]:
                yield uncovered(rule.span, f"channel {channel} is never used")


def _refuses_an_event(rule: Rule, test: RuleTest) -> bool:
    trigger = rule.trigger
    if not isinstance(trigger, EventTrigger) or not trigger.condition or rule.span.file not in test.files:
        return False
    condition = evaluate(trigger.condition)
    return any(
        condition(Facts(customer={}, event=one.data, now=one.at, today=one.at.date(), zone=test.zone)) is not True
        for one in test.happenings
        if one.event == trigger.event
    )
