"""Which zone a person is in, as far as we know (rules.md 1.9, compliance C28, F49).

The order is: the customer's stated zone, else the zones of their country, else those their phone number may
be in, else the policy's. A country or a number often has several zones: ``at`` then uses one of them, and
quiet hours hold in all of them.
"""

from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from outbound.domain.customer import ChannelName, Customer
from outbound.domain.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Zones:
    """``at`` is the zone of wall-clock times, ``candidates`` all the person may be in (``at`` among them).

    ``origin`` says where the knowledge comes from: ``customer.timezone``, ``customer.country``,
    ``customer.phone`` or ``policy.timezone``.
    """

    at: ZoneInfo
    candidates: tuple[ZoneInfo, ...]
    origin: str


@cache
def zone_names() -> frozenset[str]:
    """Every zone name of the tzdata package."""
    return frozenset((files("tzdata") / "zones").read_text("utf-8").split())


@cache
def zone_named(name: str) -> ZoneInfo:
    """A zone from the tzdata package. Raises ``zoneinfo.ZoneInfoNotFoundError`` for a name it does not have.

    ``ZoneInfo(name)`` would ask the machine first, whose zones may be years older than the package's (F47): two
    machines of one installation would send at different times.
    """
    if name not in zone_names():
        raise ZoneInfoNotFoundError(f"no time zone is called {name!r}")
    with files("tzdata.zoneinfo").joinpath(*name.split("/")).open("rb") as content:
        return ZoneInfo.from_file(content, key=name)


@cache
def country_zones() -> dict[str, tuple[str, ...]]:
    """Zone names by country code, in the order of tzdata's zone.tab: the most populous first where it can."""
    zones: dict[str, tuple[str, ...]] = {}
    for line in (files("tzdata.zoneinfo") / "zone.tab").read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            zones[country] = (*zones.get(country, ()), name)
    return zones


def zone_source(timezone: str | None, country: str | None, phone: str | None) -> str:
    """What the zone is worked out from: ``tz:Europe/Rome``, ``country:IT``, ``phone:Europe/Rome,Europe/Vatican``.

    Empty when nothing is known: a value that leads to no zone (a misspelt zone, an unassigned country, an
    impossible number) counts as absent. ``phone`` is E.164.
    """
    if timezone and timezone in zone_names():
        return f"tz:{timezone}"
    if country and country.upper() in country_zones():
        return f"country:{country.upper()}"
    if phone and (zones := _phone_zones(phone)):
        return f"phone:{','.join(zones)}"
    return ""


@lru_cache(maxsize=4096)
def _phone_zones(phone: str) -> tuple[str, ...]:
    """The zones a number may be in: a set, not a value (K13). Empty when nothing is known."""
    # phonenumbers is heavy and seldom needed here
    from phonenumbers import NumberParseException, parse  # noqa: PLC0415 - see above
    from phonenumbers.timezone import time_zones_for_number  # noqa: PLC0415 - see above

    try:
        names = time_zones_for_number(parse(phone, None))
    except NumberParseException:
        return ()
    return tuple(name for name in names if name in zone_names())


def customer_source(customer: Customer) -> str:
    """The customer's ``zone_source``; worked out from the addresses where the store has not filled it."""
    if customer.zone_source:
        return customer.zone_source
    phone = customer.address(ChannelName.SMS)
    return zone_source(customer.preference.timezone, customer.country, phone.value if phone else None)


def resolve_zones(source: str, policy: Policy) -> Zones:
    """The zones meant by a ``zone_source`` under ``policy``; the policy's own zone where it means none.

    Raises ``zoneinfo.ZoneInfoNotFoundError`` when ``policy.timezone`` does not exist (the loader refuses that).
    """
    kind, _, rest = source.partition(":")
    if kind == "country":
        return _resolve(kind, rest, (policy.zones.get(rest, ""), policy.timezone), policy.timezone)
    if kind == "phone":
        return _resolve(kind, rest, (policy.timezone, *policy.zones.values()), policy.timezone)
    return _resolve(kind, rest, (), policy.timezone)


_ORIGINS = {"tz": "customer.timezone", "country": "customer.country", "phone": "customer.phone"}


@lru_cache(maxsize=4096)
def _resolve(kind: str, rest: str, wanted: tuple[str, ...], fallback: str) -> Zones:
    """``wanted`` are the zones that policy prefers for ``at``, best first; one that is no candidate is passed over."""
    match kind:
        case "tz":
            names: tuple[str, ...] = (rest,)
        case "country":
            names = country_zones().get(rest, ())
        case "phone":
            names = tuple(rest.split(","))
        case _:
            names = ()
    names = tuple(dict.fromkeys(name for name in names if name in zone_names()))
    if not names:
        # A zone or country that tzdata no longer knows, or nothing known at all.
        zone = zone_named(fallback)
        return Zones(at=zone, candidates=(zone,), origin="policy.timezone")
    at = next((name for name in wanted if name in names), names[0])
    return Zones(at=zone_named(at), candidates=tuple(map(zone_named, names)), origin=_ORIGINS[kind])
