"""Settings of an installation, read once from ``outbound.toml`` and the environment.

Secrets come from the environment only; for a laptop, a ``.env`` file beside outbound.toml (readable by its
owner alone) is read as if it were part of the environment.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator

from outbound.config.accounts import EmailSection, SmsSection
from outbound.config.inbound import InboundSection
from outbound.config.section import Networks, Section
from outbound.domain.alert import AlertLevels
from outbound.domain.errors import ConfigurationError
from outbound.domain.hook import HOOK_EVENTS, named_events
from outbound.domain.keyring import Keyring
from outbound.domain.pace import parse_rate
from outbound.domain.retention import Retention

FILE_NAME = "outbound.toml"
_MESSAGES_AT_LEAST = 400

ENVIRONMENT = (
    *("OUTBOUND_SECRET_KEY", "OUTBOUND_DATABASE_URL"),
    *("OUTBOUND_SMTP_PASSWORD", "OUTBOUND_DKIM_KEYS", "OUTBOUND_TWILIO_AUTH_TOKEN", "OUTBOUND_ALERTS_SECRET"),
    *("OUTBOUND_SENDGRID_KEY", "OUTBOUND_SENDGRID_PASSWORDS", "OUTBOUND_MAILGUN_KEYS", "OUTBOUND_POSTMARK_PASSWORDS"),
    "OUTBOUND_MAIL_IN_PASSWORD",
)
"""What is read from the environment; secrets never stand in outbound.toml."""

HOOK_SECRET = re.compile(r"OUTBOUND_WEBHOOK_[A-Z0-9_]+_SECRET")
"""One for each of [webhooks.NAME]."""

HookName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class DatabaseSection(Section):
    """Where the record lives. OUTBOUND_DATABASE_URL overrides ``url``; relative SQLite paths start at outbound.toml."""

    url: str = "sqlite:///outbound.db"


class PathsSection(Section):
    """Folders that marketing owns, relative to outbound.toml."""

    rules: str = "rules"
    templates: str = "templates"


class ServerSection(Section):
    """Where ``outbound serve`` and ``outbound run`` listen.

    ``trusted_proxies``: addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
    ``metrics_from``: who may read /metrics.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8025, ge=0, le=65535)
    trusted_proxies: Networks = ("127.0.0.1", "::1")
    metrics_from: Networks = ("127.0.0.1", "::1")


class MailboxSection(Section):
    """The folder that stands in for providers, relative to outbound.toml.

    ``receipts``: wait for receipts (``next_on: no_receipt``) as with a provider that reports deliveries.
    """

    folder: str = "mailbox"
    receipts: bool = False


class SafetySection(Section):
    """Outside production nothing reaches an address that ``only_to`` does not name.

    Entries are addresses or patterns (``*@shop.example``, ``+39*``). With ``redirect_to`` other messages go
    there instead, without it they are refused. The mailbox folder needs no guard.
    """

    enabled: bool | None = None
    only_to: tuple[str, ...] = Field(default=(), strict=False)
    redirect_to: Mapping[Literal["email", "sms"], str] = Field(default_factory=dict)


class AlertsSection(Section):
    """Who is told when something needs a person, and from where on. The webhook's secret is OUTBOUND_ALERTS_SECRET.

    ``every``, ``lag``, ``bulk_lag`` and ``repeat`` are spans (``5m``), ``disk`` is a size (``1GB``), the others counts.
    """

    email: tuple[str, ...] = Field(default=(), strict=False)
    sender: str = ""
    webhook: str = ""
    every: str = "15s"
    lag: str = "5m"
    bulk_lag: str = "2h"
    uncertain: int = Field(default=1, ge=1)
    render: int = Field(default=10, ge=1)
    destinations: int = Field(default=5, ge=1)
    disk: str = "1GB"
    repeat: str = "24h"

    @field_validator("every", "lag", "bulk_lag", "repeat")
    @classmethod
    def _a_span(cls, value: str) -> str:
        _span(value)
        return value

    @field_validator("disk")
    @classmethod
    def _a_size(cls, value: str) -> str:
        _size(value)
        return value

    @property
    def seconds(self) -> float:
        """How often a daemon looks."""
        return _span(self.every).total_seconds()

    @property
    def levels(self) -> AlertLevels:
        """The same as services take it."""
        return AlertLevels(
            lag=_span(self.lag),
            bulk_lag=_span(self.bulk_lag),
            uncertain=self.uncertain,
            render=self.render,
            destinations=self.destinations,
            disk=_size(self.disk),
            repeat=_span(self.repeat),
        )


def _span(text: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,6})([smh])", text)
    if found is None or int(found[1]) == 0:
        raise ValueError('write a span as "30s", "5m" or "2h"')
    return timedelta(seconds=int(found[1]) * {"s": 1, "m": 60, "h": 3600}[found[2]])


def _size(text: str) -> int:
    found = re.fullmatch(r"(\d{1,6})(MB|GB|TB)", text)
    if found is None:
        raise ValueError('write a size as "500MB" or "2GB"')
    return int(found[1]) * {"MB": 10**6, "GB": 10**9, "TB": 10**12}[found[2]]


class ApiSection(Section):
    """Bounds of the API. ``rate`` is what one key may ask of one process; ``body`` and ``bulk`` are kilobytes."""

    rate: str = "3000/s"
    body: int = Field(default=256, ge=1, le=16 * 1024)
    bulk: int = Field(default=64 * 1024, ge=1, le=1024 * 1024)

    @field_validator("rate")
    @classmethod
    def _readable(cls, value: str) -> str:
        parse_rate(value)
        return value

    @property
    def per_second(self) -> float | None:
        """``rate`` as a number; None for any number."""
        return parse_rate(self.rate)


class CheckSection(Section):
    """``caniemail``: a folder of the caniemail repository, relative to outbound.toml, for `outbound check`."""

    caniemail: str = ""


class DispatchSection(Section):
    """Slice size and times of the daemon, in messages and seconds.

    ``settle``: how long a daemon waits with the first message when none ran for ten minutes.
    """

    slice: int = Field(default=200, ge=1, le=5000)
    tick: float = Field(default=1.0, gt=0, le=60)
    drain: float = Field(default=30.0, ge=0)
    settle: float = Field(default=60.0, ge=0)


class HookSection(Section):
    """Another system that is told what happens. Its secret is OUTBOUND_WEBHOOK_NAME_SECRET, by its name.

    ``events``: names or patterns (``message.*``). ``networks``: addresses inside that it may have.
    """

    url: str
    events: tuple[str, ...] = Field(default=("message.*",), strict=False, min_length=1)
    networks: Networks = ()

    @field_validator("events")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        _, unknown = named_events(value)
        if unknown:
            raise ValueError(f"no event is called {unknown[0]!r}; there are {', '.join(HOOK_EVENTS)}")
        return value


class RetentionSection(Section):
    """How many days what is kept after it ended; 0: for ever (``services.retention``).

    Messages stay at least 400 days: caps look back a year.
    """

    contexts: int = Field(default=90, ge=0)
    events: int = Field(default=396, ge=0)
    inbox: int = Field(default=90, ge=0)
    consents: int = Field(default=1826, ge=0)
    messages: int = Field(default=1826, ge=0)
    audit: int = Field(default=1826, ge=0)
    webhooks: int = Field(default=30, ge=0)

    @field_validator("messages")
    @classmethod
    def _counted_for_a_year(cls, value: int) -> int:
        if 0 < value < _MESSAGES_AT_LEAST:
            raise ValueError(f"messages stay at least {_MESSAGES_AT_LEAST} days: caps look back a year")
        return value

    @property
    def periods(self) -> Retention:
        """The same as the job takes it."""
        return Retention(**self.model_dump())


class Settings(Section):
    """The whole of outbound.toml plus what the environment adds."""

    environment: Literal["development", "test", "production"] = "development"
    public_url: str = "http://localhost:8025"
    database: DatabaseSection = DatabaseSection()
    paths: PathsSection = PathsSection()
    server: ServerSection = ServerSection()
    email: EmailSection = EmailSection()
    sms: SmsSection = SmsSection()
    inbound: InboundSection = InboundSection()
    mailbox: MailboxSection = MailboxSection()
    safety: SafetySection = SafetySection()
    dispatch: DispatchSection = DispatchSection()
    retention: RetentionSection = RetentionSection()
    check: CheckSection = CheckSection()
    alerts: AlertsSection = AlertsSection()
    api: ApiSection = ApiSection()
    webhooks: Mapping[HookName, HookSection] = Field(default_factory=dict)

    root: Path = Field(default=Path(), exclude=True)
    secrets: Mapping[str, str] = Field(default_factory=dict, exclude=True, repr=False)

    @property
    def hooks(self) -> dict[str, frozenset[str]]:
        """The events that each of [webhooks.NAME] is told of."""
        return {name: named_events(one.events)[0] for name, one in self.webhooks.items()}

    @property
    def guarded(self) -> bool:
        """Whether the safety guard stands between the adapters and the world."""
        on = self.safety.enabled
        return self.environment != "production" if on is None else on

    @property
    def rules_dir(self) -> Path:
        """The folder of rule files."""
        return self.root / self.paths.rules

    @property
    def templates_dir(self) -> Path:
        """The folder of templates."""
        return self.root / self.paths.templates

    @property
    def mailbox_dir(self) -> Path:
        """The folder the mailbox adapter writes into."""
        return self.root / self.mailbox.folder

    @property
    def all_mailbox(self) -> bool:
        """Whether no adapter can reach a real person."""
        return self.email.adapter == "mailbox" and self.sms.adapter == "mailbox"

    @property
    def database_url(self) -> str:
        """The database's URL with a relative SQLite path resolved against outbound.toml."""
        url = self.secrets.get("OUTBOUND_DATABASE_URL") or self.database.url
        match = re.fullmatch(r"sqlite:///([^/].*)", url)
        return f"sqlite:///{(self.root / match.group(1)).resolve()}" if match else url

    def keyring(self) -> Keyring:
        """The secret keys. Raises ConfigurationError when OUTBOUND_SECRET_KEY is missing or malformed."""
        return Keyring.parse(self.secrets.get("OUTBOUND_SECRET_KEY", ""))


def find_workspace(start: Path) -> Path:
    """The nearest folder at or above ``start`` with an outbound.toml. Raises ConfigurationError if there is none."""
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / FILE_NAME).is_file():
            return folder
    raise ConfigurationError(f"no {FILE_NAME} in this folder or above", "run `outbound init` or name --workspace")


def read_settings(workspace: Path, environ: Mapping[str, str] | None = None) -> Settings:
    """Read ``workspace/outbound.toml`` and the environment. Raises ConfigurationError naming file, line and remedy."""
    path = workspace / FILE_NAME
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigurationError(f"{path} does not exist", "run `outbound init`") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}", "correct that place") from None
    secrets = _environment(workspace, os.environ if environ is None else environ)
    try:
        return Settings(**content, root=workspace.resolve(), secrets=secrets)
    except (ValidationError, TypeError) as error:
        raise ConfigurationError(*_explain(path, text, error)) from None


def _environment(workspace: Path, environ: Mapping[str, str]) -> dict[str, str]:
    found: dict[str, str] = {}
    env_file = workspace / ".env"
    if env_file.is_file():
        if os.name == "posix" and env_file.stat().st_mode & 0o077:
            raise ConfigurationError(f"{env_file} can be read by others", f"chmod 600 {env_file}")
        for line in env_file.read_text(encoding="utf-8").splitlines():
            name, separator, value = line.partition("=")
            if separator and not line.lstrip().startswith("#"):
                found[name.strip()] = value.strip().strip('"')
    found.update(environ)
    return {name: value for name, value in found.items() if name in ENVIRONMENT or HOOK_SECRET.fullmatch(name)}


def _explain(path: Path, text: str, error: ValidationError | TypeError) -> tuple[str, str]:
    """The first finding as (message, remedy), with the line of the key it is about."""
    if isinstance(error, TypeError):
        return f"{path}: root and secrets are not settings", "remove them"
    finding: dict[str, Any] = dict(error.errors(include_url=False)[0])
    names = [str(part) for part in finding["loc"]]
    key = names[-1] if names else ""
    line = next((n for n, row in enumerate(text.splitlines(), 1) if re.match(rf"\s*\[?{re.escape(key)}\b", row)), 0)
    where = f"{path}:{line}" if line else str(path)
    if finding["type"] == "extra_forbidden":
        return f"{where}: unknown setting {'.'.join(names)}", "docs/settings.md lists every setting"
    return f"{where}: {'.'.join(names)}: {finding['msg']}", "docs/settings.md says what it takes"
