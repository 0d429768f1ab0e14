"""Migrations build exactly the tables the program declares, once, all or nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from outbound.domain.errors import OutboundError
from outbound.storage import schema, tables
from outbound.storage.database import Database


@pytest.fixture
def empty(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    try:
        yield database
    finally:
        database.close()


def shape(database: Database) -> dict[str, object]:
    """Columns, keys and indexes of every table."""
    inspector = sa.inspect(database.engine)
    return {
        name: (
            sorted((c["name"], str(c["type"]), c["nullable"]) for c in inspector.get_columns(name)),
            inspector.get_pk_constraint(name)["constrained_columns"],
            sorted(tuple(u["column_names"]) for u in inspector.get_unique_constraints(name)),
        )
        for name in inspector.get_table_names()
        if name != "alembic_version" and not name.startswith("pgqueuer")
    }


def index_statements(database: Database) -> set[str]:
    """What the database itself says each index is: partial conditions and expressions included."""
    query = (
        "SELECT sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
        if database.is_sqlite
        else "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
        " AND tablename NOT LIKE 'pgqueuer%%'"
    )
    with database.read() as connection:
        return {" ".join(row[0].split()) for row in connection.exec_driver_sql(query)}


def test_migrations_and_declared_tables_are_the_same(empty: Database, database: Database) -> None:
    """``database`` shares the URL: what create_all made is compared, dropped, and made by migrations."""
    declared = shape(database), index_statements(database)
    tables.metadata.drop_all(database.engine)
    schema.migrate(empty)
    assert (shape(empty), index_statements(empty)) == declared


def test_the_list_of_revisions_is_the_folder_of_migrations() -> None:
    scripts = ScriptDirectory(str(Path(schema.__file__).parent / "migrations"))
    assert tuple(reversed([revision.revision for revision in scripts.walk_revisions()])) == schema.REVISIONS


def test_migrating_twice_does_nothing_the_second_time(empty: Database) -> None:
    first = schema.migrate(empty)
    assert first.have is None
    assert first.pending
    second = schema.migrate(empty)
    assert second.current
    assert second.pending == ()
    schema.require_current(empty)


def test_an_old_database_is_refused_with_the_remedy(empty: Database) -> None:
    with pytest.raises(OutboundError) as error:
        schema.require_current(empty)
    assert error.value.code == "schema.old"
    assert "outbound migrate" in error.value.remedy


def test_a_newer_database_is_refused(empty: Database) -> None:
    """Fault F42: an old program does not start on a newer schema."""
    schema.migrate(empty)
    with empty.write() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(OutboundError) as error:
        schema.require_current(empty)
    assert error.value.code == "schema.newer"


def test_an_interrupted_migration_leaves_nothing(empty: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault F42: the whole way is one transaction."""

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("alembic.runtime.migration.MigrationContext._ensure_version_table", lambda _: None)
    monkeypatch.setattr("alembic.runtime.migration.HeadMaintainer.update_to_step", fail)
    with pytest.raises(KeyboardInterrupt):
        schema.migrate(empty)
    assert shape(empty) == {}
