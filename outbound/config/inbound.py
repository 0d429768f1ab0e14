"""The sections of what comes in: webhooks of providers and the mailbox of answers."""

from typing import Literal

from pydantic import Field

from outbound.config.section import Section


class SesSection(Section):
    """Amazon SNS topics that tell of mail sent through SES.

    ``topics``: their ARNs. ``certificates``: PEM files that SNS signs with, relative to outbound.toml; never fetched.
    """

    topics: tuple[str, ...] = Field(default=(), strict=False)
    certificates: tuple[str, ...] = Field(default=(), strict=False)


class MailInSection(Section):
    """The IMAP mailbox that bounces, complaints and replies come to. The password is OUTBOUND_MAIL_IN_PASSWORD.

    Mail of ``folder`` is taken every ``every`` seconds and moved to ``done``; without ``done`` it is marked as seen.
    """

    host: str = ""
    port: int = Field(default=993, ge=1, le=65535)
    tls: Literal["none", "starttls", "implicit"] = "implicit"
    username: str = ""
    folder: str = "INBOX"
    done: str = "Outbound"
    every: float = Field(default=60.0, ge=1)
    timeout: float = Field(default=30.0, gt=0)


class InboundSection(Section):
    """What comes in. ``webhooks``: the providers whose requests are taken; ``max_body``: bytes of one request."""

    webhooks: tuple[Literal["twilio", "ses", "sendgrid", "mailgun", "postmark"], ...] = Field(default=(), strict=False)
    max_body: int = Field(default=5_000_000, ge=10_000, le=50_000_000)
    ses: SesSection = SesSection()
    mail: MailInSection = MailInSection()
