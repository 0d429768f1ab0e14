"""Evidence about unknown outcomes from providers that list what they took (delivery.md 2.6).

Asked after 1, 5 and 30 minutes, 6 and 24 hours. A message in the list was sent. One that is not in it may still come:
nothing is sent again, an operator or the end of 72 hours decides.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

import structlog

from outbound.channels.base import Adapter, Listing, Wanted
from outbound.storage import evidence
from outbound.storage.database import Database
from outbound.storage.evidence import Doubt

log = structlog.get_logger("outbound.daemon")

SCHEDULE = (
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=6),
    timedelta(hours=24),
)
BY = "outbound"
"""Who settled it, in the timeline."""

_AT_ONCE = 50
"""So many questions a round, one after the other: the account's requests belong to its messages."""
_EVERY_TIME = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """How many messages were asked about, how many of them a provider has, and what went wrong, by account."""

    asked: int = 0
    proved: int = 0
    troubles: Mapping[str, str]


async def seek(database: Database, adapters: Sequence[Adapter], *, now: datetime, at_once: bool = False) -> Sought:
    """Ask about every message whose next look has come; with ``at_once`` about all of them.

    An account that cannot be asked is left alone for this round, and its looks are not spent.
    """
    listing = {one.name: cast("Listing", one) for one in adapters if one.capabilities.lists}
    due = await asyncio.to_thread(_take, database, listing, now, at_once=at_once) if listing else []
    proved = asked = 0
    troubles: dict[str, str] = {}
    for doubt in due:
        if doubt.account in troubles:
            await asyncio.to_thread(_give_back, database, doubt, now)
            continue
        wanted = Wanted(address=doubt.address, body_hash=doubt.body_hash, handed_over_at=doubt.handed_over_at)
        seen = await listing[doubt.account].look_up(wanted)
        if seen.trouble:
            troubles[doubt.account] = seen.trouble
            await asyncio.to_thread(_give_back, database, doubt, now)
            continue
        asked += 1
        if seen.references:
            proved += await asyncio.to_thread(_prove, database, doubt, list(seen.references), now)
    if proved:
        log.info("found at the provider", messages=proved)
    for account, trouble in troubles.items():
        log.warning("provider not asked", adapter=account, error=trouble)
    return Sought(asked=asked, proved=proved, troubles=troubles)


def _take(database: Database, accounts: Mapping[str, Listing], now: datetime, *, at_once: bool) -> list[Doubt]:
    """What is to be asked now, noted as asked, so that no other daemon asks it too."""
    most = _EVERY_TIME if at_once else len(SCHEDULE)

    def due(found: Sequence[Doubt]) -> list[Doubt]:
        return [one for one in found if at_once or evidence.is_due(one, SCHEDULE, now=now)]

    with database.read() as connection:
        if not due(evidence.doubts(connection, accounts, looks=most)):
            return []
    with database.write() as connection:
        evidence.lock(connection)
        mine = due(evidence.doubts(connection, accounts, looks=most))[: None if at_once else _AT_ONCE]
        for one in mine:
            # after a long absence the looks that were missed are one
            missed = sum(now - one.since >= step for step in SCHEDULE)
            evidence.note(connection, one.message_id, max(missed, one.looks), now=now)
    return mine


def _give_back(database: Database, doubt: Doubt, now: datetime) -> None:
    with database.write() as connection:
        evidence.note(connection, doubt.message_id, doubt.looks, now=now)


def _prove(database: Database, doubt: Doubt, references: Sequence[str], now: datetime) -> bool:
    with database.write() as connection:
        note = f"found in the list of {doubt.account}"
        return bool(evidence.prove(connection, doubt, references, by=BY, note=note, now=now))
