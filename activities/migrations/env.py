"""Runs the revisions over the connection that `activities.backend_schema` gives."""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table_schema="backend")
with context.begin_transaction():
    context.run_migrations()
