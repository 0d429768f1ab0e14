"""Is this message really from us? The page and the command say when and what about, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from site_kit import NOW, Running, add_customer, add_message, publish, serve

from outbound.domain.keyring import Keyring
from outbound.domain.verification import code_of, read_code, written
from outbound.services import releases, verification
from outbound.storage import tables
from outbound.storage.database import Database


@pytest.fixture
def shop(database: Database, keyring: Keyring) -> Iterator[Running]:
    publish(database)
    add_customer(database)
    with serve(database, keyring) as running:
        yield running


def test_a_code_is_read_however_it_is_written() -> None:
    code = code_of("01a20cad174073828293d1ba4e2ac211")
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{12}", code)
    shown = written(code)
    assert re.fullmatch(r"(\w{4}-){2}\w{4}", shown)
    for typed in (shown, shown.lower(), f" {code} ", shown.replace("-", " "), shown.replace("-", "\u2013")):
        assert read_code(typed) == code
    assert read_code("OIL0-0000-0000") == "011000000000"
    for wrong in ("", "abc", "U" * 12, "0" * 13, "0" * 1000, "é" * 12):
        assert read_code(wrong) == ""


def test_codes_differ() -> None:
    assert len({code_of(f"{number:032x}") for number in range(50_000)}) == 50_000


def test_a_message_of_ours_is_known_by_topic_and_day_alone(shop: Running) -> None:
    message_id = add_message(shop.database, topic="newsletter", sent_at=NOW)
    status, _, html = shop.ask("GET", f"/v/{written(code_of(message_id))}?lang=en")
    assert status == 200
    assert "Yes, this message is ours." in html
    assert "24 November 2026" in html
    assert "The monthly letter" in html
    for secret in ("c-1", message_id, "giulia", "a-rule"):
        assert secret not in html


def test_a_message_that_never_left_is_not_ours(shop: Running) -> None:
    message_id = add_message(shop.database, topic="newsletter", sent_at=None)
    assert "No message of ours" in shop.ask("GET", f"/v/{code_of(message_id)}?lang=en")[2]


def test_unknown_codes_get_the_same_answer_and_the_same_work(shop: Running) -> None:
    """Fault F83: status, headers and shape are equal, and so are the questions to the database."""
    known = code_of(add_message(shop.database, topic="newsletter", sent_at=NOW))
    asked: list[int] = []
    count = [0]

    def counted(*_: object) -> None:
        count[0] += 1

    sa.event.listen(shop.database.engine, "before_cursor_execute", counted)
    shapes = []
    shop.ask("GET", "/v?code=0")  # the release is read once
    for code in (known, "0000-0000-0000", "nonsense"):
        count[0] = 0
        status, headers, html = shop.ask("GET", f"/v/{code}?lang=en")
        asked.append(count[0])
        varying = {"content-length", "date", "content-security-policy"}
        shapes.append((status, sorted(headers.items() - {(k, headers[k]) for k in varying}), html.count("<p")))
    assert len(set(asked)) == 1
    assert shapes[0][:2] == shapes[1][:2] == shapes[2][:2]
    assert shapes[0][2] == shapes[1][2] == shapes[2][2]


def test_codes_cannot_be_tried_out(shop: Running) -> None:
    answers = [shop.ask("GET", f"/v/{number:012d}")[0] for number in range(32)]
    assert answers[0] == 200
    assert answers[-1] == 429


def test_what_was_typed_is_only_ever_text(shop: Running) -> None:
    """A stranger can write into this page of ours: it stays text."""
    html = shop.ask("GET", "/v?code=%22%3E%3Cscript%3Ealert(1)%3C/script%3E")[2]
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_the_service_answers_without_a_release(database: Database) -> None:
    message_id = add_message(database, topic="gone", sent_at=NOW)
    found = verification.verify(database, releases.active(database), code_of(message_id))
    assert found is not None
    assert (found.topic, found.titles) == ("gone", {})


def test_the_way_to_a_code_is_an_index(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.db'}")
    tables.metadata.create_all(database.engine)
    with database.read() as connection:
        query = "EXPLAIN QUERY PLAN SELECT topic FROM message WHERE verify_code = 'X' AND sent_at IS NOT NULL"
        plan = str(connection.exec_driver_sql(query).all())
    database.close()
    assert "ix_message_verify" in plan
