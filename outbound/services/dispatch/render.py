"""Stage 3: the message's words and bytes, the same for ever from the first render on."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import structlog

from outbound.channels.base import Parcel
from outbound.domain.customer import ChannelName
from outbound.domain.errors import OutboundError
from outbound.domain.ids import content_hash
from outbound.domain.outcome import Outcome, OutcomeKind
from outbound.domain.rendered import EmailEnvelope, RenderedEmail, RenderedSms, RenderStop
from outbound.engine.rendering import Links
from outbound.services.dispatch.kit import Kit, Slice
from outbound.services.dispatch.parcels import Answered, Passed, Ready, RenderFailure, domain_of
from outbound.services.dispatch.points import hit

log = structlog.get_logger("outbound.dispatch")

_BREATH = 4
"""Rendered between two turns of the event loop, so that connections are not kept waiting."""


async def render(_slice: Slice, kit: Kit, chunks: AsyncIterator[list[Passed]]) -> AsyncIterator[list[Ready | Answered]]:
    """Render each message; one that cannot be rendered is answered at once and the others go on (fault F54)."""
    async for chunk in chunks:
        rendered: list[Ready | Answered] = []
        for number, passed in enumerate(chunk, 1):
            rendered.append(_render_safely(kit, passed))
            if number % _BREATH == 0:
                await asyncio.sleep(0)
        hit("render.done")
        yield rendered


def _render_safely(kit: Kit, passed: Passed) -> Ready | Answered:
    try:
        return _render(kit, passed)
    except OutboundError as error:  # content that the channel cannot carry
        return _stopped(passed, RenderFailure(detail=error.code))
    except Exception as error:  # noqa: BLE001 - a template or a value can fail in any way: this message stops
        log.error("render failed", error=type(error).__name__, message=passed.message.id)  # noqa: TRY400 - no values
        return _stopped(passed, RenderFailure(detail=f"error {type(error).__name__}"))


def _render(kit: Kit, passed: Passed) -> Ready | Answered:
    message, begin = passed.message, passed.begin
    topic = passed.release.ruleset.policy.topics[message.topic]  # not today's: a retry must be the same bytes
    message_class = topic.message_class
    links: Links = kit.links(message, begin.channel, topic=topic)
    rendered = passed.release.templates.render(
        message.template,
        begin.channel,
        language=begin.language or None,
        context=message.context,
        links=links,
        message_class=message_class.name,
    )
    if isinstance(rendered, RenderStop):
        return _stopped(passed, RenderFailure(detail=rendered.detail))
    envelope, subject, reference = None, "", f"{message.id}.{begin.leg}"
    if isinstance(rendered, RenderedEmail):
        if reply_to := kit.reply_to(reference):
            rendered = replace(rendered, reply_to=reply_to)
        subject = rendered.subject
        required = message_class.unsubscribe_required
        domain = domain_of(rendered.sender)
        envelope = EmailEnvelope(
            to=begin.address,
            message_id=begin.mime_id,
            date=begin.date,
            unsubscribe_url=links.unsubscribe if required else None,
            list_id=f"{message.topic}.{domain}" if topic.declinable else None,
        )
    payload = kit.adapters[begin.channel].pack(rendered, envelope)
    digest = content_hash(payload)
    if message.body_hash and not begin.moved_on and digest != message.body_hash:
        return _stopped(passed, RenderFailure(detail="not the bytes of the first handover", changed=True))
    parcel = Parcel(
        reference=reference,
        channel=ChannelName(begin.channel),
        address=begin.address,
        payload=payload,
        customer_id=begin.customer_id,
        subject=subject,
    )
    parts = rendered.segments if isinstance(rendered, RenderedSms) else 1
    return Ready(passed=passed, parcel=parcel, body_hash=digest, parts=parts)


def _stopped(passed: Passed, failure: RenderFailure) -> Answered:
    return Answered(passed=passed, outcome=Outcome(kind=OutcomeKind.NOT_SENT, text=failure.detail), stop=failure)
