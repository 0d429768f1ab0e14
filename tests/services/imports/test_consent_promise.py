"""Once withdrawn, only a newer yes of the person brings a channel back, whoever writes and in whatever order."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from import_shop import FIELDS, NOW, Shop

from outbound.domain.consent import ConsentState, Evidence
from outbound.domain.customer import ChannelName
from outbound.domain.person import Person
from outbound.services import customers, preferences

CHANNELS = (ChannelName.EMAIL, ChannelName.SMS)
ANY_OF = st.sampled_from((None, *CHANNELS))
STATES = st.sampled_from(tuple(ConsentState))
DAYS = st.integers(min_value=1, max_value=9)
SIDES = st.sampled_from((0, 1))
_NUMBERS = count()
_EVIDENCE = Evidence(source="preference page", actor="customer")


@dataclass(frozen=True)
class Said:
    """One word: by the person (``days`` before now, None: just now) or by a file."""

    side: int
    state: ConsentState
    channel: ChannelName | None
    days: int | None
    imported: bool = False


@dataclass(frozen=True)
class Merge:
    """Make the records one; ``winner`` is the side that stays."""

    winner: int


@dataclass
class Model:
    """Everything that was said, in the order it was written, and whose record is whose."""

    shop: Shop
    ids: tuple[str, str]
    words: tuple[list[tuple[ConsentState, ChannelName | None, datetime]], ...] = field(default_factory=lambda: ([], []))
    now: datetime = NOW
    merged: int | None = None

    def side(self, wanted: int) -> int:
        return wanted if self.merged is None else self.merged

    def say(self, word: Said) -> None:
        self.now += timedelta(minutes=1)
        at = self.now if word.days is None else NOW - timedelta(days=word.days)
        channel = f", channel: {word.channel}" if word.channel else ""
        if word.imported:
            consent = f"{{topic: newsletter{channel}, state: {word.state}, at: said, wording: w}}"
            text = f"{FIELDS}first_name: name\nconsents:\n  - {consent}\n"
            self.shop.customers(text, f"id,name,said\n{self.ids[word.side]},A,{at.isoformat()}\n", now=self.now)
        else:
            say = preferences.grant if word.state is ConsentState.GRANTED else preferences.withdraw
            say(
                self.shop.database,
                customer_id=self.ids[word.side],
                topic="newsletter",
                channel=word.channel,
                evidence=_EVIDENCE,
                now=self.now,
                at=None if word.days is None else at,
            )
        self.words[self.side(word.side)].append((word.state, word.channel, at))

    def merge(self, winner: int) -> None:
        if self.merged is None:
            self.merged = winner
            loser = 1 - winner
            customers.merge(self.shop.database, loser=self.ids[loser], winner=self.ids[winner], by="mia", now=self.now)
            self.words[winner][:] = [*self.words[loser], *self.words[winner]]
            self.words[loser].clear()

    def wanted(self, side: int, channel: ChannelName) -> bool:
        return wanted(self.shop.person(self.ids[self.side(side)]), channel)

    def may_be_wanted(self, side: int, channel: ChannelName) -> bool:
        """There is a yes for the channel, and no withdrawal that is later."""
        heard = [w for w in self.words[self.side(side)] if w[1] in (None, channel)]
        yes = max((w[2] for w in heard if w[0] is ConsentState.GRANTED), default=None)
        no = max((w[2] for w in heard if w[0] is ConsentState.WITHDRAWN), default=None)
        return yes is not None and (no is None or yes >= no)


def wanted(person: Person, channel: ChannelName) -> bool:
    """As the ladder reads it: the word about the channel, else about every channel."""
    entry = person.consents.get(("newsletter", channel)) or person.consents.get(("newsletter", ""))
    return entry is not None and entry.state is ConsentState.GRANTED


def _fresh(shop: Shop) -> Model:
    number = next(_NUMBERS)
    ids = (f"a{number}", f"b{number}")
    shop.customers(f"{FIELDS}first_name: name", f"id,name\n{ids[0]},A\n{ids[1]},A\n")
    return Model(shop, ids)


STEPS = st.lists(
    st.one_of(
        st.builds(Said, side=SIDES, state=STATES, channel=ANY_OF, days=st.one_of(st.none(), DAYS)),
        st.builds(Said, side=SIDES, state=STATES, channel=ANY_OF, days=DAYS, imported=st.just(value=True)),
        st.builds(Merge, winner=SIDES),
    ),
    min_size=2,
    max_size=7,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_once_withdrawn_only_a_newer_yes_brings_it_back(shop: Shop, steps: list[Said | Merge]) -> None:
    """Record with past and present dates, import and merge in both directions, in any order."""
    model = _fresh(shop)
    for step in steps:
        if isinstance(step, Merge):
            model.merge(step.winner)
        else:
            model.say(step)
            if step.days is None:
                for channel in CHANNELS if step.channel is None else (step.channel,):
                    # the newest word of the person always holds
                    assert model.wanted(step.side, channel) is (step.state is ConsentState.GRANTED)
        for side in (0, 1):
            for channel in CHANNELS:
                assert not model.wanted(side, channel) or model.may_be_wanted(side, channel)


@pytest.mark.parametrize("winner", [0, 1])
def test_a_merge_keeps_no_more_on_every_channel(shop: Shop, winner: int) -> None:
    """Also against an older or newer yes to one channel of the other record, in both directions."""
    for days in (9, 1):
        model = _fresh(shop)
        model.say(Said(0, ConsentState.GRANTED, ChannelName.EMAIL, days))
        model.say(Said(1, ConsentState.WITHDRAWN, None, 5))
        model.merge(winner)
        assert not model.wanted(winner, ChannelName.EMAIL)
        assert not model.wanted(winner, ChannelName.SMS)


def test_a_merge_keeps_the_yes_that_a_person_gave_after_their_no(shop: Shop) -> None:
    model = _fresh(shop)
    model.say(Said(0, ConsentState.WITHDRAWN, None, 5))
    model.say(Said(0, ConsentState.GRANTED, ChannelName.EMAIL, 3))
    model.say(Said(1, ConsentState.GRANTED, None, 4))
    model.merge(1)
    assert model.wanted(1, ChannelName.EMAIL)
    assert not model.wanted(1, ChannelName.SMS)


def test_a_yes_older_than_the_no_to_every_channel_is_only_history(shop: Shop) -> None:
    model = _fresh(shop)
    model.say(Said(0, ConsentState.WITHDRAWN, ChannelName.EMAIL, 9))
    model.say(Said(0, ConsentState.WITHDRAWN, None, 3))
    model.say(Said(0, ConsentState.GRANTED, ChannelName.EMAIL, 5))
    model.say(Said(0, ConsentState.GRANTED, ChannelName.SMS, 5))
    assert not model.wanted(0, ChannelName.EMAIL)
    assert not model.wanted(0, ChannelName.SMS)
