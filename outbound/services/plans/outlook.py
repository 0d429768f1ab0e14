"""The days ahead with the planned files: the real engine on a scratch copy (``services.forecast``), read for a plan."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from outbound.domain.forecast import Forecast
from outbound.domain.keyring import Keyring
from outbound.domain.release import Files
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import zone_named
from outbound.services import releases
from outbound.services.forecast import Account, Stretch, copied, forecast
from outbound.services.planning.window import AHEAD
from outbound.storage import collisions as store
from outbound.storage.collisions import Lost
from outbound.storage.database import Database

BY = "plan"
_CONFLICT = "conflict."

Hours = Mapping[str, Mapping[str, int]]
"""Messages planned by rule and by hour (UTC, ISO 8601)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What a look ahead needs: where the data is, how far, what can send, and the keys."""

    url: str
    until: datetime
    accounts: Sequence[Account]
    keyring: Keyring
    progress: Callable[[datetime], None] = field(default=lambda _: None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """On ``day`` ``people`` would have got both: ``winner`` took the turn, and ``loser`` waited.

    ``by`` is the cap that allows only one, "" for the window of arbitration. ``until`` is when the first of the losers
    left after all, None where none did; ``never`` are those that did not leave within the stretch.
    """

    winner: str
    loser: str
    day: date
    people: int
    by: str = ""
    until: datetime | None = None
    never: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The figures of the stretch, who collides, and what is planned in which hour."""

    forecast: Forecast
    collisions: tuple[Collision, ...] = ()
    hours: Hours = field(default_factory=dict)


def look_ahead(files: Files, ahead: Ahead, *, now: datetime, include_current: bool = False) -> Outlook | None:
    """Live with ``files`` from ``now`` on, in a copy that is thrown away. None where they would be refused."""
    with copied(ahead.url) as scratch:
        published = releases.publish(scratch, files, by=BY, now=now, include_current=include_current)
        if not isinstance(published, releases.Published):
            return None
        active = releases.running(scratch)
        figures = forecast(
            scratch,
            active,
            Stretch(start=now, until=ahead.until),
            accounts=ahead.accounts,
            keyring=ahead.keyring,
            progress=ahead.progress,
        )
        return Outlook(
            forecast=figures,
            collisions=_collisions(scratch, now, active.ruleset.policy.timezone),
            hours=_hours(scratch, now),
        )


def _collisions(scratch: Database, start: datetime, zone_name: str) -> tuple[Collision, ...]:
    zone = zone_named(zone_name)
    pairs: defaultdict[tuple[date, str, str, str], list[Lost]] = defaultdict(list)
    with scratch.read() as connection:
        for one in store.lost(connection, start):
            conflicts = one.why.startswith(_CONFLICT)
            winner = one.why.removeprefix(_CONFLICT) if conflicts else one.winner
            if winner and winner != one.rule:
                by = "" if conflicts else one.why.removeprefix("cap.")
                pairs[local_day(one.planned_at + AHEAD, zone), winner, one.rule, by].append(one)
    return tuple(
        Collision(
            winner=winner,
            loser=loser,
            day=day,
            people=len(found),
            by=by,
            until=min((one.sent_at for one in found if one.sent_at is not None), default=None),
            never=sum(one.sent_at is None for one in found),
        )
        for (day, winner, loser, by), found in sorted(pairs.items())
    )


def _hours(scratch: Database, start: datetime) -> Hours:
    found: defaultdict[str, dict[str, int]] = defaultdict(dict)
    with scratch.read() as connection:
        for rule, at, number in store.planned(connection, start):
            hour = at.replace(minute=0, second=0, microsecond=0).isoformat()
            found[rule][hour] = found[rule].get(hour, 0) + number
    return {rule: dict(sorted(hours.items())) for rule, hours in sorted(found.items())}


def moved(before: Hours, after: Hours, *, since: datetime, until: datetime) -> str:
    """How the planned messages of the hours both know differ by more than 5 %, "" where they do not.

    All together, or those of one rule where that is more than a few. The hour that has begun is left out.
    """
    first = (since + timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)
    window = first.isoformat(), until.isoformat()
    sums = [
        {rule: sum(n for hour, n in hours.items() if window[0] <= hour < window[1]) for rule, hours in one.items()}
        for one in (before, after)
    ]
    then, now = (sum(one.values()) for one in sums)
    if abs(now - then) > _SHARE * then:
        return f"{then:,} messages were planned for the hours that are left, now it would be {now:,}"
    for rule in sorted({*sums[0], *sums[1]}):
        then, now = (one.get(rule, 0) for one in sums)
        if abs(now - then) > max(_SHARE * then, _FEW):
            return f"{then:,} messages of rule {rule} were planned for the hours that are left, now it would be {now:,}"
    return ""


_SHARE = 0.05
_FEW = 20
