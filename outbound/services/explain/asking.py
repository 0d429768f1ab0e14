"""The question, and the way through: the release, the person, what is due, the ladder, and what went before."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.customer import Scalar
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.reasons import ReasonCode
from outbound.domain.rule import Rule
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services import releases
from outbound.services.explain.answer import Explained, Outcome
from outbound.services.explain.before import Past
from outbound.services.explain.climb import climb
from outbound.services.explain.occurrences import find
from outbound.services.explain.subject import Subject, assumed, load_subject
from outbound.services.explain.waiting import climb_again
from outbound.services.releases import Active
from outbound.storage import customer_past, outbox
from outbound.storage.database import Database
from outbound.storage.people import load_people


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who, and when.

    ``at`` None is ``now``, an earlier one shows rule and customer as they were, a later one assumes that nothing
    changes. ``what_if`` are values to be assumed, as text.
    """

    customer: str
    now: datetime
    at: datetime | None = None
    what_if: Mapping[str, str] = field(default_factory=dict)


def explain_rule(database: Database, keyring: Keyring, question: Question, rule_id: str) -> Explained:
    """One rule from its trigger to the message, with what it decided before.

    Raises OutboundError ``explain.rule``, ``explain.customer``, ``explain.what_if``, ``customer.unknown`` and
    ``release.none``.
    """
    active = _release(database, question)
    rule = active.ruleset.rules.get(rule_id)
    if rule is None:
        known = ", ".join(sorted(active.ruleset.rules))
        raise OutboundError(
            "explain.rule", f"there is no rule {rule_id!r} in release {active.id[:12]}", f"rules: {known}"
        )
    values = assumed(active.ruleset.schema, question.what_if)
    with database.read() as connection:
        subject = _subject(connection, active, keyring, question, values)
        found = _explain(subject, rule, values)
        if values:
            return found
        return replace(found, before=Past(database, connection, keyring, subject).of(rule_id))


def explain_all(database: Database, keyring: Keyring, question: Question) -> tuple[Explained, ...]:
    """Every rule of the release by its id, without what went before. Raises like ``explain_rule``."""
    active = _release(database, question)
    values = assumed(active.ruleset.schema, question.what_if)
    with database.read() as connection:
        subject = _subject(connection, active, keyring, question, values)
        return tuple(_explain(subject, rule, values) for _, rule in sorted(active.ruleset.rules.items()))


def own_zone(database: Database, customer_id: str) -> ZoneInfo:
    """The zone of the customer's clock today: what a time without an offset means."""
    active = releases.running(database)
    with database.read() as connection:
        person = load_people(connection, [customer_id]).get(customer_id)
    source = customer_source(person.customer) if person else ""
    return resolve_zones(source, active.ruleset.policy).at


def _release(database: Database, question: Question) -> Active:
    """The release of the moment asked about."""
    if question.at is None or question.at >= question.now:
        return releases.running(database)
    found = releases.at(database, question.at)
    if found is None:
        message = f"no release was active at {question.at:%Y-%m-%d %H:%M} UTC"
        raise OutboundError("release.none", message, "choose a later --at")
    return found


def _subject(
    connection: Connection, active: Active, keyring: Keyring, question: Question, values: Mapping[str, Scalar]
) -> Subject:
    at = question.at or question.now
    past = at < question.now
    return load_subject(connection, active, keyring, question.customer, now=at, past=past, what_if=values)


def _explain(subject: Subject, rule: Rule, values: Mapping[str, Scalar]) -> Explained:
    zones = subject.zones
    explained = Explained(
        rule=rule.id,
        version=rule.version,
        release=subject.active.id,
        topic=rule.topic,
        customer=subject.customer.id,
        at=subject.now.astimezone(zones.at),
        zone=zones.at.key,
        zone_from=zones.origin,
        due=None,
        once="",
        message="",
        lines=(),
        outcome=Outcome(decision="none", reason=ReasonCode.MATCH),
        what_if=values or None,
    )
    if not subject.past:
        waits = customer_past.waiting(subject.connection, subject.ids, rule.id, now=subject.now)
        message = outbox.by_ids(subject.connection, [waits])[waits] if waits else None
        if message is not None:
            climbed = climb_again(subject, rule, message, assumed=bool(values))
            due = message.not_before.astimezone(zones.at)
            return replace(
                explained, due=due, once=climbed.once, message=message.id, lines=climbed.lines, outcome=climbed.outcome
            )
    found = find(subject, rule)
    if found.occurrence is None or found.facts is None:
        return replace(explained, lines=found.lines)
    climbed = climb(subject, rule, found.occurrence, found.facts)
    due = found.occurrence.due.astimezone(found.occurrence.zone or zones.at)
    return replace(explained, due=due, once=climbed.once, lines=(*found.lines, *climbed.lines), outcome=climbed.outcome)
