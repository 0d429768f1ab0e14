"""Paused accounts and destinations, shared by every worker of the installation. Rows last: see ``storage.locks``."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.outbox_bound import SQLITE
from outbound.storage.sets import insert_into
from outbound.storage.tables import breaker


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """An account (``domain`` empty) or one destination of it is paused until ``until``, then probed.

    ``seconds`` is how long this pause is: the next is twice as long.
    """

    account: str
    domain: str
    until: datetime
    seconds: int
    reason: str


def standing(connection: Connection) -> list[Pause]:
    """Every pause there is. They are few."""
    query = sa.select(breaker.c.account, breaker.c.domain, breaker.c.until, breaker.c.pause, breaker.c.reason)
    return [
        Pause(account=account, domain=domain, until=until, seconds=seconds, reason=reason)
        for account, domain, until, seconds, reason in connection.execute(query)
    ]


def put(connection: Connection, pause: Pause, *, now: datetime) -> None:
    """Write a pause down, or prolong the one that stands; its probe is over."""
    row = {"account": pause.account, "domain": pause.domain, "reason": pause.reason, "opened_at": now}
    statement = insert_into(connection, breaker).values(**row, until=pause.until, pause=pause.seconds, probe_until=None)
    news = statement.excluded
    later = sa.case((news.until > breaker.c.until, news.until), else_=breaker.c.until)
    change = {"until": later, "pause": news.pause, "reason": news.reason, "probe_until": None}
    connection.execute(statement.on_conflict_do_update(index_elements=["account", "domain"], set_=change))


def remove(connection: Connection, account: str, domain: str) -> None:
    """The pause is over: everything passes."""
    connection.execute(breaker.delete().where(breaker.c.account == account, breaker.c.domain == domain))


def take_probe(connection: Connection, account: str, domain: str, *, now: datetime, until: datetime) -> bool:
    """Become the one message that probes, up to ``until``. False: another does, or the pause was prolonged.

    Never waits: what another transaction holds is being probed.
    """
    free = sa.or_(breaker.c.probe_until.is_(None), breaker.c.probe_until <= now)
    mine = (breaker.c.account == account, breaker.c.domain == domain)
    found = sa.select(breaker.c.account).where(*mine, breaker.c.until <= now, free)
    if connection.dialect.name != SQLITE and not connection.execute(found.with_for_update(skip_locked=True)).first():
        return False
    change = breaker.update().where(*mine, breaker.c.until <= now, free).values(probe_until=until)
    return connection.execute(change).rowcount == 1


def give_probes(connection: Connection, keys: Iterable[tuple[str, str]]) -> None:
    """The messages that were to probe these (account, domain) never tried."""
    for account, domain in sorted(keys):
        mine = (breaker.c.account == account, breaker.c.domain == domain)
        connection.execute(breaker.update().where(*mine).values(probe_until=None))
