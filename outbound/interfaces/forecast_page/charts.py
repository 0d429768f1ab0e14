"""The charts as numbers a template can draw: positions and sizes in the units of an SVG, nothing else."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil, log10

from outbound.domain.forecast import Forecast

WIDTH = 960
"""The width of every chart, in SVG units."""
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 12, 28
BARS_HEIGHT = 260
CELL, CELL_GAP, DAY_LABEL = 34, 3, 72
ROW, LABEL, NUMBER = 30, 220, 70
_TICKS = 4
_HOURS, _WEEKDAYS = 24, 7
_LABELS = 10
_NICE = (1, 2, 4, 6, 8, 10)
_SHADES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle, the class it is painted with, and what it says when pointed at."""

    x: float
    y: float
    width: float
    height: float
    paint: str
    told: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A text at a place."""

    x: float
    y: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """``ticks`` are the lines of the scale, ``legend`` pairs of a paint and its meaning."""

    width: float
    height: float
    bars: tuple[Bar, ...]
    labels: tuple[Label, ...] = ()
    ticks: tuple[Label, ...] = ()
    legend: tuple[tuple[str, str], ...] = ()
    numbers: tuple[Label, ...] = ()


def per_day(found: Forecast) -> Chart:
    """Messages of each day, one colour for each channel, days without any included."""
    counts: dict[tuple[date, str], int] = {(one.day, one.channel): one.messages for one in found.days}
    channels = sorted({channel for _, channel in counts})
    days = _all_days(found)
    totals = [sum(counts.get((day, channel), 0) for channel in channels) for day in days]
    top = nice_ceiling(max(totals, default=0))
    floor, height = BARS_HEIGHT - BOTTOM, BARS_HEIGHT - BOTTOM - TOP
    step = (WIDTH - LEFT - RIGHT) / max(len(days), 1)
    thick = min(step * 0.72, 48)
    bars, labels = [], []
    every = max(ceil(len(days) / _LABELS), 1)
    for place, day in enumerate(days):
        x, y = LEFT + place * step + (step - thick) / 2, float(floor)
        for number, channel in enumerate(channels):
            count = counts.get((day, channel), 0)
            if count:
                tall = count / top * height
                y -= tall
                told = f"{day:%a %d %b}: {count:,} {channel}"
                bars.append(Bar(x=x, y=y, width=thick, height=tall, paint=f"series-{number}", told=told))
        if place % every == 0:
            labels.append(Label(x=x + thick / 2, y=BARS_HEIGHT - 8, text=f"{day.day} {day:%b}"))
    ticks = tuple(
        Label(x=LEFT - 10, y=floor - n / _TICKS * height, text=f"{top * n / _TICKS:,.0f}") for n in range(_TICKS + 1)
    )
    legend = tuple((f"series-{number}", channel) for number, channel in enumerate(channels))
    return Chart(width=WIDTH, height=BARS_HEIGHT, bars=tuple(bars), labels=tuple(labels), ticks=ticks, legend=legend)


def per_hour(found: Forecast) -> Chart:
    """Messages of each hour of the week, the darker the more."""
    counts: dict[tuple[int, int], int] = {}
    for one in found.hours:
        key = (one.hour.weekday(), one.hour.hour)
        counts[key] = counts.get(key, 0) + one.messages
    most = max(counts.values(), default=0)
    bars, labels = [], []
    for weekday in range(_WEEKDAYS):
        name = f"{date(2026, 6, 1) + timedelta(days=weekday):%A}"  # a Monday
        y = TOP + 16 + weekday * (CELL + CELL_GAP)
        labels.append(Label(x=0, y=y + CELL / 2 + 4, text=name[:3]))
        for hour in range(_HOURS):
            count = counts.get((weekday, hour), 0)
            shade = ceil(_SHADES * count / most) if most and count else 0
            told = f"{name} {hour:02}:00: {count:,} messages"
            x = DAY_LABEL - 28 + hour * (CELL + CELL_GAP)
            bars.append(Bar(x=x, y=y, width=CELL, height=CELL, paint=f"heat-{shade}", told=told))
    hours = tuple(
        Label(x=DAY_LABEL - 28 + hour * (CELL + CELL_GAP) + CELL / 2, y=TOP + 6, text=f"{hour:02}")
        for hour in range(0, _HOURS, 2)
    )
    legend = tuple((f"heat-{n}", _band(n, most)) for n in range(_SHADES + 1)) if most else ()
    height = TOP + 16 + _WEEKDAYS * (CELL + CELL_GAP)
    width = DAY_LABEL - 28 + _HOURS * (CELL + CELL_GAP)
    return Chart(width=width, height=height, bars=tuple(bars), labels=tuple(labels), numbers=hours, legend=legend)


def ranking(counted: Mapping[str, int], *, paint: str, most: int) -> Chart:
    """The largest entries as bars beside their names."""
    entries: Sequence[tuple[str, int]] = list(counted.items())[:most]
    top = max((number for _, number in entries), default=0) or 1
    space = WIDTH / 2 - LABEL - NUMBER
    bars, labels, numbers = [], [], []
    for place, (name, number) in enumerate(entries):
        y = place * ROW
        long = max(number / top * space, 2) if number else 0
        told = f"{name}: {number:,}"
        bars.append(Bar(x=LABEL, y=y + 7, width=long, height=ROW - 14, paint=paint, told=told))
        labels.append(Label(x=0, y=y + ROW / 2 + 5, text=_short(name)))
        numbers.append(Label(x=LABEL + long + 8, y=y + ROW / 2 + 5, text=f"{number:,}"))
    height = max(len(entries), 1) * ROW
    return Chart(width=WIDTH / 2, height=height, bars=tuple(bars), labels=tuple(labels), numbers=tuple(numbers))


def nice_ceiling(value: int) -> float:
    """A round number, not smaller, that four steps divide well."""
    if value <= _TICKS:
        return _TICKS
    scale = 10.0 ** int(log10(value))
    return next(scale * one for one in _NICE if scale * one >= value)


def _all_days(found: Forecast) -> list[date]:
    if not found.days:
        return []
    first, last = found.days[0].day, found.days[-1].day
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def _band(shade: int, most: int) -> str:
    if shade == 0:
        return "none"
    return f"up to {ceil(most * shade / _SHADES):,}"


def _short(name: str) -> str:
    longest = 30
    return name if len(name) <= longest else f"{name[: longest - 1]}…"
