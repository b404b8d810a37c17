"""The revisions of the backend's schema are one chain."""

import re
from pathlib import Path

VERSIONS = Path(__file__).parents[2] / "activities" / "migrations" / "versions"


def test_each_revision_follows_the_one_before_and_is_named_by_its_number() -> None:
    texts = {path.name: path.read_text() for path in VERSIONS.glob("r*.py")}
    found = {name: re.findall(r'^(?:down_)?revision = "?(\w+)"?', text, re.MULTILINE) for name, text in texts.items()}

    expected = [[f"{number:04}", f"{number - 1:04}"] for number in range(2, len(texts) + 1)]
    assert [found[name] for name in sorted(found)] == [["0001", "None"], *expected]
    assert [name[1:5] for name in sorted(found)] == [numbers[0] for _, numbers in sorted(found.items())]
