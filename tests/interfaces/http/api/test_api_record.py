"""What became of it, over HTTP: messages, timeline, notes, runs."""

from datetime import timedelta
from typing import Any

import pytest
from api_kit import NOW, Running

from outbound.domain.interaction import InteractionKind
from outbound.services import notes, planning, releases
from outbound.storage import tables

TRIGGER = {"key": "recall-1", "customers": ["C-1", "C-2"], "data": {"what": "the jars"}}


def pages(api: Running, path: str, name: str) -> list[Any]:
    """All entries of a listing, two at a time."""
    found: list[Any] = []
    cursor = ""
    for _ in range(20):
        page = api.ask("GET", f"{path}{'&' if '?' in path else '?'}limit=2{f'&cursor={cursor}' if cursor else ''}").body
        found += page[name]
        cursor = page["next"]
        if cursor is None:
            break
    return found


def test_messages_say_what_became_of_them(api: Running) -> None:
    for number in range(5):
        api.clock[0] = NOW + timedelta(minutes=number)
        api.ask("POST", "/triggers/notice", {**TRIGGER, "key": f"k-{number}"})
    listed = pages(api, "/customers/C-1/messages", "messages")
    assert [one["created_at"] for one in listed] == sorted((one["created_at"] for one in listed), reverse=True)
    assert len({one["id"] for one in listed}) == 5
    one = api.ask("GET", f"/messages/{listed[0]['id']}").body
    assert one == listed[0]
    assert (one["customer"], one["rule"], one["topic"], one["state"]) == ("C-1", "notice", "notices", "ready")
    assert "example.org" not in str(listed)
    assert api.ask("GET", "/messages/none").status == 404


def test_runs_balance(api: Running) -> None:
    for number in range(3):
        api.ask("POST", "/triggers/notice", {**TRIGGER, "key": f"k-{number}"})
    listed = pages(api, "/runs", "runs")
    assert {one["slot"] for one in listed} == {"k-0", "k-1", "k-2"}
    one = api.ask("GET", f"/runs/{listed[0]['id']}").body
    assert (one["candidates"], one["messages"], one["skipped"], one["holds"]) == (2, 2, 0, True)
    assert one["planned_cost"] == ["EUR 0.0008"]
    assert pages(api, "/runs?rule=letter", "runs") == []
    assert api.ask("GET", "/runs/none").body["code"] == "run.unknown"


NOTE = {"kind": "call", "text": "Where is my parcel?\nIt should be here."}


def test_a_note_stands_on_the_timeline_under_the_message_it_answers(api: Running) -> None:
    api.ask("POST", "/triggers/notice", TRIGGER)
    message = api.ask("GET", "/customers/C-1/messages").body["messages"][0]["id"]
    api.clock[0] = NOW + timedelta(hours=1)
    noted = api.ask("POST", "/customers/C-1/interactions", {**NOTE, "about": message, "by": "Mia"})
    assert noted.status == 201
    assert (noted.body["about"], noted.body["by"], noted.body["source"]) == (message, "Mia", "api key everything")
    entries = pages(api, "/customers/C-1/timeline", "entries")
    assert [one["kind"] for one in entries if one["kind"] != "event"] == ["interaction", "message"]
    contact = next(one for one in entries if one["kind"] == "interaction")
    assert contact["details"]["message"] == message
    assert contact["details"]["text"] == NOTE["text"]
    assert [one["id"] for one in pages(api, "/customers/C-1/interactions", "interactions")] == [noted.body["id"]]


def test_nobody_threads_a_note_to_somebody_elses_message(api: Running) -> None:
    """Fault F82."""
    api.ask("POST", "/triggers/notice", TRIGGER)
    message = api.ask("GET", "/customers/C-2/messages").body["messages"][0]["id"]
    before = api.everything()
    answer = api.ask("POST", "/customers/C-1/interactions", {**NOTE, "about": message})
    assert (answer.status, answer.body["code"]) == (422, "interaction.message")
    assert api.everything() == before


def test_the_same_note_again_is_one(api: Running) -> None:
    first = api.ask("POST", "/customers/C-1/interactions", {**NOTE, "id": "till-7"})
    again = api.ask("POST", "/customers/C-1/interactions", {**NOTE, "id": "till-7"})
    assert (again.status, again.body["new"], again.body["id"]) == (200, False, first.body["id"])
    with_key = [
        api.ask("POST", "/customers/C-1/interactions", NOTE, headers={"Idempotency-Key": "n"}).body["id"]
        for _ in range(2)
    ]
    assert len(set(with_key)) == 1
    assert len(api.rows(tables.interaction)) == 2
    assert len(api.rows(tables.event)) == 2


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"text": " \n"}, "interaction.text"),
        ({"text": ""}, "api.request"),
        ({"kind": "reply"}, "api.request"),
        ({"at": (NOW + timedelta(days=1)).isoformat()}, "interaction.at"),
    ],
)
def test_a_note_that_says_nothing_is_refused(api: Running, change: dict[str, Any], code: str) -> None:
    answer = api.ask("POST", "/customers/C-1/interactions", NOTE | change)
    assert (answer.status, answer.body["code"]) == (422, code)
    assert api.rows(tables.interaction) == []


WAKES = """
rule: after-a-visit
owner: ops@shop.example
topic: orders
when: {event: interaction.noted, if: "event.kind == 'visit'"}
once: "{event.id}"
expires: 48h
send: {template: letter, channels: [email]}
"""


def test_a_rule_may_listen_to_notes(api: Running) -> None:
    """A note of a visit makes the message that the rule says, once; a call does not."""
    from trial_shop import FILES

    files = {name: text.encode() for name, text in FILES.items() if not name.startswith("mapping")}
    files["rules/visits.yaml"] = WAKES.encode()
    published = releases.publish(api.database, files, by="test", now=NOW)
    assert isinstance(published, releases.Published), published
    for kind in (InteractionKind.CALL, InteractionKind.VISIT):
        notes.note(api.database, customer_id="C-1", kind=kind, text="Hello", by="Mia", source="test", now=NOW + _SECOND)
    active = releases.running(api.database)
    planning.plan_due(api.database, active, now=NOW + 2 * _SECOND, keyring=api.keyring)
    planning.plan_due(api.database, active, now=NOW + 3 * _SECOND, keyring=api.keyring)
    assert [row["rule"] for row in api.rows(tables.message)] == ["after-a-visit"]


_SECOND = timedelta(seconds=1)
