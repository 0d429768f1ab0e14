"""Channels, waterfall, quiet hours, calendars, blackouts and suppressions of the policy."""

from collections.abc import Collection
from datetime import date, datetime, time

from outbound.domain.customer import ChannelName
from outbound.domain.policy import Blackout, Calendar, ChannelPolicy, QuietHours, SuppressRule
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import MapNode, Node, ScalarNode
from outbound.engine.rulefiles.policy_classes import described_channel
from outbound.engine.rulefiles.record import Record, Shape, open_record
from outbound.engine.rulefiles.shapes import choice, integer, items, name, scalar, table, text
from outbound.engine.rulefiles.values import Money, channel, clock, country, day, moment, money, parse_duration

_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NEXT_ON = ("unreachable", "not_allowed", "bounced", "no_receipt")
_SUPPRESSING = ("bounced.hard", "complaint", "opted_out")


def read_channels(policy: Record) -> dict[ChannelName, ChannelPolicy]:
    """The channels in use. One whose costs cannot be read is kept without costs: others refer to its name."""
    found = policy.required("channels", table(channel, _channel)) or {}
    return {ChannelName(key): value for key, value in found.items()}


def _channel(node: Node, findings: Findings) -> ChannelPolicy | None:
    record = open_record(node, findings, keys=("cost", "sender", "max_parts"))
    if record is None:
        return None
    record.optional("sender", choice(("brand",)))
    if node.name != ChannelName.SMS and record.has("max_parts"):
        message = "'max_parts' counts SMS segments"
        findings.error(Code.MISPLACED_KEY, record.key_span("max_parts"), message, "it stands in channels.sms")
    cost = record.required("cost", _costs) or {}
    currencies = sorted({amount.currency for amount in cost.values()})
    if len(currencies) > 1:
        message = f"one channel has one currency, not {' and '.join(currencies)}"
        findings.error(Code.BAD_MONEY, record.value_span("cost"), message)
    return ChannelPolicy(
        cost={where: amount.amount for where, amount in cost.items()},
        currency=currencies[0] if currencies else "",
        max_parts=record.optional("max_parts", integer(1, 20)),
    )


def _costs(node: Node, findings: Findings) -> dict[str, Money] | None:
    """``EUR 0.09``, or by country with a ``default``."""
    if isinstance(node, ScalarNode):
        amount = money(node, findings)
        return None if amount is None else {"default": amount}
    found = table(_country_or_default, money)(node, findings)
    if found is not None and isinstance(node, MapNode) and node.get("default") is None:
        findings.error(Code.MISSING_KEY, node.span, "missing key 'default'", "what does it cost elsewhere?")
    return found


def _country_or_default(node: Node, findings: Findings) -> str | None:
    return "default" if isinstance(node, ScalarNode) and node.text == "default" else country(node, findings)


def read_waterfall(
    policy: Record, findings: Findings, channels: Collection[ChannelName]
) -> tuple[tuple[ChannelName, ...], tuple[str, ...]]:
    """The default order of channels and what moves a message on; without the key all channels, in their order."""
    node = policy.node("waterfall")
    record = open_record(node, findings, keys=("default", "next_on")) if node is not None else None
    if record is None:
        return tuple(channels), ("unreachable", "not_allowed")
    order = record.optional("default", items(described_channel(channels))) or tuple(channels)
    next_on = record.optional("next_on", items(_next_on, at_least=0))
    return order, ("unreachable", "not_allowed") if next_on is None else next_on


def _next_on(node: Node, findings: Findings) -> str | None:
    found = scalar(node, findings)
    if found is None:
        return None
    word, _, wait = found.text.partition(" ")
    if word not in _NEXT_ON:
        findings.error(Code.BAD_VALUE, node.span, f"'{word}' moves no message on", did_you_mean(word, _NEXT_ON))
        return None
    patience = parse_duration(wait) if wait else None
    if (word == "no_receipt") != bool(wait) or (wait and (patience is None or not patience.elapsed)):
        hint = "write no_receipt 15m" if word == "no_receipt" else f"write {word}"
        findings.error(Code.BAD_DURATION, node.span, "only no_receipt takes a time, in minutes or hours", hint)
        return None
    if word == "no_receipt":  # no adapter hears of a delivery yet, so nothing could ever move on
        message = "'no_receipt' is not supported by this version yet"
        findings.error(Code.UNSUPPORTED, node.span, message, "remove it, or wait for a later version")
        return None
    return found.text


def read_quiet_hours(policy: Record, findings: Findings) -> dict[str, QuietHours]:
    """Quiet hours by country, with ``default``."""
    node = policy.node("quiet_hours")
    if not isinstance(node, MapNode):
        policy.optional("quiet_hours", table(text, text))
        return {}
    found: dict[str, QuietHours] = {}
    for key, value in node:
        if key.text == "action":
            action = choice(("hold", "drop"))(value, findings)
            if action == "drop":
                message = "'action: drop' is not supported by this version yet"
                findings.error(Code.UNSUPPORTED, value.span, message, "write hold, with a short `expires` in the rule")
            continue
        where = _country_or_default(key, findings)
        hours = _hours(value, findings)
        if where is not None and hours is not None:
            found[where] = hours
    if node.get("default") is None:
        hint = 'write default: {from: "21:00", to: "08:00"}'
        findings.error(Code.MISSING_KEY, node.span, "missing key 'default'", hint)
    return found


def _hours(node: Node, findings: Findings) -> QuietHours | None:
    record = open_record(node, findings, keys=("from", "to", "closed"))
    if record is None:
        return None
    start, end = record.required("from", clock), record.required("to", clock)
    closed = record.optional("closed", items(choice((*_WEEKDAYS, "holidays")))) or ()
    if start is None or end is None:
        return None
    if start == end:
        message = f"quiet from {start:%H:%M} to {end:%H:%M} would be the whole day"
        hint = "make them differ; days without sending are `closed`"
        findings.error(Code.EMPTY_RANGE, record.value_span("to"), message, hint)
        return None
    if set(_WEEKDAYS) <= set(closed):
        message = "closed on every day: nothing would ever be sent"
        findings.error(Code.EMPTY_RANGE, record.value_span("closed"), message, "leave a day open")
    return QuietHours(start=start, end=end, closed=frozenset(closed))


def read_calendars(policy: Record) -> dict[str, Calendar]:
    """Named calendars of working days."""
    return policy.optional("calendars", table(name(r"[a-z][a-z0-9-]{0,62}", "business-days"), _calendar)) or {}


def _calendar(node: Node, findings: Findings) -> Calendar | None:
    record = open_record(node, findings, keys=("weekend", "holidays", "extra"))
    if record is None:
        return None
    weekend = record.optional("weekend", items(choice(_WEEKDAYS), at_least=0)) or ()
    if set(_WEEKDAYS) <= set(weekend):
        message = "a weekend of seven days leaves no working day"
        findings.error(Code.EMPTY_RANGE, record.value_span("weekend"), message, "write [sat, sun]")
    return Calendar(
        weekend=frozenset(weekend),
        holidays=record.optional("holidays", choice(("country", "none"))) == "country",
        extra=frozenset(record.optional("extra", items(day, at_least=0)) or ()),
    )


def read_blackout(class_name: Shape[str]) -> Shape[Blackout]:
    """The shape of one blackout: two wall-clock instants of the policy's zone, half-open."""

    def read(node: Node, findings: Findings) -> Blackout | None:
        record = open_record(node, findings, keys=("from", "to", "classes", "why"))
        if record is None:
            return None
        start, end = record.required("from", moment), record.required("to", moment)
        classes = record.optional("classes", items(class_name)) or ()
        why = record.required("why", text) or ""
        if start is None or end is None:
            return None
        first, last = as_moment(start), as_moment(end)
        if last <= first:
            message = f"'to' must come after 'from' ({start.isoformat()})"
            findings.error(Code.EMPTY_RANGE, record.value_span("to"), message, "a whole day ends where the next begins")
            return None
        return Blackout(start=first, end=last, classes=frozenset(classes), why=why)

    return read


def as_moment(value: date | datetime) -> datetime:
    """A date as its first minute."""
    return value if isinstance(value, datetime) else datetime.combine(value, time.min)


def read_suppress(class_name: Shape[str]) -> Shape[SuppressRule]:
    """The shape of one suppression rule. Without ``classes`` the address is blocked for everything."""

    def read(node: Node, findings: Findings) -> SuppressRule | None:
        record = open_record(node, findings, keys=("event", "channel", "classes"))
        if record is None:
            return None
        event = record.required("event", choice(_SUPPRESSING))
        where = record.optional("channel", channel)
        classes = record.optional("classes", items(class_name))
        return None if event is None else SuppressRule(event=event, channel=where, scopes=classes or ("all",))

    return read
