"""What ``outbound doctor`` examines inside: settings, keys, database, clock and release."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from outbound.channels.base import Adapter
from outbound.services.refusals import standing
from outbound.storage.database import Database, database_now

_CLOCK_TOLERANCE_SECONDS = 2.0


class Health(StrEnum):
    """``fail`` must be mended before anything is sent, ``warn`` should be."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing examined: what it is, how it is, and what to do about it."""

    subject: str
    health: Health
    detail: str
    remedy: str = ""


_DURABILITY = {
    "sqlite": (("PRAGMA journal_mode", "wal"), ("PRAGMA synchronous", "2"), ("PRAGMA quick_check(1)", "ok")),
    "postgresql": (("SHOW synchronous_commit", "on"), ("SHOW fsync", "on"), ("SHOW full_page_writes", "on")),
}
"""Without these an answered trigger does not survive a power cut (promise P1)."""


def examine_database(database: Database, *, now: datetime) -> list[Finding]:
    """Durability settings, and the clock of this machine against the database's."""
    findings = []
    with database.read() as connection:
        for question, wanted in _DURABILITY[connection.dialect.name]:
            found = str(connection.exec_driver_sql(question).scalar_one())
            good = found == wanted
            findings.append(
                Finding(
                    subject=f"database {question.split(maxsplit=1)[1]}",
                    health=Health.OK if good else Health.FAIL,
                    detail=found,
                    remedy="" if good else f"must be {wanted}: an accepted trigger could be lost in a power cut",
                )
            )
        skew = (database_now(connection) - now).total_seconds()
    late = abs(skew) > _CLOCK_TOLERANCE_SECONDS
    findings.append(
        Finding(
            subject="clock",
            health=Health.WARN if late else Health.OK,
            detail=f"{skew:+.1f} s from the database",
            remedy="run a time service (chrony) on both machines" if late else "",
        )
    )
    return findings


def examine_refusal(database: Database) -> list[Finding]:
    """Whether rules newer than those that run were refused."""
    with database.read() as connection:
        refused = standing(connection)
    if refused is None:
        return []
    detail = f"refused {refused.at:%Y-%m-%d %H:%M} UTC by {refused.by}: {refused.first}"
    remedy = "mend them (`outbound check`) and apply again; the last good release runs meanwhile"
    return [Finding(subject="newer rules", health=Health.FAIL, detail=detail, remedy=remedy)]


async def examine_adapters(adapters: Mapping[str, Adapter]) -> list[Finding]:
    """Whether each provider account takes its credentials. Nothing is sent."""
    findings = []
    for channel, adapter in adapters.items():
        trouble = await adapter.check()
        detail = trouble or (
            "a folder, nobody is reached" if adapter.capabilities.is_mailbox else "credentials accepted"
        )
        health = Health.FAIL if trouble else Health.OK
        remedy = f"see [{channel}] in outbound.toml and its secret in the environment" if trouble else ""
        findings.append(Finding(subject=f"{channel} ({adapter.name})", health=health, detail=detail, remedy=remedy))
    return findings
