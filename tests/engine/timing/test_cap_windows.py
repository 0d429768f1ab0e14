"""No calendar period and no rolling window of anybody's clocks ever holds more than a cap allows (fault C32)."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timing_policies import zones

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import CalendarPeriod, Cap
from outbound.engine.timing.caps import counts_until, opens_at, period_end
from outbound.engine.timing.quiet import NEVER
from outbound.engine.timing.walls import add, local_day, start_of_day
from outbound.engine.timing.zones import zone_named

DAY, WEEK, MONTH, YEAR = CalendarPeriod.DAY, CalendarPeriod.WEEK, CalendarPeriod.MONTH, CalendarPeriod.YEAR
ROME, HAVANA, SAMOA, ST_JOHNS = map(zone_named, ("Europe/Rome", "America/Havana", "Pacific/Apia", "America/St_Johns"))


def cap(most: int, per: CalendarPeriod | Duration) -> Cap:
    return Cap(name="marketing.x", max=most, per=per, message_class="marketing")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("instant", "period", "zone", "end"),
    [
        ("2026-06-03T10:00", DAY, ROME, "2026-06-03T22:00"),
        ("2026-03-29T00:30", DAY, ROME, "2026-03-29T22:00"),  # the day of 23 hours
        ("2026-10-24T22:00", DAY, ROME, "2026-10-25T23:00"),  # the day of 25 hours
        ("2026-06-03T10:00", WEEK, ROME, "2026-06-07T22:00"),  # weeks begin on Monday
        ("2026-06-07T21:59", WEEK, ROME, "2026-06-07T22:00"),
        ("2026-12-31T23:00", MONTH, ROME, "2027-01-31T23:00"),  # January already
        ("2026-12-31T22:59", YEAR, ROME, "2026-12-31T23:00"),
        ("2026-03-08T04:59", DAY, HAVANA, "2026-03-08T05:00"),  # clocks go from 00:00 to 01:00: the day begins there
        ("2011-12-30T09:59", DAY, SAMOA, "2011-12-30T10:00"),  # 30 December never was
        ("2010-11-07T02:30", DAY, ST_JOHNS, "2010-11-08T03:30"),  # at 00:01 clocks went back to 23:01 of the 6th
        ("2010-11-07T02:45", DAY, ST_JOHNS, "2010-11-08T03:30"),  # the repeated evening is of the 7th, begun before
    ],
)
def test_a_period_ends_where_the_next_one_begins(
    instant: str, period: CalendarPeriod, zone: ZoneInfo, end: str
) -> None:
    assert period_end(utc(instant), period, zone) == utc(end)


def test_an_hour_elapses_and_a_day_is_a_step_of_the_calendar() -> None:
    """On the eve of the change 24 hours end an hour later by the clock than a day."""
    eve = utc("2026-03-28T20:00")
    assert counts_until(eve, Duration(24, DurationUnit.HOUR), ROME) == utc("2026-03-29T20:00")
    assert counts_until(eve, Duration(1, DurationUnit.DAY), ROME) == utc("2026-03-29T19:00")


def test_one_more_fits_the_moment_the_oldest_of_the_newest_drops_out() -> None:
    rolling = cap(2, Duration(168, DurationUnit.HOUR))
    contacts = [utc("2026-06-01T08:00"), utc("2026-06-02T08:00"), utc("2026-06-03T08:00")]
    at = utc("2026-06-04T08:00")
    assert opens_at(contacts, rolling, at=at, zone=ROME) == utc("2026-06-09T08:00")
    assert opens_at(contacts[:1], rolling, at=at, zone=ROME) is None
    assert opens_at(contacts, rolling, at=utc("2026-06-09T08:00"), zone=ROME) is None  # half-open


def test_a_cap_of_nothing_never_opens() -> None:
    assert opens_at([], cap(0, DAY), at=utc("2026-06-01T08:00"), zone=ROME) == NEVER


def first_day(day: date, period: CalendarPeriod) -> date:
    """The period that a day is in, said in another way than the code under test says it."""
    match period:
        case CalendarPeriod.DAY:
            return day
        case CalendarPeriod.WEEK:
            return day - timedelta(days=day.isoweekday() - 1)
        case CalendarPeriod.MONTH:
            return day.replace(day=1)
        case CalendarPeriod.YEAR:
            return day.replace(month=1, day=1)


waits = st.one_of(
    st.timedeltas(timedelta(0), timedelta(hours=3)),
    st.timedeltas(timedelta(hours=20), timedelta(hours=28)),
    st.timedeltas(timedelta(0), timedelta(days=40)),
)
changes = st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-25", "2026-11-01", "2026-12-30"])
pers = st.one_of(
    st.sampled_from(list(CalendarPeriod)),
    st.builds(Duration, st.integers(1, 200), st.just(DurationUnit.HOUR)),
    st.builds(Duration, st.integers(1, 9), st.sampled_from([DurationUnit.DAY, DurationUnit.WEEK])),
)


@settings(max_examples=400)
@given(zone=zones, per=pers, most=st.integers(1, 4), near=changes, tries=st.lists(waits, min_size=5, max_size=40))
def test_no_window_ever_holds_more_than_the_cap_allows(
    zone: ZoneInfo, per: CalendarPeriod | Duration, most: int, near: str, tries: list[timedelta]
) -> None:
    """Random tries around clock changes, each let go exactly when the cap says: recounted by definition.

    And the moment it names is not later than need be: an instant before, one more would have been too many.
    """
    limit = cap(most, per)
    now, sent = utc(near) - timedelta(days=1), list[datetime]()
    for wait in tries:
        now += wait
        opening = opens_at(sent, limit, at=now, zone=zone)
        if opening is not None:
            assert opening > now
            assert opens_at(sent, limit, at=opening - timedelta(microseconds=1), zone=zone) == opening
            assert opens_at(sent, limit, at=opening, zone=zone) is None
            if wait.seconds % 2:
                continue  # this one gives up; the next asks at its own time
            now = opening
        sent.append(now)
    if isinstance(per, Duration):
        for contact in sent:
            end = add(contact, per, zone)
            assert sum(contact <= other < end for other in sent) <= most
        return
    for day in {first_day(local_day(contact, zone), per) for contact in sent}:
        begin = start_of_day(day, zone)
        end = period_end(begin, per, zone)
        assert sum(begin <= contact < end for contact in sent) <= most


@settings(max_examples=300)
@given(zone=zones, at=st.datetimes(datetime(2024, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - hypothesis wants naive bounds
def test_a_day_is_the_local_day(zone: ZoneInfo, at: datetime) -> None:
    """All contacts of one local date count together, in every zone of the world."""
    end = period_end(at, DAY, zone)
    assert local_day(end, zone) > local_day(at, zone)
    assert local_day(end - timedelta(microseconds=1), zone) == local_day(at, zone)
