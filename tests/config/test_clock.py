"""The wall clock is read in one place of the command line, and only where no other time was asked for."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from freezegun import freeze_time

from outbound.domain.errors import OutboundError
from outbound.interfaces.cli.context import Context, parse_instant

AT = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)


def context(tmp_path: Path, toml: str, at: datetime | None = None) -> Context:
    (tmp_path / "outbound.toml").write_text(toml, encoding="utf-8")
    return Context(tmp_path, at)


def test_without_at_it_is_the_wall_clock(tmp_path: Path) -> None:
    with freeze_time("2026-03-29 01:00:00", real_asyncio=True):
        assert context(tmp_path, "").now() == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)


def test_with_at_it_is_that_time_on_the_mailbox_only(tmp_path: Path) -> None:
    assert context(tmp_path, "", AT).now() == AT
    with pytest.raises(OutboundError) as error:
        context(tmp_path, '[email]\nadapter = "smtp"\n', AT).now()
    assert error.value.code == "clock.refused"


@pytest.mark.parametrize(
    ("text", "code"), [("2026-11-24T08:00", "time.naive"), ("tomorrow", "time.format"), ("", "time.format")]
)
def test_a_time_without_an_offset_is_refused_with_the_way_to_write_it(text: str, code: str) -> None:
    with pytest.raises(OutboundError) as error:
        parse_instant(text)
    assert error.value.code == code
    assert "2026-11-24T08:00" in error.value.remedy


def test_an_instant_is_read_with_any_offset() -> None:
    assert parse_instant("2026-11-24T09:00+01:00") == parse_instant("2026-11-24T08:00Z") == AT
