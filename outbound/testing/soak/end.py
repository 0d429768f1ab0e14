"""The end of a soak: let everything finish, compare, and keep what proves a violation."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from outbound.services.releases import running
from outbound.services.reports import Equation, equation
from outbound.storage.database import Database, database_now
from outbound.storage.tables import attempt, decision, event, leg, message
from outbound.testing.checker import Violation, check
from outbound.testing.soak import shop
from outbound.testing.soak.troubles import bring_forward
from outbound.testing.soak.work import Diary
from outbound.testing.soak.world import World

DRAIN_SECONDS = 180.0
COMMIT_WITHIN = timedelta(seconds=40)
"""A writer waits 30 seconds for SQLite's lock at most, and a proxy may stall for a while."""


def drain(world: World, seconds: float = DRAIN_SECONDS) -> list[Violation]:
    """Let everything finish that can. Where nothing has moved for ``seconds``, what is left is a violation of P3."""
    world.heal()
    world.restart_daemons()
    before, moved = "", time.monotonic()
    while left := _left(world):
        if left != before:
            before, moved = left, time.monotonic()
        if time.monotonic() > moved + seconds:
            return [Violation(invariant="P3", subject="drain", text=f"nothing moved for {seconds:.0f} s: {left}")]
        bring_forward(world)
        for daemon in world.daemons:
            daemon.start()
        time.sleep(0.5)
    return []


def _left(world: World) -> str:
    """What is in motion or due or not planned yet, in words; "" when nothing is."""
    now = datetime.now(UTC)
    with world.database() as database, database.read() as connection:
        unfinished = equation(connection, None, now=now).unfinished
        pending = connection.execute(
            sa.select(sa.func.count()).select_from(event).where(event.c.handled_at.is_(None))
        ).scalar_one()
        waiting = connection.execute(
            sa.select(sa.func.count()).select_from(message).where(message.c.state.in_(["ready", "claimed", "sending"]))
        ).scalar_one()
    if not (unfinished or pending or waiting):
        return ""
    return f"{unfinished} unfinished, {waiting} ready or under way, {pending} events not planned"


def verdict(world: World, diary: Diary) -> tuple[list[Violation], Equation]:
    """Every violation, and the sums. Call it when the daemons have ended."""
    accepted = [*world.smtp.accepted(), *world.twilio.accepted()]
    canaries = {
        "an e-mail address": shop.CANARY,
        "a phone number": shop.PHONES,
        "the secret key": shop.SECRET,
        "the provider's token": shop.TOKEN,
    }
    with world.database() as database:
        with database.read() as connection:
            lease_now = database_now(connection)
            sums = equation(connection, None, now=datetime.now(UTC))
        found = check(
            database,
            accepted,
            acknowledged=diary.acknowledged,
            refused=diary.refused,
            revoked=diary.revoked,
            commit_within=COMMIT_WITHIN,
            lease_now=lease_now,
            policy=running(database).ruleset.policy,
            logs=world.logs,
            canaries=canaries,
        )
        if found:
            _keep(database, world, found)
    alarms = [Violation(invariant="I8", subject="a call", text=text) for text in diary.alarms]
    stuck = [Violation(invariant="F17", subject=one, text="did not end in 30 s") for one in world.stuck_daemons]
    return [*found, *alarms, *stuck, *_died(world.logs)], sums


def _died(logs: Iterable[Path]) -> list[Violation]:
    """Daemons that said that a part of them died, or that ended with a traceback."""
    found = []
    for path in logs:
        with path.open(encoding="utf-8", errors="replace") as lines:
            found += [
                Violation(invariant="P3", subject=f"{path.name}:{number}", text="the daemon broke")
                for number, line in enumerate(lines, 1)
                if line.startswith("Traceback") or '"a part of the daemon died"' in line
            ]
    return found


def says(world: World, diary: Diary) -> str:
    """The state of things in one line."""
    accepted = len(world.smtp.accepted()) + len(world.twilio.accepted())
    with world.database() as database, database.read() as connection:
        query = sa.select(message.c.state, sa.func.count()).group_by(message.c.state)
        states = {row[0]: row[1] for row in connection.execute(query)}
    told = ", ".join(f"{state} {count}" for state, count in sorted(states.items()))
    return (
        f"{accepted} accepted; messages: {told or 'none'}; promised {len(diary.acknowledged)}, "
        f"revoked {len(diary.revoked)}, refused {len(diary.refused)}, unanswered {diary.doubtful}"
    )


def _keep(database: Database, world: World, found: Iterable[Violation]) -> None:
    """Write the rows of the messages concerned beside the ledgers and the logs."""
    ids = sorted({one.subject for one in found})
    tables = {"message": message.c.id, "leg": leg.c.message_id, "attempt": attempt.c.message_id}
    once = sorted({one.subject.split("/")[1] for one in found if one.subject.count("/") > 1})
    kept: dict[str, object] = {"violations": [str(one) for one in found]}
    with database.read() as connection:
        for name, column in tables.items():
            rows = connection.execute(sa.select(column.table).where(column.in_(ids[:200]))).mappings()
            kept[name] = [dict(row) for row in rows]
        decided = connection.execute(sa.select(decision).where(decision.c.once.in_(once[:200]))).mappings()
        kept["decision"] = [dict(row) for row in decided]
        ours = sa.or_(sa.false(), *(event.c.id.endswith(f"/{one}") for one in once[:200]))
        known = connection.execute(sa.select(event).where(ours)).mappings()
        kept["event"] = [dict(row) for row in known]
    text = json.dumps(kept, default=str, indent=1, ensure_ascii=False)
    (world.evidence / f"{world.folder.name}-violations.json").write_text(text, encoding="utf-8")
