"""Seeing a message before it is sent: ``preview`` renders it, ``proof`` delivers a marked copy to an address.

Neither is in the outbox, in a run or on the customer's record.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from email.utils import parseaddr
from typing import Any, assert_never

from sqlalchemy.engine import Connection

from outbound.channels.base import Adapter, Parcel
from outbound.domain.customer import ChannelName, Customer, Scalar
from outbound.domain.errors import OutboundError
from outbound.domain.ids import new_id
from outbound.domain.outcome import Outcome
from outbound.domain.policy import Policy, Topic
from outbound.domain.rendered import EmailEnvelope, Rendered, RenderedEmail, RenderedSms, RenderStop
from outbound.domain.rule import ChangedTrigger, EntersTrigger, EventTrigger, Rule
from outbound.engine.conditions.facts import customer_values
from outbound.engine.rendering import Links
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services.planning.changes import change_values
from outbound.services.planning.compiled import topic_of
from outbound.services.planning.enters import entry_values
from outbound.services.releases import Active
from outbound.services.sends import typed_arguments
from outbound.storage import changes, memberships, pending
from outbound.storage.database import Database
from outbound.storage.people import load_people

MARK = "[PROOF]"
_CODE = "0000-0000-0000"
"""The code of no message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Previewed:
    """One template on one channel in one language as one customer would get it, or why they would not."""

    rule: str
    customer_id: str
    template: str
    channel: ChannelName
    language: str
    message_class: str
    content: Rendered | RenderStop


def preview(
    database: Database,
    active: Active,
    *,
    rule: str,
    customer_id: str,
    public_url: str,
    arguments: Mapping[str, Scalar] | None = None,
    all_languages: bool = False,
    assets: str = "",
) -> tuple[Previewed, ...]:
    """Every template of a rule on each of its channels, with the customer's real values.

    In the customer's language, or in all that a template is written in. ``assets`` is where pictures are looked for
    instead of under ``public_url``.

    An event rule is shown with the customer's newest event of that name, a rule on changes with their newest
    change, one on a segment with their newest entry, a script rule with ``arguments``. The links lead nowhere:
    who opens a preview must not unsubscribe the customer. Raises OutboundError ``preview.rule``,
    ``preview.customer`` or ``preview.event``.
    """
    found = active.ruleset.rules.get(rule)
    if found is None:
        known = ", ".join(sorted(active.ruleset.rules))
        raise OutboundError("preview.rule", f"there is no rule {rule!r} in the running release", f"rules: {known}")
    values, language = _values(database, found, customer_id, arguments or {}, active.ruleset.policy)
    topic = topic_of(active, found)
    links = {one: _links(public_url, topic, one, assets=assets) for one in found.send.channels}
    wanted = active.ruleset.policy.brand.languages if all_languages else (language,)
    shown = []
    for template in dict.fromkeys((*found.send.templates.values(), *sorted(found.templates))):
        context = active.templates.snapshot(template, values)
        for channel in found.send.channels:
            for chosen in dict.fromkeys(active.templates.language(template, channel, one) for one in wanted):
                content = (
                    context
                    if isinstance(context, RenderStop)
                    else active.templates.render(
                        template,
                        channel,
                        language=chosen,
                        context=context,
                        links=links[channel],
                        message_class=topic.message_class.name,
                    )
                )
                shown.append(
                    Previewed(
                        rule=rule,
                        customer_id=customer_id,
                        template=template,
                        channel=channel,
                        language=chosen,
                        message_class=topic.message_class.name,
                        content=content,
                    )
                )
    return tuple(shown)


async def proof(previewed: Previewed, *, adapter: Adapter, address: str, now: datetime) -> Outcome:
    """Deliver one previewed message to ``address``, marked in its subject or at the head of its text.

    Raises OutboundError ``proof.render`` for one that cannot be rendered.
    """
    if isinstance(previewed.content, RenderStop):
        remedy = "correct the template, or choose a customer with the missing value"
        raise OutboundError("proof.render", f"it cannot be rendered: {previewed.content.detail}", remedy)
    reference = f"proof-{new_id(now)}"
    marked, envelope = _marked(previewed.content, reference, address, now)
    parcel = Parcel(
        reference=reference,
        channel=previewed.channel,
        address=address,
        payload=adapter.pack(marked, envelope),
        sender=parseaddr(marked.sender)[1] if isinstance(marked, RenderedEmail) else "",
        customer_id=previewed.customer_id,
        subject=marked.subject if isinstance(marked, RenderedEmail) else "",
    )

    async def handover() -> bool:
        return True

    return await adapter.deliver(parcel, handover)


def _marked(content: Rendered, reference: str, address: str, now: datetime) -> tuple[Rendered, EmailEnvelope | None]:
    match content:
        case RenderedEmail():
            domain = parseaddr(content.sender)[1].rpartition("@")[2]
            envelope = EmailEnvelope(to=address, message_id=f"<{reference}@{domain}>", date=now)
            return replace(content, subject=f"{MARK} {content.subject}"), envelope
        case RenderedSms():
            return replace(content, text=f"{MARK} {content.text}"), None
        case _:
            assert_never(content)


def _values(
    database: Database, rule: Rule, customer_id: str, arguments: Mapping[str, Scalar], policy: Policy
) -> tuple[dict[str, Mapping[str, Any]], str | None]:
    with database.read() as connection:
        person = load_people(connection, [customer_id]).get(customer_id)
        if person is None:
            remedy = "see `outbound customer show`"
            raise OutboundError("preview.customer", f"there is no customer {customer_id!r}", remedy)
        values: dict[str, Mapping[str, Any]] = {"customer": customer_values(person.customer)}
        if isinstance(rule.trigger, EventTrigger):
            event = pending.newest_of(connection, customer_id, rule.trigger.event)
            if event is None:
                message = f"customer {customer_id!r} has no event {rule.trigger.event}"
                raise OutboundError("preview.event", message, "choose a customer it happened to")
            values["event"] = {**event.data, "id": event.id}
        values |= _became(connection, rule, person.customer, policy)
    if arguments:
        values["script"] = typed_arguments(rule, arguments)
    return values, person.customer.preference.language


def _became(connection: Connection, rule: Rule, customer: Customer, policy: Policy) -> Mapping[str, Mapping[str, Any]]:
    """What a rule on changes or on a segment tells its template."""
    zone = resolve_zones(customer_source(customer), policy).at
    match rule.trigger:
        case ChangedTrigger(attribute=attribute):
            change = changes.newest_of(connection, customer.id, attribute)
            if change is not None:
                return change_values(change, zone)
            message = f"customer.{attribute} of {customer.id!r} never changed"
        case EntersTrigger(segment=segment):
            entry = memberships.newest_entry(connection, segment, customer.id)
            if entry is not None:
                return entry_values(*entry, zone)
            message = f"customer {customer.id!r} was not seen in segment {segment}"
        case _:
            return {}
    raise OutboundError("preview.event", message, "choose a customer it happened to")


def _links(public_url: str, topic: Topic, channel: ChannelName, *, assets: str) -> Links:
    """Links that lead to the real pages and act for nobody (fault F86)."""
    root = public_url.rstrip("/")
    checked = topic.verify or channel is ChannelName.EMAIL
    return Links(
        unsubscribe=f"{root}/u/preview" if topic.declinable else "",
        preferences=f"{root}/p/preview",
        assets=assets or f"{root}/assets/",
        verify=f"{root}/v/{_CODE}" if checked else "",
        code=_CODE if checked else "",
    )
