"""Real servers for the channel tests: one process each per test module, made well again before every test."""

from collections.abc import Iterator

import pytest

from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


@pytest.fixture(scope="module")
def _smtp_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path_factory.mktemp("smtp")) as server:
        yield server


@pytest.fixture
def smtp_server(_smtp_process: SmtpServer) -> SmtpServer:
    """An SMTP server without faults and with an empty ledger."""
    _smtp_process.set_modes()
    _smtp_process.forget()
    return _smtp_process


@pytest.fixture(scope="module")
def _plain_smtp_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmtpServer]:
    with SmtpServer(tmp_path_factory.mktemp("smtp"), without="PIPELINING") as server:
        yield server


@pytest.fixture(params=["_smtp_process", "_plain_smtp_process"], ids=["together", "one-by-one"])
def any_smtp_server(request: pytest.FixtureRequest) -> SmtpServer:
    """The same, once as a server that takes commands together and once as one that wants them one by one."""
    server: SmtpServer = request.getfixturevalue(request.param)
    server.set_modes()
    server.forget()
    return server


@pytest.fixture(scope="module")
def _twilio_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwilioDouble]:
    with TwilioDouble(tmp_path_factory.mktemp("twilio")) as double:
        yield double


@pytest.fixture
def twilio_double(_twilio_process: TwilioDouble) -> TwilioDouble:
    """A Twilio double without faults and with an empty ledger."""
    _twilio_process.set_modes()
    _twilio_process.forget()
    return _twilio_process
