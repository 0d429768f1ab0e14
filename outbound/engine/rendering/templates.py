"""Compiled templates: rendering one message takes a dictionary and gives text."""

import re
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import jinja2
from jinja2.runtime import Context

from outbound.domain.customer import ChannelName
from outbound.domain.policy import Policy
from outbound.domain.rendered import Attachment, Rendered, RenderedEmail, RenderedSms, RenderStop
from outbound.engine.rendering.destinations import destination, led_through, link_id, with_pixel
from outbound.engine.rendering.formats import Stop
from outbound.engine.rendering.segmenting import count
from outbound.engine.rendering.values import Unfit, flat, plain

MAX_OUTPUT: Final = 512 * 1024
"""Characters of one rendered part. Mail programs cut long before that; loops stop here (fault K5)."""
MAX_SUBJECT: Final = 250

_BLANK_LINES: Final = re.compile(r"\n{3,}")
_CONTROL: Final = re.compile("[\\x00-\\x1f\\x7f\\x85\\u2028\\u2029]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    """Addresses that belong to one message. Empty: this message carries no such link.

    ``assets`` is the folder of brand assets, with its trailing slash. ``code`` is what readers check the message by
    at the page ``verify``. ``click`` leads an address through us and ``opened`` is a picture, where that may be noted.
    """

    unsubscribe: str
    preferences: str
    assets: str
    verify: str = ""
    code: str = ""
    click: Callable[[str], str] | None = None
    opened: str = ""

    def values(self) -> dict[str, str]:
        """The names templates know them by; a link that the message does not carry is not defined."""
        found = {"assets_url": self.assets}
        if self.unsubscribe:
            found["unsubscribe_url"] = self.unsubscribe
        if self.preferences:
            found["preferences_url"] = self.preferences
        if self.verify:
            found |= {"verify_url": self.verify, "verify_code": self.code}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """How the brand's web pages look: the asset name of its logo, its colour (``#1E5A4B``); "" for what it lacks."""

    logo: str = ""
    color: str = ""


class Compiled:
    """One compiled text. ``loops``: its length depends on the context, so it is watched while it grows."""

    __slots__ = ("_loops", "template")

    def __init__(self, template: jinja2.Template, *, loops: bool) -> None:
        self.template = template
        self._loops = loops

    def context(self, values: dict[str, Any]) -> Context:
        """What this text, and every other one of the same environment, is made from; it sees later ``values`` too."""
        return self.template.new_context(values, shared=True)

    def pieces(self, context: Context) -> list[str]:
        """The text as the template's own pieces and the values between them. Raises Stop or jinja2.UndefinedError."""
        chunks = self.template.root_render_func(context)
        if not self._loops:
            return list(chunks)
        written: list[str] = []
        length = 0
        for chunk in chunks:
            length += len(chunk)
            if length > MAX_OUTPUT:
                raise Stop(f"longer than {MAX_OUTPUT:,} characters")
            written.append(chunk)
        return written

    def render(self, context: Context) -> str:
        """The text. Raises Stop or jinja2.UndefinedError."""
        return "".join(self.pieces(context))


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailParts:
    """The compiled parts of a mail in one language."""

    subject: Compiled
    preheader: Compiled
    html: Compiled
    text: Compiled
    attachments: tuple[Attachment, ...] = ()
    links: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsParts:
    """The compiled text message in one language."""

    text: Compiled


Parts = EmailParts | SmsParts


class Templates:
    """Every template of one release. Immutable: rendering the same values gives the same text, in any thread.

    ``sample_parts``: the SMS segments of each template's sample in the language that needs most of them, as the
    compiler found. What a message will cost is reckoned with it before its text is known. ``look``: of the pages.
    """

    def __init__(
        self,
        *,
        policy: Policy,
        parts: Mapping[tuple[str, ChannelName, str], Parts],
        declared: Mapping[str, Mapping[str, frozenset[str]]],
        assets: Mapping[str, tuple[str, bytes]],
    ) -> None:
        self._policy = policy
        self._parts = parts
        self._declared = declared
        self._assets = assets
        sms = policy.channels.get(ChannelName.SMS)
        self._max_parts = sms.max_parts if sms else None
        self.sample_parts: Mapping[str, int] = {}
        self.look = Look()
        self._destinations = {
            link_id(address): address
            for one in parts.values()
            if isinstance(one, EmailParts)
            for address in map(destination, one.links)
        }
        self._channels: dict[str, frozenset[ChannelName]] = {
            name: frozenset(channel for known, channel, _ in parts if known == name) for name in declared
        }

    @property
    def names(self) -> frozenset[str]:
        """Every template."""
        return frozenset(self._declared)

    def channels(self, name: str) -> frozenset[ChannelName]:
        """The channels a template has a body for; empty for an unknown template."""
        return self._channels.get(name, frozenset())

    def of_any_length(self) -> "Templates":
        """The same, for texts that the policy finds too long: to look at what makes them so."""
        same = copy(self)
        same._max_parts = None  # noqa: SLF001 - our own copy
        return same

    def has(self, name: str, channel: ChannelName) -> bool:
        """Whether ``name`` can be rendered for ``channel``."""
        return channel in self.channels(name)

    def declared(self, name: str) -> Mapping[str, frozenset[str]]:
        """The names a template may read, by root (``customer``, ``event``, ``script``)."""
        return self._declared.get(name, {})

    def assets(self) -> Mapping[str, tuple[str, bytes]]:
        """Media type and bytes of each brand asset, by its content-addressed name."""
        return self._assets

    def destination(self, link: bytes) -> str | None:
        """The address that a link of a mail names (``destinations.link_id``), None for what no template says."""
        return self._destinations.get(link)

    def language(self, name: str, channel: ChannelName, wanted: str | None) -> str:
        """The language a message goes out in: the customer's (``it-CH`` reads ``it``), else the fallback."""
        primary = _primary(wanted) if wanted else ""
        return primary if (name, channel, primary) in self._parts else self._policy.brand.fallback

    def snapshot(self, name: str, values: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]] | RenderStop:
        """What the message row keeps: the declared names only, as plain JSON. What is missing stays missing.

        Whether a missing value stops the message is decided when it is rendered, by the template's own ``default``.
        """
        if name not in self._declared:
            return RenderStop(detail=f"there is no template {name}")
        kept: dict[str, dict[str, Any]] = {}
        try:
            for root, names in self._declared[name].items():
                given = values.get(root) or {}
                kept[root] = {
                    key: plain(given[key], f"{root}.{key}") for key in sorted(names) if given.get(key) is not None
                }
        except Unfit as unfit:
            return RenderStop(detail=str(unfit))
        return kept

    def render(
        self,
        name: str,
        channel: ChannelName,
        *,
        language: str | None,
        context: Mapping[str, Mapping[str, Any]],
        links: Links,
        message_class: str,
    ) -> Rendered | RenderStop:
        """One message, or the reason why this one cannot be rendered (``customer.first_name missing``)."""
        chosen = self.language(name, channel, language)
        parts = self._parts.get((name, channel, chosen))
        if parts is None:
            return RenderStop(detail=f"template {name} has no {channel}")
        known = self._policy.classes.get(message_class)
        if known is None:
            return RenderStop(detail=f"there is no class {message_class}")
        required = known.unsubscribe_required
        if required and not links.unsubscribe:
            return RenderStop(detail="no unsubscribe link")
        try:
            values = flat(context)
            values["marketing"] = required
            values["message_class"] = message_class
            values.update(links.values())
            if isinstance(parts, EmailParts):
                return _with_links(self._email(parts, values, chosen, message_class), parts, links)
            return self._sms(parts, values, chosen)
        except (Unfit, Stop) as stop:
            return RenderStop(detail=str(stop))
        except jinja2.UndefinedError as missing:
            return RenderStop(detail=missing.message or "a value missing")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # a filter met a value of a kind it cannot show; the value itself stays out of the reason
            return RenderStop(detail=f"a value does not fit the template ({type(error).__name__})")

    def _email(
        self, parts: EmailParts, values: dict[str, Any], language: str, message_class: str
    ) -> RenderedEmail | RenderStop:
        plain_text = parts.subject.context(values)
        subject = parts.subject.render(plain_text)
        if _CONTROL.search(subject) or len(subject) > MAX_SUBJECT:
            return RenderStop(detail=f"the subject is not one line of at most {MAX_SUBJECT} characters")
        if not subject.strip():
            return RenderStop(detail="the subject is empty")
        values["subject"] = subject
        values["preheader"] = parts.preheader.render(plain_text)
        html_pieces, text_pieces = parts.html.pieces(parts.html.context(values)), parts.text.pieces(plain_text)
        html, text = "".join(html_pieces), "".join(text_pieces)
        if "\n\n\n" in text:
            text, text_pieces = _BLANK_LINES.sub("\n\n", text), []
        if len(html) > MAX_OUTPUT or len(text) > MAX_OUTPUT:
            return RenderStop(detail=f"longer than {MAX_OUTPUT:,} characters")
        brand = self._policy.brand
        sender = brand.senders.get(message_class)
        if sender is None:
            return RenderStop(detail=f"the brand has no sender for class {message_class}")
        return RenderedEmail(
            subject=subject,
            html=html,
            text=text,
            sender=sender,
            reply_to=brand.reply_to,
            language=language,
            attachments=parts.attachments,
            html_pieces=tuple(html_pieces),
            text_pieces=tuple(text_pieces),
        )

    def _sms(self, parts: SmsParts, values: dict[str, Any], language: str) -> RenderedSms | RenderStop:
        text = _BLANK_LINES.sub("\n\n", parts.text.render(parts.text.context(values))).strip()
        if len(text) > MAX_OUTPUT:
            return RenderStop(detail=f"longer than {MAX_OUTPUT:,} characters")
        counted = count(text)
        if self._max_parts is not None and counted.segments > self._max_parts:
            return RenderStop(detail=f"{counted.segments} SMS parts, at most {self._max_parts} allowed")
        return RenderedSms(text=text, segments=counted.segments, encoding=counted.encoding, language=language)


@lru_cache(maxsize=256)
def _primary(language: str) -> str:
    return re.split("[-_]", language, maxsplit=1)[0].lower()


def _with_links(rendered: RenderedEmail | RenderStop, parts: EmailParts, links: Links) -> RenderedEmail | RenderStop:
    """The mail with what is noted of its reader. Its text part, and its links without that, lead straight there."""
    if isinstance(rendered, RenderStop) or (links.click is None and not links.opened):
        return rendered
    html = rendered.html
    if links.click is not None:
        html = led_through(html, parts.links, links.click)
    return replace(rendered, html=with_pixel(html, links.opened) if links.opened else html, html_pieces=())
