"""``outbound report RUN --people``: every customer of a run, and what became of each. Memory stays flat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.errors import OutboundError
from outbound.domain.message import MessageState
from outbound.domain.policy import Policy
from outbound.domain.reasons import ReasonCode
from outbound.domain.rule import Rule
from outbound.engine.timing.zones import customer_source, resolve_zones, zone_named
from outbound.services.releases import Active, active, by_id
from outbound.storage import outbox_counts, run_people
from outbound.storage.database import Database
from outbound.storage.people import load_people
from outbound.storage.run_people import Place, Row, Wanted
from outbound.storage.runs import NOT_COVERED

PAGE = 500
_WAITS = (MessageState.SCHEDULED.value, MessageState.READY.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One customer of a run.

    ``state`` is the message's, or ``skipped`` with ``at_planning`` where there never was a message, or
    ``not matched``. ``reason`` is ``code.detail``. ``until`` is when a waiting message may leave, UTC, and
    ``local`` the same on the customer's clock.
    """

    customer: str
    state: str
    at_planning: bool = False
    channel: str = ""
    reason: str = ""
    until: datetime | None = None
    local: datetime | None = None


def wanted(reason: str, state: str) -> Wanted:
    """What is asked for: CODE or CODE.DETAIL, and a state.

    Raises OutboundError ``report.reason`` or ``report.state``.
    """
    code, _, detail = reason.partition(".")
    if code and code not in set(ReasonCode):
        raise OutboundError("report.reason", f"there is no reason {code!r}", f"reasons: {', '.join(ReasonCode)}")
    if state and state not in set(MessageState):
        raise OutboundError("report.state", f"there is no state {state!r}", f"states: {', '.join(MessageState)}")
    if state and code == ReasonCode.WHO:
        raise OutboundError("report.state", "who did not match has no message", "leave out --state")
    return Wanted(reason=code, detail=detail, state=state)


def count(database: Database, run_id: str, asked: Wanted) -> int:
    """How many lines ``people`` gives."""
    with database.read() as connection:
        if asked.reason == ReasonCode.WHO:
            return run_people.missed(connection, run_id)
        return run_people.number(connection, run_id, asked)


def people(database: Database, run_id: str, asked: Wanted) -> Iterator[Listed]:
    """The customers of a run by id; for the reason ``who`` those who did not match, as planning met them."""
    running = active(database)
    if asked.reason == ReasonCode.WHO:
        yield from _missed(database, run_id, running)
        return
    policy = running.ruleset.policy if running else None
    after: Place | None = None
    while True:
        with database.read() as connection:
            rows = run_people.page(connection, run_id, asked, limit=PAGE, after=after)
            zones = _zones(connection, rows, policy)
        for row in rows:
            yield _listed(row, zones.get(row.place.customer_id))
        if len(rows) < PAGE:
            return
        after = rows[-1].place


def _listed(row: Row, zone: ZoneInfo | None) -> Listed:
    until = row.not_before if row.state in _WAITS else None
    return Listed(
        customer=row.place.customer_id,
        state=row.state or MessageState.SKIPPED.value,
        at_planning=not row.state,
        channel=row.channel,
        reason=f"{row.reason}.{row.detail}" if row.reason and row.detail else row.reason,
        until=until.astimezone(UTC) if until else None,
        local=until.astimezone(zone) if until and zone else None,
    )


def _zones(connection: Connection, rows: Sequence[Row], policy: Policy | None) -> dict[str, ZoneInfo]:
    """Whose clock a waiting message goes by: the zone it was planned in, else the customer's."""
    waiting = {row.place.customer_id: row.zone for row in rows if row.state in _WAITS}
    found = {customer: zone_named(zone) for customer, zone in waiting.items() if zone}
    if policy is not None:
        loaded = load_people(connection, [customer for customer in waiting if customer not in found])
        for customer, person in loaded.items():
            found[customer] = resolve_zones(customer_source(person.customer), policy).at
    return found


def _missed(database: Database, run_id: str, running: Active | None) -> Iterator[Listed]:
    rule = _rule(database, run_id, running)
    after = ""
    while True:
        with database.read() as connection:
            piece = run_people.misses(connection, run_id, after=after)
        if piece is None:
            return
        after = piece[0]
        for customer, clause in piece[1]:
            yield Listed(customer=customer, state="not matched", at_planning=True, reason=_why(rule, clause))


def _why(rule: Rule | None, clause: int) -> str:
    """The clause that was not true, by its file and line."""
    if clause == NOT_COVERED:
        name = rule.experiment.id if rule and rule.experiment else ""
        return f"outside the coverage of experiment {name}".rstrip()
    if rule is None or not 0 <= clause < len(rule.who):
        return f"who, condition {clause + 1}"
    span = rule.who[clause].span
    return f"who {span.file}:{span.line}"


def _rule(database: Database, run_id: str, running: Active | None) -> Rule | None:
    """The rule as it was when the run began; None where its release cannot be read any more."""
    with database.read() as connection:
        row = outbox_counts.run_row(connection, run_id)
    if row is None:
        return None
    current = running.ruleset.rules.get(row["rule"]) if running else None
    if current is not None and current.version == row["rule_version"]:
        return current
    try:
        return by_id(database, row["release"]).ruleset.rules.get(row["rule"])
    except OutboundError:
        return None
