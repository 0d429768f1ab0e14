"""``outbound migrate``: bring the database to the schema this version needs."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def migrate(
        dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    ) -> None:
        """Create or update the tables of the database.

        All in one transaction: killed in the middle, nothing has changed.
        """
        from outbound.interfaces.cli.context import open_context
        from outbound.interfaces.cli.output import print_json
        from outbound.storage import schema
        from outbound.storage.database import Database

        with open_context() as context:
            database = Database(context.settings.database_url)
            try:
                version = schema.schema_version(database) if dry_run else schema.migrate(database)
            finally:
                database.close()
        if as_json:
            print_json({"before": version.have, "need": version.need, "pending": version.pending, "dry_run": dry_run})
        elif version.current:
            typer.echo(f"The database is at {version.need}: nothing to do.")
        else:
            verb = "would apply" if dry_run else "applied"
            typer.echo(f"{verb} {', '.join(version.pending)}")
