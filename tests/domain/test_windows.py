"""Where a window begins, across clock changes and uneven months."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.windows import window_start

BERLIN = ZoneInfo("Europe/Berlin")
DAY, MONTH, HOUR = DurationUnit.DAY, DurationUnit.MONTH, DurationUnit.HOUR


@pytest.mark.parametrize(
    ("now", "within", "zone", "start"),
    [
        ("2026-03-29T12:00", Duration(24, HOUR), BERLIN, "2026-03-28T12:00"),
        ("2026-03-29T12:00", Duration(1, DAY), BERLIN, "2026-03-28T13:00"),  # the day has 23 hours
        ("2026-03-30T00:30", Duration(1, DAY), BERLIN, "2026-03-29T01:00"),  # 02:30 does not exist: 03:00
        ("2026-10-26T01:30", Duration(1, DAY), BERLIN, "2026-10-25T00:30"),  # 02:30 came twice: the first
        ("2026-03-31T10:00", Duration(1, MONTH), BERLIN, "2026-02-28T11:00"),
        ("2024-03-31T10:00", Duration(13, MONTH), BERLIN, "2023-02-28T11:00"),
        ("2026-01-15T10:00", Duration(1, MONTH), BERLIN, "2025-12-15T10:00"),
        ("2012-01-01T10:00", Duration(3, DAY), ZoneInfo("Pacific/Apia"), "2011-12-30T10:00"),  # a day left out
        ("2026-04-05T04:00", Duration(1, DAY), ZoneInfo("Australia/Lord_Howe"), "2026-04-04T03:30"),  # half an hour
    ],
)
def test_calendar_steps(now: str, within: Duration, zone: ZoneInfo, start: str) -> None:
    instant = datetime.fromisoformat(now).replace(tzinfo=UTC)
    assert window_start(instant, within, zone) == datetime.fromisoformat(start).replace(tzinfo=UTC)


@given(
    now=st.integers(946_684_800, 1_893_456_000).map(lambda second: datetime.fromtimestamp(second, UTC)),
    amount=st.integers(1, 500),
    unit=st.sampled_from([DAY, DurationUnit.WEEK, MONTH]),
    zone=st.sampled_from([BERLIN, ZoneInfo("America/Sao_Paulo"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("UTC")]),
)
def test_a_longer_window_never_begins_later(now: datetime, amount: int, unit: DurationUnit, zone: ZoneInfo) -> None:
    """Windows nest, and start before they end."""
    shorter, longer = (window_start(now, Duration(size, unit), zone) for size in (amount, amount + 1))
    assert longer <= shorter < now
