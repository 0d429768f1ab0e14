"""Adopting a release in a scratch copy, and living through a stretch with it."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta

from outbound.domain.forecast import Forecast
from outbound.domain.keyring import Keyring
from outbound.domain.release import Files
from outbound.domain.source import Problem
from outbound.services import releases
from outbound.services.forecast.course import HOUR, MINUTE, Feed, Stretch, live
from outbound.services.forecast.figures import figures
from outbound.services.forecast.hands import Answer, accepted
from outbound.services.forecast.unplugged import Account, unplugged
from outbound.services.releases import Active
from outbound.storage.database import Database

LONG_LOOKS = timedelta(hours=6)
"""How often segments are looked at where many days are lived through: a look asks about everybody."""
BY = "forecast"
"""Who published a release in a scratch copy."""


def adopt(scratch: Database, files: Files | None, *, now: datetime) -> Active | tuple[Problem, ...]:
    """The release to live with: ``files`` published in the scratch copy at ``now``, or what runs there (None).

    Answers the problems that refuse the files. Raises OutboundError ``release.none`` where nothing runs.
    """
    if files is not None:
        published = releases.publish(scratch, files, by=BY, now=now)
        if not isinstance(published, releases.Published):
            return published
    return releases.running(scratch)


def forecast(
    scratch: Database,
    active: Active,
    stretch: Stretch,
    *,
    accounts: Sequence[Account],
    keyring: Keyring,
    feeds: Iterable[Feed] = (),
    answer: Answer = accepted,
    step: timedelta = MINUTE,
    looks: timedelta = HOUR,
    progress: Callable[[datetime], None] = lambda _: None,
) -> Forecast:
    """Live through ``stretch`` in the scratch copy and answer its figures. The copy keeps every row of it.

    ``answer`` is what providers say, ``feeds`` what customers do; ``step`` and ``looks`` as for ``course.live``.
    """
    kit = unplugged(scratch, accounts, keyring=keyring, active=lambda: active)
    live(scratch, kit, active, stretch, feeds=feeds, answer=answer, step=step, looks=looks, progress=progress)
    return figures(scratch, active, stretch)
