# ruff: noqa: RUF001 -- the shipped texts use the typographic apostrophe
"""The templates that ship: everything a customer reads exists in Italian and English and fits its channel."""

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from template_workbench import LINKS, NO_LINKS, ROOT, shipped_files, shipped_ruleset, shipped_templates

from outbound.domain.customer import ChannelName
from outbound.domain.rendered import RenderedEmail, RenderedSms
from outbound.engine.rendering.manifest import Manifest, read_manifest
from outbound.engine.rendering.report import Report
from outbound.engine.rendering.samples import LINKS as LONG_LINKS

NAMES = sorted(shipped_templates().names)
CASES = [
    (name, channel, language)
    for name in NAMES
    for channel in sorted(shipped_templates().channels(name))
    for language in ("it", "en")
]
MARKETING = {"birthday", "monthly-letter", "new-oil"}
MAILS = [name for name in NAMES if ChannelName.EMAIL in shipped_templates().channels(name)]
CHECKED = {
    template
    for rule in shipped_ruleset().rules.values()
    for template in rule.send.templates.values()
    if shipped_ruleset().policy.topics[rule.topic].verify
}
"""Their text messages carry a code to check them by."""

SUBJECTS = {
    ("birthday", "it"): "Buon compleanno, Éva!",
    ("birthday", "en"): "Happy birthday, Éva!",
    ("box-renewal-early", "it"): "La tua Cassetta si rinnova martedì 8 dicembre",
    ("box-renewal-early", "en"): "Your Cassetta renews on Tuesday 8 December",
    ("box-renewal-last", "it"): "Tra tre giorni si rinnova la tua Cassetta",
    ("box-renewal-last", "en"): "Your Cassetta renews in three days",
    ("monthly-letter", "it"): "Novembre in bottega: l’olio, un mortaio e una zuppa da freddo",
    ("monthly-letter", "en"): "November in the shop: oil, a mortar and a soup for cold nights",
    ("new-oil", "it"): "L’olio nuovo è arrivato",
    ("new-oil", "en"): "The new oil is here",
    ("order-received", "it"): "Abbiamo ricevuto il tuo ordine DL-43011",
    ("order-received", "en"): "We have received your order DL-43011",
    ("order-shipped", "it"): "Il tuo pacco è partito (ordine DL-43002)",
    ("order-shipped", "en"): "Your parcel is on its way (order DL-43002)",
    ("your-data", "it"): "I tuoi dati: conferma la richiesta",
    ("your-data", "en"): "Your data: confirm your request",
    ("your-erasure", "it"): "Cancellare i tuoi dati? Conferma la richiesta",
    ("your-erasure", "en"): "Erase your data? Confirm your request",
    ("your-page", "it"): "Il link alla tua pagina",
    ("your-page", "en"): "The link to your page",
    ("your-yes", "it"): "Manca solo la tua conferma",
    ("your-yes", "en"): "One step left: please confirm",
    ("recall-notice", "it"): "Avviso di sicurezza: Salsa di noci, lotto L2611",
    ("recall-notice", "en"): "Safety notice: Salsa di noci, batch L2611",
}


def manifest(name: str) -> Manifest:
    path = f"templates/{name}/template.yaml"
    return read_manifest(
        path, shipped_files()[path], schema=shipped_ruleset().schema, languages=("it", "en"), report=Report()
    )


def rendered(name: str, channel: ChannelName, language: str) -> RenderedEmail | RenderedSms:
    marketing = name in MARKETING
    links = LONG_LINKS if marketing else NO_LINKS
    if channel is ChannelName.SMS:
        links = replace(links, verify=LONG_LINKS.verify if name in CHECKED else "", code="")
    found = shipped_templates().render(
        name,
        channel,
        language=language,
        context=manifest(name).sample,
        links=links,
        message_class="marketing" if marketing else "service",
    )
    assert isinstance(found, RenderedEmail | RenderedSms), found
    return found


def test_every_template_of_every_rule_exists_on_all_its_channels() -> None:
    for rule in shipped_ruleset().rules.values():
        for template in rule.send.templates.values():
            assert set(rule.send.channels) <= shipped_templates().channels(template), rule.id


@pytest.mark.parametrize(("name", "channel", "language"), CASES)
def test_each_template_renders_in_the_language_asked_for(name: str, channel: ChannelName, language: str) -> None:
    found = rendered(name, channel, language)
    assert found.language == language
    if isinstance(found, RenderedEmail):
        assert found.subject == SUBJECTS[name, language]
        assert len(found.html.encode()) < 60_000
    else:
        assert found.segments <= 2
        assert found.encoding == "GSM-7"
        assert found.text.startswith("Dispensa Levante: ")
        assert (LONG_LINKS.verify in found.text) is (name in CHECKED)
        assert (LONG_LINKS.unsubscribe in found.text) is (name in MARKETING)


class _Page(HTMLParser):
    """Collects what a reader, a screen reader and a mail program see."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.language = ""
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "html":
            self.language = attributes.get("lang") or ""
        if tag == "a":
            self.links.append(attributes.get("href") or "")
        if tag == "img":
            self.images.append(attributes)
        if tag not in {"meta", "img", "br", "link", "hr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"style", "title"} & set(self.open):
            self.words.append(data)


@pytest.mark.parametrize("language", ["it", "en"])
@pytest.mark.parametrize("name", MAILS)
def test_each_mail_is_well_formed_accessible_and_linked(name: str, language: str) -> None:
    found = rendered(name, ChannelName.EMAIL, language)
    assert isinstance(found, RenderedEmail)
    page = _Page()
    page.feed(found.html)
    page.close()
    assert not page.open
    assert page.language == language
    assert page.images
    assert all(image.get("alt") for image in page.images)
    served = {f"{LINKS.assets}{asset}" for asset in shipped_templates().assets()}
    prefix = LONG_LINKS.assets
    assert all((image["src"] or "").replace(prefix, LINKS.assets) in served for image in page.images)
    assert all(link.startswith("https://") for link in page.links)
    assert (LONG_LINKS.unsubscribe in page.links) is (name in MARKETING)
    assert "Salita del Limone 3" in " ".join(page.words)
    assert "prefers-color-scheme: dark" in found.html.replace(":dark", ": dark")
    assert "Salita del Limone 3" in found.text
    assert "<" not in found.text


ITALIAN = re.compile(r"\b(il|lo|la|gli|che|per|con|una|della|tuo|tua|questo)\b", re.IGNORECASE)
ENGLISH = re.compile(r"\b(the|your|with|and|you|this|of|is|for)\b", re.IGNORECASE)
WITHOUT_ACCENT = re.compile(r"\b(perche|piu|citta|gia|cosi|puo|e'|martedi|lunedi|finche|novita)\b", re.IGNORECASE)


@pytest.mark.parametrize("name", MAILS)
def test_the_two_languages_are_not_mixed_and_italian_has_its_accents(name: str) -> None:
    texts = {}
    for language in ("it", "en"):
        found = rendered(name, ChannelName.EMAIL, language)
        assert isinstance(found, RenderedEmail)
        texts[language] = re.sub(r"https?://\S+|Dispensa Levante.*", "", found.text)
    assert len(ITALIAN.findall(texts["it"])) > 3 * len(ENGLISH.findall(texts["it"]))
    assert len(ENGLISH.findall(texts["en"])) > 3 * len(ITALIAN.findall(texts["en"]))
    assert not WITHOUT_ACCENT.search(texts["it"])


@pytest.mark.parametrize("name", sorted(MARKETING | {"order-received", "order-shipped"}))
def test_a_reader_without_a_first_name_is_greeted_without_a_gap(name: str) -> None:
    context = {**manifest(name).sample, "customer": {}}
    for language in ("it", "en"):
        found = shipped_templates().render(
            name, ChannelName.EMAIL, language=language, context=context, links=LINKS, message_class="marketing"
        )
        assert isinstance(found, RenderedEmail), found
        assert not re.search(r"\s,|, !|\(\)|,\s*[.!]|  ", found.subject)
        assert not re.search(r"\w ,|, !|,\s*[.!]", found.text)


def test_the_demo_names_only_what_the_rules_know() -> None:
    folder = ROOT / "scripts" / "demo"
    schema, policy = shipped_ruleset().schema, shipped_ruleset().policy
    rows = list(csv.DictReader((folder / "customers.csv").read_text(encoding="utf-8").splitlines()))
    ids = {row["customer_id"] for row in rows}
    assert len(ids) == len(rows) >= 60
    assert {row["country"] for row in rows} <= set(schema.customer["country"].values)
    assert all(row["email"].endswith(".example") for row in rows if row["email"])
    assert set(policy.brand.languages) < {row["language"] for row in rows}
    for file, event in (
        ("orders-before", "order.placed"),
        ("orders-today", "order.placed"),
        ("shipments-today", "order.shipped"),
    ):
        for line in (folder / f"{file}.jsonl").read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            assert entry["customer"] in ids
            assert set(entry) - {"customer", "at"} <= set(schema.events[event])
            assert entry["at"].startswith("2026-11-24") is file.endswith("today")
