"""How fast one mail becomes frozen bytes, beside Jinja2 rendering the same words alone."""

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from outbound.channels.email import mime
from outbound.domain.customer import ChannelName
from outbound.domain.rendered import EmailEnvelope, RenderedEmail
from outbound.engine.rendering import Links, Templates
from outbound.interfaces.cli.shipped import shipped
from outbound.services import releases, working_copy
from outbound.services.bench.figure import Figure

_BAR = 0.5
_TEMPLATE = "monthly-letter"
_DATE = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
_ASSETS = "https://news.shop.example/assets/"


def measure(quick: bool) -> list[Figure]:
    """The median ratio of five interleaved runs (one when ``quick``): HTML, text and subject into MIME bytes."""
    templates = _templates()
    alone = _jinja_alone(_mail(templates, "Marker", "https://news.shop.example/u/marker"))
    count = 200 if quick else 2_000
    ours, limits = [], []
    for _ in range(1 if quick else 5):
        ours.append(_rate(lambda n: _frozen(templates, n), count))
        limits.append(_rate(alone, count))
    ratio = statistics.median(value / limit for value, limit in zip(ours, limits, strict=True))
    size = len(_frozen(templates, 0))
    return [
        Figure(
            name="render_email",
            value=statistics.median(ours),
            unit="mails/s",
            limit=statistics.median(limits),
            ratio=ratio,
            bar=f"ratio >= {_BAR}",
            met=ratio >= _BAR,
            what=f"Jinja2 (sandboxed, strict) rendering the same HTML, text and subject; {size:,} bytes a mail",
        )
    ]


def shipped_letters(count: int) -> list[bytes]:
    """That many copies of the shipped letter as they would leave, no two alike."""
    templates = _templates()
    return [_frozen(templates, number) for number in range(count)]


def _templates() -> Templates:
    checked = releases.check(working_copy.read_files(shipped("rules"), shipped("templates")))
    if checked.templates is None:
        raise AssertionError("the shipped templates do not pass the check")
    return checked.templates


def _mail(templates: Templates, name: str, unsubscribe: str) -> RenderedEmail:
    rendered = templates.render(
        _TEMPLATE,
        ChannelName.EMAIL,
        language="it",
        context={"customer": {"first_name": name}},
        links=Links(unsubscribe=unsubscribe, preferences="", assets=_ASSETS),
        message_class="marketing",
    )
    if not isinstance(rendered, RenderedEmail):
        raise AssertionError("the shipped letter cannot be rendered")  # noqa: TRY004 - the value is an answer
    return rendered


def _frozen(templates: Templates, number: int) -> bytes:
    url = f"https://news.shop.example/u/k1.{number:040d}"
    envelope = EmailEnvelope(
        to=f"customer{number}@example.com",
        message_id=f"<{number:032x}@shop.example>",
        date=_DATE,
        unsubscribe_url=url,
        list_id="newsletter.shop.example",
    )
    return mime.pack(_mail(templates, f"Nicolò {number}", url), envelope)


def _jinja_alone(mail: RenderedEmail) -> Callable[[int], object]:
    """The words of ``mail`` as plain Jinja2 templates, and a function that renders all three."""
    environment = ImmutableSandboxedEnvironment(autoescape=True, undefined=jinja2.StrictUndefined)
    parts = [
        environment.from_string(
            text.replace("https://news.shop.example/u/marker", "{{ unsubscribe_url }}").replace("Marker", "{{ name }}")
        )
        for text in (mail.subject, mail.html, mail.text)
    ]

    def render(number: int) -> object:
        url = f"https://news.shop.example/u/k1.{number:040d}"
        return [part.render(name=f"Nicolò {number}", unsubscribe_url=url) for part in parts]

    return render


def _rate(work: Callable[[int], object], count: int) -> float:
    started = time.perf_counter()
    for number in range(count):
        work(number)
    return count / (time.perf_counter() - started)
