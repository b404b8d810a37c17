"""The schema of the embedded licensing backend, as Alembic revisions."""
