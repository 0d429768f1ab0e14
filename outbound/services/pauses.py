"""``outbound pause`` and ``resume``: kill switches that every gate reads, and a return without a burst.

Resuming is three steps, each safe to die after. What is due and was not looked at is put to sleep beside what the
gates have put to sleep; the switch goes off, and a note stays that somebody is waking; the sleepers get their
turns in bounded transactions. A daemon that finds an old note goes on where the command died.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.message import Lane
from outbound.domain.release import Ruleset
from outbound.services.spreading import Turns, paced, spread, step_for
from outbound.storage import operations, paused_messages, runs, switches
from outbound.storage.database import Database
from outbound.storage.switches import ALL, CHANNEL, RULE, Switch

BATCH = 2_000
"""Messages that one transaction wakes."""

_WAKING = "resuming"
_FORGOTTEN = timedelta(seconds=30)
"""A note of waking older than this belongs to a process that died: each batch writes it anew."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """``new`` is False where the switch was on already: then it is as it was."""

    switch: Switch
    new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """What a return did, or with ``dry_run`` would do.

    ``due`` messages get a turn, the bulk ones ``spread`` seconds apart from first to last; ``express`` of them leave
    at once. ``expired`` ran out while they were held, ``late`` will before the rule's pace gets to them.
    ``still`` are the switches that stay on.
    """

    switch: Switch
    dry_run: bool
    due: int
    express: int
    expired: int
    late: int
    spread: float
    still: tuple[Switch, ...] = ()


def key_of(database: Database, ruleset: Ruleset | None, target: str) -> str:
    """The switch that ``target`` names: ``all``, a channel, a rule (also ``channel:sms``, ``rule:news``).

    A rule of the running release, one that a message is queued for, or one that is paused. Raises OutboundError
    ``pause.unknown``, and ``pause.ambiguous`` for a rule called like a channel.
    """
    if target == ALL:
        return ALL
    kind, separator, name = target.partition(":")
    if not separator or f"{kind}:" not in (RULE, CHANNEL):
        kind, name = "", target
    is_channel = kind != "rule" and name in set(ChannelName)
    is_rule = kind != "channel" and (name in (ruleset.rules if ruleset else {}) or _has_run(database, name))
    if is_channel and is_rule:
        message = f"{name!r} is a channel and a rule"
        raise OutboundError("pause.ambiguous", message, f"write channel:{name} or rule:{name}")
    if is_channel:
        return CHANNEL + name
    if is_rule:
        return RULE + name
    channels = ", ".join(ChannelName)
    raise OutboundError("pause.unknown", f"{target!r} is no rule and no channel", f"name a rule, {channels}, or all")


def pause(database: Database, key: str, *, reason: str, by: str, now: datetime) -> Paused:
    """Turn the switch on. From the commit on no gate lets a message of its through, and no handover begins."""
    switch = Switch(key=key, reason=reason, by=by, at=now)
    with database.write() as connection:
        new = switches.turn_on(connection, switch)
        if new:
            operations.record(connection, kind="pause", subject=key, by=by, note=reason, now=now)
        return Paused(switch=switches.switches(connection)[key], new=new)


def resume(
    database: Database,
    ruleset: Ruleset | None,
    key: str,
    *,
    by: str,
    note: str = "",
    now: datetime,
    dry_run: bool = False,
) -> Resumed:
    """Turn the switch off and give what it held its turns. Raises OutboundError ``pause.none`` where it is off."""
    with database.read() as connection:
        on = switches.switches(connection)
        if key not in on:
            raise OutboundError("pause.none", f"{key} is not paused", "`outbound status` lists what is paused")
        others = [other for other in on if other != key]
        expired = paused_messages.expired(connection, key=key, since=on[key].at, now=now, others=others)
        unseen = paused_messages.count_due(connection, key=key, others=others, now=now)
    still = tuple(on[other] for other in others)
    if dry_run:
        waker = _Waker(database, ruleset, now=now, remaining=others, unseen=unseen, key=key)
        waker.rehearse()
        return _told(on[key], waker, dry_run=True, expired=expired, still=still)
    while _hold_due(database, key, others, now=now):
        pass
    with database.write() as connection:
        if not switches.turn_off(connection, key):
            raise OutboundError("pause.none", f"{key} is not paused any more", "somebody else has resumed it just now")
        _note(connection)
        operations.record(
            connection, kind="resume", subject=key, by=by, note=note, now=now, details={"reason": on[key].reason}
        )
    waker = wake(database, ruleset, now=now)
    return _told(on[key], waker, dry_run=False, expired=expired, still=still)


def go_on_waking(database: Database, ruleset: Ruleset | None, *, now: datetime, thorough: bool = False) -> int:
    """Finish what a killed ``resume`` began, if there is anything. Answers how many messages were woken.

    ``thorough``, at a daemon's start: also look for sleepers without a note.
    """
    with database.read() as connection:
        noted = runs.read_fact(connection, _WAKING)
        if noted is None:
            on = switches.switches(connection)
            if not thorough or not paused_messages.any_asleep(connection, remaining=list(on), now=now):
                return 0
        elif datetime.now(UTC) - datetime.fromisoformat(json.loads(noted)) < _FORGOTTEN:
            return 0
    return wake(database, ruleset, now=now).due


def wake(database: Database, ruleset: Ruleset | None, *, now: datetime) -> "_Waker":
    """Give every sleeper that no switch holds a turn."""
    with database.read() as connection:
        remaining = list(switches.switches(connection))
    waker = _Waker(database, ruleset, now=now, remaining=remaining)
    waker.wake()
    with database.write() as connection:
        runs.drop_facts(connection, [_WAKING])
    return waker


def _told(switch: Switch, waker: "_Waker", *, dry_run: bool, expired: int, still: tuple[Switch, ...]) -> Resumed:
    return Resumed(
        switch=switch,
        dry_run=dry_run,
        due=waker.due,
        express=waker.express,
        expired=expired,
        late=waker.late,
        spread=waker.stretch.total_seconds(),
        still=still,
    )


def _hold_due(database: Database, key: str, others: Collection[str], *, now: datetime) -> int:
    with database.write() as connection:
        ids = paused_messages.due(connection, key=key, others=others, now=now, limit=BATCH)
        detail = key.removeprefix(CHANNEL) if key.startswith(CHANNEL) else key.partition(":")[0]
        return paused_messages.hold(connection, ids, detail=detail, now=now) if ids else 0


def _has_run(database: Database, rule: str) -> bool:
    with database.read() as connection:
        return runs.any_of(connection, rule) or f"{RULE}{rule}" in switches.switches(connection)


def _note(connection: Connection) -> None:
    runs.write_fact(connection, _WAKING, json.dumps(datetime.now(UTC).isoformat()))


class _Waker:
    """Gives turns: express at once, rules with a pace by it, all others one behind the other."""

    def __init__(
        self,
        database: Database,
        ruleset: Ruleset | None,
        *,
        now: datetime,
        remaining: Collection[str],
        unseen: int = 0,
        key: str = "",
    ) -> None:
        self._database, self._ruleset, self._now, self._remaining = database, ruleset, now, remaining
        self._unseen, self._key = unseen, key
        self.due = self.express = self.late = 0
        self._last = now

    @property
    def stretch(self) -> timedelta:
        """From now to the last turn."""
        return self._last - self._now

    def wake(self) -> None:
        """Write the turns."""
        while woken := self._write_express():
            self.express += woken
        self.due += self.express
        for found in self._turns():
            for some in paused_messages.batches(found.turns, BATCH):
                with self._database.write() as connection:
                    _note(connection)
                    self.due += paused_messages.wake(connection, some, remaining=self._remaining, now=self._now)

    def rehearse(self) -> None:
        """Only count. What no gate has looked at yet is spread as if it had no pace."""
        with self._database.read() as connection:
            counts = paused_messages.rules(connection, remaining=self._remaining, now=self._now)
        self.express = sum(n for (_, lane), n in counts.items() if lane == Lane.EXPRESS.value)
        self.due = sum(counts.values()) + self._unseen
        for _ in self._turns():
            pass

    def _write_express(self) -> int:
        with self._database.write() as connection:
            return paused_messages.wake_express(connection, remaining=self._remaining, now=self._now, limit=BATCH)

    def _turns(self) -> "list[Turns]":
        with self._database.read() as connection:
            counts = paused_messages.rules(connection, remaining=self._remaining, now=self._now)
        bulk = {rule: count for (rule, lane), count in counts.items() if lane == Lane.BULK.value}
        paces = {rule: self._pace(rule) for rule in bulk}
        step = step_for(sum(count for rule, count in bulk.items() if paces[rule] is None) + self._unseen)
        start, found = self._now, []
        for rule in sorted(bulk):
            pace = paces[rule]
            with self._database.read() as connection:
                waiting = paused_messages.waiting(
                    connection, rule, remaining=self._remaining, following=pace is not None, now=self._now
                )
            if pace is None:
                turns = spread(waiting, step, start=start, now=self._now)
                start += len(waiting) * step
            else:
                turns = paced(waiting, pace, now=self._now)
            self.late += turns.late
            self._last = max(self._last, turns.last)
            found.append(turns)
        if self._unseen:
            self._last = max(self._last, start + (self._unseen - 1) * step)
        return found

    def _pace(self, rule: str) -> int | None:
        known = self._ruleset.rules.get(rule) if self._ruleset else None
        return known.send.pace_per_hour if known else None
