"""``quiet_hours`` of the policy: when people sleep, by country, and what becomes of a message then."""

from typing import NamedTuple

from outbound.domain.policy import QuietHours
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import MapNode, Node
from outbound.engine.rulefiles.policy_parts import WEEKDAYS, country_or_default
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.shapes import choice, items, table, text
from outbound.engine.rulefiles.values import clock

QUIET_KEYS = ("from", "to", "closed")


class Quiet(NamedTuple):
    """The hours by country, with ``default``; ``drop``: a message in quiet hours ends instead of waiting."""

    hours: dict[str, QuietHours]
    drop: bool


def read_quiet_hours(policy: Record, findings: Findings) -> Quiet:
    """Quiet hours by country, with ``default``, and the action."""
    node = policy.optional_node("quiet_hours")
    if not isinstance(node, MapNode):
        policy.optional("quiet_hours", table(text, text))
        return Quiet({}, drop=False)
    found: dict[str, QuietHours] = {}
    drop = False
    for key, value in node:
        if key.text == "action":
            drop = choice(("hold", "drop"))(value, findings) == "drop"
            continue
        where = country_or_default(key, findings)
        hours = _hours(value, findings)
        if where is not None and hours is not None:
            found[where] = hours
    if node.get("default") is None:
        hint = 'write default: {from: "21:00", to: "08:00"}'
        findings.error(Code.MISSING_KEY, node.span, "missing key 'default'", hint)
    return Quiet(found, drop=drop)


def _hours(node: Node, findings: Findings) -> QuietHours | None:
    record = open_record(node, findings, keys=QUIET_KEYS)
    if record is None:
        return None
    start, end = record.required("from", clock), record.required("to", clock)
    closed = record.optional("closed", items(choice((*WEEKDAYS, "holidays")))) or ()
    if start is None or end is None:
        return None
    if start == end:
        message = f"quiet from {start:%H:%M} to {end:%H:%M} would be the whole day"
        hint = "make them differ; days without sending are `closed`"
        findings.error(Code.EMPTY_RANGE, record.value_span("to"), message, hint)
        return None
    if set(WEEKDAYS) <= set(closed):
        message = "closed on every day: nothing would ever be sent"
        findings.error(Code.EMPTY_RANGE, record.value_span("closed"), message, "leave a day open")
    return QuietHours(start=start, end=end, closed=frozenset(closed))
