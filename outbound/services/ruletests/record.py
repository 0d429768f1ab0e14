"""What came of a test, read from its scratch store: the messages that left, and every reason there is for silence."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from outbound.domain.message import MessageState
from outbound.storage import runs
from outbound.storage.database import Database
from outbound.storage.outbox import state_is
from outbound.storage.tables import decision, leg, message, run

WHO = "who"
NOT_COVERED = "not_covered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Got:
    """One message that left, ``at`` UTC."""

    at: datetime
    channel: str
    template: str
    rule: str
    topic: str
    held_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """``messages`` by customer in the order they left, of one instant the more important first.

    ``reasons`` by customer and rule, most recent last.
    ``clauses`` are the lines of ``who`` that kept somebody out, by rule; ``started`` the rules that decided about
    somebody; ``variants`` those exposed, by rule.
    """

    messages: Mapping[str, tuple[Got, ...]]
    reasons: Mapping[tuple[str, str], tuple[str, ...]]
    clauses: Mapping[str, frozenset[int]] = field(default_factory=dict)
    started: frozenset[str] = frozenset()
    templates: Mapping[str, frozenset[str]] = field(default_factory=dict)
    channels: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def why(self, customer: str, rule: str) -> tuple[str, ...]:
        """The reasons for ``customer``; ``rule`` "" is any."""
        found = [
            reason
            for (somebody, name), reasons in self.reasons.items()
            if somebody == customer and rule in {"", name}
            for reason in reasons
        ]
        return tuple(dict.fromkeys(found))


def read(scratch: Database) -> Record:
    """Everything that happened in the store of one test."""
    messages: defaultdict[str, list[Got]] = defaultdict(list)
    reasons: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    clauses: defaultdict[str, set[int]] = defaultdict(set)
    templates: defaultdict[str, set[str]] = defaultdict(set)
    channels: defaultdict[str, set[str]] = defaultdict(set)
    with scratch.read() as connection:
        joined = sa.and_(leg.c.message_id == message.c.id, leg.c.n == message.c.leg)
        sent = sa.select(message, leg.c.channel.label("channel")).join(leg, joined)
        for row in connection.execute(
            sent.where(state_is(MessageState.SENT)).order_by(
                message.c.sent_at, message.c.priority.desc(), message.c.rule, message.c.once
            )
        ):
            messages[row.customer_id].append(
                Got(
                    at=row.sent_at,
                    channel=row.channel,
                    template=row.template,
                    rule=row.rule,
                    topic=row.topic,
                    held_by=row.held_by,
                )
            )
            templates[row.rule].add(row.template)
            channels[row.rule].add(row.channel)
        for row in connection.execute(sa.select(decision).where(decision.c.verdict == "skip").order_by(decision.c.at)):
            reasons[row.customer_id, row.rule].append(_joined(row.reason, row.detail))
        unsent = sa.select(message).where(sa.not_(state_is(MessageState.SENT))).order_by(message.c.updated_at)
        for row in connection.execute(unsent):
            reasons[row.customer_id, row.rule].append(_joined(row.reason, row.detail) or row.held_by)
        started = frozenset(connection.execute(sa.select(decision.c.rule).distinct()).scalars())
        for run_id, rule in connection.execute(sa.select(run.c.id, run.c.rule)).all():
            for customer, clause in runs.misses(connection, run_id).items():
                if clause == runs.NOT_COVERED:
                    reasons[customer, rule].append(NOT_COVERED)
                else:
                    reasons[customer, rule].append(f"{WHO}.{clause}")
                    clauses[rule].add(clause)
    return Record(
        messages={name: tuple(some) for name, some in messages.items()},
        reasons={key: tuple(some) for key, some in reasons.items()},
        clauses={name: frozenset(some) for name, some in clauses.items()},
        started=started,
        templates={name: frozenset(some) for name, some in templates.items()},
        channels={name: frozenset(some) for name, some in channels.items()},
    )


def _joined(code: str, detail: str) -> str:
    return f"{code}.{detail}" if code and detail else code
