"""What another system tells of a person's will: refused without proof, without the person, or ahead of its time."""

from collections.abc import Sequence
from datetime import datetime

from outbound.domain.consent import Evidence, Suppression
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.person import ConsentEntry
from outbound.services import preferences
from outbound.services.imports.contacts import read_email, read_phone
from outbound.services.imports.values import Invalid
from outbound.storage import people, suppressions
from outbound.storage.database import Database


def standing(database: Database, customer_id: str) -> tuple[str, Sequence[tuple[tuple[str, str], ConsentEntry]]]:
    """The customer's id, and what they say now by (topic, channel or ""). Raises ``customer.unknown``."""
    with database.read() as connection:
        identity = preferences.require(connection, customer_id)
        person = people.load_people(connection, [identity])[identity]
    return identity, sorted(person.consents.items(), key=lambda item: item[0])


def say(
    database: Database,
    *,
    customer_id: str,
    topic: str,
    channel: ChannelName | None,
    granted: bool,
    evidence: Evidence,
    at: datetime | None,
    now: datetime,
) -> tuple[str, bool]:
    """Record a word of a customer; answers their id, and False where it stood already.

    Raises OutboundError ``customer.unknown``, ``consent.evidence`` and ``consent.at``.
    """
    if granted and not evidence.wording.strip():
        message = "a consent needs the words that were shown"
        raise OutboundError("consent.evidence", message, "send the exact text as evidence.wording")
    if at is not None and at > now:
        raise OutboundError("consent.at", "nobody can have said it in the future", "give the time they said it")
    with database.read() as connection:
        identity = preferences.require(connection, customer_id)
    speak = preferences.grant if granted else preferences.withdraw
    new = speak(database, customer_id=identity, topic=topic, channel=channel, evidence=evidence, at=at, now=now)
    return identity, new


def block(
    database: Database, keyring: Keyring, *, channel: ChannelName, address: str, scope: str, reason: str, now: datetime
) -> bool:
    """Block an address; False where it stood already. Raises OutboundError ``suppression.address``."""
    normal = _normal(channel, address)
    return preferences.suppress(database, keyring, channel=channel, address=normal, scope=scope, reason=reason, now=now)


def blocks(database: Database, keyring: Keyring, *, channel: ChannelName, address: str) -> tuple[Suppression, ...]:
    """The blocks on an address, each scope once, oldest first. Raises OutboundError ``suppression.address``."""
    hashes = keyring.address_hashes(channel.value, _normal(channel, address))
    with database.read() as connection:
        found = suppressions.of_hashes(connection, hashes)
    return tuple({one.scope: one for one in reversed(found) if one.channel is channel}.values())[::-1]


def _normal(channel: ChannelName, address: str) -> str:
    """The address as customers have it."""
    try:
        return read_email(address.strip()) if channel is ChannelName.EMAIL else read_phone(address.strip(), None)[0]
    except Invalid as error:
        raise OutboundError("suppression.address", f"no address: {error}", "an e-mail address, or +39...") from None
