"""What Alembic runs: the migrations on the connection that ``migrate`` hands over."""

from alembic import context

from outbound.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transaction_per_migration=False,
)
context.run_migrations()
