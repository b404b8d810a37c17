"""The backend's migrations: one after the other, each under the number that its file has."""

from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import activities

MIGRATIONS = Path(activities.__file__).parent / "migrations"


def test_the_migrations_are_one_chain_in_the_order_of_their_files() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = ScriptDirectory.from_config(config)

    numbers = sorted(path.name[1:5] for path in (MIGRATIONS / "versions").glob("r[0-9]*.py"))

    assert [script.revision for script in scripts.walk_revisions()] == numbers[::-1]
    assert [script.down_revision for script in scripts.walk_revisions()] == [*numbers[-2::-1], None]
