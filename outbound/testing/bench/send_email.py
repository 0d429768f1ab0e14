"""Durable e-mails per second, end to end: claim, gate, render 10 KB, SMTP, record; beside a bare sender."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from outbound.channels.base import Adapter
from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.domain.customer import ChannelName
from outbound.domain.ids import new_id
from outbound.domain.keyring import Keyring
from outbound.domain.message import Lane
from outbound.domain.rendered import EmailEnvelope, RenderStop
from outbound.engine.rendering import Links
from outbound.runtime import loop
from outbound.services import releases
from outbound.services.bench.figure import Figure
from outbound.services.bench.newsletter_shop import PUBLISHED, SLOT, seed, shop_files
from outbound.services.dispatch import Dispatcher, DispatchSettings
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.outbox import insert_messages
from outbound.storage.sets import chunks
from outbound.testing.bench.smtp_limit import SESSIONS, sink, source_rate
from outbound.testing.postgres import empty_database, postgres_server

_MESSAGES, _RUNS = 5_000, 5
_QUICK_MESSAGES = 500
_SLICE = 500
_LOOK, _PATIENCE = 0.1, 10.0
"""Seconds between two looks where nothing is due, and until nothing is expected any more."""
_BAR = 0.5
_BYTES = 10_000
_SENTENCE = "The oil of this year is here, pressed on the first cold days of November, and it is green and loud. "
_NOON = SLOT + timedelta(hours=9)
"""18:00 UTC: outside the quiet hours of every customer of the shop, from Honolulu to Rome."""
_KEYRING = Keyring.parse("k1:" + "b0" * 32)


@dataclass(frozen=True, slots=True)
class _Run:
    rate: float
    limit: float
    what: str


def measure_sqlite(quick: bool) -> list[Figure]:
    """On SQLite with synchronous FULL."""

    @contextmanager
    def fresh() -> Iterator[str]:
        with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder:
            yield f"sqlite:///{Path(folder) / 'bench.db'}"

    return [_figure("send_email_sqlite", [_once(fresh, quick) for _ in range(1 if quick else _RUNS)])]


def measure_pg(quick: bool) -> list[Figure]:
    """On PostgreSQL with synchronous_commit on."""
    return [_figure("send_email_pg", [_once(_postgres, quick) for _ in range(1 if quick else _RUNS)])]


@contextmanager
def _postgres() -> Iterator[str]:
    with postgres_server() as server, empty_database(server) as url:
        yield url


def _figure(name: str, runs: list[_Run]) -> Figure:
    ratio = statistics.median(run.rate / run.limit for run in runs)  # paired: both of a run shared the machine
    return Figure(
        name=name,
        value=statistics.median(run.rate for run in runs),
        unit="messages/s",
        limit=statistics.median(run.limit for run in runs),
        ratio=ratio,
        bar=f"ratio >= {_BAR}",
        met=ratio >= _BAR,
        what=runs[0].what,
    )


def _once(fresh: Callable[[], AbstractContextManager[str]], quick: bool) -> _Run:
    count = _QUICK_MESSAGES if quick else _MESSAGES
    with fresh() as url, sink() as (port, sink_name):
        database = Database(url)
        try:
            payload = queue(database, count)
            limit, source_name = source_rate(port, payload, count)
            rate = send(database, port, count)
        finally:
            database.close()
    return _Run(rate, limit, f"{source_name} into {sink_name}, {len(payload):,} bytes")


def queue(database: Database, count: int) -> bytes:
    """Publish, insert people and due messages; answers the bytes of one of them."""
    tables.metadata.create_all(database.engine)
    body = _SENTENCE * (_BYTES // 3 // len(_SENTENCE))  # it stands in the HTML and in the text part
    words = f"Hello {{{{ customer.first_name }}}}. {body}"
    letter = f"<mj-section><mj-column><mj-text>{words}</mj-text></mj-column></mj-section>"
    files = {**shop_files(), "templates/letter/email.mjml": letter.encode()}
    published = releases.publish(database, files, by="bench", now=PUBLISHED)
    if isinstance(published, tuple):
        raise RuntimeError(published[0].render())  # noqa: TRY004 - the problems that refused it
    with database.write() as connection:
        seed(connection, count)
        ids = list(connection.execute(sa.select(tables.customer.c.id)).scalars())
        first = due(ids[0], ChannelName.EMAIL)
        for some in chunks(ids):
            insert_messages(
                connection, [first if customer == ids[0] else due(customer, ChannelName.EMAIL) for customer in some]
            )
    active = releases.active(database)
    if active is None:
        raise RuntimeError("published, but not active")
    links = _links_of(first["id"])
    context = first["context"]
    rendered = active.templates.render(
        "letter", ChannelName.EMAIL, language="en", context=context, links=links, message_class="marketing"
    )
    envelope = EmailEnvelope(to="c@example.com", message_id="<bench@shop.example>", date=SLOT)
    if isinstance(rendered, RenderStop):
        raise RuntimeError(rendered.detail)  # noqa: TRY004 - a value that means stop, not a wrong type
    return SmtpAdapter(_settings(0)).pack(rendered, envelope)


def due(customer: str, channel: ChannelName) -> dict[str, Any]:
    """A newsletter that is due for a customer."""
    return {
        "id": new_id(SLOT),
        "run_id": "bench",
        "rule": "newsletter",
        "rule_version": "bench",
        "release": "bench",
        "once": "2026-11",
        "customer_id": customer,
        "template": "letter",
        "topic": "newsletter",
        "message_class": "marketing",
        "lane": Lane.BULK.value,
        "priority": 100,
        "channels": channel.value,
        "context": {"customer": {"first_name": f"Ada {customer}"}},
        "not_before": _NOON,
        "expires": SLOT + timedelta(days=1),
        "state": "ready",
        "created_at": SLOT,
    }


def send(
    database: Database,
    port: int,
    count: int,
    *,
    slice_size: int = _SLICE,
    told: Callable[[int], None] = lambda _sent: None,
    done: Callable[[], bool] | None = None,
) -> float:
    """``dispatch`` by SMTP to ``port``."""
    adapters: dict[ChannelName, Adapter] = {ChannelName.EMAIL: SmtpAdapter(_settings(port))}
    return dispatch(database, adapters, count, slice_size=slice_size, told=told, done=done)


def dispatch(
    database: Database,
    adapters: Mapping[ChannelName, Adapter],
    count: int,
    *,
    slice_size: int = _SLICE,
    told: Callable[[int], None] = lambda _sent: None,
    done: Callable[[], bool] | None = None,
) -> float:
    """Dispatch everything that is due; messages per second of those recorded as sent. ``told`` hears how many yet.

    It ends when ``count`` are sent, or where others send too, when ``done`` says so.
    """

    async def main() -> float:
        dispatcher = Dispatcher(
            database,
            adapters=adapters,
            keyring=_KEYRING,
            active=lambda: releases.active(database),
            load_release=lambda release: releases.by_id(database, release),
            links=lambda message, _channel, *, topic: _links_of(message.id),  # noqa: ARG005 - all are letters
            settings=DispatchSettings(slice_size=slice_size),
        )
        start = heard = time.perf_counter()
        sent = 0
        while not done() if done else sent < count:
            # The clock goes on: what a slow moment gave back to be gated again is due a second later.
            now = _NOON + timedelta(seconds=time.perf_counter() - start)
            report = await dispatcher.run_slice(Lane.BULK, now=now)
            sent += report.sent
            told(sent)
            if report.claimed:
                heard = time.perf_counter()
            elif time.perf_counter() - heard > _PATIENCE:
                raise RuntimeError(f"{sent} of {count} were sent")
            else:
                await asyncio.sleep(_LOOK)
        seconds = time.perf_counter() - start
        await dispatcher.close()
        return sent / seconds

    return loop.run(main())


def _settings(port: int) -> SmtpSettings:
    return SmtpSettings(host="127.0.0.1", port=port, tls=Tls.NONE, pool_size=SESSIONS)


def _links_of(message_id: str) -> Links:
    return Links(unsubscribe=f"https://shop.example/u/{message_id}", preferences="", assets="https://shop.example/a/")
