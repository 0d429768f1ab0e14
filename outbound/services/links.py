"""Links that act for one customer: signed, bound to one purpose, and never a redirect."""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime

from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.domain.message import Message
from outbound.domain.policy import Topic
from outbound.domain.verification import code_of, written
from outbound.engine.rendering import Links
from outbound.engine.rendering.destinations import link_id

_SEPARATOR = "\x1f"
_ID_BYTES = 16
_TIME_BYTES = 6
_SIGNATURE_BYTES = 16
"""128 bits, the least that ASVS 5.0 11.5.1 accepts for an unguessable reference."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageLink:
    """What a token stands for: the customer, and the message that carried it.

    ``message_id`` is a UUIDv7; of a link that no message carried it is the id of the request it answers.
    """

    customer_id: str
    topic: str
    channel: str
    message_id: str

    @property
    def made_at(self) -> datetime:
        """When the message was planned, to the millisecond: the beginning of its id (RFC 9562 section 5.7)."""
        return datetime.fromtimestamp(int(self.message_id[: 2 * _TIME_BYTES], 16) / 1000, UTC)


@dataclass(frozen=True, slots=True)
class LinkMaker:
    """Makes and reads links under the installation's public URL.

    A token is the key id and, in URL-safe base64, payload and signature: short, because texts carry it too.
    The HMAC covers the purpose, the key id and the payload, so that a token of one purpose, customer, channel,
    topic or message never opens another. No token says when it ends: an unsubscribe link never does (CAN-SPAM asks
    for 30 days), and of a preferences link its page decides (``MessageLink.made_at``).
    """

    keyring: Keyring
    public_url: str

    def of_message(self, message: Message, channel: ChannelName, *, topic: Topic) -> Links:
        """The links one message carries; the same arguments always have the same ones.

        Who can say no to the topic gets the link to do so; a receipt or a parcel notice has none. Every mail can be
        checked by its code, a text message where the topic says so.
        """
        own = {
            "customer_id": message.customer_id,
            "topic": message.topic,
            "channel": channel.value,
            "message_id": message.id,
        }
        noted = (message.tracked or "").split() if channel is ChannelName.EMAIL else []
        checked = topic.verify or channel is ChannelName.EMAIL
        code = written(code_of(message.id)) if checked else ""
        return Links(
            unsubscribe=self.unsubscribe(**own) if topic.declinable else "",
            preferences=self.preferences(**own),
            assets=self.assets(),
            verify=self.verify(code) if checked else "",
            code=code,
            click=(lambda address: self.click(message.id, address)) if "clicks" in noted else None,
            opened=self.opened(message.id) if "opens" in noted else "",
        )

    def unsubscribe(self, *, customer_id: str, topic: str, channel: str, message_id: str) -> str:
        """The page (GET) and one-click address (POST, RFC 8058) that ends ``topic`` for the customer."""
        link = MessageLink(customer_id=customer_id, topic=topic, channel=channel, message_id=message_id)
        return self._url("u", self._token("unsubscribe", _packed(link)))

    def preferences(self, *, customer_id: str, topic: str, channel: str, message_id: str) -> str:
        """The preference centre of the customer."""
        link = MessageLink(customer_id=customer_id, topic=topic, channel=channel, message_id=message_id)
        return self._url("p", self._token("preferences", _packed(link)))

    def click(self, message_id: str, address: str) -> str:
        """The link that leads through us to an address of the message's template."""
        return self._url("l", self._token("click", bytes.fromhex(message_id) + link_id(address)))

    def read_click(self, token: str) -> tuple[str, bytes] | None:
        """Message and destination's id, or None when it is not one of ours."""
        payload = self._read("click", token)
        return (payload[:_ID_BYTES].hex(), payload[_ID_BYTES:]) if payload else None

    def opened(self, message_id: str) -> str:
        """The picture whose request tells that the message was opened."""
        return self._url("o", self._token("open", bytes.fromhex(message_id)))

    def read_open(self, token: str) -> str | None:
        """The message, or None when it is not one of ours."""
        payload = self._read("open", token)
        return payload.hex() if payload else None

    def verify(self, code: str) -> str:
        """The page that says whether the message with this code is ours."""
        return self._url("v", code)

    def assets(self) -> str:
        """Where brand assets are served, with a trailing slash."""
        return self._url("assets", "")

    def read_unsubscribe(self, token: str) -> MessageLink | None:
        """What the token stands for, or None when it is not one of ours."""
        return _unpacked(self._read("unsubscribe", token))

    def read_preferences(self, token: str) -> MessageLink | None:
        """What the token stands for, or None when it is not one of ours."""
        return _unpacked(self._read("preferences", token))

    def _url(self, page: str, token: str) -> str:
        return f"{self.public_url.rstrip('/')}/{page}/{token}"

    def signed_address(self, folder: str, purpose: str, payload: bytes) -> str:
        """The page under ``folder`` for a token that stands for ``payload`` and opens ``purpose`` alone."""
        return f"{self.public_url.rstrip('/')}/{folder}/{self._token(purpose, payload)}"

    def read_signed(self, purpose: str, token: str) -> bytes | None:
        """The payload of a token of ``signed_address``; None for any other, also for one of another purpose."""
        return self._read(purpose, token)

    def _token(self, purpose: str, payload: bytes) -> str:
        key_id = self.keyring.keys[0][0]
        _, signature = self.keyring.sign(f"{purpose}|{key_id}", payload)
        return f"{key_id}.{_encode(payload + signature[:_SIGNATURE_BYTES])}"

    def _read(self, purpose: str, token: str) -> bytes | None:
        key_id, _, text = token.partition(".")
        try:
            raw = _decode(text)
        except (ValueError, binascii.Error):
            return None
        payload, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        if _encode(raw) != text:
            return None  # one token, one spelling: base64 would let spare bits vary
        return payload if self.keyring.verify(f"{purpose}|{key_id}", payload, key_id, signature) else None


def _packed(link: MessageLink) -> bytes:
    return bytes.fromhex(link.message_id) + _SEPARATOR.join((link.customer_id, link.topic, link.channel)).encode()


def _unpacked(payload: bytes | None) -> MessageLink | None:
    if payload is None:
        return None
    customer_id, topic, channel = payload[_ID_BYTES:].decode().split(_SEPARATOR)
    return MessageLink(customer_id=customer_id, topic=topic, channel=channel, message_id=payload[:_ID_BYTES].hex())


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
