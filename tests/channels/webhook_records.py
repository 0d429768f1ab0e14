"""The recorded webhooks, and our normalised news in the words they were recorded in."""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outbound.channels.webhooks.base import Request, Webhook
from outbound.channels.webhooks.mailgun import MailgunWebhook
from outbound.channels.webhooks.postmark import PostmarkWebhook
from outbound.channels.webhooks.sendgrid import SendGridWebhook
from outbound.domain.delivery import DeliveryEvent
from outbound.domain.incoming import IncomingMessage

PASSWORD = "hook:a long password"
URL = "https://shop.example/webhooks/x"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One recorded POST with what it says."""

    name: str
    provider: str
    headers: Mapping[str, str]
    body: bytes
    expected: tuple[Mapping[str, Any], ...]

    def request(self, **headers: str) -> Request:
        return Request(urls=(URL,), headers={**self.headers, **headers}, body=self.body)


def records(shared: Path) -> Iterator[Record]:
    for line in (shared / "webhooks" / "dev.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        body = base64.b64decode(row["body"]) if row["body_encoding"] == "base64" else row["body"].encode()
        headers = {name.lower().replace("_", "-"): value for name, value in row["headers"].items()}
        yield Record(
            name=f"{row['esp']}/{row['id'].rpartition('.')[2]}",
            provider=row["esp"],
            headers={**headers, "content-type": row["content_type"]},
            body=body,
            expected=tuple(row["expected"]),
        )


def basic(password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(password.encode()).decode()


def webhook(provider: str) -> Webhook:
    made: dict[str, Webhook] = {
        "mailgun": MailgunWebhook(keys=("TEST_WEBHOOK_SIGNING_KEY", "TEST_API_KEY")),
        "postmark": PostmarkWebhook(passwords=(PASSWORD,)),
        "sendgrid": SendGridWebhook(public_key="", passwords=(PASSWORD,)),
    }
    return made[provider]


def in_their_words(news: DeliveryEvent | IncomingMessage) -> dict[str, Any]:
    """What the recording calls it; absent where we have nothing."""
    if isinstance(news, IncomingMessage):
        found = {
            "kind": "inbound",
            "event_type": "inbound",
            "event_id": news.key,
            "envelope_sender": news.envelope_sender,
            "envelope_recipient": news.envelope_recipient,
            "subject": news.subject,
            "text": news.text,
            "spam_detected": news.spam,
        }
    else:
        found = {
            "kind": "tracking",
            "event_type": news.kind.value,
            "event_id": news.event_id,
            "recipient": news.recipient,
            "message_id": news.reference,
            "reject_reason": news.reason.value if news.reason else None,
            "description": news.description,
            "mta_response": news.response,
            "click_url": news.url,
            "user_agent": news.user_agent,
            "tags": list(news.tags),
            "metadata": dict(news.metadata),
        }
    if isinstance(news, DeliveryEvent) and news.at is not None:
        found["timestamp"] = news.at
    return {name: value for name, value in found.items() if value is not None and (value != "")}


def as_recorded(expected: Mapping[str, Any]) -> dict[str, Any]:
    """The recording without what it says of itself, times as instants, one tag as a list."""
    found = {name: value for name, value in expected.items() if name != "esp" and value != ""}
    if found["kind"] == "inbound":
        found.pop("timestamp", None)  # when Mailgun signed, not when the mail was written
    elif "timestamp" in found:
        found["timestamp"] = datetime.fromisoformat(found["timestamp"]).astimezone(UTC)
    if isinstance(found.get("tags"), str):
        found["tags"] = [found["tags"]]
    return found
