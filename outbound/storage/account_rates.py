"""One rate per provider account over all workers: who may hand over when, reserved a moment ahead.

Times are seconds of the database's clock (Unix time), so that machines with skewed clocks agree.
"""

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.database import database_now
from outbound.storage.sets import insert_into
from outbound.storage.tables import account_rate

_AHEAD = 0.25
"""Seconds that a worker may reserve, and how far ahead of its time."""
_BEHIND = 0.4
"""Seconds whose turns can be made up for, when every worker was busy with something else."""
_EXPRESS_AHEAD = 0.5
"""What bulk has reserved holds no express message up: it takes its turn early, and bulk waits the longer."""
_ASTRAY = 3.0
"""A clock that stands so far before the next turn was set back."""


def reserve(connection: Connection, account: str, *, per_second: float, most: int, express: bool) -> list[float]:
    """The next turns of the account, as seconds from now (at least 0): ``most`` at most, a quarter of a second's worth.

    None where the account is taken for the next quarter of a second. Turns of all workers together are spaced
    by the rate; only an express message may be up to half a second (and always one turn) early.
    """
    step = 1 / per_second
    insert = insert_into(connection, account_rate).values(account=account, next_at=0.0)
    connection.execute(insert.on_conflict_do_nothing())
    row = account_rate.c.account == account
    next_at = connection.execute(sa.select(account_rate.c.next_at).where(row).with_for_update()).scalar_one()
    now = database_now(connection).timestamp()  # once the row is ours: waiting for it takes time
    if next_at > now + _ASTRAY + 3 * step:
        next_at = now
    next_at = max(next_at, now - _BEHIND)
    early = max(_EXPRESS_AHEAD, step) if express else 0.0
    if next_at - early > now + _AHEAD:
        return []
    missed = max(now - next_at, 0.0)
    count = max(min(most, int((_AHEAD + missed) * per_second)), 1)
    connection.execute(account_rate.update().where(row).values(next_at=next_at + count * step))
    return [max(next_at - early + n * step - now, 0.0) for n in range(count)]
