"""``caps`` of the policy: how often people hear from us at most."""

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

from outbound.domain.customer import ChannelName
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.policy import CalendarPeriod, Cap, CapUse, MessageClass, Topic
from outbound.domain.source import Span
from outbound.engine.rulefiles.cap_windows import same_span, windows_to_cover
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, near_hint
from outbound.engine.rulefiles.nodes import ListNode, MapNode, Node
from outbound.engine.rulefiles.policy_classes import CLASS_NAMES, described_channel
from outbound.engine.rulefiles.record import Record
from outbound.engine.rulefiles.shapes import choice, integer, scalar
from outbound.engine.rulefiles.values import duration_hint, parse_duration

CAP_KEYS: Final = ("class", "channel", "topic", "max", "per", "for")
_TARGETS: Final = ("class", "channel", "topic")
MOST_CONTACTS: Final = 10_000
_UNITS: Final = {
    DurationUnit.MINUTE: 366 * 24 * 60,
    DurationUnit.HOUR: 366 * 24,
    DurationUnit.DAY: 366,
    DurationUnit.WEEK: 52,
    DurationUnit.MONTH: 12,
}
"""The longest window in each unit: a year of contacts is all that a gate looks at."""
_EXAMPLE: Final = "{class: marketing, max: 1, per: day}"
_LIKE_PERIODS: Final = {
    "hour": "1h",
    "hourly": "1h",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "yearly": "year",
    "annually": "year",
}

_max = integer(1, MOST_CONTACTS)
_people = choice(("everyone", "fewer"))


class _Names(NamedTuple):
    """What a cap may be for. ``topic_names`` are the topics as written, also those that could not be read."""

    classes: Mapping[str, MessageClass]
    topics: Mapping[str, Topic]
    topic_names: Collection[str]
    channels: Collection[ChannelName]


class _Written(NamedTuple):
    """A cap, where its ``per`` stands, and whom it is for: worked out once, since each is compared with all."""

    cap: Cap
    span: Span
    target: tuple[str | None, ChannelName | None, str | None, bool]


def read_caps(
    policy: Record,
    findings: Findings,
    classes: Mapping[str, MessageClass],
    topics: Mapping[str, Topic],
    channels: Collection[ChannelName],
) -> tuple[Cap, ...]:
    """The caps, each once. One that cannot be read is reported and left out."""
    node = policy.optional_node("caps")
    if node is None:
        return ()
    if not isinstance(node, ListNode) or not node.items:
        findings.error(Code.WRONG_SHAPE, node.span, "'caps' must be a list of caps", f"write [{_EXAMPLE}]")
        return ()
    names = _Names(classes, topics, _keys(policy.node("topics")), channels)
    found: list[_Written] = []
    for item in node.items:
        written = _cap(item, findings, names)
        if written is None:
            continue
        same = next((w for w in found if w.target == written.target and same_span(w.cap.per, written.cap.per)), None)
        if same is not None:
            message = f"cap {written.cap.name} stands twice, first in line {same.span.line}"
            findings.error(Code.DUPLICATE_CAP, item.span, message, "remove one")
            continue
        found.append(written)
    for written in found:
        _shadowed(written, found, findings)
    return tuple(written.cap for written in found)


def _cap(node: Node, findings: Findings, names: _Names) -> _Written | None:
    if not isinstance(node, MapNode):
        findings.error(Code.WRONG_SHAPE, node.span, "a cap must be a mapping", f"write {_EXAMPLE}")
        return None
    record = Record(node, findings, keys=CAP_KEYS)
    before = findings.errors
    class_shape = choice(tuple(names.classes) or CLASS_NAMES, code=Code.UNKNOWN_CLASS, what="class")
    message_class = record.optional("class", class_shape)
    channel = record.optional("channel", described_channel(names.channels))
    topic = record.optional("topic", choice(names.topic_names, code=Code.UNKNOWN_TOPIC, what="topic"))
    most = record.required("max", _max)
    span = record.required_node("per")
    per = None if span is None else _per(span, findings)
    fewer = record.has("for") and record.optional("for", _people) == "fewer"
    written = [key for key in _TARGETS if record.has(key)]
    if len(written) > 1:
        message = f"a cap is for one of class, channel or topic, not for {' and '.join(written)}"
        findings.error(Code.CAP_TARGET, record.key_span(written[1]), message, "write two caps")
    elif not written and findings.errors == before:
        message = "what is limited? a cap is for a class, a channel or a topic"
        findings.error(Code.CAP_TARGET, record.span, message, "write class: marketing")
    if findings.errors > before or most is None or per is None:
        return None
    concerned = _concerned(names, message_class, topic)
    if concerned and not any(c.caps is CapUse.APPLY for c in concerned):
        _no_effect(record, findings, written[0], concerned)
        return None
    target = message_class or channel or topic or ""
    if topic is not None and (topic in CLASS_NAMES or topic in set(ChannelName)):
        target = f"topic.{topic}"  # a topic may be named like a class or a channel; names of caps are unique
    cap = Cap(
        name=f"{target}.{per}.fewer" if fewer else f"{target}.{per}",
        max=most,
        per=per,
        message_class=message_class,
        channel=channel,
        topic=topic,
        fewer=fewer,
    )
    return _Written(cap, record.value_span("per"), (message_class, channel, topic, fewer))


def _per(node: Node, findings: Findings) -> CalendarPeriod | Duration | None:
    """A calendar period, or the length of a rolling window."""
    found = scalar(node, findings)
    if found is None:
        return None
    periods = [period.value for period in CalendarPeriod]
    if found.text in periods:
        return CalendarPeriod(found.text)
    window = parse_duration(found.text)
    if window is None or window.unit not in _UNITS or window.amount < 1:
        like = _LIKE_PERIODS.get(found.text.lower())
        hint = duration_hint(found.text, tuple(_UNITS)) or (f"write {like}" if like else near_hint(found.text, periods))
        message = "'per' must be day, week, month, year or a duration like 168h or 7d"
        findings.error(Code.BAD_DURATION, node.span, message, hint)
        return None
    if window.amount > _UNITS[window.unit]:
        findings.error(Code.BAD_DURATION, node.span, "a cap looks back a year at most", "write per: year")
        return None
    return window


def _concerned(names: _Names, message_class: str | None, topic: str | None) -> tuple[MessageClass, ...]:
    """The classes a cap could stop messages of; none where its topic or class could not be read."""
    if message_class is not None:
        return (names.classes[message_class],) if message_class in names.classes else ()
    if topic is not None:
        return (names.topics[topic].message_class,) if topic in names.topics else ()
    return tuple(names.classes.values())


def _no_effect(record: Record, findings: Findings, key: str, concerned: tuple[MessageClass, ...]) -> None:
    name = concerned[0].name if key != "channel" else ""
    who = f"class {name} has" if name else "no class has"
    how = f"caps: {concerned[0].caps}, so this cap" if name else "caps: apply, so this cap"
    fixed = name in ("security", "transactional")  # may not obey caps at all
    hint = "remove the cap" if fixed else f"write caps: apply in class {name or 'marketing'}, or remove the cap"
    message = f"{who} {how} can never stop anything"
    findings.error(Code.NO_EFFECT, record.value_span(key), message, hint)


def _shadowed(written: _Written, others: Iterable[_Written], findings: Findings) -> None:
    """Warn of a cap that another one of the same target always reaches first."""
    for other in others:
        if other is written or other.target != written.target:
            continue
        windows = windows_to_cover(written.cap.per, other.cap.per)
        if windows is not None and windows > 1 and written.cap.channel is not None:
            continue  # messages that only count may fill a channel beyond its cap
        if windows is not None and windows * other.cap.max <= written.cap.max:
            message = (
                f"{_words(written.cap)} can never be reached: {_words(other.cap)} (line {other.span.line}) stops before"
            )
            findings.warning(Code.SHADOWED_CAP, written.span, message, "remove this one, or lower its max")
            return


def _words(cap: Cap) -> str:
    return f"{cap.max} per {cap.per}"


def _keys(node: Node | None) -> tuple[str, ...]:
    """The names as written, also those whose values are wrong: a cap on one of them is not a second mistake."""
    return tuple(key.text for key, _ in node) if isinstance(node, MapNode) else ()
