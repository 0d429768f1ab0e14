"""rules/policy.yaml: one file, owned by the CRM or legal lead (rules.md, example g)."""

from typing import Final

from outbound.domain.policy import BrandIdentity, Policy
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import MapNode, Node
from outbound.engine.rulefiles.policy_caps import read_caps
from outbound.engine.rulefiles.policy_classes import CLASS_NAMES, read_classes, read_topics
from outbound.engine.rulefiles.policy_parts import read_blackout, read_calendars, read_channels, read_suppress
from outbound.engine.rulefiles.policy_quiet import read_quiet_hours
from outbound.engine.rulefiles.policy_sharing import read_arbitration, read_holdout, read_loops, read_strangers
from outbound.engine.rulefiles.policy_sms import read_sms_words
from outbound.engine.rulefiles.policy_waterfall import read_waterfall
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.shapes import choice, items, table, text
from outbound.engine.rulefiles.values import address, country, language, sender, zone

POLICY_KEYS: Final = (
    "policy",
    "timezone",
    "classes",
    "topics",
    "channels",
    "waterfall",
    "quiet_hours",
    "caps",
    "arbitration",
    "holdout",
    "loops",
    "strangers",
    "zones",
    "calendars",
    "blackouts",
    "suppress",
    "sms_words",
    "brand",
)
BRAND_KEYS: Final = ("name", "senders", "reply_to", "address", "languages", "fallback")


def read_policy(documents: list[Node], findings: Findings) -> Policy | None:
    """The policy, or None when it has no usable shape; what is wrong inside is reported and left out."""
    for extra in documents[1:]:
        message = "policy.yaml is one document"
        findings.error(Code.WRONG_SHAPE, extra.span, message, "remove the --- before this line")
        return None
    record = open_record(documents[0], findings, keys=POLICY_KEYS) if documents else None
    if record is None:
        return None
    record.required("policy", choice(("1",)))
    timezone = record.required("timezone", zone) or "UTC"
    channels = read_channels(record, findings)
    classes = read_classes(record, findings, channels)
    brand = _brand(record, findings, tuple(classes))
    topics = read_topics(record, findings, classes, channels, brand.languages)
    quiet = read_quiet_hours(record, findings)
    if any(c.quiet for c in classes.values()) and not record.has("quiet_hours"):
        record.missing("quiet_hours", "some classes keep quiet hours: say which")
    waterfall = read_waterfall(record, findings, tuple(channels))
    if not _named(record, findings):
        return None
    class_shape = choice(tuple(classes) or CLASS_NAMES, code=Code.UNKNOWN_CLASS, what="class")
    return Policy(
        timezone=timezone,
        classes=classes,
        topics=topics,
        channels=channels,
        waterfall=waterfall.order,
        next_on=waterfall.next_on,
        no_receipt=waterfall.no_receipt,
        quiet_hours=quiet.hours,
        quiet_drop=quiet.drop,
        zones=record.optional("zones", table(country, zone)) or {},
        calendars=read_calendars(record),
        blackouts=record.optional("blackouts", items(read_blackout(class_shape))) or (),
        suppress=record.optional("suppress", items(read_suppress(class_shape))) or (),
        brand=brand,
        caps=read_caps(record, findings, classes, topics, tuple(channels)),
        arbitration=read_arbitration(record, findings),
        holdout=read_holdout(record, findings, classes),
        loops=read_loops(record, findings),
        strangers=read_strangers(record, findings, {one.currency for one in channels.values()}),
        sms_words=read_sms_words(record, findings),
    )


def _named(record: Record, findings: Findings) -> bool:
    """Whether there are classes, topics and channels at all; nothing that names them is checked without them."""
    named = True
    for key in ("classes", "topics", "channels"):
        node = record.node(key)
        if isinstance(node, MapNode) and not node.entries:
            findings.error(Code.EMPTY_VALUE, node.span, f"'{key}' is empty", "write at least one")
        named = named and isinstance(node, MapNode) and bool(node.entries)
    return named


def _brand(policy: Record, findings: Findings, classes: tuple[str, ...]) -> BrandIdentity:
    empty = BrandIdentity(name="", senders={}, reply_to="", postal_address="", languages=(), fallback="")
    node = policy.node("brand")
    if node is None:
        policy.missing("brand", "who are you to customers? name, senders, reply_to, address, languages, fallback")
        return empty
    record = open_record(node, findings, keys=BRAND_KEYS)
    if record is None:
        return empty
    before = findings.errors
    languages = record.required("languages", items(language, example="write [it, en]")) or ()
    if findings.errors > before:
        languages = ()  # what was meant is unclear: titles are not measured against it
    fallback = record.required("fallback", language) or ""
    if fallback and languages and fallback not in languages:
        message = f"'{fallback}' is not one of the languages ({', '.join(languages)})"
        findings.error(Code.UNKNOWN_LANGUAGE, record.value_span("fallback"), message, "the fallback is one of them")
    return BrandIdentity(
        name=record.required("name", text) or "",
        senders=_senders(record, findings, classes),
        reply_to=record.required("reply_to", address) or "",
        postal_address=record.required("address", text) or "",
        languages=languages,
        fallback=fallback,
    )


def _senders(record: Record, findings: Findings, classes: tuple[str, ...]) -> dict[str, str]:
    """The sender of every class; marketing must not share an address with what people cannot refuse (C10)."""
    node = record.node("senders")
    class_name = choice(classes or CLASS_NAMES, code=Code.UNKNOWN_CLASS, what="class")
    senders = record.required("senders", table(class_name, sender))
    if senders is None or not isinstance(node, MapNode):
        return {}
    written = {key.text: value.span for key, value in node}
    for missing in (name for name in classes if name not in written):
        hint = f'write {missing}: "Shop <{missing}@shop.example>"'
        findings.error(Code.MISSING_KEY, node.span, f"class '{missing}' has no sender", hint)
    bare = {name: value.rpartition("<")[2].lower() for name, value in senders.items()}
    for name in ("transactional", "security"):
        if name in bare and bare[name] == bare.get("marketing"):
            message = f"marketing and {name} mail have the same sender address"
            hint = "use another address: complaints about one would sink the other"
            findings.error(Code.SAME_SENDER, written["marketing"], message, hint)
            break
    return senders
