"""What the messages of one gate transaction know of each other: contacts that caps count, and who goes first.

Everything is read once, after the customers are locked. The messages are then screened in the order of
arbitration, and each that goes is a contact for those behind it: two of one customer in one chunk cannot both
pass a cap of one (fault C32).
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfoNotFoundError

import structlog
from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.decision import Hold, Send
from outbound.domain.message import Message
from outbound.domain.person import Person
from outbound.domain.policy import CapUse, Losers, Policy
from outbound.domain.reasons import ReasonCode
from outbound.domain.release import Ruleset
from outbound.domain.rule import Rule
from outbound.domain.traffic import QUIET, Contact, Rival, Traffic
from outbound.engine.ladder import Candidate, Switches, decide
from outbound.engine.ladder.cap import can_bind
from outbound.engine.ladder.conflict import Rank, priority_of
from outbound.engine.timing.walls import local_day, resolve_wall
from outbound.engine.timing.zones import zone_named
from outbound.storage import traffic
from outbound.storage.traffic import Queued

log = structlog.get_logger("outbound.dispatch")

_STANDING = frozenset({ReasonCode.PAUSED, ReasonCode.LIMITS})
"""Holds that an operator ends: nobody knows when, so nobody waits for whom they stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What decides whether a rival could go: ``open_channel`` says which channels take messages just now."""

    ruleset: Ruleset
    switches: Switches
    open_channel: Callable[[ChannelName], bool]
    now: datetime

    @property
    def policy(self) -> Policy:
        """The running policy."""
        return self.ruleset.policy


class Competition:
    """The contacts and queued messages of the customers of one chunk. ``judge`` as the gate's transaction sees it."""

    def __init__(
        self, connection: Connection, judge: Judge, messages: Sequence[Message], persons: Mapping[str, Person]
    ) -> None:
        self._judge = judge
        self._persons = persons
        self._contacts: dict[str, list[Contact]] = defaultdict(list)
        self._queued: dict[str, list[Queued]] = defaultdict(list)
        concerned = [m for m in messages if m.customer_id in persons and concerns(judge.policy, m)]
        self._idle = not concerned
        if not concerned:
            return
        homes = {m.customer_id: persons[m.customer_id].customer.id for m in concerned}
        ids = list(dict.fromkeys([*homes, *homes.values()]))
        for customer_id, found in traffic.load(connection, judge.policy, ids, now=judge.now).items():
            self._contacts[homes.get(customer_id, customer_id)] += found.contacts
        for customer_id, waiting in traffic.queued(connection, judge.policy, ids, now=judge.now).items():
            self._queued[homes.get(customer_id, customer_id)] += waiting

    def in_order(self, messages: Sequence[Message]) -> Sequence[Message]:
        """The messages as arbitration ranks them; as they are where nothing is counted."""
        if self._idle:
            return messages
        return sorted(messages, key=self._rank)

    def traffic_of(self, message: Message, *, tried: bool) -> Traffic:
        """What else reaches the customer of ``message``. One that was ``tried`` has had its turn."""
        person = self._persons.get(message.customer_id)
        if self._idle or person is None or not concerns(self._judge.policy, message):
            return QUIET
        contacts = tuple(self._contacts.get(person.customer.id, ()))
        rivals = () if tried else tuple(self._rivals(message, person, Traffic(contacts=contacts)))
        return Traffic(contacts=contacts, rivals=rivals)

    def went(self, message: Message, person: Person, channel: ChannelName) -> None:
        """``message`` goes: it is a contact from now on."""
        if not self._idle:
            contact = Contact(
                message_class=message.message_class,
                topic=message.topic,
                channel=channel,
                at=self._judge.now,
                message_id=message.id,
            )
            self._contacts[person.customer.id].append(contact)
            self.ended(message)

    def ended(self, message: Message) -> None:
        """``message`` waits no longer: it went, or it stopped for good."""
        person = self._persons.get(message.customer_id)
        if person is not None and not self._idle:
            waiting = self._queued.get(person.customer.id, [])
            self._queued[person.customer.id] = [one for one in waiting if one.message_id != message.id]

    def _rank(self, message: Message) -> Rank:
        topic = self._judge.policy.topics.get(message.topic)
        priority = message.priority if topic is None else priority_of(topic)
        return (-priority, planned_for(message), message.rule, message.id)

    def _rivals(self, message: Message, person: Person, contacts: Traffic) -> list[Rival]:
        found = []
        for queued in self._queued.get(person.customer.id, ()):
            if queued.message_id != message.id:
                try:
                    rival = self._rival(queued, person, contacts)
                except Exception as error:  # noqa: BLE001 - its own gate says what is wrong; nobody waits for it
                    log.error("rival failed", error=type(error).__name__, message=queued.message_id)  # noqa: TRY400 - no values in logs
                    continue
                if rival is not None:
                    found.append(rival)
        return found

    def _rival(self, queued: Queued, person: Person, contacts: Traffic) -> Rival | None:
        """``queued`` as a rival, if its own gate would let it go within the window; None: nobody waits for it."""
        judge = self._judge
        rule, topic = judge.ruleset.rules.get(queued.rule), judge.policy.topics.get(queued.topic)
        if rule is None or topic is None or topic.message_class.caps is not CapUse.APPLY:
            return None
        if rule.draft or is_over(rule, now=judge.now, zone=queued.zone or judge.policy.timezone):
            return None
        candidate = Candidate(
            rule=queued.rule,
            topic=topic,
            channels=tuple(channel for channel in queued.channels if judge.open_channel(channel)),
            expires=queued.expires,
            due=queued.not_before,
            message_id=queued.message_id,
            run_id=queued.run_id,
        )
        match decide(candidate, person, policy=judge.policy, now=judge.now, switches=judge.switches, traffic=contacts):
            case Send():
                not_before = max(queued.not_before, judge.now)
            case Hold(until=until, reason=reason) if reason.code not in _STANDING:
                not_before = until
            case _:
                return None
        if not_before > judge.now + judge.policy.arbitration.window or not_before >= queued.expires:
            return None
        return Rival(
            message_id=queued.message_id,
            rule=queued.rule,
            priority=priority_of(topic),
            due=planned_for(queued),
            not_before=not_before,
        )


def concerns(policy: Policy, message: Message) -> bool:
    """Whether caps can stop ``message`` or it may lose against another one; nothing is read for the others."""
    topic = policy.topics.get(message.topic)
    if topic is None or topic.message_class.caps is not CapUse.APPLY:
        return False
    return policy.arbitration.losers is Losers.DROP or can_bind(policy, topic, message.channels)


def planned_for(message: Message | Queued) -> datetime:
    """When the message was planned to leave (UTC), whatever held it or sent it back since."""
    if not message.local_time or not message.zone:
        return message.not_before
    try:
        local = datetime.fromisoformat(message.local_time).replace(tzinfo=None)
        return min(resolve_wall(local, zone_named(message.zone)), message.not_before)
    except (ValueError, ZoneInfoNotFoundError):  # its own gate says what is wrong with it
        return message.not_before


def is_over(rule: Rule, *, now: datetime, zone: str) -> bool:
    """Whether ``active: {until}`` has passed. A date is active to the end of that day in ``zone``."""
    until = rule.active_until
    if until is None:
        return False
    if isinstance(until, datetime):
        return now >= until
    return local_day(now, zone_named(zone)) > until
