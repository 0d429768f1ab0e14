"""``outbound test --record``: a rule test made of what really happened to one customer.

What the record knows (who they were, what they said, what happened, which scripts named them) is lived through again by
the rules as they stand in the files, and what comes of it is what the test expects: it holds when it is written, and
fails when a change of the rules would have changed what this customer got. Where the record says otherwise (rules were
different then, a provider failed, an earlier message filled a cap), the difference is told and noted in the file.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from posixpath import basename
from typing import Any, Final

from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.domain.person import Person
from outbound.domain.release import Files, Ruleset
from outbound.domain.rule import Rule
from outbound.engine.experiments import assign
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import zone_named
from outbound.services.explain.subject import load_subject
from outbound.services.releases import Active
from outbound.services.ruletests import recorded
from outbound.services.ruletests.anonymous import Mask, Read
from outbound.services.ruletests.reading import read_tests
from outbound.services.ruletests.record import Got, Record
from outbound.services.ruletests.recorded import Stretch, Told
from outbound.services.ruletests.running import SUFFIX, Runner, run_tests
from outbound.services.ruletests.values import RuleTest
from outbound.services.ruletests.writing import flow, instant, written
from outbound.storage import customer_past
from outbound.storage.database import Database

_NEAR: Final = timedelta(minutes=15)
"""A message that left this near the time of the test left at its time: pace and load spread messages."""
_MINUTE: Final = timedelta(minutes=1)
_NAMES: Final = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The text of the file, what it asserts, and where the record says otherwise."""

    text: str
    messages: int
    reasons: int
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who is recorded, and over which time: the last ``days`` before ``now`` (UTC)."""

    id: str
    days: int
    now: datetime


def record(database: Database, keyring: Keyring, files: Files, who: Customer, *, path: str) -> Recording:
    """The test for the file ``path`` (as in a set: ``rules/tests/x.test.yaml``). Nothing is written.

    Raises OutboundError ``test.files`` where the rules do not pass the check, ``test.record`` where nothing came of
    the customer's days or the test would not hold.
    """
    maker = _Maker(database, keyring, files, who, path)
    everything = maker.made(maker.ruleset.rules)
    chosen = {name for name, _ in everything.outcomes} | maker.decided
    if not everything.outcomes:
        message = f"no rule had anything to do with this customer in {who.days} days"
        raise OutboundError("test.record", message, "look further back with --days")
    made = maker.made(chosen)
    suite = run_tests(files, {path: made.text.encode()})
    if not suite.good:
        wrong = [problem.message for problem in suite.problems] + [one.subject for one in suite.failures]
        raise OutboundError("test.record", f"the recorded test does not hold: {'; '.join(wrong)}", "report this")
    return Recording(text=made.text, messages=made.messages, reasons=made.reasons, differences=made.differences)


def free_name(folder: Path) -> Path:
    """The first file ``recorded-N.test.yaml`` that is not there yet."""
    return next(file for n in count(1) if not (file := folder / f"recorded-{n}{SUFFIX}").exists())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    text: str
    messages: int
    reasons: int
    differences: tuple[str, ...]
    outcomes: frozenset[tuple[str, str]]


class _Maker:
    """Reads the record once for each set of rules the test is to be about."""

    def __init__(self, database: Database, keyring: Keyring, files: Files, who: Customer, path: str) -> None:
        self._database, self._keyring, self._files, self._who, self._path = database, keyring, files, who, path
        self._runner = Runner(files)
        self.ruleset: Ruleset = self._runner.ruleset
        self._zone = zone_named(self.ruleset.policy.timezone)
        with database.read() as connection:
            self._ids = recorded.ids_of(connection, who.id)
            stop = (who.now + _MINUTE).replace(second=0, microsecond=0)
            self._start = start = (stop - timedelta(days=who.days)).astimezone(UTC)
            known = customer_past.known_since(connection, who.id)
            self._was_at = max(start, known)
            if known > start:
                self._start = known.replace(microsecond=0)
            self._stretch = Stretch(ids=self._ids, start=self._start, stop=stop)
            self.decided = recorded.really_decided(connection, self._stretch) & self.ruleset.rules.keys()

    def made(self, names: Iterable[str]) -> _Made:
        """The test about these rules, with what really comes of it."""
        rules = recorded.rules_of(names, self.ruleset)
        mask = Mask(read=Read.by(rules, self.ruleset))
        with self._database.read() as connection:
            person = self._person(connection)
            told = recorded.happenings(connection, self._stretch, self.ruleset, mask)
            told += recorded.blocks(connection, self._stretch, person, self._keyring)
            really = [one for one in recorded.really_sent(connection, self._stretch) if one.rule in self.ruleset.rules]
        name = self._alias(person, rules)
        topics = sorted({rule.topic for rule in rules})
        customer = recorded.profile(person, self.ruleset.policy, topics, self.ruleset, mask)
        test = self._read(self._text(name, rules, customer, told))
        _, lived = self._runner.live(test)
        messages = lived.messages.get(name, ())
        silent = _silences(lived, name, {one.rule for one in messages})
        differences = tuple(self._differences(really, messages, lived, name))
        expected = [flow(self._expected(one)) for one in messages]
        why_not = [flow({"customer": name, "rule": rule, "reason": why}) for rule, why in silent]
        text = self._text(name, rules, customer, told, expected=expected, why_not=why_not, differences=differences)
        return _Made(
            text=text,
            messages=len(messages),
            reasons=len(silent),
            differences=differences,
            outcomes=frozenset({*((one.rule, "") for one in messages), *silent}),
        )

    def _person(self, connection: Any) -> Person:
        active = Active(
            id="", ruleset=self.ruleset, templates=self._runner.templates, since={}, activated_at=self._start
        )
        return load_subject(
            connection, active, self._keyring, self._who.id, now=self._was_at, past=True, what_if={}
        ).person

    def _alias(self, person: Person, rules: Sequence[Rule]) -> str:
        """A name for nobody that falls into the same groups of the experiments."""
        day = local_day(self._start, self._zone)
        holdout = self.ruleset.policy.holdout

        def groups(name: str) -> list[Any]:
            marketing = {
                rule.id: self.ruleset.policy.topics[rule.topic].message_class.unsubscribe_required for rule in rules
            }
            return [
                assign(r.experiment, holdout if marketing[r.id] else None, unit=name, customer_id=name, day=day)
                for r in rules
            ]

        wanted = groups(person.customer.id)
        names = ("somebody", *(f"somebody-{number}" for number in range(2, _NAMES)))
        return next((name for name in names if groups(name) == wanted), names[0])

    def _text(
        self,
        name: str,
        rules: Sequence[Rule],
        customer: Mapping[str, Any],
        told: Sequence[Told],
        *,
        expected: Sequence[str] = (),
        why_not: Sequence[str] = (),
        differences: Sequence[str] = (),
    ) -> str:
        zone = self._zone
        depth = "../" * self._path.removeprefix("rules/").count("/")
        head = {
            "test": basename(self._path).removesuffix(SUFFIX),
            "rules": sorted({depth + rule.span.file.removeprefix("rules/") for rule in rules}),
            "clock": {"start": instant(self._start, zone), "stop": instant(self._stretch.stop, zone), "tz": zone.key},
        }
        happened = [{"at": instant(one.at, zone), **one.what, "customer": name} for one in told]
        notes = [
            f"Recorded from {self._who.days} days up to {instant(self._who.now, zone)[:10]}; nothing here tells who.",
            *(f"Differs from the record: {one}" for one in differences),
        ]
        sections = {
            "customers": [f"{name}: {flow(customer)}"],
            "events": [f"- {flow(one)}" for one in happened],
            "expect": [f"{name}:", *(f"  - {one}" for one in expected)] if expected else [],
            "why_not": [f"- {one}" for one in why_not],
        }
        return written(head, sections, notes)

    def _read(self, text: str) -> RuleTest:
        found = read_tests(self._path, text.encode(), self.ruleset, self._files)
        if isinstance(found, tuple):
            first = found[0]
            raise OutboundError("test.record", f"the record does not fit the schema: {first.message}", "correct it")
        return found[0]

    def _expected(self, one: Got) -> dict[str, Any]:
        zone = self._zone
        fields = {
            "at": instant(one.at, zone),
            "channel": one.channel,
            "template": one.template,
            "rule": one.rule,
            "held_by": one.held_by or None,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def _differences(self, really: Sequence[Got], messages: Sequence[Got], lived: Record, name: str) -> Iterable[str]:
        """What left and would not, and what would leave and did not."""
        zone, left = self._zone, list(messages)
        for one in really:
            same = [m for m in left if (m.rule, m.channel) == (one.rule, one.channel) and abs(m.at - one.at) < _NEAR]
            if same:
                left.remove(same[0])
                continue
            why = ", ".join(lived.why(name, one.rule)) or "it does not come to this customer"
            yield f"{one.rule} left at {instant(one.at, zone)} by {one.channel}, which it would not now ({why})."
        for one in left:
            yield f"{one.rule} would leave at {instant(one.at, zone)} by {one.channel}, and did not."


def _silences(lived: Record, name: str, heard: set[str]) -> list[tuple[str, str]]:
    """The newest reason of each rule that sent nothing."""
    found = {rule: whys[-1] for (somebody, rule), whys in lived.reasons.items() if somebody == name and whys}
    return sorted((rule, why) for rule, why in found.items() if why and rule not in heard)
