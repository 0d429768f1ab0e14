"""How to reach one SMTP account."""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path


class Tls(StrEnum):
    """``implicit``: TLS from the first byte. ``required``: STARTTLS or nothing. ``opportunistic``: where offered."""

    IMPLICIT = "implicit"
    REQUIRED = "required"
    OPPORTUNISTIC = "opportunistic"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpTimeouts:
    """Seconds to wait for each step; the defaults are those of RFC 5321 4.5.3.2 (connect: Postfix).

    ``final`` is the wait for the answer to the final dot: giving up early makes the outcome uncertain.
    """

    connect: float = 30.0
    greeting: float = 300.0
    command: float = 300.0
    data: float = 120.0
    block: float = 180.0
    final: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpSettings:
    """One SMTP account. Times in seconds.

    ``helo_name`` is what we call ourselves in EHLO; empty takes this machine's name. ``sender`` is the
    envelope sender where a parcel names none; empty takes the address in From. ``ca_file`` adds a private
    authority; certificates are always checked unless ``verify`` is off. ``pool_size`` is also how many
    messages are in flight at once. A connection idle longer than ``probe_after`` is asked (NOOP) before it is
    used again; one idle longer than ``max_idle``, older than ``max_age`` or past ``max_messages`` is replaced.
    """

    host: str
    port: int = 587
    username: str = ""
    password: str = field(default="", repr=False)
    tls: Tls = Tls.REQUIRED
    verify: bool = True
    ca_file: Path | None = None
    helo_name: str = ""
    sender: str = ""
    timeouts: SmtpTimeouts = SmtpTimeouts()
    pool_size: int = 10
    max_messages: int = 500
    max_age: float = 600.0
    probe_after: float = 20.0
    max_idle: float = 60.0

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def secrets(self) -> tuple[str, ...]:
        """Words that must not appear in any text."""
        return (self.password, self.username)
