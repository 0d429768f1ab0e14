"""Deciding by likeness is deciding: people who share a profile get what each of them would have got alone."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from outbound.domain.ids import new_id, new_ids
from outbound.engine.timing.zones import zone_named
from outbound.services.planning.alike import Memory, fits
from outbound.services.planning.clerk import Clerk, Judged
from outbound.services.planning.judge import judge, judge_each
from outbound.services.planning.occurrence import Occurrence, Prospect
from outbound.services.releases import Active
from outbound.storage import tables
from outbound.storage.database import Database
from tests.services.planning.planning_kit import POLICY, SCHEMA, publish, rule_files, utc

Rows = dict[sa.Table, list[dict[str, Any]]]

NOW = utc("2026-11-03 13:50")
_TEMPLATE = b"subject: {en: Hi}\ncontext: {customer: [id, email, country, language, plan, points, nick]}\n"
_PLAIN = """
rule: plain
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=TU, at: "15:00", tz: customer}
send: {template: shown, channels: [email, sms]}
"""
_TRIAL = """
rule: trial
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=TU, at: "15:00", tz: customer}
experiment:
  id: trial-1
  unit: customer.id
  coverage: 60%
  holdout: 20%
  variants: {one: {weight: 1, template: shown}, two: {weight: 1, template: plain}}
send: {channels: [sms, email]}
"""

_TEXTS = st.one_of(
    st.none(),
    st.sampled_from(["Ada", 'O"Neil\\', "Zoë", "a\nb", "", " ", "x" * 4_100]),
    st.text(st.characters(codec="utf-8"), max_size=6),
)
_SCOPES = st.sets(st.sampled_from(["all", "marketing", "service", "odd"]), max_size=2)
_WORDS = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["granted", "granted", "withdrawn"]),
        "address": st.sampled_from(["own", "own", "other", None]),
        "basis": st.sampled_from(["consent", "consent", "soft_spam", None]),
    }
)
_ADDRESSES = st.fixed_dictionaries(
    {
        "state": st.sampled_from(["ok", "ok", "ok", "unreachable"]),
        "empty": st.sampled_from([False, False, False, True]),
        "scopes": _SCOPES,
    }
)
_NONE = ("", "", "")  # often: then the phone number is asked, which no profile has
_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "country": st.sampled_from(["IT", "US", "FR", None]),
    "zone_source": st.sampled_from(["country:IT", "country:US", "tz:Asia/Tokyo", "phone:Europe/Rome", *_NONE]),
    "language": st.sampled_from([None, "en", "it"]),
    "preferred_channel": st.sampled_from([None, "email", "sms", "push"]),
    "quiet": st.sampled_from([None, None, ("19:00", "23:00"), ("14:30", "18:15")]),
    "pause": st.sampled_from([None, None, None, (date(2026, 11, 1), date(2026, 11, 5))]),
    "addresses": st.dictionaries(st.sampled_from(["email", "sms", "push"]), _ADDRESSES),
    "consents": st.dictionaries(st.sampled_from(["", "", "email", "sms"]), _WORDS),
    "contacts": st.sampled_from([0, 0, 0, 0, 1, 3]),
    "attributes": st.fixed_dictionaries({}, optional={
        "plan": st.sampled_from(["pro", "free", None]),
        "points": st.sampled_from([0, 7, -3, 1.5, 10**16, None]),
        "nick": _TEXTS.filter(lambda text: text is None or "\x00" not in text),
    }),
}  # fmt: skip
_USUAL: dict[str, Any] = {
    "country": "IT",
    "zone_source": "country:IT",
    "language": None,
    "preferred_channel": None,
    "quiet": None,
    "pause": None,
    "addresses": {
        "email": {"state": "ok", "empty": False, "scopes": set()},
        "sms": {"state": "ok", "empty": False, "scopes": set()},
    },
    "consents": {"": {"state": "granted", "address": "own", "basis": "consent"}},
    "contacts": 0,
    "attributes": {"plan": "pro", "nick": "Ada"},
}
# Most people are much alike: one or two things about each are their own.
_PERSON = (
    st.lists(st.sampled_from(sorted(_FIELDS)), max_size=2)
    .flatmap(lambda names: st.fixed_dictionaries({name: _FIELDS[name] for name in names}))
    .map(lambda own: {**_USUAL, **own, **({"country": None} if own.get("zone_source") == "" else {})})
)


@pytest.fixture
def active(database: Database) -> Active:
    policy = POLICY.replace(
        "topics:", "caps:\n  - {class: marketing, max: 1, per: day}\n  - {channel: sms, max: 2, per: 168h}\ntopics:"
    )
    policy = policy.replace(
        "newsletter: {class: marketing,", "newsletter: {class: marketing, consent: {email: double_opt_in},"
    )
    policy = (
        policy.replace("consent: opt_in, quiet", "consent: opt_in, caps: apply, quiet")
        + "holdout: {share: 10%, id: global-1}\n"
    )
    files = {
        **rule_files(_PLAIN, _TRIAL, schema=SCHEMA.replace("points:", "nick: {type: string}\n  points:")),
        "rules/policy.yaml": policy.encode(),
        "templates/shown/template.yaml": _TEMPLATE,
        "templates/shown/email.mjml": b"<mj-section><mj-column><mj-text>Hi.</mj-text></mj-column></mj-section>",
        "templates/shown/sms.txt": b"Hi.",
    }
    return publish(database, files, NOW - timedelta(days=30))


@pytest.mark.parametrize("rule", ["plain", "trial"])
@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(people=st.lists(_PERSON, min_size=30, max_size=60), memory=st.booleans(), own_zone=st.booleans())
def test_whoever_is_alike_gets_what_each_would_get_alone(  # noqa: PLR0917 - fixtures and draws
    database: Database, active: Active, rule: str, people: Sequence[Mapping[str, Any]], memory: bool, own_zone: bool
) -> None:
    """The same decision, channels, zone, variant and context, for people of every kind, in the same order."""
    occurrence = _occurrence(own_zone=own_zone)
    with _store(database, people) as connection:
        prospects = [Prospect(customer_id=f"p-{n:03}", occurrence=occurrence) for n in range(len(people))]
        prospects += [prospects[0], Prospect(customer_id="nobody", occurrence=occurrence)]
        subject = active.ruleset.rules[rule]
        clerk = Clerk(active, subject, run_id="", now=NOW)
        assert fits(clerk, [p.occurrence for p in prospects])
        kept = Memory() if memory else None
        if kept is not None:  # learnt from the first half, used for all
            judge(connection, active, subject, prospects[: len(people) // 2], now=NOW, memory=kept)
        short = judge(connection, active, subject, prospects, now=NOW, memory=kept)
        each = judge_each(connection, clerk, prospects)
    assert [_told(one) for one in short.candidates] == [_told(one) for one in each.candidates]
    assert set(short.outside) == set(each.outside)
    assert short.unknown == each.unknown == ("nobody",)
    assert not short.already


def test_a_zone_that_only_the_phone_number_tells_is_never_shared(database: Database, active: Active) -> None:
    """Two people alike in everything the store says, with numbers of Japan and Germany: each has their own clock."""
    unknown = {**_USUAL, "zone_source": "", "country": None}
    prospects = [Prospect(customer_id=f"p-{n:03}", occurrence=_occurrence(own_zone=True)) for n in range(2)]
    prospects = [one._replace(occurrence=prospects[0].occurrence) for one in prospects]
    with _store(database, [unknown, unknown]) as connection:
        found = judge(connection, active, active.ruleset.rules["plain"], prospects, now=NOW).candidates
    assert [one.answer.zone.key for one in found] == ["Asia/Tokyo", "Europe/Berlin"]


def test_ids_of_a_batch_ascend_and_differ() -> None:
    """They are UUIDv7 of the given time, in order, so that a batch lands at the end of an index."""
    ids = new_ids(NOW, 10_000)
    assert ids == sorted(set(ids))
    assert {one[:13] for one in ids} == {new_id(NOW)[:12] + "7"}
    assert {one[16] for one in ids} <= set("89ab")
    assert new_ids(NOW, 0) == []


def _told(one: Judged) -> tuple[object, ...]:
    return one.customer_id, one.once, replace(one.answer), one.context


def _occurrence(*, own_zone: bool) -> Occurrence:
    placeholders = {"period": "2026-W45", "date": "2026-11-03", "year": "2026"}
    return Occurrence(
        placeholders=placeholders,
        values={"occurrence": placeholders},
        template="shown",
        due=NOW + timedelta(minutes=10),
        expires=NOW + timedelta(hours=30),
        zone=None if own_zone else zone_named("Europe/Rome"),
    )


@contextmanager
def _store(database: Database, people: Sequence[Mapping[str, Any]]) -> Iterator[Connection]:
    """The people in a transaction that is undone."""
    with database.engine.connect() as connection:
        transaction = connection.begin()
        rows: Rows = defaultdict(list)
        for number, person in enumerate(people):
            _add(rows, f"p-{number:03}", person)
        for table, values in rows.items():
            connection.execute(table.insert(), values)
        yield connection
        transaction.rollback()


def _add(rows: Rows, identity: str, person: Mapping[str, Any]) -> None:
    quiet, pause = person["quiet"] or (None, None), person["pause"] or (None, None)
    stated = {name: person[name] for name in ("country", "zone_source", "language", "preferred_channel", "attributes")}
    hours = {"quiet_from": quiet[0], "quiet_to": quiet[1], "pause_from": pause[0], "pause_to": pause[1]}
    rows[tables.customer].append({"id": identity, **stated, **hours, "created_at": NOW, "updated_at": NOW})
    for channel, one in person["addresses"].items():
        value = "" if one["empty"] else _phone(identity) if channel == "sms" else f"{identity}@example.com"
        place = {"customer_id": identity, "channel": channel, "value": value, "hash": identity, "state": one["state"]}
        rows[tables.address].append({**place, "updated_at": NOW})
        for scope in sorted(one["scopes"]):
            blocked = {"channel": channel, "scope": scope, "hash": identity, "reason": "test", "at": NOW}
            rows[tables.suppression].append(blocked)
    for channel, word in person["consents"].items():
        owned = f"{identity}@example.com" if word["address"] == "own" else word["address"]
        event_id = f"{identity}-{channel}"
        said = {"customer_id": identity, "topic": "newsletter", "channel": channel, "state": word["state"], "at": NOW}
        rows[tables.consent].append({**said, "address": owned, "event_id": event_id})
        if word["basis"]:
            evidence = {"source": "test", "basis": word["basis"]}
            rows[tables.consent_event].append({**said, "id": event_id, "recorded_at": NOW, "evidence": evidence})
    for number in range(person["contacts"]):
        _contact(rows, identity, number)


def _phone(identity: str) -> str:
    """Numbers of two countries, far apart."""
    return f"+4915112345{identity[2:]}" if int(identity[2:]) % 2 else f"+8190123456{identity[3:]}"


def _contact(rows: Rows, identity: str, number: int) -> None:
    at, key = NOW - timedelta(hours=3 + 30 * number), f"{identity}-{number}"
    sent = dict.fromkeys(("run_id", "rule", "rule_version", "release", "template"), "earlier")
    kind = {"topic": "newsletter", "message_class": "marketing", "lane": "bulk", "priority": 1, "channels": "sms"}
    instants = dict.fromkeys(("not_before", "expires", "created_at", "updated_at"), at)
    own = {"id": key, "once": key, "customer_id": identity, "context": {}, "state": "sent"}
    rows[tables.message].append({**sent, **kind, **instants, **own})
    rows[tables.leg].append(
        {"message_id": key, "n": 1, "channel": "sms", "customer_id": identity, "address": "x", "at": at}
    )
