"""The composition root: the one place that knows every adapter."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from outbound.channels.base import Adapter
from outbound.channels.guard import Guarded
from outbound.channels.webhooks.base import News, Request, Webhook
from outbound.config import Settings
from outbound.domain.customer import ChannelName
from outbound.domain.errors import ConfigurationError
from outbound.domain.incoming import IncomingMessage
from outbound.domain.pace import AccountPace
from outbound.services import hooks, releases
from outbound.services.alerts import Receiver
from outbound.services.dispatch import Dispatcher
from outbound.services.dispatch.kit import DispatchSettings
from outbound.services.forecast import Account
from outbound.services.inbox import MAIL, Inbox, Read
from outbound.services.links import LinkMaker
from outbound.storage.database import Database
from outbound.storage.inbox import Raw

if TYPE_CHECKING:
    from outbound.channels.email.dkim_keys import DkimKey
    from outbound.channels.email.signed_address import Purpose
    from outbound.channels.hook_client import HookTarget
    from outbound.channels.mail_in.imap import ImapMailbox

Clock = Callable[[], datetime]

GUARD_REMEDY = 'name addresses in [safety] only_to or redirect_to, or set environment = "production"'


def wall_clock() -> datetime:
    """The time of this machine, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """The service, put together from its settings."""

    settings: Settings
    database: Database
    links: LinkMaker
    adapters: Mapping[ChannelName, Adapter]

    def dispatcher(self) -> Dispatcher:
        """A dispatcher over these adapters. Close it when done."""
        database = self.database
        return Dispatcher(
            database,
            adapters=self.adapters,
            keyring=self.links.keyring,
            active=lambda: releases.active(database),
            load_release=lambda release_id: releases.by_id(database, release_id),
            links=self.links.of_message,
            reply_to=self._reply_to(),
            settings=DispatchSettings(slice_size=self.settings.dispatch.slice),
            paces=self._paces(),
        )

    def _paces(self) -> dict[str, AccountPace]:
        """Rates and warm-ups by account. The mailbox folder has neither: it stands in for providers."""
        own = {ChannelName.EMAIL: self.settings.email.pace, ChannelName.SMS: self.settings.sms.pace}
        real = {name: one for name, one in self.adapters.items() if not one.capabilities.is_mailbox}
        return {adapter.name: own[name] for name, adapter in real.items() if name in own}

    def reporting_channels(self) -> frozenset[ChannelName]:
        """The channels whose accounts report deliveries later."""
        return frozenset(name for name, adapter in self.adapters.items() if adapter.capabilities.receipts)

    def write_mailbox_index(self) -> Path | None:
        """The page to look through the mailbox folder, or None where no adapter writes one."""
        from outbound.channels.mailbox import write_index  # noqa: PLC0415 - only after a trial

        if not any(adapter.capabilities.is_mailbox for adapter in self.adapters.values()):
            return None
        active = releases.active(self.database)
        brand = active.ruleset.policy.brand.name if active else "Outbound"
        assets = active.templates.assets() if active else None
        return write_index(self.settings.mailbox_dir, brand_name=brand, assets=assets)

    def alert_receivers(self) -> tuple[Receiver, ...]:
        """Who is told of alerts: nobody, unless [alerts] names an address or a webhook."""
        from outbound.channels.alerts import MailReceiver, WebhookReceiver  # noqa: PLC0415 - only daemons tell

        section, installation = self.settings.alerts, urlsplit(self.settings.public_url).netloc
        found: list[Receiver] = []
        if section.email:
            sender = section.sender or f"Outbound <{section.email[0]}>"
            adapter = self.adapters[ChannelName.EMAIL]
            found.append(MailReceiver(adapter=adapter, to=section.email, sender=sender, installation=installation))
        if section.webhook:
            secret = self.settings.secrets.get("OUTBOUND_ALERTS_SECRET", "")
            found.append(WebhookReceiver(url=section.webhook, installation=installation, secret=secret))
        return tuple(found)

    def courier(self) -> "hooks.Courier | None":
        """Who tells other systems what happens, or None where none is declared. Raises ConfigurationError."""
        declared = self.settings.webhooks
        if not declared:
            return None
        from outbound.channels.hook_client import HookClient  # noqa: PLC0415 - only where one is declared

        return hooks.Courier(self.database, HookClient(hook_targets(self.settings)), sorted(declared))

    def declare_hooks(self) -> None:
        """Let the record know who is to be told of what, as outbound.toml says it now."""
        hooks.declare(self.database, self.settings.hooks)

    def webhooks(self) -> Mapping[str, Webhook]:
        """The providers whose requests are taken. Raises ConfigurationError where a secret is missing."""
        return {name: _webhook(self.settings, name) for name in self.settings.inbound.webhooks}

    def inbox(self) -> Inbox:
        """The work on what came in, from webhooks and mailboxes."""
        reply = self._signed(self.settings.email.replies, "reply")
        readers: dict[str, Read] = {name: _posted(webhook, reply) for name, webhook in self.webhooks().items()}
        database = self.database
        return Inbox(
            database,
            readers={**readers, MAIL: self.read_mail},
            keyring=self.links.keyring,
            active=lambda: releases.active(database),
        )

    def mailbox(self) -> "ImapMailbox | None":
        """The mailbox that mail is taken from, or None where none is set up. Raises ConfigurationError."""
        section = self.settings.inbound.mail
        if not section.host:
            return None
        from outbound.channels.mail_in.imap import ImapMailbox, ImapSettings  # noqa: PLC0415 - only where it is set up

        return ImapMailbox(
            ImapSettings(
                host=section.host,
                port=section.port,
                tls=section.tls,
                username=section.username,
                password=self.settings.secrets.get("OUTBOUND_MAIL_IN_PASSWORD", ""),
                folder=section.folder,
                done=section.done,
                timeout=section.timeout,
            )
        )

    def read_mail(self, one: Raw) -> Sequence[News]:
        """What a mail says; about messages of ours only by what we signed."""
        from outbound.channels.mail_in.reading import Proof, read  # noqa: PLC0415 - only where mail comes in

        email = self.settings.email

        def link(given: str) -> str:
            found = self.links.read_unsubscribe(given.rpartition("/u/")[2])
            return f"{found.message_id}.0" if found else ""

        bounce, reply = self._signed(email.bounce, "bounce"), self._signed(email.replies, "reply")
        return read(one.raw, proof=Proof(address=bounce, link=link, reply=reply), provider=MAIL, key=one.key)

    def _signed(self, ours: str, purpose: "Purpose") -> Callable[[str], str]:
        """The message and leg that an address signed under ``ours`` stands for, "" for any other address."""
        if not ours:
            return lambda _given: ""
        from outbound.channels.email.signed_address import SignedAddress  # noqa: PLC0415 - only where one is set up

        signed = SignedAddress(ours, self.links.keyring, purpose)
        return lambda given: signed.read(given) or ""

    def _reply_to(self) -> Callable[[str], str]:
        ours = self.settings.email.replies
        if not ours:
            return lambda _reference: ""
        from outbound.channels.email.signed_address import SignedAddress  # noqa: PLC0415 - only where one is set up

        return SignedAddress(ours, self.links.keyring, "reply").of

    async def close(self) -> None:
        """Close every adapter."""
        for adapter in self.adapters.values():
            await adapter.close()


def build(settings: Settings, database: Database, *, clock: Clock = wall_clock) -> App:
    """Put the service together; ``clock`` dates what the mailbox writes (a virtual one in a trial).

    Raises ConfigurationError for a missing key, credential or address.
    """
    keyring = settings.keyring()
    adapters = {ChannelName.EMAIL: _email(settings, clock), ChannelName.SMS: _sms(settings, clock)}
    guarded = {name: _guard(settings, name, adapter) for name, adapter in adapters.items()}
    return App(
        settings=settings,
        database=database,
        links=LinkMaker(keyring=keyring, public_url=settings.public_url),
        adapters=guarded,
    )


def _email(settings: Settings, clock: Clock) -> Adapter:
    if settings.email.adapter == "mailbox":
        return _mailbox(settings, ChannelName.EMAIL, clock)
    from outbound.channels.email.dkim import Signer  # noqa: PLC0415
    from outbound.channels.email.signed_address import SignedAddress  # noqa: PLC0415 - a mailbox needs no SMTP
    from outbound.channels.email.smtp import SmtpAdapter  # noqa: PLC0415
    from outbound.channels.email.smtp_settings import SmtpSettings, SmtpTimeouts, Tls  # noqa: PLC0415

    section = settings.email
    tls = {"none": Tls.NONE, "opportunistic": Tls.OPPORTUNISTIC, "starttls": Tls.REQUIRED, "implicit": Tls.IMPLICIT}
    return SmtpAdapter(
        SmtpSettings(
            host=section.host,
            port=section.port,
            username=section.username,
            password=settings.secrets.get("OUTBOUND_SMTP_PASSWORD", ""),
            tls=tls[section.tls],
            pool_size=section.connections,
            timeouts=SmtpTimeouts(final=section.reply_timeout),
        ),
        signer=Signer(dkim_keys(settings)) if section.dkim else None,
        bounces=SignedAddress(section.bounce, settings.keyring()) if section.bounce else None,
    )


def dkim_keys(settings: Settings) -> "tuple[DkimKey, ...]":
    """The keys under [[email.dkim]], in that order. Raises ConfigurationError for one that cannot be used."""
    from outbound.channels.email.dkim_keys import VARIABLE, keys_in, load_key  # noqa: PLC0415 - slow to load

    environment = keys_in(settings.secrets.get(VARIABLE, ""))
    return tuple(
        load_key(
            domain=one.domain,
            selector=one.selector,
            key_file=settings.root / one.key_file if one.key_file else None,
            environment=environment,
        )
        for one in settings.email.dkim
    )


def _sms(settings: Settings, clock: Clock) -> Adapter:
    if settings.sms.adapter == "mailbox":
        return _mailbox(settings, ChannelName.SMS, clock)
    from outbound.channels.sms.twilio import TwilioAdapter, TwilioSettings  # noqa: PLC0415 - slow to load

    section = settings.sms
    token = settings.secrets.get("OUTBOUND_TWILIO_AUTH_TOKEN", "")
    if not section.account_sid or not token:
        remedy = "write account_sid under [sms] and set OUTBOUND_TWILIO_AUTH_TOKEN"
        raise ConfigurationError("Twilio needs an account and its token", remedy)
    if not section.from_number and not section.messaging_service_sid:
        raise ConfigurationError("Twilio needs a sender", "write from_number or messaging_service_sid under [sms]")
    return TwilioAdapter(
        TwilioSettings(
            account_sid=section.account_sid,
            auth_token=token,
            from_number=section.from_number,
            messaging_service_sid=section.messaging_service_sid,
            concurrency=section.concurrency,
            api_base=section.api_base,
            status_callback=_status_callback(settings),
        )
    )


def _status_callback(settings: Settings) -> str:
    """Where Twilio tells what becomes of a text; "" where nobody listens."""
    listening = "twilio" in settings.inbound.webhooks
    return f"{settings.public_url.rstrip('/')}/webhooks/twilio" if listening else ""


def _webhook(settings: Settings, name: str) -> Webhook:
    """The webhook of one provider. Raises ConfigurationError where what proves its requests is missing."""
    secrets, remedy = settings.secrets, "docs/webhooks.md says where the provider shows it"

    def secret(variable: str) -> str:
        if not secrets.get(variable):
            raise ConfigurationError(f"[inbound] webhooks names {name}, but {variable} is not set", remedy)
        return secrets[variable]

    match name:
        case "twilio":
            from outbound.channels.webhooks.twilio import TwilioWebhook  # noqa: PLC0415 - only those set up

            return TwilioWebhook(account_sid=settings.sms.account_sid, auth_token=secret("OUTBOUND_TWILIO_AUTH_TOKEN"))
        case "ses":
            from outbound.channels.webhooks.ses import SesWebhook  # noqa: PLC0415

            files = [settings.root / one for one in settings.inbound.ses.certificates]
            missing = next((one.name for one in files if not one.is_file()), "")
            if missing or not files or not settings.inbound.ses.topics:
                what = f"there is no file {missing}" if missing else "topics and certificates are missing"
                raise ConfigurationError(f"[inbound.ses]: {what}", remedy)
            return SesWebhook(topics=settings.inbound.ses.topics, certificates=[one.read_bytes() for one in files])
        case "sendgrid":
            from outbound.channels.webhooks.sendgrid import SendGridWebhook  # noqa: PLC0415

            return SendGridWebhook(
                public_key=secret("OUTBOUND_SENDGRID_KEY"), passwords=_several(secrets, "OUTBOUND_SENDGRID_PASSWORDS")
            )
        case "mailgun":
            from outbound.channels.webhooks.mailgun import MailgunWebhook  # noqa: PLC0415

            secret("OUTBOUND_MAILGUN_KEYS")
            return MailgunWebhook(keys=_several(secrets, "OUTBOUND_MAILGUN_KEYS"))
        case _:
            from outbound.channels.webhooks.postmark import PostmarkWebhook  # noqa: PLC0415

            secret("OUTBOUND_POSTMARK_PASSWORDS")
            return PostmarkWebhook(passwords=_several(secrets, "OUTBOUND_POSTMARK_PASSWORDS"))


def hook_targets(settings: Settings) -> "Mapping[str, HookTarget]":
    """Where the news of each [webhooks.NAME] goes. Raises ConfigurationError."""
    from outbound.channels.hook_client import HookTarget, secret_variable  # noqa: PLC0415 - only where one is declared

    return {
        name: HookTarget(
            name=name,
            url=one.url,
            secrets=_several(settings.secrets, secret_variable(name)),
            networks=one.networks,
            loopback=settings.environment != "production",
        )
        for name, one in settings.webhooks.items()
    }


def _several(secrets: Mapping[str, str], variable: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in secrets.get(variable, "").split(",") if one.strip())


def _posted(webhook: Webhook, reply: Callable[[str], str]) -> Read:
    """What was kept of a request, read by the webhook it came through; ``reply`` reads a signed Reply-To."""

    def read(one: Raw) -> Sequence[News]:
        headers = {"content-type": str(one.head.get("type", ""))}
        found = webhook.parse(Request(urls=(str(one.head.get("url", "")),), headers=headers, body=one.raw))
        return [_placed(news, reply) for news in found]

    return read


def _placed(news: News, reply: Callable[[str], str]) -> News:
    """A mail that a provider brought, with the message of ours that the address it was sent to proves it answers."""
    if not isinstance(news, IncomingMessage) or news.ours:
        return news
    return replace(news, ours=reply(news.envelope_recipient) or reply(news.recipient))


def _mailbox(settings: Settings, channel: ChannelName, clock: Clock) -> Adapter:
    from outbound.channels.email import mime  # noqa: PLC0415 - production needs none of this
    from outbound.channels.mailbox import MailboxAdapter  # noqa: PLC0415
    from outbound.channels.sms import text  # noqa: PLC0415

    pack = mime.pack if channel is ChannelName.EMAIL else text.pack
    receipts = settings.mailbox.receipts
    return MailboxAdapter(settings.mailbox_dir, channel=channel, pack=pack, clock=clock, receipts=receipts)


def accounts(settings: Settings) -> tuple[Account, ...]:
    """The accounts as a forecast sees them: no adapter is made. A mailbox folder warms no sender up."""
    email, sms = settings.email, settings.sms
    return tuple(
        Account(
            channel=channel,
            name=f"mailbox-{channel}" if mailbox else section.adapter,
            warm_up=None if mailbox else section.pace.warm_up,
        )
        for channel, section, mailbox in (
            (ChannelName.EMAIL, email, email.adapter == "mailbox"),
            (ChannelName.SMS, sms, sms.adapter == "mailbox"),
        )
    )


def _guard(settings: Settings, name: ChannelName, adapter: Adapter) -> Adapter:
    if adapter.capabilities.is_mailbox or not settings.guarded:
        return adapter
    return Guarded(adapter, only_to=settings.safety.only_to, redirect_to=redirections(settings).get(name, ""))


def redirections(settings: Settings) -> dict[ChannelName, str]:
    """Where the safety guard sends the messages of each channel instead."""
    return {ChannelName(name): address for name, address in settings.safety.redirect_to.items() if address}


def refused_channels(settings: Settings) -> list[ChannelName]:
    """Channels that reach nobody at all: an adapter that sends for real behind a guard that lets nobody through."""
    if not settings.guarded or settings.safety.only_to:
        return []
    real = {ChannelName.EMAIL: settings.email.adapter != "mailbox", ChannelName.SMS: settings.sms.adapter != "mailbox"}
    return [name for name, is_real in real.items() if is_real and name not in redirections(settings)]
