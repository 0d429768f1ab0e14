"""docs/api.md is followed with a real curl against a served API, and every scope is explained."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from api_kit import KEYRING, Running, Shared, publish, serve
from doc_pages import DOCS, table
from doc_session import Session

from outbound.domain.access import Scope
from outbound.storage import tables
from outbound.storage.database import Database
from outbound.storage.schema import REVISIONS

PAGE = DOCS / "api.md"
PUBLISHED_AT = "127.0.0.1:8025"


class Caller(Session):
    """Somebody with a terminal in the workspace of the shop. ``$KEY`` is the key that was made last."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, api: Running) -> None:
        super().__init__(folder, monkeypatch)
        self._environment = monkeypatch
        self._api = api
        Path("outbound.toml").write_text(f'[database]\nurl = "{api.database.url}"\n', encoding="utf-8")
        monkeypatch.setenv("OUTBOUND_SECRET_KEY", "k1:" + "5a" * 32)

    def run(self, line: str) -> str:
        answer = super().run(line.replace(PUBLISHED_AT, f"127.0.0.1:{self._api.port}"))
        if made := re.search(r"^obk_\S+$", answer, re.MULTILINE):
            self._environment.setenv("KEY", made[0])
            self._api.forget()
        return answer


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Running]:
    database = Database(f"sqlite:///{tmp_path / 'outbound.db'}")
    tables.metadata.create_all(database.engine)
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{REVISIONS[-1]}')")
    publish(database)
    with serve(database, KEYRING) as running:
        api = Shared(running).fresh()
        with database.write() as connection:
            connection.execute(tables.api_key.delete())
        yield api
    database.close()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_the_page_is_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shop: Running) -> None:
    assert Caller(tmp_path, monkeypatch, shop).follow(PAGE) > 5


def test_every_scope_is_explained() -> None:
    assert [row[0].strip("`") for row in table(PAGE, "Keys")] == [str(scope) for scope in Scope]
