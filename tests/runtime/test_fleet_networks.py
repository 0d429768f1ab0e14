"""Workers in networks of their own, cut off and killed while they send (Linux, as root; skipped elsewhere)."""

import contextlib
import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from trial_shop import Running, Shop, make_shop, real_adapters, until

from outbound.storage import overview
from outbound.storage.database import Database, database_now
from outbound.storage.tables import message
from outbound.testing.checker import check
from outbound.testing.postgres import address_of, empty_database, through
from outbound.testing.proxy import TcpProxy
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

_NEW_NETWORK = 0x40000000


class Network:
    """A network namespace with nothing but its own loopback."""

    def __init__(self, holder: int) -> None:
        self._holder = holder

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """Processes that this thread starts in the block live in it."""
        libc: Any = ctypes.CDLL(None, use_errno=True)
        with Path("/proc/self/ns/net").open("rb") as home, Path(f"/proc/{self._holder}/ns/net").open("rb") as there:
            assert libc.setns(there.fileno(), _NEW_NETWORK) == 0, os.strerror(ctypes.get_errno())
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), _NEW_NETWORK) == 0

    def link(self, state: str) -> None:
        """``down``: every packet is lost, and nobody is told. ``up``: as before."""
        with self.inside():
            subprocess.run(["ip", "link", "set", "lo", state], check=True, timeout=10)


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """A new one, which ends with the block."""
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as holder:
        try:
            other = Path("/proc/self/ns/net").readlink()
            until(lambda: Path(f"/proc/{holder.pid}/ns/net").readlink() != other, "the namespace", 10)
            made = Network(holder.pid)
            made.link("up")
            yield made
        finally:
            holder.kill()


def _why_not() -> str:
    if not all(map(shutil.which, ("ip", "unshare"))) or os.name != "posix":
        return "there is no ip or unshare here"
    tried = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return "" if tried.returncode == 0 else "network namespaces cannot be made here"


class Elsewhere:
    """A worker with its own network, way to the database and mail server."""

    def __init__(self, shop: Shop, url: str, folder: Path, network: Network, stack: contextlib.ExitStack) -> None:
        self.network = network
        mail = folder.with_name(f"{folder.name}-mail")
        mail.mkdir()
        with network.inside():
            self.smtp = stack.enter_context(SmtpServer(mail, modes=["sent=delay 1"]))
            proxy = stack.enter_context(TcpProxy(address_of(url)))
            shutil.copytree(shop.folder, folder)
            there = Shop(folder=folder)
            there.settings(
                (shop.folder / "outbound.toml")
                .read_text(encoding="utf-8")
                .replace(_port(shop), f"port = {self.smtp.port}")
            )
            secrets = (shop.folder / ".env").read_text(encoding="utf-8")
            there.write(".env", secrets.replace(url, through(url, proxy.port)))
            self.process: Running = stack.enter_context(there.start("worker", fresh=True))


def _port(shop: Shop) -> str:
    lines = (shop.folder / "outbound.toml").read_text(encoding="utf-8").splitlines()
    return next(line for line in reversed(lines) if line.startswith("port = ") and line != "port = 0")


def holds(database: Database) -> dict[int, int]:
    """What each process holds, by its id."""
    with database.read() as connection:
        return {one.pid: one.holds for one in overview.daemons(connection)}


def let_leases_of(database: Database, pids: Sequence[int]) -> None:
    """What thirty seconds do to the leases of processes that renew them no more."""
    theirs = sa.or_(*(message.c.worker.contains(f":{pid}:", autoescape=True) for pid in pids))
    with database.write() as connection:
        over = database_now(connection) - timedelta(seconds=1)
        connection.execute(
            sa.update(message).where(theirs, message.c.lease_until.is_not(None)).values(lease_until=over)
        )


@pytest.mark.kill
@pytest.mark.timeout(300)
def test_f04_a_worker_that_is_cut_off_and_one_that_is_killed_lose_and_double_nothing(
    postgres_server: str, smtp: SmtpServer, twilio: TwilioDouble, tmp_path: Path
) -> None:
    """F03, F04, F05: three workers in three networks; one is cut off, one killed; the third sends what they held."""
    if reason := _why_not():
        pytest.skip(reason)
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(empty_database(postgres_server))
        shop = make_shop(tmp_path / "shop", database_url=url)
        smtp.set_modes("sent=delay 1")
        real_adapters(shop, smtp, twilio, more="[dispatch]\nslice = 20\n")
        everybody = [f"c{number:03}" for number in range(300)]
        people = shop.customers(everybody)
        database = stack.enter_context(shop.database())
        far = [
            Elsewhere(shop, url, tmp_path / name, stack.enter_context(network()), stack) for name in ("cut", "killed")
        ]
        cut, killed = far
        here = stack.enter_context(shop.start("run", "--no-http"))
        for process in (here, *(one.process for one in far)):
            process.ready()
        shop.run("send", "letter", "--key", "k", "--customers", str(people))
        pids = [one.process.child.pid for one in far]
        until(
            lambda: all(one.smtp.accepted() and holds(database).get(pid) for one, pid in zip(far, pids, strict=True)),
            "both to send and to hold messages",
        )
        cut.network.link("down")
        killed.process.kill()
        smtp.set_modes()
        let_leases_of(database, pids)
        assert here.event("recovered")["ready"] > 0
        until(lambda: not {"ready", "claimed", "sending"} & set(shop.states()), "the third to send the rest")
        cut.network.link("up")
        assert cut.process.stop() == 0, cut.process.err
        assert here.stop() == 0, here.err
        accepted = [*smtp.accepted(), *(entry for one in far for entry in one.smtp.accepted())]
        assert check(database, accepted) == ()
        states = shop.states()
        assert set(states) <= {"sent", "uncertain"}
        assert len(accepted) + states.get("uncertain", 0) >= len(everybody), "nobody is forgotten"
        assert len({entry.recipient for entry in accepted}) == len(accepted), "nobody has two"
