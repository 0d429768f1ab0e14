"""A small shop to import into: a schema, and one call that imports text as a mapping says."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from outbound.domain.condition import ValueType
from outbound.domain.keyring import Keyring
from outbound.domain.person import Person
from outbound.domain.rule import Field, Schema
from outbound.services.imports.customers import Options, import_customers
from outbound.services.imports.events import import_events
from outbound.services.imports.mapping import CustomerMapping, EventMapping
from outbound.services.imports.mapping_check import check_mapping
from outbound.services.imports.mapping_reader import read_mapping
from outbound.services.imports.report import ImportReport
from outbound.storage import people
from outbound.storage.database import Database

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)

SCHEMA = Schema(
    customer={
        "id": Field(type=ValueType.STRING, required=True),
        "email": Field(type=ValueType.STRING),
        "phone": Field(type=ValueType.STRING),
        "country": Field(type=ValueType.STRING),
        "language": Field(type=ValueType.STRING),
        "timezone": Field(type=ValueType.STRING),
        "first_name": Field(type=ValueType.STRING),
        "plan": Field(type=ValueType.ENUM, values=("free", "pro")),
        "spent": Field(type=ValueType.NUMBER),
        "is_adult": Field(type=ValueType.BOOL),
        "birth_date": Field(type=ValueType.DATE),
    },
    events={
        "order.placed": {
            "order_id": Field(type=ValueType.STRING, required=True),
            "total": Field(type=ValueType.NUMBER, required=True),
            "note": Field(type=ValueType.STRING),
        }
    },
)

FIELDS = "import: customers\nkey: id\nfields:\n  "


class Shop:
    """The database, and imports into it."""

    def __init__(self, database: Database, keyring: Keyring, folder: Path) -> None:
        self.database = database
        self.keyring = keyring
        self.folder = folder

    def mapping(self, text: str) -> CustomerMapping | EventMapping:
        found, problems = read_mapping("map.yaml", text.encode())
        assert not problems, [p.render() for p in problems]
        assert found is not None
        assert not check_mapping(found, SCHEMA, ("newsletter", "offers"))
        return found

    def customers(self, mapping: str, content: str | bytes, now: datetime = NOW, **options: Any) -> ImportReport:
        """Import ``content`` as a file ``people.csv``."""
        file = self.folder / "people.csv"
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        found = self.mapping(mapping)
        assert isinstance(found, CustomerMapping)
        return import_customers(
            self.database,
            self.keyring,
            file=file,
            mapping=found,
            schema=SCHEMA,
            now=now,
            options=Options(**options),
        )

    def events(
        self, mapping: str, content: str, now: datetime = NOW, *, fire: bool = False, **options: Any
    ) -> ImportReport:
        """Import ``content`` as a file ``orders.csv``."""
        file = self.folder / "orders.csv"
        file.write_text(content, encoding="utf-8")
        found = self.mapping(mapping)
        assert isinstance(found, EventMapping)
        return import_events(
            self.database, file=file, mapping=found, schema=SCHEMA, now=now, fire=fire, options=Options(**options)
        )

    def person(self, identity: str) -> Person:
        with self.database.read() as connection:
            return people.load_people(connection, [identity])[identity]

    def everyone(self, *ids: str) -> dict[str, Person]:
        with self.database.read() as connection:
            return people.load_people(connection, ids)
