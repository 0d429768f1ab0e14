"""What is due is claimed, posted and written down: at least once, and each hook at the pace it can take.

A hook that fails is probed with one post at a time, so that it is never flooded when it comes back, and is switched off
after five days without a success. What a dead daemon had claimed is due again a minute later, under the same id.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar

import structlog
from sqlalchemy.engine import Connection

from outbound.domain.hook import Post, PostState
from outbound.storage import hook_posts, hooks
from outbound.storage.database import Database

T = TypeVar("T")

log = structlog.get_logger("outbound.webhooks")

_AT_ONCE = 16
"""So many posts of one hook are under way at once; one while it fails."""
_CLAIMED = timedelta(seconds=60)
"""Longer than any answer is waited for."""
GIVEN_UP: Final = timedelta(days=5)
"""A hook without a success for so long is switched off."""
WAITS: Final = tuple(timedelta(seconds=one) for one in (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400))
"""Between the tries, as Standard Webhooks proposes; then it is given up: 3 days after the first."""
_JITTER = 0.2
_GONE = 410

InThread = Callable[[Callable[[], T]], Awaitable[T]]


class Answered(Protocol):
    """What came of one request (``channels.hook_client.Answer``)."""

    @property
    def status(self) -> int | None:
        """Its HTTP status; None where none came."""
        ...

    @property
    def text(self) -> str:
        """What came, in words without an address."""
        ...

    @property
    def retry_after(self) -> float | None:
        """Seconds that the other side asks to wait."""
        ...

    @property
    def taken(self) -> bool:
        """Whether the other side has it."""
        ...


class Posting(Protocol):
    """Whoever posts (``channels.hook_client.HookClient``)."""

    async def post(self, post: Post, *, now: datetime) -> Answered:
        """Post it once; never raises for anything a network does."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Result:
    post: Post
    answer: Answered


class Courier:
    """Posts what waits for ``names``, the hooks of this process's settings."""

    def __init__(
        self,
        database: Database,
        client: Posting,
        names: Sequence[str],
        *,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._database, self._client = database, client
        self._names = tuple(names)
        self._dice = dice

    def apart(self) -> list["Courier"]:
        """One for each hook, with the same client."""
        return [Courier(self._database, self._client, [name], dice=self._dice) for name in self._names]

    async def once(self, clock: Callable[[], datetime], in_thread: InThread[list[Post]]) -> int:
        """Claim what is due, post it and write down what came of it. Answers how many were posted."""
        due = await in_thread(lambda: self._claim(clock()))
        if not due:
            return 0
        answers = await asyncio.gather(*(self._client.post(one, now=clock()) for one in due))
        results = [_Result(post=one, answer=answer) for one, answer in zip(due, answers, strict=True)]
        await in_thread(lambda: self._note(results, clock()))
        return len(due)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _claim(self, now: datetime) -> list[Post]:
        with self._database.read() as connection:
            known = [one for one in hooks.everything(connection) if one.name in self._names and not one.off]
            if not known or not hook_posts.any_due(connection, [one.name for one in known], now=now):
                return []
        most = {one.name: 1 if one.failing_since else _AT_ONCE for one in known}
        with self._database.write() as connection:
            return hook_posts.claim(connection, most, until=now + _CLAIMED, now=now)

    def _note(self, results: Sequence[_Result], now: datetime) -> list[Post]:
        took = {one.post.hook for one in results if one.answer.taken}
        refused = {one.post.hook for one in results if not one.answer.taken} - took
        gone = {one.post.hook for one in results if one.answer.status == _GONE}
        with self._database.write() as connection:
            hooks.works(connection, sorted(took))
            hooks.fails(connection, sorted(refused), now=now)
            for one in results:
                self._write(connection, one, now)
            off = dict.fromkeys(gone, "answered 410: it is gone")
            for hook in hooks.everything(connection):
                if hook.name in refused and hook.failing_since and now - hook.failing_since >= GIVEN_UP:
                    off.setdefault(hook.name, f"no success since {hook.failing_since:%Y-%m-%d %H:%M} UTC")
            switched = [name for name, why in sorted(off.items()) if hooks.switch_off(connection, name, why)]
        for name in switched:
            remedy = f"`outbound webhook enable {name}` posts what waits"
            log.error("webhook switched off", webhook=name, reason=off[name], remedy=remedy)
        return []

    def _write(self, connection: Connection, one: _Result, now: datetime) -> None:
        answer, post = one.answer, one.post
        due = now if answer.taken else next_try(post.tries, answer.retry_after, now=now, dice=self._dice())
        state = PostState.DONE if answer.taken else PostState.WAITING if due else PostState.FAILED
        hook_posts.answered(connection, post, state=state, status=answer.status, answer=answer.text, due_at=due or now)
        if state is PostState.FAILED:
            log.warning("webhook given up", webhook=post.hook, post=post.id, tries=post.tries + 1)


def next_try(tries: int, retry_after: float | None, *, now: datetime, dice: float) -> datetime | None:
    """When to try again after ``tries`` earlier failures and this one; None: not any more.

    ``dice`` in [0, 1) lengthens the wait by up to a fifth, so that what failed together does not come back together;
    ``retry_after`` (seconds) is the least.
    """
    if tries >= len(WAITS):
        return None
    wait = WAITS[tries] * (1 + _JITTER * dice)
    return now + max(wait, timedelta(seconds=retry_after or 0))
