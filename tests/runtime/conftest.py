"""Installations for the daemon's tests: on SQLite and on PostgreSQL, sending to doubles on loopback."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from trial_shop import Shop, make_shop

from outbound.testing.smtp_server import SmtpServer
from outbound.testing.twilio_double import TwilioDouble


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OUTBOUND_") and "TEST" not in name]:
        monkeypatch.delenv(name)


@pytest.fixture
def smtp(tmp_path: Path) -> Iterator[SmtpServer]:
    """An SMTP server with a ledger."""
    with SmtpServer(tmp_path) as server:
        yield server


@pytest.fixture
def twilio(tmp_path: Path) -> Iterator[TwilioDouble]:
    """A Twilio double with a ledger."""
    with TwilioDouble(tmp_path) as double:
        yield double


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """A workspace on SQLite."""
    return make_shop(tmp_path / "shop")


@pytest.fixture
def either_shop(database_url: str, tmp_path: Path) -> Shop:
    """A workspace on SQLite, and one on PostgreSQL."""
    return make_shop(tmp_path / "shop", database_url=database_url)
