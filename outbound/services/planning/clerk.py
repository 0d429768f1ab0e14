"""One candidate at a time: its part in experiments, its way up the ladder, and what its template will show."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple, assert_never
from zoneinfo import ZoneInfo

from outbound.domain.customer import AddressState, ChannelName
from outbound.domain.decision import Decision, Hold, Send, Skip
from outbound.domain.experiment import Assignment
from outbound.domain.person import Person
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rendered import RenderStop
from outbound.domain.rule import Rule
from outbound.domain.traffic import QUIET, Traffic
from outbound.engine.conditions.facts import customer_values
from outbound.engine.experiments import assign, explained, unit_of
from outbound.engine.experiments import template_of as variant_template
from outbound.engine.ladder import Candidate, Step, Switches, decide, ladder_steps
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services.planning.compiled import topic_of
from outbound.services.planning.occurrence import Occurrence
from outbound.services.releases import Active
from outbound.storage.bulk import json_text

MARKETING = "marketing"
_NOTHING_PAUSED = Switches()
_BEFORE_EXPERIMENT = frozenset({ReasonCode.SUPPRESSED, ReasonCode.CONSENT, ReasonCode.UNREACHABLE})


@dataclass(frozen=True, slots=True)
class Answer:
    """What becomes of a candidate, and of everybody like them. ``channels`` is the waterfall, empty when skipped.

    ``country`` and ``language`` are the person's; ``experiment`` and ``variant`` name the exposure.
    """

    decision: Decision
    channels: tuple[ChannelName, ...]
    zone: ZoneInfo
    country: str | None
    language: str
    template: str
    experiment: str = ""
    variant: str = ""


class Judged(NamedTuple):
    """One candidate with the answer. ``context`` is the JSON its template will read, None when skipped."""

    once: str
    customer_id: str
    occurrence: Occurrence
    answer: Answer
    context: str | None

    @property
    def decision(self) -> Decision:
        """Send, hold or skip."""
        return self.answer.decision

    @property
    def channels(self) -> tuple[ChannelName, ...]:
        """The waterfall, empty when skipped at planning."""
        return self.answer.channels

    @property
    def country(self) -> str | None:
        """The customer's country."""
        return self.answer.country


class Clerk:
    """Decides one rule's candidates, with what does not change between them worked out once."""

    def __init__(self, active: Active, rule: Rule, *, run_id: str, now: datetime) -> None:
        self.active = active
        self.rule = rule
        self.now = now
        self.policy = active.ruleset.policy
        self.topic = topic_of(active, rule)
        self.holdout = self.policy.holdout if self.topic.message_class.name == MARKETING else None
        self._run_id = run_id
        self._candidates: dict[int, Candidate] = {}
        self._days: dict[tuple[int, str], date] = {}

    def zone(self, occurrence: Occurrence, source: str) -> ZoneInfo:
        """The zone of the wall clock: the occurrence's, or that of a customer with this ``zone_source``."""
        return occurrence.zone or resolve_zones(source, self.policy).at

    def assignment(self, occurrence: Occurrence, zone: ZoneInfo, customer_id: str, unit: str) -> Assignment | None:
        """The customer's part in the rule's experiment and the global holdout, None where there is neither."""
        experiment = self.rule.experiment
        if experiment is None and self.holdout is None:
            return None
        day = self._day(occurrence, zone)
        return assign(experiment, self.holdout, unit=unit, customer_id=customer_id, day=day)

    def assignment_of(self, occurrence: Occurrence, person: Person) -> Assignment | None:
        """The same for a person."""
        customer = person.customer
        experiment = self.rule.experiment
        unit = customer.id if experiment is None else unit_of(experiment, customer_values(customer), customer.id)
        return self.assignment(occurrence, self.zone(occurrence, customer_source(customer)), customer.id, unit)

    def steps(
        self, occurrence: Occurrence, person: Person, *, traffic: Traffic, switches: Switches
    ) -> tuple[Step, ...]:
        """The same candidate gate by gate, with words, and with what operators have paused."""
        return ladder_steps(
            self._candidate(occurrence),
            person,
            policy=self.policy,
            now=self.now,
            switches=switches,
            traffic=traffic,
            assignment=self.explained_assignment(occurrence, person),
        )

    def explained_assignment(self, occurrence: Occurrence, person: Person) -> Assignment | None:
        """The part in experiments of ``assignment_of``, with the numbers behind it."""
        customer, experiment = person.customer, self.rule.experiment
        day = self._day(occurrence, self.zone(occurrence, customer_source(customer)))
        unit = customer.id if experiment is None else unit_of(experiment, customer_values(customer), customer.id)
        return explained(experiment, self.holdout, unit=unit, customer_id=customer.id, day=day)

    def answer(
        self, occurrence: Occurrence, person: Person, assignment: Assignment | None, traffic: Traffic = QUIET
    ) -> Answer:
        """One candidate through the ladder."""
        decision = self._climb(occurrence, person, assignment, traffic)
        channels: tuple[ChannelName, ...] = ()
        match decision:
            case Send():
                channels = decision.channels
            case Hold():
                channels = _likely(person, self.rule.send.channels)
                if decision.until >= occurrence.expires:
                    decision = Skip(reason=Reason(ReasonCode.EXPIRED, str(decision.reason)))
            case Skip():
                pass
            case _:
                assert_never(decision)
        experiment, variant = _exposure(decision, assignment)
        template = occurrence.template
        if self.rule.experiment is not None and assignment is not None:
            template = variant_template(self.rule.experiment, assignment.variant) or template
        customer = person.customer
        return Answer(
            decision=decision,
            channels=channels,
            zone=self.zone(occurrence, customer_source(customer)),
            country=customer.country,
            language=customer.preference.language or "",
            template=template,
            experiment=experiment,
            variant=variant,
        )

    def judged(self, once: str, occurrence: Occurrence, person: Person, answer: Answer) -> Judged:
        """The candidate with the values its template will need; without them there is no message."""
        customer_id = person.customer.id
        if isinstance(answer.decision, Skip):
            return Judged(once, customer_id, occurrence, answer, None)
        values: Mapping[str, Mapping[str, Any]] = {**occurrence.values, "customer": customer_values(person.customer)}
        snapshot = self.active.templates.snapshot(answer.template, values)
        if isinstance(snapshot, RenderStop):
            stop = Skip(reason=Reason(ReasonCode.RENDER, snapshot.detail))
            return Judged(once, customer_id, occurrence, decided(answer, stop), None)
        return Judged(once, customer_id, occurrence, answer, json_text(snapshot))

    def _climb(
        self, occurrence: Occurrence, person: Person, assignment: Assignment | None, traffic: Traffic
    ) -> Decision:
        if occurrence.expires <= self.now:
            return Skip(reason=Reason(ReasonCode.EXPIRED))
        return decide(
            self._candidate(occurrence),
            person,
            policy=self.policy,
            now=self.now,
            switches=_NOTHING_PAUSED,
            traffic=traffic,
            assignment=assignment,
        )

    def _candidate(self, occurrence: Occurrence) -> Candidate:
        candidate = self._candidates.get(id(occurrence))
        if candidate is None:
            candidate = Candidate(
                rule=self.rule.id,
                topic=self.topic,
                channels=self.rule.send.channels,
                expires=occurrence.expires,
                due=occurrence.due,
                run_id=self._run_id,
            )
            self._candidates[id(occurrence)] = candidate
        return candidate

    def _day(self, occurrence: Occurrence, zone: ZoneInfo) -> date:
        """The local day that experiments go by."""
        key = (id(occurrence), zone.key)
        day = self._days.get(key)
        if day is None:
            day = self._days[key] = local_day(max(self.now, occurrence.due), zone)
        return day


def decided(answer: Answer, decision: Decision) -> Answer:
    """The answer with another decision; who is skipped after all has no channels."""
    channels = () if isinstance(decision, Skip) else answer.channels
    return Answer(
        decision=decision,
        channels=channels,
        zone=answer.zone,
        country=answer.country,
        language=answer.language,
        template=answer.template,
        experiment=answer.experiment,
        variant=answer.variant,
    )


def _exposure(decision: Decision, assignment: Assignment | None) -> tuple[str, str]:
    """The experiment and variant to keep: of those who came as far as the gate that asks (rules.md 1.9)."""
    if assignment is None or not assignment.experiment:
        return "", ""
    if isinstance(decision, Skip):
        reason = decision.reason
        if reason.code in _BEFORE_EXPERIMENT or reason == Reason(ReasonCode.EXPIRED):
            return "", ""
    return assignment.experiment, assignment.variant


def _likely(person: Person, channels: tuple[ChannelName, ...]) -> tuple[ChannelName, ...]:
    """The rule's channels in the order a held message will try them: preferred, then those with an address."""
    preferred = person.customer.preference.channel

    def rank(channel: ChannelName) -> tuple[bool, bool]:
        address = person.customer.address(channel)
        return (address is None or address.state is not AddressState.OK, channel is not preferred)

    return tuple(sorted(channels, key=rank))
