"""Everything on record about one person, as JSON and as CSV that a spreadsheet opens safely (C38, F78)."""

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any, Final

from sqlalchemy.engine import Connection

from outbound.domain.consent import ConsentEvent
from outbound.domain.customer import ChannelName, Customer
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.message import Message, MessageState
from outbound.domain.rendered import RenderedEmail, RenderedSms
from outbound.engine.rendering import Links
from outbound.services import releases
from outbound.services.customers import find_one
from outbound.services.releases import Active
from outbound.services.rights import spreadsheet
from outbound.storage import consents, customers, operations, personal, suppressions
from outbound.storage.database import Database
from outbound.storage.people import load_people

FORMAT: Final = 1
"""The version of the layout of the export."""

LinksOf = Callable[..., Links]
"""The links of a message, as ``LinkMaker.of_message`` makes them."""

_REACHED: Final = (MessageState.SENT, MessageState.UNCERTAIN, MessageState.CLOSED_UNKNOWN)
_COLUMNS: Final[Mapping[str, Sequence[str]]] = {
    "profile": ("name", "value"),
    "consents": (
        *("at", "topic", "channel", "state", "address", "source", "wording", "wording_hash", "language", "basis"),
        *("actor", "ip", "user_agent", "proof", "jurisdiction", "recorded_at", "n", "hash"),
    ),
    "messages": (
        *("id", "created_at", "sent_at", "rule", "topic", "class", "channel", "address", "state", "reason", "language"),
        *("subject", "text", "body"),
    ),
    "events": ("at", "name", "data", "source", "received_at"),
    "changes": ("at", "attribute", "old", "new", "source"),
    "interactions": ("at", "kind", "channel", "subject", "text", "address", "source", "by"),
    "texts": ("at", "meaning", "keyword", "text", "effect", "review"),
    "deliveries": (
        *("at", "kind", "bounce", "reason", "code", "detail", "automated", "provider", "message_id", "received_at"),
    ),
    "decisions": (*("at", "rule", "once", "step", "verdict", "reason", "detail", "channel", "experiment", "variant"),),
    "segments": ("segment", "inside", "entries", "at"),
}
"""The tables of the export and their columns in CSV; JSON has the same and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """The whole record of one person. ``tables`` has rows by table, ready for JSON."""

    customer_id: str
    at: datetime
    profile: Mapping[str, Any]
    tables: Mapping[str, Sequence[Mapping[str, Any]]]

    def as_json(self) -> str:
        """One JSON document."""
        whole = {"format": FORMAT, "exported_at": self.at, "customer": self.profile, **self.tables}
        return json.dumps(_plain(whole), ensure_ascii=False, indent=2) + "\n"

    def as_csv(self) -> dict[str, str]:
        """A CSV file for the profile and each table, by file name."""
        rows = {"profile": [{"name": n, "value": _plain(v)} for n, v in self.profile.items()], **self.tables}
        return {f"{name}.csv": spreadsheet.table(columns, rows[name]) for name, columns in _COLUMNS.items()}

    def archive(self) -> bytes:
        """A ZIP of the JSON document and every CSV file. The same record gives the same bytes."""
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            for name, text in {"record.json": self.as_json(), **self.as_csv()}.items():
                stamp = self.at.astimezone(UTC).timetuple()[:6]
                packed.writestr(zipfile.ZipInfo(name, stamp), text.encode(), zipfile.ZIP_DEFLATED)
        return out.getvalue()


def export(
    database: Database, keyring: Keyring, *, who: str, links: LinksOf, by: str, via: str = "cli", now: datetime
) -> Export:
    """Read everything in one snapshot, with the bodies of messages rendered again while their context is kept.

    ``links`` makes the links the messages carried. That it was exported, by whom, is on record (C44). Raises
    OutboundError ``customer.unknown`` or ``customer.ambiguous``.
    """
    identity = find_one(database, keyring, who)
    with database.read() as connection:
        person = load_people(connection, [identity]).get(identity)
        if person is None:
            raise OutboundError("customer.unknown", "no such customer", "see `outbound customer show`")
        ids = [identity, *customers.merged_from(connection, identity)]
        hashes = [h for a in person.customer.addresses for h in keyring.address_hashes(a.channel.value, a.value)]
        profile = _profile(person.customer, ids[1:])
        profile["blocks"] = [
            {"channel": b.channel, "scope": b.scope, "reason": b.reason, "at": b.at}
            for b in suppressions.of_hashes(connection, hashes)
        ]
        tables = {
            "consents": [_consent(event, link) for event, link in consents.chained(connection, ids)],
            "messages": _messages(connection, database, ids, links),
            "events": personal.events(connection, ids),
            "changes": personal.changes(connection, ids),
            "interactions": personal.interactions(connection, ids),
            "texts": personal.texts(connection, ids),
            "deliveries": personal.deliveries(connection, ids, hashes),
            "decisions": personal.decisions(connection, ids),
            "segments": personal.segments(connection, ids),
        }
    with database.write() as connection:
        operations.record(
            connection, kind="customer.export", subject=identity, by=by, note="", now=now, details={"via": via}
        )
    return Export(customer_id=identity, at=now, profile=profile, tables=tables)


def _profile(customer: Customer, also: Sequence[str]) -> dict[str, Any]:
    preference = customer.preference
    hours, pause = preference.quiet_hours, preference.pauses[0] if preference.pauses else None
    return {
        "id": customer.id,
        "also": list(also),
        **{address.channel.value: address.value for address in customer.addresses},
        "country": customer.country,
        "preferred_channel": preference.channel,
        "language": preference.language,
        "timezone": preference.timezone,
        "quiet_hours": f"{hours.start:%H:%M}-{hours.end:%H:%M}" if hours else None,
        "pause": f"{pause.start}/{pause.end}" if pause else None,
        "frequency": "fewer" if preference.fewer else None,
        **customer.attributes,
    }


def _consent(event: ConsentEvent, link: Mapping[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in asdict(event).items() if name not in ("evidence", "customer_id", "id")}
    return {**said, "channel": event.channel or "", **asdict(event.evidence), **link}


def _messages(connection: Connection, database: Database, ids: Sequence[str], links: LinksOf) -> list[dict[str, Any]]:
    rows = []
    for sent in personal.messages(connection, ids):
        message = sent.message
        row: dict[str, Any] = {
            "id": message.id,
            "created_at": message.created_at,
            "sent_at": sent.sent_at,
            "rule": message.rule,
            "topic": message.topic,
            "class": message.message_class,
            "channel": sent.channel,
            "address": sent.address,
            "state": message.state,
            "reason": ".".join(filter(None, (message.reason, message.detail))),
            "language": message.language,
        }
        rows.append({**row, **_body(database, sent, links)})
    return rows


def _body(database: Database, sent: personal.SentMessage, links: LinksOf) -> dict[str, Any]:
    """What the message said, or why that is not known any more."""
    message = sent.message
    if message.state not in _REACHED or not sent.channel:
        return {"body": "not sent"}
    if sent.forgotten:
        return {"body": "not kept any more"}
    try:
        release = releases.by_id(database, message.release)
    except OutboundError:
        return {"body": "its release cannot be read any more"}
    return _rendered(release, message, ChannelName(sent.channel), links)


def _rendered(release: Active, message: Message, channel: ChannelName, links: LinksOf) -> dict[str, Any]:
    topic = release.ruleset.policy.topics.get(message.topic)
    if topic is None:
        return {"body": "its topic is gone"}
    rendered = release.templates.render(
        message.template,
        channel,
        language=message.language or None,
        context=message.context,
        links=links(message, channel, topic=topic),
        message_class=topic.message_class.name,
    )
    match rendered:
        case RenderedEmail(subject=subject, text=text, html=html):
            return {"subject": subject, "text": text, "html": html, "body": "rendered again"}
        case RenderedSms(text=text):
            return {"text": text, "body": "rendered again"}
        case _:
            return {"body": f"cannot be rendered: {rendered.detail}"}


def _plain(value: Any) -> Any:
    match value:
        case Enum():
            return value.value
        case datetime() | date():
            return value.isoformat()
        case Mapping():
            return {str(name): _plain(one) for name, one in value.items()}
        case list() | tuple():
            return [_plain(one) for one in value]
        case _:
            return value
