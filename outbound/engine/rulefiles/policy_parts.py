"""Channels, calendars, blackouts and suppressions of the policy."""

from collections.abc import Mapping
from datetime import date, datetime, time

from outbound.domain.customer import ChannelName
from outbound.domain.policy import Blackout, Calendar, ChannelPolicy, SuppressRule
from outbound.domain.source import Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import MapNode, Node, ScalarNode
from outbound.engine.rulefiles.record import Record, Shape, open_record
from outbound.engine.rulefiles.shapes import choice, integer, items, name, table, text
from outbound.engine.rulefiles.values import Money, channel, country, day, moment, money

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHANNEL_KEYS = ("cost", "sender", "max_parts")
CALENDAR_KEYS = ("weekend", "holidays", "extra")
BLACKOUT_KEYS = ("from", "to", "classes", "why")
SUPPRESS_KEYS = ("event", "channel", "classes")
CALENDAR_NAME = r"[a-z][a-z0-9-]{0,62}"
SUPPRESSING = ("bounced.hard", "bounced.soft", "complaint", "opted_out")


def read_channels(policy: Record, findings: Findings) -> dict[ChannelName, ChannelPolicy]:
    """The channels in use. One whose costs cannot be read is kept without costs: others refer to its name."""
    found = policy.required("channels", table(channel, _channel)) or {}
    node = policy.node("channels")
    if isinstance(node, MapNode):
        _one_currency(node, found, findings)
    return {ChannelName(key): value for key, value in found.items()}


def _one_currency(node: MapNode, channels: Mapping[str, ChannelPolicy], findings: Findings) -> None:
    """Costs are summed over channels, so all of them are in the currency of the first."""
    first: tuple[str, Span] | None = None
    for key, value in node:
        priced = channels.get(key.text)
        if priced is None or not priced.currency:
            continue
        cost = value.get("cost") if isinstance(value, MapNode) else None
        span = cost.span if cost is not None else key.span
        if first is None:
            first = (key.text, span)
        elif priced.currency != channels[first[0]].currency:
            message = f"{key.text} costs {priced.currency}, but {first[0]} {channels[first[0]].currency} ({first[1]})"
            findings.error(Code.BAD_MONEY, span, message, "costs are summed: write one currency everywhere")


def _channel(node: Node, findings: Findings) -> ChannelPolicy | None:
    record = open_record(node, findings, keys=CHANNEL_KEYS)
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
        currency=currencies[0] if len(currencies) == 1 else "",
        max_parts=record.optional("max_parts", integer(1, 20)),
    )


def _costs(node: Node, findings: Findings) -> dict[str, Money] | None:
    """``EUR 0.09``, or by country with a ``default``."""
    if isinstance(node, ScalarNode):
        amount = money(node, findings)
        return None if amount is None else {"default": amount}
    found = table(country_or_default, money)(node, findings)
    if found is not None and isinstance(node, MapNode) and node.get("default") is None:
        findings.error(Code.MISSING_KEY, node.span, "missing key 'default'", "what does it cost elsewhere?")
    return found


def country_or_default(node: Node, findings: Findings) -> str | None:
    """A country code, or ``default``."""
    return "default" if isinstance(node, ScalarNode) and node.text == "default" else country(node, findings)


def read_calendars(policy: Record) -> dict[str, Calendar]:
    """Named calendars of working days."""
    return policy.optional("calendars", table(name(CALENDAR_NAME, "business-days"), _calendar)) or {}


def _calendar(node: Node, findings: Findings) -> Calendar | None:
    record = open_record(node, findings, keys=CALENDAR_KEYS)
    if record is None:
        return None
    weekend = record.optional("weekend", items(choice(WEEKDAYS), at_least=0)) or ()
    if set(WEEKDAYS) <= set(weekend):
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
        record = open_record(node, findings, keys=BLACKOUT_KEYS)
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
        record = open_record(node, findings, keys=SUPPRESS_KEYS)
        if record is None:
            return None
        event = record.required("event", choice(SUPPRESSING))
        where = record.optional("channel", channel)
        classes = record.optional("classes", items(class_name))
        return None if event is None else SuppressRule(event=event, channel=where, scopes=classes or ("all",))

    return read
