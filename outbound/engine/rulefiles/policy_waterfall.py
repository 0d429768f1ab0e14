"""``waterfall`` of the policy: the order of channels, and what moves a message on to the next one."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final, NamedTuple

from outbound.domain.customer import ChannelName
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import ListNode, Node
from outbound.engine.rulefiles.policy_classes import described_channel
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.shapes import items, scalar
from outbound.engine.rulefiles.values import parse_duration

WATERFALL_KEYS: Final = ("default", "next_on")
NO_RECEIPT: Final = "no_receipt"
NEXT_ON: Final = ("unreachable", "not_allowed", "bounced", NO_RECEIPT)
_DEFAULT: Final = ("unreachable", "not_allowed")
_REPORTING: Final = frozenset({ChannelName.SMS, ChannelName.WHATSAPP, ChannelName.VOICE})
"""Channels whose networks report the delivery of a message. Mail, push and paper do not."""


class Waterfall(NamedTuple):
    """``next_on`` holds the words alone; ``no_receipt`` is how long a leg waits for its receipt."""

    order: tuple[ChannelName, ...]
    next_on: tuple[str, ...]
    no_receipt: timedelta | None


def read_waterfall(policy: Record, findings: Findings, channels: Collection[ChannelName]) -> Waterfall:
    """The default order of channels and what moves a message on; without the key all channels, in their order."""
    node = policy.optional_node("waterfall")
    record = open_record(node, findings, keys=WATERFALL_KEYS) if node is not None else None
    if record is None:
        return Waterfall(tuple(channels), _DEFAULT, None)
    order = record.optional("default", items(described_channel(channels))) or tuple(channels)
    written = record.optional_node("next_on")
    if not isinstance(written, ListNode):
        record.optional("next_on", items(scalar))
        return Waterfall(order, _DEFAULT, None)
    words: list[str] = []
    patience: timedelta | None = None
    for item in written.items:
        read = _next_on(item, findings)
        if read is None:
            continue
        word, wait = read
        if word in words:
            findings.error(Code.DUPLICATE_VALUE, item.span, f"'{word}' stands twice in 'next_on'", "remove one")
            continue
        words.append(word)
        if wait is not None:
            patience = wait
            _reported(item, findings, channels)
    return Waterfall(order, tuple(words), patience)


def _next_on(node: Node, findings: Findings) -> tuple[str, timedelta | None] | None:
    found = scalar(node, findings)
    if found is None:
        return None
    word, _, wait = found.text.partition(" ")
    if word not in NEXT_ON:
        findings.error(Code.BAD_VALUE, node.span, f"'{word}' moves no message on", did_you_mean(word, NEXT_ON))
        return None
    written = parse_duration(wait) if wait else None
    elapsed = written.elapsed if written is not None and written.amount > 0 and written.unit != "s" else None
    if (word == NO_RECEIPT) != bool(wait) or (wait and elapsed is None):
        hint = "write no_receipt 15m" if word == NO_RECEIPT else f"write {word}"
        findings.error(Code.BAD_DURATION, node.span, "only no_receipt takes a time, in minutes or hours", hint)
        return None
    return word, elapsed


def _reported(node: Node, findings: Findings, channels: Collection[ChannelName]) -> None:
    """Warn where no channel could ever report a delivery: nothing would be waited for."""
    if channels and _REPORTING.isdisjoint(channels):
        message = f"no delivery is ever reported on {' and '.join(sorted(channels))}: no_receipt moves nothing on"
        findings.warning(Code.NO_RECEIPTS, node.span, message, f"remove it; it is for {', '.join(sorted(_REPORTING))}")
