"""What other systems can be told of by webhook, and what a queue of such news knows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Any, Final

from outbound.domain.message_events import BUILT_IN

CONSENT_CHANGED: Final = "consent.changed"
"""Somebody gave or took back a consent."""
MESSAGE_FAILED: Final = "message.failed"
"""A message ended without any provider taking it. Rules hear nothing of it: the run's report has it."""
HOOK_TEST: Final = "webhook.test"
"""What ``outbound webhook test`` posts; nobody subscribes to it."""

HOOK_EVENTS: Final = (*BUILT_IN, MESSAGE_FAILED, CONSENT_CHANGED)
"""Everything that a hook can be subscribed to."""

TOLD_FIELDS: Final = frozenset(
    {"rule", "message", "step", "topic", "channel", "kind", "interaction", "state", "bounce", "reason"}
)
"""The fields of an event that leave: ids and words of our own. Never an address, what was said, or a link that acts."""


class PostState(StrEnum):
    """``waiting``: it is posted when it is due. ``done``: the other side took it. ``failed``: given up."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """Another system that is told, as the record knows it.

    ``events`` are names of ``HOOK_EVENTS``. ``failing_since`` is the first failure after the last success (UTC).
    ``off`` says why nothing is posted any more, "" while it is.
    """

    name: str
    events: frozenset[str]
    failing_since: datetime | None = None
    off: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One piece of news for one hook. ``id`` stays the same however often it is posted.

    ``tries`` counts the answers so far; ``status`` and ``answer`` are the last one.
    """

    id: str
    hook: str
    event: str
    customer_id: str
    data: Mapping[str, Any]
    at: datetime
    state: PostState
    tries: int
    due_at: datetime
    status: int | None = None
    answer: str = ""


def named_events(patterns: Iterable[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The events that ``patterns`` (``message.sent``, ``message.*``, ``*``) name, and the patterns that name none."""
    asked = tuple(patterns)
    found = {event for event in HOOK_EVENTS if any(fnmatchcase(event, one) for one in asked)}
    return frozenset(found), tuple(one for one in asked if not any(fnmatchcase(event, one) for event in HOOK_EVENTS))
