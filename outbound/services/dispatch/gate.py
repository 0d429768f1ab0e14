"""Stage 2: just before I/O, ask again whether each message may go, and write down that its attempt begins.

One transaction per chunk: what it reads cannot change until what it decided is written. Any error means: do
not send.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from outbound.domain.customer import ChannelName, Event
from outbound.domain.errors import OutboundError
from outbound.domain.message import Message, MessageState
from outbound.domain.person import Person
from outbound.domain.policy import BrandIdentity
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import DateTrigger, Rule
from outbound.engine.conditions import evaluate, needs_history
from outbound.engine.conditions.facts import Facts, customer_values
from outbound.engine.ladder import Switches
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import resolve_zones
from outbound.engine.tracking import tracked
from outbound.services.dispatch.admission import Admission, Later
from outbound.services.dispatch.claim import Chunks
from outbound.services.dispatch.competition import Competition, Judge
from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.parcels import Passed, domain_of
from outbound.services.dispatch.points import hit
from outbound.services.dispatch.screening import RECHECK, Case, Go, Screened, Stop, Wait, screen
from outbound.services.dispatch.words import needs_planned, settle
from outbound.services.releases import Active
from outbound.storage import customers, events, outbox_claims, outbox_gate, people, run_limits, runs
from outbound.storage.outbox_gate import Begin, Held, Past, Stopped

log = structlog.get_logger("outbound.dispatch")

_SHORTEST_HOLD = RECHECK / 5


async def gate(slice_: Slice, kit: Kit, chunks: Chunks) -> AsyncIterator[list[Passed]]:
    """Pass on what may go now; everything else is held, stopped or given back, with its reason on the record."""
    async for chunk in chunks:
        active = await asyncio.to_thread(kit.active)
        if active is None:
            raise OutboundError("release.none", "no release is active", "publish one with `outbound apply`")
        releases = await asyncio.to_thread(wording, kit, active, chunk)
        try:
            await kit.precedence.give_way(slice_.lane)
            passed = await kit.writer.write(GateTransaction(slice_, kit, releases, chunk), urgent=slice_.urgent)
        except DBAPIError:
            raise
        except Exception as error:  # noqa: BLE001 - fail closed: one bad row must not stop the others
            log.error("gate failed", error=type(error).__name__, messages=len(chunk))  # noqa: TRY400 - no values in logs
            passed = [one for message in chunk for one in await _alone(slice_, kit, releases, message)]
        hit("gate.done")
        going = {one.message.id for one in passed}
        for message in chunk:
            if message.id not in going:
                slice_.leases.pop(message.id, None)
        if passed:
            yield passed


async def _alone(slice_: Slice, kit: Kit, releases: "Wording", message: Message) -> list[Passed]:
    try:
        return await kit.writer.write(GateTransaction(slice_, kit, releases, [message]))
    except DBAPIError:
        raise
    except Exception as error:  # noqa: BLE001 - fail closed: held with the reason, looked at again later
        failed = _failed(message, error, slice_.moment())

        def held(connection: Connection) -> None:
            if outbox_claims.lock_claimed(connection, {message.id: message.lease_token}):
                outbox_gate.hold(connection, [failed], now=slice_.moment())

        await kit.writer.write(held)
        slice_.tally.states[MessageState.SCHEDULED] += 1
        return []


@dataclass(frozen=True, slots=True)
class Wording:
    """The active release, and by id every other one that words a message of the chunk."""

    active: Active
    by_id: Mapping[str, Active]


def wording(kit: Kit, active: Active, chunk: Sequence[Message]) -> Wording:
    """Compile before the transaction. A release that cannot be read fails the gates of its own messages only."""
    found = {active.id: active}
    others = (m for m in chunk if m.release != active.id)
    for release_id in {m.release for m in others if m.message_id or needs_planned(m, active, m.channels)}:
        try:
            found[release_id] = kit.load_release(release_id)
        except OutboundError as error:
            log.error("release failed", code=error.code, release=release_id[:12])  # noqa: TRY400 - likewise
    return Wording(active, found)


class GateTransaction:
    """The transaction of one chunk. Called with its connection; answers what may go."""

    def __init__(self, slice_: Slice, kit: Kit, releases: Wording, chunk: Sequence[Message]) -> None:
        self._slice, self._kit, self._releases, self._chunk = slice_, kit, releases.by_id, chunk
        self._active = releases.active
        self._now = slice_.moment()
        self._at = 0.0
        self._history: dict[str, list[Event]] = {}
        self._passed: list[Passed] = []
        self._begins: list[Begin] = []
        self._holds: list[Held] = []
        self._stops: list[Stopped] = []
        self._later: dict[datetime, list[str]] = {}

    def __call__(self, connection: Connection) -> list[Passed]:
        """Judge the chunk in ``connection``'s transaction, and write what was decided."""
        self._at = time.monotonic()  # before anything is read: a revocation it does not see is younger
        ours = outbox_claims.lock_claimed(connection, {m.id: m.lease_token for m in self._chunk})
        messages = [m for m in self._chunk if m.id in ours]
        persons = _load_people(connection, messages)
        pasts = outbox_gate.past_of(connection, [m.id for m in messages if m.lease_token > 1])
        switches = Switches(paused=outbox_gate.paused(connection), limited=run_limits.limited(connection))
        self._load_history(connection, messages)
        self._admission = Admission(self._slice, self._kit, connection, zone=self._active.ruleset.policy.timezone)
        judge = Judge(ruleset=self._active.ruleset, switches=switches, open_channel=self._takes, now=self._now)
        days = runs.slots(connection, [m.run_id for m in messages if self._is_dated(m)])
        others = Competition(connection, judge, messages, persons)
        for message in others.in_order(messages):
            past = pasts.get(message.id, Past())
            case = Case(
                message=message,
                person=persons.get(message.customer_id),
                past=past,
                active=self._active,
                switches=switches,
                traffic=others.traffic_of(message, tried=bool(past.legs)),
                who=self._who,
                adapter_for=self._kit.adapters.get,
                now=self._now,
                day=days.get(message.run_id, ""),
            )
            try:
                self._sort(case, screen(case), others)
            except Exception as error:  # noqa: BLE001 - fail closed, and the others go on
                log.error("gate failed", error=type(error).__name__, message=message.id)  # noqa: TRY400 - likewise
                self._holds.append(_failed(message, error, self._now))
        outbox_gate.begin(connection, self._begins, now=self._now)
        outbox_gate.hold(connection, self._holds, now=self._now)
        outbox_gate.stop(connection, self._stops, now=self._now)
        self._admission.count()
        for until, ids in self._later.items():
            outbox_claims.release(connection, ids, now=self._now, not_before=until)
        hit("gate.open")
        self._count()
        return self._passed

    def _is_dated(self, message: Message) -> bool:
        rule = self._active.ruleset.rules.get(message.rule)
        return rule is not None and isinstance(rule.trigger, DateTrigger)

    def _takes(self, channel: ChannelName) -> bool:
        """Whether the channel's account takes messages just now."""
        adapter = self._kit.adapters.get(channel)
        if adapter is None:
            return False
        return not (self._kit.breakers[adapter.name].waits(self._now) or self._kit.slots[adapter.name].stuck)

    def _sort(self, case: Case, answer: Screened, others: Competition) -> None:
        message, person = case.message, case.person
        match answer:
            case Stop(state=state, reason=reason):
                self._stops.append(Stopped(message_id=message.id, state=state, reason=reason))
                others.ended(message)
            case Wait(until=until, reason=reason):
                until = max(until, self._now + _SHORTEST_HOLD)
                held_by = message.held_by or str(reason)
                self._holds.append(Held(message_id=message.id, until=until, reason=reason, held_by=held_by))
            case Go() if person is not None:
                tried = tuple(one.channel for one in case.past.legs if one.n < answer.leg)
                if self._go(message, person, answer, tried):
                    others.went(message, person, answer.channel)

    def _go(self, message: Message, person: Person, go: Go, tried: tuple[ChannelName, ...]) -> bool:
        """Begin the attempt. False: the account takes nothing now, and the message waits until it is tried again."""
        adapter = self._kit.adapters[go.channel]
        admitted = self._admission.admit(message, go.channel, adapter.name, go.address)
        if isinstance(admitted, Later):
            self._postpone(message, admitted)
            return False
        policy = self._active.ruleset.policy
        release, context = self._words(message, person, go.channel)
        begin = Begin(
            message_id=message.id,
            attempt_id=f"{message.id}.{message.lease_token}",  # one lease, one attempt
            lease_token=message.lease_token,
            leg=go.leg,
            n=go.tries + 1,
            channel=go.channel,
            customer_id=person.customer.id,
            address=go.address,
            account=adapter.name,
            release=release.id,
            mime_id=message.message_id or f"<{message.id}@{_domain(policy.brand, message.message_class)}>",
            date=message.date or self._now.replace(microsecond=0),
            language=release.templates.language(
                message.template, go.channel, message.language or person.customer.preference.language
            ),
            tracked=self._tracked(message, person, go.channel),
            moved_on=go.moved_on,
            context=context,
        )
        self._begins.append(begin)
        self._passed.append(
            Passed(
                message=_as_begun(message, begin),
                begin=begin,
                customer=person.customer,
                release=release,
                policy=policy,
                gated_at=self._at,
                in_doubt=go.in_doubt,
                domain=admitted.domain,
                probes=admitted.probes,
                turn=admitted.turn,
                counted_on=admitted.counted_on,
                tried=tried,
            )
        )
        return True

    def _postpone(self, message: Message, later: Later) -> None:
        """Nothing went wrong: back to ready, or held where the record should say why."""
        if later.reason is None:
            self._later.setdefault(later.until, []).append(message.id)
        elif later.until >= message.expires:
            reason = Reason(ReasonCode.EXPIRED, str(later.reason))
            self._stops.append(Stopped(message_id=message.id, state=MessageState.EXPIRED, reason=reason))
        else:
            held_by = message.held_by or str(later.reason)
            self._holds.append(Held(message_id=message.id, until=later.until, reason=later.reason, held_by=held_by))

    def _words(self, message: Message, person: Person, channel: ChannelName) -> tuple[Active, Mapping[str, Any] | None]:
        """The release that words the message, and the context to keep instead of the row's (None: the row's)."""
        if message.message_id:
            return self._releases[message.release], None
        planned = self._releases.get(message.release)
        return settle(message, person.customer, channel, active=self._active, planned=planned)

    def _tracked(self, message: Message, person: Person, channel: ChannelName) -> str:
        """What may be noted of the reader: as at the first render, so that the bytes are the same again."""
        if message.tracked is not None:
            return message.tracked
        topic = self._active.ruleset.policy.topics.get(message.topic)
        return tracked(topic, person, channel) if topic is not None else ""

    def _load_history(self, connection: Connection, messages: Sequence[Message]) -> None:
        """The past events that ``who`` of the held messages looks at."""
        rules = self._active.ruleset.rules
        held = [m for m in messages if m.held_by and m.rule in rules]
        names = {name for m in held for name in needs_history(rules[m.rule].who)}
        self._history = events.history(connection, [m.customer_id for m in held], names) if names else {}

    def _who(self, rule: Rule, person: Person) -> bool | None:
        zone = resolve_zones(person.customer.zone_source, self._active.ruleset.policy).at
        facts = Facts(
            customer=customer_values(person.customer),
            history=self._history.get(person.customer.id, ()),
            now=self._now,
            today=local_day(self._now, zone),
            zone=zone,
        )
        return evaluate(rule.who)(facts)

    def _count(self) -> None:
        states = self._slice.tally.states
        states[MessageState.SCHEDULED] += len(self._holds)
        states[MessageState.READY] += sum(map(len, self._later.values()))
        for stopped in self._stops:
            states[stopped.state] += 1


def _load_people(connection: Connection, messages: Sequence[Message]) -> dict[str, Person]:
    """The person of each message by the id on the message; a merged customer is the one they live on as."""
    ids = [m.customer_id for m in messages]
    found = people.load_people(connection, ids, for_update=True)
    missing = [i for i in ids if i not in found]
    if missing:
        heirs = customers.survivors(connection, missing)
        persons = people.load_people(connection, list(heirs.values()), for_update=True)
        found.update((old, persons[new]) for old, new in heirs.items() if new in persons)
    return found


def _as_begun(message: Message, begin: Begin) -> Message:
    """The message with what its attempt fixes; as it is where that is what the row says (copying costs)."""
    if begin.context is None and (message.tracked or "") == begin.tracked:
        return message
    context = message.context if begin.context is None else begin.context
    return replace(message, tracked=begin.tracked, context=context)


def _failed(message: Message, error: Exception, now: datetime) -> Held:
    reason = Reason(ReasonCode.PAUSED, f"gate_error {type(error).__name__}")
    return Held(message_id=message.id, until=now + RECHECK, reason=reason, held_by=message.held_by or str(reason))


def _domain(brand: BrandIdentity, message_class: str) -> str:
    """The domain of the class's sender: whoever sends, names (RFC 5322 3.6.4)."""
    return domain_of(brand.senders.get(message_class) or next(iter(brand.senders.values()), ""))
