"""Which rules send a template: as which class of message, and with which values."""

from collections.abc import Iterable, Mapping

from outbound.domain.policy import Policy
from outbound.domain.rule import ChangedTrigger, EntersTrigger, EventTrigger, Rule, Schema, ScriptTrigger
from outbound.domain.source import Span
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.manifest import GIVEN, Manifest
from outbound.engine.rendering.report import Report
from outbound.engine.rulefiles.findings import did_you_mean


class Usage:
    """The rules by template."""

    def __init__(self, rules: Mapping[str, Rule], policy: Policy) -> None:
        self._policy = policy
        self._rules: dict[str, list[Rule]] = {}
        for rule in rules.values():
            for template in sorted(rule.templates):
                self._rules.setdefault(template, []).append(rule)

    def is_used(self, template: str) -> bool:
        """Whether a rule sends it."""
        return template in self._rules

    def classes(self, template: str) -> tuple[str, ...]:
        """The classes it is sent as; all of the policy's where no rule sends it."""
        topics = {rule.topic for rule in self._rules.get(template, ())}
        found = {self._policy.topics[topic].message_class.name for topic in topics if topic in self._policy.topics}
        return tuple(name for name in self._policy.classes if not found or name in found)

    def verified(self, template: str) -> bool:
        """Whether a rule sends it on a topic whose text messages carry the code to check them by."""
        topics = (self._policy.topics.get(rule.topic) for rule in self._rules.get(template, ()))
        return any(topic is not None and topic.verify for topic in topics)

    def check_context(self, manifests: Mapping[str, Manifest], schema: Schema, report: Report) -> None:
        """A template may read only what every rule that sends it can give: fields of that event, its arguments."""
        for name, manifest in manifests.items():
            for rule in self._rules.get(name, ()):
                event = schema.events.get(rule.trigger.event, {}) if isinstance(rule.trigger, EventTrigger) else {}
                arguments = rule.trigger.arguments if isinstance(rule.trigger, ScriptTrigger) else {}
                _check_root("event", manifest.context.get("event", {}), event, rule, report)
                _check_root("script", manifest.context.get("script", {}), arguments, rule, report)
                change = GIVEN["change"] if isinstance(rule.trigger, ChangedTrigger) else ()
                entry = GIVEN["entry"] if isinstance(rule.trigger, EntersTrigger) else ()
                _check_root("change", manifest.context.get("change", {}), change, rule, report)
                _check_root("entry", manifest.context.get("entry", {}), entry, rule, report)


def _check_root(root: str, names: Mapping[str, Span], given: Iterable[str], rule: Rule, report: Report) -> None:
    known = tuple(given)
    for name, place in names.items():
        if name not in known:
            hint = did_you_mean(name, known) or f"{rule.span} sends it"
            report.error(Code.UNDECLARED, place, f"rule {rule.id} has no '{root}.{name}' to give", hint)
