"""A page to look through a mailbox folder: one file, nothing fetched from anywhere, everything escaped."""

import base64
import email
import email.policy
import html
import json
import re
from collections.abc import Mapping
from email.message import EmailMessage
from pathlib import Path
from string import Template
from typing import Any
from urllib.parse import quote

from outbound.channels.mailbox.folder import About, stored, write_atomically

_VIEW = "view"
# The preview runs no script, loads nothing and is shown in a sandboxed frame on an origin of its own.
_VIEW_HEAD = (
    '<!doctype html><meta charset="utf-8"><meta name="referrer" content="no-referrer">'
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
    "style-src 'unsafe-inline'; font-src data:\">"
)
_DOCTYPE = re.compile(r"^\s*<!doctype[^>]*>", re.IGNORECASE)


def write_index(folder: Path, *, brand_name: str, assets: Mapping[str, tuple[str, bytes]] | None = None) -> Path:
    """Write ``index.html`` over every message in ``folder`` and return its path.

    ``assets`` maps the names under which brand files are served (``Templates.assets``) to their media type and
    bytes; pictures that end in such a name are shown without a request.
    """
    (folder / _VIEW).mkdir(parents=True, exist_ok=True)
    pictures = {
        name: f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
        for name, (media_type, content) in (assets or {}).items()
    }
    entries = [_entry(folder, about, path, pictures) for about, path in stored(folder)]
    listed = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    page = Template((Path(__file__).parent / "index_page.html").read_text("utf-8")).substitute(
        brand=html.escape(brand_name),
        # Inside a script element only these could end it or change how it is read.
        messages=listed.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"),
    )
    target = folder / "index.html"
    write_atomically(target, page.encode("utf-8"))
    return target


def _entry(folder: Path, about: About, path: Path, pictures: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "channel": about.channel,
        "customer": about.customer_id,
        "to": about.address,
        "time": about.time,
        "subject": about.subject,
        "file": quote(path.relative_to(folder).as_posix()),
    }
    if path.suffix == ".txt":
        return entry | {"text": path.read_text("utf-8")}
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    text, page = _body(message, "plain"), _body(message, "html")
    entry |= {
        "subject": str(message["Subject"] or about.subject),
        "from": str(message["From"] or ""),
        "text": text,
        "headers": [f"{name}: {value}" for name, value in message.items() if name.startswith(("List-", "Reply-To"))],
        "attachments": [part.get_filename() or "" for part in message.iter_attachments()],
    }
    if page:
        view = folder / _VIEW / f"{path.stem}.html"
        content = _preview(page, pictures).encode("utf-8")
        if not view.exists() or view.read_bytes() != content:
            write_atomically(view, content)
        entry["view"] = quote(view.relative_to(folder).as_posix())
    return entry


def _body(message: EmailMessage, subtype: str) -> str:
    part = message.get_body((subtype,))
    return str(part.get_content()).replace("\r\n", "\n") if part is not None else ""


def _preview(page: str, pictures: Mapping[str, str]) -> str:
    for name, picture in pictures.items():
        page = re.sub(rf"""(["'(])[^"'()\s]*/{re.escape(name)}(?=["')])""", rf"\g<1>{picture}", page)
    return _VIEW_HEAD + _DOCTYPE.sub("", page, count=1)
