"""Text messages per second: through the adapter alone, and durably from due to recorded; beside bare aiohttp."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import aiohttp
import sqlalchemy as sa

from outbound.channels.base import Parcel
from outbound.channels.sms.twilio import TwilioAdapter, TwilioSettings
from outbound.domain.customer import ChannelName
from outbound.domain.outcome import OutcomeKind
from outbound.runtime import loop
from outbound.services import releases
from outbound.services.bench.figure import Figure
from outbound.services.bench.newsletter_shop import PUBLISHED, seed, shop_files
from outbound.storage import tables
from outbound.storage.bulk import insert_ignore, instant_writer
from outbound.storage.database import Database
from outbound.storage.outbox import insert_messages
from outbound.testing.bench.send_email import dispatch, due
from outbound.testing.twilio_double import TwilioDouble

_MESSAGES, _RUNS = 5_000, 5
_QUICK_MESSAGES = 500
_AT_ONCE = 20
_BAR = 2_000
_FROM = "+15005550006"
_WORDS = "Hello Ada, the oil of this year is here. Reply STOP to end."
_ADDRESS = ("customer_id", "channel", "value", "hash", "state", "updated_at")


def measure(quick: bool) -> list[Figure]:
    """The medians of five interleaved runs (one when ``quick``), ``_AT_ONCE`` requests at once, SQLite FULL."""
    count, runs = (_QUICK_MESSAGES, 1) if quick else (_MESSAGES, _RUNS)
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder, TwilioDouble(Path(folder)) as double:
        adapter, durable, limits = [], [], []
        for number in range(runs):
            limits.append(_rate(_bare, double, count))
            adapter.append(_rate(_adapter, double, count))
            durable.append(_durable(double, f"sqlite:///{Path(folder) / f'{number}.db'}", count))
    what = f"a bare aiohttp POST to the same double, {_AT_ONCE} at once"
    rate = statistics.median(adapter)
    return [
        Figure(
            name="send_sms",
            value=rate,
            unit="messages/s",
            limit=statistics.median(limits),
            ratio=_ratio(adapter, limits),
            bar=f">= {_BAR:,}/s",
            met=rate >= _BAR,
            what=f"{what}; through the adapter",
        ),
        Figure(
            name="send_sms_sqlite",
            value=statistics.median(durable),
            unit="messages/s",
            limit=statistics.median(limits),
            ratio=_ratio(durable, limits),
            what=f"{what}; end to end, from due to recorded",
        ),
    ]


def _ratio(ours: list[float], limits: list[float]) -> float:
    return statistics.median(one / most for one, most in zip(ours, limits, strict=True))


Sender = Callable[[TwilioDouble], AbstractAsyncContextManager[Callable[[str], Awaitable[None]]]]
"""Opens what sends one text to a number."""


def _rate(sender: Sender, double: TwilioDouble, count: int) -> float:
    """Texts per second of ``_AT_ONCE`` tasks that send one after the other."""

    async def main() -> float:
        async with sender(double) as send:
            await send(_number(0))  # the first one loads what it needs and connects
            numbers = iter(range(count))

            async def work() -> None:
                for number in numbers:
                    await send(_number(number))

            start = time.perf_counter()
            await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
            return count / (time.perf_counter() - start)

    return loop.run(main())


@asynccontextmanager
async def _adapter(double: TwilioDouble) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    adapter = TwilioAdapter(_settings(double))

    async def handover() -> bool:
        return True

    async def send(number: str) -> None:
        parcel = Parcel(reference=number, channel=ChannelName.SMS, address=number, payload=_WORDS.encode())
        outcome = await adapter.deliver(parcel, handover)
        if outcome.kind is not OutcomeKind.ACCEPTED:
            raise RuntimeError(outcome.text)

    try:
        yield send
    finally:
        await adapter.close()


@asynccontextmanager
async def _bare(double: TwilioDouble) -> AsyncIterator[Callable[[str], Awaitable[None]]]:
    url = f"{double.api_base}/2010-04-01/Accounts/{double.account_sid}/Messages.json"
    who = {"Authorization": aiohttp.BasicAuth(double.account_sid, double.auth_token).encode()}

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=_AT_ONCE), headers=who) as session:

        async def send(number: str) -> None:
            async with session.post(url, data={"To": number, "From": _FROM, "Body": _WORDS}) as answer:
                answer.raise_for_status()
                await answer.json()

        yield send


def _durable(double: TwilioDouble, url: str, count: int) -> float:
    """Texts per second of a dispatcher, each gated, rendered, handed over and recorded."""
    database = Database(url)
    try:
        _queue(database, count)
        return dispatch(database, {ChannelName.SMS: TwilioAdapter(_settings(double))}, count)
    finally:
        database.close()


def _queue(database: Database, count: int) -> None:
    tables.metadata.create_all(database.engine)
    texts = {
        "templates/letter/sms.txt": b"Hello {{ customer.first_name }}, the oil of this year is here.",
        "templates/brand/layout.sms.txt": b"{{ content }} Stop: {{ unsubscribe_url }}",
    }
    published = releases.publish(database, {**shop_files(), **texts}, by="bench", now=PUBLISHED)
    if isinstance(published, tuple):
        raise RuntimeError(published[0].render())  # noqa: TRY004 - the problems that refused it
    with database.write() as connection:
        seed(connection, count)
        ids = list(connection.execute(sa.select(tables.customer.c.id)).scalars())
        at = instant_writer(connection)(PUBLISHED)
        rows = ((one, "sms", _number(n), f"sms-{n}", "ok", at) for n, one in enumerate(ids))
        insert_ignore(connection, tables.address, _ADDRESS, rows)
        insert_messages(connection, [due(one, ChannelName.SMS) for one in ids])


def _number(number: int) -> str:
    return f"+3933{number:08}"


def _settings(double: TwilioDouble) -> TwilioSettings:
    return TwilioSettings(
        account_sid=double.account_sid,
        auth_token=double.auth_token,
        api_base=double.api_base,
        from_number=_FROM,
        concurrency=_AT_ONCE,
    )
