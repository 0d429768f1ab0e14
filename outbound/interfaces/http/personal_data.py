"""What we hold about a customer and what we sent them, as they read it."""

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from outbound.domain.policy import Policy
from outbound.engine.timing.walls import local_day
from outbound.interfaces.http.words import long_day
from outbound.services.personal_data import Held


def rows(held: Held, policy: Policy, words: Mapping[str, str], language: str, zone: ZoneInfo) -> dict[str, Any]:
    """The lists of the page."""

    def title(topic: str) -> str:
        known = policy.topics.get(topic)
        return known.titles.get(language, topic) if known else topic

    def channel(name: str) -> str:
        return words.get(name, name) if name else words["every_channel"]

    customer = held.customer
    stated = {words["country"]: customer.country, words["timezone"]: customer.preference.timezone}
    attributes = {name.replace("_", " ").capitalize(): value for name, value in sorted(customer.attributes.items())}
    return {
        "held": [
            (name, {True: words["granted"], False: words["withdrawn"]}[value] if isinstance(value, bool) else value)
            for name, value in {**stated, **attributes}.items()
            if value not in {None, ""}
        ],
        "given": [
            {
                "day": long_day(local_day(event.at, zone), language),
                "topic": title(event.topic),
                "channel": channel(event.channel or ""),
                "answer": words[event.state.value],
            }
            for event in held.consents
        ],
        "sent": [
            {
                "day": long_day(local_day(one.at, zone), language),
                "topic": title(one.topic),
                "channel": channel(one.channel),
                "code": one.code,
            }
            for one in held.sent
        ],
    }
