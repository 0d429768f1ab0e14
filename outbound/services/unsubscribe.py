"""What an unsubscribe link shows and does: the newest wish of the customer, on the ledger, at once."""

from dataclasses import dataclass
from datetime import datetime

from outbound.domain.consent import ConsentState, Evidence
from outbound.domain.person import Person
from outbound.services.links import LinkMaker, MessageLink
from outbound.services.preferences import withdraw
from outbound.services.releases import Active
from outbound.storage import people
from outbound.storage.database import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What the page needs to ask the question: the topic in the reader's language.

    ``withdrawn``: there is nothing left to ask, the topic is off on the link's channel already.
    """

    link: MessageLink
    language: str
    topic_title: str
    withdrawn: bool = False


def offer(
    database: Database, active: Active, links: LinkMaker, token: str, *, chosen: str = "", languages: list[str]
) -> Offer | None:
    """What ``token`` offers, or None when it is not ours. Reads only.

    ``chosen`` is the language picked on the page; ``languages`` are the reader's (Accept-Language), used when the
    customer has not stated one.
    """
    link = links.read_unsubscribe(token)
    if link is None:
        return None
    with database.read() as connection:
        person = people.load_people(connection, [link.customer_id]).get(link.customer_id)
    stated = person.customer.preference.language if person else None
    language = choose_language(active, [chosen] if chosen else [stated] if stated else languages)
    topic = active.ruleset.policy.topics.get(link.topic)
    title = topic.titles.get(language, link.topic) if topic else link.topic
    return Offer(
        link=link,
        language=language,
        topic_title=title,
        withdrawn=person is not None and _withdrawn(person, link),
    )


def _withdrawn(person: Person, link: MessageLink) -> bool:
    entry = person.consents.get((link.topic, link.channel)) or person.consents.get((link.topic, ""))
    return entry is not None and entry.state is ConsentState.WITHDRAWN


def choose_language(active: Active, wanted: list[str]) -> str:
    """The first wanted language the brand speaks (``it-CH`` is ``it``), else the brand's fallback."""
    brand = active.ruleset.policy.brand
    for tag in wanted:
        base = tag.split("-")[0].lower()
        if base in brand.languages:
            return base
    return brand.fallback


def unsubscribe(database: Database, offered: Offer, *, ip: str, user_agent: str, now: datetime) -> None:
    """Withdraw the topic on every channel before the answer goes out. Repeating it changes nothing.

    The person takes back a consent as easily as it was given (GDPR art. 7(3), RFC 8058 section 3.2).
    """
    evidence = Evidence(
        source=f"unsubscribe link of message {offered.link.message_id}",
        wording=offered.topic_title,
        language=offered.language,
        actor="customer",
        ip=ip,
        user_agent=user_agent[:200],
    )
    withdraw(
        database,
        customer_id=offered.link.customer_id,
        topic=offered.link.topic,
        channel=None,
        evidence=evidence,
        now=now,
    )
