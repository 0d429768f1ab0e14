"""The API keeps to its own description: requests made from the OpenAPI document, valid and broken, by a fixed seed."""

import hypothesis
import pytest
import schemathesis
from api_kit import ALL, KEYRING, NOW, customer, publish
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from outbound.interfaces.http.api.application import create, describe, document
from outbound.interfaces.http.api.context import Api
from outbound.services import api_keys
from outbound.storage import tables
from outbound.storage.database import Database


@schemathesis.serializer("application/x-ndjson")
def _lines(_context: object, value: object) -> bytes:
    return str(value).encode(errors="replace")


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]
DOCUMENT = document(describe(None))
OPERATIONS = [(path, method) for path, operations in sorted(DOCUMENT["paths"].items()) for method in sorted(operations)]


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> tuple[Api, str]:
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('schema') / 'outbound.db'}", wait=10)
    tables.metadata.create_all(database.engine)
    publish(database)
    customer(database, "C-1")
    _, secret = api_keys.create(database, name="fuzz", scopes=ALL, expires_at=None, by="test", now=NOW)
    return Api(database, KEYRING, now=lambda: NOW), secret


@pytest.mark.parametrize(("path", "method"), OPERATIONS, ids=lambda value: str(value).removeprefix("/api/v1"))
def test_every_route_is_as_it_is_described(installation: tuple[Api, str], path: str, method: str) -> None:
    """Never a 5xx, never a status, a type or a body that the document does not name."""
    api, secret = installation
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.app = create(api)
    headers = {"Authorization": f"Bearer {secret}"}

    @settings(
        max_examples=12,
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=schema[path][method.upper()].as_strategy())
    def run(case: schemathesis.Case) -> None:
        case.call_and_validate(headers=headers, checks=CHECKS)

    run()


def test_the_document_is_complete() -> None:
    """Every operation, parameter and field says what it is."""
    for path, operations in DOCUMENT["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (path, method)
            assert "Scope: `" in operation["description"], (path, method)
            assert operation["tags"], (path, method)
            assert operation["security"] == [{"key": []}], (path, method)
            for parameter in operation.get("parameters", ()):
                assert parameter.get("description"), (path, method, parameter["name"])
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert schema.get("description"), name
