"""Changes, entries, experiments and limits mean exactly what they say."""

from datetime import date

import pytest
from rulefile_samples import edited, good_files, problems_of

from outbound.domain.durations import Duration, DurationUnit
from outbound.domain.experiment import Variant
from outbound.domain.rule import ChangedTrigger, EntersTrigger, KeyTemplate, Limits, Rule
from outbound.engine.rulefiles import load

PATH = "rules/growth.yaml"


def rule(name: str, files: dict[str, bytes] | None = None) -> Rule:
    loaded = load(files or good_files())
    assert loaded.ruleset is not None, [p.render() for p in loaded.problems]
    return loaded.ruleset.rules[name]


def test_a_change_names_its_attribute_and_both_values() -> None:
    """Its defaults are those of the specification: the occurrence as key, 3d, no catch-up."""
    found = rule("upgraded")
    assert found.trigger == ChangedTrigger(attribute="plan", old="free", new="pro")
    assert found.once == KeyTemplate(parts=(("", "change.id"),), text="{change.id}")
    assert found.expires == Duration(3, DurationUnit.DAY)
    assert found.catch_up is None


@pytest.mark.parametrize(
    ("written", "trigger"),
    [
        ("changed: customer.plan", ChangedTrigger(attribute="plan")),
        ("changed: customer.plan, to: pro", ChangedTrigger(attribute="plan", new="pro")),
        ("changed: customer.is_adult, to: true", ChangedTrigger(attribute="is_adult", new=True)),
        ("changed: customer.is_adult, from: false", ChangedTrigger(attribute="is_adult", old=False)),
        ("changed: customer.birth_date, from: 2000-02-29", ChangedTrigger(attribute="birth_date", old="2000-02-29")),
        ("changed: customer.country, from: NO, to: DE", ChangedTrigger(attribute="country", old="NO", new="DE")),
        ("changed: customer.email", ChangedTrigger(attribute="email")),
        ("changed: customer.phone", ChangedTrigger(attribute="phone")),
        ("changed: customer.language, to: it", ChangedTrigger(attribute="language", new="it")),
        ("changed: customer.timezone", ChangedTrigger(attribute="timezone")),
        ("changed: customer.points, from: 1, to: 2.5", ChangedTrigger(attribute="points", old=1, new=2.5)),
    ],
)
def test_values_of_a_change_have_the_type_of_the_attribute(written: str, trigger: ChangedTrigger) -> None:
    files = edited(PATH, "changed: customer.plan, from: free, to: pro", written)
    files["rules/schema.yaml"] = files["rules/schema.yaml"].replace(
        b"  is_adult: ", b"  points:       {type: number}\n  is_adult: "
    )
    assert rule("upgraded", files).trigger == trigger


@pytest.mark.parametrize("written", ['"2"', "many", "1e400", "nan", "1e15"])
def test_a_change_of_a_number_is_to_a_number(written: str) -> None:
    files = edited(PATH, "changed: customer.plan, from: free, to: pro", f"changed: customer.points, to: {written}")
    files["rules/schema.yaml"] = files["rules/schema.yaml"].replace(
        b"  is_adult: ", b"  points:       {type: number}\n  is_adult: "
    )
    assert [p.message for p in problems_of(files)] == ["customer.points is a number"]


def test_an_entry_names_its_segment() -> None:
    found = rule("loyal")
    assert found.trigger == EntersTrigger(segment="active_buyers")
    assert rule("loyal", edited(PATH, 'once: "{entry.number}"\n', "")).once == found.once


def test_an_experiment_counts_in_buckets_and_keeps_its_variants_in_order() -> None:
    found = rule("winback")
    experiment = found.experiment
    assert experiment is not None
    assert (experiment.id, experiment.unit) == ("winback-2026-q4", "id")
    assert (experiment.coverage, experiment.holdout) == (2000, 1250)
    assert list(experiment.variants.items()) == [
        ("plain", Variant(name="plain", weight=50, template="winback-plain")),
        ("discount", Variant(name="discount", weight=50, template="winback-10-off")),
    ]
    assert [clause.text for clause in experiment.goal] == ["happened(order.placed, within 14d)"]
    assert experiment.stop == date(2026, 12, 31)
    assert found.send.templates == {}
    assert found.templates == {"winback-plain", "winback-10-off"}


def test_coverage_is_everybody_and_holdout_nobody_unless_written() -> None:
    files = edited(PATH, "  coverage: 20%\n  holdout: 12.5%\n", "")
    experiment = rule("winback", files).experiment
    assert experiment is not None
    assert (experiment.coverage, experiment.holdout) == (10_000, 0)


def test_the_experiment_in_a_key_is_filled_in_when_the_rule_is_read() -> None:
    """It is the same for everybody, so planning needs no value for it."""
    once = rule("winback").once
    assert once.text == "{experiment.id}"
    assert once.fill({}) == "winback-2026-q4"
    both = rule("winback", edited(PATH, '"{experiment.id}"', '"x-{experiment.id}/{date}"')).once
    assert both.fill({"date": "2026-11-04"}) == "x-winback-2026-q4/2026-11-04"


def test_one_variant_and_a_holdout_leave_the_template_to_send() -> None:
    """A reminder with a template per offset can have a holdout."""
    arm = "experiment: {id: notices, holdout: 10%, variants: {notice: {weight: 1}}}\nsend:\n  template: {-14d"
    found = rule("renewal-reminder", edited("rules/dates.yaml", "send:\n  template: {-14d", arm))
    assert found.experiment is not None
    assert found.experiment.variants == {"notice": Variant(name="notice", weight=1)}
    assert found.send.templates == {"-14d": "renewal-early", "-3d": "renewal-last"}


def test_a_yearly_date_once_per_experiment_is_meant() -> None:
    arm = 'once: "{experiment.id}"\nexperiment: {id: b1, holdout: 10%, variants: {all: {weight: 1}}}'
    assert rule("birthday", edited("rules/dates.yaml", 'once: "{year}"', arm)).once.fill({}) == "b1"


def test_an_experiment_and_the_policys_holdout_need_ids_of_their_own() -> None:
    """One id is one salt: whoever is held out of all marketing would be the first to be held out here too."""
    files = edited("rules/policy.yaml", "zones:", "holdout: {share: 5%, id: winback-2026-q4}\nzones:")
    (problem,) = problems_of(files)
    assert (problem.code, str(problem.span)) == ("duplicate-experiment", "rules/growth.yaml:11:7")
    assert problem.message == (
        "'winback-2026-q4' is the id of the policy's holdout too: the same people would be held out of both"
    )


def test_limits_are_kept_in_millionths_and_fractions() -> None:
    found = rule("winback").limits
    assert found == Limits(recipients=60_000, cost=90_000_000, currency="EUR", growth=0.3)
    finer = rule("winback", edited(PATH, "cost: EUR 90, growth: 30%", "cost: EUR 0.0004")).limits
    assert finer == Limits(recipients=60_000, cost=400, currency="EUR")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("coverage: 20%", "coverage: 30%"),
        ("weight: 50, template: winback-plain", "weight: 40, template: winback-plain"),
        ("within 14d", "within 15d"),
        ("2026-12-31", "2026-12-30"),
        ("recipients: 60000", "recipients: 60001"),
    ],
)
def test_the_version_covers_experiment_and_limits(old: str, new: str) -> None:
    assert rule("winback", edited(PATH, old, new)).version != rule("winback").version


def test_the_version_covers_the_values_of_a_change() -> None:
    assert rule("upgraded", edited(PATH, ", to: pro", "")).version != rule("upgraded").version


def test_a_goal_alone_is_the_same_as_a_list_of_it() -> None:
    files = edited(PATH, "goal: happened(order.placed, within 14d)", "goal: [ 'happened(order.placed,  within 14d)' ]")
    assert rule("winback", files).version == rule("winback").version
