"""The checker of delivery.md 2.9: compare what the servers accepted with what the record says.

Run it after every fault test, on the ledger of the provider double and the database as it is then.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.durations import Duration
from outbound.domain.message import MessageState
from outbound.domain.policy import CalendarPeriod, Cap, CapUse, Policy
from outbound.engine.timing.walls import add, local_day
from outbound.engine.timing.zones import resolve_zones
from outbound.services.reports import equation
from outbound.storage.database import Database
from outbound.storage.tables import attempt, consent_event, customer, leg, message, run
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
    policy: Policy | None = None,
) -> tuple[Violation, ...]:
    """Every violation of I1 to I9 that these two can show; none is the empty tuple.

    ``accepted`` are ledger lines of e-mail doubles (by Message-ID) or SMS doubles (by the provider's
    reference). ``acknowledged`` are ids of messages a caller was promised, ``refused`` such ids that must not
    exist. With ``lease_now`` (two sweeps after the last one) no lease may be older (I7). With ``policy`` nobody
    may have had more than its caps allow (I9).
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
        if policy is not None:
            found += check_caps(connection, policy)
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


def check_caps(connection: Connection, policy: Policy) -> list[Violation]:
    """I9: no message of a class that obeys caps went although its caps were used up (fault C32).

    Counted anew from the legs, in every calendar period and every rolling window of each customer's own clocks,
    and in other words than the gate's: that asks when a cap opens, this counts what went before.
    """
    query = (
        sa.select(
            leg.c.customer_id,
            customer.c.zone_source,
            leg.c.at,
            leg.c.channel,
            message.c.id,
            message.c.message_class,
            message.c.topic,
        )
        .join(message, message.c.id == leg.c.message_id)
        .join(customer, customer.c.id == leg.c.customer_id)
        .where(leg.c.n == message.c.leg, message.c.state.in_(sorted({*_KNOWN_ACCEPTED, S.SENDING})))
    )
    uses = {name: one.caps for name, one in policy.classes.items()}
    by_customer: dict[str, list[Any]] = defaultdict(list)
    for row in connection.execute(query):
        if uses.get(row.message_class) is not CapUse.EXEMPT:
            by_customer[row.customer_id].append(row)
    found = []
    for rows in by_customer.values():
        # of what went in the same moment, what only counts is thought to have gone last
        rows.sort(key=lambda row: (row.at, uses.get(row.message_class) is not CapUse.APPLY))
        zone = resolve_zones(rows[0].zone_source, policy).at
        for cap in policy.caps:
            counted = [row for row in rows if _is_counted(row, cap)]
            for number, row in enumerate(counted):
                earlier = sum(_together(other.at, row.at, cap.per, zone) for other in counted[:number])
                if earlier >= cap.max and uses.get(row.message_class) is CapUse.APPLY:
                    text = f"number {earlier + 1} under {cap.name}, which allows {cap.max}"
                    found.append(Violation(invariant="I9", subject=row.id, text=text))
    return found


def _is_counted(row: Any, cap: Cap) -> bool:
    return (
        cap.message_class in (None, row.message_class)
        and cap.topic in (None, row.topic)
        and cap.channel in (None, row.channel)
    )


def _together(earlier: datetime, later: datetime, per: CalendarPeriod | Duration, zone: ZoneInfo) -> bool:
    """Whether a cap counts two contacts together."""
    if isinstance(per, Duration):
        return later < add(earlier, per, zone)
    first, second = local_day(earlier, zone), local_day(later, zone)
    match per:
        case CalendarPeriod.DAY:
            return first == second
        case CalendarPeriod.WEEK:
            return first.isocalendar()[:2] == second.isocalendar()[:2]
        case CalendarPeriod.MONTH:
            return (first.year, first.month) == (second.year, second.month)
        case CalendarPeriod.YEAR:
            return first.year == second.year
