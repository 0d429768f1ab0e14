"""The ladder: every candidate message climbs it, at planning and again at the gate before it is handed over.

The order is that of rules.md 1.9. ``match``, ``who``, ``reentry`` and ``once`` are answered before a candidate
exists; ``render`` and ``provider`` follow ``limits``, when the message is made and handed over.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from outbound.domain.decision import Decision, Hold, Send, Skip
from outbound.domain.experiment import Assignment
from outbound.domain.person import Person
from outbound.domain.policy import Policy
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.traffic import QUIET, Traffic
from outbound.engine.ladder.blackout import blackout
from outbound.engine.ladder.cap import cap
from outbound.engine.ladder.channels import choose, ordered
from outbound.engine.ladder.conflict import conflict
from outbound.engine.ladder.consent import consent
from outbound.engine.ladder.context import PASS, Candidate, Context, Pass, Switches, Verdict
from outbound.engine.ladder.experiment import experiment
from outbound.engine.ladder.limits import limits
from outbound.engine.ladder.paused import paused
from outbound.engine.ladder.quiet_hours import past_the_night, quiet_hours
from outbound.engine.ladder.reachable import reachable
from outbound.engine.ladder.suppressed import suppressed

LADDER: tuple[tuple[str, Callable[[Context], Verdict]], ...] = (
    ("paused", paused),
    ("suppressed", suppressed),
    ("consent", consent),
    ("reachable", reachable),
    ("experiment", experiment),
    ("conflict", conflict),
    ("cap", cap),
    ("blackout", blackout),
    ("quiet_hours", quiet_hours),
    ("limits", limits),
)

_TIME = "%Y-%m-%dT%H:%MZ"


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a climb begins with besides candidate and person."""

    policy: Policy
    now: datetime
    switches: Switches
    traffic: Traffic
    assignment: Assignment | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One line of an explanation: the gate, its verdict and the words for it.

    A message that passes every gate has one more step, ``channel``: the choice among those left.
    """

    gate: str
    verdict: Pass | Decision
    text: str


def decide(
    candidate: Candidate,
    person: Person,
    *,
    policy: Policy,
    now: datetime,
    switches: Switches,
    traffic: Traffic = QUIET,
    assignment: Assignment | None = None,
) -> Decision:
    """Send on which channel, hold until when, or skip; with the reason of the first gate that stopped it.

    Asked about a candidate that is due later than ``now``, it answers for the moment it is due. A hold may lie
    past ``expires``: the caller then lets the message expire.
    """
    start = Start(policy=policy, now=now, switches=switches, traffic=traffic, assignment=assignment)
    return _climb(_context(candidate, person, start), None)


def ladder_steps(
    candidate: Candidate,
    person: Person,
    *,
    policy: Policy,
    now: datetime,
    switches: Switches,
    traffic: Traffic = QUIET,
    assignment: Assignment | None = None,
) -> tuple[Step, ...]:
    """The same decision, gate by gate; the verdict of the last step is what ``decide`` answers."""
    steps: list[Step] = []
    start = Start(policy=policy, now=now, switches=switches, traffic=traffic, assignment=assignment)
    _climb(_context(candidate, person, start, notes=[]), steps)
    return tuple(steps)


def _context(candidate: Candidate, person: Person, start: Start, notes: list[str] | None = None) -> Context:
    preferred = person.customer.preference.channel
    channels = ordered(candidate, preferred)
    return Context(
        candidate=candidate,
        person=person,
        policy=start.policy,
        switches=start.switches,
        now=start.now,
        at=max(start.now, candidate.due),
        order=channels,
        channels=channels,
        chosen=preferred if preferred in channels else None,
        traffic=start.traffic,
        assignment=start.assignment,
        notes=notes,
    )


def _climb(context: Context, steps: list[Step] | None) -> Decision:
    if not context.channels:
        nothing_left = Skip(reason=Reason(ReasonCode.UNREACHABLE, "no_channel_left"))
        _explain(steps, "channel", nothing_left, context)
        return nothing_left
    for gate, ask in LADDER:
        verdict: Pass | Decision = ask(context)
        if isinstance(verdict, Pass) and verdict is not PASS:
            if context.notes is not None:
                context.notes.extend(_losses(verdict))
            context = context.after(verdict)
            verdict = _what_is_left(context, verdict)
        if isinstance(verdict, Hold):
            verdict = past_the_night(context, verdict)
        if steps is not None:
            _explain(steps, gate, verdict, context)
        if not isinstance(verdict, Pass):
            return verdict
    choice = choose(context)
    if isinstance(choice, Hold):
        choice = past_the_night(context, choice)
    _explain(steps, "channel", choice, context)
    return choice


def _what_is_left(context: Context, verdict: Pass) -> Pass | Decision:
    """A pass that leaves no channel is a skip, one that leaves none open is a hold."""
    if not context.channels:
        # Channels may have fallen at different gates: the reason is that of the first in order.
        return Skip(reason=context.dropped[context.order[0]])
    if all(channel in context.closed for channel in context.channels):
        return choose(context)
    return verdict


def _losses(verdict: Pass) -> Iterator[str]:
    """What a pass costs: the channels it drops and closes."""
    for channel, reason in verdict.dropped.items():
        yield f"{channel}: {reason}"
    for channel, hold in verdict.closed.items():
        yield f"{channel}: {hold.reason} until {hold.until:{_TIME}}"


def _explain(steps: list[Step] | None, gate: str, verdict: Pass | Decision, context: Context) -> None:
    """Write the step down where somebody asked for it."""
    if steps is None or context.notes is None:
        return
    said = list(context.notes)
    context.notes.clear()
    match verdict:
        case Hold():
            said.append(f"{verdict.reason} until {verdict.until:{_TIME}}")
        case Skip():
            said.append(str(verdict.reason))
        case Send():
            said.append(", then ".join(verdict.channels))
        case Pass():
            pass
        case _:
            assert_never(verdict)
    steps.append(Step(gate=gate, verdict=verdict, text="; ".join(said)))
