"""Brings the backend's schema to the version that this code needs."""

from pathlib import Path

from psycopg.conninfo import make_conninfo

from events.postgres_sessions import open_blocking_session

LOCK = 7_215_901


def migrate(dsn: str, revision: str = "head") -> None:
    """Upgrade the schema `backend` in the database at `dsn`; processes that do so at once wait for each other."""
    from alembic import command  # here, because loading it takes a third of a second, and one process in ten needs it
    from alembic.config import Config
    from sqlalchemy import create_engine, text

    conninfo = make_conninfo(dsn)
    engine = create_engine("postgresql+psycopg://", creator=lambda: open_blocking_session(conninfo))
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with engine.begin() as connection:
        connection.execute(text(f"select pg_advisory_xact_lock({LOCK})"))
        connection.execute(text("create schema if not exists backend"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    engine.dispose()
