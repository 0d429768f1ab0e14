"""Gate ``consent``: the person wants messages on this topic over this channel (C11, C34, C36, C45)."""

from outbound.domain.consent import ConsentState
from outbound.domain.customer import ChannelName
from outbound.domain.person import ConsentEntry, Person
from outbound.domain.policy import ConsentNeed, Topic
from outbound.domain.reasons import Reason, ReasonCode
from outbound.engine.ladder.context import PASS, Context, Pass, Verdict


def consent(context: Context) -> Verdict:
    """Drop each channel on which the topic is not wanted."""
    topic, person = context.candidate.topic, context.person
    dropped = {}
    for channel in context.channels:
        need = topic.need(channel)
        entry = person.consents.get((topic.name, channel)) or person.consents.get((topic.name, ""))
        if not _wanted(topic, need, entry, channel, person):
            dropped[channel] = Reason(ReasonCode.CONSENT, topic.name)
        elif context.notes is not None:
            state = "nothing withdrawn" if entry is None else entry.state
            context.notes.append(f"{topic.name}/{channel} needs {need}: {state}")
    return Pass(dropped=dropped) if dropped else PASS


def wanted(topic: Topic, person: Person, channel: ChannelName) -> bool:
    """Whether the person wants ``topic`` on ``channel`` as far as consent goes: what the gate would say now."""
    entry = person.consents.get((topic.name, channel)) or person.consents.get((topic.name, ""))
    return _wanted(topic, topic.need(channel), entry, channel, person)


def _wanted(topic: Topic, need: ConsentNeed, entry: ConsentEntry | None, channel: ChannelName, person: Person) -> bool:
    """Whether ``entry`` satisfies ``need``. Only what is known to be enough is enough: everything else stops."""
    if need == ConsentNeed.NONE:
        asks_nothing = topic.message_class.consent == ConsentNeed.NONE and not topic.opt_out
        return asks_nothing or entry is None or entry.state == ConsentState.GRANTED
    if entry is None or entry.state != ConsentState.GRANTED:
        return False
    if entry.basis != "consent" and channel is not ChannelName.EMAIL:
        # Soft spam and other bases without consent exist for e-mail alone (C36).
        return False
    if need == ConsentNeed.OPT_IN:
        return True
    address = person.customer.address(channel)
    # A double opt-in was confirmed from one address and says nothing about the next one.
    return need == ConsentNeed.DOUBLE_OPT_IN and address is not None and entry.address == address.value
