"""What a test expected beside what came of it: complete lists for each customer, and reasons for silence."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from outbound.domain.reasons import ReasonCode
from outbound.services.releases import Active
from outbound.services.ruletests.record import Got, Record
from outbound.services.ruletests.values import Expected, Failure, RuleTest, Silence

_FIELDS = ("channel", "template", "rule", "topic", "held_by")


def judge(test: RuleTest, active: Active, record: Record) -> list[Failure]:
    """Every assertion of the test that does not hold."""
    found: list[Failure] = []
    for customer in test.customers:
        wanted, got = test.expected.get(customer, ()), record.messages.get(customer, ())
        for place in range(max(len(wanted), len(got))):
            one = wanted[place] if place < len(wanted) else None
            real = got[place] if place < len(got) else None
            lines = _differences(test, active, record, customer, (one, real))
            if lines:
                span = one.span if one else test.span
                subject = f"{customer}[{place}]"
                found.append(Failure(test=test.name, subject=subject, span=span, lines=tuple(lines)))
    found += [failure for one in test.silences if (failure := _silence(test, active, record, one))]
    return found


def _differences(
    test: RuleTest, active: Active, record: Record, customer: str, pair: tuple[Expected | None, Got | None]
) -> list[str]:
    wanted, got = pair
    if wanted is None and got is not None:
        return [f"expected  nothing{'' if customer in test.expected else ' (not listed)'}", *_got(test, active, got)]
    if wanted is None:
        return []
    if got is None:
        whys = ", ".join(record.why(customer, wanted.rule or "")) or "no rule decided about this customer"
        return [_line("expected", wanted, test.zone), f"got       nothing: {whys}"]
    differ = [name for name in _FIELDS if (asked := getattr(wanted, name)) is not None and asked != getattr(got, name)]
    if wanted.at is not None and wanted.at != got.at:
        differ.insert(0, "at")
    if not differ:
        return []
    return [_line("expected", wanted, test.zone), *_got(test, active, got), f"differs   {', '.join(differ)}"]


def _got(test: RuleTest, active: Active, got: Got) -> Iterator[str]:
    yield _line("got", got, test.zone)
    rule = active.ruleset.rules.get(got.rule)
    if rule is not None:
        channels = ", ".join(rule.send.channels)
        yield f"near      {rule.span.file}:{rule.span.line}  rule: {rule.id}  channels: [{channels}]"


def _line(head: str, one: Expected | Got, zone: ZoneInfo) -> str:
    at = "any time" if one.at is None else _local(one.at, zone)
    fields = [at, f"{one.channel or '':<6}", one.template or "", f"({one.rule})" if one.rule else ""]
    if one.held_by:
        fields.append(f"held by {one.held_by}")
    return f"{head:<9} {'  '.join(field for field in fields if field.strip())}"


def _local(at: datetime, zone: ZoneInfo) -> str:
    local = at.astimezone(zone)
    seconds = "seconds" if local.second else "minutes"
    return local.replace(tzinfo=None).isoformat(timespec=seconds)


def _silence(test: RuleTest, active: Active, record: Record, wanted: Silence) -> Failure | None:
    """A code alone matches whatever its detail; ``match`` that no rule came as far as deciding."""
    whys = record.why(wanted.customer, wanted.rule)
    known = whys or (ReasonCode.MATCH.value,)
    if any(why == wanted.reason or why.partition(".")[0] == wanted.reason for why in known):
        return None
    got = [one for one in record.messages.get(wanted.customer, ()) if wanted.rule in {"", one.rule}]
    said = ", ".join(known)
    if got and not whys:
        said = f"got {_local(got[0].at, test.zone)} {got[0].channel} {got[0].template}"
    rule = active.ruleset.rules.get(wanted.rule)
    near = [f"near      {rule.span.file}:{rule.span.line}  rule: {rule.id}"] if rule else []
    lines = (f"expected  {wanted.reason}", f"got       {said}", *near)
    return Failure(test=test.name, subject=f"{wanted.customer} why_not", span=wanted.span, lines=lines)
