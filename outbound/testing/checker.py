"""The checker of delivery.md 2.9: compare what the servers accepted with what the record says.

Run it after every fault test, on the ledger of the provider double and the database as it is then.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
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
from outbound.storage.tables import address, attempt, consent_event, customer, leg, message, run, suppression
from outbound.testing.ledger import Accepted
from outbound.testing.promises import (
    Occurrence,
    Revocation,
    Violation,
    check_logs,
    check_promised,
    check_revocations,
)

__all__ = ["Occurrence", "Revocation", "Violation", "check", "check_caps", "check_logs"]

S = MessageState

_KNOWN_ACCEPTED = frozenset({S.SENT, S.UNCERTAIN, S.CLOSED_UNKNOWN})
_AGAIN = frozenset({S.READY, S.CLAIMED, S.SENDING, S.SCHEDULED})
"""Where a message may be whose class sends again after an unknown outcome (``on_uncertain: resend``)."""

Counts = Counter[tuple[str, int]]
"""How often each (message, leg) was accepted."""


def check(
    database: Database,
    accepted: Iterable[Accepted],
    *,
    acknowledged: Iterable[str | Occurrence] = (),
    refused: Iterable[str | Occurrence] = (),
    revoked: Iterable[Revocation] = (),
    commit_within: timedelta = timedelta(0),
    lease_now: datetime | None = None,
    policy: Policy | None = None,
    logs: Iterable[Path] = (),
    canaries: Mapping[str, str] | None = None,
) -> tuple[Violation, ...]:
    """Every violation of I1 to I9 that these can show; none is the empty tuple.

    ``accepted`` are ledger lines of e-mail doubles (by Message-ID) and SMS doubles (by the provider's reference,
    else by number and text). ``acknowledged`` are messages or occurrences a caller was promised (I1), ``refused``
    such that must not exist (I8). ``revoked`` are revocations that somebody was told are done (I5). The record's
    own dates of revocations and suppressions are taken before their commit: ``commit_within`` is how long that may
    have taken. With ``lease_now`` (two sweeps after the last one) no lease may be older (I7). ``logs`` are
    searched for ``canaries`` (I9). With ``policy`` nobody may have had more than its caps allow (fault C32).
    """
    with database.read() as connection:
        columns = ("id", "state", "leg", "on_uncertain", "message_id", "body_hash", "lease_until")
        query = sa.select(*(message.c[name] for name in columns))
        messages = {row["id"]: row for row in connection.execute(query).mappings()}
        counts, strangers = _accepted_by_leg(connection, messages, accepted)
        found = [
            *check_promised(connection, acknowledged, refused),
            *strangers,
            *_copies(messages, counts),
            *_states(messages, counts),
            *_legs(connection),
            *_revoked(connection, counts.keys(), commit_within),
            *_suppressed(connection, counts.keys(), commit_within),
            *check_revocations(connection, revoked, counts.keys()),
            *_equations(connection),
        ]
        if lease_now is not None:
            found += _leases(messages, lease_now)
        if policy is not None:
            found += check_caps(connection, policy)
    return (*found, *check_logs(logs, canaries or {}))


def _accepted_by_leg(
    connection: Connection, messages: Mapping[str, sa.RowMapping], accepted: Iterable[Accepted]
) -> tuple[Counts, list[Violation]]:
    """How often each leg was accepted, and what was accepted that no message knows (I3).

    A text whose answer was lost has no reference in the record: number and words say whose it is.
    """
    by_mail_id = {row["message_id"].strip("<>"): key for key, row in messages.items() if row["message_id"]}
    by_reference: dict[str, tuple[str, int]] = {}
    by_words: dict[tuple[str, str], list[tuple[str, int]]] = defaultdict(list)
    for one in connection.execute(sa.select(*leg.c["message_id", "n", "channel", "address", "provider_ref"])):
        if one.message_id not in messages:
            continue
        key = (one.message_id, one.n)
        if one.channel == "email":
            by_reference[messages[one.message_id]["message_id"].strip("<>")] = key
        elif one.provider_ref:
            by_reference[one.provider_ref] = key
        if one.channel != "email" and messages[one.message_id]["body_hash"]:
            by_words[one.address, messages[one.message_id]["body_hash"]].append(key)
    counts: Counts = Counter()
    strangers = []
    for entry in accepted:
        reference = entry.reference.strip("<>")
        known = by_reference.get(reference)
        if known is None and reference in by_mail_id:
            known = (by_mail_id[reference], 1)
        if known is None and (alike := by_words.get((entry.recipient, entry.sha256))):
            known = min(alike, key=lambda key: counts[key])  # several with the same words: one each
        if known is None:
            strangers.append(Violation(invariant="I3", subject=reference, text="accepted, but no message knows it"))
        else:
            counts[known] += 1
    return counts, strangers


def _copies(messages: Mapping[str, sa.RowMapping], counts: Counts) -> list[Violation]:
    """I2: with ``hold`` a leg was accepted once at most."""
    return [
        Violation(invariant="I2", subject=key, text=f"leg {n} accepted {count} times")
        for (key, n), count in counts.items()
        if messages[key]["on_uncertain"] == "hold" and count > 1
    ]


def _states(messages: Mapping[str, sa.RowMapping], counts: Counts) -> list[Violation]:
    """I3 and I4."""
    found = []
    for (key, n), count in counts.items():
        row = messages[key]
        state = S(row["state"])
        fine = state in _KNOWN_ACCEPTED or state is S.SENDING or n < row["leg"]  # in flight, or on an earlier leg
        if count and not fine and not (row["on_uncertain"] == "resend" and state in _AGAIN):
            found.append(Violation(invariant="I3", subject=key, text=f"leg {n} accepted, but {state}"))
    return found + [
        Violation(invariant="I4", subject=key, text="sent, but no server accepted it")
        for key, row in messages.items()
        if S(row["state"]) is S.SENT and not counts[key, row["leg"]]
    ]


def _legs(connection: Connection) -> list[Violation]:
    """I2, second half: leg n+1 only after a recorded reason on leg n."""
    earlier = leg.alias("earlier")
    before = sa.and_(earlier.c.message_id == leg.c.message_id, earlier.c.n == leg.c.n - 1)
    query = (
        sa.select(leg.c.message_id, leg.c.n)
        .outerjoin(earlier, before)
        .where(leg.c.n > 1, sa.func.coalesce(earlier.c.moved_on, "") == "")
    )
    return [
        Violation(invariant="I2", subject=row.message_id, text=f"leg {row.n} without a reason on leg {row.n - 1}")
        for row in connection.execute(query)
    ]


def _revoked(
    connection: Connection, accepted: Collection[tuple[str, int]], commit_within: timedelta
) -> list[Violation]:
    """I5: accepted, with a gate after a withdrawal of its topic and no grant in between."""
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
        sa.select(message.c.id, attempt.c.leg, attempt.c.started_at, consent_event.c.recorded_at)
        .join(attempt, attempt.c.message_id == message.c.id)
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == attempt.c.leg))
        .join(
            consent_event,
            sa.and_(consent_event.c.customer_id == message.c.customer_id, consent_event.c.topic == message.c.topic),
        )
        .where(
            attempt.c.outcome.in_(["accepted", "uncertain"]),
            consent_event.c.state == "withdrawn",
            sa.or_(consent_event.c.channel == "", consent_event.c.channel == leg.c.channel),
            consent_event.c.recorded_at < attempt.c.started_at,
            ~superseded,
        )
    )
    late = {
        row.id
        for row in connection.execute(query)
        if (row.id, row.leg) in accepted and row.started_at > row.recorded_at + commit_within
    }
    return [
        Violation(invariant="I5", subject=key, text="accepted after a revocation that its gate should have seen")
        for key in sorted(late)
    ]


def _suppressed(
    connection: Connection, accepted: Collection[tuple[str, int]], commit_within: timedelta
) -> list[Violation]:
    """I5: accepted, with a gate after its address was blocked for its class (a bounce, a complaint, an opt-out)."""
    query = (
        sa.select(message.c.id, attempt.c.leg, attempt.c.started_at, suppression.c.at)
        .join(attempt, attempt.c.message_id == message.c.id)
        .join(leg, sa.and_(leg.c.message_id == message.c.id, leg.c.n == attempt.c.leg))
        .join(address, sa.and_(address.c.channel == leg.c.channel, address.c.value == leg.c.address))
        .join(suppression, sa.and_(suppression.c.channel == leg.c.channel, suppression.c.hash == address.c.hash))
        .where(
            attempt.c.outcome.in_(["accepted", "uncertain"]),
            suppression.c.scope.in_(["all", message.c.message_class]),
            suppression.c.at < attempt.c.started_at,
        )
    )
    late = {
        row.id
        for row in connection.execute(query)
        if (row.id, row.leg) in accepted and row.started_at > row.at + commit_within
    }
    return [
        Violation(invariant="I5", subject=key, text="accepted although its address was blocked before its gate")
        for key in sorted(late)
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
    """No message of a class that obeys caps went although its caps were used up (fault C32).

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
        for cap in (one for one in policy.caps if not one.fewer):
            counted = [row for row in rows if _is_counted(row, cap)]
            for number, row in enumerate(counted):
                earlier = sum(_together(other.at, row.at, cap.per, zone) for other in counted[:number])
                if earlier >= cap.max and uses.get(row.message_class) is CapUse.APPLY:
                    text = f"number {earlier + 1} under {cap.name}, which allows {cap.max}"
                    found.append(Violation(invariant="C32", subject=row.id, text=text))
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
