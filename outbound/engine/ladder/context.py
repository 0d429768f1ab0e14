"""What a gate is asked and what it may answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from outbound.domain.customer import ChannelName
from outbound.domain.decision import Hold, Skip
from outbound.domain.experiment import Assignment
from outbound.domain.person import Person
from outbound.domain.policy import Policy, Topic
from outbound.domain.reasons import Reason
from outbound.domain.traffic import QUIET, Traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A message before anyone decided to send it.

    ``rule`` is the rule's id. ``channels`` are the rule's, in its order; ``tried_channels`` those whose leg is
    over. ``due`` is when it should leave, ``expires`` when it is worthless, both UTC. ``message_id`` and ``run_id``
    are "" while planning.
    """

    rule: str
    topic: Topic
    channels: tuple[ChannelName, ...]
    expires: datetime
    due: datetime
    tried_channels: tuple[ChannelName, ...] = ()
    message_id: str = ""
    run_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """What operators have paused, with the reason they gave: ``all``, ``rule:ID`` or ``channel:NAME``.

    ``limited``: runs that wait for a person's approval, by id, with the limit they exceed.
    """

    paused: Mapping[str, str] = field(default_factory=dict)
    limited: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """The gate does not stop the message.

    It may still stop channels of it: those in ``dropped`` for good, those in ``closed`` for now.
    """

    dropped: Mapping[ChannelName, Reason] = field(default_factory=dict)
    closed: Mapping[ChannelName, Hold] = field(default_factory=dict)


PASS = Pass()
"""Nothing is stopped: the usual answer."""

Verdict = Pass | Hold | Skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a gate sees. Gates read it and answer; the ladder alone makes the next one from the answer.

    ``at`` is ``now`` or the candidate's ``due``, whichever is later: the moment the message would leave.
    ``order`` is every channel of this leg in order of preference, ``channels`` those still in the running,
    ``chosen`` the one the customer prefers where the rule has it. ``traffic`` is what else reaches the customer,
    ``assignment`` their part in experiments (None: there are none). ``notes``, when not None, collects what a
    passing gate has to say; nobody pays for the text otherwise.
    """

    candidate: Candidate
    person: Person
    policy: Policy
    switches: Switches
    now: datetime
    at: datetime
    order: tuple[ChannelName, ...]
    channels: tuple[ChannelName, ...]
    chosen: ChannelName | None
    dropped: Mapping[ChannelName, Reason] = field(default_factory=dict)
    closed: Mapping[ChannelName, Hold] = field(default_factory=dict)
    traffic: Traffic = QUIET
    assignment: Assignment | None = None
    notes: list[str] | None = None

    def after(self, verdict: Pass) -> "Context":
        """The context of the next gate. A channel closed twice keeps its first reason and the later opening."""
        closed = dict(self.closed)
        for channel, hold in verdict.closed.items():
            earlier = closed.get(channel)
            closed[channel] = replace(earlier, until=max(earlier.until, hold.until)) if earlier else hold
        return Context(  # every field in full: ``replace`` takes three times as long, and everybody climbs
            candidate=self.candidate,
            person=self.person,
            policy=self.policy,
            switches=self.switches,
            now=self.now,
            at=self.at,
            order=self.order,
            channels=tuple(channel for channel in self.channels if channel not in verdict.dropped),
            chosen=self.chosen,
            dropped={**self.dropped, **verdict.dropped},
            closed=closed,
            traffic=self.traffic,
            assignment=self.assignment,
            notes=self.notes,
        )
