"""Which zone a person is in, and how sure we are."""

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from timing_policies import policy

from outbound.domain.customer import Address, ChannelName, Customer, Preference
from outbound.engine.timing import customer_source, resolve_zones, zone_named, zone_source


@pytest.mark.parametrize(
    ("timezone", "country", "phone", "source"),
    [
        ("Europe/Rome", "US", "+393331234567", "tz:Europe/Rome"),
        (None, "IT", "+4915112345678", "country:IT"),
        (None, "it", None, "country:IT"),
        (None, None, "+393331234567", "phone:Europe/Rome,Europe/Vatican"),
        ("Europe/Roma", "IT", None, "country:IT"),  # no such zone: the next source speaks
        ("../../etc/passwd", None, None, ""),
        ("", "", "", ""),
        (None, "XX", None, ""),
        (None, None, "+39333", ""),  # too short for a number
        (None, None, "hello", ""),
        (None, None, None, ""),
    ],
)
def test_the_stated_zone_wins_then_the_country_then_the_number(
    timezone: str | None, country: str | None, phone: str | None, source: str
) -> None:
    """C28."""
    assert zone_source(timezone, country, phone) == source


@pytest.mark.parametrize(
    ("source", "at", "origin", "count"),
    [
        ("tz:America/New_York", "America/New_York", "customer.timezone", 1),
        ("country:IT", "Europe/Rome", "customer.country", 1),
        ("country:US", "America/Chicago", "customer.country", 29),  # policy.zones says which
        ("country:ES", "Europe/Madrid", "customer.country", 3),  # it does not: the first of zone.tab
        ("phone:Europe/Rome,Europe/Vatican", "Europe/Rome", "customer.phone", 2),
        ("phone:America/New_York,America/Chicago", "America/Chicago", "customer.phone", 2),
        ("", "Europe/Rome", "policy.timezone", 1),
        ("tz:Mars/Olympus", "Europe/Rome", "policy.timezone", 1),
        ("country:XX", "Europe/Rome", "policy.timezone", 1),
        ("garbage", "Europe/Rome", "policy.timezone", 1),
    ],
)
def test_a_source_names_the_zone_for_at_and_all_candidates(source: str, at: str, origin: str, count: int) -> None:
    zones = resolve_zones(source, policy(zones={"US": "America/Chicago"}))
    assert (zones.at.key, zones.origin, len(zones.candidates)) == (at, origin, count)
    assert zones.at in zones.candidates


def test_in_a_country_with_several_zones_the_policys_own_zone_is_better_than_the_first() -> None:
    assert resolve_zones("country:ES", policy(timezone="Atlantic/Canary")).at.key == "Atlantic/Canary"


def test_k13_a_toll_free_number_may_be_in_dozens_of_zones() -> None:
    assert len(resolve_zones(zone_source(None, None, "+18005551234"), policy()).candidates) > 20


def test_a_customer_whose_source_is_not_stored_is_worked_out_from_what_is() -> None:
    phone = Address(channel=ChannelName.SMS, value="+393331234567")
    assert customer_source(Customer(id="a", zone_source="country:FR", country="IT")) == "country:FR"
    assert customer_source(Customer(id="a", country="IT", addresses=(phone,))) == "country:IT"
    assert customer_source(Customer(id="a", preference=Preference(timezone="Asia/Tokyo"))) == "tz:Asia/Tokyo"
    assert customer_source(Customer(id="a", addresses=(phone,))) == "phone:Europe/Rome,Europe/Vatican"
    assert customer_source(Customer(id="a")) == ""


@pytest.fixture
def machine_with_wrong_zones(tmp_path: Path) -> Iterator[None]:
    """A machine whose own Europe/Rome keeps Tokyo's time."""
    (tmp_path / "Europe").mkdir()
    tokyo = files("tzdata.zoneinfo").joinpath("Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe" / "Rome").write_bytes(tokyo)
    before = zoneinfo.TZPATH
    zoneinfo.reset_tzpath([tmp_path])
    zone_named.cache_clear()
    yield
    zoneinfo.reset_tzpath(before)
    zone_named.cache_clear()


@pytest.mark.usefixtures("machine_with_wrong_zones")
def test_f47_zones_come_from_the_installed_package_not_from_the_machine() -> None:
    noon = datetime(2026, 6, 3, 12, tzinfo=UTC)
    assert noon.astimezone(zoneinfo.ZoneInfo.no_cache("Europe/Rome")).hour == 21
    assert noon.astimezone(zone_named("Europe/Rome")).hour == 14


@pytest.mark.parametrize("name", ["Europe/Roma", "", "../../etc/passwd", "Europe"])
def test_a_name_without_a_zone_is_an_error(name: str) -> None:
    with pytest.raises(zoneinfo.ZoneInfoNotFoundError):
        zone_named(name)
