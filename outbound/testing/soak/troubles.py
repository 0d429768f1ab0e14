"""The troubles of a soak: what happens to the processes, the providers, the network, the database and the clock."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from outbound.domain.message import MessageState
from outbound.services.dispatch import points
from outbound.storage.database import Database, database_now
from outbound.storage.tables import message
from outbound.testing.soak import shop
from outbound.testing.soak.world import Daemon, World

MAIL_MODES = (
    "connect=hang",
    "hello=hang",
    "rcpt=hang times 3",
    "down",
    "mail=421 4.3.2 busy",
    "rcpt=451 4.3.0 try again later",
    "rcpt=550 5.7.1 policy times 3",
    "rcpt=552 5.2.2 mailbox full times 2",
    "sent=550 5.6.0 content times 2",
    "sent=451 4.7.0 slow down",
    "close_after_354",
    "half_body",
    "close_after_dot",
    "sent=close kept times 5",
    "hang_after_dot",
    "partial_reply",
    "garbage",
    "250_close",
    "sent=delay 1.5",
)
"""F18 to F26, one at a time."""
TEXT_MODES = (
    "request=429 2",
    "request=500",
    "request=503 2",
    "request=401 times 1",
    "request=reset",
    "request=delay 1",
    "sent=reset",
    "sent=truncate",
    "sent=garbage",
    "sent=delay 2",
)
"""F28 and F29, and what else goes wrong over HTTP."""

_AT_THE_START = 0.1
"""How often a daemon that has not come up yet is hit: always, and on a busy machine none would ever come up."""

_MOMENT, _LONG_MOMENT = 0.5, 3.0

LEASE_AND_SWEEP = 45.0
"""Seconds after which what a dead or frozen process held is taken over: the lease, the sweep, and some air."""


class Troubles:
    """Makes one trouble after the other, as the dice fall, and ends each in its time. ``now`` is in seconds."""

    def __init__(self, world: World, dice: random.Random, *, long: bool) -> None:
        self.counts: Counter[str] = Counter()
        self._world, self._dice, self._long = world, dice, long
        self._ends: list[tuple[float, Callable[[], object]]] = []
        self._up: dict[int, float] = {}
        self._kinds = {
            self._kill: 6,
            self._kill_at_a_point: 4,
            self._stop: 1,
            self._freeze: 2,
            self._mail_trouble: 6,
            self._text_trouble: 4,
            self._cut: 5,
            self._lose_answers: 4,
            self._hurry: 3,
        }
        if world.server is not None:
            self._kinds[self._restart_database] = 1

    def begin(self, now: float) -> str:
        """Start one; answers its name."""
        [trouble] = self._dice.choices(list(self._kinds), list(self._kinds.values()))
        name = trouble.__name__.strip("_")
        self.counts[name] += 1
        trouble(now)
        return name

    def tend(self, now: float) -> None:
        """End what is over, and start again what died."""
        over = [end for at, end in self._ends if at <= now]
        self._ends = [(at, end) for at, end in self._ends if at > now]
        for end in over:
            end()
        for daemon in self._world.daemons:
            if not daemon.running:
                daemon.start()
            elif daemon.pid not in self._up and daemon.up:
                self._up[daemon.pid] = now

    def end(self) -> None:
        """End everything."""
        for _, end in self._ends:
            end()
        self._ends = []

    def _later(self, at: float, work: Callable[[], object]) -> None:
        self._ends.append((at, work))

    def _daemon(self) -> Daemon | None:
        """One that works, now and then one that is still starting. None: on a busy machine none has come up yet."""
        which, early = self._dice.random(), self._dice.random() < _AT_THE_START
        at_work = [daemon for daemon in self._world.daemons if daemon.running and (early or self._is_at_work(daemon))]
        return at_work[int(which * len(at_work))] if at_work else None

    def _is_at_work(self, daemon: Daemon) -> bool:
        """Whether it has come up and had a moment to send something, which on a busy machine takes a while."""
        began = self._up.get(daemon.pid)
        return began is not None and time.monotonic() - began >= (_LONG_MOMENT if self._long else _MOMENT)

    def _kill(self, _now: float) -> None:
        if (daemon := self._daemon()) is not None:
            daemon.kill()

    def _kill_at_a_point(self, _now: float) -> None:
        """F01: start one that will kill itself at a named point of some send."""
        daemon = self._daemon()
        if daemon is None:
            return
        daemon.kill()
        point, count = self._dice.choice(points.NAMES), self._dice.randint(1, 12)
        daemon.start({points.VARIABLE: f"{point}:{count}"})

    def _stop(self, _now: float) -> None:
        daemon = self._daemon()
        if daemon is not None and daemon.running and daemon.stop() == -9:  # noqa: PLR2004 - it had to be killed
            self._world.stuck_daemons.append(f"{daemon.name} start {daemon.starts}")

    def _freeze(self, now: float) -> None:
        """F04: past the lease. Either by waiting, or by letting the leases end while it is frozen."""
        daemon = self._daemon()
        if daemon is None:
            return
        daemon.freeze()
        if self._long and self._dice.random() < 0.3:  # noqa: PLR2004 - the dice
            self._later(now + LEASE_AND_SWEEP, daemon.thaw)
            return
        # By a thread: a frozen process may hold SQLite's lock, and whoever waits for that could not thaw it.
        thaw = threading.Timer(self._dice.uniform(1.5, 4), daemon.thaw)
        thaw.daemon = True
        thaw.start()
        self._later(now + 1.0, lambda: let_leases_end(self._world, daemon.pid))

    def _mail_trouble(self, now: float) -> None:
        self._world.smtp.set_modes(self._dice.choice(MAIL_MODES), *shop.MAIL_STANDING)
        self._later(now + self._dice.uniform(1, 5), self._mail_well)

    def _mail_well(self) -> None:
        self._world.smtp.set_modes(*shop.MAIL_STANDING)
        self._world.smtp.drop_connections()

    def _text_trouble(self, now: float) -> None:
        self._world.twilio.set_modes(self._dice.choice(TEXT_MODES), *shop.TEXT_STANDING)
        self._later(now + self._dice.uniform(1, 5), lambda: self._world.twilio.set_modes(*shop.TEXT_STANDING))

    def _cut(self, _now: float) -> None:
        """A network that is silent, torn, closed, half closed or slow, for a while."""
        proxy = self._world.proxies[self._dice.choice(list(self._world.proxies))]
        seconds = self._dice.uniform(0.5, 4)
        match self._dice.choice(["stall", "refuse", "drop", "half", "limit"]):
            case "stall":
                proxy.stall(seconds)
            case "refuse":
                proxy.refuse(seconds)
            case "drop":
                proxy.drop()
            case "half":
                proxy.half_close(self._dice.choice(("client", "server")))
            case _:
                proxy.limit(20_000, seconds)

    def _lose_answers(self, now: float) -> None:
        """F24, F29, F39: the work is done and the answer is lost."""
        name = self._dice.choice(list(self._world.proxies))
        proxy = self._world.proxies[name]
        last = {"smtp": b"\r\n.\r\n", "twilio": b"Body=", "database": b"COMMIT"}[name]
        proxy.lose_answer(last, times=self._dice.randint(1, 3))
        self._later(now + 3, proxy.heal)

    def _hurry(self, _now: float) -> None:
        """The clock jumps for what waits: every retry is due now."""
        bring_forward(self._world)

    def _restart_database(self, _now: float) -> None:
        """F38: as a crash does it."""
        if self._world.server is not None:
            self._world.server.restart(mode=self._dice.choice(["immediate", "fast"]))


def let_leases_end(world: World, pid: int | None = None) -> None:
    """What thirty seconds do to the leases of a process, or of all that ever ran."""
    held: sa.ColumnElement[bool] = message.c.lease_until.is_not(None)
    if pid is not None:
        held = sa.and_(held, message.c.worker.contains(f":{pid}:", autoescape=True))

    def end(database: Database) -> None:
        with database.write() as connection:
            over = database_now(connection) - timedelta(seconds=1)
            connection.execute(sa.update(message).where(held).values(lease_until=over))

    _past_the_proxy(world, end)


def bring_forward(world: World) -> None:
    """Make due what waits for another try, or after an error of its gate. What rules or caps hold stays held."""
    now = datetime.now(UTC)
    waits = sa.or_(
        message.c.state == MessageState.READY.value,
        sa.and_(message.c.state == MessageState.SCHEDULED.value, message.c.reason.in_(["", "paused"])),
    )

    def hurry(database: Database) -> None:
        with database.write() as connection:
            change = sa.update(message).where(waits, message.c.not_before > now)
            connection.execute(change.values(not_before=now))

    _past_the_proxy(world, hurry)


def _past_the_proxy(world: World, work: Callable[[Database], None]) -> None:
    """Do it if the database answers: a frozen daemon may hold SQLite's lock, a restart may be under way."""
    with world.database() as database:
        try:
            work(database)
        except SQLAlchemyError:
            return
