"""Hashing people into experiments: the shares, that nobody moves, and that no hash knows of another."""

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from datetime import date

import pytest

from outbound.domain.experiment import Assignment, Experiment, GlobalHoldout, Variant
from outbound.engine.experiments import Purpose, assign, bucket, explained, template_of, unit_of, variant_at

PEOPLE = [f"c{number}" for number in range(200_000)]
FEW = PEOPLE[:40_000]
DAY = date(2026, 11, 24)
WINBACK = Experiment(
    id="winback-2026-q4",
    unit="id",
    coverage=2_000,
    holdout=1_000,
    variants={
        "plain": Variant(name="plain", weight=50, template="winback-plain"),
        "discount": Variant(name="discount", weight=50, template="winback-10-off"),
    },
    stop=date(2026, 12, 31),
)
GLOBAL = GlobalHoldout(id="global-2026", share=500)


def part(
    who: str, experiment: Experiment | None = WINBACK, holdout: GlobalHoldout | None = None, day: date = DAY
) -> Assignment:
    found = assign(experiment, holdout, unit=who, customer_id=who, day=day)
    assert found is not None
    return found


def group(found: Assignment) -> str:
    if not found.covered:
        return ""
    return "held_out" if found.held_out_by else found.variant


def correlation(one: list[int], other: list[int]) -> float:
    n = len(one)
    a, b = sum(one) / n, sum(other) / n
    shared = sum((x - a) * (y - b) for x, y in zip(one, other, strict=True))
    return float(shared / (sum((x - a) ** 2 for x in one) * sum((y - b) ** 2 for y in other)) ** 0.5)


def test_the_shares_of_200000_people_are_those_of_the_specification() -> None:
    """20 % coverage, 10 % holdout and 50/50: 8.98 % plain, 9.01 % discount, 2.02 % held out (rules.md 1.9)."""
    groups = Counter(group(part(who)) for who in PEOPLE)
    shares = {name: round(100 * count / len(PEOPLE), 2) for name, count in groups.items() if name}
    assert shares == {"plain": 8.98, "discount": 9.01, "held_out": 2.02}


def test_leo_gets_the_numbers_of_the_specification() -> None:
    """Rules.md section 3 shows them: another byte order, salt or separator would give others."""
    found = explained(WINBACK, None, unit="leo", customer_id="leo", day=DAY)
    words = "coverage 155 < 2000, holdout 9564 >= 1000, variant 2119 -> plain"
    assert found == Assignment(experiment="winback-2026-q4", variant="plain", why=words)
    assert part("leo") == replace(found, why="")


def test_growing_the_coverage_moves_nobody() -> None:
    wider = replace(WINBACK, coverage=5_000)
    before = {who: group(part(who)) for who in PEOPLE}
    after = {who: group(part(who, wider)) for who in PEOPLE}
    assert not [who for who in PEOPLE if before[who] and after[who] != before[who]]
    assert sum(map(bool, after.values())) > 2.4 * sum(map(bool, before.values()))


def test_the_three_hashes_know_nothing_of_each_other() -> None:
    """With one shared hash everybody covered would land in the first variant, and the correlations be 1."""
    by = {purpose: [bucket(WINBACK.id, purpose, who) for who in FEW] for purpose in Purpose}
    limit = 4 / len(FEW) ** 0.5  # four standard errors
    assert abs(correlation(by[Purpose.COVERAGE], by[Purpose.HOLDOUT])) < limit
    assert abs(correlation(by[Purpose.COVERAGE], by[Purpose.VARIANT])) < limit
    assert abs(correlation(by[Purpose.HOLDOUT], by[Purpose.VARIANT])) < limit


def test_two_experiments_split_people_independently() -> None:
    """Another id is another salt: the groups of one tell nothing about those of the other."""
    one = [bucket("spring", Purpose.VARIANT, who) for who in FEW]
    assert abs(correlation(one, [bucket("summer", Purpose.VARIANT, who) for who in FEW])) < 4 / len(FEW) ** 0.5


def test_the_global_holdout_takes_its_share_of_every_group_alike() -> None:
    """Of each variant, of the held out and of those outside, 5 % are in the global control group."""
    everyone = replace(WINBACK, coverage=10_000)
    members: Counter[str] = Counter()
    silent: Counter[str] = Counter()
    for who in PEOPLE:
        name = group(part(who, everyone))
        members[name] += 1
        silent[name] += part(who, None, GLOBAL).held_out_by == GLOBAL.id
    for name, count in members.items():
        assert abs(silent[name] / count - 0.05) < 4 * (0.05 * 0.95 / count) ** 0.5


def test_raising_the_global_share_releases_nobody() -> None:
    held = {who for who in FEW if part(who, None, GLOBAL).held_out_by}
    more = {who for who in FEW if part(who, None, replace(GLOBAL, share=800)).held_out_by}
    assert held < more


def test_somebody_held_out_globally_is_in_no_group_of_the_experiment() -> None:
    """They would get nothing from any group, and must not be counted in one."""
    everyone = replace(WINBACK, coverage=10_000)
    who = next(who for who in PEOPLE if part(who, None, GLOBAL).held_out_by)
    assert part(who, everyone, GLOBAL) == Assignment(held_out_by="global-2026")
    outside = next(who for who in PEOPLE if part(who, None, GLOBAL).held_out_by and not group(part(who)))
    assert part(outside, WINBACK, GLOBAL) == Assignment(covered=False)


def test_every_process_assigns_alike() -> None:
    """Python salts its own hashes per process; these must not depend on it."""
    lines = (
        "from outbound.engine.experiments import Purpose, bucket\n"
        "print([bucket('winback-2026-q4', p, f'c{n}') for n in range(50) for p in Purpose])"
    )
    here = str([bucket("winback-2026-q4", purpose, who) for who in PEOPLE[:50] for purpose in Purpose])
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        ran = subprocess.run(
            [sys.executable, "-c", lines], env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        assert ran.stdout.strip() == here


@pytest.mark.parametrize(
    ("weights", "place", "expected"),
    [
        ((50, 50), 4_999, "a"),
        ((50, 50), 5_000, "b"),
        ((1, 1, 1), 3_333, "a"),  # a third of 10,000 is 3,333.3: bucket 3,333 still begins below it
        ((1, 1, 1), 3_334, "b"),
        ((1, 1, 1), 9_999, "c"),
        ((0, 5), 0, "b"),
        ((3, 1), 7_499, "a"),
        ((3, 1), 7_500, "b"),
    ],
)
def test_variants_lie_end_to_end_in_the_order_written(weights: tuple[int, ...], place: int, expected: str) -> None:
    named = {name: Variant(name=name, weight=weight) for name, weight in zip("abc", weights, strict=False)}
    assert variant_at(named, place) == expected


def test_after_stop_nobody_is_exposed() -> None:
    assert part("leo", day=date(2026, 12, 31)).covered  # the day itself counts
    assert part("leo", day=date(2027, 1, 1)) == Assignment(covered=False)


@pytest.mark.parametrize(
    ("coverage", "holdout", "expected"),
    [
        (0, 0, Assignment(covered=False)),
        (10_000, 10_000, Assignment(held_out_by=WINBACK.id, experiment=WINBACK.id)),
        (10_000, 0, Assignment(experiment=WINBACK.id, variant="plain")),
    ],
)
def test_shares_of_nothing_and_of_everything(coverage: int, holdout: int, expected: Assignment) -> None:
    change = replace(WINBACK, coverage=coverage, holdout=holdout, variants={"plain": WINBACK.variants["plain"]})
    assert {part(who, change) for who in PEOPLE[:2_000]} == {expected}


@pytest.mark.parametrize(
    ("experiment", "holdout", "who", "day", "expected"),
    [
        (WINBACK, None, "Leo", DAY, "coverage 5124 >= 2000"),
        (
            WINBACK,
            GLOBAL,
            "leo",
            DAY,
            "coverage 155 < 2000, global-2026 {global} >= 500, holdout 9564 >= 1000, variant",
        ),
        (WINBACK, GLOBAL, "Leo", DAY, "coverage 5124 >= 2000"),
        (WINBACK, None, "leo", date(2027, 1, 1), "no new exposures after 2026-12-31"),
        (WINBACK, None, "", DAY, "no id to assign by"),
        (None, GLOBAL, "leo", DAY, "global-2026 {global} >= 500"),
    ],
)
def test_an_explanation_says_no_more_than_was_decided(
    experiment: Experiment | None, holdout: GlobalHoldout | None, who: str, day: date, expected: str
) -> None:
    found = explained(experiment, holdout, unit=who, customer_id=who, day=day)
    assert found is not None
    assert replace(found, why="") == part(who, experiment, holdout, day)
    number = str(bucket("global-2026", Purpose.HOLDOUT, who))
    assert found.why.startswith(expected.replace("{global}", number))
    assert ("variant" in found.why) == bool(found.variant)


def test_nothing_applies_without_an_experiment_and_without_a_global_holdout() -> None:
    assert assign(None, None, unit="", customer_id="leo", day=DAY) is None
    assert not part("leo", None, replace(GLOBAL, share=0)).held_out_by


def test_the_unit_may_be_an_attribute_and_who_lacks_it_is_not_covered() -> None:
    """Two people of one household share a group; without a value there is nothing to hash."""
    household = replace(WINBACK, unit="household", coverage=10_000)
    assert unit_of(WINBACK, {"household": "h1"}, "leo") == "leo"
    assert unit_of(household, {"household": "h1"}, "leo") == "h1"
    ada = assign(household, None, unit="h1", customer_id="ada", day=DAY)
    assert ada == assign(household, None, unit="h1", customer_id="leo", day=DAY)
    missing = assign(household, None, unit=unit_of(household, {}, "leo"), customer_id="leo", day=DAY)
    assert missing == Assignment(covered=False)


def test_the_template_is_the_variants_own_or_none() -> None:
    assert template_of(WINBACK, "discount") == "winback-10-off"
    assert template_of(WINBACK, "") == ""
