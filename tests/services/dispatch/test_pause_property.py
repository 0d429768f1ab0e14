"""Random pauses, returns and kills in the middle of a run: nobody has two copies, and nobody is skipped (fault F09)."""

import random
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from dispatch_world import NOW, add_customers, names, queue, ruleset
from test_kill import Driver, states

from outbound.services import pauses
from outbound.services.reports import equation
from outbound.storage import switches, tables
from outbound.storage.database import Database
from outbound.testing.checker import check
from outbound.testing.smtp_server import SmtpServer

KEYS = ("all", "rule:news", "rule:receipt", "channel:email")
STEPS = 25


@pytest.mark.kill
@pytest.mark.timeout(240)
def test_f09_random_pauses_returns_and_kills_reach_everybody_once(database: Database, tmp_path: Path) -> None:
    """F09: whatever the order, and dead or alive meanwhile: at the end everybody has theirs, or nobody can know."""
    seed = random.SystemRandom().randrange(10**6)
    print(f"seed {seed}")  # noqa: T201 - pytest shows it when the test fails
    dice = random.Random(seed)  # noqa: S311 - moments, not secrets
    people = names(500)
    add_customers(database, people)
    queue(database, "receipt", people[:100])
    queue(database, "news", people[100:])
    rules, seconds, done = ruleset(), 0, Counter[str]()
    driver = Driver()
    with SmtpServer(tmp_path, keep=False) as server:
        for _ in range(STEPS):
            seconds += dice.randrange(1, 120)
            now = NOW + timedelta(seconds=seconds)
            with database.read() as connection:
                on = list(switches.switches(connection))
            match dice.choice(("pause", "resume", "live", "kill", "kill")):
                case "pause":
                    pauses.pause(database, dice.choice(KEYS), reason="drill", by="dice", now=now)
                    done["pause"] += 1
                case "resume" if on:
                    pauses.resume(database, rules, dice.choice(on), by="dice", now=now)
                    done["resume"] += 1
                case "kill":
                    driver.live(database, server.port, seconds=seconds, after=dice.uniform(0, 0.2))
                    done["kill"] += 1
                case _:
                    driver.live(database, server.port, seconds=seconds)
                    done["live"] += 1
        with database.read() as connection:
            on = list(switches.switches(connection))
        for key in on:
            pauses.resume(database, rules, key, by="dice", now=NOW + timedelta(seconds=seconds))
        assert driver.live(database, server.port, seconds=seconds + 3 * 3600) == 0
        accepted = server.accepted()
    driver.close()
    assert check(database, accepted) == (), done
    assert max(Counter(a.recipient for a in accepted).values()) == 1, "somebody has two copies"
    found = states(database)
    assert set(found) <= {"sent", "uncertain"}, f"somebody was skipped: {found}"
    assert found.total() == len(people)
    with database.read() as connection:
        assert equation(connection, None, now=NOW).holds
        assert connection.execute(sa.select(sa.func.count()).select_from(tables.operation)).scalar_one() >= len(on)
