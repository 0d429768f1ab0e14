"""Delivery status notifications (RFC 3464), and bounces that only say so in words."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import compat32

from outbound.channels.mail_in.bounce_kinds import bounce_kind, says_why
from outbound.channels.mail_in.mail import Mail, clean, content, html_text
from outbound.domain.delivery import BounceKind, DeliveryKind

_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_REPLY = re.compile(r"(?<![\d.])([245]\d\d)(?=[\s\-:#;]|$)")
_RETURNED = re.compile(
    r"^\W*(returned message|copy of (the|your) message|original message|this is a copy of the message|"
    r"below this line is a copy|message header|the following is a copy)|^(received|return-path): ",
    re.IGNORECASE | re.MULTILINE,
)
_ACTIONS = {
    "failed": DeliveryKind.BOUNCED,
    "failure": DeliveryKind.BOUNCED,
    "delayed": DeliveryKind.DEFERRED,
    "delivered": DeliveryKind.DELIVERED,
    "relayed": DeliveryKind.SENT,
    "expanded": DeliveryKind.DELIVERED,
}
_ADDRESS = re.compile(r"[^\s<>\"'(),:;]+@[^\s<>\"'(),:;]+\.[^\s<>\"'(),:;]+")
_MACHINE = re.compile(r".*(mailer-daemon|postmaster|mail delivery|<\s*>)", re.IGNORECASE)
_FAILED = re.compile(
    r"undeliver|not delivered|returned mail|fail(ed|ure)|delivery (status|report|problem|error)|delay|rejected|"
    r"could not (be )?(send|deliver)|mail system error",
    re.IGNORECASE,
)
_WAITS = re.compile(r"delayed|still being (re)?tried|warning only|will be retried", re.IGNORECASE)
_WINDOW = 600
"""Characters around an address in which a bounce without a report says what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one recipient. ``bounce`` is set for ``bounced`` alone."""

    kind: DeliveryKind
    recipient: str
    status: str = ""
    text: str = ""
    bounce: BounceKind | None = None


def reports(mail: Mail) -> tuple[Report, ...]:
    """What a bounce says of each recipient: by its report, else by its words. Empty: it is no bounce."""
    said = _said(mail)
    found = [report for part in mail.parts() if _is_status(part) for report in _recipients(part, said)]
    return tuple(found) or tuple(_by_words(mail, said)) or tuple(_by_machine(mail, said))


def _is_status(part: Message) -> bool:
    return part.get_content_type() in ("message/delivery-status", "message/global-delivery-status")


def _recipients(part: Message, said: str) -> Iterator[Report]:
    """The groups of fields after the first, one for each recipient (RFC 3464 2.1). Some servers forget the first."""
    groups = _groups(part)
    for group in groups:
        action = str(group.get("Action", "")).partition("(")[0].partition(";")[0].strip().lower()
        recipient = _recipient(group)
        if not action and not recipient:
            continue
        text = clean(" ".join(f"{group.get('Diagnostic-Code', '')} {_comment(group)}".split()))
        if not re.search(r"[a-z]{3}", text.partition(";")[2], re.IGNORECASE):
            text = f"{text} {' '.join(_beside(said, recipient).split())}".strip()[:300]
        written = _STATUS.search(str(group.get("Status", "")))
        whole = written is not None and bool(group.get("Final-Recipient"))
        kind = _ACTIONS.get(action, DeliveryKind.BOUNCED if written and written[1][0] == "5" else DeliveryKind.UNKNOWN)
        status = _telling(written[1] if written else "", text)
        if kind is DeliveryKind.BOUNCED and status.startswith("2."):
            kind = DeliveryKind.DELIVERED  # says failed, and that it arrived
        yield Report(
            kind=kind,
            recipient=recipient,
            status=status,
            text=text,
            bounce=_bounce(status, text, whole=whole) if kind is DeliveryKind.BOUNCED else None,
        )


def _bounce(status: str, text: str, *, whole: bool) -> BounceKind:
    """A report without the fields it must have (RFC 3464 2.3) may be anything: it blames no address."""
    kind = bounce_kind(status=status, text=text, code=_code(text))
    return BounceKind.POLICY if kind is BounceKind.HARD and not whole else kind


def _groups(part: Message) -> list[Message]:
    payload = part.get_payload()
    if isinstance(payload, list):
        return [group for group in payload if isinstance(group, Message)]
    raw = part.get_payload(decode=True)  # encoded as base64, or broken
    text = raw if isinstance(raw, bytes) else b""
    return [message_from_bytes(block, policy=compat32) for block in re.split(rb"\r?\n\r?\n", text) if block.strip()]


def _telling(status: str, text: str) -> str:
    """The status that says the most: the server's own words over a general ``x.0.0`` of the reporting one."""
    in_words = _STATUS.search(text)
    if in_words and in_words[1][0] != "2" and (not status or status.endswith(".0.0") or status[0] == in_words[1][0]):
        return in_words[1]
    return status


def _code(text: str) -> int | None:
    found = _REPLY.search(text)
    return int(found[1]) if found and found[1][0] in "45" else None


def _comment(group: Message) -> str:
    """What stands in brackets behind a status: ``5.0.0 (recipient reached disk quota)``."""
    found = re.search(r"\(([^)]*)\)", str(group.get("Status", "")))
    return found[1] if found else ""


def _recipient(group: Message) -> str:
    """The address we wrote to; the one that was tried at last where the report names no other."""
    fields = (str(group.get(name, "")) for name in ("Original-Recipient", "Final-Recipient"))
    return next((found for field in fields if "@" in (found := _address(field))), "")


def _address(field: str) -> str:
    """``rfc822; ada@shop.example`` is ``ada@shop.example``; some write brackets, some no type."""
    bare = re.sub(r"\s*\([^)]*\)\s*$", "", field.rpartition(";")[2].strip())
    return clean(bare.strip().strip("<>").strip())[:320]


def _by_words(mail: Mail, said: str) -> Iterator[Report]:
    """By what flufl.bounce knows of the wordings of servers: it finds the addresses, we look why beside them."""
    from flufl.bounce import all_failures  # noqa: PLC0415 - loads fifty detectors, and most mail needs none

    try:
        temporary, permanent = all_failures(mail.parsed)
    except Exception:  # noqa: BLE001 - its detectors meet what strangers write
        return
    for raw in sorted(temporary | permanent):
        recipient = clean(raw.decode("utf-8", "replace"))
        yield _failure(recipient, _beside(said, recipient), final=raw in permanent)


def _by_machine(mail: Mail, said: str) -> Iterator[Report]:
    """A bounce nobody knows the wording of: from a machine that says so in its subject."""
    if not _FAILED.search(mail.header("Subject")):
        return
    if not any(_MACHINE.match(value) for value in [*mail.headers("From"), *mail.headers("Return-Path")]):
        return
    named = _ADDRESS.search(mail.header("X-Failed-Recipients") or said)
    recipient = clean(named[0]) if named else ""
    yield _failure(recipient, said[: 2 * _WINDOW], final=not _WAITS.search(f"{mail.header('Subject')} {said}"))


def _failure(recipient: str, words: str, *, final: bool) -> Report:
    """What is said in words about one recipient. Temporary by the words of those who know, or by its status."""
    text = " ".join(words.split())[:300]
    status = _telling("", words)
    if not final:
        return Report(kind=DeliveryKind.DEFERRED, recipient=recipient, status=status, text=text)
    kind = bounce_kind(status=status, text=words, code=_code(words))
    return Report(kind=DeliveryKind.BOUNCED, recipient=recipient, status=status, text=text, bounce=kind)


def _said(mail: Mail) -> str:
    """The words of the bounce without the mail it returns."""
    texts = []
    for part in mail.parts():
        if part.get_content_type() in ("message/rfc822", "text/rfc822-headers"):
            break
        if part.get_content_maintype() == "text":
            texts.append(html_text(content(part)) if part.get_content_subtype() == "html" else content(part))
    whole = "\n".join(texts)
    returned = _RETURNED.search(whole, pos=min(len(whole), 40))
    return whole[: returned.start()] if returned else whole


def _beside(said: str, recipient: str) -> str:
    """What is said after an address, up to the next one; before it where nothing is."""
    place = said.casefold().find(recipient.casefold()) if recipient else -1
    if place < 0:
        return said[: 2 * _WINDOW]
    after = said[place + len(recipient) : place + len(recipient) + _WINDOW].replace(recipient, " ")
    other = _ADDRESS.search(after)
    after = after[: other.start()] if other else after
    return after if says_why(after) or _STATUS.search(after) else said[max(0, place - _WINDOW) : place] + after
