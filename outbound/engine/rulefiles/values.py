"""The values of the rule language: times, dates, durations, money, zones, addresses."""

import re
from datetime import date, datetime, time
from email.utils import parseaddr
from functools import lru_cache
from typing import NamedTuple

from outbound.domain.customer import ChannelName
from outbound.domain.durations import Duration, DurationUnit
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, near_hint
from outbound.engine.rulefiles.nodes import Node, ScalarNode
from outbound.engine.rulefiles.record import Shape
from outbound.engine.rulefiles.shapes import choice, scalar, text
from outbound.engine.timing.zones import zone_names

SENTINELS = frozenset({date(1970, 1, 1), date(1900, 1, 1)})
"""What systems write for "no date". As a date in a rule they are always a mistake."""

_UNITS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), DurationUnit.SECOND),
    **dict.fromkeys(("m", "min", "minute", "minutes"), DurationUnit.MINUTE),
    **dict.fromkeys(("h", "hr", "hour", "hours"), DurationUnit.HOUR),
    **dict.fromkeys(("d", "day", "days"), DurationUnit.DAY),
    **dict.fromkeys(("w", "wk", "week", "weeks"), DurationUnit.WEEK),
    **dict.fromkeys(("mo", "mon", "month", "months"), DurationUnit.MONTH),
}


def clock(node: Node, findings: Findings) -> time | None:
    """A time of day, ``"08:30"``. Two digits each: other YAML tools read 8:30 as a number (fault K3)."""
    found = scalar(node, findings)
    if found is None:
        return None
    match = re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", found.text)
    if match:
        return time(int(match[1]), int(match[2]))
    findings.error(Code.BAD_TIME, node.span, 'time must be "HH:MM"', _clock_hint(found.text))
    return None


def _clock_hint(written: str) -> str:
    match = re.fullmatch(r"(\d{1,2})(?:[:.h](\d{2}))?(?::\d{2})?\s*(am|pm|Uhr)?", written.strip(), re.IGNORECASE)
    if not match:
        return 'write it like "08:30"'
    hour, minute, half = int(match[1]), int(match[2] or 0), (match[3] or "").lower()
    if half in ("am", "pm"):
        hour = hour % 12 + (12 if half == "pm" else 0)
    hour %= 24 if hour == 24 else 100  # noqa: PLR2004 -- 24:00 is the next midnight
    return f'write "{hour:02}:{minute:02}"' if hour < 24 and minute < 60 else 'write it like "08:30"'  # noqa: PLR2004


def parse_date(written: str) -> date | None:
    """``2026-11-27``, or None. Years far from now are typing errors."""
    if not re.fullmatch(r"(19|20|21)[0-9]{2}-[0-9]{2}-[0-9]{2}", written):
        return None
    try:
        return date.fromisoformat(written)
    except ValueError:
        return None


def day(node: Node, findings: Findings) -> date | None:
    """A date, ``2026-11-27``, quoted or not; sentinel dates are refused."""
    found = scalar(node, findings)
    return None if found is None else _checked_day(found, parse_date(found.text), findings)


def _checked_day(node: ScalarNode, value: date | None, findings: Findings) -> date | None:
    if value is None:
        findings.error(Code.BAD_DATE, node.span, "date must be YYYY-MM-DD and exist", "write it like 2026-11-27")
        return None
    if value in SENTINELS:
        findings.error(Code.SENTINEL_DATE, node.span, f"{value} stands for a missing date", "write a real date")
        return None
    return value


def moment(node: Node, findings: Findings) -> datetime | date | None:
    """A date, or a wall-clock date and time ``"2026-11-27T10:00"`` without a zone."""
    found = scalar(node, findings)
    if found is None:
        return None
    match = re.fullmatch(r"([0-9-]{10})[T ](([01][0-9]|2[0-3]):[0-5][0-9])(:00)?", found.text)
    if not match:
        if re.match(r"\d{4}-\d{2}-\d{2}[T ]", found.text):
            hint = 'write it like "2026-11-27T10:00", without seconds and zone'
            findings.error(Code.BAD_DATE, node.span, "date and time must be YYYY-MM-DDTHH:MM", hint)
            return None
        return _checked_day(found, parse_date(found.text), findings)
    value = _checked_day(found, parse_date(match[1]), findings)
    return None if value is None else datetime.combine(value, time.fromisoformat(match[2]))


def parse_duration(written: str) -> Duration | None:
    """``48h``, ``-14d``, or None."""
    match = re.fullmatch(r"([+-]?[0-9]{1,4})(mo|[smhdw])", written)
    return Duration(int(match[1]), DurationUnit(match[2])) if match else None


def duration(*units: str, signed: bool = False) -> Shape[Duration]:
    """A number and a unit without a blank between. ``signed`` allows zero and below, for offsets."""
    examples = {"s": "90s", "m": "30m", "h": "48h", "d": "3d", "w": "2w", "mo": "1mo"}
    known = [("-14d" if signed and unit == "d" else examples[unit]) for unit in units]
    like = f"{', '.join(known[:-1])} or {known[-1]}"

    def read(node: Node, findings: Findings) -> Duration | None:
        found = scalar(node, findings)
        if found is None:
            return None
        value = parse_duration(found.text)
        if value is None or value.unit not in units or (value.amount <= 0 and not signed):
            findings.error(
                Code.BAD_DURATION, node.span, f"duration must be like {like}", duration_hint(found.text, units)
            )
            return None
        return value

    return read


def duration_hint(written: str, units: tuple[str, ...]) -> str:
    """``write 24h`` for a duration written in another way, where it can be guessed."""
    match = re.fullmatch(r"([+-]?[0-9]{1,4})\s*([A-Za-z]+)", written.strip())
    unit = _UNITS.get(match[2].lower()) if match else None
    if re.fullmatch(r"[1-9][0-9]{0,3}", written):
        return f"say of what: {' or '.join(f'{written}{unit}' for unit in (units[0], units[-1]))}"
    if match and unit in units and int(match[1]) <= 0:
        return "it must be above zero"
    return f"write {int(match[1])}{unit}" if match and unit in units and f"{int(match[1])}{unit}" != written else ""


class Money(NamedTuple):
    """An amount in a currency (ISO 4217)."""

    currency: str
    amount: float


_SIGNS = {"€": "EUR", "$": "USD", "£": "GBP", "¥": "JPY"}


def money(node: Node, findings: Findings) -> Money | None:
    """``EUR 0.075``: the currency first, a dot for the fraction."""
    found = scalar(node, findings)
    if found is None:
        return None
    match = re.fullmatch(r"([A-Z]{3}) ([0-9]{1,9}(?:\.[0-9]{1,6})?)", found.text)
    if match:
        return Money(match[1], float(match[2]))
    loose = re.fullmatch(r"([A-Za-z€$£¥]*)\s*([0-9]+(?:[.,][0-9]+)?)\s*([A-Za-z€$£¥]*)", found.text)
    hint = "write it like EUR 0.09"
    if loose and bool(loose[1]) != bool(loose[3]):
        unit = loose[1] or loose[3]
        hint = f"write {_SIGNS.get(unit, unit.upper())} {loose[2].replace(',', '.')}"
    findings.error(Code.BAD_MONEY, node.span, "an amount is a currency and a number", hint)
    return None


def percent(node: Node, findings: Findings) -> float | None:
    """``30%`` as 0.3."""
    found = scalar(node, findings)
    if found is None:
        return None
    match = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)%", found.text)
    if not match or float(match[1]) == 0:
        hint = f"write {found.text}%" if re.fullmatch(r"[1-9][0-9]{0,3}", found.text) else "write it like 30%"
        findings.error(Code.BAD_VALUE, node.span, f"'{node.name}' must be a percentage above 0%", hint)
        return None
    return float(match[1]) / 100


def share(low: int, high: int) -> Shape[int]:
    """``12.5%`` as a whole number of the 10,000 buckets of experiments, from ``low`` to ``high``."""

    def read(node: Node, findings: Findings) -> int | None:
        found = scalar(node, findings)
        if found is None:
            return None
        match = re.fullmatch(r"([0-9]{1,3})(?:\.([0-9]{1,2}))?%", found.text)
        buckets = int(match[1]) * 100 + int((match[2] or "").ljust(2, "0")) if match else -1
        if not low <= buckets <= high:
            bounds = f"from {low / 100:g}% to {high / 100:g}%, with at most two decimals"
            hint = f"write {found.text}%" if re.fullmatch(r"[1-9][0-9]?", found.text) else "write it like 20%"
            findings.error(Code.BAD_VALUE, node.span, f"'{node.name}' must be a percentage {bounds}", hint)
            return None
        return buckets

    return read


def zone(node: Node, findings: Findings) -> str | None:
    """An IANA time zone that exists."""
    found = scalar(node, findings)
    if found is None:
        return None
    if not zone_exists(found.text):
        hint = near_hint(found.text, _zone_names()) or "write it like Europe/Rome"
        findings.error(Code.UNKNOWN_ZONE, node.span, f"unknown time zone '{found.text[:60]}'", hint)
        return None
    return found.text


@lru_cache(maxsize=1)
def _zone_names() -> tuple[str, ...]:
    """Every zone a rule may name; reading them takes a while, so only a misspelled one is worth it."""
    return tuple(sorted(name for name in zone_names() if "/" in name))


def zone_exists(key: str) -> bool:
    """Whether the time zone database knows ``key``, in exactly this spelling."""
    return ("/" in key or key == "UTC") and key in zone_names()  # without EST, Japan and their like


def country(node: Node, findings: Findings) -> str | None:
    """An ISO 3166 code of two capitals."""
    found = scalar(node, findings)
    if found is None:
        return None
    if not re.fullmatch(r"[A-Z]{2}", found.text):
        upper = found.text.upper()
        hint = f"write {upper}" if re.fullmatch(r"[A-Z]{2}", upper) else "write it like IT"
        findings.error(Code.BAD_NAME, node.span, f"'{found.text[:60]}' is not a country code", hint)
        return None
    return found.text


def language(node: Node, findings: Findings) -> str | None:
    """A language tag: ``it``, ``pt-BR``."""
    found = scalar(node, findings)
    if found is None:
        return None
    if not re.fullmatch(r"[a-z]{2,3}(-[A-Z]{2})?", found.text):
        hint = (
            f"write {found.text.lower()}" if re.fullmatch(r"[A-Za-z]{2}", found.text) else "write it like it or pt-BR"
        )
        findings.error(Code.BAD_NAME, node.span, f"'{found.text[:60]}' is not a language code", hint)
        return None
    return found.text


def address(node: Node, findings: Findings) -> str | None:
    """An e-mail address alone."""
    written = text(node, findings)
    if written is None:
        return None
    if not _is_address(written):
        findings.error(
            Code.BAD_ADDRESS, node.span, f"'{node.name}' must be an e-mail address", "write it like hello@shop.example"
        )
        return None
    return written


def sender(node: Node, findings: Findings) -> str | None:
    """``Name <address>``."""
    written = text(node, findings)
    if written is None:
        return None
    shown, bare = parseaddr(written)
    if not shown or not written.endswith(f"<{bare}>") or not _is_address(bare):
        hint = 'write it like "Shop <news@shop.example>"'
        findings.error(Code.BAD_ADDRESS, node.span, "a sender is a name and an address", hint)
        return None
    return written


def _is_address(written: str) -> bool:
    return re.fullmatch(r"[^\s@<>,;:\"]+@[^\s@<>,;:\"]+\.[^\s@<>,;:\".]+", written) is not None


def channel(node: Node, findings: Findings) -> ChannelName | None:
    """A channel of the product."""
    found = choice([c.value for c in ChannelName], code=Code.UNKNOWN_CHANNEL, what="channel")(node, findings)
    return None if found is None else ChannelName(found)
