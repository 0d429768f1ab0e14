"""Quiet hours: nothing leaves in them, in any zone the person may be in, across every change of the clocks."""

import csv
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from timing_policies import instants, minutes, naive, policy, zones

from outbound.domain.customer import OwnQuietHours, Pause
from outbound.domain.policy import QuietHours
from outbound.engine.timing import Silence, hours_for, quiet_at, quiet_until, resolve_wall, wall, zone_named
from outbound.engine.timing.quiet import NEVER, in_range

ROME = zone_named("Europe/Rome")
NIGHT = QuietHours(start=time(21), end=time(8))
MINUTE = timedelta(minutes=1)


def rome(*parts: int) -> datetime:
    return resolve_wall(naive(*parts), ROME)


@pytest.mark.parametrize(
    ("hours", "now", "until"),
    [
        # C27: half-open, to the second
        (NIGHT, (2026, 6, 3, 20, 59, 59), None),
        (NIGHT, (2026, 6, 3, 21, 0, 0), (2026, 6, 4, 8)),
        (NIGHT, (2026, 6, 4, 7, 59, 59), (2026, 6, 4, 8)),
        (NIGHT, (2026, 6, 4, 8, 0, 0), None),
        (NIGHT, (2026, 6, 3, 0, 0), (2026, 6, 3, 8)),
        # within one day
        (QuietHours(start=time(13), end=time(15)), (2026, 6, 3, 14, 59, 59), (2026, 6, 3, 15)),
        (QuietHours(start=time(13), end=time(15)), (2026, 6, 3, 12, 59, 59), None),
        # from and to midnight
        (QuietHours(start=time(0), end=time(8)), (2026, 6, 3, 0, 0), (2026, 6, 3, 8)),
        (QuietHours(start=time(21), end=time(0)), (2026, 6, 3, 23, 59), (2026, 6, 4, 0)),
        (QuietHours(start=time(21), end=time(0)), (2026, 6, 4, 0, 0), None),
        # over the changes of the clocks
        (NIGHT, (2026, 3, 28, 22), (2026, 3, 29, 8)),
        (NIGHT, (2026, 10, 24, 22), (2026, 10, 25, 8)),
        # an opening in the gap is the first valid instant
        (QuietHours(start=time(21), end=time(2, 30)), (2026, 3, 29, 1), (2026, 3, 29, 3)),
        # hours with seconds are kept to the second
        (QuietHours(start=time(21, 0, 30), end=time(8)), (2026, 6, 3, 21, 0, 29), None),
        (QuietHours(start=time(21, 0, 30), end=time(8)), (2026, 6, 3, 21, 0, 30), (2026, 6, 4, 8)),
    ],
)
def test_quiet_hours_are_half_open_and_cross_midnight(
    hours: QuietHours, now: tuple[int, ...], until: tuple[int, ...] | None
) -> None:
    """C31."""
    assert quiet_until(rome(*now), Silence(zones=(ROME,), hours=hours)) == (rome(*until) if until else None)


@pytest.mark.parametrize(
    ("closed", "now", "until", "why"),
    [
        ({"sun"}, (2026, 6, 7, 12), (2026, 6, 8, 8), "closed"),
        ({"sun"}, (2026, 6, 6, 22), (2026, 6, 8, 8), ""),  # Saturday night joins a closed Sunday
        ({"sun"}, (2026, 6, 6, 20, 59), None, None),
        ({"sun", "holidays"}, (2026, 12, 25, 12), (2026, 12, 28, 8), "closed"),  # Christmas, St Stephen, Sunday
        ({"holidays"}, (2026, 8, 15, 12), (2026, 8, 16, 8), "closed"),
        (set(), (2026, 12, 25, 12), None, None),
    ],
)
def test_closed_days_join_the_nights_around_them(
    closed: set[str], now: tuple[int, ...], until: tuple[int, ...] | None, why: str | None
) -> None:
    hours = QuietHours(start=time(21), end=time(8), closed=frozenset(closed))
    quiet = quiet_at(rome(*now), Silence(zones=(ROME,), hours=hours, country="IT"))
    assert (quiet and quiet.until) == (rome(*until) if until else None)
    assert (quiet and quiet.why) == why


def test_holidays_are_those_of_the_customers_country() -> None:
    hours = QuietHours(start=time(21), end=time(8), closed=frozenset({"holidays"}))
    bastille = rome(2026, 7, 14, 12)
    assert quiet_until(bastille, Silence(zones=(ROME,), hours=hours, country="FR")) == rome(2026, 7, 15, 8)
    assert quiet_until(bastille, Silence(zones=(ROME,), hours=hours, country="IT")) is None
    assert quiet_until(bastille, Silence(zones=(ROME,), hours=hours, country="XX")) is None


def test_the_customers_own_hours_only_ever_add_silence() -> None:
    own = OwnQuietHours(start=time(18), end=time(6))
    silence = Silence(zones=(ROME,), hours=NIGHT, own=own)
    assert quiet_until(rome(2026, 6, 3, 17, 59, 59), silence) is None
    evening = quiet_at(rome(2026, 6, 3, 18), silence)
    assert evening is not None
    assert (evening.until, evening.why) == (rome(2026, 6, 4, 8), "own")
    assert quiet_until(rome(2026, 6, 4, 7), silence) == rome(2026, 6, 4, 8)  # after their hours, still in the policy's
    assert quiet_until(rome(2026, 6, 3, 19), Silence(zones=(ROME,), own=own)) == rome(2026, 6, 4, 6)


def test_a_pause_covers_its_first_and_last_day_in_the_customers_zone() -> None:
    pause = Pause(start=date(2026, 8, 1), end=date(2026, 8, 16))
    silence = Silence(zones=(ROME,), hours=NIGHT, pauses=(pause,))
    assert quiet_until(rome(2026, 7, 31, 20, 59), silence) is None
    paused = quiet_at(rome(2026, 8, 1, 12), silence)
    assert paused is not None
    assert (paused.until, paused.why) == (rome(2026, 8, 17, 8), "pause")
    assert quiet_until(rome(2026, 8, 16, 23), silence) == rome(2026, 8, 17, 8)
    assert quiet_until(rome(2026, 8, 17, 8), silence) is None


def test_a_pause_without_end_ends_with_the_calendar() -> None:
    pause = Pause(start=date(2026, 8, 1), end=date.max)
    for zone in (ROME, zone_named("Pacific/Kiritimati"), zone_named("Pacific/Pago_Pago")):
        assert quiet_until(rome(2026, 9, 1, 12), Silence(zones=(zone,), hours=NIGHT, pauses=(pause,))) == NEVER


def test_f49_several_possible_zones_mean_the_intersection_of_their_windows() -> None:
    coasts = (zone_named("America/New_York"), zone_named("America/Los_Angeles"))
    silence = Silence(zones=coasts, hours=NIGHT)
    # 08:00 in New York is 05:00 in Los Angeles; both are open from 11:00 to 21:00 New York time
    assert quiet_until(datetime(2026, 6, 3, 12, 0, tzinfo=UTC), silence) == datetime(2026, 6, 3, 15, 0, tzinfo=UTC)
    assert quiet_until(datetime(2026, 6, 3, 15, 0, tzinfo=UTC), silence) is None
    assert quiet_until(datetime(2026, 6, 4, 0, 59, 59, tzinfo=UTC), silence) is None
    assert quiet_until(datetime(2026, 6, 4, 1, 0, tzinfo=UTC), silence) == datetime(2026, 6, 4, 15, 0, tzinfo=UTC)


def test_f49_zones_that_share_no_window_are_put_off_and_the_search_ends() -> None:
    silence = Silence(
        zones=(zone_named("UTC"), zone_named("Etc/GMT-12")), hours=QuietHours(start=time(19), end=time(9))
    )
    now = datetime(2026, 6, 3, 12, 0, tzinfo=UTC)
    until = quiet_until(now, silence)
    assert until is not None
    assert until > now + timedelta(days=7)


@pytest.mark.parametrize(
    "hours",
    [
        QuietHours(start=time(8), end=time(8)),
        QuietHours(start=time(21), end=time(8), closed=frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})),
        QuietHours(start=time(21), end=time(8), closed=frozenset({"sunday"})),  # a word nobody knows closes
    ],
)
def test_hours_that_never_open_hold_for_weeks_and_the_search_ends(hours: QuietHours) -> None:
    now = rome(2026, 6, 3, 12)
    until = quiet_until(now, Silence(zones=(ROME,), hours=hours))
    assert until is not None
    assert until > now + timedelta(days=7)


def test_f46_in_a_zone_ahead_of_utc_the_next_allowed_day_is_the_local_one() -> None:
    auckland = zone_named("Pacific/Auckland")
    weekdays = QuietHours(start=time(21), end=time(8), closed=frozenset({"sat", "sun"}))
    # Friday 20:30 UTC is Saturday morning in Auckland; Monday 08:00 there is Sunday evening in UTC
    now = datetime(2026, 6, 5, 20, 30, tzinfo=UTC)
    until = quiet_until(now, Silence(zones=(auckland,), hours=weekdays))
    assert until == datetime(2026, 6, 7, 20, 0, tzinfo=UTC)
    assert wall(until, auckland) == naive(2026, 6, 8, 8, 0)


def test_a_repeated_hour_is_quiet_both_times() -> None:
    hours = QuietHours(start=time(22), end=time(2, 30))
    silence = Silence(zones=(ROME,), hours=hours)
    first, second = datetime(2026, 10, 25, 0, 10, tzinfo=UTC), datetime(2026, 10, 25, 1, 10, tzinfo=UTC)
    assert wall(first, ROME) == wall(second, ROME) == naive(2026, 10, 25, 2, 10)
    assert quiet_until(first, silence) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert quiet_until(second, silence) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@settings(deadline=None, max_examples=300)
@given(
    candidates=st.lists(zones, min_size=1, max_size=3, unique_by=lambda zone: zone.key),
    now=instants,
    start=minutes,
    end=minutes,
    closed=st.frozensets(st.sampled_from(["sat", "sun"])),
    own=st.none() | st.builds(OwnQuietHours, start=minutes, end=minutes),
)
def test_in_every_zone_open_means_outside_every_window_and_an_opening_is_open(
    *,
    candidates: list[ZoneInfo],
    now: datetime,
    start: time,
    end: time,
    closed: frozenset[str],
    own: OwnQuietHours | None,
) -> None:
    assume(start != end)
    silence = Silence(zones=tuple(candidates), hours=QuietHours(start=start, end=end, closed=closed), own=own)

    def is_open(instant: datetime) -> bool:
        locals_ = [wall(instant, zone) for zone in candidates]
        return not any(
            in_range(local.time(), start, end)
            or ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[local.weekday()] in closed
            or (own is not None and in_range(local.time(), own.start, own.end))
            for local in locals_
        )

    until = quiet_until(now, silence)
    assert (until is None) == is_open(now)
    if until is None:
        return
    assert until > now
    # far ahead is the answer for windows that never meet; nearer, it must be a real opening
    assert is_open(until) or until > now + timedelta(days=7)


@settings(deadline=None, max_examples=100)
@given(zone=zones, now=instants, start=minutes, end=minutes)
def test_in_every_zone_the_opening_is_the_first_one(zone: ZoneInfo, now: datetime, start: time, end: time) -> None:
    assume(start != end)
    now = now.replace(second=0, microsecond=0)
    until = quiet_until(now, Silence(zones=(zone,), hours=QuietHours(start=start, end=end)))
    if until is None:
        return
    # A minute that opens early exists only where clocks are put back from within the window to before it.
    repeats = until.astimezone(zone).utcoffset() != now.astimezone(zone).utcoffset()
    minute = now
    while minute < until and not repeats:
        assert in_range(wall(minute, zone).time(), start, end)
        minute += MINUTE


def test_around_every_change_of_the_real_data_nothing_leaves_in_quiet_hours(shared_data: Path) -> None:
    path = shared_data / "dst" / "transitions_2024_2027.csv"
    if not path.exists():
        pytest.skip("the list of offset changes is not beside the checkout")
    with path.open(encoding="utf-8") as lines:
        changes = list(csv.DictReader(lines))
    assert changes
    windows = [NIGHT, QuietHours(start=time(23), end=time(2, 30)), QuietHours(start=time(1, 30), end=time(0, 15))]
    for change in changes:
        zone, at = zone_named(change["zone"]), datetime.fromisoformat(change["utc"])
        for hours in windows:
            silence = Silence(zones=(zone,), hours=hours)
            for minute in range(-180, 181, 15):
                now = at + minute * MINUTE
                leaves = quiet_until(now, silence) or now
                assert leaves >= now
                assert not in_range(wall(leaves, zone).time(), hours.start, hours.end), (change, hours, minute)


def test_the_hours_are_the_countrys_or_the_default() -> None:
    french = QuietHours(start=time(20), end=time(8))
    both = policy(quiet_hours={"default": NIGHT, "FR": french})
    assert hours_for(both, "FR") == french
    assert hours_for(both, "IT") == hours_for(both, None) == NIGHT
    assert hours_for(policy(), "IT") is None


def test_without_a_zone_or_an_offset_nobody_knows() -> None:
    with pytest.raises(ValueError, match="zone"):
        quiet_until(rome(2026, 6, 3, 12), Silence(zones=(), hours=NIGHT))
    with pytest.raises(ValueError, match="offset"):
        quiet_until(naive(2026, 6, 3, 12), Silence(zones=(ROME,), hours=NIGHT))
