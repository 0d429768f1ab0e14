"""How much of its daily maximum an account that is being warmed up has used. Rows last: see ``storage.locks``."""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import insert_into
from outbound.storage.tables import account_day


def lock(connection: Connection, accounts: Iterable[str], day: str) -> dict[str, int]:
    """What each of the accounts has used on ``day``; nobody else changes it before this transaction ends."""
    used = {}
    for account in sorted(accounts):
        insert = insert_into(connection, account_day).values(account=account, day=day, used=0)
        connection.execute(insert.on_conflict_do_nothing())
        mine = (account_day.c.account == account, account_day.c.day == day)
        query = sa.select(account_day.c.used).where(*mine).with_for_update()
        used[account] = connection.execute(query).scalar_one()
    return used


def add(connection: Connection, account: str, day: str, count: int) -> None:
    """Count ``count`` more (or, below 0, fewer)."""
    mine = (account_day.c.account == account, account_day.c.day == day)
    connection.execute(account_day.update().where(*mine).values(used=account_day.c.used + count))
