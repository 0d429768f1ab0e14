"""How a daemon ends: drained by SIGTERM, at once by a second signal, killed; and what a second daemon changes."""

import os
import signal

import pytest
from trial_shop import Running, Shop, real_adapters, until

from outbound.testing import kill_points
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble

NO_HTTP = ("run", "--no-http")


def planned(shop: Shop, smtp: SmtpServer, twilio: TwilioDouble, count: int, *, more: str = "") -> list[str]:
    """So many letters, ready to be sent; answers who gets one."""
    real_adapters(shop, smtp, twilio, more=more)
    names = [f"c{number:03}" for number in range(count)]
    file = shop.customers(names)
    shop.run("send", "letter", "--key", "k", "--customers", str(file))
    assert shop.states() == {"ready": count}
    return [f"{name}@example.org" for name in names]


def promises_hold(shop: Shop, smtp: SmtpServer) -> None:
    with shop.database() as database:
        assert check(database, smtp.accepted()) == ()


def recipients(smtp: SmtpServer) -> list[str]:
    return sorted(entry.recipient for entry in smtp.accepted())


def wait_for_rest(shop: Shop, running: Running) -> None:
    until(lambda: not {"ready", "claimed", "sending"} & set(shop.states()), "the messages to come to rest")
    assert running.stop() == 0, running.err


def test_sigterm_finishes_what_is_in_flight_and_begins_nothing(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble
) -> None:
    """F17: a drain ends well, and what had not begun is somebody else's."""
    smtp.set_modes("sent=delay 0.2")
    everybody = planned(shop, smtp, twilio, 60)
    with shop.start(*NO_HTTP) as daemon:
        until(smtp.accepted, "the first message")
        assert daemon.stop() == 0
        assert daemon.lines()[-1]["finished"] is True
    states = shop.states()
    assert set(states) == {"sent", "ready"}, "nothing is left in between"
    assert states["sent"] == len(smtp.accepted()) < len(everybody)
    promises_hold(shop, smtp)
    smtp.set_modes()
    with shop.start(*NO_HTTP) as daemon:
        wait_for_rest(shop, daemon)
    assert recipients(smtp) == everybody


@pytest.mark.parametrize("how", ["second signal", "time is up"])
def test_draining_ends_when_it_must_and_nobody_knows_is_on_the_record(
    shop: Shop, smtp: SmtpServer, twilio: TwilioDouble, how: str
) -> None:
    """F17: the server took the message and hangs: only the process can end the waiting, and the outcome is unknown."""
    smtp.set_modes("sent=hang kept")
    [ada] = planned(shop, smtp, twilio, 1, more="[dispatch]\ndrain = 0.2\n" if how == "time is up" else "")
    with shop.start(*NO_HTTP) as daemon:
        until(smtp.accepted, "the message")
        daemon.signal(signal.SIGTERM)
        if how == "second signal":
            daemon.event("draining")
            daemon.signal(signal.SIGINT)
        assert daemon.ended() == 1
        assert daemon.lines()[-1]["finished"] is False
    smtp.set_modes()
    shop.let_leases_end()
    with shop.start(*NO_HTTP) as daemon:
        wait_for_rest(shop, daemon)
    assert shop.states() == {"uncertain": 1}
    assert recipients(smtp) == [ada], "never sent again without evidence"
    promises_hold(shop, smtp)


def test_two_daemons_send_each_message_once(either_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble) -> None:
    """Fault F05: whatever the two do at the same time, claims are rows that only one of them gets."""
    shop = either_shop
    smtp.set_modes("sent=delay 0.02")
    everybody = planned(shop, smtp, twilio, 120, more="[dispatch]\nslice = 10\ntick = 0.05\n")
    with shop.start(*NO_HTTP) as one, shop.start(*NO_HTTP) as other:
        one.ready()
        other.ready()
        until(lambda: shop.states() == {"sent": len(everybody)}, "every message")
        assert one.stop() == 0
        assert other.stop() == 0
    assert recipients(smtp) == everybody
    promises_hold(shop, smtp)


@pytest.mark.kill
def test_kill_9_in_the_middle_sends_nothing_twice(either_shop: Shop, smtp: SmtpServer, twilio: TwilioDouble) -> None:
    shop = either_shop
    smtp.set_modes("sent=delay 0.05")
    everybody = planned(shop, smtp, twilio, 60, more="[dispatch]\nslice = 20\n")
    with shop.start(*NO_HTTP) as daemon:
        until(lambda: len(smtp.accepted()) >= 10, "some messages")
        daemon.kill()
    assert shop.states().get("sent", 0) < len(everybody)
    smtp.set_modes()
    shop.let_leases_end()
    with shop.start(*NO_HTTP) as daemon:
        assert daemon.event("recovered")["uncertain"] >= 0
        wait_for_rest(shop, daemon)
    got = recipients(smtp)
    assert len(got) == len(set(got)), "nobody has two"
    states = shop.states()
    assert set(states) <= {"sent", "uncertain"}
    assert sum(states.values()) == len(everybody)
    promises_hold(shop, smtp)


@pytest.mark.kill
@pytest.mark.parametrize(("point", "expected"), [("claim.done", {"sent"}), ("handoff.done", {"sent", "uncertain"})])
def test_kill_9_on_a_virtual_clock_and_the_same_command_again(shop: Shop, point: str, expected: set[str]) -> None:
    """The mailbox stands in for the server: a file for each message, written once."""
    people = [f"c{number:02}" for number in range(12)]
    file = shop.customers(people)
    shop.run("--at", "2026-11-24T08:00Z", "send", "letter", "--key", "k", "--customers", str(file))
    hours = ("run", "--at", "2026-11-24T08:00Z", "--until", "2026-11-24T10:00Z")
    environ = kill_points.environment(point, count=1)
    with shop.start(*hours, environ={name: environ[name] for name in environ.keys() - os.environ.keys()}) as running:
        assert running.ended() == -signal.SIGKILL
    with shop.start(*hours) as running:
        running.event("waiting for the leases of a process that died")
        shop.let_leases_end()
        assert running.ended() == 0, running.err
    states = shop.states()
    assert sum(states.values()) == len(people)
    assert set(states) <= expected
    copies = [path.name for path in (shop.folder / "mailbox").rglob("*.eml")]
    assert len(copies) == len(set(copies))
    assert states.get("sent", 0) <= len(copies) <= len(people)
    assert shop.run("report").out.endswith("holds\n")
