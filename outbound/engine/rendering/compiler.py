"""From the files of ``templates/`` to compiled templates, or everything that is wrong with them."""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Final

from outbound.domain.customer import ChannelName
from outbound.domain.policy import Policy
from outbound.domain.release import Files
from outbound.domain.rendered import Attachment
from outbound.domain.rule import Rule, Schema
from outbound.domain.source import Problem, Severity, Span
from outbound.engine.rendering import brand as brands
from outbound.engine.rendering.assets import ATTACHMENT_TYPES, IMAGE_TYPES, MAX_ATTACHMENT_BYTES, collect, extension
from outbound.engine.rendering.clients import Support
from outbound.engine.rendering.codes import Code
from outbound.engine.rendering.manifest import Manifest, read_manifest
from outbound.engine.rendering.parts import Workshop
from outbound.engine.rendering.report import Report
from outbound.engine.rendering.samples import check_samples
from outbound.engine.rendering.templates import Parts, Templates
from outbound.engine.rendering.usage import Usage
from outbound.engine.rulefiles.findings import did_you_mean

_BODY: Final = re.compile(r"(email|sms)(?:\.([a-z]{2,3}))?\.(mjml|html|txt)")
_KNOWN: Final = (
    "template.yaml",
    "email.LANGUAGE.mjml",
    "email.LANGUAGE.html",
    "email.LANGUAGE.txt",
    "sms.LANGUAGE.txt",
)


def compile_templates(
    files: Files,
    *,
    policy: Policy,
    schema: Schema,
    rules: Mapping[str, Rule] | None = None,
    support: Support | None = None,
) -> tuple[Templates | None, tuple[Problem, ...]]:
    """Compile every folder of ``templates/``; None when any problem is an error.

    Each template is also rendered with its sample in every language, on every channel, for each class of message that
    ``rules`` send it as (every class of the policy where no rule names it), and compared with what those rules know.
    A template that cannot be compiled is left out of that; the others are not.
    With ``support`` what many mail programs lack is reported too.
    """
    report = Report()
    brand = brands.read(files, policy, report)
    names = sorted(
        {path.split("/")[1] for path in files if path.startswith("templates/") and path.count("/") > 1} - {"brand"}
    )
    parts: dict[tuple[str, ChannelName, str], Parts] = {}
    declared: dict[str, Mapping[str, frozenset[str]]] = {}
    assets = {address: (kind, content) for address, kind, content in brand.assets.values()}
    manifests: dict[str, Manifest] = {}
    if report.errors:
        return None, report.problems(files)
    folders = _by_folder(files)
    for name in names:
        folder = _Folder(name, folders[f"templates/{name}"], brand, schema, report)
        declared[name] = {root: frozenset(fields) for root, fields in folder.manifest.context.items()}
        parts.update(folder.compile())
        if folder.sound:
            manifests[name] = folder.manifest
        assets.update({address: (kind, content) for address, kind, content in folder.assets.values()})
    templates = Templates(policy=policy, parts=parts, declared=declared, assets=assets)
    templates.look = brand.look()
    usage = Usage(rules or {}, policy)
    usage.check_context(manifests, schema, report)
    templates.sample_parts = check_samples(templates, manifests, policy, usage, report, files=files, support=support)
    problems = report.problems(files)
    failed = any(problem.severity is Severity.ERROR for problem in problems)
    return (None if failed else templates), problems


def _by_folder(files: Files) -> Mapping[str, Files]:
    """The files that stand in each folder itself; empty for any other."""
    found: dict[str, dict[str, bytes]] = defaultdict(dict)
    for path, content in files.items():
        found[path.rpartition("/")[0]][path] = content
    return found


class _Folder:
    """One template. ``files`` are those of its folder."""

    def __init__(self, name: str, files: Files, brand: brands.Brand, schema: Schema, report: Report) -> None:
        self.name = name
        self.path = f"templates/{name}"
        self.files = files
        self.brand = brand
        self.report = report
        self._errors_before = report.errors
        self._uncompiled = False
        self.languages = brand.policy.brand.languages
        path = f"{self.path}/template.yaml"
        if path in files:
            self.manifest = read_manifest(path, files[path], schema=schema, languages=self.languages, report=report)
        else:
            report.error(
                Code.MISSING_FILE, Span(path, 1, 1), f"{path} does not exist", "it declares subject and context"
            )
            self.manifest = Manifest(span=Span(path, 1, 1))
        self.assets = collect(self.path, files, report)
        self.bodies = self._bodies()

    @property
    def sound(self) -> bool:
        """Whether it has no error of its own, nor one of a layout that another template had first."""
        return not self._uncompiled and self.report.errors == self._errors_before

    def _bodies(self) -> dict[tuple[str, str, str], tuple[str, str]]:
        """(channel, kind, language or "") to (path, text) of every body file."""
        found: dict[tuple[str, str, str], tuple[str, str]] = {}
        attached = {node.text for node in self.manifest.attachments}
        for path in sorted(self.files):
            file = path.rpartition("/")[2]
            if file == "template.yaml" or file in attached or extension(file) in IMAGE_TYPES:
                continue
            match = _BODY.fullmatch(file)
            place = Span(path, 1, 1)
            if not match or (match[1] == "sms" and match[3] != "txt"):
                hint = did_you_mean(file, _KNOWN) or f"known: {', '.join(_KNOWN)}"
                self.report.error(Code.UNKNOWN_FILE, place, f"'{file}' is no part of a template", hint)
            elif match[2] and match[2] not in self.languages:
                hint = f"the brand's languages in rules/policy.yaml are {', '.join(self.languages)}"
                self.report.error(Code.LANGUAGE, place, f"unknown language '{match[2]}'", hint)
            else:
                text = brands.decode(path, self.files[path], self.report)
                if text is not None:
                    found[match[1], match[3], match[2] or ""] = (path, text)
        return found

    def body(self, channel: str, kind: str, language: str) -> tuple[str, str] | None:
        """The body in ``language``, else the one for every language."""
        return self.bodies.get((channel, kind, language)) or self.bodies.get((channel, kind, ""))

    def compile(self) -> dict[tuple[str, ChannelName, str], Parts]:
        """Every language and channel that can be compiled."""
        found: dict[tuple[str, ChannelName, str], Parts] = {}
        attachments = self._attachments()
        used: set[str] = set()
        channels = {channel for channel, _, _ in self.bodies}
        if not channels and self.manifest.subject:
            self.report.error(
                Code.MISSING_FILE, self.manifest.span, "the template has no body", "add email.mjml or sms.txt"
            )
        for language in self.languages:
            shop = Workshop(self.brand, self.manifest, self.assets, language, self.report)
            if "email" in channels:
                markup = self.body("email", "mjml", language) or self.body("email", "html", language)
                if self._complete(language, markup, "email"):
                    email = shop.email(markup, self.body("email", "txt", language), attachments)
                    if email:
                        found[self.name, ChannelName.EMAIL, language] = email
                    self._uncompiled |= email is None
            if "sms" in channels:
                text = self.body("sms", "txt", language)
                if self._complete(language, text, "sms"):
                    sms = shop.sms(text)
                    if sms:
                        found[self.name, ChannelName.SMS, language] = sms
                    self._uncompiled |= sms is None
            used |= shop.used
        self._unused(used)
        return found

    def _complete(self, language: str, body: tuple[str, str] | None, channel: str) -> bool:
        """Whether the language has a body and (for mail) a subject; what is missing is reported."""
        lacking = [] if body else [f"{channel} body"]
        if channel == "email" and language not in self.manifest.subject:
            lacking.append("subject")
        if not lacking:
            return True
        message = f"no {' and no '.join(lacking)} in '{language}'"
        if language == self.brand.policy.brand.fallback:
            self.report.error(Code.LANGUAGE, self.manifest.span, message, "the fallback language needs everything")
        else:
            hint = f"these readers get '{self.brand.policy.brand.fallback}'"
            self.report.warning(Code.LANGUAGE, self.manifest.span, message, hint)
        return False

    def _unused(self, used: set[str]) -> None:
        """A declared name that no text uses is kept with every message for nothing (data minimisation)."""
        for root, names in self.manifest.context.items():
            for name, place in names.items():
                if f"{root}.{name}" not in used and self.sound:
                    message = f"'{root}.{name}' is declared but not used"
                    self.report.warning(Code.UNUSED_CONTEXT, place, message, "remove it")

    def _attachments(self) -> tuple[Attachment, ...]:
        found = []
        size = 0
        for node in self.manifest.attachments:
            content = self.files.get(f"{self.path}/{node.text}")
            media_type = ATTACHMENT_TYPES.get(extension(node.text))
            if content is None or "/" in node.text:
                self.report.error(Code.ATTACHMENT, node.span, f"{self.path}/{node.text} does not exist")
            elif media_type is None:
                hint = f"known: {', '.join(sorted(ATTACHMENT_TYPES))}"
                self.report.error(Code.ATTACHMENT, node.span, f"'{node.text}' is of a kind that is not sent", hint)
            else:
                size += len(content)
                found.append(Attachment(name=node.text, media_type=media_type, content=content))
        if size > MAX_ATTACHMENT_BYTES:
            message = f"the attachments have {size:,} bytes (limit {MAX_ATTACHMENT_BYTES:,})"
            self.report.error(Code.ATTACHMENT, self.manifest.attachments[0].span, message)
        return tuple(found)
