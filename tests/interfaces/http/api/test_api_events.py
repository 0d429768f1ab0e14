"""Events over HTTP: recorded once, durably, in groups, and refused with a reason."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from api_kit import NOW, Running, serve

from outbound.domain.access import Scope
from outbound.storage import tables

ORDER = {"name": "order.placed", "customer": "C-1", "data": {"order_id": "A1", "total": 12.5}}


def test_an_event_is_on_record_when_it_is_answered(api: Running) -> None:
    answer = api.ask("POST", "/events", {**ORDER, "id": "A1", "at": "2026-11-24T08:00:00+01:00"})
    assert answer.status == 201
    assert answer.body == {
        "id": "order.placed/A1",
        "name": "order.placed",
        "customer": "C-1",
        "at": "2026-11-24T08:00:00+01:00",
        "new": True,
    }
    (row,) = api.rows(tables.event)
    assert (row["id"], row["data"], row["source"]) == ("order.placed/A1", ORDER["data"], "api key everything")
    assert row["at"].isoformat() == "2026-11-24T07:00:00+00:00"
    assert row["handled_at"] is None


def test_the_same_id_again_is_the_same_event(api: Running) -> None:
    """Fault F06."""
    api.ask("POST", "/events", {**ORDER, "id": "A1"})
    again = api.ask("POST", "/events", {**ORDER, "id": "A1"})
    assert (again.status, again.body["new"]) == (200, False)
    other = api.ask("POST", "/events", {**ORDER, "id": "A1", "customer": "C-2"})
    assert (other.status, other.body["code"]) == (409, "event.id")
    assert len(api.rows(tables.event)) == 1


def test_fifty_at_once_with_one_key_are_one_event(api: Running) -> None:
    """Fault F06: each of them gets an answer, and it is the same one."""

    def tell(_: int) -> tuple[int, str]:
        answer = api.ask("POST", "/events", ORDER, headers={"Idempotency-Key": "one"})
        return answer.status, json.dumps(answer.body)

    with ThreadPoolExecutor(50) as threads:
        answers = set(threads.map(tell, range(50)))
    assert len(answers) == 1
    assert next(iter(answers))[0] == 201
    assert len(api.rows(tables.event)) == 1


def test_many_at_once_are_all_recorded(api: Running) -> None:
    def tell(number: int) -> int:
        return api.ask("POST", "/events", {**ORDER, "id": f"n-{number % 60}"}).status

    with ThreadPoolExecutor(20) as threads:
        statuses = list(threads.map(tell, range(120)))
    assert (statuses.count(201), statuses.count(200)) == (60, 60)
    assert len(api.rows(tables.event)) == 60


def test_the_first_answer_is_given_again_after_a_restart(api: Running) -> None:
    """Fault F06: it is kept in the database, not in the process."""
    first = api.ask("POST", "/events", ORDER, headers={"Idempotency-Key": "one"})
    with serve(api.database, api.keyring) as restarted:
        again = restarted.ask("POST", "/events", ORDER, secret=api.secret, headers={"Idempotency-Key": "one"})
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert len(api.rows(tables.event)) == 1


def test_another_body_under_the_key_is_refused(api: Running) -> None:
    """Fault F07: 422, and nothing happens."""
    api.ask("POST", "/events", ORDER, headers={"Idempotency-Key": "one"})
    before = api.everything()
    answer = api.ask("POST", "/events", {**ORDER, "customer": "C-2"}, headers={"Idempotency-Key": "one"})
    assert (answer.status, answer.body["code"]) == (422, "api.idempotency_body")
    assert api.everything() == before


def test_a_key_of_seven_days_ago_is_forgotten(api: Running) -> None:
    api.ask("POST", "/events", ORDER, headers={"Idempotency-Key": "one"})
    api.clock[0] = NOW + timedelta(days=7)
    answer = api.ask("POST", "/events", {**ORDER, "customer": "C-2"}, headers={"Idempotency-Key": "one"})
    assert (answer.status, answer.body["customer"]) == (201, "C-2")
    assert len(api.rows(tables.api_request)) == 1


def test_another_callers_answer_is_never_shown(api: Running) -> None:
    """Fault F82: an Idempotency-Key belongs to the key of the API it came with."""
    api.ask("POST", "/events", ORDER, headers={"Idempotency-Key": "one"})
    other = api.key(Scope.EVENTS_WRITE, name="another")
    answer = api.ask("POST", "/events", {**ORDER, "customer": "C-2"}, secret=other, headers={"Idempotency-Key": "one"})
    assert (answer.status, answer.body["customer"]) == (201, "C-2")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "order.lost"}, "event.name"),
        ({"name": "message.replied", "data": {}}, "event.name"),  # nobody forges what the product records
        ({"data": {}}, "event.data"),
        ({"data": {"order_id": 7}}, "event.data"),
        ({"data": {"order_id": "A1", "weight": 3}}, "event.data"),
    ],
)
def test_an_event_that_the_schema_does_not_know_is_refused(api: Running, change: dict[str, Any], code: str) -> None:
    answer = api.ask("POST", "/events", ORDER | change)
    assert (answer.status, answer.body["code"]) == (422, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["type"] == f"urn:outbound:problem:{code}"
    assert answer.body["remedy"]
    assert api.rows(tables.event) == []


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"customer": 7}, "body.customer"),
        ({"customer": "C\x001"}, "body.customer"),
        ({"at": "2026-11-24T08:00:00"}, "body.at"),
        ({"at": 1764000000}, "body.at"),
        ({"when": "now"}, "body.when"),
        ({"data": {"order_id": ["A1"]}}, "body.data"),
        ({"data": {"order_id": "\ud800"}}, "body.data"),
    ],
)
def test_a_body_is_taken_strictly_and_its_faults_are_named(api: Running, change: dict[str, Any], place: str) -> None:
    answer = api.ask("POST", "/events", ORDER | change)
    assert (answer.status, answer.body["code"]) == (422, "api.request")
    assert any(one["at"].startswith(place) for one in answer.body["errors"]), answer.body
    assert api.rows(tables.event) == []


@pytest.mark.parametrize("body", [b"{", b"", b"[" * 100_000, b"\xff\xfe", b'{"name": NaN}', b"1" * 6_000])
def test_what_is_no_json_is_refused(api: Running, body: bytes) -> None:
    """Fault F64: deep or broken, never a 500."""
    answer = api.ask("POST", "/events", body)
    assert answer.status in {400, 422}
    assert answer.body["remedy"]


def lines(*events: object) -> bytes:
    return b"\n".join(one if isinstance(one, bytes) else json.dumps(one).encode() for one in events)


NDJSON = {"Content-Type": "application/x-ndjson"}


def test_bulk_takes_the_good_lines_and_reports_the_others(api: Running) -> None:
    good = [{**ORDER, "id": f"n-{number}"} for number in range(2_500)]
    bad = [b"{", {**ORDER, "name": "order.lost"}, {**ORDER, "customer": 1}, b" ", b'{"a": "' + b"x" * 70_000 + b'"}']
    answer = api.ask("POST", "/events/bulk", lines(*good[:1_200], *bad, *good[1_200:], good[0]), headers=NDJSON)
    assert answer.status == 200
    report = answer.body
    assert (report["lines"], report["new"], report["known"], report["refused"]) == (2_505, 2_500, 1, 4)
    assert [(one["line"], one["code"]) for one in report["refusals"]] == [
        (1_201, "event.line"),
        (1_202, "event.name"),
        (1_203, "event.line"),
        (1_205, "event.line"),
    ]
    assert len(api.rows(tables.event)) == 2_500


def test_bulk_without_ids_can_be_sent_again_under_a_key(api: Running) -> None:
    """Fault F06."""
    body = lines(ORDER, ORDER, {**ORDER, "customer": "C-2"})
    first = api.ask("POST", "/events/bulk", body, headers={**NDJSON, "Idempotency-Key": "night 1"})
    again = api.ask("POST", "/events/bulk", body, headers={**NDJSON, "Idempotency-Key": "night 1"})
    assert first.body == again.body
    assert (first.body["new"], len(api.rows(tables.event))) == (3, 3)
    other = api.ask("POST", "/events/bulk", lines(ORDER), headers={**NDJSON, "Idempotency-Key": "night 1"})
    assert (other.status, len(api.rows(tables.event))) == (422, 3)


def test_bulk_wants_lines(api: Running) -> None:
    answer = api.ask("POST", "/events/bulk", lines(ORDER))
    assert (answer.status, answer.body["code"]) == (415, "api.media")
