"""Text messages over Twilio's Messages API."""

import asyncio
import re
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.client import responses
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from outbound.channels.base import Capabilities, Handover, Parcel, Sightings, Wanted
from outbound.channels.outcomes import Stage, twilio_outcome
from outbound.channels.retry_after import parse_retry_after
from outbound.channels.sms import text
from outbound.domain.customer import ChannelName
from outbound.domain.errors import ConfigurationError
from outbound.domain.ids import content_hash
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.domain.rendered import EmailEnvelope, Rendered

if TYPE_CHECKING:
    from outbound.channels.sms.twilio_http import Progress

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_DAY, _SKEW = timedelta(days=1), timedelta(minutes=1)
_PAGE = 200
_SID = re.compile(r"(SM|MM)[0-9a-fA-F]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioSettings:
    """One Twilio account. Times in seconds.

    Texts leave from ``messaging_service_sid`` or else from ``from_number``, unless a parcel names its own
    sender. ``key_sid`` is an API key to sign in with instead of the account itself. ``status_callback`` is told what
    becomes of a text, with its reference as ``ref``. ``api_base`` chooses a region, or a double on loopback; anything
    else must be https. Raises ConfigurationError for the rest.
    """

    account_sid: str
    auth_token: str = field(repr=False)
    key_sid: str = ""
    messaging_service_sid: str = ""
    from_number: str = ""
    status_callback: str = ""
    api_base: str = "https://api.twilio.com"
    connect_timeout: float = 10.0
    answer_timeout: float = 30.0
    concurrency: int = 20

    def __post_init__(self) -> None:
        base = urlsplit(self.api_base)
        if base.scheme != "https" and not (base.scheme == "http" and base.hostname in _LOOPBACK):
            raise ConfigurationError("Twilio's api_base must be https", "use http only for a double on loopback")
        if not self.account_sid or not self.auth_token:
            raise ConfigurationError("Twilio needs an account SID and its token")


class TwilioAdapter:
    """One Twilio account. Cheap to create: the vendor's library is loaded at the first delivery."""

    def __init__(self, settings: TwilioSettings, *, name: str = "twilio") -> None:
        self.name = name
        # without a callback Twilio reports nothing to us
        told = bool(settings.status_callback)
        self.capabilities = Capabilities(
            channel=ChannelName.SMS, receipts=told, concurrency=settings.concurrency, lists=True
        )
        self._settings = settings
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def pack(self, rendered: Rendered, envelope: EmailEnvelope | None) -> bytes:
        """The text as UTF-8. Raises OutboundError where it is no text."""
        return text.pack(rendered, envelope)

    async def deliver(self, parcel: Parcel, handover: Handover) -> Outcome:
        """One POST. Answers an outcome whatever Twilio and the network do."""
        words = parcel.payload.decode("utf-8")
        settings = self._settings
        secrets = (settings.auth_token, settings.account_sid, settings.key_sid, parcel.address, words)
        fields = self._fields(parcel, words)
        if "from_" not in fields and "messaging_service_sid" not in fields:
            return twilio_outcome(
                status=400, error="21603", text="no sending number is configured", stage=Stage.CONNECT
            )
        client = self._connected()
        if not await handover():
            return twilio_outcome(
                status=None, error="", text="handover refused: the lease is lost", stage=Stage.CONNECT
            )
        made, noted = await self._ask(client.messages.create_async(**fields))
        if isinstance(made, Exception):
            return self._failure(made, noted, secrets)
        if not isinstance(made.sid, str) or not _SID.fullmatch(made.sid):
            return twilio_outcome(status=None, error="", text="answered without a message sid", stage=Stage.SENT)
        return Outcome(kind=OutcomeKind.ACCEPTED, code=noted.status, text=str(made.status), provider_ref=made.sid)

    async def check(self) -> str:
        """Ask for one message of the list, which an API key may do too: "" when allowed, else what is wrong."""
        page, noted = await self._ask(self._connected().messages.page_async(page_size=1))
        if not isinstance(page, Exception):
            return ""
        said = self._failure(page, noted, (self._settings.auth_token, self._settings.key_sid))
        return f"{said.code} {said.text}" if said.code else said.text

    async def look_up(self, wanted: Wanted) -> Sightings:
        """Ask Twilio's list by To, From and DateSent, and compare the words and the time.

        The days are asked generously: DateSent is GMT, and a text may be sent after it was taken.
        """
        settings, at = self._settings, wanted.handed_over_at
        day = at.replace(hour=0, minute=0, second=0, microsecond=0)
        asked: dict[str, Any] = {
            "to": wanted.address,
            "date_sent_after": day - _DAY,
            "date_sent_before": day + 2 * _DAY,
        }
        if settings.from_number and not settings.messaging_service_sid:
            asked["from_"] = settings.from_number
        found, noted = await self._ask(self._connected().messages.list_async(**asked, page_size=_PAGE, limit=_PAGE))
        if isinstance(found, Exception):
            said = self._failure(
                found, noted, (settings.auth_token, settings.account_sid, settings.key_sid, wanted.address)
            )
            return Sightings(trouble=f"{said.code or ''} {said.text}".strip())
        latest = at + timedelta(seconds=settings.connect_timeout + settings.answer_timeout) + _SKEW
        fits = [
            (abs(one.date_created - at), one.sid)
            for one in found
            if one.date_created is not None
            and at - _SKEW <= one.date_created <= latest
            and content_hash((one.body or "").encode()) == wanted.body_hash
        ]
        return Sightings(references=tuple(sid for _, sid in sorted(fits)))

    async def close(self) -> None:
        """Close the connections. Safe to call twice; a later delivery connects anew."""
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.http_client.close()

    def _fields(self, parcel: Parcel, words: str) -> dict[str, str]:
        settings = self._settings
        fields = {"to": parcel.address, "body": words}
        if parcel.sender:
            fields["from_"] = parcel.sender
        elif settings.messaging_service_sid:
            fields["messaging_service_sid"] = settings.messaging_service_sid
        elif settings.from_number:
            fields["from_"] = settings.from_number
        if settings.status_callback:
            fields["status_callback"] = f"{settings.status_callback}?ref={parcel.reference}"
        return fields

    def _connected(self) -> Any:
        """The vendor's client, bound to the running event loop."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            from twilio.rest import Client  # noqa: PLC0415 - a quarter of a second to load

            from outbound.channels.sms.twilio_http import PlacedHttpClient  # noqa: PLC0415 - likewise

            settings = self._settings
            http = PlacedHttpClient(
                api_base=settings.api_base,
                connect_timeout=settings.connect_timeout,
                answer_timeout=settings.answer_timeout,
                connections=settings.concurrency,
            )
            self._loop = loop
            self._client = Client(
                settings.key_sid or settings.account_sid, settings.auth_token, settings.account_sid, http_client=http
            )
        return self._client

    @staticmethod
    async def _ask(call: Awaitable[Any]) -> tuple[Any, "Progress"]:
        """What the vendor's library answers or raises, and how far the request got."""
        from outbound.channels.sms import twilio_http  # noqa: PLC0415 - loads the vendor's library

        noted = twilio_http.Progress()
        mark = twilio_http.progress.set(noted)
        try:
            return await call, noted
        except Exception as problem:  # noqa: BLE001 - whatever broke, what counts is how far the request got
            return problem, noted
        finally:
            twilio_http.progress.reset(mark)

    @staticmethod
    def _failure(problem: Exception, noted: "Progress", secrets: tuple[str, ...]) -> Outcome:
        """The outcome of a request that raised: by a refusing answer if there was one, else by how far it got."""
        if noted.status is not None and noted.status // 100 != 2:  # noqa: PLR2004 - a success that raised is garbage
            code = str(getattr(problem, "code", "") or "")
            said = str(getattr(problem, "msg", "") or getattr(problem, "title", ""))
            outcome = twilio_outcome(
                status=noted.status,
                error="" if code == str(noted.status) else code,
                text=said,
                retry_after=parse_retry_after(noted.headers.get("retry-after"), now=datetime.now(UTC)),
                secrets=secrets,
            )
            return outcome if outcome.text else replace(outcome, text=responses.get(noted.status, ""))
        stage = Stage.SENT if noted.begun else Stage.CONNECT
        where = "after the request" if noted.begun else "before the request"
        return twilio_outcome(status=None, error="", text=f"{type(problem).__name__} {where}", stage=stage)
