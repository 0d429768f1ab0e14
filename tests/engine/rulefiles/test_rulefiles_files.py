"""Which files are read, and what is said about those that are missing or misnamed."""

from rulefile_samples import edited, good_files, problems_of, rendered

from outbound.engine.rulefiles import load


def test_without_any_file_both_required_files_are_named() -> None:
    assert rendered({}) == (
        "rules/policy.yaml:1:1: error: rules/policy.yaml is missing\n"
        "rules/schema.yaml:1:1: error: rules/schema.yaml is missing"
    )


def test_a_missing_policy_is_one_report_and_rules_are_still_checked() -> None:
    files = edited("rules/recall.yaml", "once:", "onec:")
    del files["rules/policy.yaml"]
    assert [p.code for p in problems_of(files)] == ["missing-file", "unknown-key"]


def test_a_missing_schema_does_not_blame_the_conditions() -> None:
    files = good_files()
    del files["rules/schema.yaml"]
    assert [p.code for p in problems_of(files)] == ["missing-file"]


def test_a_misnamed_policy_is_recognised() -> None:
    files = good_files()
    files["rules/polciy.yaml"] = files.pop("rules/policy.yaml")
    assert "is rules/polciy.yaml meant?" in {p.suggestion for p in problems_of(files)}


def test_a_yml_file_is_not_passed_over_in_silence() -> None:
    files = good_files()
    files["rules/extra.yml"] = b"rule: x"
    assert rendered(files) == (
        "rules/extra.yml:1:1: error: rule files end in .yaml\n    1 | rule: x\n      | ^ rename it to rules/extra.yaml"
    )


def test_rule_tests_readmes_and_templates_are_not_read() -> None:
    files = good_files()
    files["rules/tests/onboarding.test.yaml"] = b"test: x\n"
    files["rules/README.md"] = b": : :"
    files["templates/news/email.it.mjml"] = b"\xff\xff"
    assert problems_of(files) == ()


def test_segments_are_optional() -> None:
    files = edited("rules/news.yaml", "  - segment.near\n", "")
    del files["rules/segments.yaml"], files["rules/growth.yaml"]
    assert load(files).ruleset is not None


def test_empty_documents_and_comments_are_nothing() -> None:
    assert problems_of(edited("rules/recall.yaml", "", "---\n# nothing here\n---\n")) == ()


def test_all_problems_of_all_files_come_in_one_go_in_reading_order() -> None:
    files = edited("rules/recall.yaml", "topic: contract-notices", "topic: nothing-like-it")
    files["rules/orders.yaml"] = (
        files["rules/orders.yaml"].replace(b"36h", b"36 hours").replace(b"push, email", b"puhs, email")
    )
    files["rules/policy.yaml"] = files["rules/policy.yaml"].replace(b"Europe/Berlin", b"Europe/Brelin")
    assert [(p.span.file, p.span.line, p.code) for p in problems_of(files)] == [
        ("rules/orders.yaml", 9, "bad-duration"),
        ("rules/orders.yaml", 13, "unknown-channel"),
        ("rules/policy.yaml", 2, "unknown-zone"),
        ("rules/recall.yaml", 3, "unknown-topic"),
    ]


def test_the_check_example_of_the_rule_language() -> None:
    """The output that rules.md section 3 promises (with paths from the root, in reading order)."""
    files = good_files()
    files["rules/birthday.yaml"] = (
        b"rule: wish\n"
        b"owner: crm@shop.example\n"
        b"topic: gifts\n"
        b"when: {date: customer.birth_date, every: year, at: 8:30, tz: customer, feb29: skip}\n"
        b"who:\n"
        b"  - customer.contry in ['DE', 'AT']\n"
        b"  - customer.plan == 'premium'\n"
        b"  - not customer.auto_renew\n"
        b"\n"
        b'onec: "{year}"\n'
        b"send: {template: birthday, channels: [push, e-mail]}\n"
    )
    assert rendered(files) == EXAMPLE


EXAMPLE = """\
rules/birthday.yaml:4:52: error: time must be "HH:MM"
    4 | when: {date: customer.birth_date, every: year, at: 8:30, tz: customer, feb29: skip}
      |                                                    ^^^^ write "08:30"
rules/birthday.yaml:6:5: error: 'customer.contry' is not in rules/schema.yaml
    6 |   - customer.contry in ['DE', 'AT']
      |     ^^^^^^^^^^^^^^^ did you mean customer.country?
rules/birthday.yaml:7:22: error: 'premium' is not a value of customer.plan (free, pro)
    7 |   - customer.plan == 'premium'
      |                      ^^^^^^^^^
rules/birthday.yaml:8:9: warning: customer.auto_renew may be missing; a missing value never matches, not even here
    8 |   - not customer.auto_renew
      |         ^^^^^^^^^^^^^^^^^^^ write (customer.auto_renew ?? <default>) or has(customer.auto_renew)
rules/birthday.yaml:10:1: error: unknown key 'onec'
   10 | onec: "{year}"
      | ^^^^ did you mean once?
rules/birthday.yaml:11:45: error: unknown channel 'e-mail'
   11 | send: {template: birthday, channels: [push, e-mail]}
      |                                             ^^^^^^ did you mean email?"""
