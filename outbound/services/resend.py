"""``outbound resend --failed RUN``: what a provider refused or never took is tried again, on the same rows.

The key stays, so nobody gets a second message of the occurrence; whether each may go is the gate's to say again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from outbound.domain.message import Lane
from outbound.domain.release import Ruleset
from outbound.services.spreading import paced, spread, step_for
from outbound.storage import failures, operations
from outbound.storage.database import Database
from outbound.storage.failures import Failure
from outbound.storage.paused_messages import Waiting
from outbound.storage.sets import chunks

BATCH = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Resent:
    """``messages`` go again (``states``: what they were), from first to last in ``spread`` seconds.

    ``in_doubt`` failed but may have arrived, ``uncertain`` nobody knows about: both are left alone.
    """

    run_id: str
    dry_run: bool
    messages: int
    states: Mapping[str, int]
    in_doubt: int
    uncertain: int
    spread: float


def resend_failed(
    database: Database, ruleset: Ruleset | None, run_id: str, *, by: str, note: str = "", now: datetime, dry_run: bool
) -> Resent:
    """Make the failed messages of a run ready again; they are worth something as long as when they were new."""
    with database.read() as connection:
        found = failures.failed(connection, run_id)
        in_doubt, uncertain = failures.in_doubt(connection, run_id), failures.uncertain(connection, run_id)
    turns, last = _turns(ruleset, found, now)
    done = len(found)
    if not dry_run:
        done = 0
        for some in chunks(turns, BATCH):
            with database.write() as connection:
                ids = failures.rearm(connection, run_id, some, now=now)
                operations.record_each(connection, ids, kind="resend failed", subject=run_id, by=by, note=note, now=now)
                done += len(ids)
    states: dict[str, int] = {}
    for one in found:
        states[one.state] = states.get(one.state, 0) + 1
    return Resent(
        run_id=run_id,
        dry_run=dry_run,
        messages=done,
        states=states,
        in_doubt=in_doubt,
        uncertain=uncertain,
        spread=(last - now).total_seconds(),
    )


def _turns(
    ruleset: Ruleset | None, found: list[Failure], now: datetime
) -> tuple[list[tuple[str, datetime, datetime]], datetime]:
    """Id, turn and new end of each; and the last turn."""
    ends = {one.id: max(one.expires, now + one.lifetime) for one in found}
    express = [one for one in found if one.lane == Lane.EXPRESS.value]
    turns = [(one.id, now, ends[one.id]) for one in express]
    bulk = [
        Waiting(one.id, one.rule, one.zone, one.lane, now, ends[one.id], held=True)
        for one in found
        if one.lane != Lane.EXPRESS.value
    ]
    if not bulk:
        return turns, now
    rule = ruleset.rules.get(bulk[0].rule) if ruleset else None
    pace = rule.send.pace_per_hour if rule else None
    given = paced(bulk, pace, now=now) if pace else spread(bulk, step_for(len(bulk)), start=now, now=now)
    # who waits for a turn is not worth less for it
    return [*turns, *((i, at, ends[i] + max(at - now, timedelta(0))) for i, at in given.turns)], given.last
