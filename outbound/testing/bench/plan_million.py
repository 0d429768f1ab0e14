"""``plan_million_pg``: the bench of ``outbound.services.bench.plan_million`` on a real PostgreSQL server."""

from outbound.services.bench.figure import Figure
from outbound.services.bench.plan_million import figures
from outbound.testing.postgres import empty_database, postgres_server


def measure(quick: bool) -> list[Figure]:
    """On PostgreSQL with synchronous_commit on, its files on disk."""
    with postgres_server() as server, empty_database(server) as url:
        return figures("plan_million_pg", url, quick)
