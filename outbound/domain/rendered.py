"""A message after rendering, before a channel turns it into bytes on a wire."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file sent with an e-mail. ``media_type`` like ``application/pdf``."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedEmail:
    """Subject, bodies and the identity of the sender (``sender`` as ``Name <address>``).

    ``html_pieces`` and ``text_pieces`` are the template's own and the values between them; () where that is not known.
    """

    subject: str
    html: str
    text: str
    sender: str
    reply_to: str
    language: str
    attachments: tuple[Attachment, ...] = ()
    html_pieces: tuple[str, ...] = ()
    text_pieces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderedSms:
    """The text and what it costs: ``segments`` as the network counts them (GSM 03.38), in ``encoding``."""

    text: str
    segments: int
    encoding: str
    language: str


Rendered = RenderedEmail | RenderedSms


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderStop:
    """This one message cannot be rendered; ``detail`` says why (``customer.first_name missing``)."""

    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailEnvelope:
    """What an e-mail needs besides its content: fixed at the first render so that the bytes repeat.

    ``unsubscribe_url`` None means the mail carries no List-Unsubscribe headers (RFC 8058 wants them on
    marketing mail only). ``list_id`` names the topic (RFC 2919); None for one that nobody can decline.
    """

    to: str
    message_id: str
    date: datetime
    unsubscribe_url: str | None = None
    list_id: str | None = None
    auto_submitted: bool = True
