"""Starting a rule over HTTP is what ``outbound send`` does."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from api_kit import NOW, Running

from outbound.services import idempotency
from outbound.storage import api_requests, tables
from outbound.storage.api_requests import Request

TRIGGER = {"key": "recall-1", "customers": ["C-1", "C-2", "C-9"], "data": {"what": "the jars"}}


def test_a_trigger_makes_the_messages_and_says_so(api: Running) -> None:
    answer = api.ask("POST", "/triggers/notice", TRIGGER)
    assert answer.status == 202
    told = answer.body
    assert (told["new"], told["already"], told["unknown"]) == (2, 0, ["C-9"])
    assert told["channels"] == {"email": 2}
    assert {row["customer_id"] for row in api.rows(tables.message)} == {"C-1", "C-2"}
    assert {row["run_id"] for row in api.rows(tables.message)} == {told["run"]}
    assert api.rows(tables.send_request)[0]["by"] == "api key everything"


def test_a_dry_run_keeps_nothing(api: Running) -> None:
    before = api.everything()
    answer = api.ask("POST", "/triggers/notice", {**TRIGGER, "dry_run": True})
    assert (answer.status, answer.body["new"], answer.body["run"]) == (200, 2, None)
    assert api.everything() == before


def test_the_same_occasion_reaches_nobody_twice(api: Running) -> None:
    """Fault F06: at once, and again."""
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: api.ask("POST", "/triggers/notice", TRIGGER), range(8)))
    assert {one.status for one in answers} == {202}
    assert sum(one.body["new"] for one in answers) == 2
    assert len(api.rows(tables.message)) == 2


def test_with_a_key_the_first_answer_is_given_again(api: Running) -> None:
    """Fault F06."""
    headers = {"Idempotency-Key": "t-1"}
    first = api.ask("POST", "/triggers/notice", TRIGGER, headers=headers)
    again = api.ask("POST", "/triggers/notice", TRIGGER, headers=headers)
    assert again.body == first.body
    assert again.headers["idempotent-replayed"] == "true"
    other = api.ask("POST", "/triggers/letter", {**TRIGGER, "data": {}}, headers=headers)
    assert (other.status, other.body["code"]) == (422, "api.idempotency_body")
    assert len(api.rows(tables.message)) == 2


def test_while_the_first_one_runs_the_second_is_told_to_wait(api: Running) -> None:
    """Delivery 2.8: 409; and where its process died, the next one takes over after a minute."""
    headers = {"Idempotency-Key": "t-1"}
    api.ask("POST", "/triggers/notice", TRIGGER, headers=headers)
    (row,) = api.rows(tables.api_request)
    with api.database.write() as connection:  # as if the first one had not come to its end
        connection.execute(tables.api_request.update().values(status=None, answer=None))
    answer = api.ask("POST", "/triggers/notice", TRIGGER, headers=headers)
    assert (answer.status, answer.body["code"]) == (409, "api.idempotency_running")
    assert answer.headers["retry-after"] == "1"
    api.clock[0] = NOW + timedelta(minutes=1)
    answer = api.ask("POST", "/triggers/notice", TRIGGER, headers=headers)
    assert (answer.status, answer.body["new"], answer.body["already"]) == (202, 0, 2)
    assert len(api.rows(tables.message)) == 2
    assert row["idempotency_key"] == "t-1"


def test_what_was_refused_is_not_kept(api: Running) -> None:
    headers = {"Idempotency-Key": "t-1"}
    wrong = api.ask("POST", "/triggers/notice", {**TRIGGER, "data": {}}, headers=headers)
    assert (wrong.status, wrong.body["code"]) == (422, "send.argument")
    assert api.rows(tables.api_request) == []
    assert api.ask("POST", "/triggers/notice", TRIGGER, headers=headers).status == 202


def test_refusals_name_their_code(api: Running) -> None:
    """Invariant I8: a refused request leaves no message."""
    api.ask("POST", "/triggers/notice", TRIGGER)
    before = api.everything()
    other = api.ask("POST", "/triggers/notice", {**TRIGGER, "data": {"what": "the lids"}})
    assert (other.status, other.body["code"]) == (409, "send.arguments")
    more = api.ask("POST", "/triggers/notice", {**TRIGGER, "customers": ["C-1"]})
    assert (more.status, more.body["code"]) == (409, "send.recipients")
    assert api.ask("POST", "/triggers/receipt", TRIGGER).status == 404
    assert api.ask("POST", "/triggers/nothing", TRIGGER).body["code"] == "send.rule"
    assert api.everything() == before
    extended = api.ask("POST", "/triggers/notice", {**TRIGGER, "customers": ["C-1"], "extend": True})
    assert (extended.status, extended.body["already"]) == (202, 1)


def test_old_requests_are_deleted(api: Running) -> None:
    request = Request(api_key="k", route="POST /x", key="one", body_hash="h")
    with api.database.write() as connection:
        api_requests.claim(connection, [request], now=NOW)
    assert idempotency.forget_old(api.database, now=NOW + timedelta(days=6)) == 0
    assert idempotency.forget_old(api.database, now=NOW + timedelta(days=8)) == 1
