"""A plan as people read it: one line for each thing that differs, the short summary last."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from outbound.engine.rulefiles.differences import Difference, Part
    from outbound.services.plans.planned import Plan, RulePlan

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}
_SHORT = 40
_MOST_PARTS = 4


def plan_lines(plan: "Plan", *, detailed: bool = False) -> Iterator[str]:
    """What differs. ``detailed``: every part with its texts, and examples of who comes and goes.

    Before the first release everything is new: then only the rules are listed.
    """
    others = plan.others if plan.active else ()
    names = [*(one.rule for one in plan.rules), *(_name(one) for one in others)]
    width = max(map(len, names), default=0)
    rows = [(one, *_rule_words(one)) for one in plan.rules]
    said = max((len(words) for _, words, _ in rows), default=0)
    for one, words, people in rows:
        yield f"{_SIGNS[one.change]} {one.rule.ljust(width)}  {words.ljust(said)}  {people}".rstrip()
        if detailed:
            yield from _details(one)
    for other in others:
        words = _parts(other.parts) if other.parts else other.change.value
        users = plan.users.get(other.name, ()) if other.kind == "template" else ()
        sent_by = f" (sent by {', '.join(users)})" if users else ""
        yield f"{_SIGNS[other.change]} {_name(other).ljust(width)}  {words}{sent_by}".rstrip()


def summary_line(plan: "Plan") -> str:
    """The last line: ``1 to add, 2 to change, 0 to remove``."""
    if not plan.changes:
        return f"No changes: release {plan.active[:12]} runs already."
    counts = [sum(one.change == word for one in plan.rules) for word in ("added", "changed", "removed")]
    line = f"{counts[0]} to add, {counts[1]} to change, {counts[2]} to remove."
    return line if any(counts) or not plan.others else f"{line} No rule itself changes."


def _name(one: "Difference") -> str:
    return f"{one.kind.value} {one.name}".rstrip()


def _rule_words(one: "RulePlan") -> tuple[str, str]:
    """What changed, and what it means for people."""
    reach = one.reach
    if one.change == "removed":
        waiting = f"; {one.waiting:,} messages that wait are cancelled" if one.waiting else ""
        return "removed", f"{reach.before:,} people no longer{waiting}"
    if one.change == "added":
        words = ", ".join(("new", *(["draft"] if one.draft else []), *(["experiment"] if one.groups else [])))
        return words, _groups(one) or ("" if one.draft else f"{reach.after:,} people")
    words = _parts(one.parts) or "a segment it uses changed"
    moved = f" (+{reach.gained:,} new, -{reach.lost:,} gone)" if reach.gained or reach.lost else ""
    numbers = f"{reach.before:,} -> {reach.after:,}" if moved else f"{reach.after:,}"
    return words, "; ".join(filter(None, (f"now {numbers} people{moved}", _groups(one))))


def _groups(one: "RulePlan") -> str:
    groups = one.groups
    if groups is None:
        return ""
    named = ", ".join(f"{number:,} {name}" for name, number in groups.variants.items())
    outside = f"; {groups.outside:,} not covered" if groups.outside else ""
    silent = f"; {groups.silent:,} cannot be reached" if groups.silent else ""
    return f"exposes {groups.exposed:,}: {named}, {groups.held_out:,} held out{outside}{silent}"


def _parts(parts: "tuple[Part, ...]") -> str:
    said = [_part(part) for part in parts[:_MOST_PARTS]]
    if len(parts) > _MOST_PARTS:
        said.append(f"{len(parts) - _MOST_PARTS} more")
    return ", ".join(said)


def _part(part: "Part") -> str:
    before, after = part.before or "", part.after or ""
    if part.change == "changed" and before and len(before) + len(after) <= _SHORT and "who" not in part.path:
        return f"{part.path}: {before} -> {after}"
    return f"{part.path} {part.change}"


def _details(one: "RulePlan") -> Iterator[str]:
    for part in one.parts:
        yield f"    {part.path}"
        if part.before is not None:
            yield f"      - {part.before}"
        if part.after is not None:
            yield f"      + {part.after}"
    reach = one.reach
    for word, ids, number in (("new", reach.gained_ids, reach.gained), ("gone", reach.lost_ids, reach.lost)):
        if ids:
            yield f"    {word}: {', '.join(ids)}{', ...' if number > len(ids) else ''}"
