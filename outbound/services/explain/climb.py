"""The way up: ``who``, ``once``, the gates of the ladder, the words, and where that ends."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never
from zoneinfo import ZoneInfo

from outbound.domain.decision import Decision, Hold, Send, Skip
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rendered import RenderStop
from outbound.domain.rule import Rule, ScriptTrigger
from outbound.engine.conditions import evaluate
from outbound.engine.conditions.facts import Facts, customer_values
from outbound.engine.ladder import Pass, Step
from outbound.engine.ladder.experiment import COVERAGE
from outbound.engine.rendering import Links
from outbound.services.explain.answer import Line, Outcome
from outbound.services.explain.occurrences import condition_lines
from outbound.services.explain.subject import Subject
from outbound.services.planning.clerk import MARKETING, Clerk
from outbound.services.planning.compiled import topic_of
from outbound.services.planning.judge import one_per_address
from outbound.services.planning.occurrence import Occurrence, once_key
from outbound.storage import customer_past


@dataclass(frozen=True, slots=True, kw_only=True)
class Climbed:
    """The lines above ``match`` and where they end, for the occurrence with the key ``once``."""

    lines: tuple[Line, ...]
    outcome: Outcome
    once: str


def skipped(reason: Reason | str) -> Outcome:
    """Never for this occurrence."""
    return Outcome(decision="skip", reason=str(reason))


def climb(subject: Subject, rule: Rule, occurrence: Occurrence, facts: Facts) -> Climbed:
    """A candidate that planning has not made yet: its lines are those of planning."""
    once = once_key(rule.once, occurrence, subject.customer)
    lines = list(condition_lines("who", rule.who, facts))
    if evaluate(rule.who)(facts) is not True:
        return Climbed(lines=tuple(lines), outcome=skipped(ReasonCode.WHO), once=once)
    line, done = _once(subject, rule, once)
    lines.append(line)
    if done is not None:
        return Climbed(lines=tuple(lines), outcome=done, once=once)
    clerk = Clerk(subject.active, rule, run_id="", now=subject.now)
    part = clerk.explained_assignment(occurrence, subject.person)
    if part is not None and not part.covered:
        lines.append(Line(gate="experiment", verdict=False, text=part.why))
        return Climbed(lines=tuple(lines), outcome=skipped(Reason(ReasonCode.WHO, COVERAGE)), once=once)
    if occurrence.expires <= subject.now:
        over = occurrence.expires.astimezone(subject.zones.at)
        lines.append(Line(gate="expired", verdict=False, text=f"worthless since {over:%Y-%m-%d %H:%M}"))
        return Climbed(lines=tuple(lines), outcome=skipped(ReasonCode.EXPIRED), once=once)
    traffic = subject.traffic()
    steps = clerk.steps(occurrence, subject.person, traffic=traffic, switches=subject.switches)
    lines += ladder_lines(subject, rule, steps)
    decision = decision_of(steps)
    answer = clerk.answer(occurrence, subject.person, part, traffic)
    if isinstance(decision, Send):
        judged = clerk.judged(once, occurrence, subject.person, answer)
        if clerk.topic.message_class.name == MARKETING:
            judged = one_per_address(subject.connection, rule.id, [judged])[0]
        words = _words(subject, rule, judged.decision, answer.template, occurrence, decision)
        lines.append(words)
        if words.verdict is False:
            reason = judged.decision.reason if isinstance(judged.decision, Skip) else ReasonCode.RENDER
            return Climbed(lines=tuple(lines), outcome=skipped(reason), once=once)
    due, zone = max(occurrence.due, subject.now), clerk.zone(occurrence, subject.customer.zone_source)
    outcome = outcome_of(decision, due=due, expires=occurrence.expires, zone=zone, template=answer.template)
    return Climbed(lines=tuple(lines), outcome=outcome, once=once)


def _once(subject: Subject, rule: Rule, once: str) -> tuple[Line, Outcome | None]:
    """Whether the occurrence was decided before, and then what became of it."""
    if isinstance(rule.trigger, ScriptTrigger):
        return Line(gate="once", verdict=True, text=f"{rule.once.text}: a key that was not used yet"), None
    found = customer_past.decided_under(subject.connection, subject.ids, rule.id, once, upto=subject.now)
    if found is None:
        return Line(gate="once", verdict=True, text=f"{once} not decided before"), None
    at = (found.sent_at or found.at).astimezone(subject.zones.at)
    state, why = found.state or found.verdict, str(found.cause)
    line = Line(gate="once", verdict=False, text=f"{once} {state} {at:%Y-%m-%d %H:%M}", because=why)
    channels = (found.channel,) if found.channel else ()
    return line, Outcome(decision="done", reason=f"{state} ({why})" if why else state, at=at, channels=channels)


def ladder_lines(subject: Subject, rule: Rule, steps: Sequence[Step]) -> list[Line]:
    """What the ladder said, gate by gate."""
    lines = []
    for step in steps:
        passed = isinstance(step.verdict, Pass | Send)
        asked = step.gate == "consent" and topic_of(subject.active, rule).declinable
        because = _said(subject, rule) if asked else ""
        lines.append(Line(gate=step.gate, verdict=passed, text=step.text, because=because))
    return lines


def _said(subject: Subject, rule: Rule) -> str:
    """What the customer said about the topic, when and where."""
    words = customer_past.said_of(subject.connection, subject.customer.id, rule.topic, subject.now)
    if not words:
        return "nothing was said about it"
    return "; ".join(
        f"{channel or 'every channel'} {state} {at.astimezone(subject.zones.at):%Y-%m-%d}"
        + (f" via {source}" if source else "")
        for channel, (state, at, source) in sorted(words.items())
    )


def _words(  # noqa: PLR0917 - what the words of a message depend on
    subject: Subject, rule: Rule, judged: Decision, template: str, occurrence: Occurrence, send: Send
) -> Line:
    """Whether the message can be worded for its channel: a value that is missing stops it."""
    if isinstance(judged, Skip):
        return Line(gate=str(judged.reason.code), verdict=False, text=str(judged.reason))
    if isinstance(rule.trigger, ScriptTrigger):
        return Line(gate="render", verdict=None, text=f"template {template}, with the values of the call")
    topic = topic_of(subject.active, rule)
    values = {**occurrence.values, "customer": customer_values(subject.customer)}
    templates, language = subject.active.templates, subject.customer.preference.language
    context = templates.snapshot(template, values)
    if not isinstance(context, RenderStop):
        links = Links(unsubscribe="https://localhost/u/explain" if topic.declinable else "", preferences="", assets="/")
        rendered = templates.render(
            template,
            send.channel,
            language=language,
            context=context,
            links=links,
            message_class=topic.message_class.name,
        )
        if not isinstance(rendered, RenderStop):
            return Line(gate="render", verdict=True, text=f"template {template} in {rendered.language}")
        context = rendered
    return Line(gate="render", verdict=False, text=f"template {template}: {context.detail}")


def decision_of(steps: Sequence[Step]) -> Decision:
    """What the ladder decided: its last word."""
    decision = steps[-1].verdict
    if isinstance(decision, Pass):
        raise TypeError("a ladder ends with a decision")
    return decision


def outcome_of(decision: Decision, *, due: datetime, expires: datetime, zone: ZoneInfo, template: str) -> Outcome:
    """Where a decision leads, on the clock of ``zone``."""
    ends = expires.astimezone(zone)
    match decision:
        case Send():
            channels = tuple(channel.value for channel in decision.channels)
            at = due.astimezone(zone)
            return Outcome(decision="send", at=at, expires=ends, channels=channels, template=template)
        case Hold(until=until) if until >= expires:
            return Outcome(decision="skip", reason=str(Reason(ReasonCode.EXPIRED, str(decision.reason))), expires=ends)
        case Hold():
            reason, at = str(decision.reason), decision.until.astimezone(zone)
            return Outcome(decision="hold", reason=reason, at=at, expires=ends, template=template)
        case Skip():
            return replace(skipped(decision.reason), expires=ends)
        case _:
            assert_never(decision)
