"""Every change of the clocks, in every zone of tzdata and of the real data: once, at the right instant (F44, F45)."""

import csv
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from timing_policies import naive, policy

from outbound.domain.customer import OwnQuietHours
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import CalendarPeriod, QuietHours
from outbound.domain.rule import DateTrigger, ScheduleTrigger
from outbound.engine.timing import (
    Silence,
    date_targets,
    quiet_until,
    resolve_wall,
    slots_between,
    start_of_day,
    wall,
    zone_named,
    zone_names,
)
from outbound.engine.timing.caps import period_end
from outbound.engine.timing.quiet import in_range

_MINUTE = timedelta(minutes=1)
_DAY = timedelta(days=1)
_FIRST, _LAST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC)
RULES = policy()
WINDOWS = (
    QuietHours(start=time(21), end=time(8)),
    QuietHours(start=time(22), end=time(2, 30)),
    QuietHours(start=time(0, 30), end=time(0, 15)),
    QuietHours(start=time(2), end=time(3)),
)


@cache
def changes_of(name: str) -> tuple[tuple[datetime, timedelta], ...]:
    """(instant, how far the clock jumps) of every offset change of a zone in 2024-2027, to the minute."""
    zone, found = zone_named(name), []
    before = _FIRST
    while before < _LAST:
        after = before + _DAY
        if _offset(before, zone) != _offset(after, zone):
            low, high = 0, _DAY // _MINUTE
            while high - low > 1:
                middle = (low + high) // 2
                same = _offset(before + middle * _MINUTE, zone) == _offset(after, zone)
                low, high = (low, middle) if same else (middle, high)
            found.append((before + high * _MINUTE, _offset(after, zone) - _offset(before, zone)))
        before = after
    return tuple(found)


def _offset(instant: datetime, zone: ZoneInfo) -> timedelta:
    offset = instant.astimezone(zone).utcoffset()
    assert offset is not None
    return offset


ALL = sorted(zone_names())
CHANGES = [(name, at, jump) for name in ALL for at, jump in changes_of(name)]


def around(at: datetime, zone: ZoneInfo, jump: timedelta) -> list[datetime]:
    """Wall times before, in and behind the skipped or repeated stretch."""
    start = wall(at - _MINUTE, zone) + _MINUTE
    low, high = sorted((start, start + jump))
    steps = (timedelta(0), timedelta(minutes=1), (high - low) / 2, high - low - _MINUTE, high - low)
    return sorted({low - _MINUTE, *(low + step for step in steps)})


def test_there_are_changes_to_test() -> None:
    """The search above finds what tzdata holds: hundreds of changes, gaps and folds, half an hour (Lord Howe) too."""
    jumps = {jump for _, _, jump in CHANGES}
    assert len(CHANGES) > 1_000
    assert {timedelta(hours=1), -timedelta(hours=1), timedelta(minutes=30)} <= jumps


def test_our_changes_are_those_of_the_real_data(shared_data: Path) -> None:
    path = shared_data / "dst" / "transitions_2024_2027.csv"
    if not path.exists():
        pytest.skip("the list of offset changes is not beside the checkout")
    with path.open(encoding="utf-8") as lines:
        listed = {(row["zone"], datetime.fromisoformat(row["utc"])) for row in csv.DictReader(lines)}
    assert listed
    assert listed <= {(name, at) for name, at, _ in CHANGES}


def test_f44_and_f45_a_daily_slot_fires_once_each_local_day_over_every_change() -> None:
    """F44: a time in a gap fires at the first valid instant; F45: a repeated one the first time; keyed by local day."""
    for name, at, jump in CHANGES:
        zone = zone_named(name)
        for local in around(at, zone, jump):
            daily = ScheduleTrigger(at=local.time(), zone=None, recurrence="FREQ=DAILY")
            window = {"after": at - 3 * _DAY, "until": at + 3 * _DAY}
            slots = slots_between(daily, zone=zone, policy=RULES, country=None, **window)
            keys = [slot.key for slot in slots]
            assert len(keys) == len(set(keys)), (name, local)
            assert keys == [slot.local.date().isoformat() for slot in slots]
            days = {date.fromisoformat(key) for key in keys}
            assert days >= {local.date() + n * _DAY for n in (-1, 0, 1)}, (name, local)
            [instant] = [slot.instant for slot in slots if slot.local == local]
            if jump > timedelta(0) and wall(at, zone) - jump <= local < wall(at, zone):
                assert instant == at, (name, local)
            else:
                assert wall(instant, zone) == local, (name, local)
                assert wall(instant - abs(jump), zone) != local, (name, local)


def test_f44_and_f45_a_date_rule_fires_once_on_the_local_day_of_every_change() -> None:
    """F44, F45: date rules ask each local day; one instant for each, also on days of 23 or 25 hours."""
    trigger = DateTrigger(attribute="due", at=time(2, 30), zone=None, offsets=(Duration(0, DurationUnit.DAY),))
    for name, at, _ in CHANGES:
        zone = zone_named(name)
        day = wall(at, zone).date()
        instants = [resolve_wall(datetime.combine(day + n * _DAY, trigger.at), zone) for n in (-1, 0, 1)]
        assert instants == sorted(set(instants))
        targets = [target.day for target in date_targets(trigger, local_day=day, policy=RULES, country=None)]
        assert targets == [day]


def test_quiet_hours_across_midnight_hold_over_every_change() -> None:
    """From three hours before to three hours after: what leaves, leaves outside the hours, and within two days."""
    for name, at, jump in CHANGES[::3]:  # each zone has its turn within its rule family
        zone = zone_named(name)
        own = [Silence(zones=(zone,), own=OwnQuietHours(start=w.start, end=w.end)) for w in WINDOWS]
        for hours, silence in zip(
            WINDOWS * 2, [*(Silence(zones=(zone,), hours=w) for w in WINDOWS), *own], strict=True
        ):
            for minutes in (-180, -61, -60, -31, -1, 0, 1, 29, 59, 61, 180):
                now = at + minutes * _MINUTE
                leaves = quiet_until(now, silence) or now
                clock = wall(leaves, zone).time()
                assert not in_range(clock, hours.start, hours.end), (name, at, hours, minutes)
                assert leaves - now <= 2 * _DAY + abs(jump), (name, at, hours, minutes)


@pytest.mark.parametrize(
    ("name", "day", "begins"),
    [
        ("Africa/Cairo", date(2024, 4, 26), naive(2024, 4, 26, 1)),
        ("Asia/Beirut", date(2024, 3, 31), naive(2024, 3, 31, 1)),
        ("America/Sao_Paulo", date(2018, 11, 4), naive(2018, 11, 4, 1)),
        ("America/Santiago", date(2026, 9, 6), naive(2026, 9, 6, 1)),
    ],
)
def test_f44_the_day_of_a_cap_begins_at_its_first_instant_where_there_is_no_midnight(
    name: str, day: date, begins: datetime
) -> None:
    """F44: the cap of the day before ends at the very instant the day begins, and the next is 23 hours later."""
    zone = zone_named(name)
    start = start_of_day(day, zone)
    assert wall(start, zone) == begins
    assert wall(start - timedelta(seconds=1), zone).date() == day - _DAY
    assert period_end(start - _MINUTE, CalendarPeriod.DAY, zone) == start
    assert period_end(start, CalendarPeriod.DAY, zone) - start == timedelta(hours=23)


def test_every_day_of_a_cap_follows_the_one_before_without_gap_or_overlap() -> None:
    """Over every change of every zone: the periods tile the time line, and each begins on its own local day."""
    for name, at, _ in CHANGES:
        zone = zone_named(name)
        begin = start_of_day(wall(at, zone).date() - _DAY, zone)
        for _ in range(3):
            end = period_end(begin, CalendarPeriod.DAY, zone)
            assert begin < end
            assert period_end(end - timedelta(seconds=1), CalendarPeriod.DAY, zone) == end, (name, at)
            begin = end
