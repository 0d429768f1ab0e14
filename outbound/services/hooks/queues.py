"""What operators do with hooks and their queues: declare, look, switch on, post again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from outbound.domain.errors import OutboundError
from outbound.domain.hook import PostState
from outbound.storage import hook_posts, hooks, operations
from outbound.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class HookStatus:
    """One hook and its queue. ``state`` is ``works``, ``failing`` or ``off``; ``why`` says since when or why."""

    name: str
    events: tuple[str, ...]
    state: str
    why: str
    waiting: int
    done: int
    failed: int


def declare(database: Database, declared: Mapping[str, frozenset[str]]) -> None:
    """Bring the record up to the settings (name to events); what waits for a hook that is gone, goes."""
    with database.read() as connection:
        before = {one.name: one.events for one in hooks.everything(connection)}
    if before == dict(declared):
        return
    with database.write() as connection:
        for name, events in sorted(declared.items()):
            hooks.declare(connection, name, events)
        hooks.forget(connection, sorted(before.keys() - declared.keys()))


def statuses(database: Database) -> list[HookStatus]:
    """Every hook with its queue."""
    with database.read() as connection:
        found, counts = hooks.everything(connection), hook_posts.counts(connection)
    return [
        HookStatus(
            name=one.name,
            events=tuple(sorted(one.events)),
            state="off" if one.off else "failing" if one.failing_since else "works",
            why=one.off or (f"since {one.failing_since:%Y-%m-%d %H:%M} UTC" if one.failing_since else ""),
            waiting=counts.get((one.name, PostState.WAITING), 0),
            done=counts.get((one.name, PostState.DONE), 0),
            failed=counts.get((one.name, PostState.FAILED), 0),
        )
        for one in found
    ]


def switch_on(database: Database, name: str, *, by: str, now: datetime) -> int:
    """Post to it again, what waits at once. Answers how much waits. Raises OutboundError ``webhook.unknown``."""
    with database.write() as connection:
        _require(name, [one.name for one in hooks.everything(connection)])
        hooks.switch_on(connection, name)
        waiting = hook_posts.again(connection, hook=name, state=PostState.WAITING, now=now)
        operations.record(connection, kind="webhook.enable", subject=name, by=by, note="", now=now)
    return waiting


def again(
    database: Database,
    name: str,
    *,
    ids: Sequence[str] = (),
    state: PostState | None = None,
    since: datetime | None = None,
    by: str,
    now: datetime,
) -> int:
    """Post news once more, under its own id, so that the other side can tell. How much. Raises ``webhook.unknown``."""
    with database.write() as connection:
        _require(name, [one.name for one in hooks.everything(connection)])
        number = hook_posts.again(connection, hook=name, ids=ids, state=state, since=since, now=now)
        operations.record(connection, kind="webhook.replay", subject=name, by=by, note=f"{number} posts", now=now)
    return number


def _require(name: str, known: Sequence[str]) -> None:
    if name not in known:
        remedy = f"there are: {', '.join(known)}" if known else "write [webhooks.NAME] into outbound.toml"
        raise OutboundError("webhook.unknown", f"there is no webhook {name!r}", remedy)
