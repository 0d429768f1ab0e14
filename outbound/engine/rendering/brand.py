"""The brand: layouts, partials, images, colours and texts shared by every message."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from outbound.domain.policy import Policy
from outbound.domain.release import Files
from outbound.domain.source import Span
from outbound.engine.rendering.assets import IMAGE_TYPES, collect, extension
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.environment import Sandbox, make_environment
from outbound.engine.rendering.manifest import BrandFile, read_brand
from outbound.engine.rendering.report import Report
from outbound.engine.rendering.templates import Look

FOLDER: Final = "templates/brand"
LAYOUTS: Final = ("layout.mjml", "layout.txt", "layout.sms.txt")
MAX_SOURCE_BYTES: Final = 256 * 1024
_COLOR: Final = re.compile(r"#[0-9A-Fa-f]{6}")


@dataclass(frozen=True, slots=True)
class Environments:
    """Where the templates of one language are compiled: HTML, plain text, and text messages."""

    html: Sandbox
    text: Sandbox
    sms: Sandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Brand:
    """What every template is compiled with. ``texts`` are the layouts and partials by file name."""

    policy: Policy
    texts: Mapping[str, str] = field(default_factory=dict)
    file: BrandFile = field(default_factory=BrandFile)
    assets: Mapping[str, tuple[str, str, bytes]] = field(default_factory=dict)
    environments: Mapping[str, Environments] = field(default_factory=dict)

    def values(self, language: str) -> dict[str, str]:
        """What ``{{ brand.NAME }}`` stands for."""
        identity = self.policy.brand
        return {
            **self.file.values,
            "name": identity.name,
            "postal_address": identity.postal_address,
            "reply_to": identity.reply_to,
            "language": language,
        }

    def look(self) -> Look:
        """How web pages look: ``logo.png`` of the brand's folder, ``page_color`` of its values."""
        logo = self.assets.get("logo.png")
        color = self.file.values.get("page_color", "")
        return Look(logo=logo[0] if logo else "", color=color if _COLOR.fullmatch(color) else "")


def read(files: Files, policy: Policy, report: Report) -> Brand:
    """The folder templates/brand."""
    texts: dict[str, str] = {}
    for path in sorted(files):
        head, _, name = path.rpartition("/")
        if head != FOLDER or name == "brand.yaml" or extension(name) in IMAGE_TYPES:
            continue
        text = decode(path, files[path], report)
        if text is not None:
            texts[name] = text
    for name in LAYOUTS:
        if name not in texts:
            report.error(Code.MISSING_FILE, Span(f"{FOLDER}/{name}", 1, 1), f"{FOLDER}/{name} does not exist")
    languages = policy.brand.languages
    path = f"{FOLDER}/brand.yaml"
    if path in files:
        file = read_brand(path, files[path], languages=languages, report=report)
    else:
        report.error(Code.MISSING_FILE, Span(path, 1, 1), f"{path} does not exist")
        file = BrandFile()
    environments = {}
    for language in languages:
        locale = file.locales.get(language, language)
        environments[language] = Environments(
            html=make_environment(locale=locale, html=True),
            text=make_environment(locale=locale, html=False),
            sms=make_environment(locale=locale, html=False, plain_spaces=True),
        )
    return Brand(
        policy=policy,
        texts=texts,
        file=file,
        assets={**collect(FOLDER, files, report), **collect(f"{FOLDER}/images", files, report)},
        environments=environments,
    )


def decode(path: str, content: bytes, report: Report) -> str | None:
    """The text of a file with LF line ends, or None after a report."""
    if len(content) > MAX_SOURCE_BYTES:
        report.error(
            Code.TOO_LARGE, Span(path, 1, 1), f"the file has {len(content):,} bytes (limit {MAX_SOURCE_BYTES:,})"
        )
        return None
    try:
        text = content.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        report.error(Code.ENCODING, Span(path, line, 1), "the file is not UTF-8 text", "save it as UTF-8")
        return None
    odd = next((i for i, c in enumerate(text) if (c < " " and c not in "\n\t") or "\ue000" <= c <= "\ue002"), None)
    if odd is not None:
        line = text.count("\n", 0, odd) + 1
        report.error(Code.ENCODING, Span(path, line, 1), f"invisible character U+{ord(text[odd]):04X}", "remove it")
        return None
    return text
