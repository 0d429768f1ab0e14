"""A program that starts dispatchers as processes of their own, for the tests to kill.

It obeys one JSON order per line: fork a child that recovers what a dead predecessor left and dispatches until
nothing is due. The child kills itself at a named ``point``, or is killed ``after`` so many seconds, or ends
well. Forking saves the second that starting Python and importing everything takes, a hundred times.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from datetime import datetime, timedelta

from caps_world import DAILY, world_release
from dispatch_world import EMAIL, NOW, World, release

from outbound.channels.email.smtp import SmtpAdapter, SmtpSettings, Tls
from outbound.domain.message import Lane
from outbound.services.dispatch import DispatchSettings, points
from outbound.storage import outbox_claims
from outbound.storage.database import Database, database_now

_FAR = timedelta(hours=1)


def recover_from_the_dead(database: Database, now: datetime) -> None:
    """What a sweep does after the lease; whoever starts this program knows that the worker before it is dead."""
    with database.write() as connection:
        lease_now = database_now(connection) + _FAR
        outbox_claims.recover_expired(
            connection, lease_now=lease_now, now=now, resend_delay=timedelta(0), limit=100_000
        )


async def dispatch(database: Database, options: argparse.Namespace) -> None:
    """Everything that is due, express first."""
    settings = SmtpSettings(host="127.0.0.1", port=options.port, tls=Tls.NONE, pool_size=options.connections)
    adapters = {EMAIL: SmtpAdapter(settings)}
    shape = DispatchSettings(slice_size=options.slice, chunk=options.chunk)
    active = world_release(DAILY) if options.capped else release()
    dispatcher = World(database=database, adapters=adapters, active=active, settings=shape).dispatcher()
    for lane in Lane:
        while (await dispatcher.run_slice(lane, now=NOW + timedelta(seconds=options.seconds))).claimed:
            pass
    await dispatcher.close()


def run(options: argparse.Namespace, at_work: int) -> None:
    """One life of the program; it says on the pipe ``at_work`` when dispatching begins."""
    database = Database(options.database)
    recover_from_the_dead(database, NOW + timedelta(seconds=options.seconds))
    os.write(at_work, b"!")
    asyncio.run(dispatch(database, options))
    database.close()


def live(options: argparse.Namespace) -> int:
    """Fork one child and see it end; how (-9: killed). ``after`` counts from when it is at work."""
    heard, at_work = os.pipe()
    child = os.fork()
    if child == 0:
        if options.point:
            points.arm(options.point)
        run(options, at_work)
        os._exit(0)
    os.close(at_work)
    with os.fdopen(heard, "rb") as pipe:
        pipe.read(1)  # nothing, when the child ended before
    if options.after is not None:
        time.sleep(options.after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    """Obey until the orders end."""
    for line in sys.stdin:
        options = argparse.Namespace(**{"seconds": 0, **json.loads(line)})
        print(json.dumps(live(options)), flush=True)  # noqa: T201 - the answer


if __name__ == "__main__":
    main()
