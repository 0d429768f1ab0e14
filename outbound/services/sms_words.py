"""A text that came in: stop, resume, help, or something a person has to read (C16-C24).

What it does is on the record before the answer: the number is blocked by its keyed hash, consents are withdrawn on
the ledger, and ``request.stop|start|help`` is an event of the customer, so that a rule answers through the outbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentEvent, ConsentState, Evidence, Suppression
from outbound.domain.customer import ChannelName, Event
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.domain.keywords import OptOutReplies, SmsMeaning
from outbound.domain.person import Person
from outbound.domain.policy import Policy
from outbound.engine.sms_words import read
from outbound.services.imports.contacts import read_phone
from outbound.services.imports.values import Invalid
from outbound.storage import consents, customers, events, locks, operations, people, sms_in, suppressions
from outbound.storage.database import Database
from outbound.storage.sms_in import OPEN, TextIn

OPTED_OUT = "opted_out"
"""The reason of a block after STOP, also of one that a provider told us about."""
PAUSED = "unclear_text"
"""The reason of a block until a person has read a text."""

_STOPPED_BY = "SMS STOP"
_DEFAULT_SCOPES = ("marketing",)
_SMS = ChannelName.SMS


class Effect(StrEnum):
    """What a text did. ``paused``: marketing waits until a person has read it. ``none``: nothing had to change."""

    STOPPED = "stopped"
    RESUMED = "resumed"
    ASKED = "asked"
    PAUSED = "paused"
    NONE = "none"


_ANSWERS = {Effect.STOPPED: "request.stop", Effect.RESUMED: "request.start", Effect.ASKED: "request.help"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a text meant and did. ``answer`` is the event that a rule answers, "" for silence.

    ``repeated``: the same text was on record, and nothing happened again.
    """

    id: str
    meaning: SmsMeaning
    keyword: str
    effect: Effect
    customers: tuple[str, ...]
    answer: str = ""
    repeated: bool = False


def receive(
    database: Database,
    policy: Policy,
    keyring: Keyring,
    *,
    number: str,
    text: str,
    to: str = "",
    message_id: str = "",
    now: datetime,
) -> Heard:
    """Take in one text from ``number`` (with its +) and do what it says, once per ``message_id`` of the provider.

    STOP works on the number, whoever has it and whether we know them. A second STOP is silent, START only reverses
    a STOP, and an ordinary text that contains a word that stops pauses marketing to the number until a person has
    read it. Raises OutboundError ``sms.number``.
    """
    try:
        address, _ = read_phone(number.strip(), None)
    except Invalid as error:
        raise OutboundError("sms.number", f"that is no number a text comes from: {error}", "write +39...") from None
    found = read(text, policy.sms_words)
    hashes = keyring.address_hashes(_SMS, address)
    with database.write() as connection:
        owners = customers.by_hash(connection, hashes)
        locks.customers(connection, owners)
        suppressions.carry_over(connection, _SMS, hashes)
        identity = message_id or new_id(now)
        entry = TextIn(
            id=identity,
            hash=hashes[0],
            customer_id=owners[0] if owners else "",
            meaning=found.meaning,
            keyword=found.keyword,
            text="",
            sent_to=to,
            effect=Effect.NONE,
            review="",
            reviewed_by="",
            reviewed_at=None,
            at=now,
        )
        if not sms_in.add(connection, entry):
            return _again(connection, identity, owners)
        call = _Call(connection, policy, hashes, address, tuple(owners), identity, now)
        effect = call.obey(found.meaning)
        values = {"effect": effect.value}
        if effect is Effect.PAUSED:
            values |= {"review": OPEN, "text": text}
        sms_in.change(connection, [identity], values)
        answer = call.ask_for_answer(effect)
    return Heard(
        id=identity,
        meaning=found.meaning,
        keyword=found.keyword,
        effect=effect,
        customers=tuple(owners),
        answer=answer,
    )


def waiting(database: Database, *, limit: int = 50) -> tuple[TextIn, ...]:
    """Texts that a person has to read, the oldest first."""
    with database.read() as connection:
        return sms_in.waiting(connection, limit=limit)


def settle(
    database: Database,
    policy: Policy,
    keyring: Keyring,
    *,
    text_id: str,
    opt_out: bool,
    by: str,
    note: str = "",
    now: datetime,
) -> TextIn:
    """What a person found in an unclear text: it was a STOP (``opt_out``), or marketing may go on.

    Raises OutboundError ``sms.review`` where no such text waits.
    """
    with database.write() as connection:
        found = sms_in.one(connection, text_id)
        if found is None or found.review != OPEN:
            remedy = "`outbound consent review` lists those that do"
            raise OutboundError("sms.review", f"no text {text_id!r} waits for a person", remedy)
        owners = customers.by_hash(connection, [found.hash])
        locks.customers(connection, owners)
        phones = (person.customer.address(_SMS) for person in people.load_people(connection, owners).values())
        hashes = {found.hash, *(h for phone in phones if phone for h in keyring.address_hashes(_SMS, phone.value))}
        call = _Call(connection, policy, sorted(hashes), "", tuple(owners), text_id, now, by=by)
        suppressions.lift(connection, _SMS, call.hashes, reason=PAUSED)
        settled = replace(found, review="opt_out" if opt_out else "carry_on", reviewed_by=by, reviewed_at=now)
        if opt_out:
            call.stop()
            settled = replace(settled, effect=Effect.STOPPED)
        values = {name: getattr(settled, name) for name in ("review", "reviewed_by", "reviewed_at", "effect")}
        sms_in.change(connection, [text_id], values)
        operations.record(
            connection, kind="consent.review", subject=text_id, by=by, note=note, now=now, details={"opt_out": opt_out}
        )
        return settled


@dataclass(frozen=True, slots=True)
class _Call:
    """One text inside its transaction. ``by`` is the person who read it, "" where its words were plain."""

    connection: Connection
    policy: Policy
    hashes: Sequence[str]
    number: str
    owners: tuple[str, ...]
    text_id: str
    now: datetime
    by: str = ""

    def obey(self, meaning: SmsMeaning) -> Effect:
        """Do what the text says."""
        match meaning:
            case SmsMeaning.STOP:
                if self._stopped():
                    return Effect.NONE
                self._close_reviews("STOP")
                self.stop()
                return Effect.STOPPED
            case SmsMeaning.START:
                return self._start()
            case SmsMeaning.HELP:
                return Effect.ASKED
            case SmsMeaning.UNCLEAR:
                if self._stopped():
                    return Effect.NONE
                self._block(PAUSED)
                return Effect.PAUSED
            case _:
                return Effect.NONE

    def ask_for_answer(self, effect: Effect) -> str:
        """Record what the customer asked for, where rules answer; "" where nobody is to be answered by us."""
        name = _ANSWERS.get(effect)
        if name is None or not self.owners or self.policy.sms_words.replies is OptOutReplies.PROVIDER:
            return ""
        event = Event(
            id=f"{name}/{self.text_id}",
            name=name,
            customer_id=self.owners[0],  # several may share a phone: it is answered once
            data={"channel": _SMS.value},
            at=self.now,
            received_at=self.now,
        )
        events.append(self.connection, [event], now=self.now, source="sms")
        return name

    def stop(self) -> None:
        """Block the number for the policy's classes and withdraw what was granted on SMS in them."""
        self._block(OPTED_OUT)
        scopes = self._scopes()
        topics = self.policy.topics
        for identity, person in people.load_people(self.connection, self.owners).items():
            for topic in sorted({name for name, channel in person.consents if channel in ("", _SMS)}):
                known = topics.get(topic)
                of_scope = "all" in scopes or known is None or known.message_class.name in scopes
                if of_scope and _granted(person, topic):
                    self._say(identity, topic, ConsentState.WITHDRAWN, self._evidence(_STOPPED_BY))

    def _start(self) -> Effect:
        """Take back what a STOP did, and nothing else."""
        lifted = suppressions.lift(self.connection, _SMS, self.hashes, reason=OPTED_OUT)
        restored = sum(self._restore(identity) for identity in self.owners)
        self._close_reviews("START")
        return Effect.RESUMED if lifted or restored else Effect.NONE

    def _restore(self, identity: str) -> int:
        """Grant again, as it was, what a STOP withdrew and nobody has withdrawn since."""
        said = consents.ledger(self.connection, identity)
        restored = 0
        for topic in sorted({event.topic for event in said}):
            about = [event for event in said if event.topic == topic and event.channel in (None, _SMS)]
            stands = consents.of_topic(self.connection, identity, topic).get(_SMS)
            newest = next((event for event in about if stands and event.id == stands.event_id), None)
            if newest is None or newest.state is not ConsentState.WITHDRAWN:
                continue
            if not newest.evidence.source.startswith(_STOPPED_BY):
                continue
            granted = [event for event in about if event.state is ConsentState.GRANTED and event.at <= newest.at]
            if granted:
                before = granted[-1]
                source = f"SMS START {self.text_id}, as before STOP"
                evidence = replace(before.evidence, source=source, actor="customer")
                self._say(identity, topic, ConsentState.GRANTED, evidence, address=before.address)
                restored += 1
        return restored

    def _say(
        self, identity: str, topic: str, state: ConsentState, evidence: Evidence, *, address: str | None = None
    ) -> None:
        newest = consents.newest_word(self.connection, identity, topic)
        event = ConsentEvent(
            id=new_id(self.now),
            customer_id=identity,
            topic=topic,
            channel=_SMS,
            state=state,
            at=max(self.now, newest or self.now),
            recorded_at=self.now,
            evidence=evidence,
            address=address or (self.number if state is ConsentState.WITHDRAWN else None) or None,
        )
        consents.record(self.connection, event)

    def _evidence(self, source: str) -> Evidence:
        read_by = f", read by {self.by}" if self.by else ""
        return Evidence(source=f"{source} {self.text_id}{read_by}", actor="customer")

    def _stopped(self) -> bool:
        newest = sms_in.newest_effect(self.connection, self.hashes, [Effect.STOPPED, Effect.RESUMED])
        blocks = suppressions.of_hashes(self.connection, self.hashes)
        return newest == Effect.STOPPED or any(b.reason == OPTED_OUT and b.channel is _SMS for b in blocks)

    def _close_reviews(self, word: str) -> None:
        """The person has said plainly what an unclear text meant."""
        suppressions.lift(self.connection, _SMS, self.hashes, reason=PAUSED)
        ids = sms_in.open_of(self.connection, self.hashes)
        settled = {"review": "settled", "reviewed_by": f"customer, by {word}", "reviewed_at": self.now}
        sms_in.change(self.connection, ids, settled)

    def _block(self, reason: str) -> None:
        blocks = [
            Suppression(channel=_SMS, address_hash=digest, scope=scope, reason=reason, at=self.now)
            for digest in self.hashes
            for scope in self._scopes()
        ]
        suppressions.add(self.connection, blocks)

    def _scopes(self) -> tuple[str, ...]:
        """What STOP ends: the classes of ``suppress: [{event: opted_out, ...}]``, else marketing (C20)."""
        rules = [r for r in self.policy.suppress if r.event == OPTED_OUT and r.channel in (None, _SMS)]
        return tuple(dict.fromkeys(scope for rule in rules for scope in rule.scopes)) or _DEFAULT_SCOPES


def _granted(person: Person, topic: str) -> bool:
    entry = person.consents.get((topic, _SMS)) or person.consents.get((topic, ""))
    return entry is not None and entry.state is ConsentState.GRANTED


def _again(connection: Connection, identity: str, owners: Sequence[str]) -> Heard:
    before = sms_in.one(connection, identity)
    if before is None:
        raise OutboundError("sms.review", f"text {identity!r} vanished", "send it again")
    return Heard(
        id=identity,
        meaning=SmsMeaning(before.meaning),
        keyword=before.keyword,
        effect=Effect(before.effect),
        customers=tuple(owners),
        repeated=True,
    )
