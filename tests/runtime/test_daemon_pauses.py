"""The daemon and the kill switches: restored copies start paused, and commands steer one that runs."""

import shutil
import time
from collections import Counter
from pathlib import Path

from test_daemon_ends import NO_HTTP, planned, promises_hold
from trial_shop import Shop, real_adapters, until

from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


def test_f13_a_restored_copy_starts_paused_and_sends_nothing_twice(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble, tmp_path: Path
) -> None:
    """F13: a copy of the database is made, everything is sent, the copy comes back: nobody gets a second letter.

    The operator sees why, and what leaves after the word is what the operator let go.
    """
    everybody = planned(shop, smtp, twilio, 20)
    with shop.start(*NO_HTTP) as daemon:  # an installation that has run before
        until(smtp.accepted, "the first letter")
        until(lambda: shop.states() == {"sent": 20}, "all letters")
        assert daemon.stop() == 0
    file = shop.customers([f"d{n:03}" for n in range(20)])
    shop.run("send", "letter", "--key", "second", "--customers", str(file))
    copy = tmp_path / "copy.db"
    shutil.copy(shop.folder / "outbound.db", copy)
    for rest in ("-wal", "-shm"):
        beside = shop.folder / f"outbound.db{rest}"
        assert not beside.exists() or beside.stat().st_size == 0 or rest == "-shm", "the copy would be torn"
    with shop.start(*NO_HTTP) as daemon:
        until(lambda: shop.states() == {"sent": 40}, "all letters")
        until((shop.folder / ".outbound-mark.json").exists, "the mark")
        time.sleep(1.5)  # a tick after the last letter
        assert daemon.stop() == 0
    assert len(smtp.accepted()) == 40
    shutil.copy(copy, shop.folder / "outbound.db")
    assert shop.states() == {"sent": 20, "ready": 20}
    with shop.start(*NO_HTTP) as daemon:
        line = daemon.event("restored snapshot: everything is paused")
        assert "Restoring an old copy" in line["remedy"]
        until(lambda: shop.states() == {"sent": 20, "scheduled": 20}, "the gates to hold them")
        status = shop.run("status")
        assert "! all is paused since" in status.out
        assert 'by outbound: "restored snapshot: the database is from' in status.out
        assert daemon.stop() == 0
    assert len(smtp.accepted()) == 40
    assert max(Counter(entry.recipient for entry in smtp.accepted()).values()) == 1
    assert len(everybody) == 20


def test_commands_steer_a_daemon_that_runs(either_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble) -> None:
    """Pause: nothing leaves a second later. Resume: spread, each once, and no recheck is waited for."""
    shop = either_shop
    smtp.set_modes("sent=delay 0.05")
    everybody = planned(shop, smtp, twilio, 120)
    with shop.start(*NO_HTTP) as daemon:
        until(lambda: len(smtp.accepted()) >= 10, "the first letters")
        answer = shop.run("pause", "rule:letter", "--reason", "wrong price", "--by", "mia", "--json")
        assert answer.json["new"] is True
        time.sleep(1.0)
        then = len(smtp.accepted())
        time.sleep(1.5)
        assert len(smtp.accepted()) == then < len(everybody)
        until(lambda: set(shop.states()) == {"sent", "scheduled"}, "the gates to hold the rest")
        status = shop.run("status").out
        assert "rule:letter is paused since" in status
        assert 'by mia: "wrong price" -> outbound resume rule:letter' in status
        rehearsed = shop.run("resume", "rule:letter", "--dry-run")
        left = len(everybody) - then
        assert f"rule:letter would go on: due now {left}, expired 0" in rehearsed.out
        shop.run("resume", "rule:letter")
        until(lambda: len(smtp.accepted()) >= then + 2, "the first after the return", 20)
        smtp.set_modes()
        assert len(smtp.accepted()) < len(everybody), "a return does not burst"
        until(lambda: len(smtp.accepted()) >= then + 5, "the next", 20)
        assert daemon.stop() == 0
    assert max(Counter(entry.recipient for entry in smtp.accepted()).values()) == 1
    promises_hold(shop, smtp)


def test_a_paused_channel_is_not_used_and_another_takes_its_place(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """The notice may leave by e-mail or SMS: with e-mail paused it goes to those with a phone only."""
    real_adapters(shop, smtp, twilio)
    file = shop.customers(["ada"])
    shop.run("pause", "email", "--reason", "outage")
    shop.run("send", "notice", "--key", "k", "--customers", str(file), "--data", "what=x")
    with shop.start(*NO_HTTP) as daemon:
        until(lambda: shop.states() == {"scheduled": 1}, "the gate to hold it")
        shop.run("resume", "email")
        until(lambda: shop.states() == {"sent": 1}, "the notice")
        assert daemon.stop() == 0
    assert len(smtp.accepted()) == 1
