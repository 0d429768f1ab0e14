"""A rendered SMS as the payload every SMS adapter hands over."""

from outbound.domain.errors import OutboundError
from outbound.domain.rendered import EmailEnvelope, Rendered, RenderedSms


def pack(rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:  # noqa: ARG001 - a text has no envelope
    """The text as UTF-8. Raises OutboundError where it is no text."""
    if not isinstance(rendered, RenderedSms):
        raise TypeError("an SMS adapter packs a rendered SMS")
    if not rendered.text.strip() or "\0" in rendered.text:
        raise OutboundError("sms.text", "the text is empty or holds a NUL character")
    try:
        return rendered.text.encode("utf-8")
    except UnicodeEncodeError:
        raise OutboundError("sms.text", "the text holds half a character (a lone surrogate)") from None
