"""Schedules: each period fires once, at its wall-clock time, in every zone."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timing_policies import WORKING_DAYS, instants, minutes, naive, policy, zones

from outbound.domain.policy import Calendar
from outbound.domain.rule import ScheduleTrigger
from outbound.engine.timing import Slot, frequency_of, is_working_day, period_key, slots_between, wall, zone_named

ROME = zone_named("Europe/Rome")
RULES = policy(
    calendars={
        "business-days": WORKING_DAYS,
        "never": Calendar(
            weekend=frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"}), holidays=False, extra=frozenset()
        ),
    }
)


def slots(
    trigger: ScheduleTrigger, after: date, until: date, *, zone: ZoneInfo = ROME, country: str | None = "IT"
) -> list[Slot]:
    return slots_between(
        trigger,
        zone=zone,
        after=datetime.combine(after, time.min, UTC),
        until=datetime.combine(until, time.min, UTC),
        policy=RULES,
        country=country,
    )


def schedule(recurrence: str, **extra: object) -> ScheduleTrigger:
    return ScheduleTrigger(**{"at": time(10), "zone": None, "recurrence": recurrence, **extra})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (schedule("FREQ=MONTHLY;BYDAY=1TU"), ["2026-11 2026-11-03", "2026-12 2026-12-01"]),
        (schedule("FREQ=MONTHLY"), ["2026-11 2026-11-01", "2026-12 2026-12-01"]),
        (schedule("FREQ=WEEKLY;UNTIL=20261117"), [f"2026-W{45 + n} 2026-11-{2 + 7 * n:02}" for n in range(3)]),
        (schedule("FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=27"), ["2026 2026-11-27"]),
        (schedule("FREQ=YEARLY;BYMONTH=11;BYDAY=4FR"), ["2026 2026-11-27"]),
        (schedule("FREQ=DAILY;UNTIL=20261102T230000Z"), ["2026-11-01 2026-11-01", "2026-11-02 2026-11-02"]),
        (
            schedule("FREQ=DAILY;INTERVAL=30", start=date(2026, 11, 5)),
            ["2026-11-05 2026-11-05", "2026-12-05 2026-12-05"],
        ),
        (schedule("FREQ=DAILY;COUNT=2", start=date(2026, 11, 9)), ["2026-11-09 2026-11-09", "2026-11-10 2026-11-10"]),
        (schedule("RRULE:FREQ=MONTHLY;BYMONTHDAY=-1"), ["2026-11 2026-11-30"]),
        # F48: a month without a 31st has no slot (RFC 5545 section 3.3.10)
        (schedule("FREQ=MONTHLY;BYMONTHDAY=31"), []),
        (schedule("FREQ=MONTHLY;BYMONTHDAY=7;BYHOUR=1,2,3"), ["2026-11 2026-11-07", "2026-12 2026-12-07"]),
        (ScheduleTrigger(at=time(10), zone=None, on_date=date(2026, 11, 27)), ["2026-11-27 2026-11-27"]),
        (ScheduleTrigger(at=time(10), zone=None, on_date=date(2025, 11, 27)), []),
        (ScheduleTrigger(at=time(10), zone=None), []),
    ],
)
def test_a_schedule_fires_on_its_days_and_names_its_periods(trigger: ScheduleTrigger, expected: list[str]) -> None:
    found = slots(trigger, date(2026, 11, 1), date(2026, 12, 8))
    assert [f"{slot.key} {slot.local.date()}" for slot in found] == expected
    assert {slot.local.time() for slot in found} <= {time(10)}


def test_bounds_are_after_exclusive_and_until_inclusive() -> None:
    daily = schedule("FREQ=DAILY")
    nine = datetime(2026, 6, 3, 8, 0, tzinfo=UTC)  # 10:00 in Rome
    arguments = {"zone": ROME, "policy": RULES, "country": None}
    assert slots_between(daily, after=nine, until=nine + timedelta(hours=1), **arguments) == []
    assert len(slots_between(daily, after=nine - timedelta(seconds=1), until=nine, **arguments)) == 1


def test_a_holiday_moves_to_the_next_working_day_and_keeps_its_period() -> None:
    first = schedule("FREQ=MONTHLY;BYMONTHDAY=1", calendar="business-days")
    found = slots(first, date(2025, 12, 31), date(2026, 2, 10))
    # 1 January is a holiday; 1 February a Sunday
    assert [(s.key, s.day, s.local.date()) for s in found] == [
        ("2026-01", date(2026, 1, 1), date(2026, 1, 2)),
        ("2026-02", date(2026, 2, 1), date(2026, 2, 2)),
    ]


def test_a_shift_over_the_end_of_a_month_keeps_the_period() -> None:
    last = schedule("FREQ=MONTHLY;BYMONTHDAY=-1", calendar="business-days")
    found = slots(last, date(2026, 1, 30), date(2026, 2, 3))
    assert [(s.key, s.local.date()) for s in found] == [("2026-01", date(2026, 2, 2))]


def test_holidays_are_the_countrys_own_and_an_extra_day_is_everyones() -> None:
    bastille = ScheduleTrigger(at=time(10), zone=None, on_date=date(2026, 7, 14), calendar="business-days")
    window = (date(2026, 7, 1), date(2026, 8, 1))
    assert [s.local.day for s in slots(bastille, *window, country="FR")] == [15]
    assert [s.local.day for s in slots(bastille, *window, country="IT")] == [14]
    assert [s.local.day for s in slots(bastille, *window, country=None)] == [14]
    eve = ScheduleTrigger(at=time(10), zone=None, on_date=date(2026, 12, 24), calendar="business-days")
    assert [s.local.date() for s in slots(eve, date(2026, 12, 1), date(2027, 1, 10))] == [date(2026, 12, 28)]


def test_a_look_that_begins_on_the_day_a_slot_moved_to_still_finds_it() -> None:
    eve = ScheduleTrigger(at=time(10), zone=None, on_date=date(2026, 12, 24), calendar="business-days")
    assert [s.key for s in slots(eve, date(2026, 12, 28), date(2026, 12, 29))] == ["2026-12-24"]


def test_days_that_move_to_the_same_working_day_are_one_slot() -> None:
    daily = schedule("FREQ=DAILY", calendar="business-days")
    found = slots(daily, date(2026, 11, 5), date(2026, 11, 11))
    assert [(s.key, s.local.day) for s in found] == [
        ("2026-11-05", 5),
        ("2026-11-06", 6),
        ("2026-11-09", 9),  # Saturday and Sunday fold into Monday's own
        ("2026-11-10", 10),
    ]


def test_a_calendar_without_working_days_has_no_slots() -> None:
    assert slots(schedule("FREQ=DAILY", calendar="never"), date(2026, 11, 1), date(2026, 12, 1)) == []


def test_a_trigger_with_a_zone_of_its_own_fires_there() -> None:
    found = slots(schedule("FREQ=DAILY", zone="Asia/Tokyo"), date(2026, 6, 3), date(2026, 6, 4))
    assert [slot.instant for slot in found] == [datetime(2026, 6, 3, 1, 0, tzinfo=UTC)]


def test_f44_a_slot_in_the_gap_fires_once_at_the_first_valid_instant() -> None:
    """C29."""
    found = slots(schedule("FREQ=DAILY", at=time(2, 30)), date(2026, 3, 28), date(2026, 3, 31))
    assert [s.instant for s in found if s.day == date(2026, 3, 29)] == [datetime(2026, 3, 29, 1, 0, tzinfo=UTC)]
    assert [s.local for s in found] == [naive(2026, 3, day, 2, 30) for day in (28, 29, 30)]


def test_f45_a_slot_in_the_repeated_hour_fires_once_the_first_time() -> None:
    found = slots(schedule("FREQ=DAILY", at=time(2, 30)), date(2026, 10, 25), date(2026, 10, 26))
    assert [(s.key, s.instant) for s in found] == [("2026-10-25", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))]


@settings(deadline=None, max_examples=150)
@given(zone=zones, at=minutes, after=instants, days=st.integers(8, 60))
def test_f46_in_every_zone_a_weekday_rule_fires_on_that_local_weekday_once_a_week(
    zone: ZoneInfo, at: time, after: datetime, days: int
) -> None:
    mondays = ScheduleTrigger(at=at, zone=None, recurrence="FREQ=WEEKLY;BYDAY=MO")
    found = slots_between(
        mondays, zone=zone, after=after, until=after + timedelta(days=days), policy=RULES, country=None
    )
    assert len({slot.key for slot in found}) == len(found) >= days // 7 - 1
    for slot in found:
        assert slot.local.weekday() == 0
        assert slot.local.time() == at
        local = wall(slot.instant, zone)
        # later only where clocks skip the time itself
        assert local == slot.local or wall(slot.instant - timedelta(seconds=1), zone) < slot.local < local


@settings(deadline=None, max_examples=150)
@given(
    zone=zones,
    at=minutes,
    after=instants,
    hours=st.lists(st.integers(1, 500), min_size=1, max_size=8),
    recurrence=st.sampled_from(["FREQ=DAILY", "FREQ=WEEKLY;BYDAY=SA,SU", "FREQ=MONTHLY;BYMONTHDAY=1,28"]),
    calendar=st.sampled_from([None, "business-days"]),
)
def test_in_every_zone_ticks_of_any_size_find_the_same_slots_as_one_look(
    *, zone: ZoneInfo, at: time, after: datetime, hours: list[int], recurrence: str, calendar: str | None
) -> None:
    trigger = ScheduleTrigger(at=at, zone=None, recurrence=recurrence, calendar=calendar)
    edges = [after]
    for step in hours:
        edges.append(edges[-1] + timedelta(hours=step))
    ticks = [
        slot
        for start, end in pairwise(edges)
        for slot in slots_between(trigger, zone=zone, after=start, until=end, policy=RULES, country="IT")
    ]
    assert ticks == slots_between(trigger, zone=zone, after=after, until=edges[-1], policy=RULES, country="IT")
    if calendar:
        assert all(is_working_day(slot.local.date(), WORKING_DAYS, "IT") for slot in ticks)


@pytest.mark.parametrize(
    ("day", "frequency", "key"),
    [
        (date(2026, 11, 3), "YEARLY", "2026"),
        (date(2026, 11, 3), "MONTHLY", "2026-11"),
        (date(2026, 11, 3), "WEEKLY", "2026-W45"),
        (date(2027, 1, 1), "WEEKLY", "2026-W53"),  # ISO 8601: the week belongs to the year of its Thursday
        (date(2026, 11, 3), "DAILY", "2026-11-03"),
    ],
)
def test_the_period_has_the_granularity_of_the_frequency(day: date, frequency: str, key: str) -> None:
    assert period_key(day, frequency) == key


@pytest.mark.parametrize("recurrence", ["FREQ=HOURLY", "BYDAY=MO", "", "nonsense"])
def test_a_rule_finer_than_a_day_or_without_a_frequency_is_refused(recurrence: str) -> None:
    with pytest.raises(ValueError, match="FREQ"):
        frequency_of(recurrence)
