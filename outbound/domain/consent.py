"""Consent is a person's will, appended and never edited. A suppression is a block on an address."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from outbound.domain.customer import ChannelName


class ConsentState(StrEnum):
    """What the newest consent event for a (topic, channel) says. No event at all is ``unknown``: not sendable."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"


SOFT_SPAM = "soft_spam"
"""The basis of Codice privacy art. 130 c. 4: mail about own similar goods to who gave the address in a sale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What proves a consent (GDPR art. 7(1)): where it was given, which words were shown, by whom it was recorded.

    ``source`` names the form, API key, import file and line, or operator; ``wording`` is the exact text shown, of
    which the ledger also keeps a hash, and ``language`` its language. ``proof`` is what confirmed a double opt-in,
    ``jurisdiction`` the country whose law counts. ``sale``, ``similar_goods``, ``told`` and ``not_refused`` are
    what ``SOFT_SPAM`` rests on: the sale the address was given in, that only own similar goods are offered, that
    the person was told so then, and did not refuse.
    """

    source: str
    wording: str = ""
    language: str = ""
    actor: str = ""
    basis: str = "consent"
    ip: str = ""
    user_agent: str = ""
    proof: str = ""
    jurisdiction: str = ""
    sale: str = ""
    similar_goods: bool = False
    told: bool = False
    not_refused: bool = False


def missing_evidence(evidence: Evidence, channel: ChannelName | None) -> tuple[str, ...]:
    """What a grant lacks to count as proven, by name; nothing where it is whole.

    ``SOFT_SPAM`` exists for e-mail alone, and each of its four conditions is needed (C36).
    """
    lacks = [] if evidence.source else ["source"]
    if evidence.basis == SOFT_SPAM:
        lacks += [name for name in ("sale", "similar_goods", "told", "not_refused") if not getattr(evidence, name)]
        if channel is not ChannelName.EMAIL:
            lacks.append("channel email")
    return tuple(lacks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentEvent:
    """One line of the consent ledger.

    ``channel`` None covers every channel. ``address`` is set where the consent belongs to an address
    (double opt-in). ``at`` is when the person acted, ``recorded_at`` when it was written, both UTC.
    """

    id: str
    customer_id: str
    topic: str
    channel: ChannelName | None
    state: ConsentState
    at: datetime
    recorded_at: datetime
    evidence: Evidence
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Suppression:
    """A block on an address, known only by its keyed hash. ``scope`` is ``all`` or the name of a class."""

    channel: ChannelName
    address_hash: str
    scope: str
    reason: str
    at: datetime
