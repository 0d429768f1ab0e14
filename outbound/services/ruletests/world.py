"""The world of one test: its people in an empty scratch store, and what happens to them on the virtual clock."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentEvent, ConsentState, Evidence, Suppression
from outbound.domain.customer import ChannelName, Event, Scalar
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.domain.policy import ConsentNeed
from outbound.domain.release import Ruleset
from outbound.engine.rendering import Templates
from outbound.engine.timing.zones import zone_source
from outbound.services import sends
from outbound.services.baselines import take_baselines
from outbound.services.forecast.course import Stretch, live
from outbound.services.forecast.unplugged import Account, unplugged
from outbound.services.preferences import refresh_zone
from outbound.services.releases import Active
from outbound.services.ruletests.values import Ambit, Happening, RuleTest, Somebody, Words
from outbound.storage import consents, customers, events, sent_news, suppressions
from outbound.storage.customers import StoredAddress, Update
from outbound.storage.database import Database
from outbound.storage.people import load_people

KEYRING = Keyring.parse("test:" + "5a" * 32)
"""Hashes the addresses of people who do not exist."""

_BY = "test"
_BEFORE = timedelta(days=1)
_SECOND = timedelta(seconds=1)
_PAUSES = ("pause_from", "pause_to")
_WRITTEN = {ChannelName.EMAIL: "email", ChannelName.SMS: "phone"}


def active_of(test: RuleTest, ruleset: Ruleset, templates: Templates) -> Active:
    """The release of a test: the rules of its files, in force from the start of its clock."""
    rules = {name: rule for name, rule in ruleset.rules.items() if rule.span.file in test.files}
    return Active(
        id=_BY,
        ruleset=replace(ruleset, rules=rules),
        templates=templates,
        since=dict.fromkeys(rules, test.start),
        activated_at=test.start,
    )


def live_through(scratch: Database, test: RuleTest, active: Active) -> None:
    """Fill the empty store and let the clock of the test run from its start to its stop."""
    with scratch.write() as connection:
        for number, somebody in enumerate(test.customers.values()):
            _add(connection, active, somebody, number, now=test.start - _BEFORE)
        for number, one in enumerate(test.happenings):
            if one.event and one.at < test.start:
                events.append(connection, _events_of(one, number), now=one.at, fire=False)
        sent_news.listen(connection, heard=True)
        take_baselines(connection, active.ruleset, before={}, include_current=False, now=test.start)
    accounts = [Account(channel=channel, name=channel.value) for channel in ChannelName]
    kit = unplugged(scratch, accounts, keyring=KEYRING, active=lambda: active)
    stretch = Stretch(start=test.start, until=test.stop)
    live(scratch, kit, active, stretch, feeds=[_Happenings(test, active)], step=_SECOND)


class _Happenings:
    """A feed of what the test says happens."""

    def __init__(self, test: RuleTest, active: Active) -> None:
        self._active, self._start = active, test.start
        self._left = [(number, one) for number, one in enumerate(test.happenings) if one.at >= test.start]

    def next_at(self) -> datetime | None:
        return self._left[0][1].at if self._left else None

    def bring(self, database: Database, now: datetime) -> None:
        while self._left and self._left[0][1].at <= now:
            number, one = self._left.pop(0)
            if one.send:
                recipients = [sends.Recipient(customer_id=customer) for customer in one.customers]
                sends.send(
                    database,
                    self._active,
                    rule=one.send,
                    recipients=recipients,
                    arguments=one.data,
                    key=f"test-{number}",
                    by=_BY,
                    now=now,
                )
                continue
            with database.write() as connection:
                if one.event:
                    events.append(connection, _events_of(one, number), now=now)
                for customer in one.customers:
                    if one.set:
                        customers.apply(connection, _update(customer, one.set), source=_BY, now=now)
                        refresh_zone(connection, customer)
                    if one.words:
                        addresses = {
                            a.channel: a.value for a in load_people(connection, [customer])[customer].customer.addresses
                        }
                        _hear(connection, self._active, customer, one.words, addresses, now=now)


def _events_of(one: Happening, number: int) -> Sequence[Event]:
    return [
        Event(
            id=f"{number}-{customer}",
            name=one.event,
            customer_id=customer,
            data=one.data,
            at=one.at,
            received_at=one.at,
        )
        for customer in one.customers
    ]


def _add(connection: Connection, active: Active, somebody: Somebody, number: int, *, now: datetime) -> None:
    update = _update(somebody.id, somebody.attributes)
    addresses = {channel: _address(somebody, channel, number) for channel in somebody.reach}
    customers.apply(connection, replace(update, addresses=addresses), source=_BY, now=now)
    phone = addresses[ChannelName.SMS].value if ChannelName.SMS in addresses else None
    source = zone_source(update.columns.get("timezone"), update.columns.get("country"), phone)
    customers.set_zone_source(connection, {somebody.id: source})
    known = {channel: address.value for channel, address in addresses.items()}
    _hear(connection, active, somebody.id, somebody.words, known, now=now)


def _hear(
    connection: Connection,
    active: Active,
    customer: str,
    words: Words,
    addresses: Mapping[ChannelName, str],
    *,
    now: datetime,
) -> None:
    """Record what somebody said. A yes is confirmed on each channel where a double opt-in is needed."""
    for ambit in words.consent:
        topic = active.ruleset.policy.topics[ambit.topic]
        double = [
            channel
            for channel in addresses
            if ambit.channel in (None, channel) and topic.need(channel) is ConsentNeed.DOUBLE_OPT_IN
        ]
        if ambit.channel not in double:
            _say(connection, customer, ambit, ConsentState.GRANTED, now)
        for channel in double:
            confirmed = Ambit(ambit.topic, channel)
            _say(connection, customer, confirmed, ConsentState.GRANTED, now, address=addresses[channel])
    for ambit in words.refused:
        _say(connection, customer, ambit, ConsentState.WITHDRAWN, now)
    for channel, scope in words.blocked:
        if channel in addresses:
            hashed = KEYRING.address_hash(channel, addresses[channel])
            block = Suppression(channel=channel, address_hash=hashed, scope=scope, reason=_BY, at=now)
            suppressions.add(connection, [block])


def _say(
    connection: Connection,
    customer: str,
    ambit: Ambit,
    state: ConsentState,
    now: datetime,
    *,
    address: str | None = None,
) -> None:
    event = ConsentEvent(
        id=new_id(now),
        customer_id=customer,
        topic=ambit.topic,
        channel=ambit.channel,
        state=state,
        at=now,
        recorded_at=now,
        evidence=Evidence(source=_BY),
        address=address,
    )
    consents.record(connection, event)


def _address(somebody: Somebody, channel: ChannelName, number: int) -> StoredAddress:
    """The address the test wrote, else one that stands for it and is nobody's."""
    written = somebody.attributes.get(_WRITTEN.get(channel, ""))
    made = {
        ChannelName.EMAIL: f"customer-{number}@example.com",
        ChannelName.SMS: f"+1202555{number:04}",
    }.get(channel, f"{channel}-{number}")
    value = str(written or made)
    return StoredAddress(channel=channel, value=value, hash=KEYRING.address_hash(channel, value))


def _update(customer: str, values: Mapping[str, Scalar]) -> Update:
    columns: dict[str, Any] = {name: value for name, value in values.items() if name in customers.COLUMNS}
    columns |= {name: date.fromisoformat(columns[name]) for name in _PAUSES if columns.get(name)}
    own = {name: value for name, value in values.items() if name not in (*columns, *_WRITTEN.values())}
    return Update(customer_id=customer, columns=columns, attributes=own)
