"""The provider doubles are real processes: run as programs, killed hard, told to fail in words."""

import json
import signal
import smtplib
import subprocess
import sys
from pathlib import Path

import pytest
from channels_kit import deliver, deliver_one, email_parcel, smtp_adapter

from outbound.domain.outcome import OutcomeKind as K
from outbound.testing.faults import HTTP_STAGES, NAMED, SMTP_STAGES, parse_fault
from outbound.testing.ledger import read_ledger
from outbound.testing.smtp_server import SmtpServer


@pytest.mark.parametrize("module", ["smtp_server", "twilio_double"])
def test_a_double_runs_as_a_program_and_prints_its_port(tmp_path: Path, module: str) -> None:
    """``python -m outbound.testing.X --port 0`` says on its first line where it listens."""
    command = [sys.executable, "-m", f"outbound.testing.{module}", "--port", "0", "--ledger", str(tmp_path / "l")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            assert json.loads(child.stdout.readline())["port"] > 0
        finally:
            child.send_signal(signal.SIGINT)
        assert child.wait(timeout=20) == 0


def test_a_client_that_is_not_ours_is_served(tmp_path: Path) -> None:
    """Python's smtplib speaks to it: the server is a server, not a mirror of our adapter."""
    with SmtpServer(tmp_path, accounts={"u": "p"}) as server, smtplib.SMTP("127.0.0.1", server.port) as client:
        client.login("u", "p")
        client.sendmail("a@x.example", ["b@x.example"], b"Message-ID: <1@x>\r\n\r\n.hello\r\n..\r\n")
        assert server.accepted()[0].reference == "<1@x>"
        assert server.messages() == [b"Message-ID: <1@x>\r\n\r\n.hello\r\n..\r\n"]


def test_pipelined_commands_are_answered_in_order(tmp_path: Path) -> None:
    """RFC 2920: a burst of commands, one of them refused, gets its answers one by one."""
    with (
        SmtpServer(tmp_path, modes=["rcpt=550 5.1.1 no for ^bad"]) as server,
        smtplib.SMTP("127.0.0.1", server.port) as client,
    ):
        client.ehlo()
        client.send(b"MAIL FROM:<a@x.example>\r\nRCPT TO:<bad@x.example>\r\nDATA\r\nRSET\r\n")
        assert [client.getreply()[0] for _ in range(4)] == [250, 550, 503, 250]


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    """The ledger line is written before the 250."""
    with SmtpServer(tmp_path) as server:
        outcomes = deliver(smtp_adapter(server), *(email_parcel(f"p{n}@example.it") for n in range(20)))
    assert [o.kind for o in outcomes] == [K.ACCEPTED] * 20
    assert len(server.accepted()) == 20


def test_two_servers_can_share_a_ledger_over_a_restart(tmp_path: Path) -> None:
    """Off and on again: the ledger goes on."""
    for _ in range(2):
        with SmtpServer(tmp_path) as server:
            assert deliver_one(smtp_adapter(server), email_parcel()).kind is K.ACCEPTED
    assert len(server.accepted()) == 2


def test_a_torn_last_line_of_a_ledger_is_not_an_entry(tmp_path: Path) -> None:
    """A machine that died while writing leaves half a line; it counts for nothing."""
    whole = {"reference": "<1@x>", "recipient": "a@x", "sha256": "0", "size": 1, "time": 0.0}
    (tmp_path / "ledger").write_text(json.dumps(whole) + "\n" + json.dumps(whole)[:20])
    assert [entry.reference for entry in read_ledger(tmp_path / "ledger")] == ["<1@x>"]


@pytest.mark.parametrize("text", ["rcpt", "nowhere=close", "rcpt=explode", "=close", ""])
def test_a_fault_that_is_none_is_refused_in_words(tmp_path: Path, text: str) -> None:
    """A typing error in a test's fault fails the test."""
    with pytest.raises(ValueError, match="fault"):
        parse_fault(text, SMTP_STAGES)
    with SmtpServer(tmp_path) as server, pytest.raises(ValueError, match="fault"):
        server.set_modes(text)


def test_faults_are_read_as_written() -> None:
    """Stage, action, value, pattern, count and whether the message counts."""
    fault = parse_fault("rcpt=550 5.1.1 no such user for ^bad times 2", SMTP_STAGES)
    assert (fault.stage, fault.action, fault.value) == ("rcpt", "reply", "550 5.1.1 no such user")
    assert [fault.strikes(to) for to in ("good@x", "bad@x", "bad@x", "bad@x")] == [False, True, True, False]
    assert parse_fault("sent=close kept", SMTP_STAGES).kept
    assert parse_fault("request=429 30", HTTP_STAGES).value == "429 30"
    for name in NAMED:
        assert parse_fault(name, SMTP_STAGES)
