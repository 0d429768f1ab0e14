"""The processes of a soak: daemons, provider doubles, proxies and the database. It ends only what it started."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outbound.storage.database import Database
from outbound.storage.tables import breaker
from outbound.testing import postgres
from outbound.testing.postgres import OwnServer
from outbound.testing.proxy import TcpProxy
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.soak import shop
from outbound.testing.twilio_double import TwilioDouble

_DIE_WITH_PARENT = 1
_STOP_SECONDS = 30


class Daemon:
    """``outbound run``, or a worker, as a process of its own, started anew after each end; one log for each start."""

    def __init__(self, name: str, folder: Path, logs: Path, *, command: str = "run") -> None:
        self.name = name
        self.serves = command == "run"
        self._command = command
        self.starts = 0
        self.frozen = False
        self._folder, self._logs = folder, logs
        self._child: subprocess.Popen[bytes] | None = None
        self._log = logs

    def start(self, environ: Mapping[str, str] | None = None) -> None:
        """Start it, unless it runs."""
        if self.running:
            return
        self.starts += 1
        self.frozen = False
        self._log = self._logs / f"{self.name}-{self.starts:04}.log"
        clean = {name: value for name, value in os.environ.items() if not name.startswith("OUTBOUND_")}
        command = [sys.executable, "-m", "outbound", "-w", str(self._folder), self._command]
        with self._log.open("wb") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env=clean | dict(environ or {}),
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - it calls one function of the system
            )

    @property
    def running(self) -> bool:
        """Whether the process is there, frozen or not."""
        return self._child is not None and self._child.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the newest start, 0 before the first."""
        return self._child.pid if self._child is not None else 0

    @property
    def url(self) -> str:
        """Where it answers HTTP, "" while it does not."""
        return f"http://{self._said['http']}" if self.serves and self._said else ""

    @property
    def up(self) -> bool:
        """Whether it has said that it runs."""
        return bool(self._said)

    @property
    def _said(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            for line in self._log.read_text(encoding="utf-8", errors="replace").splitlines():
                if '"daemon started"' in line:
                    said: dict[str, Any] = json.loads(line)
                    return said
        return {}

    def kill(self) -> None:
        """SIGKILL."""
        if self._child is not None:
            self._child.kill()
            self._child.wait()

    def freeze(self) -> None:
        """SIGSTOP."""
        if self._child is not None and self.running:
            self._child.send_signal(signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """SIGCONT."""
        if self._child is not None and self.running:
            self._child.send_signal(signal.SIGCONT)
        self.frozen = False

    def stop(self) -> int:
        """SIGTERM and its exit status; one that does not end in time is killed (-9)."""
        if self._child is None:
            return 0
        self.thaw()
        self._child.terminate()
        try:
            return self._child.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that runs. ``server`` is None on SQLite and where a PostgreSQL was given, which we never restart."""

    folder: Path
    evidence: Path
    smtp: SmtpServer
    twilio: TwilioDouble
    proxies: dict[str, TcpProxy]
    daemons: list[Daemon]
    server: OwnServer | None
    direct_url: str
    stuck_daemons: list[str] = field(default_factory=list)

    @contextmanager
    def database(self) -> Iterator[Database]:
        """The record itself, past every proxy."""
        database = Database(self.direct_url)
        try:
            yield database
        finally:
            database.close()

    @property
    def workspace(self) -> Path:
        """The folder of outbound.toml."""
        return self.folder / "shop"

    @property
    def logs(self) -> list[Path]:
        """Every log of every start."""
        return sorted((self.evidence / "logs").glob("*.log"))

    def heal(self) -> None:
        """Providers are well, nothing is in the way, nobody is frozen."""
        for proxy in self.proxies.values():
            proxy.heal()
        self.smtp.set_modes(*shop.MAIL_STANDING)
        self.twilio.set_modes(*shop.TEXT_STANDING)
        self.smtp.drop_connections()
        for daemon in self.daemons:
            daemon.thaw()

    def restart_daemons(self) -> None:
        """End every daemon in order, forget the pauses of accounts that are well again, and start them."""
        for daemon in self.daemons:
            if daemon.running and (status := daemon.stop()) == -signal.SIGKILL:
                self.stuck_daemons.append(f"{daemon.name} start {daemon.starts} (exit {status})")
        with self.database() as database, database.write() as connection:
            connection.execute(breaker.delete())
        for daemon in self.daemons:
            daemon.start()

    def wait_until_serving(self, seconds: float = 60) -> None:
        """Wait until every daemon has said that it runs. Raises RuntimeError when one does not."""
        deadline = time.monotonic() + seconds
        while not all(daemon.up for daemon in self.daemons):
            if time.monotonic() > deadline or not all(daemon.running for daemon in self.daemons):
                raise RuntimeError(f"a daemon did not start: see {self.evidence / 'logs'}")
            time.sleep(0.05)


@contextmanager
def build(evidence: Path, *, kind: str, minutes: float, workers: int = 0) -> Iterator[World]:
    """Doubles, proxies, a database and a workspace; daemons are not started yet. ``kind``: sqlite or postgresql.

    ``workers``: so many processes that send, one of them `outbound run` (0: two of it on PostgreSQL, one on SQLite).
    """
    folder = evidence / kind
    folder.mkdir(parents=True)
    (evidence / "logs").mkdir(exist_ok=True)
    with ExitStack() as stack:
        smtp = stack.enter_context(SmtpServer(folder, modes=shop.MAIL_STANDING, keep=False))
        twilio = stack.enter_context(TwilioDouble(folder, modes=shop.TEXT_STANDING, auth_token=shop.TOKEN))
        proxies = {
            "smtp": stack.enter_context(TcpProxy(f"127.0.0.1:{smtp.port}")),
            "twilio": stack.enter_context(TcpProxy(f"127.0.0.1:{twilio.port}")),
        }
        direct, proxied, server = f"sqlite:///{folder / 'shop' / 'outbound.db'}", "", None
        if kind == "postgresql":
            direct, server = _postgresql(stack)
            proxies["database"] = stack.enter_context(TcpProxy(postgres.address_of(direct)))
            proxied = postgres.through(direct, proxies["database"].port)
        shop.write_shop(
            folder / "shop",
            smtp=proxies["smtp"].port,
            twilio=proxies["twilio"].port,
            account=twilio.account_sid,
            database_url=proxied,
            now=datetime.now(UTC),
            minutes=minutes,
        )
        commands = ["run", *["worker"] * (workers - 1)] if workers else ["run"] * (2 if kind == "postgresql" else 1)
        daemons = [
            Daemon(f"{kind}-{number}", folder / "shop", evidence / "logs", command=command)
            for number, command in enumerate(commands, 1)
        ]
        world = World(
            folder=folder,
            evidence=evidence,
            smtp=smtp,
            twilio=twilio,
            proxies=proxies,
            daemons=daemons,
            server=server,
            direct_url=direct,
        )
        try:
            yield world
        finally:
            for daemon in daemons:
                daemon.kill()


def _postgresql(stack: ExitStack) -> tuple[str, OwnServer | None]:
    given = os.environ.get(postgres.GIVEN)
    server = None if given else stack.enter_context(postgres.own_server(in_memory=True))
    return stack.enter_context(postgres.empty_database(server.url if server else str(given))), server


def _die_with_parent() -> None:
    """Linux: a daemon does not outlive the soak, whatever ends it."""
    if sys.platform == "linux":
        libc: Any = ctypes.CDLL(None)
        libc.prctl(_DIE_WITH_PARENT, signal.SIGKILL)
