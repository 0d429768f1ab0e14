"""What the policy's newer keys mean to the engine: caps, arbitration, holdout, loops, no_receipt, action."""

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rulefile_samples import good_files, problems_of

from outbound.domain.customer import ChannelName
from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.experiment import GlobalHoldout
from outbound.domain.policy import Arbitration, CalendarPeriod, Cap, CapUse, Loops, Losers, Policy
from outbound.domain.source import Severity
from outbound.domain.windows import window_start
from outbound.engine.rulefiles import Code, load
from outbound.engine.rulefiles.cap_windows import same_span, windows_to_cover

POLICY = "rules/policy.yaml"
ZONES = "zones: {US: America/New_York}\n"
EVERYTHING = """caps:
  - {class: marketing, max: 1, per: day}
  - {class: marketing, max: 3, per: 168h}
  - {channel: sms, max: 4, per: month}
  - {topic: gifts, max: 1, per: 1mo}
arbitration: {window: 20m, losers: drop}
holdout: {share: 12.5%, id: global-2026}
loops: {depth: 3, per_day: 20}
"""


def read(*edits: tuple[str, str]) -> Policy:
    """The policy of the good set after ``edits``, which must be free of errors."""
    files = good_files()
    for old, new in edits:
        files[POLICY] = _replaced(files[POLICY], old, new)
    loaded = load(files)
    assert loaded.ruleset is not None, [p.render() for p in loaded.problems]
    return loaded.ruleset.policy


def _replaced(content: bytes, old: str, new: str) -> bytes:
    assert old.encode() in content
    return content.replace(old.encode(), new.encode(), 1)


def test_every_key_reaches_the_engine_as_its_domain_value() -> None:
    policy = read((ZONES, ZONES + EVERYTHING))
    assert policy.caps == (
        Cap(name="marketing.day", max=1, per=CalendarPeriod.DAY, message_class="marketing"),
        Cap(name="marketing.168h", max=3, per=Duration(168, DurationUnit.HOUR), message_class="marketing"),
        Cap(name="sms.month", max=4, per=CalendarPeriod.MONTH, channel=ChannelName.SMS),
        Cap(name="gifts.1mo", max=1, per=Duration(1, DurationUnit.MONTH), topic="gifts"),
    )
    assert policy.arbitration == Arbitration(window=timedelta(minutes=20), losers=Losers.DROP)
    assert policy.holdout == GlobalHoldout(id="global-2026", share=1250)
    assert policy.loops == Loops(depth=3, per_day=20)


def test_what_is_not_written_has_the_documented_default() -> None:
    policy = read()
    assert (policy.caps, policy.holdout, policy.no_receipt, policy.quiet_drop) == ((), None, None, False)
    assert policy.arbitration == Arbitration(window=timedelta(minutes=15), losers=Losers.DEFER)
    assert policy.loops == Loops(depth=5, per_day=50)


def test_a_class_that_does_not_say_obeys_caps_counts_or_is_exempt_by_its_name() -> None:
    """Marketing that forgets the key is capped, never let through."""
    silent = read(*((f"caps: {use}, ", "") for use in ("exempt", "exempt", "count", "apply")))
    assert {name: found.caps for name, found in silent.classes.items()} == {
        "security": CapUse.EXEMPT,
        "transactional": CapUse.EXEMPT,
        "service": CapUse.COUNT,
        "marketing": CapUse.APPLY,
    }
    assert read(("caps: count", "caps: apply")).classes["service"].caps is CapUse.APPLY


def test_no_receipt_is_a_word_and_a_time() -> None:
    policy = read(("bounced]}", "bounced, no_receipt 90m]}"))
    assert policy.next_on == ("unreachable", "not_allowed", "bounced", "no_receipt")
    assert policy.no_receipt == timedelta(minutes=90)


def test_no_receipt_without_a_channel_that_reports_deliveries_is_a_warning() -> None:
    policy = """policy: 1
timezone: UTC
classes: {service: {consent: none, quiet: [], priority: 700}}
topics: {news: {class: service}}
channels: {email: {cost: EUR 0}, push: {cost: EUR 0}}
waterfall: {next_on: [no_receipt 15m]}
brand:
  {name: S, senders: {service: "S <s@s.example>"}, reply_to: s@s.example, address: S, languages: [en], fallback: en}
"""
    found = problems_of({POLICY: policy.encode(), "rules/schema.yaml": b"customer: {id: {type: string}}\nevents: {}\n"})
    assert [(p.code, p.severity, p.span.line, p.span.column) for p in found] == [
        (Code.NO_RECEIPTS, Severity.WARNING, 6, 23)
    ]
    assert found[0].message == "no delivery is ever reported on email and push: no_receipt moves nothing on"


def test_quiet_hours_may_drop() -> None:
    assert read(("action: hold", "action: drop")).quiet_drop


def test_names_of_caps_are_unique_also_for_a_topic_named_like_a_class_or_a_channel() -> None:
    extra = "".join(f"  {name}: {{class: marketing}}\n" for name in ("marketing", "sms"))
    caps = "caps:\n" + "".join(
        f"  - {{{target}, max: 9, per: day}}\n"
        for target in ("class: marketing", "topic: marketing", "channel: sms", "topic: sms")
    )
    policy = read(("topics:\n", f"topics:\n{extra}"), (ZONES, ZONES + caps))
    names = [cap.name for cap in policy.caps]
    assert names == ["marketing.day", "topic.marketing.day", "sms.day", "topic.sms.day"]


# which cap can never be reached

ZONE = ZoneInfo("Europe/Berlin")
SPANS = st.sampled_from(CalendarPeriod) | st.builds(
    Duration, st.integers(1, 40), st.sampled_from([DurationUnit.HOUR, DurationUnit.DAY, DurationUnit.WEEK])
)


def window_of(span: CalendarPeriod | Duration, now: datetime) -> tuple[datetime, bool]:
    """Where the window that ends now begins, and whether that instant counts: a period has it, a rolling one not."""
    if isinstance(span, Duration):
        return window_start(now, span, ZONE), False
    local = now.astimezone(ZONE)
    first = {
        CalendarPeriod.DAY: local.date(),
        CalendarPeriod.WEEK: local.date() - timedelta(days=local.weekday()),
        CalendarPeriod.MONTH: local.date().replace(day=1),
        CalendarPeriod.YEAR: local.date().replace(month=1, day=1),
    }[span]
    return datetime(first.year, first.month, first.day, tzinfo=ZONE).astimezone(UTC), True


def contacts_in(span: CalendarPeriod | Duration, now: datetime, sent: list[datetime]) -> int:
    start, included = window_of(span, now)
    return sum(start < at < now or (included and at == start) for at in sent)


@given(
    inner=SPANS,
    outer=SPANS,
    most=st.integers(1, 3),
    gaps=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    first=st.integers(0, 24 * 400),
)
def test_a_cap_called_unreachable_is_never_reached(
    inner: CalendarPeriod | Duration, outer: CalendarPeriod | Duration, most: int, gaps: list[int], first: int
) -> None:
    """Whoever sends whenever ``outer`` lets them never meets an ``inner`` that the check calls pointless."""
    windows = windows_to_cover(inner, outer)
    if windows is None or windows > 3:
        return
    sent: list[datetime] = []
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=first)
    for gap in gaps:
        now += timedelta(hours=gap) if gap > 20 else timedelta(minutes=gap)
        if contacts_in(outer, now, sent) < most:
            assert contacts_in(inner, now, sent) < windows * most
            sent.append(now)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Duration(1, DurationUnit.WEEK), Duration(7, DurationUnit.DAY), True),
        (Duration(60, DurationUnit.MINUTE), Duration(1, DurationUnit.HOUR), True),
        (Duration(24, DurationUnit.HOUR), Duration(1, DurationUnit.DAY), False),  # a day may have 23 hours
        (Duration(1, DurationUnit.DAY), CalendarPeriod.DAY, False),
        (Duration(1, DurationUnit.MONTH), Duration(30, DurationUnit.DAY), False),
    ],
)
def test_spans_are_the_same_only_where_they_always_are(
    one: Duration, other: CalendarPeriod | Duration, same: bool
) -> None:
    assert same_span(one, other) is same
    assert same_span(other, one) is same


@pytest.mark.parametrize(
    "caps",
    [
        "[{class: marketing, max: 1, per: day}, {class: marketing, max: 3, per: 168h}]",
        "[{class: marketing, max: 1, per: day}, {class: marketing, max: 6, per: week}]",
        "[{class: marketing, max: 2, per: month}, {class: marketing, max: 3, per: 1mo}]",  # may lie across two months
        "[{class: marketing, max: 3, per: day}, {channel: sms, max: 2, per: month}]",  # another target
        "[{channel: sms, max: 1, per: day}, {channel: sms, max: 7, per: week}]",  # what only counts may exceed the day
    ],
)
def test_caps_that_both_mean_something_are_not_complained_about(caps: str) -> None:
    files = good_files()
    files[POLICY] = _replaced(files[POLICY], ZONES, f"{ZONES}caps: {caps}\n")
    assert problems_of(files) == problems_of(good_files())


# any mistake anywhere


def _full() -> str:
    text = _replaced(good_files()[POLICY], ZONES, ZONES + EVERYTHING)
    return _replaced(text, "bounced]}", "bounced, no_receipt 15m]}").decode()


def _keys() -> Iterator[tuple[int, str]]:
    """Every key of the full policy that the language defines, with its place."""
    chosen = {"email", "push", "sms", "default", "business-days"} | set(
        re.findall(r"^  ([a-z-]+): +\{class:", _full(), re.MULTILINE)
    )
    chosen |= {"de", "en", "US", "FR", "NO", "DE"}
    for match in re.finditer(r"(?:^|[{,]|  |- \{)[ ]*([A-Za-z_-]+): ?", _full(), re.MULTILINE):
        if match[1] not in chosen:
            yield match.start(1), match[1]


@pytest.mark.parametrize(("place", "key"), list(_keys()))
def test_mutating_any_key_of_the_policy_refuses_the_set_and_points_at_the_line(place: int, key: str) -> None:
    """Fault F50, for the policy: one wrong key anywhere, and the whole new set is rejected with its place."""
    text = _full()
    files = good_files()
    files[POLICY] = (text[:place] + f"x{key}" + text[place + len(key) :]).encode()
    loaded = load(files)
    assert loaded.ruleset is None
    line = text.count("\n", 0, place) + 1
    assert any(p.span.file == POLICY and p.span.line == line and p.severity is Severity.ERROR for p in loaded.problems)


HOSTILE = {
    "ten thousand caps": "caps: [" + ", ".join("{class: marketing, max: 1, per: day}" for _ in range(10_000)) + "]\n",
    "different caps": "caps: ["
    + ", ".join(f"{{class: marketing, max: {n}, per: {n}h}}" for n in range(1, 600))
    + "]\n",
    "a deep cap": "caps: " + "[" * 3000 + "]" * 3000 + "\n",
    "a bomb": "caps: &a [*a, *a]\n",
    "a tag": "caps: !!python/object/apply:os.system [id]\n",
    "a long name": "caps: [{topic: " + "x" * 50_000 + ", max: 1, per: day}]\n",
    "long numbers": "loops: {depth: " + "9" * 50_000 + "}\n",
    "a long share": "holdout: {share: " + "9" * 50_000 + "%, id: a}\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_policy_is_refused_quickly(name: str) -> None:
    """Fault F80, for the policy: refused in under 100 ms (of processor time, best of five)."""
    files = good_files()
    files[POLICY] = _replaced(files[POLICY], ZONES, ZONES + HOSTILE[name])
    best = 1.0
    for _ in range(5):
        began = time.process_time()
        loaded = load({POLICY: files[POLICY]})
        best = min(best, time.process_time() - began)
    assert loaded.ruleset is None
    assert any(p.span.file == POLICY for p in loaded.problems)
    assert best < 0.1
