"""The queues of news for other systems: claimed by a daemon, answered, listed, posted again."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.hook import Post, PostState
from outbound.storage.sets import among
from outbound.storage.tables import hook_post

_WAITS = hook_post.c.state == sa.literal_column(f"'{PostState.WAITING.value}'")


def any_due(connection: Connection, names: Sequence[str], *, now: datetime) -> bool:
    """Whether something is due for one of these hooks."""
    found = sa.exists().where(_WAITS, among(connection, hook_post.c.hook, names), hook_post.c.due_at <= now)
    return bool(connection.execute(sa.select(found)).scalar_one())


def claim(connection: Connection, most: Mapping[str, int], *, until: datetime, now: datetime) -> list[Post]:
    """At most so many due posts of each hook, the oldest first: nobody else takes them before ``until``."""
    found: list[Post] = []
    for name, limit in sorted(most.items()):
        query = sa.select(hook_post).where(_WAITS, hook_post.c.hook == name, hook_post.c.due_at <= now)
        query = query.order_by(hook_post.c.due_at, hook_post.c.id).limit(limit).with_for_update(skip_locked=True)
        found += [_post(row) for row in connection.execute(query)]
    mine = among(connection, hook_post.c.id, [one.id for one in found])
    if found:
        connection.execute(sa.update(hook_post).where(mine).values(due_at=until))
    return found


def answered(
    connection: Connection, post: Post, *, state: PostState, status: int | None, answer: str, due_at: datetime
) -> None:
    """What came of posting it."""
    change = sa.update(hook_post).where(hook_post.c.id == post.id, _WAITS)
    values = {"state": state.value, "status": status, "answer": answer[:200], "due_at": due_at}
    connection.execute(change.values(tries=hook_post.c.tries + 1, **values))


def again(
    connection: Connection,
    *,
    hook: str,
    ids: Sequence[str] = (),
    state: PostState | None = None,
    since: datetime | None = None,
    now: datetime,
) -> int:
    """Let these wait once more, due at once, with their own ids and a fresh schedule. How many."""
    change = sa.update(hook_post).where(hook_post.c.hook == hook)
    if ids:
        change = change.where(among(connection, hook_post.c.id, ids))
    if state is not None:
        change = change.where(hook_post.c.state == state.value)
    if since is not None:
        change = change.where(hook_post.c.at >= since)
    return connection.execute(change.values(state=PostState.WAITING.value, tries=0, due_at=now)).rowcount


def listed(connection: Connection, *, hook: str = "", state: PostState | None = None, limit: int = 50) -> list[Post]:
    """The newest."""
    query = sa.select(hook_post)
    if hook:
        query = query.where(hook_post.c.hook == hook)
    if state is not None:
        query = query.where(hook_post.c.state == state.value)
    query = query.order_by(hook_post.c.at.desc(), hook_post.c.id.desc()).limit(limit)
    return [_post(row) for row in connection.execute(query)]


def counts(connection: Connection) -> dict[tuple[str, PostState], int]:
    """How many there are of each hook in each state."""
    query = sa.select(hook_post.c.hook, hook_post.c.state, sa.func.count())
    rows = connection.execute(query.group_by(hook_post.c.hook, hook_post.c.state))
    return {(row[0], PostState(row[1])): int(row[2]) for row in rows}


def _post(row: Any) -> Post:
    return Post(
        id=row.id,
        hook=row.hook,
        event=row.event,
        customer_id=row.customer_id,
        data=row.data,
        at=row.at,
        state=PostState(row.state),
        tries=row.tries,
        due_at=row.due_at,
        status=row.status,
        answer=row.answer,
    )
