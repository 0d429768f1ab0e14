"""Date triggers: who is due today, and every anniversary exactly once."""

from datetime import date, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timing_policies import WORKING_DAYS, policy

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.rule import DateTrigger, Feb29, Shift
from outbound.engine.timing import date_targets

RULES = policy(calendars={"business-days": WORKING_DAYS})
DAY = timedelta(days=1)


def days(amount: int) -> Duration:
    return Duration(amount, DurationUnit.DAY)


def trigger(*offsets: Duration, **extra: object) -> DateTrigger:
    return DateTrigger(**{"attribute": "due", "at": time(9), "zone": None, "offsets": offsets, **extra})  # type: ignore[arg-type]


def due(rule: DateTrigger, local_day: date, country: str | None = "IT") -> list[tuple[str, str]]:
    targets = date_targets(rule, local_day=local_day, policy=RULES, country=country)
    return [(str(target.offset), target.day.isoformat()) for target in targets]


@pytest.mark.parametrize(
    ("rule", "local_day", "expected"),
    [
        (trigger(), date(2026, 6, 3), [("0d", "2026-06-03")]),
        (trigger(days(-14), days(-3)), date(2026, 6, 3), [("-14d", "2026-06-17"), ("-3d", "2026-06-06")]),
        (trigger(days(7)), date(2026, 6, 3), [("7d", "2026-05-27")]),
        (trigger(Duration(-2, DurationUnit.WEEK)), date(2026, 6, 3), [("-2w", "2026-06-17")]),
        # month ends: the 28th is a month after the 28th, 29th, 30th and 31st (F48)
        (
            trigger(Duration(1, DurationUnit.MONTH)),
            date(2026, 2, 28),
            [("1mo", f"2026-01-{day}") for day in (28, 29, 30, 31)],
        ),
        (trigger(Duration(1, DurationUnit.MONTH)), date(2026, 3, 31), []),
        (trigger(Duration(1, DurationUnit.MONTH)), date(2026, 3, 15), [("1mo", "2026-02-15")]),
        (trigger(Duration(-1, DurationUnit.MONTH)), date(2026, 1, 31), []),
        (trigger(Duration(-1, DurationUnit.MONTH)), date(2026, 1, 28), [("-1mo", "2026-02-28")]),
    ],
)
def test_an_offset_is_undone_to_find_the_dates_due_today(
    rule: DateTrigger, local_day: date, expected: list[tuple[str, str]]
) -> None:
    assert due(rule, local_day) == expected


def test_a_notice_moves_earlier_when_its_day_is_off() -> None:
    notice = trigger(days(-3), calendar="business-days", shift=Shift.PREVIOUS)
    # the 3 days before Tue 9, Wed 10 and Thu 11 June start on Saturday, Sunday and Monday
    assert due(notice, date(2026, 6, 5)) == [("-3d", "2026-06-08"), ("-3d", "2026-06-09"), ("-3d", "2026-06-10")]
    assert due(notice, date(2026, 6, 6)) == []
    assert due(notice, date(2026, 6, 7)) == []
    assert due(notice, date(2026, 6, 8)) == [("-3d", "2026-06-11")]


def test_a_wish_moves_later_when_its_day_is_off() -> None:
    wish = trigger(calendar="business-days", shift=Shift.NEXT)
    assert due(wish, date(2026, 12, 28)) == [("0d", f"2026-12-{day}") for day in (28, 27, 26, 25, 24)]
    assert due(wish, date(2026, 12, 28), country="US") == [("0d", f"2026-12-{day}") for day in (28, 27, 26, 25, 24)]
    assert due(wish, date(2026, 4, 6), country="US") == [
        ("0d", "2026-04-06"),
        ("0d", "2026-04-05"),
        ("0d", "2026-04-04"),
    ]
    assert due(wish, date(2026, 4, 6), country="IT") == []  # Easter Monday


@pytest.mark.parametrize(
    ("feb29", "local_day", "fires"),
    [
        (Feb29.FEB28, date(2027, 2, 28), True),
        (Feb29.FEB28, date(2027, 3, 1), False),
        (Feb29.MAR1, date(2027, 2, 28), False),
        (Feb29.MAR1, date(2027, 3, 1), True),
        (Feb29.SKIP, date(2027, 2, 28), False),
        (Feb29.SKIP, date(2027, 3, 1), False),
        (None, date(2027, 2, 28), False),
        (Feb29.FEB28, date(2028, 2, 28), False),
        (Feb29.FEB28, date(2028, 2, 29), True),
        (Feb29.MAR1, date(2028, 3, 1), False),
        (Feb29.SKIP, date(2028, 2, 29), True),
    ],
)
def test_f48_a_29_february_has_the_anniversary_the_rule_says(feb29: Feb29 | None, local_day: date, fires: bool) -> None:
    targets = date_targets(trigger(every_year=True, feb29=feb29), local_day=local_day, policy=RULES, country=None)
    assert any(target.matches(date(2000, 2, 29)) for target in targets) is fires


@settings(deadline=None, max_examples=60)
@given(
    born=st.dates(date(1950, 1, 1), date(2020, 12, 31)) | st.just(date(2000, 2, 29)) | st.just(date(1999, 12, 31)),
    year=st.integers(2025, 2029),
    feb29=st.sampled_from([Feb29.FEB28, Feb29.MAR1]),
    offset=st.sampled_from([days(0), days(-7), days(3), Duration(-1, DurationUnit.WEEK)]),
    shift=st.sampled_from(list(Shift)),
    calendar=st.sampled_from([None, "business-days"]),
)
def test_f48_every_birthday_fires_exactly_once_a_year(
    *, born: date, year: int, feb29: Feb29, offset: Duration, shift: Shift, calendar: str | None
) -> None:
    rule = trigger(offset, every_year=True, feb29=feb29, shift=shift, calendar=calendar)
    day, fired = date(year - 1, 11, 15), 0
    while day < date(year + 1, 2, 15):
        targets = date_targets(rule, local_day=day, policy=RULES, country="IT")
        fired += sum(target.matches(born) and target.day.year == year for target in targets)
        day += DAY
    assert fired == 1


@settings(deadline=None, max_examples=60)
@given(
    value=st.dates(date(2026, 1, 1), date(2027, 12, 31)),
    offset=st.sampled_from(
        [days(0), days(-14), days(5), Duration(-2, DurationUnit.MONTH), Duration(1, DurationUnit.MONTH)]
    ),
    shift=st.sampled_from(list(Shift)),
    calendar=st.sampled_from([None, "business-days"]),
)
def test_every_date_fires_exactly_once_for_each_offset(
    value: date, offset: Duration, shift: Shift, calendar: str | None
) -> None:
    rule = trigger(offset, shift=shift, calendar=calendar)
    span = [value + n * DAY for n in range(-100, 101)]
    fired = [d for d in span for t in date_targets(rule, local_day=d, policy=RULES, country="FR") if t.matches(value)]
    assert len(fired) == 1


def test_an_anniversary_lies_not_before_the_date_itself() -> None:
    targets = date_targets(trigger(every_year=True), local_day=date(2026, 6, 3), policy=RULES, country=None)
    assert [target.matches(date(2026, 6, 3)) for target in targets] == [True]
    assert [target.matches(date(2027, 6, 3)) for target in targets] == [False]
    assert [target.month_days for target in targets] == [("06-03",)]


def test_an_early_wish_for_new_year_belongs_to_the_year_of_the_anniversary() -> None:
    early = trigger(days(-3), every_year=True)
    (target,) = date_targets(early, local_day=date(2026, 12, 29), policy=RULES, country=None)
    assert target.matches(date(1990, 1, 1))
    assert target.day == date(2027, 1, 1)
