"""Stage 5: write what became of each attempt, in group commit, fenced by the lease."""

from collections.abc import AsyncIterator

import structlog

from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.parcels import Answered
from outbound.services.dispatch.verdicts import verdict
from outbound.storage.outbox_results import Result

log = structlog.get_logger("outbound.dispatch")


async def record(slice_: Slice, kit: Kit, answers: AsyncIterator[list[Answered]]) -> AsyncIterator[list[Result]]:
    """Yield results once they are durable. A late one moved nothing: it is kept on its attempt, and reported."""
    async for some in answers:
        now = slice_.moment()
        results = [_judge(kit, one, slice_) for one in some]
        recorded = await kit.writer.record(results, now=now)
        for result in results:
            slice_.leases.pop(result.message_id, None)
            if result.attempt_id in recorded.late:
                slice_.tally.late += 1
                proved = result.attempt_id in recorded.proved
                log.warning("late evidence", message=result.message_id, outcome=result.outcome.kind, proved=proved)
            else:
                slice_.tally.states[result.state] += 1
        slice_.moved()
        yield results


def _judge(kit: Kit, answered: Answered, slice_: Slice) -> Result:
    now = slice_.moment()
    passed = answered.passed
    paused = [b.retry_at(now) for _, b in kit.breakers.of(passed.begin.account, passed.domain) if b.open]
    retry_at = max(paused, default=None)
    return verdict(answered, keyring=kit.keyring, now=now, jitter=kit.jitter(), retry_at=retry_at)
