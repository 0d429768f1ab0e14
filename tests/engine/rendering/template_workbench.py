"""A small brand and ways to compile and render one template with it."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from outbound.domain.customer import ChannelName
from outbound.domain.release import Ruleset
from outbound.domain.rendered import Rendered, RenderedEmail, RenderedSms, RenderStop
from outbound.domain.source import Problem
from outbound.engine.rendering import Links, Templates, compile_templates
from outbound.engine.rendering.clients import Support
from outbound.engine.rulefiles import load

ROOT = Path(__file__).resolve().parents[3]
PNG = b"\x89PNG\r\n\x1a\n" + b"a small picture"
LINKS = Links(
    unsubscribe="https://links.shop.example/u/k1.abc.def",
    preferences="https://links.shop.example/p/k1.abc.def",
    assets="https://links.shop.example/assets/",
)
NO_LINKS = Links(unsubscribe="", preferences="", assets=LINKS.assets)

LAYOUT = """<mjml lang="{{ brand.language }}">
<mj-head><mj-title>{{ subject }}</mj-title><mj-preview>{{ preheader }}</mj-preview>
<mj-style>.deep { color: #123456; } @media (max-width: 479px) { .deep { color: #654321; } }</mj-style></mj-head>
<mj-body>
{{ content }}
<mj-section><mj-column>
{% if unsubscribe_url is defined %}<mj-text><a href="{{ unsubscribe_url }}">{{ t.leave }}</a></mj-text>{% endif %}
<mj-text>{{ brand.postal_address }}</mj-text>
</mj-column></mj-section>
</mj-body>
</mjml>
"""
LAYOUT_TXT = """{{ content }}

{% if unsubscribe_url is defined %}
{{ t.leave }}: {{ unsubscribe_url }}
{% endif %}
{{ brand.postal_address }}
"""
LAYOUT_SMS = "{{ brand.name }}: {{ content }}{% if unsubscribe_url is defined %} {{ unsubscribe_url }}{% endif %}\n"
BRAND = """locales: {it: it_IT, en: en_GB}
values: {ink: "#101010"}
strings:
  it: {leave: Disiscriviti}
  en: {leave: Unsubscribe}
"""
MANIFEST = """subject:
  it: "Ciao {{ customer.first_name }}"
  en: "Hello {{ customer.first_name }}"
context:
  customer: [first_name]
sample:
  customer: {first_name: Giulia}
"""


def section(text: str) -> str:
    """A mail body that holds one text."""
    return f"<mj-section><mj-column><mj-text>{text}</mj-text></mj-column></mj-section>\n"


@cache
def shipped_files() -> Mapping[str, bytes]:
    """The rules and templates that ship with the project."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for folder in ("rules", "templates")
        for path in sorted((ROOT / folder).rglob("*"))
        if path.is_file() and "tests" not in path.parts[len(ROOT.parts) :]
    }


@cache
def shipped_ruleset() -> Ruleset:
    """The shipped rules."""
    ruleset = load(shipped_files()).ruleset
    assert ruleset is not None
    return ruleset


@cache
def shipped_templates() -> Templates:
    """The shipped templates."""
    ruleset = shipped_ruleset()
    templates, problems = compile_templates(
        shipped_files(), policy=ruleset.policy, schema=ruleset.schema, rules=ruleset.rules
    )
    assert not problems, "\n".join(problem.render() for problem in problems)
    assert templates is not None
    return templates


def files(extra: Mapping[str, str | bytes] | None = None) -> dict[str, bytes]:
    """The small brand and a template ``hello``, with ``extra`` put over them (paths without ``templates/``)."""
    texts: dict[str, str | bytes] = {
        "brand/brand.yaml": BRAND,
        "brand/layout.mjml": LAYOUT,
        "brand/layout.txt": LAYOUT_TXT,
        "brand/layout.sms.txt": LAYOUT_SMS,
        "brand/logo.png": PNG,
        "hello/template.yaml": MANIFEST,
        "hello/email.mjml": section("Ciao {{ customer.first_name }}!"),
        **(extra or {}),
    }
    return {
        f"templates/{path}": text if isinstance(text, bytes) else text.encode()
        for path, text in texts.items()
        if text != ""
    }


def compiled(
    extra: Mapping[str, str | bytes] | None = None, *, support: Support | None = None
) -> tuple[Templates | None, tuple[Problem, ...]]:
    """The small set compiled against the shipped policy and schema."""
    ruleset = shipped_ruleset()
    return compile_templates(files(extra), policy=ruleset.policy, schema=ruleset.schema, support=support)


def good(extra: Mapping[str, str | bytes] | None = None) -> Templates:
    """The small set, which must have no problem at all."""
    templates, problems = compiled(extra)
    assert not problems, "\n".join(problem.render() for problem in problems)
    assert templates is not None
    return templates


def problems_of(extra: Mapping[str, str | bytes]) -> list[str]:
    """The problems of the small set as ``place: message``; it must be refused."""
    templates, problems = compiled(extra)
    assert templates is None
    return [f"{problem.span}: {problem.message}" for problem in problems]


def render(templates: Templates, **changes: Any) -> Rendered | RenderStop:
    """``hello`` as a service mail in Italian to Giulia, unless ``changes`` say otherwise."""
    arguments: dict[str, Any] = {
        "language": "it",
        "context": {"customer": {"first_name": "Giulia"}},
        "links": NO_LINKS,
        "message_class": "service",
        **changes,
    }
    name = arguments.pop("name", "hello")
    return templates.render(name, arguments.pop("channel", ChannelName.EMAIL), **arguments)


def mail(templates: Templates, **changes: Any) -> RenderedEmail:
    """``render`` when it must give a mail."""
    rendered = render(templates, **changes)
    assert isinstance(rendered, RenderedEmail), rendered
    return rendered


def sms(templates: Templates, **changes: Any) -> RenderedSms:
    """``render`` when it must give a text message."""
    rendered = render(templates, channel=ChannelName.SMS, **changes)
    assert isinstance(rendered, RenderedSms), rendered
    return rendered


def stop(templates: Templates, **changes: Any) -> str:
    """The reason why ``render`` gives nothing."""
    rendered = render(templates, **changes)
    assert isinstance(rendered, RenderStop), rendered
    return rendered.detail
