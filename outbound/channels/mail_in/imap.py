"""The mailbox that mail comes to, over IMAP (RFC 9051; MOVE: RFC 6851). Blocking: it is used in a thread."""

import imaplib
import ipaddress
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from outbound.domain.errors import ConfigurationError, OutboundError

_MOST_BYTES = 5_000_000
"""Of one mail; what is longer is read so far. No bounce and no reply says anything behind five megabytes."""

_OK = "OK"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapSettings:
    """One mailbox. ``tls``: ``implicit``, ``starttls`` or ``none``, which only this machine may be asked with.

    ``done`` is where mail is moved to once it is kept; empty: it stays, marked as seen. ``timeout`` in seconds. Raises
    ConfigurationError.
    """

    host: str
    username: str
    password: str = field(repr=False)
    port: int = 993
    tls: str = "implicit"
    folder: str = "INBOX"
    done: str = ""
    timeout: float = 30.0

    def __post_init__(self) -> None:
        if self.tls == "none" and not _is_loopback(self.host):
            raise ConfigurationError("[inbound.mail]: a password would leave unencrypted", 'write tls = "implicit"')
        if not self.username or not self.password:
            remedy = "write username under [inbound.mail] and set OUTBOUND_MAIL_IN_PASSWORD"
            raise ConfigurationError("[inbound.mail] has no name or no password", remedy)
        for name in (self.folder, self.done):
            if any(ord(character) < ord(" ") for character in name):
                raise ConfigurationError("[inbound.mail]: a folder's name holds a control character", "correct it")


class ImapMailbox:
    """A mailbox to take mail from: first ``fetch``, then, when it is kept, ``settle``."""

    def __init__(self, settings: ImapSettings) -> None:
        self._settings = settings

    @contextmanager
    def open(self) -> Iterator["OpenMailbox"]:
        """Sign in and open the folder; signed out at the end. Raises OutboundError ``mail_in.server``."""
        settings, client = self._settings, None
        try:
            client = _connect(settings)
            client.login(settings.username, settings.password)
            status, _ = client.select(_quoted(settings.folder))
            if status != _OK:
                raise OutboundError("mail_in.folder", f"there is no folder {settings.folder!r}", "see [inbound.mail]")
            yield OpenMailbox(client, settings)
        except (imaplib.IMAP4.error, OSError, EOFError) as error:
            # the server's words may quote what was signed in with
            said = f"{type(error).__name__}{f' {error.errno}' if isinstance(error, OSError) and error.errno else ''}"
            remedy = "look at host, port, tls and username under [inbound.mail], and the password"
            raise OutboundError("mail_in.server", f"the mailbox cannot be read ({said})", remedy) from None
        finally:
            if client is not None:
                with suppress(imaplib.IMAP4.error, OSError):
                    client.logout()


class OpenMailbox:
    """The folder, signed in."""

    def __init__(self, client: imaplib.IMAP4, settings: ImapSettings) -> None:
        self._client = client
        self._settings = settings

    def fetch(self, limit: int) -> list[tuple[str, bytes]]:
        """Up to ``limit`` mails that wait, with their numbers, the oldest first. Nothing is marked."""
        wanted = "ALL" if self._settings.done else "UNSEEN"
        _, found = self._client.uid("SEARCH", wanted, "UNDELETED")
        numbers = [one.decode() for one in (found[0] or b"").split()][:limit]
        mails = []
        for number in numbers:
            _, answer = self._client.uid("FETCH", number, f"(BODY.PEEK[]<0.{_MOST_BYTES}>)")
            raw = next((part[1] for part in answer if isinstance(part, tuple)), None)
            if isinstance(raw, bytes):
                mails.append((number, raw))
        return mails

    def settle(self, numbers: Sequence[str]) -> None:
        """Move mails that are kept to ``done``, or mark them as seen."""
        if not numbers:
            return
        listed = ",".join(numbers)
        if not self._settings.done:
            self._client.uid("STORE", listed, "+FLAGS.SILENT", r"(\Seen)")
            return
        target = _quoted(self._settings.done)
        if self._moved(listed, target):
            return
        self._client.create(target)
        if not self._moved(listed, target):
            remedy = 'make that folder, or write done = "" under [inbound.mail]'
            raise OutboundError("mail_in.folder", f"mail cannot be moved to {self._settings.done!r}", remedy)

    def _moved(self, listed: str, target: str) -> bool:
        _, able = self._client.capability()  # asked anew: a server may offer more once somebody is signed in
        if b" MOVE" in able[0].upper():
            status, _ = self._client.uid("MOVE", listed, target)
            return status == _OK
        status, _ = self._client.uid("COPY", listed, target)
        if status == _OK:
            self._client.uid("STORE", listed, "+FLAGS.SILENT", r"(\Deleted)")
            self._client.expunge()
        return status == _OK


def _connect(settings: ImapSettings) -> imaplib.IMAP4:
    context = ssl.create_default_context()
    if settings.tls == "implicit":
        return imaplib.IMAP4_SSL(settings.host, settings.port, ssl_context=context, timeout=settings.timeout)
    client = imaplib.IMAP4(settings.host, settings.port, timeout=settings.timeout)
    if settings.tls == "starttls":
        client.starttls(context)
    return client


def _quoted(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return False
