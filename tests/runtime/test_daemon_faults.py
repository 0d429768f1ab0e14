"""Faults of a whole daemon: frozen past its lease, a clock that jumps, a log on a full disk, a database set back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from test_daemon_ends import NO_HTTP, planned, promises_hold, recipients
from trial_shop import Shop, make_shop, real_adapters, until

from outbound.runtime import daemon as daemon_module
from outbound.services.dispatch import DispatchSettings
from outbound.storage.tables import message
from outbound.testing.postgres import empty_database
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

LIBFAKETIME = next((path for path in sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), Path("/absent"))


@pytest.fixture
def postgres_shop(postgres_server: str, tmp_path: Path) -> Iterator[Shop]:
    with empty_database(postgres_server) as url:
        yield make_shop(tmp_path / "shop", database_url=url)


def test_f03_what_a_killed_worker_held_is_on_its_way_again_within_forty_seconds() -> None:
    """F03: the lease and one sweep: what a soak and docs/reliability.md measure follows from these two numbers."""
    assert DispatchSettings().lease.total_seconds() + daemon_module._RECOVER_SECONDS <= 40


def test_f04_a_frozen_daemon_that_wakes_after_its_lease_hands_nothing_over(
    postgres_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """F04: SIGSTOP between RCPT and the handover mark; another one sends everything; SIGCONT: not a byte of a body."""
    shop = postgres_shop
    smtp.set_modes("rcpt=delay 5")
    real_adapters(shop, smtp, twilio, more="[dispatch]\ntick = 30.0\n")
    people = [f"c{number}" for number in range(4)]
    shop.customers(people)
    for name in people:  # before the daemon starts, so that one round takes all four
        shop.run("event", "order.placed", name, "--data", f"order_id={name}")
    with shop.start(*NO_HTTP) as zombie:
        until(lambda: shop.states() == {"sending": 4}, "four attempts before their handover")
        time.sleep(0.3)  # a process frozen inside a transaction would hold its locks: here it waits for the RCPTs
        zombie.signal(signal.SIGSTOP)
        assert smtp.accepted() == []
        shop.let_leases_end()
        smtp.set_modes()
        with shop.start(*NO_HTTP) as other:
            assert other.event("recovered")["ready"] == 4
            until(lambda: shop.states() == {"sent": 4}, "the other one to send them")
            zombie.signal(signal.SIGCONT)
            time.sleep(3)  # the answers to its RCPTs arrive, and it asks for the handover
            assert zombie.stop() == 0
            assert other.stop() == 0
    assert recipients(smtp) == [f"{name}@example.org" for name in people]
    promises_hold(shop, smtp)


def test_f36_a_log_on_a_full_disk_stops_nothing(shop: Shop, smtp: SmtpServer, twilio: TwilioDouble) -> None:
    """F36: standard error is /dev/full: every line of the log fails."""
    everybody = planned(shop, smtp, twilio, 5)
    command = [sys.executable, "-m", "outbound", "-w", str(shop.folder), *NO_HTTP]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OUTBOUND_")}
    with Path("/dev/full").open("wb") as full:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=full, stderr=full, env=clean)
    try:
        until(lambda: shop.states() == {"sent": 5}, "the letters")
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
    assert recipients(smtp) == everybody
    promises_hold(shop, smtp)


@pytest.mark.timeout(300)
def test_f40_a_standby_that_had_not_heard_of_what_was_sent_starts_paused(
    postgres_server: str, smtp: SmtpServer, twilio: TwilioDouble, tmp_path: Path
) -> None:
    """F40: a lagging standby takes over: the messages are still to be sent, as far as it knows. It holds them all.

    The standby is PostgreSQL's own copy of the database as it was before anything was sent.
    """
    with empty_database(postgres_server) as url:
        shop = make_shop(tmp_path / "shop", database_url=url)
        everybody = planned(shop, smtp, twilio, 6)
        smtp.set_modes("connect=hang")
        with shop.start(*NO_HTTP) as daemon:
            until((shop.folder / ".outbound-mark.json").exists, "the first mark")
            daemon.kill()
        primary = sa.make_url(url)
        standby = primary.set(database=f"{primary.database}_standby")
        admin = sa.create_engine(
            sa.make_url(postgres_server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT"
        )
        with admin.connect() as connection:
            gone = "SELECT count(*) FROM pg_stat_activity WHERE datname = :name"
            until(
                lambda: not connection.execute(sa.text(gone), {"name": primary.database}).scalar_one(),
                "the connections of the dead to end",
            )
            connection.exec_driver_sql(f'CREATE DATABASE "{standby.database}" TEMPLATE "{primary.database}"')
        smtp.set_modes()
        shop.let_leases_end()
        with shop.start(*NO_HTTP) as daemon:
            until(lambda: shop.states() == {"sent": 6}, "the letters")
            time.sleep(1.5)  # a tick that notes how far it is
            assert daemon.stop() == 0
        env = (shop.folder / ".env").read_text(encoding="utf-8")
        shop.write(".env", env.replace(str(primary.database), str(standby.database)))
        shop.let_leases_end()
        with shop.start(*NO_HTTP) as daemon:
            daemon.event("restored snapshot: everything is paused")
            until(lambda: shop.states() == {"scheduled": 6}, "the gates to hold them", 90)
            assert "! all is paused since" in shop.run("status").out
            assert daemon.stop() == 0
        with admin.connect() as connection:
            connection.exec_driver_sql(f'DROP DATABASE "{standby.database}" WITH (FORCE)')
        admin.dispose()
    assert recipients(smtp) == everybody, "nobody has two"


def let_waits_end(shop: Shop) -> None:
    """What an hour does to what was put off while the clock was an hour ahead."""
    with shop.database() as database, database.write() as connection:
        waits = message.c.state.in_(("scheduled", "ready"))
        connection.execute(sa.update(message).where(waits).values(not_before=datetime.now(UTC)))


@pytest.mark.timeout(300)
@pytest.mark.skipif(not LIBFAKETIME.is_file(), reason="libfaketime is not installed (Debian: faketime)")
@pytest.mark.parametrize("jumps", [("+3600", "-3600"), ("-1800000000", "+400000000")])
def test_f43_a_clock_that_jumps_under_a_running_daemon_sends_nothing_twice(
    either_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble, jumps: tuple[str, str]
) -> None:
    """F43: an hour ahead and back; to 1969 and to 2039: no message has two copies, none is lost, and it goes on.

    The clock of the daemon alone jumps, in the middle of slow deliveries; its monotonic clock does not.
    """
    shop = either_shop
    stamp = shop.folder / "clock"

    def clock(offset: str) -> None:
        fresh = stamp.with_name("clock-new")
        fresh.write_text(f"{offset}\n")
        fresh.replace(stamp)

    clock("+0")
    smtp.set_modes("sent=delay 0.3")
    everybody = planned(shop, smtp, twilio, 40)
    faked = {
        "LD_PRELOAD": str(LIBFAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
        "PYTHONPATH": str(Path(__file__).with_name("faked_clock")),
    }
    with shop.start(*NO_HTTP, environ=faked, fresh=True) as daemon:
        for number, offset in enumerate(jumps, 1):
            until(lambda n=number: len(smtp.accepted()) >= 5 * n, "some letters", 120)
            clock(offset)
        time.sleep(1.0)
        clock("+0")
        until(lambda: not {"claimed", "sending"} & set(shop.states()), "what was in flight to end", 90)
        daemon.kill()
    smtp.set_modes()
    shop.let_leases_end()
    let_waits_end(shop)
    with shop.start(*NO_HTTP) as daemon:
        daemon.ready()
        until(lambda: not {"scheduled", "ready", "claimed", "sending"} & set(shop.states()), "the rest")
        assert daemon.stop() == 0
    got = recipients(smtp)
    assert len(got) == len(set(got)), "nobody has two"
    assert set(got) <= set(everybody)
    states = shop.states()
    assert sum(states.values()) == len(everybody)
    assert set(states) <= {"sent", "uncertain", "expired"}
    assert states["sent"] >= len(got) - states.get("uncertain", 0)
    if jumps[0] == "+3600":
        assert "expired" not in states, "an hour costs nobody a letter that lives for days"
    promises_hold(shop, smtp)
