"""``outbound send``: a person or a script starts a rule for named recipients, once per (rule, key)."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.customer import Scalar
from outbound.domain.errors import OutboundError
from outbound.domain.limits import Counted
from outbound.domain.rule import Rule, ScriptTrigger
from outbound.engine.costs import currency_of
from outbound.engine.timing.walls import add, local_day
from outbound.engine.timing.zones import resolve_zones, zone_named
from outbound.services.planning import limits
from outbound.services.planning.compiled import live_at
from outbound.services.planning.enqueue import enqueue
from outbound.services.planning.firing import rule_lock
from outbound.services.planning.occurrence import Occurrence, Prospect, template_of, text_of
from outbound.services.planning.report import Counts
from outbound.services.releases import Active
from outbound.services.retyped import converted
from outbound.storage import audience, run_limits, runs
from outbound.storage.conditions import clause_sql
from outbound.storage.customers import survivors
from outbound.storage.database import Database
from outbound.storage.runs import SendRequest
from outbound.storage.sets import chunks

_HEADERS = frozenset({"id", "customer", "customer_id", "customerid"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipient:
    """One customer to send to. ``line`` is where the file names them, 0 where there is no file."""

    customer_id: str
    line: int = 0


@dataclass(slots=True, kw_only=True)
class SendReport:
    """What a call did, or with ``dry_run`` would do.

    ``new`` candidates of this call (``counts`` by channel and reason), ``already`` decided under this
    occurrence before, ``missed`` the recipients for whom ``who`` is not true, ``unknown`` those no customer
    has the id of, ``repeated`` further mentions of the same customer, ``created`` customers made for addresses that
    nobody had. ``currency`` is that of ``counts.costs``.
    ``limited`` is the limit that the run exceeds, "" for none, ``exceeded`` the same in words: its messages wait
    for `outbound approve`.
    """

    run_id: str
    dry_run: bool
    rows: int = 0
    repeated: int = 0
    counts: Counts = field(default_factory=Counts)
    missed: int = 0
    unknown: list[Recipient] = field(default_factory=list)
    created: int = 0
    currency: str = ""
    limited: str = ""
    exceeded: str = ""

    @property
    def new(self) -> int:
        """Messages this call made, or would make."""
        return self.counts.messages

    @property
    def already(self) -> int:
        """Recipients decided by an earlier call."""
        return self.counts.already


def read_recipients(path: Path) -> list[Recipient]:
    """The recipients a file names: customer ids in the first column, or in the one headed ``id`` or ``customer_id``.

    Comma, semicolon or tab separated; an empty line is skipped. Raises OutboundError ``send.file``.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise OutboundError(
            "send.file", f"cannot read {path.name}", "give a UTF-8 text file of customer ids"
        ) from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    column, found = 0, []
    reader = csv.reader(text.splitlines(), delimiter=delimiter)
    for row in reader:
        cells = [cell.strip() for cell in row]
        named = [n for n, cell in enumerate(cells) if cell.lower() in _HEADERS]
        if reader.line_num == 1 and named:
            column = named[0]
        elif len(cells) > column and cells[column]:
            found.append(Recipient(customer_id=cells[column], line=reader.line_num))
    if not found:
        raise OutboundError("send.file", f"{path.name} names no customer", "write one customer id per line")
    return found


def send(
    database: Database,
    active: Active,
    *,
    rule: str,
    recipients: Sequence[Recipient],
    arguments: Mapping[str, Scalar],
    key: str,
    dry_run: bool = False,
    extend: bool = False,
    by: str,
    now: datetime,
) -> SendReport:
    """Start a script rule for ``recipients``. The same call again adds nothing: no customer is sent to twice.

    Under a key used before, other recipients are refused (``send.recipients``) unless ``extend``, which adds those
    who are new; other arguments are refused always (``send.arguments``). Unknown customers are reported and
    get their message when the same call is made after they were imported. Raises OutboundError ``send.rule``,
    ``send.key`` and ``send.argument`` for a call that does not fit the rule, and ``send.inactive`` outside its
    ``active`` time. Over a limit of the rule the messages are made and wait for approval.
    """
    called = script_rule(active, rule, now)
    if not key.strip():
        raise OutboundError("send.key", "a key is needed", "give --key with a name for this occasion (recall-L77)")
    typed = typed_arguments(called, arguments)
    listed = list({r.customer_id: r for r in reversed(recipients)}.values())[::-1]
    wanted = _Wanted(rule=called, key=key, digest=_digest(listed), arguments=typed, extend=extend)
    report = SendReport(
        run_id="",
        dry_run=dry_run,
        rows=len(recipients),
        repeated=len(recipients) - len(listed),
        currency=currency_of(active.ruleset.policy),
    )
    occurrence = _occurrence(active, called, key, typed, now)
    call = _Call(active=active, rule=called, occurrence=occurrence, now=now)
    if dry_run:
        with database.read() as connection:
            report.run_id = wanted.against(connection)[0].run_id
            for some in chunks(listed):
                call.rehearse(connection, some, report)
            call.foresee(connection, report)
        return report
    more = _more(database, call, listed, report)
    for some in chunks(listed):
        with database.write() as connection:
            runs.lock(connection, rule_lock(called))
            # Asked under the lock and every time: of two calls at once the second one sees the first.
            request, fresh = wanted.against(connection)
            run_id = call.open_run(connection, key)
            if fresh:
                _keep(connection, request, run_id, by=by, now=now)
            call.announce(connection, report, run_id, more if not report.run_id else None)
            call.enqueue(connection, some, report, run_id)
            if limits.watch(connection, active, called, run_id):  # another call added to the run meanwhile
                call.announce(connection, report, run_id, None)
            report.run_id = run_id
    return report


def _more(database: Database, call: "_Call", listed: Sequence[Recipient], report: SendReport) -> Counted | None:
    """What the call will add to its run; None where the rule has no limits."""
    if call.rule.limits is None:
        return None
    rehearsal = SendReport(run_id="", dry_run=True, currency=report.currency)
    for some in chunks(listed):
        with database.read() as connection:
            call.rehearse(connection, some, rehearsal)
    return limits.counted_of(rehearsal.counts)


def typed_arguments(rule: Rule, given: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """The arguments as the rule declares them; text is converted. Raises OutboundError ``send.argument``."""
    if not isinstance(rule.trigger, ScriptTrigger):
        return {}
    declared = rule.trigger.arguments
    wanted = ", ".join(f"{name}=<{kind}>" for name, kind in declared.items()) or "none"
    for name in given:
        if name not in declared:
            raise OutboundError("send.argument", f"{rule.id} takes no argument {name!r}", f"it takes: {wanted}")
    values: dict[str, Scalar] = {}
    for name, kind in declared.items():
        if given.get(name) in (None, ""):
            raise OutboundError("send.argument", f"{rule.id} needs the argument {name!r}", f"it takes: {wanted}")
        value = converted(given[name], kind)
        if value is None:
            raise OutboundError("send.argument", f"the argument {name!r} is not a {kind}", f"it takes: {wanted}")
        values[name] = value
    return values


@dataclass(frozen=True, slots=True, kw_only=True)
class _Call:
    """One call, applied to a range of recipients at a time."""

    active: Active
    rule: Rule
    occurrence: Occurrence
    now: datetime

    def open_run(self, connection: Connection, key: str) -> str:
        return runs.open_run(
            connection,
            rule=self.rule.id,
            slot=key,
            release=self.active.id,
            rule_version=self.rule.version,
            trigger="script",
            now=self.now,
        )

    def enqueue(self, connection: Connection, some: Sequence[Recipient], report: SendReport, run_id: str) -> None:
        matched, misses = self._match(connection, some, report)
        counts = enqueue(
            connection, self.active, self.rule, matched, run_id=run_id, now=self.now, limited=report.limited
        )
        misses += [(customer, runs.NOT_COVERED) for customer in counts.outside]
        if misses:
            number, _ = runs.progress(connection, run_id, "send")
            runs.record_range(
                connection, run_id=run_id, zone="send", number=number, upto="", misses=misses, now=self.now
            )
        report.counts.add(counts)

    def rehearse(self, connection: Connection, some: Sequence[Recipient], report: SendReport) -> None:
        matched, _ = self._match(connection, some, report)
        report.counts.add(limits.rehearse(connection, self.active, self.rule, matched, now=self.now))

    def foresee(self, connection: Connection, report: SendReport) -> None:
        """Say which limit the call would exceed, beside what an earlier call under the key made."""
        standing = run_limits.standing(connection, report.run_id) if report.run_id else None
        whole = limits.counted_of(report.counts)
        if standing is not None:
            whole = limits.together(Counted(messages=standing.messages, cost=standing.cost), whole)
        found = limits.judged(connection, self.rule, standing, whole)
        if standing is not None and standing.limited:
            report.limited, report.exceeded = standing.limited, standing.text
        elif found is not None:
            report.limited, report.exceeded = found.what, found.text

    def announce(self, connection: Connection, report: SendReport, run_id: str, more: Counted | None) -> None:
        """Count the recipients against the limits of the rule, before the first of them gets a message."""
        standing = run_limits.standing(connection, run_id)
        if standing is not None and more is not None:
            limits.announce(connection, self.active, self.rule, standing, more)
            standing = run_limits.standing(connection, run_id)
        if standing is not None:
            report.limited, report.exceeded = standing.limited, standing.text if standing.limited else ""

    def _match(
        self, connection: Connection, some: Sequence[Recipient], report: SendReport
    ) -> tuple[list[Prospect], list[tuple[str, int]]]:
        moved = survivors(connection, [r.customer_id for r in some])
        ids = {r.customer_id: moved.get(r.customer_id, r.customer_id) for r in some}
        found: dict[str, int] = {}
        for zone, members in self._by_zone(connection, sorted(set(ids.values()))).items():
            today, dialect = local_day(self.now, zone), connection.dialect.name
            who = [clause_sql(c, now=self.now, today=today, zone=zone, dialect=dialect) for c in self.rule.who]
            found |= audience.among_these(connection, members, who)
        report.unknown.extend(r for r in some if ids[r.customer_id] not in found)
        misses = [(customer, miss) for customer, miss in found.items() if miss != audience.MATCHED]
        report.missed += len(misses)
        matched = [c for c in dict.fromkeys(ids.values()) if found.get(c) == audience.MATCHED]
        return [Prospect(customer_id=customer, occurrence=self.occurrence) for customer in matched], misses

    def _by_zone(self, connection: Connection, ids: Sequence[str]) -> Mapping[ZoneInfo, list[str]]:
        """The customers in the store, by the zone whose today ``who`` is asked with."""
        zones: dict[ZoneInfo, list[str]] = {}
        for customer, source in audience.sources_of(connection, ids).items():
            zones.setdefault(resolve_zones(source, self.active.ruleset.policy).at, []).append(customer)
        return zones


def script_rule(active: Active, rule_id: str, now: datetime) -> Rule:
    """The rule that a call starts. Raises OutboundError ``send.rule`` and ``send.inactive``."""
    rule = active.ruleset.rules.get(rule_id)
    callable_rules = sorted(r.id for r in active.ruleset.rules.values() if isinstance(r.trigger, ScriptTrigger))
    remedy = f"rules that `outbound send` starts: {', '.join(callable_rules) or 'none'}"
    if rule is None:
        raise OutboundError("send.rule", f"there is no rule {rule_id!r} in the running release", remedy)
    if not isinstance(rule.trigger, ScriptTrigger):
        raise OutboundError("send.rule", f"{rule_id} is not started by `outbound send`", remedy)
    if rule.draft:
        raise OutboundError("send.rule", f"{rule_id} is a draft", "take out `draft: true` and publish it")
    # Nobody's zone is meant more than another's: a day in ``active`` counts in the policy's.
    if not live_at(active, rule, now, zone_named(active.ruleset.policy.timezone)):
        edges = (("from", rule.active_from), ("until", rule.active_until))
        stated = ", ".join(f"{name} {edge.isoformat()}" for name, edge in edges if edge is not None)
        message = f"{rule_id} is not active now ({stated or 'it was published later'})"
        raise OutboundError("send.inactive", message, "change `active` and publish it, or wait")
    return rule


def _occurrence(active: Active, rule: Rule, key: str, arguments: Mapping[str, Scalar], now: datetime) -> Occurrence:
    zone = zone_named(active.ruleset.policy.timezone)
    script = {f"script.{name}": text_of(value, name) for name, value in arguments.items()}
    return Occurrence(
        placeholders={**script, "key": key, "script.key": key},
        values={"script": dict(arguments)},
        template=template_of(rule),
        due=now,
        expires=add(now, rule.expires, zone),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What a call asks for under its key."""

    rule: Rule
    key: str
    digest: str
    arguments: Mapping[str, Scalar]
    extend: bool

    def against(self, connection: Connection) -> tuple[SendRequest, bool]:
        """The call as it is to be kept, and whether it differs from what is kept. Refuses what contradicts it."""
        rule, key, digest = self.rule.id, self.key, self.digest
        before = runs.send_request(connection, rule=rule, key=key)
        if before is None:
            return SendRequest(rule=rule, key=key, run_id="", hashes=(digest,), arguments=self.arguments), True
        if dict(before.arguments) != dict(self.arguments):
            message = f"the key {key!r} was used for {rule} with other arguments"
            raise OutboundError("send.arguments", message, "use another --key for another occasion")
        if digest in before.hashes:
            return before, False
        if not self.extend:
            message = f"the key {key!r} was used for {rule} with other recipients"
            remedy = "give --extend to add the new ones to the same occasion, or use another --key"
            raise OutboundError("send.recipients", message, remedy)
        hashes = (*before.hashes, digest)
        return SendRequest(rule=rule, key=key, run_id=before.run_id, hashes=hashes, arguments=self.arguments), True


def _digest(recipients: Sequence[Recipient]) -> str:
    return hashlib.sha256("\n".join(sorted(r.customer_id for r in recipients)).encode()).hexdigest()


def _keep(connection: Connection, request: SendRequest, run_id: str, *, by: str, now: datetime) -> None:
    kept = SendRequest(
        rule=request.rule, key=request.key, run_id=run_id, hashes=request.hashes, arguments=request.arguments
    )
    runs.keep_send_request(connection, kept, by=by, now=now)
