"""What of a person's record may stand in a test file: only what rules read, and no text that is not the rules' own.

Names, addresses, ids and free texts become stand-ins (``order_id-1``), the same for the same value, so that keys made
of them still tell occurrences apart. Kept are countries, zones, stated preferences, members of enumerations, numbers,
dates and flags that a condition reads, and texts that the rules themselves spell out. The year of a date that only
comes round every year is taken away.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from outbound.domain.condition import Clause, Literal, Path, Root, ValueType
from outbound.domain.customer import Scalar
from outbound.domain.release import Ruleset
from outbound.domain.rule import ChangedTrigger, DateTrigger, EntersTrigger, EventTrigger, Field, Rule
from outbound.engine.conditions import needs_history
from outbound.engine.conditions.parts import parts_of

_SOME_YEAR: Final = 1980
"""A leap year: 29 February stays."""
_STAND_INS: Final[Mapping[ValueType, Scalar]] = {
    ValueType.NUMBER: 1,
    ValueType.BOOL: False,
    ValueType.DATE: date(_SOME_YEAR, 1, 1).isoformat(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What some rules read: ``attributes`` of customers, ``fields`` of whatever event, and names of ``events``.

    ``history`` are the events they look back at, ``yearly`` the dates whose year nothing reads, ``texts`` what the
    rules spell out.
    """

    attributes: frozenset[str]
    fields: frozenset[str]
    events: frozenset[str]
    history: frozenset[str]
    yearly: frozenset[str]
    texts: frozenset[str]

    @classmethod
    def by(cls, rules: Iterable[Rule], ruleset: Ruleset) -> "Read":
        """What ``rules`` read, the segments they name opened."""
        rules = list(rules)
        clauses = [clause for rule in rules for clause in _clauses(rule, ruleset)]
        paths = [part for part in parts_of(clauses) if isinstance(part, Path)]
        read = {path.name for path in paths if path.root is Root.CUSTOMER}
        read |= {rule.experiment.unit for rule in rules if rule.experiment}
        placeholders = {name for rule in rules for _, name in rule.once.parts if name}
        read |= {name.removeprefix("customer.") for name in placeholders if name.startswith("customer.")}
        triggers = [rule.trigger for rule in rules]
        changed = {one.attribute.removeprefix("customer.") for one in triggers if isinstance(one, ChangedTrigger)}
        dates = [one for one in triggers if isinstance(one, DateTrigger)]
        yearly = {one.attribute.removeprefix("customer.") for one in dates if one.every_year}
        once = {one.attribute.removeprefix("customer.") for one in dates if not one.every_year}
        spelt: set[object] = {part.value for part in parts_of(clauses) if isinstance(part, Literal)}
        spelt |= {value for one in triggers if isinstance(one, ChangedTrigger) for value in (one.old, one.new)}
        history = needs_history(clauses)
        return cls(
            attributes=frozenset(read | changed | yearly | once),
            fields=frozenset(
                {path.name for path in paths if path.root is Root.EVENT}
                | {name.removeprefix("event.") for name in placeholders if name.startswith("event.")}
            ),
            events=history | {one.event for one in triggers if isinstance(one, EventTrigger)},
            history=history,
            yearly=frozenset(yearly - read - changed - once),
            texts=frozenset(str(one) for one in spelt) | ruleset.rules.keys(),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """Makes values fit to be shown; remembers which stand-in is whose."""

    read: Read
    _seen: dict[tuple[str, str], str] = field(default_factory=dict)

    def attributes(self, declared: Mapping[str, Field], values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Of a customer's attributes those that are read."""
        known = {name: value for name, value in values.items() if name in self.read.attributes and name in declared}
        return {name: self._value(name, declared[name], value) for name, value in known.items()}

    def data(self, declared: Mapping[str, Field], values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Of an event's fields those that are read, and something in place of others without which it is none."""
        found: dict[str, Scalar] = {}
        for name, kind in declared.items():
            value = values.get(name)
            if value is None or not (kind.required or name in self.read.fields):
                continue
            stand_in = None if name in self.read.fields else _STAND_INS.get(kind.type)
            found[name] = self._value(name, kind, value) if stand_in is None else stand_in
        return found

    def _value(self, name: str, kind: Field, value: Scalar) -> Scalar:
        if value is None or kind.type in (ValueType.NUMBER, ValueType.BOOL) or kind.values:
            return value
        if kind.type is ValueType.DATE:
            day = date.fromisoformat(str(value))
            return (day.replace(year=_SOME_YEAR) if name in self.read.yearly else day).isoformat()
        text = str(value)
        if text in self.read.texts:
            return text
        taken = sum(1 for field_name, _ in self._seen if field_name == name)
        return self._seen.setdefault((name, text), f"{name}-{taken + 1}")


def _clauses(rule: Rule, ruleset: Ruleset) -> tuple[Clause, ...]:
    match rule.trigger:
        case EventTrigger(condition=condition):
            return (*condition, *rule.who)
        case EntersTrigger(segment=segment):
            return (*ruleset.segments.get(segment, ()), *rule.who)
        case _:
            return rule.who
