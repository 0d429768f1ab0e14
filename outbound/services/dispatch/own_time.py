"""Whether a message's own time has come: its wall clock read again, in the zone and for the date of the person now."""

from datetime import date, datetime

from outbound.domain.message import Message
from outbound.domain.person import Person
from outbound.domain.rule import DateTrigger, Rule
from outbound.engine.timing.walls import resolve_wall
from outbound.engine.timing.zones import customer_source, resolve_zones, zone_named
from outbound.services.planning.agenda import targets_of
from outbound.services.planning.moves import follows_customer
from outbound.services.releases import Active


def own_time(message: Message, rule: Rule, person: Person, active: Active) -> datetime | None:
    """When the message may leave by its wall clock; None when that no longer counts.

    Resolved again at each gate: clocks change, the tables of time zones change (fault F47), and people move.
    """
    if not message.local_time or not message.zone or message.held_by or message.attempts or message.leg > 1:
        return None
    local = datetime.fromisoformat(message.local_time).replace(tzinfo=None)
    zone = zone_named(message.zone)
    if follows_customer(rule):
        zone = resolve_zones(customer_source(person.customer), active.ruleset.policy).at
    return resolve_wall(local, zone)


def still_due(message: Message, rule: Rule, person: Person, active: Active, *, day: str) -> bool:
    """Whether the person's date still makes them due on the local ``day`` their message was planned for.

    A rule that was edited since is not asked: its message stands as it was planned.
    """
    if not day or message.attempts or message.leg > 1 or rule.version != message.rule_version:
        return True
    if not isinstance(rule.trigger, DateTrigger):
        return True
    value = person.customer.attributes.get(rule.trigger.attribute.removeprefix("customer."))
    try:
        stated = date.fromisoformat(str(value))
    except ValueError:
        return False
    calendar = active.ruleset.policy.calendars.get(rule.trigger.calendar or "")
    country = person.customer.country if calendar is not None and calendar.holidays else None
    return any(
        target.matches(stated) and _template(rule, str(target.offset)) in ("", message.template)
        for target in targets_of(active, rule.id, date.fromisoformat(day), country)
    )


def _template(rule: Rule, offset: str) -> str:
    """The template of an offset, "" where the variants of an experiment name them."""
    if rule.experiment is not None:
        return ""
    return rule.send.templates.get(offset) or rule.send.templates.get("", "")
