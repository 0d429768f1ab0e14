"""The customer's own page: what they can choose, what they chose, and what it changes at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta

from outbound.domain.consent import Evidence
from outbound.domain.customer import ChannelName, OwnQuietHours, Pause, Preference
from outbound.domain.person import Person
from outbound.domain.policy import ConsentNeed, Policy, Topic
from outbound.engine.ladder.consent import wanted
from outbound.engine.timing.walls import local_day
from outbound.engine.timing.zones import customer_source, resolve_zones
from outbound.services import preferences
from outbound.services.links import LinkMaker, MessageLink
from outbound.services.page_requests import CONFIRM, listened
from outbound.services.releases import Active
from outbound.services.unsubscribe import choose_language
from outbound.storage import customers, people
from outbound.storage.database import Database

LINK_LIFE = timedelta(days=90)
"""How long the link of a message opens the page; then a new one is asked for by e-mail."""
LONGEST_PAUSE = timedelta(days=366)

_CHANNELS = (ChannelName.EMAIL, ChannelName.SMS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One topic on one channel. ``confirmed``: turning it on takes a confirmation from the address (double opt-in)."""

    topic: str
    channel: ChannelName
    on: bool
    confirmed: bool = False

    @property
    def key(self) -> str:
        """Its name in a form."""
        return f"{self.topic}.{self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A topic people can say no to, with its choices."""

    topic: str
    title: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Centre:
    """Everything the page shows. ``today`` is the customer's day.

    ``addresses`` are masked: whoever has the message has the page. ``blocked`` are channels whose address is
    suppressed: nothing there is offered (C40). ``always`` are titles of topics nobody can decline.
    """

    link: MessageLink
    customer_id: str
    language: str
    subjects: tuple[Subject, ...]
    always: tuple[str, ...]
    channels: tuple[ChannelName, ...]
    blocked: tuple[ChannelName, ...]
    addresses: Mapping[ChannelName, str]
    preference: Preference
    languages: tuple[str, ...]
    fewer_offered: bool
    today: date

    @property
    def choices(self) -> dict[str, Choice]:
        """Every choice by its name in a form."""
        return {choice.key: choice for subject in self.subjects for choice in subject.choices}

    @property
    def titles(self) -> dict[str, str]:
        """What customers call each topic."""
        return {subject.topic: subject.title for subject in self.subjects}

    @property
    def pause(self) -> Pause | None:
        """The pause that is on or ahead."""
        return next((one for one in self.preference.pauses if one.end >= self.today), None)


class Expired:
    """The link was ours, and is too old."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a form said. ``shown`` are the choices that were on when it was shown: only what differs was changed."""

    shown: frozenset[str]
    on: frozenset[str]
    channel: str = ""
    language: str = ""
    quiet_from: str = ""
    quiet_to: str = ""
    pause_until: str = ""
    fewer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """What became of a form: fields with a mistake (then nothing was kept), or choices that need a confirmation."""

    mistakes: frozenset[str] = frozenset()
    to_confirm: tuple[Choice, ...] = field(default=())


def open_centre(
    database: Database,
    active: Active,
    links: LinkMaker,
    token: str,
    *,
    chosen: str = "",
    languages: list[str],
    now: datetime,
) -> Centre | Expired | None:
    """The page that ``token`` opens; None when it is not ours, or its customer is gone. Reads only.

    ``chosen`` is the language picked on the page; without it the one the customer stated counts, then the reader's.
    """
    link = links.read_preferences(token)
    if link is None:
        return None
    if now - link.made_at > LINK_LIFE:
        return Expired()
    with database.read() as connection:
        person = people.load_people(connection, [link.customer_id]).get(link.customer_id)
        if person is None:
            survivor = customers.survivors(connection, [link.customer_id]).get(link.customer_id)
            person = people.load_people(connection, [survivor])[survivor] if survivor else None
    return (
        None
        if person is None
        else _centre(active, link, person, languages=[chosen] if chosen else languages, stated=not chosen, now=now)
    )


def _centre(
    active: Active, link: MessageLink, person: Person, *, languages: list[str], stated: bool, now: datetime
) -> Centre:
    policy, customer = active.ruleset.policy, person.customer
    own = customer.preference.language
    language = choose_language(active, [own] if own and stated else languages)
    reached = {one.channel: one.value for one in customer.addresses if one.channel in policy.channels}
    channels = tuple(channel for channel in _CHANNELS if channel in reached)
    blocked = tuple(channel for channel in channels if _is_blocked(policy, person, channel))
    offered = tuple(channel for channel in channels if channel not in blocked)
    confirmable = listened(active, CONFIRM)
    topics = policy.topics.values()
    return Centre(
        link=link,
        customer_id=customer.id,
        language=language,
        subjects=tuple(
            _subject(topic, person, language, offered, confirmable=confirmable) for topic in topics if topic.declinable
        ),
        always=tuple(topic.titles.get(language, topic.name) for topic in topics if not topic.declinable),
        channels=channels,
        blocked=blocked,
        addresses={channel: _masked(channel, reached[channel]) for channel in channels},
        preference=customer.preference,
        languages=policy.brand.languages,
        fewer_offered=any(cap.fewer for cap in policy.caps),
        today=local_day(now, resolve_zones(customer_source(customer), policy).at),
    )


def _is_blocked(policy: Policy, person: Person, channel: ChannelName) -> bool:
    scopes = {"all", *(topic.message_class.name for topic in policy.topics.values() if topic.declinable)}
    return any((channel, scope) in person.suppressed for scope in scopes)


def _subject(
    topic: Topic, person: Person, language: str, channels: tuple[ChannelName, ...], *, confirmable: bool
) -> Subject:
    """The topic's choices; one that takes a confirmation which nothing would send is offered only to turn it off."""
    choices = []
    for channel in channels:
        on, confirmed = wanted(topic, person, channel), topic.need(channel) is ConsentNeed.DOUBLE_OPT_IN
        if on or confirmable or not confirmed:
            choices.append(Choice(topic=topic.name, channel=channel, on=on, confirmed=confirmed))
    return Subject(topic=topic.name, title=topic.titles.get(language, topic.name), choices=tuple(choices))


def _masked(channel: ChannelName, value: str) -> str:
    """Enough for its owner to know it by."""
    if channel is ChannelName.EMAIL:
        name, _, domain = value.rpartition("@")
        return f"{name[:1]}•••@{domain}"
    return f"{value[:3]} ••• {value[-3:]}"


def save(
    database: Database, centre: Centre, wish: Wish, *, wording: Mapping[str, str], evidence: Evidence, now: datetime
) -> Saved:
    """Keep what the form changed, so that the next decision obeys it; nothing when a field has a mistake.

    ``wording`` is what stood beside each choice. What needs a confirmation is not granted but answered.
    """
    preference, mistakes = _preference(centre, wish)
    if mistakes:
        return Saved(mistakes=frozenset(mistakes))
    to_confirm = []
    for key, choice in centre.choices.items():
        is_on = key in wish.on
        if is_on in {key in wish.shown, choice.on}:
            continue
        said = replace(evidence, wording=wording.get(key, ""), language=centre.language)
        if is_on and choice.confirmed:
            to_confirm.append(choice)
            continue
        say = preferences.grant if is_on else preferences.withdraw
        say(
            database,
            customer_id=centre.customer_id,
            topic=choice.topic,
            channel=choice.channel,
            evidence=said,
            now=now,
        )
    if preference != centre.preference:
        preferences.set_preferences(
            database, customer_id=centre.customer_id, preference=preference, source=evidence.source, now=now
        )
    return Saved(to_confirm=tuple(to_confirm))


def stop_all(database: Database, centre: Centre, *, evidence: Evidence, now: datetime) -> None:
    """Withdraw every topic that can be declined, on every channel."""
    for subject in centre.subjects:
        preferences.withdraw(
            database,
            customer_id=centre.customer_id,
            topic=subject.topic,
            channel=None,
            evidence=replace(evidence, wording=subject.title, language=centre.language),
            now=now,
        )


def _preference(centre: Centre, wish: Wish) -> tuple[Preference, set[str]]:
    """The preference as the form has it, and the fields that cannot be read."""
    mistakes: set[str] = set()
    before = centre.preference
    hours = _hours(wish, mistakes)
    pause = _pause(centre, wish, mistakes)
    channel = before.channel
    if wish.channel in {"", *centre.channels}:
        channel = ChannelName(wish.channel) if wish.channel else None
    language = wish.language if wish.language in centre.languages else before.language
    preference = replace(
        before,
        channel=channel,
        language=language,
        quiet_hours=hours,
        pauses=(pause,) if pause else (),
        fewer=wish.fewer if centre.fewer_offered else before.fewer,
    )
    return preference, mistakes


def _hours(wish: Wish, mistakes: set[str]) -> OwnQuietHours | None:
    if not wish.quiet_from and not wish.quiet_to:
        return None
    try:
        start, end = time.fromisoformat(wish.quiet_from), time.fromisoformat(wish.quiet_to)
    except ValueError:
        mistakes.add("quiet")
        return None
    if start == end or start.tzinfo or end.tzinfo:
        mistakes.add("quiet")
        return None
    return OwnQuietHours(start=start.replace(second=0, microsecond=0), end=end.replace(second=0, microsecond=0))


def _pause(centre: Centre, wish: Wish, mistakes: set[str]) -> Pause | None:
    if not wish.pause_until:
        return None
    try:
        end = date.fromisoformat(wish.pause_until)
    except ValueError:
        mistakes.add("pause")
        return None
    if centre.pause is not None and centre.pause.end == end:
        return centre.pause
    if not centre.today <= end <= centre.today + LONGEST_PAUSE:
        mistakes.add("pause")
        return None
    return Pause(start=centre.today, end=end)
