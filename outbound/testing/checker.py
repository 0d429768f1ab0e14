"""The checker of delivery.md 2.9: compare what the servers accepted with what the record says.

Run it after every fault test, on the ledger of the provider double and the database as it is then.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.message import MessageState
from outbound.services.reports import equation
from outbound.storage.database import Database
from outbound.storage.tables import attempt, consent_event, leg, message, run
from outbound.testing.ledger import Accepted

S = MessageState

_KNOWN_ACCEPTED = frozenset({S.SENT, S.UNCERTAIN, S.CLOSED_UNKNOWN})


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A promise broken: which invariant, on which message or run, in words."""

    invariant: str
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.text}"


def check(
    database: Database,
    accepted: Iterable[Accepted],
    *,
    acknowledged: Iterable[str] = (),
    refused: Iterable[str] = (),
    lease_now: datetime | None = None,
) -> tuple[Violation, ...]:
    """Every violation of I1 to I8 that these two can show; none is the empty tuple.

    ``accepted`` are ledger lines of e-mail doubles (by Message-ID) or SMS doubles (by the provider's
    reference). ``acknowledged`` are ids of messages a caller was promised, ``refused`` such ids that must not
    exist. With ``lease_now`` (two sweeps after the last one) no lease may be older (I7).
    """
    with database.read() as connection:
        messages = {row["id"]: row for row in connection.execute(sa.select(message)).mappings()}
        counts = _accepted_by_message(connection, messages, accepted)
        found = [
            *_known(messages, acknowledged, refused),
            *_strangers(counts),
            *_copies(messages, counts),
            *_states(messages, counts),
            *_legs(connection),
            *_revoked(connection),
            *_equations(connection),
        ]
        if lease_now is not None:
            found += _leases(messages, lease_now)
    return tuple(found)


def _accepted_by_message(
    connection: Connection, messages: Mapping[str, sa.RowMapping], accepted: Iterable[Accepted]
) -> Counter[str]:
    """How often each message was accepted; unknown references are counted under themselves with a mark."""
    by_reference = {row["message_id"].strip("<>"): key for key, row in messages.items() if row["message_id"]}
    sids = connection.execute(sa.select(leg.c.provider_ref, leg.c.message_id).where(leg.c.provider_ref != ""))
    by_reference.update((row[0], row[1]) for row in sids)
    return Counter(by_reference.get(a.reference.strip("<>"), f"? {a.reference}") for a in accepted)


def _known(
    messages: Mapping[str, sa.RowMapping], acknowledged: Iterable[str], refused: Iterable[str]
) -> list[Violation]:
    lost = [
        Violation(invariant="I1", subject=i, text="acknowledged, but no row") for i in acknowledged if i not in messages
    ]
    kept = [Violation(invariant="I8", subject=i, text="refused, but a row exists") for i in refused if i in messages]
    return lost + kept


def _strangers(counts: Counter[str]) -> list[Violation]:
    return [
        Violation(invariant="I3", subject=key, text="accepted, but no message knows it")
        for key in counts
        if key.startswith("? ")
    ]


def _copies(messages: Mapping[str, sa.RowMapping], counts: Counter[str]) -> list[Violation]:
    """I2. A message on leg n may have been accepted n times at most: an earlier leg may bounce after its 250."""
    return [
        Violation(invariant="I2", subject=key, text=f"accepted {count} times on {messages[key]['leg']} leg(s)")
        for key, count in counts.items()
        if key in messages and messages[key]["on_uncertain"] == "hold" and count > messages[key]["leg"]
    ]


def _states(messages: Mapping[str, sa.RowMapping], counts: Counter[str]) -> list[Violation]:
    """I3 and I4."""
    found = []
    for key, row in messages.items():
        state = S(row["state"])
        moving = row["leg"] > 1 or state is S.SENDING  # in flight, or sent on an earlier leg
        if counts[key] and state not in _KNOWN_ACCEPTED and not moving:
            found.append(Violation(invariant="I3", subject=key, text=f"accepted, but {state}"))
        if state is S.SENT and not counts[key]:
            found.append(Violation(invariant="I4", subject=key, text="sent, but no server accepted it"))
    return found


def _legs(connection: Connection) -> list[Violation]:
    """I2, second half: leg n+1 only after a recorded reason on leg n."""
    later = leg.alias("later")
    query = (
        sa.select(leg.c.message_id, leg.c.n)
        .join(later, sa.and_(later.c.message_id == leg.c.message_id, later.c.n == leg.c.n + 1))
        .where(leg.c.moved_on == "")
    )
    return [
        Violation(invariant="I2", subject=row.message_id, text=f"leg {row.n + 1} without a reason on leg {row.n}")
        for row in connection.execute(query)
    ]


def _revoked(connection: Connection) -> list[Violation]:
    """I5: an accepted attempt whose gate came after a withdrawal of its topic, with no grant in between."""
    newer = consent_event.alias("newer")
    superseded = (
        sa.select(sa.literal(1))
        .where(
            newer.c.customer_id == consent_event.c.customer_id,
            newer.c.topic == consent_event.c.topic,
            newer.c.recorded_at > consent_event.c.recorded_at,
            newer.c.recorded_at <= attempt.c.started_at,
            newer.c.state == "granted",
        )
        .exists()
    )
    query = (
        sa.select(message.c.id)
        .join(attempt, attempt.c.message_id == message.c.id)
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == attempt.c.leg))
        .join(
            consent_event,
            sa.and_(consent_event.c.customer_id == message.c.customer_id, consent_event.c.topic == message.c.topic),
        )
        .where(
            attempt.c.outcome == "accepted",
            consent_event.c.state == "withdrawn",
            sa.or_(consent_event.c.channel == "", consent_event.c.channel == leg.c.channel),
            consent_event.c.recorded_at < attempt.c.started_at,
            ~superseded,
        )
        .distinct()
    )
    return [
        Violation(invariant="I5", subject=row.id, text="accepted after a revocation that its gate should have seen")
        for row in connection.execute(query)
    ]


def _equations(connection: Connection) -> list[Violation]:
    """I6, per run and in total."""
    runs: list[str | None] = [*connection.execute(sa.select(run.c.id)).scalars(), None]
    found = []
    for run_id in runs:
        balance = equation(connection, run_id)
        if not balance.holds:
            found.append(Violation(invariant="I6", subject=run_id or "total", text=str(balance)))
    return found


def _leases(messages: Mapping[str, sa.RowMapping], lease_now: datetime) -> list[Violation]:
    """I7."""
    return [
        Violation(invariant="I7", subject=key, text=f"{row['state']} under a lease that ended at {row['lease_until']}")
        for key, row in messages.items()
        if S(row["state"]) in (S.CLAIMED, S.SENDING) and (row["lease_until"] is None or row["lease_until"] < lease_now)
    ]
