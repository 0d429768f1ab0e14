"""The faults of calendars by name: weekdays ahead of UTC (F46), odd days (F48), unknown and ambiguous zones (F49)."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from timing_policies import WORKING_DAYS, naive, policy

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import QuietHours
from outbound.domain.rule import DateTrigger, Feb29, ScheduleTrigger
from outbound.engine.timing import (
    Silence,
    add,
    date_targets,
    quiet_until,
    resolve_wall,
    resolve_zones,
    slots_between,
    wall,
    zone_named,
)

RULES = policy(calendars={"business-days": WORKING_DAYS}, zones={"US": "America/New_York"})
NIGHT = QuietHours(start=time(21), end=time(8))
_AHEAD = ("Pacific/Kiritimati", "Pacific/Auckland", "Asia/Tokyo", "Europe/Rome", "America/Los_Angeles", "Pacific/Niue")
_DAY = timedelta(days=1)


@pytest.mark.parametrize("name", _AHEAD)
def test_f46_a_weekday_is_the_local_one_at_the_configured_hour(name: str) -> None:
    """F46: ``BYDAY=MO,TU,WE,TH,FR`` at 08:00, 14 hours ahead of UTC to 11 behind: Monday to Friday there, at 08:00."""
    zone = zone_named(name)
    rule = ScheduleTrigger(at=time(8), zone=None, recurrence="FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR")
    after = datetime(2026, 11, 20, 12, tzinfo=UTC)
    found = slots_between(rule, zone=zone, after=after, until=after + 14 * _DAY, policy=RULES, country=None)
    clocks = [wall(slot.instant, zone) for slot in found]
    assert len(clocks) == 10
    assert {clock.weekday() for clock in clocks} == {0, 1, 2, 3, 4}
    assert {clock.time() for clock in clocks} == {time(8)}


@pytest.mark.parametrize("name", _AHEAD)
def test_f46_a_day_off_moves_to_the_next_allowed_local_day_at_the_configured_hour(name: str) -> None:
    """F46: a Saturday in the person's own calendar moves to their Monday at the hour the rule says, not at midnight."""
    zone = zone_named(name)
    saturday = ScheduleTrigger(at=time(8), zone=None, on_date=date(2026, 11, 21), calendar="business-days")
    span = {"after": datetime(2026, 11, 18, tzinfo=UTC), "until": datetime(2026, 11, 26, tzinfo=UTC)}
    [slot] = slots_between(saturday, zone=zone, policy=RULES, country=None, **span)
    assert wall(slot.instant, zone) == naive(2026, 11, 23, 8)


@pytest.mark.parametrize("name", _AHEAD)
def test_f46_closed_weekdays_end_at_the_local_opening(name: str) -> None:
    """F46: quiet on Saturdays and Sundays: it opens on their Monday, when their night is over."""
    zone = zone_named(name)
    hours = QuietHours(start=time(21), end=time(8), closed=frozenset({"sat", "sun"}))
    noon = resolve_wall(naive(2026, 11, 21, 12), zone)
    until = quiet_until(noon, Silence(zones=(zone,), hours=hours))
    assert until is not None
    assert wall(until, zone) == naive(2026, 11, 23, 8)


@pytest.mark.parametrize(
    ("born", "feb29", "fires"),
    [
        (date(2000, 2, 29), Feb29.FEB28, {2026: date(2026, 2, 28), 2027: date(2027, 2, 28), 2028: date(2028, 2, 29)}),
        (date(2000, 2, 29), Feb29.MAR1, {2026: date(2026, 3, 1), 2027: date(2027, 3, 1), 2028: date(2028, 2, 29)}),
        (date(2000, 2, 29), Feb29.SKIP, {2028: date(2028, 2, 29)}),
        (date(1990, 2, 28), Feb29.FEB28, {year: date(year, 2, 28) for year in (2026, 2027, 2028)}),
        (date(1990, 3, 1), Feb29.MAR1, {year: date(year, 3, 1) for year in (2026, 2027, 2028)}),
        (date(1990, 12, 31), Feb29.FEB28, {year: date(year, 12, 31) for year in (2026, 2027, 2028)}),
        (date(1990, 1, 1), Feb29.FEB28, {year: date(year, 1, 1) for year in (2026, 2027, 2028)}),
    ],
)
def test_f48_a_birthday_is_wished_once_a_year(born: date, feb29: Feb29, fires: dict[int, date]) -> None:
    """F48: walking over every day of three years, leap year among them, each birthday comes once, as the rule says."""
    rule = DateTrigger(attribute="born", at=time(8, 30), zone=None, offsets=(), every_year=True, feb29=feb29)
    found: dict[int, date] = {}
    day = date(2026, 1, 1)
    while day < date(2029, 1, 1):
        for target in date_targets(rule, local_day=day, policy=RULES, country=None):
            if target.matches(born):
                assert target.day.year not in found
                found[target.day.year] = day
        day += _DAY
    assert found == fires


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ((2026, 1, 31), 1, (2026, 2, 28)),
        ((2028, 1, 31), 1, (2028, 2, 29)),
        ((2026, 3, 31), 1, (2026, 4, 30)),
        ((2028, 2, 29), 12, (2029, 2, 28)),
        ((2026, 12, 31), 2, (2027, 2, 28)),
    ],
)
def test_f48_a_month_ends_on_its_last_day(start: tuple[int, int, int], months: int, end: tuple[int, int, int]) -> None:
    """F48: a month after the 31st is the last day of a shorter month, at the same time of day."""
    rome = zone_named("Europe/Rome")
    later = add(resolve_wall(naive(*start, 9), rome), Duration(months, DurationUnit.MONTH), rome)
    assert wall(later, rome) == naive(*end, 9)


def test_f48_a_leap_second_neither_fires_twice_nor_shifts_anything() -> None:
    """F48: POSIX time has none. Over the one at the end of 2016 a slot at midnight UTC fires once, a day is a day."""
    utc = zone_named("UTC")
    daily = ScheduleTrigger(at=time(0), zone=None, recurrence="FREQ=DAILY")
    span = {"after": datetime(2016, 12, 30, 12, tzinfo=UTC), "until": datetime(2017, 1, 2, 12, tzinfo=UTC)}
    found = [slot.instant for slot in slots_between(daily, zone=utc, policy=RULES, country=None, **span)]
    assert found == [datetime(2016, 12, 31, tzinfo=UTC) + n * _DAY for n in range(3)]
    assert add(found[0], Duration(24, DurationUnit.HOUR), utc) == found[1]


@pytest.mark.parametrize(
    "source", ["country:US", "country:RU", "country:BR", "phone:America/New_York,America/Los_Angeles"]
)
def test_f49_nothing_leaves_outside_the_windows_of_all_candidate_zones(source: str) -> None:
    """F49: for every hour of a week: it is open exactly when it is day everywhere the person may be, else it waits."""
    zones = resolve_zones(source, RULES).candidates
    assert len(zones) > 1
    silence = Silence(zones=zones, hours=NIGHT)
    now = datetime(2026, 11, 1, tzinfo=UTC)
    for hour in range(7 * 24):
        moment = now + timedelta(hours=hour)
        open_everywhere = all(8 <= wall(moment, zone).hour < 21 for zone in zones)
        until = quiet_until(moment, silence)
        assert (until is None) is open_everywhere
        if until is not None and until < moment + 2 * _DAY:
            assert all(time(8) <= wall(until, zone).time() < time(21) for zone in zones)


def test_f49_zones_without_a_common_window_defer() -> None:
    """F49: Kiritimati and Tokyo share no hour between 9 and 10: the answer is a time to ask again, never an opening."""
    zones = (zone_named("Pacific/Kiritimati"), zone_named("Asia/Tokyo"))
    hours = QuietHours(start=time(10), end=time(9))
    until = quiet_until(datetime(2026, 11, 1, tzinfo=UTC), Silence(zones=zones, hours=hours))
    assert until is not None
    assert until > datetime(2026, 11, 14, tzinfo=UTC)


def test_f49_somebody_of_whom_nothing_is_known_is_in_the_policys_zone() -> None:
    """F49: no zone, no country, no number: the policy's own zone is the one candidate, and the source says so."""
    zones = resolve_zones("", RULES)
    assert ([zone.key for zone in zones.candidates], zones.origin) == (["Europe/Rome"], "policy.timezone")
