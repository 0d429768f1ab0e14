"""Events of customers nobody knows yet: hold them, create the customer, or drop them, as each rule says."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from outbound.domain.customer import Event
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.reasons import Reason, ReasonCode
from outbound.domain.rule import Rule, UnknownCustomerAction
from outbound.engine.conditions.facts import Facts
from outbound.engine.timing.walls import add, local_day
from outbound.engine.timing.zones import zone_named
from outbound.services.planning.buckets import Buckets
from outbound.services.planning.compiled import Listener, compiled, live_at
from outbound.services.planning.enqueue import skip_all
from outbound.services.planning.events import BATCH, LOCK, open_event_runs, run_slot
from outbound.services.planning.newcomers import create_customer
from outbound.services.planning.occurrence import event_placeholders
from outbound.services.planning.window import Pass
from outbound.storage import events as event_log
from outbound.storage import pending, runs

DEFAULT_HOLD = Duration(6, DurationUnit.HOUR)
"""How long an event waits for its customer where the rule does not say (rules.md 1.9)."""

_UNKNOWN = Reason(ReasonCode.UNKNOWN_CUSTOMER)


def plan_newcomers(work: Pass) -> None:
    """Create the customers of pending events for rules that want it; their events are then like any other."""
    creating = compiled(work.active).creating
    if not creating or work.keyring is None or not work.waiting:
        return
    after: tuple[datetime, str] | None = None
    while True:
        with work.database.write() as connection:
            runs.lock(connection, LOCK)
            found = pending.of_unknown(connection, names=creating, received_by=work.now, after=after, limit=BATCH)
            for event in found:
                create_customer(connection, event, work.keyring, now=work.now)
            if found:
                work.buckets = Buckets(work.database, work.active.ruleset.policy)  # they may live in a new zone
        if len(found) < BATCH:
            return
        after = (found[-1].received_at, found[-1].id)


def plan_unknown(work: Pass) -> None:
    """Give up on events whose customer did not appear in time: one skip per rule that would have used them."""
    if not work.waiting:
        return
    with work.database.read() as connection:
        oldest = pending.oldest_unknown(connection)
    for name, received_at in sorted(oldest.items()):
        listeners = compiled(work.active).listeners.get(name, ())
        shortest = min(
            (patience(x.rule, work.active.ruleset.policy.timezone, received_at) for x in listeners), default=received_at
        )
        if shortest <= work.now:
            _plan_name(work, name, listeners)


def _plan_name(work: Pass, name: str, listeners: Sequence[Listener]) -> None:
    after: tuple[datetime, str] | None = None
    while True:
        with work.database.write() as connection:
            runs.lock(connection, LOCK)
            found = pending.of_unknown(connection, names=[name], received_by=work.now, after=after, limit=BATCH)
            over: list[str] = []
            skips: dict[tuple[str, str], tuple[Rule, list[tuple[str, str]]]] = {}
            for event in found:
                waiting = False
                for listener in listeners:
                    if patience(listener.rule, work.active.ruleset.policy.timezone, event.received_at) > work.now:
                        waiting = True
                    elif _listens(work, listener, event):
                        key = (listener.rule.id, run_slot(event))
                        skips.setdefault(key, (listener.rule, []))[1].append(
                            (_once(listener.rule, event), event.customer_id)
                        )
                if not waiting:
                    over.append(event.id)
            run_ids = (
                open_event_runs(connection, work, {key: rule for key, (rule, _) in skips.items()}) if skips else {}
            )
            for key, (rule, keys) in sorted(skips.items(), key=lambda item: item[0]):
                run_id = run_ids[key]
                counts = skip_all(connection, work.active, rule, keys, reason=_UNKNOWN, run_id=run_id, now=work.now)
                work.counts.add(counts)
            event_log.mark_handled(connection, over, now=work.now)
            work.events += len(over)
        if len(found) < BATCH:
            return
        after = (found[-1].received_at, found[-1].id)


def patience(rule: Rule, timezone: str, received_at: datetime) -> datetime:
    """Until when a rule waits for the customer of an event: no time at all where it drops it."""
    if rule.unknown_customer is UnknownCustomerAction.DROP:
        return received_at - timedelta(microseconds=1)
    return add(received_at, rule.unknown_customer_hold or DEFAULT_HOLD, zone_named(timezone))


def _listens(work: Pass, listener: Listener, event: Event) -> bool:
    """Whether the rule would have asked about the customer: its ``if`` is about the event alone."""
    zone = zone_named(work.active.ruleset.policy.timezone)
    if not live_at(work.active, listener.rule, event.received_at, zone):
        return False
    facts = Facts(
        customer={"id": event.customer_id}, event=event.data, now=work.now, today=local_day(work.now, zone), zone=zone
    )
    return listener.condition(facts) is True


def _once(rule: Rule, event: Event) -> str:
    """The key of the occurrence; parts about the customer are what is known of them, the id."""
    placeholders = {"customer.id": event.customer_id, **event_placeholders(event)}
    return rule.once.fill({name: placeholders.get(name, f"?{name}") for _, name in rule.once.parts if name})
