"""The lesser keys of a rule: unknown customers, limits, the time it is active, hours at which nothing may leave."""

from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import Policy, QuietHours, Topic
from outbound.domain.rule import (
    ChangedTrigger,
    DateTrigger,
    EntersTrigger,
    EventTrigger,
    Limits,
    ScheduleTrigger,
    ScriptTrigger,
    SendAction,
    Trigger,
    UnknownCustomerAction,
)
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import MapNode, Node
from outbound.engine.rulefiles.policy_parts import as_moment
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.shapes import integer, scalar
from outbound.engine.rulefiles.values import moment, money, parse_duration, percent
from outbound.engine.rulefiles.world import World
from outbound.engine.timing.walls import resolve_wall
from outbound.engine.timing.zones import zone_named

_MILLION: Final = 1_000_000
_HOLD: Final = Duration(6, DurationUnit.HOUR)
_KIND: Final = {
    EventTrigger: "event",
    ScheduleTrigger: "schedule",
    DateTrigger: "date",
    ChangedTrigger: "changed",
    EntersTrigger: "enters",
    ScriptTrigger: "script",
}
LIMIT_KEYS: Final = ("recipients", "cost", "growth")
ACTIVE_KEYS: Final = ("from", "until")
GOES_WITH: Final = {
    "unknown_customer": ("event",),
    "catch_up": ("schedule", "date"),
    "limits": ("schedule", "date", "script"),
}


def goes_with_trigger(record: Record, findings: Findings, trigger: Trigger | None) -> None:
    """Report keys that say nothing for the rule's trigger: silently ignored they would be a promise."""
    if trigger is None:
        return
    kind = _KIND[type(trigger)]
    for key, kinds in GOES_WITH.items():
        if record.has(key) and kind not in kinds:
            message = f"'{key}' does not go with the trigger '{kind}'"
            hint = f"it goes with {', '.join(kinds)}"
            findings.error(Code.MISPLACED_KEY, record.key_span(key), message, hint)


def read_unknown_customer(
    record: Record, findings: Findings, world: World, trigger: Trigger | None
) -> tuple[UnknownCustomerAction, Duration | None]:
    """What to do with an event whose customer is not there yet: hold (6h unless written), create or drop."""
    is_event = isinstance(trigger, EventTrigger)
    found = record.optional("unknown_customer", scalar)
    if found is None:
        return UnknownCustomerAction.HOLD, _HOLD if is_event else None
    word, _, wait = found.text.partition(" ")
    if word not in set(UnknownCustomerAction):
        hint = did_you_mean(word, [str(action) for action in UnknownCustomerAction])
        findings.error(Code.BAD_VALUE, found.span, f"unknown action '{word}'", hint)
        return UnknownCustomerAction.HOLD, None
    action = UnknownCustomerAction(word)
    hold = parse_duration(wait) if wait else None
    if wait and (action is not UnknownCustomerAction.HOLD or hold is None or hold.amount <= 0):
        message = "only hold takes a time, like hold 6h"
        findings.error(Code.BAD_DURATION, found.span, message, "write hold 6h" if word == "hold" else f"write {word}")
    if action is UnknownCustomerAction.CREATE and isinstance(trigger, EventTrigger) and world.schema is not None:
        fields = world.schema.events.get(trigger.event)
        if fields is not None and not fields.keys() & {"email", "phone"}:
            message = f"event '{trigger.event}' carries no address to create a customer with"
            findings.error(Code.BAD_VALUE, found.span, message, "declare email or phone in the event, or write hold 6h")
    return action, (hold or _HOLD) if action is UnknownCustomerAction.HOLD else None


def read_limits(record: Record, findings: Findings, world: World) -> Limits | None:
    """How many, how dear and how much more than usual a run may be before a person must agree."""
    node = record.optional_node("limits")
    limits = None if node is None else open_record(node, findings, keys=LIMIT_KEYS)
    if limits is None:
        return None
    if node is not None and not any(limits.has(key) for key in LIMIT_KEYS):
        findings.error(Code.EMPTY_VALUE, node.span, "'limits' sets no limit", "write {recipients: 60000}, for example")
    cost = limits.optional("cost", money)
    used = sorted({channel.currency for channel in world.policy.channels.values()}) if world.policy else []
    if cost is not None and used and cost.currency not in used:
        message = f"'cost' is in {cost.currency}, but the policy counts in {' and '.join(used)}"
        findings.error(Code.BAD_MONEY, limits.value_span("cost"), message, f"write it like {used[0]} 90")
    if cost is not None and cost.amount == 0:
        findings.error(Code.BAD_MONEY, limits.value_span("cost"), "'cost' must be above zero", "write it like EUR 90")
    return Limits(
        recipients=limits.optional("recipients", integer(1, 999_999_999)),
        cost=round(cost.amount * _MILLION) if cost else None,
        currency=cost.currency if cost else "",
        growth=limits.optional("growth", percent),
    )


def read_active(
    record: Record, findings: Findings, world: World
) -> tuple[date | datetime | None, date | datetime | None]:
    """From when and until when the rule fires.

    A date counts whole, ``until`` too. A time is wall clock of the policy's zone, returned as UTC; ``until`` is
    then the first moment without the rule.
    """
    node = record.optional_node("active")
    active = None if node is None else open_record(node, findings, keys=ACTIVE_KEYS)
    if active is None:
        return None, None
    start, end = active.optional("from", moment), active.optional("until", moment)
    if start is not None and end is not None:
        over = as_moment(end) if isinstance(end, datetime) else as_moment(end + timedelta(days=1))
        if over <= as_moment(start):
            message = f"'until' must come after 'from' ({start.isoformat()})"
            findings.error(Code.EMPTY_RANGE, active.value_span("until"), message, "a date is the last day of the rule")
    zone = zone_named(world.policy.timezone if world.policy else "UTC")
    return _instant(start, zone), _instant(end, zone)


def _instant(value: date | datetime | None, zone: ZoneInfo) -> date | datetime | None:
    return resolve_wall(value, zone) if isinstance(value, datetime) else value


def always_quiet(
    *, when: Node, trigger: Trigger, send: SendAction, topic: Topic, policy: Policy, findings: Findings
) -> None:
    """Warn about a time of day at which every channel of the rule keeps quiet hours, everywhere."""
    if not isinstance(trigger, ScheduleTrigger | DateTrigger) or not set(send.channels) <= topic.message_class.quiet:
        return
    hours = policy.quiet_hours
    if hours and all(_contains(quiet, trigger.at) for quiet in hours.values()):
        at = when.get("at") if isinstance(when, MapNode) else None
        quiet = hours.get("default") or next(iter(hours.values()))
        message = f"{trigger.at:%H:%M} is always in the quiet hours of {', '.join(send.channels)}"
        hint = f"every message would wait until {quiet.end:%H:%M}"
        findings.warning(Code.ALWAYS_QUIET, (at or when).span, message, hint)


def _contains(quiet: QuietHours, at: time) -> bool:
    if quiet.start < quiet.end:
        return quiet.start <= at < quiet.end
    return at >= quiet.start or at < quiet.end
