"""``outbound api-schema``: the OpenAPI document of the API."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(name="api-schema")
    def api_schema(
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON, as it always does.")] = True,  # noqa: ARG001
    ) -> None:
        """Print the OpenAPI document of the API. As /api/v1/openapi.json serves it."""
        from outbound.interfaces.cli.output import print_json
        from outbound.interfaces.http.api.application import describe, document

        print_json(document(describe(None)))
