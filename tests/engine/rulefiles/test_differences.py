"""What two sets of files say differently, part by part."""

from outbound.engine.rulefiles.differences import Change, Difference, Kind, Part, differences

RULE = b"""
rule: news
owner: crm@shop.example
topic: newsletter
when: {schedule: FREQ=WEEKLY;BYDAY=SU, at: "10:00"}
who:
  - customer.country in ['IT']
  - happened(order.placed, within 52w)
send: {template: letter, channels: [email, sms]}
"""


def changed(before: bytes, after: bytes, path: str = "rules/a.yaml") -> tuple[Difference, ...]:
    return differences({path: before}, {path: after})


def test_layout_comments_order_and_another_file_are_no_differences() -> None:
    """The version of a rule says the same: it is a hash of what the document says."""
    other = b"""# written anew
send:
  channels: [ email,   sms ]
  template: letter
topic: newsletter   # the same
owner: crm@shop.example
who:
  - customer.country   in ['IT']
  - happened(order.placed, within 52w)
when: {schedule: 'FREQ=WEEKLY;BYDAY=SU', at: 10:00}
rule: news
"""
    assert changed(RULE, other) == ()
    assert differences({"rules/a.yaml": RULE}, {"rules/b.yaml": RULE}) == ()


def test_each_place_that_differs_is_a_part() -> None:
    after = (
        RULE.replace(b'"10:00"', b'"11:00"')
        .replace(b"['IT']", b"['IT', 'DE']")
        .replace(b"[email, sms]", b"[email]")
        .replace(b"send:", b"catch_up: 2h\nsend:")
    )
    [one] = changed(RULE, after)
    assert (one.kind, one.name, one.change) == (Kind.RULE, "news", Change.CHANGED)
    assert set(one.parts) == {
        Part(path="when.at", before="10:00", after="11:00"),
        Part(path="who[0]", before="customer.country in ['IT']", after="customer.country in ['IT', 'DE']"),
        Part(path="send.channels[1]", before="sms", after=None),
        Part(path="catch_up", before=None, after="2h"),
    }
    assert {part.change for part in one.parts} == set(Change)


def test_a_line_put_in_between_does_not_make_all_behind_it_differ() -> None:
    after = RULE.replace(b"who:\n", b"who:\n  - has(customer.email)\n")
    [one] = changed(RULE, after)
    assert one.parts == (Part(path="who[0]", before=None, after="has(customer.email)"),)


def test_one_condition_alone_is_a_list_of_one() -> None:
    alone = b"rule: a\nwho: customer.country == 'IT'\n"
    [one] = changed(alone, b"rule: a\nwho:\n  - customer.country == 'IT'\n  - has(customer.email)\n")
    assert one.parts == (Part(path="who[1]", before=None, after="has(customer.email)"),)


def test_rules_and_segments_come_and_go_by_name() -> None:
    before = {"rules/a.yaml": RULE, "rules/segments.yaml": b"segment: buyers\nif: has(customer.email)\n"}
    after = {"rules/a.yaml": RULE.replace(b"rule: news", b"rule: more")}
    assert [(d.kind, d.name, d.change) for d in differences(before, after)] == [
        (Kind.RULE, "more", Change.ADDED),
        (Kind.RULE, "news", Change.REMOVED),
        (Kind.SEGMENT, "buyers", Change.REMOVED),
    ]


def test_policy_schema_and_templates_by_their_parts() -> None:
    before = {
        "rules/policy.yaml": b"policy: 1\ncaps:\n  - {class: marketing, max: 1, per: day}\n",
        "rules/schema.yaml": b"customer:\n  plan: {type: string}\n",
        "templates/letter/email.mjml": b"one",
        "templates/letter/sms.txt": b"one",
        "templates/gone/sms.txt": b"one",
    }
    after = {
        "rules/policy.yaml": b"policy: 1\ncaps:\n  - {class: marketing, max: 2, per: day}\n",
        "rules/schema.yaml": b"customer:\n  plan: {type: string}\n  city: {type: string}\n",
        "templates/letter/email.mjml": b"two",
        "templates/letter/push.txt": b"two",
    }
    told = {(d.kind, d.name): d for d in differences(before, after)}
    assert told[Kind.POLICY, ""].parts == (Part(path="caps[0].max", before="1", after="2"),)
    assert told[Kind.SCHEMA, ""].parts == (Part(path="customer.city", before=None, after='{"type": "string"}'),)
    assert told[Kind.TEMPLATE, "gone"].change is Change.REMOVED
    assert [(p.path, p.change) for p in told[Kind.TEMPLATE, "letter"].parts] == [
        ("email.mjml", Change.CHANGED),
        ("push.txt", Change.ADDED),
        ("sms.txt", Change.REMOVED),
    ]


def test_a_document_that_cannot_be_read_is_passed_over() -> None:
    assert [d.change for d in changed(RULE, b"rule: [\n---\n" + RULE.replace(b"news", b"more"))] == [
        Change.ADDED,
        Change.REMOVED,
    ]
