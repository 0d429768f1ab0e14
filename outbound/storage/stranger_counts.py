"""How much strangers set off on a day: counted by keyed hashes, forgotten the day after."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.storage.sets import among, insert_into
from outbound.storage.tables import stranger_count


def load(connection: Connection, day: str, keys: Sequence[str]) -> dict[str, int]:
    """What was used on that day (ISO, UTC), by key."""
    query = sa.select(stranger_count.c.key, stranger_count.c.used)
    query = query.where(stranger_count.c.day == day, among(connection, stranger_count.c.key, list(keys)))
    return {row[0]: int(row[1]) for row in connection.execute(query)}


def add(connection: Connection, day: str, used: Mapping[str, int]) -> None:
    """Count more on that day; what was counted on earlier days goes."""
    if not used:
        return
    statement = insert_into(connection, stranger_count)
    more = stranger_count.c.used + statement.excluded.used
    statement = statement.on_conflict_do_update(index_elements=["day", "key"], set_={"used": more})
    connection.execute(statement, [{"day": day, "key": key, "used": number} for key, number in sorted(used.items())])
    connection.execute(sa.delete(stranger_count).where(stranger_count.c.day < day))
