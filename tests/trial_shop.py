"""A small installation for tests of the command line and the daemon: real files, real commands, real processes.

Nothing in it depends on the hour: no topic has quiet hours.
"""

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import sqlalchemy as sa
from fork_server import fork

from outbound.interfaces import cli
from outbound.storage.database import Database
from outbound.storage.tables import message
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

SECRET = "k1:" + "5a" * 32

POLICY = """
policy: 1
timezone: Europe/Rome
classes:
  transactional: {consent: none, quiet: [], priority: 900}
  service:       {consent: none, quiet: [], priority: 700}
  marketing:     {consent: opt_in, quiet: [], priority: 100, unsubscribe: required}
topics:
  orders:     {class: transactional, titles: {en: Orders}}
  notices:    {class: service, titles: {en: Notices}}
  newsletter: {class: marketing, titles: {en: The monthly letter}}
channels:
  email: {cost: EUR 0.0004, sender: brand}
  sms:   {cost: EUR 0.07, max_parts: 2}
waterfall: {default: [email, sms], next_on: [unreachable, not_allowed]}
quiet_hours:
  default: {from: "21:00", to: "08:00"}
brand:
  name: Shop
  senders:
    marketing: "Shop <news@shop.example>"
    service: "Shop <hello@shop.example>"
    transactional: "Shop <orders@shop.example>"
  reply_to: hello@shop.example
  address: "Example Street 1, Rome"
  languages: [en]
  fallback: en
"""

SCHEMA = """
customer:
  id:         {type: string, required: true}
  email:      {type: string}
  phone:      {type: string}
  country:    {type: string}
  first_name: {type: string}
events:
  order.placed: {order_id: {type: string, required: true}, total: {type: number}}
"""

RULES = """
rule: receipt
owner: ops@shop.example
topic: orders
when: {event: order.placed}
once: "{event.order_id}"
expires: 48h
send: {template: receipt, channels: [email]}
---
rule: notice
owner: ops@shop.example
topic: notices
when: {script: {what: string}}
once: "{key}"
send: {template: notice, channels: [email, sms]}
---
rule: letter
owner: crm@shop.example
topic: newsletter
when: {script: {}}
once: "{key}"
send: {template: letter, channels: [email]}
"""

_LAYOUT = """<mjml><mj-head><mj-title>{{ subject }}</mj-title></mj-head><mj-body>{{ content }}
<mj-section><mj-column><mj-text>
{% if marketing %}<a href="{{ unsubscribe_url }}">Unsubscribe</a>{% endif %} {{ brand.postal_address }}
</mj-text></mj-column></mj-section></mj-body></mjml>"""
_TEXT_LAYOUT = """{{ content }}

{% if marketing %}Stop: {{ unsubscribe_url }}
{% endif %}{{ brand.postal_address }}
"""
_SECTION = "<mj-section><mj-column><mj-text>{}</mj-text></mj-column></mj-section>"

FILES = {
    "rules/policy.yaml": POLICY,
    "rules/schema.yaml": SCHEMA,
    "rules/rules.yaml": RULES,
    "templates/brand/brand.yaml": "locales: {en: en_GB}\n",
    "templates/brand/layout.mjml": _LAYOUT,
    "templates/brand/layout.txt": _TEXT_LAYOUT,
    "templates/brand/layout.sms.txt": "{{ content }}",
    "templates/receipt/template.yaml": (
        "subject: {en: Your order}\ncontext: {event: [order_id]}\nsample: {event: {order_id: A1}}\n"
    ),
    "templates/receipt/email.mjml": _SECTION.format("Order {{ event.order_id }}."),
    "templates/notice/template.yaml": (
        "subject: {en: A notice}\ncontext: {script: [what]}\nsample: {script: {what: x}}\n"
    ),
    "templates/notice/email.mjml": _SECTION.format("About {{ script.what }}."),
    "templates/notice/sms.txt": "About {{ script.what }}.",
    "templates/letter/template.yaml": "subject: {en: The letter}\n",
    "templates/letter/email.mjml": _SECTION.format("Hello from the shop."),
    "mapping.yaml": """import: customers
source: test
format: csv
key: id
fields: {email: email, phone: phone, country: country, first_name: first_name}
consents:
  - topic: newsletter
    channel: email
    when: {column: letter, in: ["yes"]}
    at: {column: consent_at}
    wording: "Yes, write to me."
""",
    "orders.yaml": """import: events
source: test
format: jsonl
event: order.placed
customer: customer
id: order_id
at: {column: at}
data: {order_id: order_id}
""",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one command said, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shop:
    """A workspace on disk."""

    folder: Path

    def run(self, *words: str, status: int | None = 0) -> Answer:
        """Run a command in this process; ``status`` None takes any."""
        return outbound("-w", str(self.folder), *words, status=status)

    def start(self, *words: str, environ: Mapping[str, str] | None = None, fresh: bool = False) -> "Running":
        """Start a command as a process of its own: forked, or as ``fresh`` as an operator starts it."""
        return Running(["-w", str(self.folder), *words], self.folder, environ or {}, fresh=fresh)

    def write(self, name: str, text: str) -> Path:
        """Write a file into the workspace."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def settings(self, text: str) -> None:
        """Replace outbound.toml."""
        self.write("outbound.toml", text)

    def secrets(self, **values: str) -> None:
        """Replace .env; the secret key stays."""
        path = self.write(".env", "".join(f"{k}={v}\n" for k, v in {"OUTBOUND_SECRET_KEY": SECRET, **values}.items()))
        path.chmod(0o600)

    def customers(self, ids: Iterable[str], *, phones: bool = False) -> Path:
        """Import customers who want the letter, each with an address of one kind; answers a file that names them."""
        names = list(ids)

        def row(number: int, name: str) -> str:
            reached = f",+39340{1000000 + number}" if phones else f"{name}@example.org,"
            return f"{name},{reached},IT,Ada,yes,2026-01-01T10:00Z"

        header = "id,email,phone,country,first_name,letter,consent_at"
        lines = [header, *(row(number, name) for number, name in enumerate(names))]
        file = self.write("customers.csv", "\n".join(lines) + "\n")
        self.run("import", "customers", str(file), "--mapping", str(self.folder / "mapping.yaml"))
        return self.write("recipients.csv", "\n".join(("id", *names)) + "\n")

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The database, opened for a look."""
        from outbound.config import read_settings

        database = Database(read_settings(self.folder).database_url)
        try:
            yield database
        finally:
            database.close()

    def states(self) -> dict[str, int]:
        """How many messages are in each state."""
        query = sa.select(message.c.state, sa.func.count()).group_by(message.c.state)
        with self.database() as database, database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def let_leases_end(self) -> None:
        """What thirty seconds do to the leases of a process that is dead."""
        with self.database() as database, database.write() as connection:
            over = sa.func.datetime("2000-01-01") if database.is_sqlite else sa.text("timestamptz '2000-01-01'")
            held = message.c.lease_until.is_not(None)
            connection.execute(sa.update(message).where(held).values(lease_until=over))


class Running:
    """A command in a process of its own, its standard error in a file."""

    def __init__(self, words: Sequence[str], folder: Path, environ: Mapping[str, str], *, fresh: bool) -> None:
        self._log = folder / f"stderr-{time.monotonic_ns()}.log"
        self._log.touch()
        self.child = (
            _start(words, log=self._log, environ=environ) if fresh else fork(words, log=self._log, environ=environ)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()

    @property
    def err(self) -> str:
        """Standard error so far."""
        return self._log.read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, Any]]:
        """Its complete log lines, which must all be JSON."""
        return [json.loads(line) for line in self.err.splitlines(keepends=True) if line.endswith("\n")]

    def event(self, name: str) -> dict[str, Any]:
        """Wait until it has logged ``name``; answers that line."""

        def found() -> dict[str, Any] | None:
            assert self.child.poll() is None or name in self.err, f"it ended with {self.child.poll()}:\n{self.err}"
            return next((line for line in self.lines() if line["event"] == name), None)

        line: dict[str, Any] = until(found, f"the log line {name!r}")
        return line

    def ready(self) -> str:
        """Wait until the daemon runs; answers the URL it serves, or ""."""
        where = self.event("daemon started")["http"]
        return f"http://{where}" if where else ""

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.child.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self.signal(signal.SIGTERM)
        return self.ended()

    def kill(self) -> None:
        """Send SIGKILL."""
        self.child.kill()
        self.child.wait()

    def ended(self, seconds: float = 60) -> int:
        """Its exit status, once it has ended."""
        return self.child.wait(seconds)


def _start(words: Sequence[str], *, log: Path, environ: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OUTBOUND_")}
    nothing = subprocess.DEVNULL
    with log.open("wb") as err:
        command = [sys.executable, "-m", "outbound", *words]
        return subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=err, env=clean | dict(environ))


def until(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait for a condition to become true; answers its value. The one place where a test here waits."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.02)
    return value


def outbound(*words: str, status: int | None = 0) -> Answer:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        got = cli.execute(words)
    answer = Answer(status=got, out=out.getvalue(), err=err.getvalue())
    assert status is None or got == status, f"exit status {got}:\n{answer.out}\n{answer.err}"
    return answer


def make_shop(folder: Path, *, database_url: str = "") -> Shop:
    """A migrated workspace whose release runs; the adapters are the mailbox."""
    shop = Shop(folder=folder)
    for name, text in FILES.items():
        shop.write(name, text)
    shop.secrets(**({"OUTBOUND_DATABASE_URL": database_url} if database_url else {}))
    shop.settings('environment = "test"\n[server]\nport = 0\n')
    shop.run("migrate")
    shop.run("--at", "2026-11-01T08:00Z", "apply")  # older than every moment a test acts at, whatever the day today
    return shop


def copy_shop(shop: Shop, folder: Path) -> Shop:
    """The same on SQLite, elsewhere."""
    shutil.copytree(shop.folder, folder)
    return Shop(folder=folder)


def real_adapters(shop: Shop, smtp: SmtpServer, twilio: TwilioDouble, *, more: str = "") -> None:
    """Send for real, to doubles on loopback. The safety guard lets example.org and Italian numbers through."""
    shop.settings(
        f"""environment = "test"
{more}
[server]
port = 0
[email]
adapter = "smtp"
host = "127.0.0.1"
port = {smtp.port}
tls = "none"
connections = 4
[sms]
adapter = "twilio"
account_sid = "{twilio.account_sid}"
from_number = "+15005550006"
api_base = "{twilio.api_base}"
[safety]
only_to = ["*@example.org", "+39*"]
"""
    )
    env = (shop.folder / ".env").read_text(encoding="utf-8")
    kept = {k: v for k, _, v in (line.partition("=") for line in env.splitlines()) if k == "OUTBOUND_DATABASE_URL"}
    shop.secrets(**kept, OUTBOUND_TWILIO_AUTH_TOKEN=twilio.auth_token)


def get(url: str, *, form: bytes | None = None) -> tuple[int, str]:
    """Status and body of a request on loopback: GET, or POST where there is a form."""
    parts = urlsplit(url)
    connection = HTTPConnection(parts.netloc, timeout=30)
    try:
        connection.request("GET" if form is None else "POST", parts.path, form)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
