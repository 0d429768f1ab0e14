"""What a run counts against the limits of its rule (rules.md 1.9, "Limits"). Pure."""

from collections.abc import Sequence
from statistics import median

from outbound.domain.limits import Counted, Exceeded
from outbound.domain.money import money_text
from outbound.domain.rule import Limits

PAST_RUNS = 4
"""``growth`` compares with the median of so many earlier runs, and is not tested before there are as many."""


def usual(messages: Sequence[int]) -> float | None:
    """The median of the last runs, given newest first; None where they are too few to compare with, or all empty."""
    if len(messages) < PAST_RUNS:
        return None
    return median(messages[:PAST_RUNS]) or None


def exceeded(
    limits: Limits, counted: Counted, *, past: float | None = None, approved: Counted | None = None
) -> Exceeded | None:
    """Which limits ``counted`` passes, or None. ``past`` is the usual size of a run (see ``usual``).

    What a person approved counts as if the rule allowed it: as many messages, and as much money.
    """
    seen = approved or Counted()
    found: list[Exceeded] = []
    if limits.recipients is not None:
        many = max(limits.recipients, seen.messages)
        if counted.messages > many:
            found.append(Exceeded(what="recipients", text=f"{counted.messages:,} recipients > {many:,}"))
    if limits.cost is not None:
        dearest = max(limits.cost, seen.cost)
        if counted.cost > dearest:
            spent, allowed = money_text(counted.cost, limits.currency), money_text(dearest, limits.currency)
            found.append(Exceeded(what="cost", text=f"{spent} > {allowed}"))
    most = max((past or 0) * (1 + (limits.growth or 0)), seen.messages)
    if limits.growth is not None and past is not None and counted.messages > most:
        more = f"{counted.messages / past - 1:.1%} more than the usual {past:,.0f}"
        text = f"{counted.messages:,} recipients are {more} (limit {limits.growth * 100:g}%)"
        found.append(Exceeded(what="growth", text=text))
    return Exceeded(what=found[0].what, text="; ".join(one.text for one in found)) if found else None
