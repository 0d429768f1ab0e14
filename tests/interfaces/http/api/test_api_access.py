"""Who may do what over HTTP, and how much of it."""

from datetime import timedelta

import pytest
from api_kit import NOW, Running, serve

from outbound.domain.access import Scope
from outbound.domain.errors import OutboundError
from outbound.domain.keyring import Keyring
from outbound.interfaces.http.api.context import Limits
from outbound.services import api_keys
from outbound.storage import tables
from outbound.storage.database import Database

ORDER = {"name": "order.placed", "customer": "C-1", "data": {"order_id": "A1"}}


@pytest.mark.parametrize("secret", ["", "nonsense", "obk_000000000000_" + "A" * 43, "obk__", "obk_\u00e9"])
def test_without_a_valid_key_nothing_is_answered(api: Running, secret: str) -> None:
    headers = {"Authorization": f"Bearer {secret}".encode().decode("latin-1")} if secret else {}
    answer = api.ask("POST", "/events", ORDER, secret="", headers=headers)
    assert (answer.status, answer.body["code"]) == (401, "api.key")
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert api.rows(tables.event) == []


def test_a_key_with_one_letter_changed_is_no_key(api: Running) -> None:
    for place in (5, -1):
        letters = list(api.secret)
        letters[place] = "a" if letters[place] != "a" else "b"
        assert api.ask("POST", "/events", ORDER, secret="".join(letters)).status == 401


def test_a_key_does_what_its_scopes_say_and_nothing_else(api: Running) -> None:
    """Fault F82: of all scopes only the one that a route needs opens it."""
    needed = {("POST", "/events"): Scope.EVENTS_WRITE, ("POST", "/triggers/notice"): Scope.TRIGGERS_WRITE}
    for (method, path), scope in needed.items():
        others = api.key(*(one for one in Scope if one is not scope))
        answer = api.ask(method, path, ORDER if path == "/events" else TRIGGER, secret=others)
        assert (answer.status, answer.body["code"]) == (403, "api.scope"), path
        assert str(scope) in answer.body["remedy"]
    assert api.rows(tables.event) == []
    assert api.rows(tables.message) == []


TRIGGER = {"key": "k", "customers": ["C-1"], "data": {"what": "x"}}


def test_a_revoked_or_expired_key_opens_nothing(api: Running) -> None:
    revoked = api.key(Scope.EVENTS_WRITE)
    prefix = revoked.split("_")[1]
    assert api.ask("POST", "/events", ORDER, secret=revoked).status == 201
    assert api_keys.revoke(api.database, prefix, by="mia", note="lost", now=NOW)
    assert not api_keys.revoke(api.database, prefix, by="mia", note="", now=NOW)
    api.forget()  # or a second passes
    assert api.ask("POST", "/events", ORDER, secret=revoked).status == 401
    short = api.key(Scope.EVENTS_WRITE, expires_at=NOW + timedelta(hours=1))
    assert api.ask("POST", "/events", ORDER, secret=short).status == 201
    api.clock[0] = NOW + timedelta(hours=1)
    assert api.ask("POST", "/events", ORDER, secret=short).status == 401


def test_a_key_of_another_installation_opens_nothing(api: Running) -> None:
    """Fault F82."""
    other = Database("sqlite://")
    tables.metadata.create_all(other.engine)
    _, secret = api_keys.create(other, name="x", scopes=("events:write",), expires_at=None, by="test", now=NOW)
    other.close()
    assert api.ask("POST", "/events", ORDER, secret=secret).status == 401


def test_the_record_keeps_no_secret_and_who_made_and_ended_a_key(api: Running) -> None:
    secret = api.key(Scope.EVENTS_WRITE, name="till 4")
    api_keys.revoke(api.database, secret.split("_")[1], by="mia", note="lost", now=NOW)
    text = str(api.everything()) + str(api.rows(tables.api_key))
    assert secret.rsplit("_", 1)[-1] not in text
    kinds = [(row["kind"], row["by"]) for row in api.rows(tables.operation) if "till 4" in row["subject"]]
    assert kinds == [("apikey.create", "test"), ("apikey.revoke", "mia")]


def test_the_day_of_the_last_use_is_kept(api: Running) -> None:
    secret = api.key(Scope.EVENTS_WRITE)
    api.ask("POST", "/events", ORDER, secret=secret)
    used = {row["prefix"]: row["last_used"] for row in api.rows(tables.api_key)}
    assert used[secret.split("_")[1]] == NOW.date()


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"scopes": ()}, "apikey.scope"),
        ({"scopes": ("events:read",)}, "apikey.scope"),
        ({"name": " "}, "apikey.name"),
        ({"expires_at": NOW}, "apikey.expires"),
    ],
)
def test_a_key_that_makes_no_sense_is_not_made(database: Database, values: dict[str, object], code: str) -> None:
    given = {"name": "x", "scopes": ("events:write",), "expires_at": None, "by": "test", "now": NOW} | values
    with pytest.raises(OutboundError) as error:
        api_keys.create(database, **given)  # type: ignore[arg-type]
    assert error.value.code == code


def test_a_key_that_asks_too_often_is_told_to_wait(database: Database, keyring: Keyring) -> None:
    with serve(database, keyring, limits=Limits(rate=2)) as api:
        answers = [api.ask("POST", "/events", ORDER) for _ in range(8)]
    refused = [one for one in answers if one.status == 429]
    assert refused
    assert refused[0].body["code"] == "api.rate"
    assert refused[0].headers["retry-after"] == "1"


def test_a_body_that_is_too_long_is_refused_before_it_is_read(api: Running) -> None:
    """Fault F64."""
    answer = api.ask("POST", "/events", b" " * (257 * 1024))
    assert (answer.status, answer.body["code"]) == (413, "api.body")
    chunked = api.ask("POST", "/events", iter([b" " * 1024] * 300))  # without a length
    assert (chunked.status, chunked.body["code"]) == (413, "api.body")
    squeezed = api.ask("POST", "/events", b"x", headers={"Content-Encoding": "gzip"})
    assert (squeezed.status, squeezed.body["code"]) == (415, "api.media")


def test_an_address_that_is_none_and_a_method_that_is_none_are_problems_too(api: Running) -> None:
    assert api.ask("GET", "/nothing").body["code"] == "api.address"
    answer = api.ask("DELETE", "/events")
    assert (answer.status, answer.body["code"], answer.headers["allow"]) == (405, "api.method", "POST")
