"""experiment list and show, from a rule file to its results."""

import re
from datetime import date

from trial_shop import FILES, RULES, Shop

from outbound.domain.experiment import Experiment, Variant
from outbound.engine.experiments import assign

POLICY = FILES["rules/policy.yaml"] + "holdout: {share: 10%, id: global-2026}\n"
WINBACK = """
---
rule: winback
owner: crm@shop.example
topic: newsletter
when: {script: {}}
once: "{experiment.id}"
experiment:
  id: winback-2026-q4
  unit: customer.id
  coverage: 80%
  holdout: 25%
  variants:
    short: {weight: 50, template: letter}
    long:  {weight: 50, template: longer}
  goal: happened(order.placed, within 14d)
send: {channels: [email]}
"""
ARMS = {name: Variant(name=name, weight=50) for name in ("short", "long")}
EXPERIMENT = Experiment(id="winback-2026-q4", unit="id", coverage=8_000, holdout=2_500, variants=ARMS)
PEOPLE = [f"c{n}" for n in range(40)]


def publish(
    shop: Shop, rules: str = RULES + WINBACK, *, status: int = 0, policy: str = FILES["rules/policy.yaml"]
) -> str:
    for name in ("template.yaml", "email.mjml"):
        shop.write(f"templates/longer/{name}", FILES[f"templates/letter/{name}"])
    shop.write("rules/policy.yaml", policy)
    shop.write("rules/rules.yaml", rules)
    answer = shop.run("apply", status=status)
    return answer.out + answer.err


def group_of(who: str) -> str:
    part = assign(EXPERIMENT, None, unit=who, customer_id=who, day=date(2026, 1, 1))
    assert part is not None
    return "" if not part.covered else part.variant or "held out"


def test_before_anybody_was_exposed_there_is_only_the_definition(shop: Shop) -> None:
    publish(shop, policy=POLICY)
    assert shop.run("experiment", "list").out.splitlines() == [
        "experiment       rule      state           coverage  holdout  variants",
        "global-2026      (policy)  nobody exposed            10%",
        "winback-2026-q4  winback   nobody exposed  80%       25%      short 50, long 50",
    ]
    shown = shop.run("experiment", "show", "winback-2026-q4").out
    assert shown.startswith("winback-2026-q4  rule winback, nobody exposed, nothing frozen yet\n")
    assert "  coverage  80%, of those 25% held out\n" in shown
    assert "the policy's holdout" in shop.run("experiment", "show", "global-2026").out
    assert "[experiment.unknown]" in shop.run("experiment", "show", "nope", status=1).err


def test_the_results_count_each_group_and_those_who_reached_the_goal(shop: Shop) -> None:
    """40 people by their hashes; one of each group orders, and one who is outside the coverage."""
    publish(shop)
    shop.run("send", "winback", "--key", "k1", "--customers", str(shop.customers(PEOPLE)))
    groups = {name: [who for who in PEOPLE if group_of(who) == name] for name in ("short", "long", "held out", "")}
    assert all(groups.values())
    for name, members in groups.items():
        shop.run("event", "order.placed", members[0], "--data", f"order_id=o-{name.replace(' ', '')}")
    found = shop.run("experiment", "show", "winback-2026-q4", "--json").json
    assert found["summary"]["frozen_since"]
    by = {group["name"]: group for group in found["groups"]}
    assert list(by) == ["short", "long", "held out"]
    for name, group in by.items():
        people = len(groups[name])
        assert (group["people"], group["conversions"], group["open"]) == (people, 1, people - 1)
        assert group["waiting"] == (0 if name == "held out" else people)
        assert 0 < group["low"] < group["rate"] == 1 / people < group["high"] < 1
    assert by["held out"]["not_sent"] == {"held_out": len(groups["held out"])}
    lines = shop.run("experiment", "show", "winback-2026-q4").out.splitlines()
    assert re.match(r"winback-2026-q4  rule winback, frozen since \d{4}-\d\d-\d\d \d\d:\d\d UTC$", lines[0])
    row = next(line for line in lines if line.startswith("held out"))
    assert row.split()[2:6] == [str(len(groups["held out"])), "0", "0", str(len(groups["held out"]))]
    assert lines[-1] == f"{sum(map(len, groups.values())) - len(groups['']) - 3} people can still reach the goal."


def test_what_would_move_people_is_refused_with_the_line_and_the_way_out(shop: Shop) -> None:
    publish(shop)
    shop.run("send", "winback", "--key", "k1", "--customers", str(shop.customers(PEOPLE)))
    said = publish(shop, RULES + WINBACK.replace("holdout: 25%", "holdout: 5%"), status=1)
    assert "its holdout cannot change from 25% to 5%" in said
    assert "give the experiment a new id, or write holdout: 25% again" in said
    publish(shop, RULES + WINBACK.replace("coverage: 80%", "coverage: 100%"))
    publish(shop, RULES)
    line = next(x for x in shop.run("experiment", "list").out.splitlines() if x.startswith("winback"))
    assert line.split()[:3] == ["winback-2026-q4", "winback", "ended"]


def test_exposures_ahead_of_the_clock_are_said(shop: Shop) -> None:
    """After a run on a made-up clock the real one would show nobody at the goal, and not say why."""
    publish(shop)
    shop.run("--at", "2031-01-01T08:00Z", "send", "winback", "--key", "k1", "--customers", str(shop.customers(PEOPLE)))
    exposed = sum(1 for who in PEOPLE if group_of(who))
    line = f"{exposed} exposures lie after this command's clock: give a later one with --at."
    assert line in shop.run("experiment", "show", "winback-2026-q4").out
    assert shop.run("experiment", "show", "winback-2026-q4", "--json").json["ahead"] == exposed
    assert "clock" not in shop.run("--at", "2031-01-02T08:00Z", "experiment", "show", "winback-2026-q4").out
