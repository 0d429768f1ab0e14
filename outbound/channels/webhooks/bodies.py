"""Bodies of webhooks, read within bounds: JSON, and forms in both of their encodings (fault F64)."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from outbound.channels.mail_in.mail import Mail
from outbound.channels.webhooks.base import MalformedError, Request

_FIELDS = 500
_CHARSET = re.compile(r'charset="?([\w.:-]+)', re.IGNORECASE)


def json_body(request: Request) -> Any:
    """The body as JSON (RFC 8259: UTF-8). Raises MalformedError, also for nesting beyond any provider's."""
    if "json" not in request.read:
        charset = _CHARSET.search(request.headers.get("content-type", ""))
        if charset and charset[1].lower() not in ("utf-8", "utf8", "us-ascii"):
            raise MalformedError("the charset is not UTF-8")
        request.read["json"] = json_text(request.body.removeprefix(b"\xef\xbb\xbf"))
    return request.read["json"]


def json_text(text: bytes | str) -> Any:
    """A JSON document. Raises MalformedError."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"not JSON: {type(error).__name__}") from None


def json_object(value: Any) -> dict[str, Any]:
    """``value`` where it is a JSON object, else an empty one: news of a shape we do not know says nothing."""
    return value if isinstance(value, dict) else {}


def text_of(value: Any) -> str:
    """A text or number as text, "" for anything else. NUL and half characters go: no database keeps them."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    return str(value).replace("\0", "").encode("utf-8", "replace").decode()


def _no_constant(name: str) -> Any:
    raise ValueError(name)


Form = Mapping[str, tuple[bytes, ...]]
"""Every value of each field, in order, as bytes."""


def form_body(request: Request) -> Form:
    """The fields of a form, urlencoded or multipart; files are left out. Raises MalformedError."""
    if request.content_type == "multipart/form-data":
        return _multipart(request)
    if request.content_type != "application/x-www-form-urlencoded":
        raise MalformedError("not a form")
    try:
        pairs = parse_qsl(
            request.body.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=_FIELDS
        )
    except ValueError:
        raise MalformedError("more fields than any provider sends") from None
    return _grouped([(name, value.encode("latin-1")) for name, value in pairs])


def _multipart(request: Request) -> Form:
    """By the standard library's mail parser: it is lenient, and takes bytes of any charset."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode("latin-1", "replace")
    parsed = BytesParser(policy=HTTP).parsebytes(head + request.body)
    parts = parsed.get_payload()
    if not isinstance(parts, list) or len(parts) > _FIELDS:
        raise MalformedError("not multipart, or more parts than any provider sends")
    fields = []
    for part in parts:
        if not isinstance(part, Message):
            continue
        disposition = str(part.get("content-disposition", ""))
        name = re.search(r'[;\s]name="([^"]*)"', disposition)
        if name is None or re.search(r"[;\s]filename\*?=", disposition):
            continue
        value = part.get_payload(decode=True)
        if isinstance(value, bytes):
            fields.append((name[1], value))
    return _grouped(fields)


def enclosed_text(request: Request) -> str:
    """The text of the first mail that came as a file of the form: somebody passed it on without a word of their own."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode("latin-1", "replace")
    return Mail.read(head + request.body).enclosed_text()


def _grouped(pairs: list[tuple[str, bytes]]) -> Form:
    found: dict[str, tuple[bytes, ...]] = {}
    for name, value in pairs:
        found[name] = (*found.get(name, ()), value)
    return found


def first(form: Form, *names: str) -> str:
    """The first value of the first of ``names`` that is there, as text."""
    return next((decoded(form[name][0]) for name in names if form.get(name)), "")


def last(form: Form, name: str) -> str:
    """The last value of a field, as text."""
    return decoded(form[name][-1]) if form.get(name) else ""


def decoded(value: bytes, charset: str = "utf-8") -> str:
    """Bytes as text; what is not of that charset, or a charset nobody knows, becomes U+FFFD."""
    try:
        text = value.decode(charset, "replace")
    except LookupError:
        text = value.decode("utf-8", "replace")
    return text.replace("\0", "")


def instant(seconds: Any) -> datetime | None:
    """Seconds since 1970, as number or text, in UTC; None where it is none."""
    try:
        return datetime.fromtimestamp(float(seconds), tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def iso_instant(text: Any) -> datetime | None:
    """An ISO 8601 time with its offset, in UTC; digits of a second beyond the sixth are dropped."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
