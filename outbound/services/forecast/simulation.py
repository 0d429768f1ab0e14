"""``outbound simulate``: a set of files, or a release, lived through on a copy of the real data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from outbound.domain.errors import OutboundError
from outbound.domain.forecast import Forecast
from outbound.domain.keyring import Keyring
from outbound.domain.release import Files
from outbound.domain.source import Problem
from outbound.services.forecast.course import HOUR, Feed, Stretch
from outbound.services.forecast.hands import accepted
from outbound.services.forecast.past import rewind
from outbound.services.forecast.reactions import Reaction, Reactions
from outbound.services.forecast.recorded import RecordedAnswers
from outbound.services.forecast.running import LONG_LOOKS, adopt, forecast
from outbound.services.forecast.scratch import copied
from outbound.services.forecast.unplugged import Account
from outbound.storage import releases as store
from outbound.storage.database import Database
from outbound.storage.tables import release

_MANY = timedelta(days=8)
_SHORTEST_NAME = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to live through: ``stretch``, in the past where ``replay``, with ``reactions`` drawn from ``seed``."""

    stretch: Stretch
    replay: bool = False
    reactions: tuple[Reaction, ...] = ()
    seed: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """Where the data is, what can send, and the keys that addresses are hashed with."""

    url: str
    accounts: Sequence[Account]
    keyring: Keyring


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Who wants to know how far it is: the copy from 0 to 1, then the virtual clock."""

    copying: Callable[[float], None] = field(default=lambda _: None)
    living: Callable[[datetime], None] = field(default=lambda _: None)


def simulate(
    installation: Installation, what: Files | str, wish: Wish, *, told: Told | None = None
) -> Forecast | tuple[Problem, ...]:
    """Live with ``what``: files, or a release by the beginning of its id, "" for the one that runs.

    Answers the problems that refuse the files. Raises OutboundError ``release.unknown``, ``release.none``, and what
    ``scratch.copied`` raises.
    """
    told = told or Told()
    stretch = wish.stretch
    with copied(installation.url, progress=told.copying) as scratch:
        files = what if not isinstance(what, str) else _files_of(scratch, what) if what or wish.replay else None
        answer = RecordedAnswers.of(scratch).answer if wish.replay else accepted
        feeds: list[Feed] = [rewind(scratch, stretch.start, until=stretch.until)] if wish.replay else []
        active = adopt(scratch, files, now=stretch.start)
        if isinstance(active, tuple):
            return active
        reactions = Reactions(wish.reactions, seed=wish.seed, answer=answer)
        return forecast(
            scratch,
            active,
            stretch,
            accounts=installation.accounts,
            keyring=installation.keyring,
            feeds=[*feeds, reactions],
            answer=reactions.answer,
            looks=LONG_LOOKS if stretch.until - stretch.start > _MANY else HOUR,
            progress=told.living,
        )


def _files_of(scratch: Database, name: str) -> Files:
    """The files of a release that is in the database."""
    with scratch.read() as connection:
        if not name:
            newest = store.newest(connection)
            if newest is None:
                raise OutboundError("release.none", "no release is active", "run `outbound apply`")
            ids = [newest[1]]
        else:
            mine = sa.select(release.c.id).where(release.c.id.startswith(name, autoescape=True))
            ids = list(connection.execute(mine).scalars()) if len(name) >= _SHORTEST_NAME else []
        content = store.content(connection, ids[0]) if len(ids) == 1 else None
    if content is None:
        raise OutboundError("release.unknown", f"there is no release {name}", "see `outbound status`")
    return store.unpack(content)
