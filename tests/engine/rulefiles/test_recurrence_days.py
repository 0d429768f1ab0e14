"""Our days of a recurrence are dateutil's, wherever dateutil can be asked."""

from datetime import date, datetime, time

from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from outbound.domain.source import Span
from outbound.engine.rulefiles.findings import Findings
from outbound.engine.rulefiles.nodes import ScalarNode
from outbound.engine.rulefiles.recurrence import read_recurrence
from outbound.engine.rulefiles.recurrence_days import days_of

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def numbers(low: int, high: int) -> st.SearchStrategy[str]:
    one = st.integers(low, high).filter(bool).map(str)
    return st.lists(one, min_size=1, max_size=3, unique=True).map(",".join)


@st.composite
def recurrences(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    numbered = frequency in ("MONTHLY", "YEARLY")
    weekday = st.sampled_from(WEEKDAYS)
    nth = st.builds(lambda n, d: f"{n}{d}", st.sampled_from([1, 2, 4, 5, -1, -2]), weekday)
    one_kind = draw(st.booleans()) and numbered
    days = st.lists(nth if one_kind else weekday, min_size=1, max_size=3, unique=True).map(",".join)
    parts = {"BYMONTH": numbers(1, 12), "BYDAY": days}
    if frequency != "WEEKLY":
        parts["BYMONTHDAY"] = numbers(-31, 31)
    if frequency == "YEARLY":
        # week 1 is the last but 51 or 52 as well, of which dateutil forgets the days in the year before
        parts |= {"BYYEARDAY": numbers(-366, 366), "BYWEEKNO": numbers(-51, 53)}
    chosen = draw(st.lists(st.sampled_from(sorted(parts)), max_size=2, unique=True))
    if "BYWEEKNO" in chosen and "BYDAY" in chosen:  # RFC 5545: no numbered weekdays beside week numbers
        parts["BYDAY"] = st.lists(weekday, min_size=1, max_size=3, unique=True).map(",".join)
    text = [f"FREQ={frequency}", *(f"{part}={draw(parts[part])}" for part in chosen)]
    if not (frequency == "DAILY" and chosen):
        text.append(f"INTERVAL={draw(st.integers(1, 4))}")
    if chosen and draw(st.booleans()):
        text.append(f"BYSETPOS={draw(numbers(-3, 3))}")
    if draw(st.booleans()):
        text.append(f"WKST={draw(weekday)}")
    return ";".join(text)


@given(recurrences(), st.dates(date(2024, 1, 1), date(2030, 12, 31)))
@settings(max_examples=100, deadline=None)
def test_the_days_are_those_of_dateutil(text: str, start: date) -> None:
    findings = Findings()
    written = read_recurrence(ScalarNode(text=text, span=Span("x", 1, 1), name="schedule"), findings)
    assert written is not None, [p.render() for p in findings.problems]
    ours = days_of(written.rule, start)
    if not ours:
        return  # dateutil would search until the year 9999
    rule = rrulestr(written.text, dtstart=datetime.combine(start, time.min))
    last = min(date(start.year + 6, 12, 1), ours[-1])
    theirs = rule.between(datetime.combine(start, time.min), datetime.combine(last, time.max), inc=True)
    assert [day for day in ours if day <= last] == [moment.date() for moment in theirs]
