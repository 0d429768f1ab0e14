"""Taking mail out of a mailbox: kept first, moved away afterwards, so that a crash between takes it twice, as one."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from outbound.channels.webhooks.base import News
from outbound.domain.incoming import IncomingMessage
from outbound.services.inbox.receiving import keep, raw
from outbound.services.inbox.working import MAIL
from outbound.storage.database import Database

_BATCH = 50


class Opened(Protocol):
    """A folder that is signed in to."""

    def fetch(self, limit: int) -> list[tuple[str, bytes]]:
        """Mails that wait, with their numbers; nothing is marked."""
        ...

    def settle(self, numbers: list[str]) -> None:
        """These are kept: out of the way with them."""
        ...


class Mailbox(Protocol):
    """Where mail is taken from."""

    def open(self) -> AbstractContextManager[Opened]:
        """Sign in. Raises OutboundError when that fails."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """How many mails were there, and how many of them were new."""

    mails: int
    new: int


def take(database: Database, mailbox: Mailbox, *, now: datetime) -> Taken:
    """Keep every mail that waits, and move it away. Work on them is ``Inbox.work``'s."""
    mails = new = 0
    with mailbox.open() as opened:
        while found := opened.fetch(_BATCH):
            new += take_in(database, (one for _, one in found), now=now)
            mails += len(found)
            opened.settle([number for number, _ in found])
    return Taken(mails=mails, new=new)


def take_in(database: Database, mails: Iterable[bytes], *, now: datetime) -> int:
    """Keep these mails, each under the hash of its bytes. Answers how many were new."""
    return keep(database, [raw(MAIL, "", one, head={}, now=now) for one in mails])


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One piece of news in words, for whoever looks before it is kept. ``about``: our reference, where it is proven."""

    what: str
    fault: str
    status: str
    about: str
    who: str


def told(news: Iterable[News]) -> list[Told]:
    """What a mail would be taken for."""
    return [_told(one) for one in news]


def _told(one: News) -> Told:
    if isinstance(one, IncomingMessage):
        what = f"a machine ({one.automatic})" if one.automatic else "a letter or reply"
        return Told(what=what, fault="", status="", about=one.ours or next(iter(one.references), ""), who=one.sender)
    fault = one.bounce.value if one.bounce else ""
    return Told(what=one.kind.value, fault=fault, status=one.code, about=one.ours, who=one.recipient)
