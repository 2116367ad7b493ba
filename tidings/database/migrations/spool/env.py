"""Alembic's entry: runs the migrations on the connection that `tidings.database.migrate` hands over."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table=context.config.attributes["version_table"],
    target_metadata=context.config.attributes.get("metadata"),
    render_as_batch=False,
)
with context.begin_transaction():
    context.run_migrations()
