"""The outbox row, its states and the moves between them (docs/states.md draws what stands here)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from outbound.domain.customer import ChannelName


class MessageState(StrEnum):
    """Each message is in exactly one state (delivery promise P3)."""

    SCHEDULED = "scheduled"
    READY = "ready"
    CLAIMED = "claimed"
    SENDING = "sending"
    SENT = "sent"
    FAILED = "failed"
    UNCERTAIN = "uncertain"
    CLOSED_UNKNOWN = "closed_unknown"
    SKIPPED = "skipped"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


S = MessageState

TRANSITIONS: Mapping[MessageState, frozenset[MessageState]] = {
    S.SCHEDULED: frozenset({S.READY, S.SKIPPED, S.EXPIRED, S.CANCELLED}),
    S.READY: frozenset({S.CLAIMED, S.SCHEDULED, S.EXPIRED, S.CANCELLED}),
    # To ``uncertain`` only back: a message sent again after an unknown outcome, which a gate now stops.
    S.CLAIMED: frozenset({S.SENDING, S.SCHEDULED, S.READY, S.SKIPPED, S.EXPIRED, S.CANCELLED, S.UNCERTAIN}),
    S.SENDING: frozenset({S.SENT, S.FAILED, S.UNCERTAIN, S.READY, S.SKIPPED, S.EXPIRED}),
    S.UNCERTAIN: frozenset({S.SENT, S.READY, S.CLOSED_UNKNOWN}),
    # Only together with the row of the next leg, or when an operator re-arms the same row.
    S.SENT: frozenset({S.READY}),
    S.FAILED: frozenset({S.READY}),
    S.SKIPPED: frozenset({S.READY}),
    S.EXPIRED: frozenset({S.READY}),
    S.CANCELLED: frozenset(),
    S.CLOSED_UNKNOWN: frozenset(),
}
"""Every allowed move. A repository refuses any other."""

FINAL_STATES = frozenset({S.SENT, S.FAILED, S.CLOSED_UNKNOWN, S.SKIPPED, S.EXPIRED, S.CANCELLED})


class Lane(StrEnum):
    """Transactional and security messages never wait behind bulk. Claimed in this order."""

    EXPRESS = "express"
    BULK = "bulk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to one customer for one occurrence: unique on (rule, once, customer_id, step).

    All instants are UTC. ``not_before`` is derived from ``local_time`` in ``zone`` and resolved again at
    the claim. ``channels`` is the waterfall in the order of preference, ``leg`` the 1-based turn it is at.
    ``message_id`` and ``date`` are fixed at the first render, and with them the bytes.
    """

    id: str
    run_id: str
    rule: str
    rule_version: str
    release: str
    once: str
    customer_id: str
    step: str
    template: str
    topic: str
    message_class: str
    lane: Lane
    priority: int
    channels: tuple[ChannelName, ...]
    context: Mapping[str, Any]
    not_before: datetime
    local_time: str
    zone: str
    expires: datetime
    state: MessageState
    created_at: datetime
    variant: str = ""
    reason: str = ""
    detail: str = ""
    held_by: str = ""
    on_uncertain: str = "hold"
    leg: int = 1
    attempts: int = 0
    lease_token: int = 0
    message_id: str = ""
    date: datetime | None = None
    body_hash: str = ""
    language: str = ""
    depth: int = 0
    """How many messages led to this one by way of their own events (``policy.loops``)."""
    tracked: str | None = None
    """What may be noted of its reader (``opens``, ``clicks``), fixed with its bytes; None before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """Customer, channel and address, resolved for one leg."""

    customer_id: str
    channel: ChannelName
    address: str
