"""The equation: every candidate is accounted for, per run and in total (delivery.md 2.3).

candidates = skipped at planning + messages; messages = sum over states.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.domain.message import MessageState
from outbound.storage import costs, folding, outbox_counts, run_limits
from outbound.storage.costs import Spent
from outbound.storage.run_limits import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Equation:
    """Both sides, and where they come from.

    ``candidates`` and ``skipped`` are the planner's counters; ``decided_skips`` counts the decisions that say
    skip, ``messages`` the rows of the outbox, ``states`` the same by state. ``reasons`` is by (state, reason),
    ``planning_reasons`` by reason, ``channels`` counts sent messages by the channel that took them. ``details`` and
    ``planning_details`` are the same as the reasons, with the detail (last) where it is a name out of few.
    """

    run_id: str | None
    candidates: int
    skipped: int
    messages: int
    states: Mapping[str, int]
    decided_skips: int = 0
    reasons: Mapping[tuple[str, str], int] = field(default_factory=dict)
    planning_reasons: Mapping[str, int] = field(default_factory=dict)
    channels: Mapping[str, int] = field(default_factory=dict)
    details: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    planning_details: Mapping[tuple[str, str], int] = field(default_factory=dict)
    unfinished: int = 0
    """Messages in motion or due: neither ended nor waiting for a later moment. Known where ``now`` was given."""

    @property
    def holds(self) -> bool:
        """Whether nothing is missing and nothing is counted twice. A state nobody knows breaks it."""
        known = {state.value for state in MessageState}
        summed = sum(count for state, count in self.states.items() if state in known)
        return self.candidates == self.skipped + self.messages and self.messages == summed

    def __str__(self) -> str:
        states = " + ".join(f"{state} {count}" for state, count in sorted(self.states.items())) or "0"
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        return f"{self.candidates} = {self.skipped} skipped + {self.messages} messages ({states}): {verdict}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """``planned`` is what planning expects by currency, ``spent`` what providers accepted. In millionths."""

    planned: Mapping[str, int]
    spent: tuple[Spent, ...]

    @property
    def total(self) -> Mapping[str, int]:
        """What was spent, by currency."""
        sums: dict[str, int] = {}
        for one in self.spent:
            sums[one.currency] = sums.get(one.currency, 0) + one.cost
        return sums


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """One slot of a rule over its audience, and what became of it.

    ``planned_at`` is when candidates were last added; None: there are none yet. ``limits`` is where the run stands
    with the limits of its rule.
    """

    id: str
    rule: str
    slot: str
    trigger: str
    release: str
    rule_version: str
    started_at: datetime
    planned_at: datetime | None
    equation: Equation
    costs: Costs
    limits: Standing


def run_report(connection: Connection, run_id: str, *, now: datetime) -> RunReport:
    """The report of one run. Raises OutboundError ``run.unknown``."""
    row, standing = outbox_counts.run_row(connection, run_id), run_limits.standing(connection, run_id)
    if row is None or standing is None:
        raise OutboundError("run.unknown", f"there is no run {run_id}", "`outbound report` lists the runs")
    sums, money = equation(connection, run_id, now=now), costs_of(connection, run_id)
    return RunReport(**row, equation=sums, costs=money, limits=standing)


def costs_of(connection: Connection, run_id: str | None) -> Costs:
    """The costs of one run, or of the whole installation (None)."""
    folded = folding.read(connection, run_id).spent
    return Costs(planned=costs.planned(connection, run_id), spent=(*costs.spent(connection, run_id), *folded))


def equation(connection: Connection, run_id: str | None, *, now: datetime | None = None) -> Equation:
    """The equation of one run, or of the whole installation (None), read in the caller's snapshot.

    Messages that were pruned count as the sums their run keeps. A run that does not exist has no candidates and no
    messages: 0 = 0.
    """
    candidates, skipped = outbox_counts.planned(connection, run_id)
    planning_details = outbox_counts.planning_skips(connection, run_id)
    details = outbox_counts.by_detail(connection, run_id)
    folded = folding.read(connection, run_id)
    planning_details = Counter(planning_details) + Counter({(k[0], k[1]): n for k, n in folded.skips.items()})
    details = Counter(details) + Counter({(k[0], k[1], k[2]): n for k, n in folded.reasons.items()})
    reasons, planning_reasons = Counter[tuple[str, str]](), Counter[str]()
    for (state, reason, _), number in details.items():
        reasons[state, reason] += number
    for (reason, _), number in planning_details.items():
        planning_reasons[reason] += number
    return Equation(
        run_id=run_id,
        candidates=candidates,
        skipped=skipped,
        messages=outbox_counts.messages(connection, run_id) + folded.messages,
        states=Counter(outbox_counts.by_state(connection, run_id)) + folded.states,
        decided_skips=planning_reasons.total(),
        reasons=reasons,
        planning_reasons=planning_reasons,
        details=details,
        planning_details=planning_details,
        channels=Counter(outbox_counts.sent_by_channel(connection, run_id)) + folded.channels,
        unfinished=outbox_counts.unfinished(connection, run_id, now=now) if now else 0,
    )
