"""Reading a test file: every mistake with its place, and no field that is not known (rules.md section 4)."""

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from posixpath import dirname, join, normpath
from typing import Final, NoReturn

from outbound.domain.customer import ChannelName, Scalar
from outbound.domain.errors import OutboundError
from outbound.domain.release import Files, Ruleset
from outbound.domain.rule import ScriptTrigger
from outbound.domain.source import Problem, Span
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import ListNode, MapNode, Node, ScalarNode
from outbound.engine.rulefiles.values import parse_date, parse_duration, zone_exists
from outbound.engine.rulefiles.yaml_source import read_documents
from outbound.engine.timing.walls import add, resolve_wall
from outbound.engine.timing.zones import zone_named
from outbound.services.events import check_event, typed_fields
from outbound.services.ruletests.values import Ambit, Expected, Happening, RuleTest, Silence, Somebody, Words
from outbound.services.sends import typed_arguments

CODE: Final = "rule-test"
_DEFAULTS: Final = "_defaults"
_TOP: Final = ("test", "rules", "policy", "clock", "customers", "events", "expect", "why_not", "end")
_EXPECT: Final = ("at", "channel", "template", "rule", "topic", "held_by")
_WORDS: Final = ("consent", "refused", "blocked")
_KINDS: Final = ("event", "send", "set", *_WORDS)
_RESERVED: Final = ("language", "timezone", "country", "email", "phone")
_STATED: Final = ("prefers", "quiet_from", "quiet_to", "pause_from", "pause_to", "frequency")
_EVERY_CLASS: Final = "all"
_CLOCK: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_STATEMENTS: Final = {"quiet": 'write "21:00"', "pause": 'write "2026-12-24"', "frequency": "the only one is fewer"}
_OFFSET: Final = re.compile(r"\+\s*(\d+\w+)")
_JOURNEYS: Final = "journeys are not built in this version: a test cannot name a step or the end of one"


class _Wrong(Exception):  # noqa: N818 - control flow inside this module
    """One part of the file cannot be read; the problem is noted already."""


def read_tests(path: str, content: bytes, ruleset: Ruleset, files: Files) -> list[RuleTest] | tuple[Problem, ...]:
    """The tests of one file, or everything wrong with it. ``path`` is as in a set: rules/tests/x.test.yaml."""
    findings = Findings()
    found = []
    for document in read_documents(path, content, findings):
        reader = _Reader(path, findings, ruleset, files)
        try:
            found.append(reader.test(document))
        except _Wrong:
            continue
    if not found and not findings.problems:
        hint = "write one, or take the file away"
        message = "there is no test in this file"
        findings.add(Problem(span=Span(path, 1, 1), message=message, code=CODE, suggestion=hint))
    lines = content.decode("utf-8-sig", "replace").split("\n")
    if findings.problems:
        return tuple(_with_line(problem, lines) for problem in findings.problems)
    return found


def _with_line(problem: Problem, lines: list[str]) -> Problem:
    line = lines[problem.span.line - 1] if problem.span.line <= len(lines) else ""
    return Problem(
        span=problem.span,
        message=problem.message,
        code=problem.code,
        severity=problem.severity,
        suggestion=problem.suggestion,
        source_line=line,
    )


class _Reader:
    """One document."""

    def __init__(self, path: str, findings: Findings, ruleset: Ruleset, files: Files) -> None:
        self._path, self._findings, self._ruleset, self._files = path, findings, ruleset, files
        self._start = self._stop = datetime.now(UTC)
        self._zone = zone_named("UTC")
        self._people: dict[str, Somebody] = {}

    def test(self, document: Node) -> RuleTest:
        """The whole document. Raises _Wrong."""
        top = self._map(document, _TOP)
        for needed in ("test", "rules", "clock", "customers"):
            if top.get(needed) is None:
                self._wrong(document.span, f"a test needs '{needed}'")
        if (end := top.get("end")) is not None:
            self._wrong(end.span, _JOURNEYS, "take the key away")
        files = tuple(self._file(node) for node in self._list(top["rules"]))
        policy = self._file(top["policy"]) if top.get("policy") else ""
        self._clock(top["clock"])
        self._customers(top["customers"])
        happenings = tuple(self._happening(node) for node in self._list(top.get("events")))
        expected = self._expected(top.get("expect"))
        silences = tuple(self._silence(node) for node in self._list(top.get("why_not")))
        if self._findings.problems:
            raise _Wrong
        return RuleTest(
            name=self._text(top["test"]),
            span=document.span,
            files=files,
            policy="" if policy == "rules/policy.yaml" else policy,
            start=self._start,
            stop=self._stop,
            zone=self._zone,
            customers=self._people,
            happenings=tuple(sorted(happenings, key=lambda one: one.at)),
            expected=expected,
            silences=silences,
        )

    def _clock(self, node: Node) -> None:
        told = self._map(node, ("start", "stop", "tz"))
        for needed in ("start", "stop"):
            if needed not in told:
                self._wrong(node.span, f"the clock needs '{needed}'")
        name = self._text(told["tz"]) if "tz" in told else self._ruleset.policy.timezone
        if not zone_exists(name):
            self._wrong(node.span, f"'{name}' is not a time zone", "write an IANA name such as Europe/Berlin")
        self._zone = zone_named(name)
        self._start, self._stop = self._moment(told["start"]), self._moment(told["stop"])
        if self._stop <= self._start:
            self._wrong(told["stop"].span, "the clock stops before it starts")

    def _customers(self, node: Node) -> None:
        known = ("reach", *_WORDS, *_STATED, *_RESERVED, *self._ruleset.schema.customer)
        written = self._map(node, None)
        defaults = self._map(written[_DEFAULTS], known) if _DEFAULTS in written else {}
        for name, value in written.items():
            if name == _DEFAULTS:
                continue
            empty = isinstance(value, ScalarNode) and value.empty
            own = {} if empty else self._map(value, known)
            self._person(name, value.span, {**defaults, **own})
        if not self._people:
            self._wrong(node.span, "a test needs a customer")

    def _person(self, name: str, span: Span, told: Mapping[str, Node]) -> None:
        profile = {key: node for key, node in told.items() if key not in ("reach", *_WORDS)}
        try:
            values = self._profile(name, {key: node for key, node in profile.items() if key != "id"})
        except OutboundError as error:
            self._error(span, error.message, error.remedy)
            return
        reach = [self._channel(node) for node in self._list(told["reach"])] if "reach" in told else None
        if reach is None:
            reach = [c for c, key in ((ChannelName.EMAIL, "email"), (ChannelName.SMS, "phone")) if key in told]
        self._people[name] = Somebody(id=name, attributes=values, reach=tuple(reach), words=self._words(told))

    def _profile(self, name: str, told: Mapping[str, Node]) -> dict[str, Scalar]:
        """Attributes by their types and what is stated, only what the test cares about. Raises OutboundError."""
        declared = {
            key: replace(field, required=False)
            for key, field in self._ruleset.schema.customer.items()
            if key in told and key not in (*_RESERVED, *_STATED)
        }
        plain = {key: self._scalar(node) for key, node in told.items() if key not in _STATED}
        typed = typed_fields(name, declared, {key: plain[key] for key in declared})
        stated = {key: self._statement(key, node) for key, node in told.items() if key in _STATED}
        if "prefers" in stated:
            stated["preferred_channel"] = stated.pop("prefers")
        return {**plain, **typed, **stated}

    def _statement(self, key: str, node: Node) -> Scalar:
        """One preference as the customer's row holds it; nothing written takes it back."""
        written = self._scalar(node)
        if written is None:
            return None
        text = str(written)
        if key == "prefers":
            return self._channel(node).value
        good = {
            "quiet": _CLOCK.fullmatch(text) is not None,
            "pause": parse_date(text) is not None,
            "frequency": text == "fewer",
        }[key.partition("_")[0]]
        if not good:
            self._wrong(node.span, f"'{text}' is no value of {key}", _STATEMENTS[key.partition("_")[0]])
        return text

    def _words(self, told: Mapping[str, Node]) -> Words:
        blocked = []
        for node in self._list(told.get("blocked")):
            name, _, scope = self._text(node).partition("/")
            classes = sorted({topic.message_class.name for topic in self._ruleset.policy.topics.values()})
            if scope and scope not in classes:
                self._wrong(node.span, f"there is no class '{scope}'", did_you_mean(scope, classes))
            blocked.append((self._named_channel(node, name), scope or _EVERY_CLASS))
        return Words(
            consent=self._topics(told.get("consent")), refused=self._topics(told.get("refused")), blocked=tuple(blocked)
        )

    def _happening(self, node: Node) -> Happening:
        told = self._map(node, ("at", *_KINDS, "customer", "data"))
        kinds = [key for key in _KINDS if key in told]
        if len(kinds) != 1 or "at" not in told or "customer" not in told:
            self._wrong(node.span, f"a happening needs 'at', 'customer' and one of {', '.join(map(repr, _KINDS))}")
        at = self._moment(told["at"])
        if at > self._stop:
            self._wrong(told["at"].span, "this is after the clock stops", "set clock.stop later")
        customers = tuple(self._customer(one) for one in self._list(told["customer"]))
        values = {key: self._scalar(one) for key, one in self._map(told.get("data"), None).items()}
        what = told[kinds[0]]
        try:
            if kinds == ["event"]:
                name = self._text(what)
                data = check_event(self._ruleset.schema, name=name, data=values)
                return Happening(at=at, customers=customers, span=node.span, event=name, data=data)
            if kinds == ["send"]:
                return self._sent(what, at, customers, values, node.span)
            if kinds == ["set"]:
                known = (*_STATED, *_RESERVED, *self._ruleset.schema.customer)
                changed = self._profile("set", self._map(what, known))
                return Happening(at=at, customers=customers, span=node.span, set=changed)
            return Happening(at=at, customers=customers, span=node.span, words=self._words(told))
        except OutboundError as error:
            self._wrong(node.span, error.message, error.remedy)

    def _sent(
        self, what: Node, at: datetime, customers: tuple[str, ...], values: Mapping[str, Scalar], span: Span
    ) -> Happening:
        rule = self._ruleset.rules.get(self._text(what))
        if rule is None or not isinstance(rule.trigger, ScriptTrigger):
            scripts = [one.id for one in self._ruleset.rules.values() if isinstance(one.trigger, ScriptTrigger)]
            self._wrong(
                what.span, f"'{self._text(what)}' is not a rule that a script starts", did_you_mean("", scripts)
            )
        data = typed_arguments(rule, values)
        return Happening(at=at, customers=customers, span=span, send=rule.id, data=data)

    def _expected(self, node: Node | None) -> dict[str, tuple[Expected, ...]]:
        found: dict[str, tuple[Expected, ...]] = {}
        for name, value in self._map(node, None).items():
            if name not in self._people:
                self._wrong(value.span, f"'{name}' is not a customer of this test", did_you_mean(name, self._people))
            found[name] = tuple(self._message(one) for one in self._list(value))
        return found

    def _message(self, node: Node) -> Expected:
        if isinstance(node, MapNode) and (step := node.get("step")) is not None:
            self._wrong(step.span, _JOURNEYS)
        told = self._map(node, _EXPECT)
        texts = {key: self._text(value) for key, value in told.items() if key != "at"}
        for key, known in (
            ("channel", {channel.value for channel in ChannelName}),
            ("rule", set(self._ruleset.rules)),
            ("topic", set(self._ruleset.policy.topics)),
        ):
            if key in texts and texts[key] not in known:
                self._wrong(told[key].span, f"there is no {key} '{texts[key]}'", did_you_mean(texts[key], known))
        at = self._moment(told["at"]) if "at" in told else None
        return Expected(span=node.span, at=at, **texts)

    def _silence(self, node: Node) -> Silence:
        if isinstance(node, MapNode) and (step := node.get("step")) is not None:
            self._wrong(step.span, _JOURNEYS, "name the rule")
        told = self._map(node, ("customer", "rule", "reason"))
        if "customer" not in told or "reason" not in told:
            self._wrong(node.span, "why_not needs 'customer' and 'reason'")
        rule = self._text(told["rule"]) if "rule" in told else ""
        if rule and rule not in self._ruleset.rules:
            self._wrong(told["rule"].span, f"there is no rule '{rule}'", did_you_mean(rule, self._ruleset.rules))
        customer = self._customer(told["customer"])
        return Silence(span=node.span, customer=customer, rule=rule, reason=self._text(told["reason"]))

    def _moment(self, node: Node) -> datetime:
        """``+30m`` from the start, or a time: wall clock in the test's zone where it has no offset."""
        text = self._text(node)
        if found := _OFFSET.fullmatch(text):
            duration = parse_duration(found[1])
            if duration is not None:
                return add(self._start, duration, self._zone)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self._wrong(node.span, f"'{text}' is not a time", 'write "2026-03-28T08:00" or +30m')
        return resolve_wall(at, self._zone) if at.tzinfo is None else at.astimezone(UTC)

    def _file(self, node: Node) -> str:
        name = normpath(join(dirname(self._path), self._text(node)))
        if name not in self._files:
            self._wrong(node.span, f"there is no file {name}", "paths are seen from the test file")
        return name

    def _customer(self, node: Node) -> str:
        name = self._text(node)
        if name not in self._people:
            self._wrong(node.span, f"'{name}' is not a customer of this test", did_you_mean(name, self._people))
        return name

    def _channel(self, node: Node) -> ChannelName:
        return self._named_channel(node, self._text(node))

    def _named_channel(self, node: Node, name: str) -> ChannelName:
        try:
            return ChannelName(name)
        except ValueError:
            self._wrong(node.span, f"there is no channel '{name}'", did_you_mean(name, list(ChannelName)))

    def _topics(self, node: Node | None) -> tuple[Ambit, ...]:
        """Topics, each of every channel or of one (``newsletter/sms``)."""
        found = []
        for one in self._list(node):
            topic, _, channel = self._text(one).partition("/")
            if topic not in self._ruleset.policy.topics:
                hint = did_you_mean(topic, self._ruleset.policy.topics)
                self._wrong(one.span, f"there is no topic '{topic}'", hint)
            found.append(Ambit(topic, self._named_channel(one, channel) if channel else None))
        return tuple(found)

    def _map(self, node: Node | None, known: Collection[str] | None) -> dict[str, Node]:
        if node is None or (isinstance(node, ScalarNode) and node.empty):
            return {}
        if not isinstance(node, MapNode):
            self._wrong(node.span, f"'{node.name}' must be a mapping")
        for key, _ in node:
            if known is not None and key.text not in known:
                self._error(key.span, f"unknown field '{key.text}'", did_you_mean(key.text, known))
        return {key.text: value for key, value in node if known is None or key.text in known}

    def _list(self, node: Node | None) -> tuple[Node, ...]:
        if node is None or (isinstance(node, ScalarNode) and node.empty):
            return ()
        return node.items if isinstance(node, ListNode) else (node,)

    def _text(self, node: Node) -> str:
        if not isinstance(node, ScalarNode) or node.empty:
            self._wrong(node.span, f"'{node.name}' must be a text")
        return node.text

    def _scalar(self, node: Node) -> Scalar:
        """A value as text: the schema's types convert it. None where nothing is written."""
        return None if isinstance(node, ScalarNode) and node.empty else self._text(node)

    def _error(self, span: Span, message: str, hint: str = "") -> None:
        self._findings.add(Problem(span=span, message=message, code=CODE, suggestion=hint))

    def _wrong(self, span: Span, message: str, hint: str = "") -> NoReturn:
        self._error(span, message, hint)
        raise _Wrong
