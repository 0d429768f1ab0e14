"""Deciding about many at once: people whom the ladder cannot tell apart share one answer.

The ladder itself is asked, with a real person, the first time a profile is met (``storage.profiles``); whoever has the
same profile gets the same answer. Whoever a profile does not describe is left to the long way, person by person.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from outbound.domain.customer import ChannelName
from outbound.domain.decision import Skip
from outbound.domain.rendered import RenderStop
from outbound.domain.traffic import QUIET, Contact, Traffic
from outbound.engine.experiments import held_globally
from outbound.engine.ladder.cap import can_bind
from outbound.services.planning.clerk import Answer, Clerk, Judged
from outbound.services.planning.occurrence import Occurrence, is_shared
from outbound.storage import traffic
from outbound.storage.bulk import json_text
from outbound.storage.people import load_people
from outbound.storage.profiles import Profiled, Wanted, load_profiles

_MOST = 20_000
"""Answers remembered at a time: what bounds memory where everybody is different."""
_LONGEST = 4_000
"""Characters of a text that is shown as it is; longer ones are looked at by the template's own rules."""
_LONGEST_NUMBER = 15
_ID, _CUSTOMER = "id", "customer"
_TRUTHS = frozenset({"true", "false"})
_ADDRESSES = {"email": ChannelName.EMAIL.value, "phone": ChannelName.SMS.value}
_STATED = {"country": 1, "language": 2, "timezone": 3}
"""Where a profile has what templates may show."""


@dataclass(slots=True)
class Memory:
    """The answers for one occurrence of one rule, planned at one time: never to be used for another."""

    answers: dict[Hashable, Answer] = field(default_factory=dict)

    def keep(self, key: Hashable, answer: Answer) -> None:
        """Remember the answer for everybody with this profile."""
        if len(self.answers) >= _MOST:
            self.answers.clear()
        self.answers[key] = answer


@dataclass(frozen=True, slots=True)
class Sorted:
    """A batch: the candidates in the order asked about, who is outside the experiment, and whom nobody knows."""

    judged: Sequence[Judged]
    outside: Sequence[str]
    unknown: Sequence[str]


def fits(clerk: Clerk, occurrences: Iterable[Occurrence]) -> bool:
    """Whether a batch can be decided by likeness: one occurrence, one key for all, and people hashed by their id."""
    if len(set(map(id, occurrences))) != 1 or not is_shared(clerk.rule.once):
        return False
    experiment = clerk.rule.experiment
    return experiment is None or experiment.unit == _ID


def judge_alike(  # noqa: PLR0917 - what a batch is made of
    connection: Connection, clerk: Clerk, occurrence: Occurrence, once: str, ids: Sequence[str], memory: Memory
) -> Sorted:
    """Decide about ``ids`` (each once), who share the occurrence and the key ``once``."""
    shown = _Shown(clerk, occurrence)
    profiles = load_profiles(connection, ids, shown.wanted)
    busy = contacts(connection, clerk, ids)
    keys, outside = _keys(clerk, occurrence, profiles)
    keys |= {i: (keys[i], _kind_of(met)) for i, met in busy.items() if i in keys}
    # Without a zone in the store the ladder asks the phone number.
    alone = {identity for identity, one in profiles.items() if not one.profile[0] and identity in keys}
    known, strange = _known({i: key for i, key in keys.items() if i not in alone} if alone else keys, memory)
    if strange:
        _learn(connection, clerk, occurrence, strange, memory, busy)
        known |= _known(strange, memory)[0]
    found: dict[str, Judged] = {}
    for identity, answer in known.items():
        if isinstance(answer.decision, Skip):
            found[identity] = Judged(once, identity, occurrence, answer, None)
            continue
        context = shown.text(answer.template, identity, profiles[identity])
        if context is not None:
            found[identity] = Judged(once, identity, occurrence, answer, context)
    rest = [identity for identity in keys if identity not in found]
    for identity, person in load_people(connection, rest).items():
        part = clerk.assignment_of(occurrence, person)
        answer = clerk.answer(occurrence, person, part, busy.get(identity, QUIET))
        found[identity] = clerk.judged(once, occurrence, person, answer)
    return Sorted(
        judged=[found[identity] for identity in ids if identity in found],
        outside=outside,
        unknown=[identity for identity in ids if identity not in profiles],
    )


def contacts(connection: Connection, clerk: Clerk, ids: Sequence[str]) -> dict[str, Traffic]:
    """What caps will count, of those who had any; nobody is asked about where no cap can bind."""
    if not can_bind(clerk.policy, clerk.topic, clerk.rule.send.channels):
        return {}
    return traffic.load(connection, clerk.policy, ids, now=clerk.now)


def _keys(
    clerk: Clerk, occurrence: Occurrence, profiles: Mapping[str, Profiled]
) -> tuple[dict[str, Hashable], list[str]]:
    """What the ladder can tell of each, their part in experiments included; and who is outside the experiment."""
    if clerk.rule.experiment is None:
        held = held_globally(clerk.holdout, profiles) if clerk.holdout is not None else frozenset[str]()
        return {identity: (one.profile, identity in held) for identity, one in profiles.items()}, []
    keys: dict[str, Hashable] = {}
    outside: list[str] = []
    zones: dict[str, ZoneInfo] = {}
    for identity, one in profiles.items():
        zone = zones.get(one.zone_source)
        if zone is None:
            zone = zones[one.zone_source] = clerk.zone(occurrence, one.zone_source)
        part = clerk.assignment(occurrence, zone, identity, identity)
        if part is not None and not part.covered:
            outside.append(identity)
        else:
            keys[identity] = (one.profile, part and (part.held_out_by, part.experiment, part.variant))
    return keys, outside


def _known(keys: Mapping[str, Hashable], memory: Memory) -> tuple[dict[str, Answer], dict[str, Hashable]]:
    """Who has an answer by likeness, and who has none yet. A key is hashed once: that of 20 values takes a while."""
    known: dict[str, Answer] = {}
    strange: dict[str, Hashable] = {}
    answer_to = memory.answers.get
    for identity, key in keys.items():
        answer = answer_to(key)
        if answer is None:
            strange[identity] = key
        else:
            known[identity] = answer
    return known, strange


def _kind_of(met: Traffic) -> Hashable:
    """What caps can tell of past contacts: not which messages they were, but which were of the same message."""
    names: dict[str, int] = {}
    return tuple(
        (c.at, c.channel, c.topic, c.message_class, c.message_id and names.setdefault(c.message_id, len(names) + 1))
        for c in sorted(met.contacts, key=_in_time)
    )


def _in_time(contact: Contact) -> tuple[datetime, str, str, str]:
    return contact.at, contact.channel, contact.topic, contact.message_class


def _learn(  # noqa: PLR0917 - as for a batch
    connection: Connection,
    clerk: Clerk,
    occurrence: Occurrence,
    strange: Mapping[str, Hashable],
    memory: Memory,
    busy: Mapping[str, Traffic],
) -> None:
    """Ask the ladder about one person of each kind, the first."""
    first: dict[Hashable, str] = {}
    for identity, key in strange.items():
        first.setdefault(key, identity)
    new = {identity: key for key, identity in first.items()}
    for identity, person in load_people(connection, list(new)).items():
        part = clerk.assignment_of(occurrence, person)
        memory.keep(new[identity], clerk.answer(occurrence, person, part, busy.get(identity, QUIET)))


class _Shown:
    """Writes the context of a message from what was read with the profile; what is not plain is left alone."""

    def __init__(self, clerk: Clerk, occurrence: Occurrence) -> None:
        self._clerk = clerk
        self._occurrence = occurrence
        self._writers: dict[str, _Writer | None] = {}
        names = {name for template in _templates(clerk, occurrence) for name in self._declared(template)}
        attributes = sorted(name for name in names if name not in (_ID, *_ADDRESSES, *_STATED))
        addresses = sorted(_ADDRESSES[name] for name in names if name in _ADDRESSES)
        self.wanted = Wanted(
            topic=clerk.topic.name,
            channels=tuple(channel.value for channel in clerk.rule.send.channels),
            attributes=tuple(attributes),
            addresses=tuple(addresses),
        )

    def text(self, template: str, identity: str, one: Profiled) -> str | None:
        """The JSON that ``Clerk.judged`` would make; None where only that can tell."""
        if template not in self._writers:
            self._writers[template] = self._writer(template)
        writer = self._writers[template]
        return None if writer is None else writer.text(identity, one)

    def _declared(self, template: str) -> Iterable[str]:
        return self._clerk.active.templates.declared(template).get(_CUSTOMER, ())

    def _writer(self, template: str) -> "_Writer | None":
        snapshot = self._clerk.active.templates.snapshot(template, self._occurrence.values)
        if isinstance(snapshot, RenderStop):
            return None
        places: list[tuple[str, str, int]] = []
        for name in sorted(self._declared(template)):
            label = f"{json_text(name)}:"
            if name == _ID:
                places.append((label, _ID, 0))
            elif name in _STATED:
                places.append((label, "stated", _STATED[name]))
            elif name in _ADDRESSES:
                place = len(self.wanted.attributes) + self.wanted.addresses.index(_ADDRESSES[name])
                places.append((label, "address", place))
            else:
                places.append((label, "attribute", self.wanted.attributes.index(name)))
        before, between, after = json_text(snapshot).partition(f'"{_CUSTOMER}":{{}}')
        if places and not between:
            return None
        opened = f'{before}"{_CUSTOMER}":{{' if places else before + between
        return _Writer(opened, "}" + after if places else after, tuple(places))


@dataclass(frozen=True, slots=True)
class _Writer:
    """The context of one template: constant text around what differs between customers."""

    before: str
    after: str
    places: tuple[tuple[str, str, int], ...]

    def text(self, identity: str, one: Profiled) -> str | None:
        """The whole document, None where a value is not plain."""
        parts: list[str] = []
        for label, kind, place in self.places:
            if kind == "attribute":
                raw = one.shown[place]
                if raw is None or raw == "null":
                    continue
                if not _is_plain(raw):
                    return None
                parts.append(label + raw)
                continue
            value = identity if kind == _ID else one.profile[place] if kind == "stated" else one.shown[place]
            if value is None:
                continue
            quoted = f'"{value}"'
            if not _is_plain(quoted) or '"' in value:
                return None
            parts.append(label + quoted)
        return self.before + ",".join(parts) + self.after


def _is_plain(raw: str) -> bool:
    """JSON that means the same however it is written: short printable text without escapes, a small whole number."""
    if raw[0] == '"':
        return len(raw) < _LONGEST and "\\" not in raw and raw.isprintable()
    return raw in _TRUTHS or (len(raw) < _LONGEST_NUMBER and raw.isdecimal())


def _templates(clerk: Clerk, occurrence: Occurrence) -> Iterable[str]:
    experiment = clerk.rule.experiment
    variants = experiment.variants.values() if experiment else ()
    return (occurrence.template, *(variant.template for variant in variants if variant.template))
