"""What a person wants: consent given and taken back, how to be contacted, and blocks on an address."""

from datetime import datetime

from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentEvent, ConsentState, Evidence, Suppression, missing_evidence
from outbound.domain.customer import ChannelName, Preference
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.engine.timing.zones import zone_source
from outbound.storage import consents, customers, locks, people, suppressions
from outbound.storage.database import Database


def grant(
    database: Database,
    *,
    customer_id: str,
    topic: str,
    channel: ChannelName | None,
    evidence: Evidence,
    now: datetime,
    at: datetime | None = None,
    address: str | None = None,
) -> bool:
    """Record that the person said yes to ``topic`` on ``channel`` (None: every channel), with its proof.

    ``address`` is the confirmed address of a double opt-in; ``at`` is when they acted; left out: just now,
    and then it is the newest word whatever clock dated the words before.
    Returns False when it stood already. Raises OutboundError ``consent.evidence`` for one that is not proven:
    without a source, or on the basis ``soft_spam`` without each of its conditions.
    """
    if lacks := missing_evidence(evidence, channel):
        message = f"a consent without its proof is none: {', '.join(lacks)} missing"
        raise OutboundError("consent.evidence", message, "name what proves it (docs/consent.md)")
    return _say(
        database,
        customer_id=customer_id,
        topic=topic,
        channel=channel,
        state=ConsentState.GRANTED,
        evidence=evidence,
        now=now,
        at=at,
        address=address,
    )


def withdraw(
    database: Database,
    *,
    customer_id: str,
    topic: str,
    channel: ChannelName | None,
    evidence: Evidence,
    now: datetime,
    at: datetime | None = None,
) -> bool:
    """Record that the person wants no more of ``topic`` on ``channel`` (None: every channel).

    As easy as saying yes (GDPR art. 7(3)): nothing is asked and repeating it changes nothing (returns False).
    """
    return _say(
        database,
        customer_id=customer_id,
        topic=topic,
        channel=channel,
        state=ConsentState.WITHDRAWN,
        evidence=evidence,
        now=now,
        at=at,
        address=None,
    )


def set_preferences(
    database: Database, *, customer_id: str, preference: Preference, source: str, now: datetime
) -> tuple[customers.Change, ...]:
    """Store how the person wants to be contacted, as a whole; what is None is not stated any more.

    Returns what changed. Raises OutboundError ``customer.unknown``.
    """
    hours = preference.quiet_hours
    pause = preference.pauses[0] if preference.pauses else None
    columns = {
        "preferred_channel": preference.channel.value if preference.channel else None,
        "language": preference.language,
        "timezone": preference.timezone,
        "quiet_from": hours.start.strftime("%H:%M") if hours else None,
        "quiet_to": hours.end.strftime("%H:%M") if hours else None,
        "pause_from": pause.start if pause else None,
        "pause_to": pause.end if pause else None,
        "frequency": "fewer" if preference.fewer else None,
    }
    with database.write() as connection:
        locks.customers(connection, [customer_id])
        identity = require(connection, customer_id)
        update = customers.Update(customer_id=identity, columns=columns)
        changes = customers.apply(connection, update, source=source, now=now)
        refresh_zone(connection, identity)
    return changes


def suppress(
    database: Database, keyring: Keyring, *, channel: ChannelName, address: str, scope: str, reason: str, now: datetime
) -> bool:
    """Block ``address`` for ``scope`` (``all`` or a class), under every live key. Returns False where it stood."""
    blocks = [
        Suppression(channel=channel, address_hash=digest, scope=scope, reason=reason, at=now)
        for digest in keyring.address_hashes(channel.value, address)
    ]
    with database.write() as connection:
        return suppressions.add(connection, blocks) > 0


def require(connection: Connection, customer_id: str) -> str:
    """The id this customer lives on under. Raises OutboundError ``customer.unknown``."""
    survivor = customers.survivor(connection, customer_id)
    if survivor is None:
        raise OutboundError("customer.unknown", "no such customer", "import the customer first")
    return survivor


def refresh_zone(connection: Connection, customer_id: str) -> None:
    """Work out again what the customer's send zone comes from."""
    person = people.load_people(connection, [customer_id])[customer_id].customer
    phone = person.address(ChannelName.SMS)
    source = zone_source(person.preference.timezone, person.country, phone.value if phone else None)
    if source != person.zone_source:
        customers.set_zone_source(connection, {customer_id: source})


def _say(
    database: Database,
    *,
    customer_id: str,
    topic: str,
    channel: ChannelName | None,
    state: ConsentState,
    evidence: Evidence,
    now: datetime,
    at: datetime | None,
    address: str | None,
) -> bool:
    with database.write() as connection:
        locks.customers(connection, [customer_id])
        survivor = customers.survivors(connection, [customer_id]).get(customer_id, customer_id)
        if at is None:
            # Said now: the newest word, whatever clock dated the words before it.
            at = max(now, consents.newest_word(connection, survivor, topic) or now)
        event = ConsentEvent(
            id=new_id(now),
            customer_id=survivor,
            topic=topic,
            channel=channel,
            state=state,
            at=at,
            recorded_at=now,
            evidence=evidence,
            address=address,
        )
        return consents.record(connection, event)
