"""``plan_week``: seconds of a plan with the seven days ahead: twenty rules, as many people as AdventureWorks has."""

import tempfile
import time
from datetime import timedelta
from pathlib import Path
from statistics import median

from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.services.bench.figure import Figure
from outbound.services.bench.month_shop import month_files, prepare
from outbound.services.bench.newsletter_shop import PUBLISHED
from outbound.services.forecast import Account
from outbound.services.plans.outlook import Ahead
from outbound.services.plans.planned import Plan, make_plan
from outbound.storage.database import Database

PEOPLE, RUNS = 19_972, 3
_QUICK_PEOPLE = 500
_MOST_SECONDS = 15.0
_KEYRING = Keyring.parse("bench:" + "5a" * 32)
_EDITED = (b"has(customer.email)", b"has(customer.email) and customer.country != 'US'")


def measure(quick: bool) -> list[Figure]:
    """The median of three runs (one when ``quick``) over a store that is only read."""
    people = _QUICK_PEOPLE if quick else PEOPLE
    with tempfile.TemporaryDirectory(prefix="outbound-bench-") as folder:
        file = Path(folder) / "seeded.db"
        prepare(file, people)
        runs = [plan_once(file) for _ in range(1 if quick else RUNS)]
    value, made = median(seconds for seconds, _ in runs), runs[0][1]
    sent = made.outlook.forecast.sent if made.outlook else 0
    return [
        Figure(
            name="plan_week",
            value=value,
            unit="s",
            bar=f"<= {_MOST_SECONDS:g} s",
            met=value <= _MOST_SECONDS,
            what=f"{people:,} seeded people, 20 rules of which {len(made.rules)} changed, {sent:,} messages in 7 days",
        )
    ]


def plan_once(file: Path) -> tuple[float, Plan]:
    """Seconds for the plan of an edit, and the plan. Raises AssertionError where it has no outlook."""
    files = {path: content.replace(*_EDITED) for path, content in month_files().items()}
    url = f"sqlite:///{file}"
    ahead = Ahead(
        url=url,
        until=PUBLISHED + timedelta(days=7),
        accounts=tuple(Account(channel=channel, name=channel.value) for channel in ChannelName),
        keyring=_KEYRING,
    )
    database = Database(url, read_only=True)
    try:
        begun = time.perf_counter()
        made = make_plan(database, files, now=PUBLISHED, ahead=ahead)
        seconds = time.perf_counter() - begun
    finally:
        database.close()
    if made.outlook is None:
        raise AssertionError("\n".join(problem.render() for problem in made.errors))
    return seconds, made
