"""A scanner opens every link of every message in every safe way, and nothing whatever changes (fault F72, C04)."""

import re
from pathlib import Path

import sqlalchemy as sa
from site_kit import MESSAGE_ID, NOW, ROOT, Running, add_address, add_customer, publish, serve

from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.domain.message import Lane, Message, MessageState
from outbound.domain.rendered import RenderedEmail, RenderedSms
from outbound.engine.rendering.manifest import read_manifest
from outbound.engine.rendering.report import Report
from outbound.services import page_requests, releases, working_copy
from outbound.services.rights import asking
from outbound.storage import tables
from outbound.storage.database import Database

SAFE = ("GET", "HEAD", "OPTIONS")
PREFETCH = {"Purpose": "prefetch", "Sec-Purpose": "prefetch;prerender", "User-Agent": "Scanner/1.0"}
_LINK = re.compile(r"https://shop\.example(/[^\s\"'<>)]*)")


def message_on(topic: str, message_class: str) -> Message:
    return Message(
        id=MESSAGE_ID,
        run_id="r",
        rule="any",
        rule_version="1",
        release="r",
        once="o",
        customer_id="c-1",
        step="",
        template="t",
        topic=topic,
        message_class=message_class,
        lane=Lane.BULK,
        priority=1,
        channels=(ChannelName.EMAIL,),
        context={},
        not_before=NOW,
        local_time="",
        zone="",
        expires=NOW,
        state=MessageState.SENDING,
        created_at=NOW,
    )


def links_of_all_messages(site: Running) -> set[str]:
    """Every link of ours in every shipped template, language and channel, as the dispatcher renders them."""
    active = releases.running(site.database)
    files = working_copy.read_files(ROOT / "rules", ROOT / "templates")
    policy, found = active.ruleset.policy, set()
    for rule in active.ruleset.rules.values():
        topic = policy.topics[rule.topic]
        message = message_on(rule.topic, topic.message_class.name)
        for template in rule.templates:
            path = f"templates/{template}/template.yaml"
            manifest = read_manifest(
                path, files[path], schema=active.ruleset.schema, languages=policy.brand.languages, report=Report()
            )
            for channel in sorted(active.templates.channels(template)):
                for language in policy.brand.languages:
                    rendered = active.templates.render(
                        template,
                        channel,
                        language=language,
                        context=manifest.sample,
                        links=site.links.of_message(message, channel, topic=topic),
                        message_class=topic.message_class.name,
                    )
                    assert isinstance(rendered, RenderedEmail | RenderedSms)
                    text = rendered.text + (rendered.html if isinstance(rendered, RenderedEmail) else "")
                    found |= set(_LINK.findall(text.replace("&amp;", "&")))
    return found


def test_every_link_of_every_message_may_be_opened_by_every_scanner(tmp_path: Path, keyring: Keyring) -> None:
    """Two steps deep: also the links on the pages that the links open, with each safe method and as a prefetch."""
    database = Database(f"sqlite:///{tmp_path / 'site.db'}")
    tables.metadata.create_all(database.engine)
    publish(database)
    add_customer(database)
    add_address(database, keyring, ChannelName.EMAIL, "giulia@posta.example")
    add_address(database, keyring, ChannelName.SMS, "+393401234567")
    with serve(database, keyring) as site:
        active = releases.running(database)
        for right in asking.Right:
            asking.ask(database, active, site.links, customer_id="c-1", right=right, now=NOW)
        requests = {
            asking.link(site.links, "c-1", right, now=NOW).removeprefix("https://shop.example")
            for right in asking.Right
        }
        wanted = {("gifts", ChannelName.EMAIL): "Gifts"}
        page_requests.ask_confirmation(database, site.links, customer_id="c-1", wanted=wanted, now=NOW)
        with database.read() as connection:
            events = connection.execute(sa.select(tables.event.c.data)).scalars()
            requests |= {data["link"].removeprefix("https://shop.example") for data in events}
        links = links_of_all_messages(site) | requests
        kinds = {link.split("/")[1] for link in links}
        assert {"u", "p", "v", "c", "assets", "rights"} <= kinds
        before = site.everything()
        seen: set[str] = set()
        for link in sorted(links):
            for method in SAFE:
                status, _, html = site.ask(method, link, headers=PREFETCH)
                assert status < 400 or method == "OPTIONS", (method, link, status)
                seen |= {path for path in re.findall(r'href="(/[^"]+|\?[^"]+)"', html) if method == "GET"}
        for path in sorted(path if path.startswith("/") else "/v" + path for path in seen):
            for method in SAFE:
                site.ask(method, path.replace("&amp;", "&"), headers=PREFETCH)
        assert site.everything() == before
    database.close()
