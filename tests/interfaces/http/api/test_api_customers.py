"""Customers, their wishes and blocks over HTTP: the same rules as for imports and commands."""

from datetime import timedelta
from typing import Any

import pytest
from api_kit import NOW, Running, customer

from outbound.domain.customer import ChannelName
from outbound.domain.keyring import Keyring
from outbound.services import preferences
from outbound.storage import tables
from outbound.storage.database import Database


def put(api: Running, identity: str, **attributes: Any) -> Any:
    return api.ask("PUT", f"/customers/{identity}", {"attributes": attributes})


def test_a_customer_is_created_replaced_and_changed(api: Running) -> None:
    made = put(api, "C-3", email="Ada@Example.ORG", phone="333 123 4567", country="it", first_name="Ada")
    assert made.status == 201
    assert made.body["attributes"] == {
        "email": "Ada@example.org",
        "phone": "+393331234567",
        "country": "IT",
        "first_name": "Ada",
    }
    again = put(api, "C-3", email="Ada@example.org", phone="+393331234567", country="IT", first_name="Ada")
    assert (again.status, again.body["new"], again.body["changed"]) == (200, False, [])
    replaced = put(api, "C-3", email="ada@example.org", language="it")
    assert replaced.body["attributes"] == {"email": "ada@example.org", "language": "it"}
    assert replaced.body["changed"] == ["country", "email", "first_name", "language", "phone"]
    changed = api.ask("PATCH", "/customers/C-3", {"attributes": {"first_name": "Ada", "language": None}})
    assert changed.body["attributes"] == {"email": "ada@example.org", "first_name": "Ada"}
    assert api.ask("GET", "/customers/C-3").body["attributes"] == changed.body["attributes"]
    sources = {row["source"] for row in api.rows(tables.customer_change)}
    assert sources == {"api key everything"}


def test_the_zone_follows_what_was_written(api: Running) -> None:
    put(api, "C-3", phone="+393331234567")
    put(api, "C-3", country="FR")
    zones = {row["id"]: row["zone_source"] for row in api.rows(tables.customer)}
    assert zones["C-3"] == "country:FR"


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"email": "not an address"}, "'email'"),
        ({"phone": "12"}, "'phone'"),
        ({"phone": "333 123 4567"}, "country"),
        ({"country": "Italy"}, "'country'"),
        ({"first_name": 7}, "'first_name'"),
        ({"shoe_size": 42}, "shoe_size"),
        ({"id": "C-4"}, "'id'"),
    ],
)
def test_what_the_schema_does_not_know_is_refused(api: Running, attributes: dict[str, Any], says: str) -> None:
    before = api.everything()
    answer = put(api, "C-3", **attributes)
    assert (answer.status, answer.body["code"]) == (422, "customer.field")
    assert says in answer.body["detail"] + answer.body["remedy"]
    assert api.everything() == before


def test_who_is_not_there_cannot_be_changed(api: Running) -> None:
    """Fault F82: an id that was guessed opens nothing, on no route."""
    routes: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PATCH", "", {"attributes": {}}),
        ("GET", "/preferences", None),
        ("PUT", "/preferences", {}),
        ("GET", "/consents", None),
        ("POST", "/consents", {"topic": "newsletter", "state": "withdrawn", "evidence": {"source": "x"}}),
        ("GET", "/timeline", None),
        ("GET", "/messages", None),
        ("GET", "/interactions", None),
        ("POST", "/interactions", {"kind": "call", "text": "x"}),
    ]
    before = api.everything()
    for method, path, body in routes:
        answer = api.ask(method, f"/customers/C-9{path}", body)
        assert (answer.status, answer.body["code"]) == (404, "customer.unknown"), (method, path)
    assert api.everything() == before


def test_customers_are_listed_page_by_page(api: Running) -> None:
    for number in range(3, 8):
        customer(api.database, f"C-{number}")
    seen, cursor = [], ""
    for _ in range(9):
        page = api.ask("GET", f"/customers?limit=3{f'&cursor={cursor}' if cursor else ''}").body
        seen += [one["id"] for one in page["customers"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [f"C-{number}" for number in range(1, 8)]


def test_a_cursor_opens_its_own_listing_only(api: Running) -> None:
    """Fault F82."""
    page = api.ask("GET", "/customers?limit=1").body
    for path in ("/customers/C-1/timeline", "/customers/C-1/messages", "/runs"):
        answer = api.ask("GET", f"{path}?cursor={page['next']}")
        assert (answer.status, answer.body["code"]) == (400, "api.cursor")
    letters = list(page["next"])
    letters[8] = "A" if letters[8] != "A" else "B"
    assert api.ask("GET", f"/customers?cursor={''.join(letters)}").status == 400


def test_people_are_found_by_address(api: Running) -> None:
    assert api.ask("POST", "/customers/lookup", {"email": "C-1@example.org"}).body == {"customers": ["C-1"]}
    assert api.ask("POST", "/customers/lookup", {"phone": "+393331234567"}).body == {"customers": []}
    assert api.ask("POST", "/customers/lookup", {}).status == 422


def test_preferences_are_stored_as_a_whole(api: Running) -> None:
    wanted = {
        "channel": "sms",
        "language": "it",
        "timezone": "Europe/Rome",
        "quiet_hours": {"start": "22:00", "end": "08:30"},
        "pause": {"start": "2026-12-20", "end": "2027-01-06"},
    }
    assert api.ask("PUT", "/customers/C-1/preferences", wanted).body == wanted
    assert api.ask("GET", "/customers/C-1/preferences").body == wanted
    assert api.ask("GET", "/customers/C-1").body["attributes"]["timezone"] == "Europe/Rome"
    nothing = dict.fromkeys(wanted)
    assert api.ask("PUT", "/customers/C-1/preferences", {}).body == nothing


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"timezone": "Europe/Atlantis"}, "preference.timezone"),
        ({"quiet_hours": {"start": "22:00", "end": "22:00"}}, "preference.hours"),
        ({"quiet_hours": {"start": "22", "end": "08:00"}}, "api.request"),
        ({"pause": {"start": "2026-12-20", "end": "2026-12-19"}}, "preference.pause"),
        ({"channel": "pigeon"}, "api.request"),
    ],
)
def test_preferences_that_make_no_sense_are_refused(api: Running, wanted: dict[str, Any], code: str) -> None:
    before = api.everything()
    answer = api.ask("PUT", "/customers/C-1/preferences", wanted)
    assert (answer.status, answer.body["code"]) == (422, code)
    assert api.everything() == before


YES = {
    "topic": "newsletter",
    "channel": "email",
    "state": "granted",
    "evidence": {"source": "checkout form 3", "wording": "Yes, write to me.", "language": "en", "ip": "192.0.2.1"},
}


def test_a_consent_is_on_the_ledger_with_its_proof(api: Running) -> None:
    """C33: who, when, what was shown, and which key of the API told us."""
    answer = api.ask("POST", "/customers/C-1/consents", {**YES, "at": "2026-11-20T10:00:00+01:00"})
    assert (answer.status, answer.body["new"]) == (201, True)
    (row,) = api.rows(tables.consent_event)
    assert row["evidence"]["wording"] == "Yes, write to me."
    assert row["evidence"]["actor"] == "api key everything"
    assert row["at"].isoformat() == "2026-11-20T09:00:00+00:00"
    again = api.ask("POST", "/customers/C-1/consents", YES)
    assert (again.status, again.body["new"]) == (200, False)
    no = {**YES, "channel": None, "state": "withdrawn", "evidence": {"source": "telephone"}}
    assert api.ask("POST", "/customers/C-1/consents", no).status == 201
    standing = api.ask("GET", "/customers/C-1/consents").body["consents"]
    assert {(one["channel"], one["state"]) for one in standing} == {("email", "withdrawn"), (None, "withdrawn")}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"evidence": {"source": "form"}}, "consent.evidence"),
        ({"evidence": {"source": "form", "wording": " "}}, "consent.evidence"),
        ({"evidence": {}}, "api.request"),
        ({"evidence": None}, "api.request"),
        ({"topic": "gossip"}, "consent.topic"),
        ({"at": (NOW + timedelta(hours=1)).isoformat()}, "consent.at"),
    ],
)
def test_a_consent_without_its_proof_is_none(api: Running, change: dict[str, Any], code: str) -> None:
    """C34: no evidence, no consent."""
    answer = api.ask("POST", "/customers/C-1/consents", YES | change)
    assert (answer.status, answer.body["code"]) == (422, code)
    assert api.rows(tables.consent_event) == []


def test_an_address_is_blocked_and_the_record_does_not_know_it(api: Running) -> None:
    block = {"channel": "sms", "address": "+39 333 123 4567", "scope": "marketing", "reason": "asked by telephone"}
    assert api.ask("POST", "/suppressions", block).status == 201
    assert api.ask("POST", "/suppressions", block).status == 200
    found = api.ask("POST", "/suppressions/lookup", {"channel": "sms", "address": "+393331234567"}).body["blocks"]
    assert [(one["scope"], one["reason"]) for one in found] == [("marketing", "asked by telephone")]
    assert "3331234567" not in str(api.everything())
    wrong = api.ask("POST", "/suppressions", {**block, "address": "somewhere"})
    assert (wrong.status, wrong.body["code"]) == (422, "suppression.address")


def test_a_block_under_an_older_key_holds_for_a_customer_written_later(database: Database) -> None:
    """C41: the secret key was rotated between the block and the customer."""
    from api_kit import publish, serve

    old = Keyring.parse("k1:" + "11" * 16)
    new = Keyring.parse("k2:" + "22" * 16 + ",k1:" + "11" * 16)
    publish(database)
    preferences.suppress(
        database, old, channel=ChannelName.EMAIL, address="x@example.org", scope="all", reason="stop", now=NOW
    )
    with serve(database, new) as running:
        put(running, "C-3", email="x@example.org")
        hashes = {row["hash"] for row in running.rows(tables.address)}
        assert hashes <= {row["hash"] for row in running.rows(tables.suppression)}
