"""The revisions of the backend's schema."""

from pathlib import Path

from alembic.script import ScriptDirectory

FOLDER = Path(__file__).parents[2] / "activities" / "migrations"


def test_the_revisions_follow_each_other_in_one_line_by_the_numbers_of_their_files() -> None:
    numbers = [path.name[1:5] for path in sorted((FOLDER / "versions").glob("r*.py"))]
    script = ScriptDirectory(str(FOLDER))

    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]
    assert [one.revision for one in script.walk_revisions()] == numbers[::-1]
