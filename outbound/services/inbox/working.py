"""Working on what was kept: parse it, find what it is about, let it have its effect, once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from outbound.channels.webhooks.base import MalformedError, News
from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.delivery import DeliveryEvent, DeliveryKind
from outbound.domain.errors import OutboundError
from outbound.domain.incoming import IncomingMessage
from outbound.domain.keyring import Keyring
from outbound.engine.machine_traffic import JUDGED_AFTER, automated
from outbound.engine.reply_words import Asked
from outbound.services import preferences, sms_words
from outbound.services.dispatch import points
from outbound.services.inbox import contacts, readers, settling
from outbound.services.releases import Active
from outbound.storage import delivery_events, inbox, locks, suppressions
from outbound.storage.database import Database
from outbound.storage.delivery_events import Fact
from outbound.storage.inbox import Raw

log = structlog.get_logger("outbound.inbox")

Read = Callable[[Raw], Sequence[News]]
"""What a provider's parser makes of what was kept. Raises MalformedError."""

MAIL = "mail"
"""The mailbox: what it brings is believed only where it carries a token of ours."""

_BATCH = 100
_TRIES = 5
_KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Worked:
    """How much was worked on.

    ``received`` requests and mails, ``news`` that was new, ``contacts`` of people, ``matched`` orphans and ``proved``
    uncertain messages; ``troubled`` could not be worked on.
    """

    received: int = 0
    news: int = 0
    contacts: int = 0
    matched: int = 0
    proved: int = 0
    troubled: int = 0

    def __add__(self, other: "Worked") -> "Worked":
        """The sums."""
        names = ("received", "news", "contacts", "matched", "proved", "troubled")
        return Worked(**{name: getattr(self, name) + getattr(other, name) for name in names})


class Inbox:
    """The work on what came in. ``readers`` by provider; nothing is worked on before a release runs."""

    def __init__(
        self,
        database: Database,
        *,
        readers: Mapping[str, Read],
        keyring: Keyring,
        active: Callable[[], Active | None],
    ) -> None:
        self._database = database
        self._readers = readers
        self._keyring = keyring
        self._active = active

    def work(self, *, now: datetime) -> Worked:
        """Work on everything that waits, the oldest first."""
        done, after = Worked(), ""
        while True:
            with self._database.read() as connection:
                some = inbox.waiting(connection, limit=_BATCH, after=after)
            active = self._active() if some else None
            if active is None:
                return done
            after = some[-1].id
            done += self._together(some, active, now=now)

    def sweep(self, *, now: datetime) -> Worked:
        """Look for the messages of news that came first (F60), and settle what is uncertain and known (2.6)."""
        active = self._active()
        if active is None:
            return Worked()
        with self._database.write() as connection:
            waiting = delivery_events.orphans(connection, now=now)
            known = [fact for fact in self._matched(connection, waiting) if fact.subject is not None]
            _lock(connection, known)
            delivery_events.adopt(connection, known)
            settling.settle(connection, known, policy=active.ruleset.policy, keyring=self._keyring, now=now)
            clicks = delivery_events.waiting(connection, until=now - JUDGED_AFTER)
            _lock(connection, clicks)
            judged = readers.judge(connection, clicks)
            settling.settle(connection, judged, policy=active.ruleset.policy, keyring=self._keyring, now=now)
            proved = settling.prove(connection, now=now)
            inbox.empty_before(connection, now - _KEPT)
        return Worked(matched=len(known), proved=proved)

    def _together(self, some: Sequence[Raw], active: Active, *, now: datetime) -> Worked:
        """A batch in one transaction; one by one where that fails, so that one cannot hold up the others."""
        try:
            return self._batch(some, active, now=now)
        except Exception as error:
            if len(some) > 1:
                done = Worked()
                for one in some:
                    done += self._together([one], active, now=now)
                return done
            if isinstance(error, SQLAlchemyError) and getattr(error, "connection_invalidated", False):
                raise  # the database is gone, which says nothing about this one
            return self._trouble(some[0], error, now=now)

    def _trouble(self, one: Raw, error: Exception, *, now: datetime) -> Worked:
        """Count it and go on. The name of an error, never its text: it may quote what came in (F81)."""
        final = isinstance(error, MalformedError) or one.tries + 1 >= _TRIES
        said = str(error) if isinstance(error, MalformedError) else type(error).__name__
        log.warning("cannot be worked on", provider=one.provider, inbox=one.id, error=type(error).__name__, final=final)
        with self._database.write() as connection:
            inbox.failed(connection, one.id, said, final=final, now=now)
        return Worked(troubled=1)

    def _batch(self, some: Sequence[Raw], active: Active, *, now: datetime) -> Worked:
        parsed = [(one, self._read(one)) for one in some]
        said = [(one, news) for one, several in parsed for news in several if isinstance(news, IncomingMessage)]
        people = [(one, news) for one, news in said if not news.automatic]
        unclear = self._let_out(people, parsed, active, now=now)
        with self._database.write() as connection:
            mine = inbox.lock(connection, [one.id for one in some])
            facts = [
                self._fact(one, news, n, now=now)
                for one, several in parsed
                if one.id in mine
                for n, news in enumerate(several)
                if isinstance(news, DeliveryEvent) or news.automatic
            ]
            matched = self._matched(connection, facts)
            placed = [(one, news, contacts.place(connection, news, self._keyring, now=now)) for one, news in people]
            _lock(connection, matched, [found.customer_id for _, _, found in placed])
            fresh = delivery_events.keep(connection, self._of_readers(connection, matched, active))
            self._block_orphans(connection, fresh, active, now=now)
            settling.settle(connection, fresh, policy=active.ruleset.policy, keyring=self._keyring, now=now)
            kept = [
                contacts.record(connection, news, found, inbox_id=one.id, attention=unclear.get(one.id, ""), now=now)
                for one, news, found in placed
                if one.id in mine
            ]
            inbox.done(connection, sorted(mine), now=now)
            points.hit("inbox.worked")
        return Worked(received=len(mine), news=len(fresh), contacts=sum(kept))

    def _read(self, one: Raw) -> Sequence[News]:
        reader = self._readers.get(one.provider)
        if reader is None:
            raise MalformedError("no such provider is set up any more")
        return reader(one)

    def _fact(self, one: Raw, news: News, number: int, *, now: datetime) -> Fact:
        """News as it is kept: under its own id, else that of what brought it."""
        event = news if isinstance(news, DeliveryEvent) else _automatic(news)
        key = event.key or event.event_id or f"{one.key}#{number}"
        channel = ChannelName.SMS if event.recipient.startswith("+") else ChannelName.EMAIL
        recipient = event.recipient.strip()
        return Fact(
            event=event,
            key=key[:300],
            inbox_id=one.id,
            at=min(event.at or one.received_at, now),
            received_at=one.received_at,
            proven=bool(event.ours) or (one.provider != MAIL and isinstance(news, DeliveryEvent)),
            detail=_detail(event),
            address_hash=self._keyring.address_hash(channel.value, recipient) if recipient else "",
        )

    def _matched(self, connection: Connection, facts: Sequence[Fact]) -> list[Fact]:
        """Facts with the legs they are about; what nobody has proven is matched with nothing."""
        found = delivery_events.subjects(connection, [fact.event for fact in facts if fact.proven])
        sent = delivery_events.left_at(connection, [one.message_id for one in found.values()])
        answer = []
        for fact in facts:
            about = found.get((fact.event.ours, fact.event.reference)) if fact.proven else None
            if about is None:
                answer.append(fact)
                continue
            digest = self._keyring.address_hash(about.channel.value, about.address) if about.address else ""
            why = link = ""
            if fact.event.kind in readers.WORD:
                left = sent.get((about.message_id, about.leg))
                after = (fact.at - left).total_seconds() if left else None
                why = automated(method="GET", user_agent=fact.event.user_agent, seconds=after)
                why, link = readers.first_judged(fact.event, why), readers.link_of(fact.event.url)
            answer.append(replace(fact, subject=about, address_hash=digest, automated=why, link=link))
        return answer

    @staticmethod
    def _of_readers(connection: Connection, facts: Sequence[Fact], active: Active) -> list[Fact]:
        """An open or click that may not be noted says no more than that the provider had the message (C43)."""
        engaged = [fact.subject for fact in facts if fact.subject is not None and fact.event.kind in readers.WORD]
        noted = readers.allowed(connection, active.ruleset.policy, engaged) if engaged else {}
        return [
            fact
            if fact.event.kind not in readers.WORD
            or (fact.subject is not None and fact.event.kind in noted.get(fact.subject.message_id, ()))
            else replace(fact, event=replace(fact.event, kind=DeliveryKind.SENT), automated="", link="", detail="")
            for fact in facts
        ]

    def _block_orphans(self, connection: Connection, fresh: Sequence[Fact], active: Active, *, now: datetime) -> None:
        """A hard bounce or complaint of a provider's own account counts, whoever sent the message."""
        policy = active.ruleset.policy
        blocks = [
            block
            for fact in fresh
            if fact.subject is None and fact.proven and fact.event.provider != MAIL and fact.event.recipient
            for block in settling.block_orphan(
                fact,
                address=fact.event.recipient,
                channel=ChannelName.SMS if fact.event.recipient.startswith("+") else ChannelName.EMAIL,
                policy=policy,
                keyring=self._keyring,
                now=now,
            )
        ]
        if blocks:
            suppressions.add(connection, blocks)

    def _let_out(
        self,
        people: Sequence[tuple[Raw, IncomingMessage]],
        parsed: Sequence[tuple[Raw, Sequence[News]]],
        active: Active,
        *,
        now: datetime,
    ) -> dict[str, str]:
        """Take consent back before anything else: whoever asked is out, also if the rest has to be tried again."""
        with self._database.read() as connection:
            placed = [(one, news, contacts.place(connection, news, self._keyring, now=now)) for one, news in people]
            told = [n for _, several in parsed for n in several if isinstance(n, DeliveryEvent)]
            asked = [n for n in told if n.kind is DeliveryKind.UNSUBSCRIBED and (n.ours or n.provider != MAIL)]
            found = delivery_events.subjects(connection, asked)
        for one, news, where in placed:
            if where.customer_id and contacts.wants(news, where) is Asked.STOP:
                topic = where.about.topic if where.about else ""
                source = f"{news.provider} {where.about.message_id if where.about else one.id}"
                self._withdraw(where.customer_id, topic, active, source=source, wording=news.subject, now=now)
        unclear = {one.id: why for one, news in people if (why := self._hear(one, news, active, now=now))}
        for event in asked:
            about = found.get((event.ours, event.reference))
            if about is not None:
                source = f"{event.provider} about message {about.message_id}"
                self._withdraw(about.customer_id, about.topic, active, source=source, wording="", now=now)
        return unclear

    def _hear(self, one: Raw, news: IncomingMessage, active: Active, *, now: datetime) -> str:
        """Let a text do what its words say (STOP, START, HELP), once; why a person has to read it, where one has to."""
        if news.channel is not ChannelName.SMS:
            return ""
        try:
            heard = sms_words.receive(
                self._database,
                active.ruleset.policy,
                self._keyring,
                number=news.sender,
                text=news.text,
                to=news.recipient,
                message_id=news.key or one.id,
                now=now,
            )
        except OutboundError:
            return "no number"  # a word instead of a number: nobody can be stopped or answered
        return "stop?" if heard.effect is sms_words.Effect.PAUSED else ""

    def _withdraw(
        self, customer_id: str, topic: str, active: Active, *, source: str, wording: str, now: datetime
    ) -> None:
        """The topic of the message; every topic that can be declined where that is none, or nobody knows which."""
        topics = active.ruleset.policy.topics
        known = topics.get(topic)
        every = [name for name, one in topics.items() if one.declinable]
        wanted = [topic] if known is not None and known.declinable else every
        evidence = Evidence(source=source, wording=wording[:300], actor="customer")
        for name in wanted:
            preferences.withdraw(
                self._database, customer_id=customer_id, topic=name, channel=None, evidence=evidence, now=now
            )


def _lock(connection: Connection, facts: Sequence[Fact], also: Sequence[str] = ()) -> None:
    """Customers first, all in one statement, then whatever else (``storage.locks``)."""
    owners = {fact.subject.customer_id for fact in facts if fact.subject is not None}
    locks.customers(connection, sorted({*owners, *(one for one in also if one)}))


def _automatic(news: IncomingMessage) -> DeliveryEvent:
    """An answering machine: no reply, and a sign of life of the address where it carries our token."""
    return DeliveryEvent(
        provider=news.provider,
        kind=DeliveryKind.AUTORESPONDED,
        event_id=news.key,
        reference=next(iter(news.references), ""),
        ours=news.ours,
        at=news.at,
        description=news.automatic,
    )


def _detail(event: DeliveryEvent) -> str:
    """The provider's words without addresses and numbers: what may stand in the record."""
    from outbound.channels.outcomes import redact  # noqa: PLC0415 - its tables are long

    words = event.response or event.description
    return redact(words, (event.recipient,)) if words else ""
