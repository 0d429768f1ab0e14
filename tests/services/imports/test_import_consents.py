"""Imported consents: with proof or not at all, and never over a withdrawal."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from import_shop import FIELDS, NOW, Shop

from outbound.domain.consent import ConsentState, Evidence
from outbound.domain.customer import ChannelName
from outbound.services import customers, preferences
from outbound.services.imports.report import ImportReport
from outbound.storage.tables import consent_event

Remarks = Callable[[ImportReport], list[tuple[int, str, str]]]
CONSENT = (
    FIELDS
    + "email: email\nsource: crm\nconsents:\n"
    + "  - {topic: newsletter, channel: email, when: {column: promo, in: ['1', '2']}, at: said,\n"
    + "     wording: 'Yes, write to me'}\n"
)
BOTH = (
    CONSENT + "  - {topic: newsletter, channel: email, state: withdrawn, when: {column: promo, in: ['0']}, at: said}\n"
)
HEADER = "id,email,promo,said\n"


def _states(shop: Shop, identity: str) -> dict[tuple[str, str], str]:
    return {key: entry.state.value for key, entry in shop.person(identity).consents.items()}


def _say(shop: Shop, state: ConsentState, *, channel: ChannelName | None, days: int) -> None:
    say = preferences.grant if state is ConsentState.GRANTED else preferences.withdraw
    say(
        shop.database,
        customer_id="c1",
        topic="newsletter",
        channel=channel,
        evidence=Evidence(source="preference page", actor="customer"),
        now=NOW,
        at=NOW + timedelta(days=days),
    )


def test_a_consent_keeps_its_proof_down_to_file_and_line(shop: Shop) -> None:
    report = shop.customers(CONSENT, HEADER + "c1,a@shop.example,2,2025-04-02\nc2,b@shop.example,0,2025-04-02\n")
    assert report.consents == {"granted": 1}
    record = customers.show(shop.database, shop.keyring, "c1")
    (event,) = record.ledger
    assert event.state is ConsentState.GRANTED
    assert event.at.isoformat() == "2025-04-02T00:00:00+00:00"
    assert event.recorded_at == NOW
    assert event.evidence == Evidence(
        source="import of people.csv line 2 from crm", wording="Yes, write to me", actor="import"
    )
    assert _states(shop, "c2") == {}


@pytest.mark.parametrize("days", [-9000, 0])
def test_a_grant_older_or_newer_than_a_withdrawal_does_not_reverse_it(
    shop: Shop, remarks_of: Remarks, days: int
) -> None:
    """Whether the person withdrew before or after the date in the file."""
    shop.customers(FIELDS + "email: email", "id,email\nc1,a@shop.example\n")
    _say(shop, ConsentState.WITHDRAWN, channel=ChannelName.EMAIL, days=days)
    report = shop.customers(CONSENT, HEADER + "c1,a@shop.example,1,2025-04-02\n")
    assert report.consents == {"kept_withdrawn": 1}
    assert remarks_of(report) == [(2, "", "withdrawn on record: an import never reverses that")]
    assert _states(shop, "c1") == {("newsletter", "email"): "withdrawn"}


def test_a_withdrawal_for_every_channel_stops_a_grant_for_one(shop: Shop) -> None:
    shop.customers(FIELDS + "email: email", "id,email\nc1,a@shop.example\n")
    _say(shop, ConsentState.WITHDRAWN, channel=None, days=-1)
    assert shop.customers(CONSENT, HEADER + "c1,a@shop.example,1,2026-04-02\n").consents == {"kept_withdrawn": 1}
    assert _states(shop, "c1") == {("newsletter", ""): "withdrawn"}
    _say(shop, ConsentState.GRANTED, channel=ChannelName.EMAIL, days=0)
    assert shop.customers(CONSENT, HEADER + "c1,a@shop.example,1,2026-04-02\n").consents == {"unchanged": 1}
    assert _states(shop, "c1") == {("newsletter", ""): "withdrawn", ("newsletter", "email"): "granted"}


def test_an_imported_withdrawal_ends_a_grant_and_a_later_import_does_not_bring_it_back(shop: Shop) -> None:
    shop.customers(BOTH, HEADER + "c1,a@shop.example,1,2025-04-02\n")
    assert shop.customers(BOTH, HEADER + "c1,a@shop.example,0,2025-06-01\n").consents == {"withdrawn": 1}
    assert shop.customers(BOTH, HEADER + "c1,a@shop.example,1,2026-01-01\n").consents == {"kept_withdrawn": 1}
    assert shop.customers(BOTH, HEADER + "c1,a@shop.example,0,2025-06-01\n").consents == {"unchanged": 1}
    assert _states(shop, "c1") == {("newsletter", "email"): "withdrawn"}


def test_an_older_withdrawal_goes_into_the_ledger_once_and_the_newer_grant_stands(shop: Shop) -> None:
    shop.customers(BOTH, HEADER + "c1,a@shop.example,1,2025-04-02\n")
    text = HEADER + "c1,a@shop.example,0,2024-01-01\n"
    first = shop.customers(BOTH, text)
    assert (first.consents, first.changed_nothing) == ({"older": 1}, False)
    second = shop.customers(BOTH, text)
    assert (second.consents, second.changed_nothing) == ({"unchanged": 1}, True)
    assert _states(shop, "c1") == {("newsletter", "email"): "granted"}
    assert len(customers.show(shop.database, shop.keyring, "c1").ledger) == 2


def test_within_one_file_a_withdrawal_outweighs_a_grant_in_whatever_order(shop: Shop) -> None:
    rows = "c1,a@shop.example,0,2025-01-01\nc1,a@shop.example,1,2025-04-02\nc2,b@shop.example,1,2025-04-02\n"
    report = shop.customers(BOTH, HEADER + rows + "c2,b@shop.example,0,2025-01-01\n")
    assert (report.new, report.duplicates, report.consents) == (2, 2, {"withdrawn": 2})
    assert _states(shop, "c1") == _states(shop, "c2") == {("newsletter", "email"): "withdrawn"}


def test_a_consent_without_a_date_or_from_the_future_is_none_but_a_withdrawal_needs_no_proof(
    shop: Shop, remarks_of: Remarks
) -> None:
    rows = "c1,a@shop.example,1,\nc2,b@shop.example,1,2027-01-01\nc3,c@shop.example,0,\n"
    report = shop.customers(BOTH, HEADER + rows)
    assert report.consents == {"undated": 2, "withdrawn": 1}
    assert remarks_of(report) == [
        (2, "said", "no consent to newsletter: no date"),
        (3, "said", "no consent to newsletter: a date in the future"),
    ]
    assert (_states(shop, "c1"), _states(shop, "c2")) == ({}, {})
    assert _states(shop, "c3") == {("newsletter", "email"): "withdrawn"}


def test_a_confirmed_consent_belongs_to_the_address_and_needs_one(shop: Shop, remarks_of: Remarks) -> None:
    mapping = (
        "import: customers\nkey: id\nconsents:\n"
        "  - {topic: newsletter, channel: email, at: said, wording: w, confirmed: true}\n"
    )
    shop.customers(FIELDS + "email: email", "id,email\nc1,a@shop.example\n")
    report = shop.customers(mapping, "id,said\nc1,2025-04-02\nc2,2025-04-02\n")
    assert report.consents == {"granted": 1}
    assert remarks_of(report) == [(3, "", "no address that the consent could belong to")]
    assert shop.person("c1").consents["newsletter", "email"].address == "a@shop.example"
    again = shop.customers(mapping, "id,said\nc1,2025-04-02\n")
    assert (again.consents, again.changed_nothing) == ({"unchanged": 1}, True)
    shop.customers(FIELDS + "email: email", "id,email\nc1,new@shop.example\n")
    assert shop.person("c1").consents["newsletter", "email"].address == "a@shop.example"


def test_a_withdrawal_for_every_channel_in_a_file_ends_each_grant(shop: Shop) -> None:
    shop.customers(CONSENT, HEADER + "c1,a@shop.example,1,2025-04-02\n")
    mapping = "import: customers\nkey: id\nconsents:\n  - {topic: newsletter, state: withdrawn, at: now}\n"
    assert shop.customers(mapping, "id\nc1\n").consents == {"withdrawn": 1}
    assert _states(shop, "c1") == {("newsletter", ""): "withdrawn", ("newsletter", "email"): "withdrawn"}
    assert shop.customers(mapping, "id\nc1\n", now=NOW + timedelta(1)).changed_nothing


def test_consents_of_a_merged_customer_go_to_the_survivor_and_nothing_else_does(
    shop: Shop, remarks_of: Remarks
) -> None:
    shop.customers(FIELDS + "email: email", "id,email\nold,a@shop.example\nnew,b@shop.example\n")
    customers.merge(shop.database, loser="old", winner="new", by="mia", now=NOW)
    report = shop.customers(BOTH, HEADER + "old,x@shop.example,0,2025-04-02\n")
    assert (report.merged, report.new, report.changed) == (1, 0, 0)
    assert remarks_of(report) == [(2, "id", "merged into another customer: only consents were taken over")]
    assert _states(shop, "new") == {("newsletter", "email"): "withdrawn"}
    email = shop.person("new").customer.address(ChannelName.EMAIL)
    assert email is not None
    assert email.value == "b@shop.example"
    with shop.database.read() as connection:
        assert set(connection.execute(sa.select(consent_event.c.customer_id)).scalars()) == {"new"}
