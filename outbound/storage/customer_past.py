"""How one customer was at an earlier moment, from the append-only records; and what was decided for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentState
from outbound.domain.person import ConsentEntry
from outbound.storage import standing
from outbound.storage.sets import among
from outbound.storage.standing import Word
from outbound.storage.tables import consent_event, customer, customer_change, decision, leg, message, run


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One decision of planning with what became of its message; ``state`` is "" where there is none."""

    at: datetime
    run: str
    once: str
    verdict: str
    release: str
    version: str
    reason: str
    detail: str
    variant: str
    state: str
    channel: str
    sent_at: datetime | None
    held_by: str

    @property
    def cause(self) -> str:
        """Reason and detail in one word."""
        return f"{self.reason}.{self.detail}" if self.reason and self.detail else self.reason or self.detail


def known_since(connection: Connection, customer_id: str) -> datetime:
    """When the customer came on record. Raises NoResultFound for nobody."""
    found: datetime = connection.execute(
        sa.select(customer.c.created_at).where(customer.c.id == customer_id)
    ).scalar_one()
    return found


def known_at(connection: Connection, customer_id: str, at: datetime) -> bool:
    """Whether the customer was on record at ``at``."""
    created = connection.execute(sa.select(customer.c.created_at).where(customer.c.id == customer_id)).scalar()
    return created is not None and created <= at


def values_before(connection: Connection, customer_id: str, at: datetime) -> dict[str, Any]:
    """What changed after ``at``, with the value it had then; everything else is as it is today.

    Names are those of the history: attributes, ``country`` and the like, ``email``, ``phone``.
    """
    change = customer_change
    query = sa.select(change.c.attribute, change.c.old).where(change.c.customer_id == customer_id, change.c.at > at)
    found: dict[str, Any] = {}
    for row in connection.execute(query.order_by(change.c.at, change.c.id)):
        found.setdefault(row.attribute, row.old)
    return found


def consents_at(connection: Connection, customer_id: str, at: datetime) -> dict[tuple[str, str], ConsentEntry]:
    """What stood of the customer's words at ``at``: the ledger up to then, heard again in the order it was written."""
    query = sa.select(consent_event).where(
        consent_event.c.customer_id == customer_id, consent_event.c.recorded_at <= at
    )
    stands: dict[str, dict[str, Word]] = {}
    basis: dict[str, str] = {}
    for row in connection.execute(query.order_by(consent_event.c.recorded_at, consent_event.c.id)):
        word = Word(state=ConsentState(row.state), address=row.address, at=row.at, event_id=row.id)
        topic = stands.setdefault(row.topic, {})
        heard = standing.hear(topic, row.channel, word)
        topic |= {**heard.renewed, **heard.changes}
        basis[row.id] = row.evidence.get("basis") or "consent"
    return {
        (topic, channel): ConsentEntry(state=word.state, address=word.address, basis=basis[word.event_id])
        for topic, words in stands.items()
        for channel, word in words.items()
    }


def said_of(connection: Connection, customer_id: str, topic: str, at: datetime) -> dict[str, tuple[str, datetime, str]]:
    """The newest word about a topic by channel ("" for all): state, when it was said, and where."""
    query = sa.select(consent_event).where(
        consent_event.c.customer_id == customer_id, consent_event.c.topic == topic, consent_event.c.recorded_at <= at
    )
    rows = connection.execute(query.order_by(consent_event.c.at, consent_event.c.id))
    return {row.channel: (row.state, row.at, str(row.evidence.get("source", ""))) for row in rows}


def decided(connection: Connection, ids: Sequence[str], rule: str, *, upto: datetime, limit: int) -> list[Decided]:
    """The newest decisions of a rule for a customer (all the ids they ever had), made up to ``upto``."""
    query = _decisions(connection, ids, rule, upto).order_by(decision.c.at.desc(), decision.c.once.desc()).limit(limit)
    return [_decided(row) for row in connection.execute(query)]


def decided_under(
    connection: Connection, ids: Sequence[str], rule: str, once: str, *, upto: datetime
) -> Decided | None:
    """What was decided under one key by ``upto``, None for nothing."""
    row = connection.execute(_decisions(connection, ids, rule, upto).where(decision.c.once == once).limit(1)).first()
    return None if row is None else _decided(row)


def _decisions(connection: Connection, ids: Sequence[str], rule: str, upto: datetime) -> sa.Select[Any]:
    same = sa.and_(
        message.c.rule == decision.c.rule,
        message.c.once == decision.c.once,
        message.c.customer_id == decision.c.customer_id,
        message.c.step == decision.c.step,
    )
    turn = sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg)
    joined = decision.join(run, run.c.id == decision.c.run_id, isouter=True).join(message, same, isouter=True)
    made = message.c.id.is_not(None)
    return (
        sa.select(
            decision.c.at,
            sa.func.coalesce(run.c.slot, "").label("run"),
            decision.c.once,
            decision.c.verdict,
            decision.c.release,
            decision.c.rule_version,
            sa.case((made, message.c.reason), else_=decision.c.reason).label("reason"),
            sa.case((made, message.c.detail), else_=decision.c.detail).label("detail"),
            decision.c.variant,
            sa.func.coalesce(message.c.state, "").label("state"),
            sa.func.coalesce(leg.c.channel, decision.c.channel).label("channel"),
            message.c.sent_at,
            sa.func.coalesce(message.c.held_by, "").label("held_by"),
        )
        .select_from(joined.join(leg, turn, isouter=True))
        .where(among(connection, decision.c.customer_id, ids), decision.c.rule == rule, decision.c.at <= upto)
    )


def _decided(row: Any) -> Decided:
    return Decided(
        at=row.at,
        run=row.run,
        once=row.once,
        verdict=row.verdict,
        release=row.release,
        version=row.rule_version,
        reason=row.reason,
        detail=row.detail,
        variant=row.variant,
        state=row.state,
        channel=row.channel,
        sent_at=row.sent_at,
        held_by=row.held_by,
    )


def waiting(connection: Connection, ids: Sequence[str], rule: str, *, now: datetime) -> str | None:
    """The id of the message of a rule that waits for its gate, the one that is due first; None for none.

    One that is worthless by ``now`` waits for nothing but its end.
    """
    states = ("scheduled", "ready", "claimed")
    query = sa.select(message.c.id).where(
        among(connection, message.c.customer_id, ids),
        message.c.rule == rule,
        message.c.state.in_(states),
        message.c.expires > now,
    )
    return connection.execute(query.order_by(message.c.not_before, message.c.id).limit(1)).scalar()


def newest_runs(connection: Connection, rule: str, *, upto: datetime, limit: int) -> list[sa.RowMapping]:
    """The newest runs of a rule: id, slot, release, version and when they began."""
    query = sa.select(run.c.id, run.c.slot, run.c.release, run.c.rule_version, run.c.started_at)
    query = query.where(run.c.rule == rule, run.c.started_at <= upto)
    return list(connection.execute(query.order_by(run.c.started_at.desc(), run.c.id.desc()).limit(limit)).mappings())
