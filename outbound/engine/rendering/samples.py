"""Every template is rendered once with its sample, in each language, on each channel, for each class of message."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import unescape
from typing import Final

from outbound.domain.customer import ChannelName
from outbound.domain.policy import Policy
from outbound.domain.release import Files
from outbound.domain.rendered import RenderedEmail, RenderedSms, RenderStop
from outbound.domain.source import Span
from outbound.engine.rendering.clients import Support
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.inspection import Inspection
from outbound.engine.rendering.manifest import Manifest
from outbound.engine.rendering.report import Report
from outbound.engine.rendering.segmenting import count
from outbound.engine.rendering.templates import Links, Templates
from outbound.engine.rendering.usage import Usage

TOKEN: Final = "k1." + "Q0" * 42 + "." + "Zx" * 11
"""As long as a real signed token, so that the parts of an SMS are counted as they will be."""

LINKS: Final = Links(
    unsubscribe=f"https://links.shop.example/u/{TOKEN}",
    preferences=f"https://links.shop.example/p/{TOKEN}",
    assets="https://links.shop.example/assets/",
    verify="https://links.shop.example/v/0000-0000-0000",
    code="0000-0000-0000",
)
CLIPPED_AT: Final = 102_000
"""Bytes of HTML after which Gmail hides the rest behind a link, and with it the way to unsubscribe."""


def check_samples(
    templates: Templates,
    manifests: Mapping[str, Manifest],
    policy: Policy,
    usage: Usage,
    report: Report,
    *,
    files: Files,
    support: Support | None = None,
) -> dict[str, int]:
    """Report what goes wrong when the sample of each template is rendered. Answers the SMS segments it needs."""
    parts: dict[str, int] = {}
    for name, manifest in manifests.items():
        for channel in sorted(templates.channels(name)):
            for language in policy.brand.languages:
                if templates.language(name, channel, language) != language:
                    continue
                look = Inspection(name, language, files, manifest.span, frozenset(templates.assets()), support)
                for message_class in usage.classes(name):
                    checked = channel is not ChannelName.SMS or usage.verified(name)
                    case = _Case(
                        templates, name, channel, language, message_class, checked, manifest, policy, report, look
                    )
                    parts[name] = max(parts.get(name, 1), case.check(certain=usage.is_used(name)))
    return parts


@dataclass(frozen=True, slots=True)
class _Case:
    """One template on one channel, in one language, as one class of message.

    ``checked``: its messages carry the code to check them by.
    """

    templates: Templates
    name: str
    channel: ChannelName
    language: str
    message_class: str
    checked: bool
    manifest: Manifest
    policy: Policy
    report: Report
    look: Inspection

    @property
    def where(self) -> str:
        return f"{self.name}, {self.channel} in '{self.language}'"

    def check(self, *, certain: bool) -> int:
        """Render the sample and look at the result. ``certain``: a rule really sends it as this class.

        Answers the segments of an SMS, 1 for anything else.
        """
        required = self.policy.classes[self.message_class].unsubscribe_required
        links = LINKS if required else replace(LINKS, unsubscribe="")
        links = links if self.checked else replace(links, verify="", code="")
        rendered = self.templates.render(
            self.name,
            self.channel,
            language=self.language,
            context=self.manifest.sample,
            links=links,
            message_class=self.message_class,
        )
        match rendered:
            case RenderStop(detail=detail):
                self._stopped(detail, links, certain=certain)
            case RenderedEmail():
                self._email(rendered, required=required)
            case RenderedSms():
                self._sms(rendered, required=required)
                return count(rendered.text).segments
        return 1

    def _stopped(self, detail: str, links: Links, *, certain: bool) -> None:
        place = self.manifest.span
        missing = re.fullmatch(r"(customer|event|script|change|entry)\.(\w+) missing", detail)
        if missing:
            spot = self.manifest.context.get(missing[1], {}).get(missing[2], place)
            hint = f"add {missing[1]}.{missing[2]} under sample, or a default in the template"
            self.report.error(Code.SAMPLE, spot, f"{self.where}: {detail}", hint)
        elif "SMS parts" in detail:
            if certain or not self.policy.classes[self.message_class].unsubscribe_required:
                self._too_long(detail, links)
        else:
            self.report.error(Code.RENDER, place, f"{self.where}, class {self.message_class}: {detail}")

    def _too_long(self, detail: str, links: Links) -> None:
        """A text of more parts than the policy allows, with what makes it so long."""
        whole = self.templates.of_any_length().render(
            self.name,
            self.channel,
            language=self.language,
            context=self.manifest.sample,
            links=links,
            message_class=self.message_class,
        )
        hint = "shorten the text; the policy's max_parts says how long it may be"
        odd: tuple[str, ...] = ()
        if isinstance(whole, RenderedSms) and (odd := count(whole.text).forced_by):
            hint = f"{_forced(whole.text, odd)}; or {hint}"
        message = f"{self.where}, class {self.message_class}: {detail}"
        self.report.error(Code.SMS_PARTS, self._written(odd), message, hint)

    def _written(self, odd: tuple[str, ...]) -> Span:
        """Where the text of this language is written: at the first of these characters, if it stands there."""
        names = (f"sms.{self.language}.txt", "sms.txt")
        paths = (f"templates/{self.name}/{name}" for name in names)
        path = next((path for path in paths if path in self.look.files), None)
        if path is None:
            return self.manifest.span
        text = self.look.files[path].decode("utf-8", "replace")
        at = min((at for one in odd if (at := text.find(one)) >= 0), default=0)
        return Span(path, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))

    def _email(self, rendered: RenderedEmail, *, required: bool) -> None:
        size = len(rendered.html.encode())
        if size > CLIPPED_AT:
            message = f"{self.where}: {size // 1000} kB of HTML, Gmail hides what is over 102 kB"
            self.report.warning(Code.CLIPPED, self.manifest.span, message)
        if required:
            _check_marketing(rendered, self.where, self.policy, self.report)
        self.look.inspect(rendered.html, LINKS, self.report)

    def _sms(self, rendered: RenderedSms, *, required: bool) -> None:
        """C23, C25: each marketing text names the brand and the way out, and so does the first that anybody gets."""
        if required and LINKS.unsubscribe not in rendered.text:
            spot = Span("templates/brand/layout.sms.txt", 1, 1)
            self.report.error(Code.UNSUBSCRIBE, spot, f"{self.where}: no way to opt out", "write {{ unsubscribe_url }}")
        if required and self.policy.brand.name.casefold() not in rendered.text.casefold():
            spot = Span("templates/brand/layout.sms.txt", 1, 1)
            self.report.error(
                Code.SMS_BRAND, spot, f"{self.where}: it does not say who writes", "write {{ brand.name }}"
            )
        found = count(rendered.text)
        if found.forced_by:
            message = f"{self.where}: not GSM 7 bit: {_parts(found.segments)}"
            place = self._written(found.forced_by)
            self.report.warning(Code.SMS_UNICODE, place, message, _forced(rendered.text, found.forced_by))


def _forced(text: str, odd: tuple[str, ...]) -> str:
    """What characters outside of GSM 7 bit cost."""
    without = count("".join("?" if one in odd else one for one in text)).segments
    return f"{' '.join(odd)} make every part hold 70 characters instead of 160: {_parts(without)} without"


def _parts(number: int) -> str:
    return f"{number} part" if number == 1 else f"{number} parts"


def _check_marketing(rendered: RenderedEmail, where: str, policy: Policy, report: Report) -> None:
    """C09: a visible link to unsubscribe and the postal address, in the HTML and in the text."""
    for body, file in ((rendered.html, "layout.mjml"), (rendered.text, "layout.txt")):
        spot = Span(f"templates/brand/{file}", 1, 1)
        if LINKS.unsubscribe not in body:
            report.error(Code.UNSUBSCRIBE, spot, f"{where}: no link to unsubscribe", "write {{ unsubscribe_url }}")
        if policy.brand.postal_address not in unescape(body):
            report.error(Code.POSTAL_ADDRESS, spot, f"{where}: no postal address", "write {{ brand.postal_address }}")
