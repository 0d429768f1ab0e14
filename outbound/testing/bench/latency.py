"""How long one person waits: from the trigger to the mail server's acceptance, idle and during a bulk run.

A real daemon, a real SMTP server on loopback that notes when it accepted what; the trigger is what `outbound event` and
the API call, in another process than the daemon. The limit is a bare aiosmtplib send of such a mail to the same
server in the same run.
"""

import asyncio
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiosmtplib
import sqlalchemy as sa

from outbound.domain.customer import ChannelName
from outbound.domain.ids import new_ids
from outbound.domain.message import Lane
from outbound.runtime.hints import carry
from outbound.services import releases
from outbound.services.bench.figure import Figure
from outbound.services.bench.newsletter_shop import seed, shop_files
from outbound.services.events import record_event
from outbound.services.releases import Active
from outbound.storage import schema, tables
from outbound.storage.database import Database
from outbound.storage.outbox import insert_messages
from outbound.testing.ledger import Accepted
from outbound.testing.postgres import empty_database, postgres_server
from outbound.testing.smtp_server import SmtpServer

_TRIGGERS, _QUICK_TRIGGERS, _RUNS = 100, 20, 3
_BULK, _QUICK_BULK = 25_000, 3_000
_WARMING = 10
_APART = 0.05
_PATIENCE = 60.0
_BARS = {"idle": 50.0, "bulk": 250.0}

_SETTINGS = """environment = "test"
[server]
port = 0
[email]
adapter = "smtp"
host = "127.0.0.1"
port = {port}
tls = "none"
[safety]
only_to = ["*@example.com"]
"""
_RULE = """
rule: order
owner: ops@shop.example
topic: orders
when: {event: order.placed}
once: "{event.order_id}"
expires: 48h
send: {template: order, channels: [email]}
"""
_TEMPLATE = "subject: {en: Your order}\ncontext: {event: [order_id]}\nsample: {event: {order_id: A1}}\n"
_MJML = "<mj-section><mj-column><mj-text>Order {{ event.order_id }}.</mj-text></mj-column></mj-section>"

Fresh = Callable[[], AbstractContextManager[str]]


def measure_idle(quick: bool) -> list[Figure]:
    """Nothing else to do, on both databases."""
    return [
        _figure("latency_idle", on_sqlite, quick, bulk=False),
        _figure("latency_idle_pg", on_postgres, quick, bulk=False),
    ]


def measure_bulk(quick: bool) -> list[Figure]:
    """During a bulk run, on both databases."""
    return [
        _figure("latency_bulk", on_sqlite, quick, bulk=True),
        _figure("latency_bulk_pg", on_postgres, quick, bulk=True),
    ]


@contextmanager
def on_sqlite() -> Iterator[str]:
    """A new SQLite file in the workspace."""
    yield ""


@contextmanager
def on_postgres() -> Iterator[str]:
    """A new database on a PostgreSQL of its own."""
    with postgres_server() as server, empty_database(server) as url:
        yield url


def _figure(name: str, fresh: Fresh, quick: bool, *, bulk: bool) -> Figure:
    count = _QUICK_TRIGGERS if quick else _TRIGGERS
    runs = [_once(fresh, count, _QUICK_BULK if quick else _BULK, bulk=bulk) for _ in range(1 if quick else _RUNS)]
    ours, bare = [_p99(one) for one, _ in runs], [_p99(one) for _, one in runs]
    value, limit, most = statistics.median(ours), statistics.median(bare), _BARS["bulk" if bulk else "idle"]
    typical = statistics.median(statistics.median(one) for one, _ in runs)
    return Figure(
        name=name,
        value=value,
        unit="ms p99",
        limit=limit,
        ratio=value / limit,
        bar=f"<= {most:.0f} ms",
        met=value <= most,
        what=f"a bare aiosmtplib send, connection included; {count} triggers, median {typical:.1f} ms",
    )


def _once(fresh: Fresh, count: int, bulk_count: int, *, bulk: bool) -> tuple[list[float], list[float]]:
    """Milliseconds of each trigger, and of each bare send."""
    with (
        tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder,
        fresh() as given,
        SmtpServer(Path(folder), keep=False) as server,
    ):
        workspace = Path(folder) / "shop"
        url = given or f"sqlite:///{workspace / 'outbound.db'}"
        write(workspace, server.port, given)
        database = carry(Database(url))
        try:
            active = publish(database, max(count, _WARMING, bulk_count if bulk else 0))
            if bulk:
                queue(database, bulk_count)
            with daemon(workspace):
                wait_for(server, 200 if bulk else 0, database)
                _trigger(database, active, server, _WARMING)  # templates compile once
                ours = _trigger(database, active, server, count)
                bare = asyncio.run(_bare(server, count))
                if bulk and len(server.accepted()) >= bulk_count:
                    raise RuntimeError("the bulk run was over before the last trigger: this measured nothing")
        finally:
            database.close()
    return ours, bare


def write(workspace: Path, port: int, url: str) -> None:
    """A workspace that sends to ``port`` of this machine; ``url`` "" is SQLite."""
    workspace.mkdir()
    (workspace / "outbound.toml").write_text(_SETTINGS.format(port=port), encoding="utf-8")
    secrets = {"SECRET_KEY": "k1:" + "b0" * 32, **({"DATABASE_URL": url} if url else {})}
    env = workspace / ".env"
    env.write_text("".join(f"OUTBOUND_{name}={value}\n" for name, value in secrets.items()), encoding="utf-8")
    env.chmod(0o600)


def publish(database: Database, people: int) -> Active:
    """A receipt and a newsletter, and so many customers."""
    schema.migrate(database)
    files = dict(shop_files())
    policy, letter = files["rules/policy.yaml"], files["rules/newsletter.yaml"]
    policy = policy.replace(b"topics:\n", b"topics:\n  orders: {class: transactional, titles: {en: Orders}}\n")
    files["rules/policy.yaml"] = policy.replace(b"quiet: [email, sms]", b"quiet: []")  # it must not depend on the hour
    files["rules/newsletter.yaml"] = re.sub(rb"when: .*", b'when: {script: {}}\nonce: "{key}"', letter)
    files["rules/order.yaml"] = _RULE.encode()
    files["templates/order/template.yaml"] = _TEMPLATE.encode()
    files["templates/order/email.mjml"] = _MJML.encode()
    published = releases.publish(database, files, by="bench", now=datetime.now(UTC) - timedelta(minutes=1))
    if isinstance(published, tuple):
        raise RuntimeError(published[0].render())  # noqa: TRY004 - the problems that refused it
    with database.write() as connection:
        seed(connection, people)
    active = releases.active(database)
    if active is None:
        raise RuntimeError("published, but not active")
    return active


def queue(database: Database, count: int) -> None:
    """A newsletter that is due for everybody."""
    now = datetime.now(UTC)
    known = {
        "run_id": "bench",
        "rule": "newsletter",
        "rule_version": "bench",
        "release": "bench",
        "once": "2026-11",
        "template": "letter",
        "topic": "newsletter",
        "message_class": "marketing",
        "lane": Lane.BULK.value,
        "priority": 100,
        "channels": ChannelName.EMAIL.value,
        "not_before": now,
        "expires": now + timedelta(days=1),
        "state": "ready",
        "created_at": now,
    }
    rows: list[dict[str, Any]] = [
        known | {"id": identity, "customer_id": f"c-{number:07}", "context": {"customer": {"first_name": "Ada"}}}
        for number, identity in enumerate(new_ids(now, count))
    ]
    with database.write() as connection:
        insert_messages(connection, rows)


@contextmanager
def daemon(workspace: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon on ``workspace`` that has to live to the end of the block; what kills it before must be meant."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OUTBOUND_")}
    command = [sys.executable, "-m", "outbound", "-w", str(workspace), "run", "--no-http"]
    with (workspace / "daemon.log").open("wb") as log:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean)  # noqa: S603 - ours
        try:
            yield child
            if child.poll() not in (None, -signal.SIGKILL):
                raise RuntimeError(f"the daemon ended: {(workspace / 'daemon.log').read_text()[-2000:]}")
        finally:
            child.send_signal(signal.SIGKILL)
            child.wait()


def wait_for(server: SmtpServer, accepted: int, database: Database) -> None:
    """Until the daemon is up and has sent so many."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        with database.read() as connection:
            up = connection.execute(sa.select(sa.func.count()).select_from(tables.daemon)).scalar_one()
        if up and len(server.accepted()) >= accepted:
            time.sleep(1.0)  # its first ticks are those of a start, which nobody's patience is about
            return
        if time.monotonic() > deadline:
            raise RuntimeError("the daemon did not start")
        time.sleep(0.1)


def _trigger(database: Database, active: Active, server: SmtpServer, count: int) -> list[float]:
    begun: dict[str, float] = {}
    before = len(server.accepted())
    for number in range(count):
        customer, order = f"c-{number:07}", f"order-{number}-{time.monotonic_ns()}"
        begun[f"{customer}@example.com"] = time.time()  # the clock of the ledger
        record_event(
            database,
            active.ruleset.schema,
            name="order.placed",
            customer_id=customer,
            data={"order_id": order},
            event_id=order,
            now=datetime.now(UTC),
        )
        time.sleep(_APART)
    deadline = time.monotonic() + _PATIENCE
    while len(found := _orders(server.accepted()[before:])) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{count - len(found)} of {count} orders did not arrive")
        time.sleep(0.1)
    return [(at - begun[address]) * 1_000 for address, at in found.items()]


def _orders(accepted: list[Accepted]) -> dict[str, float]:
    """When the mails of the orders were accepted, by address."""
    return {one.recipient: one.time for one in accepted if one.facts.get("sender", "").startswith("orders@")}


async def _bare(server: SmtpServer, count: int) -> list[float]:
    """Connect, say hello and send one small mail, one after the other."""
    mail = b"From: orders@shop.example\r\nTo: c@example.com\r\nSubject: Your order\r\n\r\n" + b"x" * 2_000 + b"\r\n"
    times = []
    for _ in range(count):
        started = time.perf_counter()
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=server.port, start_tls=False)
        async with client:
            await client.sendmail("bare@shop.example", ["bare@example.com"], mail)
            times.append((time.perf_counter() - started) * 1_000)
        await asyncio.sleep(_APART / 5)
    return times


def _p99(times: list[float]) -> float:
    return statistics.quantiles(times, n=100, method="inclusive")[98]
