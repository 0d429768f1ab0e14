"""Wall-clock times against every offset change of 2024-2027 in the real data, and in every zone there is."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from timing_policies import instants, naive, zones

from outbound.domain.durations import Duration, DurationUnit
from outbound.engine.timing import add, resolve_wall, start_of_day, wall, zone_named
from outbound.engine.timing.walls import occurrences, step

ROME = zone_named("Europe/Rome")


@pytest.fixture(scope="module")
def transitions(shared_data: Path) -> list[dict[str, str]]:
    path = shared_data / "dst" / "transitions_2024_2027.csv"
    if not path.exists():
        pytest.skip("the list of offset changes is not beside the checkout")
    with path.open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def inside(change: dict[str, str]) -> Iterator[datetime]:
    """Wall times strictly within the skipped or repeated stretch, its first one included."""
    start, end = sorted((datetime.fromisoformat(change["wall_before"]), datetime.fromisoformat(change["wall_after"])))
    while start < end:
        yield start
        start += timedelta(minutes=5)


def test_f44_a_time_in_a_gap_runs_once_at_the_first_valid_instant() -> None:
    instant = resolve_wall(naive(2026, 3, 29, 2, 30), ROME)
    assert instant == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert wall(instant, ROME) == naive(2026, 3, 29, 3, 0)


def test_f45_a_repeated_time_means_its_first_occurrence() -> None:
    local = naive(2026, 10, 25, 2, 30)
    first, second = occurrences(local, ROME)
    assert resolve_wall(local, ROME) == first == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert second == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_every_gap_of_the_real_data_resolves_to_the_instant_of_the_change(transitions: list[dict[str, str]]) -> None:
    gaps = [change for change in transitions if change["kind"] == "gap"]
    assert gaps
    for change in gaps:
        for local in inside(change):
            assert resolve_wall(local, zone_named(change["zone"])) == datetime.fromisoformat(change["utc"]), change


def test_every_fold_of_the_real_data_resolves_before_the_change(transitions: list[dict[str, str]]) -> None:
    folds = [change for change in transitions if change["kind"] == "fold"]
    assert folds
    for change in folds:
        zone, at = zone_named(change["zone"]), datetime.fromisoformat(change["utc"])
        for local in inside(change):
            first, second = occurrences(local, zone)
            assert first < at <= second, change
            assert wall(first, zone) == wall(second, zone) == local


def test_a_day_without_midnight_starts_at_its_first_instant() -> None:
    santiago = zone_named("America/Santiago")
    assert wall(start_of_day(naive(2026, 9, 6).date(), santiago), santiago) == naive(2026, 9, 6, 1, 0)


def test_a_day_that_was_skipped_whole_starts_with_the_next() -> None:
    apia = zone_named("Pacific/Apia")  # crossed the date line over 30 December 2011
    assert wall(resolve_wall(naive(2011, 12, 30, 12), apia), apia) == naive(2011, 12, 31)


@settings(deadline=None, max_examples=300)
@given(zone=zones, instant=instants)
def test_in_every_zone_an_instant_is_among_the_occurrences_of_its_wall_time(zone: ZoneInfo, instant: datetime) -> None:
    assert instant in occurrences(wall(instant, zone), zone)


@settings(deadline=None, max_examples=300)
@given(zone=zones, instant=instants)
def test_in_every_zone_resolving_is_the_first_instant_that_reads_at_least_the_time(
    zone: ZoneInfo, instant: datetime
) -> None:
    local = wall(instant, zone)
    resolved = resolve_wall(local, zone)
    assert wall(resolved, zone) >= local
    assert wall(resolved - timedelta(seconds=1), zone) < local


@pytest.mark.parametrize(
    ("start", "duration", "expected"),
    [
        # 21:00 on the eve of the spring change: a day keeps the wall time, 24 hours do not (K12)
        (naive(2026, 3, 28, 21), Duration(1, DurationUnit.DAY), naive(2026, 3, 29, 21)),
        (naive(2026, 3, 28, 21), Duration(24, DurationUnit.HOUR), naive(2026, 3, 29, 22)),
        (naive(2026, 10, 24, 21), Duration(24, DurationUnit.HOUR), naive(2026, 10, 25, 20)),
        (naive(2026, 3, 28, 2, 30), Duration(1, DurationUnit.DAY), naive(2026, 3, 29, 3, 0)),
        (naive(2026, 3, 22, 9), Duration(1, DurationUnit.WEEK), naive(2026, 3, 29, 9)),
        (naive(2026, 3, 29, 9), Duration(-1, DurationUnit.DAY), naive(2026, 3, 28, 9)),
        (naive(2026, 1, 31, 9), Duration(1, DurationUnit.MONTH), naive(2026, 2, 28, 9)),
        (naive(2028, 1, 31, 9), Duration(1, DurationUnit.MONTH), naive(2028, 2, 29, 9)),
        (naive(2026, 3, 31, 9), Duration(-1, DurationUnit.MONTH), naive(2026, 2, 28, 9)),
        (naive(2026, 11, 30, 9), Duration(14, DurationUnit.MONTH), naive(2028, 1, 30, 9)),
        (naive(2026, 12, 31, 23, 59), Duration(90, DurationUnit.SECOND), naive(2027, 1, 1, 0, 0, 30)),
        (naive(2026, 10, 25, 3), Duration(0, DurationUnit.DAY), naive(2026, 10, 25, 3)),
    ],
)
def test_hours_elapse_and_days_step_the_calendar(start: datetime, duration: Duration, expected: datetime) -> None:
    assert wall(add(resolve_wall(start, ROME), duration, ROME), ROME) == expected


def test_three_calendar_days_over_the_spring_change_are_71_hours() -> None:
    start = resolve_wall(naive(2026, 3, 28, 8), zone_named("Europe/Berlin"))
    assert add(start, Duration(3, DurationUnit.DAY), zone_named("Europe/Berlin")) - start == timedelta(hours=71)


def test_adding_no_days_never_goes_back_in_time_on_a_repeated_hour() -> None:
    second = occurrences(naive(2026, 10, 25, 2, 30), ROME)[1]
    assert add(second, Duration(0, DurationUnit.DAY), ROME) == second


def test_f48_leap_seconds_do_not_exist_here() -> None:
    before = datetime(2016, 12, 31, 23, 59, 59, tzinfo=UTC)  # 23:59:60 followed
    assert add(before, Duration(1, DurationUnit.SECOND), ROME) == datetime(2017, 1, 1, tzinfo=UTC)


@settings(deadline=None, max_examples=200)
@given(zone=zones, instant=instants, days=st.integers(1, 400))
def test_in_every_zone_days_later_reads_the_same_wall_time_unless_skipped(
    zone: ZoneInfo, instant: datetime, days: int
) -> None:
    later = add(instant, Duration(days, DurationUnit.DAY), zone)
    expected = wall(instant, zone) + timedelta(days=days)
    reached = wall(later, zone)
    assert reached == expected or (reached > expected and wall(later - timedelta(seconds=1), zone) < expected)


def test_naive_instants_and_aware_wall_times_are_refused() -> None:
    with pytest.raises(ValueError, match="offset"):
        add(naive(2026, 1, 1), Duration(1, DurationUnit.HOUR), ROME)
    with pytest.raises(ValueError, match="offset"):
        wall(naive(2026, 1, 1), ROME)
    with pytest.raises(ValueError, match="wall time"):
        resolve_wall(datetime(2026, 1, 1, tzinfo=UTC), ROME)


def test_a_day_plus_hours_means_nothing() -> None:
    with pytest.raises(ValueError, match="48h"):
        step(datetime.combine(naive(2026, 1, 1), time.min).date(), Duration(48, DurationUnit.HOUR))
