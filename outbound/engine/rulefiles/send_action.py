"""The ``send`` of a rule: which template on which channels, and whether that template has a body for each."""

import re
from collections.abc import Set as AbstractSet
from typing import Final

from outbound.domain.customer import ChannelName
from outbound.domain.rule import DateTrigger, SendAction, Trigger
from outbound.domain.source import Span
from outbound.engine.rulefiles.codes import Code
from outbound.engine.rulefiles.experiment import ReadExperiment
from outbound.engine.rulefiles.findings import Findings, did_you_mean
from outbound.engine.rulefiles.nodes import MapNode, Node
from outbound.engine.rulefiles.policy_classes import described_channel
from outbound.engine.rulefiles.record import Record, open_record
from outbound.engine.rulefiles.shapes import items, scalar, text
from outbound.engine.rulefiles.values import channel, parse_duration
from outbound.engine.rulefiles.world import World

SEND_KEYS: Final = ("template", "channels", "pace")
_BODIES = {ChannelName.EMAIL: ("mjml", "html")}
"""The endings of a channel's body, ``txt`` for all others."""
_WRITTEN = (ChannelName.EMAIL, ChannelName.SMS)
"""Channels whose bodies templates can have; the language knows the others already."""


def read_send(
    node: Node,
    findings: Findings,
    world: World,
    trigger: Trigger | None,
    *,
    experiment: ReadExperiment | None = None,
) -> SendAction | None:
    """The action, or None after reporting why there is none. Without ``channels`` the policy's waterfall is used.

    The templates stand here, or with every variant of the rule's ``experiment``.
    """
    record = open_record(node, findings, keys=SEND_KEYS)
    if record is None:
        return None
    names = _names(record, findings, trigger, experiment)
    of_variants = experiment.templates if experiment else ()
    policy = world.policy
    shape = described_channel(policy.channels) if policy else channel
    channels = record.optional("channels", items(shape, example="write [email]"))
    known = [(name, span) for name, span in (*names.values(), *of_variants) if _exists(name, span, findings, world)]
    if channels:
        for name, span in known:
            _bodies(name, span, channels, findings, world)
    elif not record.has("channels") and policy:
        channels = tuple(c for c in policy.waterfall if all(_body(world.templates[name], c) for name, _ in known))
        if known and not channels:
            message = f"template '{known[0][0]}' has no body for any channel of the waterfall"
            findings.error(Code.NO_BODY, known[0][1], message, "write one, like email.mjml, or name the channels")
    pace = record.optional("pace", _pace)
    if not (names or of_variants) or not channels:
        return None
    return SendAction(
        templates={offset: name for offset, (name, _) in names.items()}, channels=channels, pace_per_hour=pace
    )


def _names(
    record: Record, findings: Findings, trigger: Trigger | None, experiment: ReadExperiment | None
) -> dict[str, tuple[str, Span]]:
    """The templates under ``send`` by offset, "" for all; none where the variants of the experiment name theirs."""
    written = record.node("template")
    if experiment and (experiment.templates or written is None):
        _by_variant(experiment, record, findings)
        return {}
    if experiment and len(experiment.bare) > 1:
        message = f"variants '{experiment.bare[0][0]}' and '{experiment.bare[1][0]}' send the same"
        findings.error(Code.BAD_VALUE, experiment.bare[1][1], message, "give each variant a template of its own")
    if isinstance(written, MapNode):
        return _by_offset(written, findings, trigger)
    single = record.required("template", text)
    return {} if single is None else {"": (single, record.value_span("template"))}


def _by_variant(experiment: ReadExperiment, send: Record, findings: Findings) -> None:
    """Each variant has a template of its own, or none of them has."""
    if send.has("template"):
        message = "the variants of the experiment name the templates"
        findings.error(Code.MISPLACED_KEY, send.key_span("template"), message, "remove it here, or there")
    for arm, place in experiment.bare:
        message = f"variant '{arm}' has no template"
        findings.error(Code.MISSING_KEY, place, message, "write {weight: 50, template: NAME}")


def _by_offset(node: MapNode, findings: Findings, trigger: Trigger | None) -> dict[str, tuple[str, Span]]:
    """One template per offset of a date trigger, none missing and none too many."""
    found: dict[str, tuple[str, Span]] = {}
    if trigger is not None and not isinstance(trigger, DateTrigger):
        message = "only a rule with offsets has a template for each"
        findings.error(Code.OFFSETS, node.span, message, "write template: NAME")
        return {}
    offsets = [str(offset) for offset in trigger.offsets] if trigger else []
    for key, value in node:
        offset = str(parse_duration(key.text) or key.text)
        name = text(value, findings)
        if trigger is not None and offset not in offsets:
            message = f"'{key.text}' is not an offset of this rule"
            findings.error(Code.OFFSETS, key.span, message, did_you_mean(key.text, offsets))
        elif name is not None:
            found[offset] = (name, value.span)
    for offset in offsets:
        if offset not in found and not any(str(parse_duration(key.text)) == offset for key, _ in node):
            findings.error(Code.OFFSETS, node.span, f"offset {offset} has no template", f"add {offset}: NAME")
    return found


def _exists(name: str, span: Span, findings: Findings, world: World) -> bool:
    if name in world.templates:
        return True
    hint = did_you_mean(name, world.templates) or f"it would stand in templates/{name}/template.yaml"
    findings.error(Code.UNKNOWN_TEMPLATE, span, f"unknown template '{name}'", hint)
    return False


def _bodies(name: str, span: Span, channels: tuple[ChannelName, ...], findings: Findings, world: World) -> None:
    for wanted in channels:
        if not _body(world.templates[name], wanted):
            endings = " or ".join(f"{wanted}.{ending}" for ending in _BODIES.get(wanted, ("txt",)))
            message = f"template '{name}' has no body for {wanted}"
            hint = f"add templates/{name}/{endings}, or leave the channel out"
            if wanted not in _WRITTEN:
                hint = "leave the channel out: this version writes email and sms"
            findings.error(Code.NO_BODY, span, message, hint)


def _body(files: AbstractSet[str], wanted: ChannelName) -> bool:
    """Whether a folder has the body of a channel, in any language (``email.mjml``, ``email.it.mjml``)."""
    pattern = re.compile(rf"{wanted}(\.[A-Za-z-]+)?\.({'|'.join(_BODIES.get(wanted, ('txt',)))})")
    return any(pattern.fullmatch(file) for file in files)


def _pace(node: Node, findings: Findings) -> int | None:
    """``20000/h``: the most messages in an hour."""
    found = scalar(node, findings)
    if found is None:
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,8})/h", found.text)
    if not match:
        digits = re.sub(r"[^0-9]", "", found.text)
        hint = f"write {digits}/h" if digits and "h" in found.text.lower() else "write it like 20000/h"
        findings.error(Code.BAD_VALUE, node.span, "'pace' is a number of messages per hour", hint)
        return None
    return int(match[1])
