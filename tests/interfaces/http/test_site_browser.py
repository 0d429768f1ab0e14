"""The pages in a real browser: used without JavaScript, on a phone and a desk, and held to WCAG by axe-core."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright
from site_kit import MESSAGE_ID, NOW, PROOF, Running, add_address, add_customer, add_message, publish, serve

from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.domain.verification import code_of
from outbound.services import preferences
from outbound.services.page_requests import Pending, _packed
from outbound.services.rights import asking
from outbound.storage import tables
from outbound.storage.database import Database

CHROMIUM = next((path for name in ("chromium", "chromium-browser") if (path := shutil.which(name))), "")
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
    "--disable-gpu",
]
MOST_BYTES = 60 * 1024
PHONE, DESK = {"width": 390, "height": 800}, {"width": 1280, "height": 900}
WCAG = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="no Chromium on this machine (apt-get install chromium)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A served site with one customer who has everything, and the paths of its pages."""

    site: Running
    paths: dict[str, str]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.site.port}"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    keyring = Keyring.parse("k1:" + "5a" * 32)
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('browser') / 'site.db'}")
    tables.metadata.create_all(database.engine)
    publish(database)
    for customer in ("c-1", "c-2"):
        add_customer(database, customer)
    add_address(database, keyring, ChannelName.EMAIL, "giulia@posta.example")
    add_address(database, keyring, ChannelName.SMS, "+393401234567")
    with database.write() as connection:
        row = {"attributes": {"first_name": "Giulia", "loyalty_points": 340, "auto_renew": True}, "country": "IT"}
        connection.execute(tables.customer.update().where(tables.customer.c.id == "c-1").values(**row))
    message = add_message(database, topic="newsletter", sent_at=NOW)
    preferences.withdraw(database, customer_id="c-2", topic="newsletter", channel=None, evidence=PROOF, now=NOW)
    with serve(database, keyring) as site:
        links = site.links

        def own(customer: str) -> dict[str, str]:
            return {"customer_id": customer, "topic": "newsletter", "channel": "email", "message_id": MESSAGE_ID}

        pending = Pending(
            customer_id="c-1", topic="gifts", channel=ChannelName.EMAIL, address_hash="x", expires=NOW + asking.LIFETIME
        )
        page = links.preferences(**own("c-1"))
        urls = {
            "preferences": page,
            "saved": f"{page}?note=saved",
            "data": f"{page}/data",
            "unsubscribe": links.unsubscribe(**own("c-1")),
            "unsubscribed": links.unsubscribe(**own("c-2")),
            "verify": "https://shop.example/v",
            "verified": links.verify(code_of(message)),
            "not verified": links.verify("0000-0000-0000"),
            "export": asking.link(links, "c-1", asking.Right.EXPORT, now=NOW),
            "erase": asking.link(links, "c-1", asking.Right.ERASE, now=NOW),
            "confirm": links.signed_address("c", "confirm", _packed(pending)),
            "access": "https://shop.example/p",
            "unknown": "https://shop.example/p/k1.AAAA",
            "over": "https://shop.example/rights/k1.AAAA",
        }
        yield Shop(site=site, paths={name: url.removeprefix("https://shop.example") for name, url in urls.items()})
    database.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


def with_language(path: str, language: str) -> str:
    return path + ("&" if "?" in path else "?") + f"lang={language}"


@pytest.mark.parametrize("language", ["it", "en"])
def test_no_page_has_a_barrier_a_heavy_load_or_a_third_party(shop: Shop, browser: Browser, language: str) -> None:
    """axe-core finds no violation on any page, light and dark, on a phone and a desk; at most 60 KB each."""
    seen = []
    for scheme, size in (("light", DESK), ("dark", PHONE)):
        context = browser.new_context(viewport=size, color_scheme=scheme, bypass_csp=True)
        for name, path in shop.paths.items():
            page = context.new_page()
            hosts: set[str] = set()
            sizes: list[int] = []
            page.on("request", lambda request, hosts=hosts: hosts.add(urlsplit(request.url).netloc))
            page.on("requestfinished", lambda request, sizes=sizes: sizes.append(request.sizes()["responseBodySize"]))
            page.goto(shop.base + with_language(path, language))
            assert page.locator("html").get_attribute("lang") == language
            found = Axe().run(page, options=WCAG)
            seen += [(name, scheme, one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]]
            assert hosts == {urlsplit(shop.base).netloc}, name
            assert 0 < sum(sizes) <= MOST_BYTES, (name, sizes)
            wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wide <= 0, f"{name} scrolls sideways by {wide}"
            page.close()
        page = context.new_page()  # and what a mistake in the form is answered with
        page.goto(shop.base + with_language(shop.paths["preferences"], language))
        for field in ("#quiet_from", "#quiet_to"):
            page.locator(field).fill("22:00")
        page.locator("form .save button").click()
        assert page.locator("[aria-invalid]").count() == 2
        found = Axe().run(page, options=WCAG)
        seen += [("mistake", scheme, one["id"], one["nodes"][0]["html"]) for one in found.response["violations"]]
        context.close()
    assert seen == []


def test_preferences_are_changed_by_keyboard_and_mouse_without_javascript(shop: Shop, browser: Browser) -> None:
    """From the link in the mail to the confirmation, on a phone, with scripts off."""
    context = browser.new_context(viewport=PHONE, java_script_enabled=False, locale="it-IT")
    page = context.new_page()
    page.goto(shop.base + shop.paths["preferences"])
    page.get_by_role("group", name="La lettera del mese").get_by_label("SMS").check()
    page.get_by_label("Canale preferito").select_option("sms")
    page.get_by_label("Mandatemi meno messaggi").check()
    page.get_by_label("Dalle").fill("22:15")
    page.get_by_label("Alle", exact=True).fill("07:45")
    page.get_by_label("Fino al").fill("2026-12-01")
    page.get_by_role("button", name="Salva").press("Enter")
    assert page.get_by_role("status").inner_text() == "Salvato. Vale da subito."
    assert page.get_by_role("group", name="La lettera del mese").get_by_label("SMS").is_checked()
    assert page.get_by_label("Dalle").input_value() == "22:15"
    assert page.get_by_label("Fino al").input_value() == "2026-12-01"
    page.get_by_role("link", name="English").click()
    assert page.get_by_label("Send me fewer messages").is_checked()
    page.get_by_role("link", name="Your data").click()
    assert "loyalty points" in page.locator("#held + dl").inner_text().lower()
    context.close()
    assert shop.site.consents()[("newsletter", "sms")] == "granted"


def test_a_message_is_checked_by_typing_its_code(shop: Shop, browser: Browser) -> None:
    context = browser.new_context(viewport=PHONE, java_script_enabled=False, locale="en-GB")
    page = context.new_page()
    page.goto(shop.base + shop.paths["verify"] + "?lang=en")
    page.get_by_label("Code of the message").fill(shop.paths["verified"].removeprefix("/v/").lower())
    page.get_by_role("button", name="Check").click()
    assert "Yes, this message is ours." in page.get_by_role("status").inner_text()
    page.get_by_label("Code of the message").fill("nonsense")
    page.get_by_role("button", name="Check").click()
    assert "No message of ours" in page.get_by_role("status").inner_text()
    context.close()


def test_the_policy_of_every_page_stops_what_it_does_not_need(shop: Shop, browser: Browser) -> None:
    """The style sheet works under the content security policy, and an injected script would not."""
    context = browser.new_context(viewport=DESK)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(shop.base + shop.paths["preferences"])
    assert page.evaluate("getComputedStyle(document.querySelector('section')).borderTopStyle") == "solid"
    assert complaints == []
    page.evaluate(
        "{const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s)}"
    )
    assert page.evaluate("window.ran") is None
    context.close()
