"""Count a run against the limits of its rule: over all zones, before its first message (rules.md 1.9, fault F52).

Nothing is written while counting: every customer of every zone is judged as planning would judge them, in key
ranges that each read a moment of their own. What comes out is kept on the run with its first range, in one
transaction; each later range is added up and stops the run if the total passes after all.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.limits import REJECTED, Counted, Exceeded
from outbound.domain.rule import Rule
from outbound.engine.costs import price
from outbound.engine.limits import PAST_RUNS, exceeded, usual
from outbound.services.planning.alike import Memory
from outbound.services.planning.enqueue import costs_of, count, parts_of, verdicts_of
from outbound.services.planning.judge import judge
from outbound.services.planning.occurrence import Prospect
from outbound.services.planning.report import Counts
from outbound.services.releases import Active
from outbound.storage import costs, run_limits, runs
from outbound.storage.database import Database
from outbound.storage.run_limits import Standing


def uncounted(database: Database, rule: Rule, slot: str) -> bool:
    """Whether the run of (rule, slot) has limits and was not counted yet: its first zone is about to be planned."""
    if rule.limits is None:
        return False
    with database.read() as connection:
        run_id = runs.find_run(connection, rule=rule.id, slot=slot)
        standing = run_limits.standing(connection, run_id) if run_id else None
    return standing is None or standing.counted is None


def begin(connection: Connection, active: Active, rule: Rule, run_id: str, ahead: Counted | None) -> str:
    """The limit that a run exceeds, "" for none. Keeps ``ahead`` on a run that nobody has counted."""
    standing = run_limits.standing(connection, run_id)
    if standing is None:
        return ""
    if ahead is None or standing.counted is not None:
        return standing.limited
    return announce(connection, active, rule, standing, ahead)


def announce(connection: Connection, active: Active, rule: Rule, standing: Standing, more: Counted) -> str:
    """Count ``more`` messages to those a run has, and stop it where they are too many. Answers the limit, or ""."""
    if standing.limited == REJECTED:
        return REJECTED
    whole = together(planned(connection, active, rule, standing), more)
    found = judged(connection, rule, standing, whole)
    if found is None and standing.limited:  # a new release allows more: whoever was asked still answers
        found = Exceeded(what=standing.limited, text=standing.text)
    run_limits.keep_count(connection, standing.id, whole, found)
    return found.what if found else ""


def watch(connection: Connection, active: Active, rule: Rule, run_id: str) -> bool:
    """Stop a run whose total has passed a limit, or what was approved, with its newest range. True: just now."""
    if rule.limits is None:
        return False
    standing = run_limits.standing(connection, run_id)
    if standing is None or standing.limited:
        return False
    sums = Counted(messages=standing.messages, cost=standing.cost)
    if judged(connection, rule, standing, sums) is None:
        return False
    announce(connection, active, rule, standing, Counted())
    return True


def recount(connection: Connection, active: Active, rule: Rule, slot: str, rest: Counted) -> None:
    """Add what is left of a run that was stopped on its way, so that a person is asked once for all of it."""
    run_id = runs.find_run(connection, rule=rule.id, slot=slot)
    standing = run_limits.standing(connection, run_id) if run_id else None
    if standing is not None and standing.waits:
        announce(connection, active, rule, standing, rest)


def waits(connection: Connection, run_id: str) -> dict[str, str]:
    """The run by its name with the limit that it waits for, or nothing."""
    standing = run_limits.standing(connection, run_id)
    return {standing.name: standing.text} if standing is not None and standing.waits else {}


def judged(
    connection: Connection, rule: Rule, standing: Standing | None, whole: Counted, *, slot: str = ""
) -> Exceeded | None:
    """Which limit of ``rule`` the ``whole`` run exceeds. ``slot`` names a run that does not exist yet."""
    if rule.limits is None:
        return None
    past = None
    if rule.limits.growth is not None:
        name = standing.slot if standing else slot
        past = usual(run_limits.past_messages(connection, rule.id, slot=name, limit=PAST_RUNS))
    return exceeded(rule.limits, whole, past=past, approved=standing.approved if standing else None)


def planned(connection: Connection, active: Active, rule: Rule, standing: Standing) -> Counted:
    """What a run has so far."""
    channels: dict[str, tuple[int, int]] = {}
    if not standing.messages:
        return Counted()
    for (channel, country), messages in costs.planned_places(connection, standing.id).items():
        before = channels.get(channel, (0, 0))
        each = price(active.ruleset.policy, ChannelName(channel), country, parts=parts_of(active, rule))
        channels[channel] = (before[0] + messages, before[1] + messages * each)
    return Counted(messages=standing.messages, cost=standing.cost, channels=channels)


def together(one: Counted, other: Counted) -> Counted:
    """The sums of two parts of a run."""
    channels = dict(one.channels)
    for channel, (messages, cost) in other.channels.items():
        before = channels.get(channel, (0, 0))
        channels[channel] = (before[0] + messages, before[1] + cost)
    return Counted(messages=one.messages + other.messages, cost=one.cost + other.cost, channels=channels)


def counted_of(counts: Counts) -> Counted:
    """What was counted of some candidates."""
    channels = {name: (messages, counts.costs[name]) for name, messages in sorted(counts.channels.items())}
    return Counted(messages=counts.messages, cost=counts.cost, channels=channels)


def rehearse(
    connection: Connection,
    active: Active,
    rule: Rule,
    prospects: Iterable[Prospect],
    *,
    now: datetime,
    memory: Memory | None = None,
) -> Counts:
    """What planning would decide about these, without writing anything. ``memory`` as for ``judge``."""
    judgement = judge(connection, active, rule, list(prospects), now=now, memory=memory)
    counts = count(verdicts_of(judgement.candidates))
    counts.costs = costs_of(judgement.candidates, active, rule)
    counts.already = len(judgement.already)
    return counts
