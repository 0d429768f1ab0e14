"""What stands of all that a person said about one topic: the rules by which one word, or another record, changes it.

Pure, and used by every writer of the projection that takes one person at a time (``consents.record``,
``customer_merge``). An import writes by the million in SQL (``merge_consents``); the property test of all
writers together holds it to the same promise: once withdrawn, only a newer yes of the person brings it back.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from outbound.domain.consent import ConsentState

EVERY_CHANNEL = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word on one channel. ``at`` is when it was said, or said again."""

    state: ConsentState
    address: str | None
    at: datetime
    event_id: str


Standing = Mapping[str, Word]
"""The words about one topic by channel; ``EVERY_CHANNEL`` holds where nothing is said of a channel itself."""


def on(standing: Standing, channel: str) -> Word | None:
    """What holds on ``channel``: the word about it, else the one about every channel."""
    return standing.get(channel) or standing.get(EVERY_CHANNEL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What a word does. ``changes`` are new, ``renewed`` stood already and were said again at a later time.

    ``overtaken``: on some channel something newer was on record.
    """

    changes: Mapping[str, Word]
    renewed: Mapping[str, Word]
    overtaken: bool


def hear(standing: Standing, channel: str, word: Word) -> Heard:
    """What changes when ``word`` is said of ``channel``. Of every channel: also of each one spoken about before.

    A yes that is older than a no to every channel is overtaken on each of them. A repeated yes keeps the
    date of its proof; a repeated no counts from the last time.
    """
    everywhere = standing.get(EVERY_CHANNEL)
    names = {EVERY_CHANNEL, *standing} if channel == EVERY_CHANNEL else {channel}
    changes, renewed, overtaken = {}, {}, False
    for name in names:
        stands = standing.get(name)
        newer = [w for w in (stands, everywhere if word.state is ConsentState.GRANTED else None) if w is not None]
        if any(w.at > word.at and (w is stands or w.state is ConsentState.WITHDRAWN) for w in newer):
            overtaken = True
        elif stands is None or _differs(stands, word):
            changes[name] = word
        elif word.state is ConsentState.WITHDRAWN and stands.at < word.at:
            renewed[name] = replace(stands, at=word.at)
    return Heard(changes=changes, renewed=renewed, overtaken=overtaken)


def join(one: Standing, other: Standing) -> dict[str, Word]:
    """What stands when two records turn out to be one person: on each channel a withdrawal of either stays.

    What each said of a channel is the word about it, else the one about every channel. Of two yeses the one
    about the channel itself stays, else the newer; of two withdrawals the newer.
    """
    joined = {}
    for name in {*one, *other}:
        words = [(word, name in side) for side in (one, other) if (word := on(side, name)) is not None]
        joined[name] = max(words, key=_weight)[0]
    return joined


def _weight(said: tuple[Word, bool]) -> tuple[bool, bool, datetime]:
    word, of_itself = said
    withdrawn = word.state is ConsentState.WITHDRAWN
    return withdrawn, of_itself and not withdrawn, word.at


def _differs(stands: Word, word: Word) -> bool:
    if stands.state is not word.state:
        return True
    return word.state is ConsentState.GRANTED and word.address is not None and stands.address != word.address
