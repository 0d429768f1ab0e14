"""Alerts: what stands in the record that an operator must know of, told once, again after a day, and when it is over.

Every daemon looks; the rows of the table ``alert`` make one voice of them. A condition that comes and goes within two
minutes is one alert. A receiver that could not be reached is tried again after a minute.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.engine import Connection

from outbound.domain.alert import Alert, AlertKind, AlertLevels, Notice
from outbound.domain.complaints import MOST, WINDOW, Complaints, percent
from outbound.domain.message import Lane
from outbound.services.status import lost
from outbound.storage import alerts, complaints, hooks, overview, run_limits
from outbound.storage.alerts import PausedAccount, Standing
from outbound.storage.database import Database
from outbound.storage.switches import ALL, switches

_CALM = timedelta(minutes=2)
"""So long a condition must be gone before it is over: a probe that succeeds once ends nothing."""
_PATIENCE = timedelta(minutes=5)
"""How long a provider may slow us down before that is news. Refused credentials are news at once."""
_HOUR = timedelta(hours=1)
_TELLING = timedelta(minutes=1)
"""How long one daemon has to tell, before another (or itself) tries again."""


class Receiver(Protocol):
    """Somebody who is told. ``name`` is what the record knows them by."""

    @property
    def name(self) -> str:
        """``email`` or ``webhook``."""
        ...

    async def tell(self, notices: Sequence[Notice], *, now: datetime) -> str:
        """Tell them; "" or what went wrong. Never raises for anything a network does."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What one look changed on the record."""

    began: tuple[Alert, ...] = ()
    ended: tuple[Alert, ...] = ()


def conditions(connection: Connection, levels: AlertLevels, *, now: datetime) -> list[Alert]:
    """What the record says must be known now. Disks are the machine's: see ``disk``."""
    return [
        *_accounts(alerts.paused_accounts(connection), levels, now=now),
        *_lag(connection, levels, now=now),
        *_stopped(connection, levels, now=now),
        *_unknown(connection, levels),
        *_decisions(connection),
        *_hooks(connection, now=now),
        *_complaints(complaints.since(connection, now - WINDOW)),
        *(
            Alert(
                kind=AlertKind.DAEMON,
                subject=f"{one.host}:{one.pid}",
                text=f"a daemon on {one.host} was last seen {one.seen_at:%Y-%m-%d %H:%M} UTC and none took its place",
                remedy="look at its log; `systemctl start outbound`",
            )
            for one in lost(overview.daemons(connection), now)
        ),
    ]


def disk(host: str, folder: str, free: int, levels: AlertLevels) -> list[Alert]:
    """The alert of a disk with ``free`` bytes left, if it is one. A full disk stops sending before a handover."""
    if free >= levels.disk:
        return []
    text = f"{host}: {free / 1e9:.1f} GB are left where {folder} is"
    remedy = "make room: nothing is handed over that cannot be recorded"
    return [Alert(kind=AlertKind.DISK, subject=host, text=text, remedy=remedy)]


def look(database: Database, found: Sequence[Alert], *, host: str, now: datetime) -> Changed:
    """Bring the record up to what holds now. What only another machine can see stays as it is."""
    with database.read() as connection:
        if not found and not alerts.standing(connection):
            return Changed()
    known = {one.key for one in found}
    with database.write() as connection:
        alerts.lock(connection)
        before = {one.alert.key: one for one in alerts.standing(connection)}
        for one in found:
            alerts.put(connection, one, before.get(one.key), now=now)
        gone = [
            one
            for key, one in before.items()
            if key not in known and one.over_at is None and now - one.seen_at >= _CALM and _is_seen_from(host, one)
        ]
        alerts.end(connection, [one.alert.key for one in gone], now=now)
    began = tuple(one for one in found if one.key not in before or before[one.key].over_at is not None)
    return Changed(began=began, ended=tuple(one.alert for one in gone))


def _is_seen_from(host: str, one: Standing) -> bool:
    return one.alert.kind is not AlertKind.DISK or one.alert.subject == host


def take(
    database: Database, receivers: Sequence[str], levels: AlertLevels, *, now: datetime
) -> dict[str, list[Notice]]:
    """What each receiver does not know yet, for this daemon to tell; nothing of what another one is telling.

    Whose end everybody knows, or nobody need know because nobody was told of it, is forgotten.
    """
    with database.read() as connection:
        rows = alerts.standing(connection)
    if not _news(rows, receivers, levels, now=now) and not _finished(rows, receivers):
        return {}
    with database.write() as connection:
        alerts.lock(connection)
        rows = alerts.standing(connection)
        alerts.remove(connection, _finished(rows, receivers))
        news = _news(rows, receivers, levels, now=now)
        alerts.take(connection, {key for found in news.values() for key in found}, until=now + _TELLING)
    return {name: [_notice(one) for one in found.values()] for name, found in news.items()}


def told(database: Database, done: Mapping[str, Sequence[Notice]], *, now: datetime) -> None:
    """Note who knows what now. A daemon killed before tells it twice, and never not at all."""
    at = now.isoformat()
    with database.write() as connection:
        alerts.lock(connection)
        for one in alerts.standing(connection):
            knows = {name: n.over for name, notices in done.items() for n in notices if n.alert.key == one.alert.key}
            if knows:
                fired = dict(one.told) | {name: at for name, over in knows.items() if not over}
                ended = dict(one.told_over) | {name: at for name, over in knows.items() if over}
                alerts.note(connection, one.alert.key, told=fired, told_over=ended)


def standing(database: Database) -> list[Standing]:
    """Every alert that stands, or whose end is not told yet; the oldest first."""
    with database.read() as connection:
        return alerts.standing(connection)


def _news(
    rows: Sequence[Standing], receivers: Sequence[str], levels: AlertLevels, *, now: datetime
) -> dict[str, dict[tuple[str, str], Standing]]:
    """By receiver, what it does not know and nobody is telling it."""
    free = [one for one in rows if one.taken_until is None or one.taken_until <= now]
    found = {name: {one.alert.key: one for one in free if _is_news(one, name, levels, now=now)} for name in receivers}
    return {name: news for name, news in found.items() if news}


def _finished(rows: Sequence[Standing], receivers: Sequence[str]) -> list[tuple[str, str]]:
    """Alerts that are over and whose end no receiver waits for."""
    return [
        one.alert.key
        for one in rows
        if one.over_at is not None and not any(name in one.told and name not in one.told_over for name in receivers)
    ]


def _is_news(one: Standing, receiver: str, levels: AlertLevels, *, now: datetime) -> bool:
    last = one.told.get(receiver)
    if one.over_at is not None:
        return last is not None and receiver not in one.told_over
    return last is None or now - datetime.fromisoformat(last) >= levels.repeat


def _notice(one: Standing) -> Notice:
    return Notice(alert=one.alert, since=one.since, over=one.over_at is not None)


def _accounts(paused: Sequence[PausedAccount], levels: AlertLevels, *, now: datetime) -> list[Alert]:
    """Accounts one by one; destinations by their number, since a domain may be one person's."""
    found = [
        Alert(
            kind=AlertKind.ACCOUNT,
            subject=one.account,
            text=f"{one.account} is paused since {one.since:%Y-%m-%d %H:%M} UTC after: {one.reason}",
            remedy="`outbound doctor` tries its credentials; it is probed by itself and nothing is lost",
        )
        for one in paused
        if not one.domain and (one.reason.startswith("not_sent") or now - one.since >= _PATIENCE)
    ]
    domains = [one for one in paused if one.domain]
    if len(domains) >= levels.destinations:
        text = f"{len(domains):,} destination domains are paused, the first since {domains[0].since:%Y-%m-%d %H:%M} UTC"
        remedy = "see their answers in `outbound status`: the sender may be on a block list"
        found.append(Alert(kind=AlertKind.DESTINATIONS, text=text, remedy=remedy))
    return found


def _lag(connection: Connection, levels: AlertLevels, *, now: datetime) -> list[Alert]:
    most = {Lane.EXPRESS: levels.lag, Lane.BULK: levels.bulk_lag}
    return [
        Alert(
            kind=AlertKind.LAG,
            subject=lane.value,
            text=f"messages of the {lane} lane are due for more than {_words(limit)}",
            remedy="`outbound status`: is a daemon running, is a provider slow?",
        )
        for lane, limit in most.items()
        if alerts.late(connection, lane, before=now - limit)
    ]


def _stopped(connection: Connection, levels: AlertLevels, *, now: datetime) -> list[Alert]:
    found = [
        Alert(
            kind=AlertKind.RENDER,
            subject=rule,
            text=f"{number:,} messages of {rule} stopped at their wording in the last hour, one of them: {detail}",
            remedy=f"`outbound explain` one of them, mend the template or the data, `outbound pause {rule}` meanwhile",
        )
        for rule, number, detail in alerts.unworded(connection, since=now - _HOUR)
        if number >= levels.render
    ]
    return found + [
        Alert(
            kind=AlertKind.SENDER,
            subject=account,
            text=f"{account} refused our sender {number:,} times in the last hour",
            remedy="see `brand.senders` in rules/policy.yaml and the sending number under [sms]",
        )
        for account, number in alerts.refused_senders(connection, since=now - _HOUR)
    ]


def _unknown(connection: Connection, levels: AlertLevels) -> list[Alert]:
    unknown = alerts.unknowns(connection)
    if unknown.oldest is None or unknown.count < levels.uncertain:
        return []
    text = f"{unknown.count:,} messages have an unknown outcome, the oldest since {unknown.oldest:%Y-%m-%d %H:%M} UTC"
    remedy = "`outbound uncertain list`, look at the provider, `outbound uncertain resolve`"
    return [Alert(kind=AlertKind.UNCERTAIN, text=text, remedy=remedy)]


def _decisions(connection: Connection) -> list[Alert]:
    """What waits for a person."""
    found = [
        Alert(
            kind=AlertKind.LIMITS,
            subject=run.name,
            text=f"{run.name} is over a limit and waits: {run.text}",
            remedy=f"outbound approve {run.name}",
        )
        for run in run_limits.waiting(connection)
    ]
    if (switch := switches(connection).get(ALL)) is not None:
        text = f"everything is paused by {switch.by or 'somebody'}: {switch.reason}"
        found.append(Alert(kind=AlertKind.PAUSED, text=text, remedy="outbound resume all"))
    return found


def _hooks(connection: Connection, *, now: datetime) -> list[Alert]:
    """Other systems that were switched off, or that have taken nothing for an hour."""
    found = []
    for one in hooks.everything(connection):
        since = one.failing_since
        if one.off:
            text, remedy = f"webhook {one.name} is off: {one.off}", f"`outbound webhook enable {one.name}`"
        elif since is not None and now - since >= _HOUR:
            text = f"webhook {one.name} has taken nothing since {since:%Y-%m-%d %H:%M} UTC"
            remedy = f"`outbound webhook test {one.name}`; what happens waits for it"
        else:
            continue
        found.append(Alert(kind=AlertKind.WEBHOOK, subject=one.name, text=text, remedy=remedy))
    return found


def _complaints(found: Complaints) -> list[Alert]:
    """Mail programs are about to stop taking our mail, or have (C15)."""
    if not found.alarming:
        return []
    text = f"complaints: {found.text()}; from {percent(MOST)} on mail programs stop taking mail"
    remedy = "`outbound pause` the rule they are about (`outbound status`), and look at whom it writes to"
    return [Alert(kind=AlertKind.COMPLAINTS, text=text, remedy=remedy)]


def _words(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{seconds // unit} {name}"
    return f"{seconds} s"
