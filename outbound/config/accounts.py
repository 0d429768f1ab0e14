"""The sections of provider accounts: how messages leave, how fast, and how a new sender is warmed up."""

from datetime import date
from typing import Literal

from pydantic import Field, field_validator

from outbound.config.section import Section
from outbound.domain.pace import AccountPace, WarmUp, parse_rate


class DkimSection(Section):
    """One key that signs mail from ``domain``. Without ``key_file`` the key is in OUTBOUND_DKIM_KEYS."""

    domain: str
    selector: str
    key_file: str = ""


class WarmUpSection(Section):
    """A new sending domain or number: ``first_day`` messages on ``start``, each day ``growth`` times as many."""

    start: date = Field(strict=False)
    first_day: int = Field(ge=1)
    growth: float = Field(default=1.5, gt=1, le=10)


class _AccountSection(Section):
    """What every provider account has: a rate over all processes (``20/s``), and the days of its warm-up."""

    rate: str = ""
    warm_up: WarmUpSection | None = None

    @field_validator("rate")
    @classmethod
    def _readable(cls, value: str) -> str:
        parse_rate(value)
        return value

    @property
    def pace(self) -> AccountPace:
        """The same as the dispatcher takes it."""
        one = self.warm_up
        days = None if one is None else WarmUp(start=one.start, first_day=one.first_day, growth=one.growth)
        return AccountPace(rate=parse_rate(self.rate), warm_up=days)


class EmailSection(_AccountSection):
    """How e-mail leaves. The password is OUTBOUND_SMTP_PASSWORD. Timeouts in seconds.

    ``bounce`` is the address that bounces come back to, with a token for each message; without it they go to From.
    ``replies`` is the same for answers; without it they go to the brand's ``reply_to``.
    """

    adapter: Literal["mailbox", "smtp"] = "mailbox"
    host: str = "localhost"
    port: int = Field(default=587, ge=1, le=65535)
    tls: Literal["none", "opportunistic", "starttls", "implicit"] = "starttls"
    username: str = ""
    connections: int = Field(default=10, ge=1, le=100)
    reply_timeout: float = Field(default=600.0, gt=0)
    bounce: str = ""
    replies: str = ""
    dkim: tuple[DkimSection, ...] = Field(default=(), strict=False)


class SmsSection(_AccountSection):
    """How SMS leave. The token is OUTBOUND_TWILIO_AUTH_TOKEN. ``api_base`` is for tests on loopback."""

    adapter: Literal["mailbox", "twilio"] = "mailbox"
    account_sid: str = ""
    from_number: str = ""
    messaging_service_sid: str = ""
    api_base: str = "https://api.twilio.com"
    concurrency: int = Field(default=10, ge=1, le=100)
