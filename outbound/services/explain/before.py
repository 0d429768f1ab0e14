"""What was decided before, with the release that decided and the customer as they were then."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.condition import Clause
from outbound.domain.customer import Scalar
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.rule import ChangedTrigger, DateTrigger, EntersTrigger, EventTrigger, Rule
from outbound.engine.conditions.facts import customer_values
from outbound.engine.conditions.parts import needs_attributes
from outbound.services.explain.answer import Before, Line
from outbound.services.explain.occurrences import condition_lines, place_of
from outbound.services.explain.subject import Subject, load_subject
from outbound.services.releases import Active, by_id
from outbound.storage import customer_past, run_people
from outbound.storage.database import Database
from outbound.storage.runs import NOT_COVERED

_DECISIONS = 5
_RUNS = 3
"""So many newest runs are searched for the customer: a run of a million is a hundred pieces to unpack."""


@dataclass(frozen=True, slots=True)
class _Then:
    """The rule and the customer as they were."""

    values: Mapping[str, Scalar] | None
    who: tuple[Line, ...]
    clauses: tuple[Clause, ...] = ()
    experiment: str = ""
    note: str = ""


class Past:
    """Reads what a rule decided for one customer; everything is read in one snapshot of ``connection``."""

    def __init__(self, database: Database, connection: Connection, keyring: Keyring, subject: Subject) -> None:
        self._database = database
        self._connection = connection
        self._keyring = keyring
        self._subject = subject

    def of(self, rule_id: str, *, limit: int = _DECISIONS) -> tuple[Before, ...]:
        """The newest decisions and passings-by up to the moment asked about, newest first."""
        found = [*self._decided(rule_id, limit), *self._passed_by(rule_id)]
        return tuple(sorted(found, key=lambda one: one.at, reverse=True))

    def _decided(self, rule_id: str, limit: int) -> Iterator[Before]:
        subject = self._subject
        rows = customer_past.decided(self._connection, subject.ids, rule_id, upto=subject.now, limit=limit)
        for row in rows:
            then = self._then(row.release, rule_id, row.at)
            yield Before(
                at=row.at,
                run=f"{rule_id}/{row.run}",
                once=row.once,
                verdict=row.verdict,
                release=row.release,
                version=row.version,
                reason=row.cause,
                state=row.state,
                channel=row.channel,
                sent_at=row.sent_at,
                held_by=row.held_by,
                variant=row.variant,
                values=then.values,
                who=then.who,
                note=then.note,
            )

    def _passed_by(self, rule_id: str) -> Iterator[Before]:
        """Runs that looked at the customer and found a condition that was not true."""
        newest = customer_past.newest_runs(self._connection, rule_id, upto=self._subject.now, limit=_RUNS)
        for run in newest:
            clause = run_people.miss_of(self._connection, run["id"], self._subject.ids)
            if clause is None:
                continue
            then = self._then(run["release"], rule_id, run["started_at"])
            place, reason = "", "who"
            if clause == NOT_COVERED:
                reason = f"who.coverage {then.experiment}".rstrip()
            elif 0 <= clause < len(then.clauses):
                place = place_of(then.clauses[clause].span)
            yield Before(
                at=run["started_at"],
                run=f"{rule_id}/{run['slot']}",
                once="",
                verdict="miss",
                release=run["release"],
                version=run["rule_version"],
                reason=reason,
                place=place,
                values=then.values,
                who=then.who,
                note=then.note,
            )

    def _then(self, release: str, rule_id: str, at: datetime) -> _Then:
        """The conditions of the release that decided, asked of the customer as they were."""
        try:
            active = by_id(self._database, release)
            rule = active.ruleset.rules[rule_id]
            was = self._as_of(active, at)
        except (OutboundError, KeyError) as error:
            note = error.message if isinstance(error, OutboundError) else "its release cannot be read"
            return _Then(values=None, who=(), note=note)
        read = needs_attributes(_reads(rule, active)) | _named(rule)
        now = customer_values(was.customer)
        values = {name: now.get(name) for name in sorted(read)}
        experiment = rule.experiment.id if rule.experiment else ""
        return _Then(values, condition_lines("who", rule.who, was.facts(rule.who)), rule.who, experiment)

    def _as_of(self, active: Active, at: datetime) -> Subject:
        return load_subject(
            self._connection, active, self._keyring, self._subject.customer.id, now=at, past=True, what_if={}
        )


def _reads(rule: Rule, active: Active) -> tuple[Clause, ...]:
    """Every condition of a rule."""
    match rule.trigger:
        case EventTrigger(condition=condition):
            return (*condition, *rule.who)
        case EntersTrigger(segment=segment):
            return (*active.ruleset.segments.get(segment, ()), *rule.who)
        case _:
            return rule.who


def _named(rule: Rule) -> frozenset[str]:
    match rule.trigger:
        case DateTrigger(attribute=attribute) | ChangedTrigger(attribute=attribute):
            return frozenset({attribute.removeprefix("customer.")})
        case _:
            return frozenset()
