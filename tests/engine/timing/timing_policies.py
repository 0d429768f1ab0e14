"""Policies and strategies shared by the tests of timing."""

from collections.abc import Mapping
from datetime import UTC, date, datetime

from hypothesis import strategies as st

from outbound.domain.policy import Blackout, BrandIdentity, Calendar, Policy, QuietHours
from outbound.engine.timing import zone_named, zone_names

BRAND = BrandIdentity(name="B", senders={}, reply_to="", postal_address="", languages=("it",), fallback="it")


def naive(*parts: int) -> datetime:
    """A wall time, which has no zone of its own."""
    return datetime(*parts)  # type: ignore[arg-type,unused-ignore] # noqa: DTZ001 - naive on purpose


def policy(
    *,
    timezone: str = "Europe/Rome",
    zones: Mapping[str, str] | None = None,
    quiet_hours: Mapping[str, QuietHours] | None = None,
    calendars: Mapping[str, Calendar] | None = None,
    blackouts: tuple[Blackout, ...] = (),
) -> Policy:
    return Policy(
        timezone=timezone,
        classes={},
        topics={},
        channels={},
        waterfall=(),
        next_on=(),
        quiet_hours=quiet_hours or {},
        zones=zones or {},
        calendars=calendars or {},
        blackouts=blackouts,
        suppress=(),
        brand=BRAND,
    )


WORKING_DAYS = Calendar(weekend=frozenset({"sat", "sun"}), holidays=True, extra=frozenset({date(2026, 12, 24)}))

zones = st.sampled_from(sorted(zone_names())).map(zone_named)
instants = st.datetimes(naive(2024, 1, 1), naive(2028, 1, 1), timezones=st.just(UTC))
minutes = st.times().map(lambda t: t.replace(second=0, microsecond=0))
