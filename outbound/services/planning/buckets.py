"""Customers grouped by the zone their wall clock is in: one query per group, each with its own ``today``."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.customer import Customer
from outbound.domain.policy import Policy
from outbound.domain.rule import DateTrigger, ScheduleTrigger
from outbound.engine.timing.zones import customer_source, resolve_zones, zone_named
from outbound.storage import audience
from outbound.storage.audience import Members
from outbound.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One group. ``key`` names it on firing rows; ``country`` is set where a calendar follows its holidays."""

    key: str
    zone: ZoneInfo
    country: str | None
    members: Members


class Buckets:
    """The groups of all customers: as ``load`` found them, else as they are when first needed."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self._database = database
        self._policy = policy

    def load(self, connection: Connection, kinds: Iterable[tuple[str | None, str | None]]) -> None:
        """Ask in the caller's transaction what ``of`` needs for most of these kinds, (zone, calendar) of a trigger."""
        if any(zone is None and not self._by_country(calendar) for zone, calendar in kinds):
            self._by_zone = self._grouped(audience.zone_sources(connection))

    def of(self, zone: str | None, calendar: str | None) -> tuple[Bucket, ...]:
        """The groups for a trigger: by customer zone (``zone`` None) or all in one, by country for public holidays."""
        by_country = self._by_country(calendar)
        if zone is not None:
            fixed = zone_named(zone)
            if not by_country:
                return (Bucket(key=zone, zone=fixed, country=None, members=Members()),)
            countries = sorted({country for _, country in self._pairs})
            return tuple(_of_country(fixed, country, None) for country in countries)
        if by_country:
            return tuple(self._by_zone_and_country())
        return self._by_zone

    def _by_country(self, calendar: str | None) -> bool:
        return calendar is not None and bool(self._policy.calendars[calendar].holidays)

    @cached_property
    def _pairs(self) -> list[tuple[str, str]]:
        with self._database.read() as connection:
            return audience.zone_sources_by_country(connection)

    @cached_property
    def _by_zone(self) -> tuple[Bucket, ...]:
        with self._database.read() as connection:
            return self._grouped(audience.zone_sources(connection))

    def _grouped(self, sources: Iterable[str]) -> tuple[Bucket, ...]:
        grouped: dict[str, list[str]] = {}
        for source in sources:
            grouped.setdefault(resolve_zones(source, self._policy).at.key, []).append(source)
        everybody = len(grouped) == 1
        return tuple(
            Bucket(
                key=name,
                zone=zone_named(name),
                country=None,
                members=Members() if everybody else Members(sources=tuple(members)),
            )
            for name, members in sorted(grouped.items())
        )

    def _by_zone_and_country(self) -> Iterable[Bucket]:
        grouped: dict[tuple[str, str], list[str]] = {}
        for source, country in self._pairs:
            zone = resolve_zones(source, self._policy).at.key
            grouped.setdefault((zone, country), []).append(source)
        for (zone, country), sources in sorted(grouped.items()):
            yield _of_country(zone_named(zone), country, tuple(sources))


def bucket_of(policy: Policy, trigger: ScheduleTrigger | DateTrigger, customer: Customer) -> Bucket:
    """The group one customer is in, by the zone and calendar of a trigger; its members are nobody in particular."""
    zone = zone_named(trigger.zone) if trigger.zone else resolve_zones(customer_source(customer), policy).at
    if trigger.calendar and policy.calendars[trigger.calendar].holidays:
        return _of_country(zone, customer.country or "", None)
    return Bucket(key=zone.key, zone=zone, country=None, members=Members())


def _of_country(zone: ZoneInfo, country: str, sources: tuple[str, ...] | None) -> Bucket:
    return Bucket(
        key=f"{zone.key} {country or '-'}",
        zone=zone,
        country=country or None,
        members=Members(sources=sources, countries=(country,)),
    )
