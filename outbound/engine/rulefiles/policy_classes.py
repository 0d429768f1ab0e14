"""Classes and topics of the policy: what may be refused, and what needs a yes first."""

from collections.abc import Collection, Mapping

from outbound.domain.customer import ChannelName
from outbound.domain.policy import TRACKED, TRACKING, CapUse, ChannelPolicy, ConsentNeed, MessageClass, Topic
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import MapNode, Node
from outbound.engine.rulefiles.record import Record, Shape, open_record
from outbound.engine.rulefiles.shapes import boolean, choice, integer, items, name, table, text
from outbound.engine.rulefiles.values import channel, duration, language

CLASS_NAMES = ("security", "transactional", "service", "marketing")
"""The closed list: the class decides the lane, the sender and what the law asks for."""

CLASS_KEYS = ("consent", "caps", "quiet", "on_uncertain", "expires", "priority", "unsubscribe")
TOPIC_KEYS = ("class", "consent", "opt_out", "priority", "titles", "verify", "track")
_STRENGTH = {ConsentNeed.NONE: 0, ConsentNeed.OPT_IN: 1, ConsentNeed.DOUBLE_OPT_IN: 2}
_CAPS = {"marketing": CapUse.APPLY, "service": CapUse.COUNT}
"""Where a class does not say; the others are exempt."""
_UNKNOWN_CLASS = MessageClass(name="", consent=ConsentNeed.NONE, quiet=frozenset(), priority=0, caps=CapUse.APPLY)
_PRIORITY = integer(0, 999)

_need_name = choice([need.value for need in ConsentNeed])
TOPIC_NAME = r"[a-z][a-z0-9-]{0,62}"
_topic_name = name(TOPIC_NAME, "order-updates")


def consent_need(node: Node, findings: Findings) -> ConsentNeed | None:
    """none, opt_in or double_opt_in."""
    found = _need_name(node, findings)
    return None if found is None else ConsentNeed(found)


def described_channel(channels: Collection[ChannelName]) -> Shape[ChannelName]:
    """A channel of the product that the policy describes."""

    def read(node: Node, findings: Findings) -> ChannelName | None:
        found = channel(node, findings)
        if found is not None and channels and found not in channels:  # without any, that alone is the mistake
            hint = f"describe it under 'channels' (there: {', '.join(channels)})"
            findings.error(Code.UNKNOWN_CHANNEL, node.span, f"channel '{found}' is not in rules/policy.yaml", hint)
            return None
        return found

    return read


def read_classes(policy: Record, findings: Findings, channels: Collection[ChannelName]) -> dict[str, MessageClass]:
    """The classes. One that cannot be read is reported and left out."""
    node = policy.node("classes")
    if not isinstance(node, MapNode):
        policy.required("classes", table(text, text))
        return {}
    class_name = choice(CLASS_NAMES, code=Code.UNKNOWN_CLASS, what="class")
    found = {}
    for key, value in node:
        known = class_name(key, findings)
        record = open_record(value, findings, keys=CLASS_KEYS)
        if record is None:
            continue
        read = MessageClass(
            name=known or "",
            consent=record.required("consent", consent_need) or ConsentNeed.NONE,
            quiet=frozenset(record.required("quiet", items(described_channel(channels), at_least=0)) or ()),
            priority=record.required("priority", _PRIORITY) or 0,
            on_uncertain=record.optional("on_uncertain", choice(("hold", "resend"))) or "hold",
            expires=record.optional("expires", duration("m", "h", "d", "w")),
            unsubscribe_required=record.optional("unsubscribe", choice(("required", "optional"))) == "required",
            caps=_caps(record, findings, known or ""),
        )
        if known is not None:
            found[known] = read
    return found


def _caps(record: Record, findings: Findings, class_name: str) -> CapUse:
    """How the class stands to caps; without the key marketing obeys them and service only counts."""
    written = record.optional("caps", choice([use.value for use in CapUse]))
    if written == CapUse.APPLY and class_name in ("security", "transactional"):
        message = f"{class_name} messages never wait for others, so caps cannot hold them"
        findings.error(Code.BAD_VALUE, record.value_span("caps"), message, "write exempt or count")
        return CapUse.COUNT
    return CapUse(written) if written is not None else _CAPS.get(class_name, CapUse.EXEMPT)


def read_topics(
    policy: Record,
    findings: Findings,
    classes: Mapping[str, MessageClass],
    channels: Mapping[ChannelName, ChannelPolicy],
    languages: Collection[str],
) -> dict[str, Topic]:
    """The topics. One with a mistake is reported and kept, so that rules that name it are not a second one."""
    node = policy.node("topics")
    if not isinstance(node, MapNode):
        policy.required("topics", table(text, text))
        return {}
    found = {}
    for key, value in node:
        topic = _topic_name(key, findings) or key.text
        record = open_record(value, findings, keys=TOPIC_KEYS)
        if record is None:
            continue
        written = record.required("class", text)
        if written is not None and classes and written not in classes:
            hint = did_you_mean(written, classes)
            findings.error(Code.UNKNOWN_CLASS, record.value_span("class"), f"unknown class '{written}'", hint)
        message_class = classes.get(written or "")
        consent = record.optional("consent", table(described_channel(channels), consent_need)) or {}
        if message_class is not None:
            _not_weaker(record, findings, message_class)
        titles = _titles(record, findings, languages)
        opt_out = record.optional("opt_out", boolean) or False
        priority = record.optional("priority", _PRIORITY)
        found[topic] = Topic(
            name=topic,
            message_class=message_class or _UNKNOWN_CLASS,
            consent={ChannelName(c): need for c, need in consent.items()},
            opt_out=opt_out,
            priority=priority,
            titles=titles,
            verify=record.optional("verify", boolean) or False,
            track=_track(record, findings, frozenset(key.text for key, _ in node)),
        )
    return found


def _track(record: Record, findings: Findings, topics: Collection[str]) -> frozenset[str]:
    """Opens and clicks may be noted of those who agreed to it, and there must be something to agree to (C43)."""
    found = record.optional("track", items(choice(TRACKED), example="write [clicks]")) or ()
    if found and TRACKING not in topics:
        message = f"nobody can agree to it: there is no topic '{TRACKING}'"
        findings.error(Code.BAD_VALUE, record.value_span("track"), message, f"add the topic '{TRACKING}' with titles")
    return frozenset(found)


def _not_weaker(record: Record, findings: Findings, message_class: MessageClass) -> None:
    """A topic may ask for more than its class, never for less."""
    node = record.node("consent")
    for _, value in node if isinstance(node, MapNode) else ():
        need = _need_name(value, Findings())
        if need is not None and _STRENGTH[ConsentNeed(need)] < _STRENGTH[message_class.consent]:
            message = f"'{need}' is weaker than class {message_class.name} asks for ({message_class.consent})"
            findings.error(Code.WEAKER_CONSENT, value.span, message, "a topic may ask for more, never for less")


def _titles(record: Record, findings: Findings, languages: Collection[str]) -> dict[str, str]:
    titles = record.optional("titles", table(language, text)) or {}
    node = record.node("titles")
    for key, _ in node if isinstance(node, MapNode) else ():
        if key.text in titles and languages and key.text not in languages:
            message = f"'{key.text}' is not one of the brand's languages ({', '.join(languages)})"
            findings.error(Code.UNKNOWN_LANGUAGE, key.span, message, "add it to brand.languages, or remove the title")
    missing = [wanted for wanted in languages if titles and wanted not in titles]
    if missing:
        message = f"no title in {', '.join(missing)}"
        findings.warning(
            Code.MISSING_TITLE, record.key_span("titles"), message, "customers read it on the preference page"
        )
    return titles
