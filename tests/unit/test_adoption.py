"""What holds for a policy while it is adopted, and not for one that is stored."""

import json
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import pytest
from annotated_types import BaseMetadata
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from events.adoption import ADOPTING
from workflows.policy import Policy, Quota, UnreadablePolicyError, canonical, read_policy

POLICIES = Path(__file__).parent / "policies"
"""A stored version of a policy of each release, with every setting that it knew."""


STORED: Any = {
    "policy_version": 3,
    "supervisors": [f"s-{number}" for number in range(1001)],
    "rules": [
        {"mode": "hybrid", "watch_days": 40_000, "stop_gap_days": 0, "products": ["cad"] * 1001},
        {"mode": "manual", "quota": {"recoveries": -1, "term_days": 9999}, "limits": {"losses": {"more_than": 100}}},
        {"measures": [{"measure": "withdrawal", "delay_hours": 9000}] * 11, "approval": {"due_hours": 0}},
    ],
}
"""A version that could not be adopted now."""


def test_what_holds_for_a_policy_that_is_adopted_does_not_hold_for_one_that_is_stored() -> None:
    with pytest.raises(ValidationError) as refused:
        Policy.model_validate(STORED, context=ADOPTING)
    read = read_policy(STORED)

    assert {error["type"] for error in refused.value.errors()} >= {"too_long", "less_than_equal", "greater_than_equal"}
    assert (read.policy_version, read.rules[0].watch_days, read.rules[1].quota) == (
        *(3, 40_000),
        Quota(recoveries=-1, term_days=9999),
    )
    assert read_policy({"rules": []}).rules == ()


def settings(model: type[BaseModel]) -> Iterator[tuple[str, FieldInfo]]:
    """The fields of a model and of all that are in it, by their names."""
    for name, field in model.model_fields.items():
        yield name, field
        for inner in (field.annotation, *parts(field.annotation)):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from settings(inner)


def parts(annotation: Any) -> Iterator[Any]:
    for part in get_args(annotation):
        yield part
        yield from parts(part)


def names(value: Any) -> set[str]:
    """The names in a JSON value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {*(value if isinstance(value, dict) else ()), *(name for one in inner for name in names(one))}


def test_no_bound_of_a_policy_holds_for_reading_it() -> None:
    """Bounds of `Field` hold for every reading; those of names are the names' own."""
    for name, field in settings(Policy):
        bounds = [
            one for one in (*field.metadata, *parts(field.annotation)) if isinstance(one, BaseMetadata | FieldInfo)
        ]
        assert not bounds, name


def test_a_policy_with_a_word_that_this_release_does_not_know_cannot_be_read_and_says_where() -> None:
    with pytest.raises(UnreadablePolicyError, match=r"version 4 .* \(rules\.0\.mode: .*; run a release that knows it"):
        read_policy({"policy_version": 4, "rules": [{"mode": "telepathic"}]})
    with pytest.raises(UnreadablePolicyError, match=r"rules\.0\.moon"):
        read_policy({"policy_version": 4, "rules": [{"moon": "full"}]})


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.json")), ids=lambda path: path.stem)
def test_a_policy_that_was_stored_by_a_release_is_read_for_ever(path: Path) -> None:
    stored = json.loads(path.read_text())

    assert canonical(read_policy(stored)) == {name: value for name, value in stored.items() if name != "policy_version"}


def test_the_stored_policy_of_this_release_gives_every_setting() -> None:
    stored = json.loads((POLICIES / f"{version('lostfound')}.json").read_text())

    assert names(stored) == {name for name, _ in settings(Policy)}
