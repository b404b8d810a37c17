"""A value that cannot be typed is told in one sentence, with those that can; no validator's words are heard."""

import pytest
from typer.testing import CliRunner

from events.terms import Status
from infra.main import app

VALID = {
    ("case", "list", "--status", "foo"): f'--status must be one of {", ".join(Status)}, and not "foo"',
    ("case", "list", "--status", "watchin"): (
        f'--status must be one of {", ".join(Status)}, and not "watchin"; did you mean watching?'
    ),
    ("simulate", "--cases", "0"): "--cases must be a whole number from 1 to 1,000,000, and not 0",
    ("simulate", "--cases", "many"): '--cases must be a whole number from 1 to 1,000,000, and not "many"',
    ("simulate", "--cases", "1.5"): "--cases must be a whole number from 1 to 1,000,000, and not 1.5",
    ("case", "list", "--limit", "1001"): "--limit must be a whole number from 1 to 1,000, and not 1001",
    ("report", "3-1", "--kind", "usb"): '--kind must be one of dongle, act, cloud, and not "usb"',
    ("case", "verdict", "c-1", "lost", "--by", "ann"): (
        'verdict must be one of found, damaged, used_after_loss, clone, fraud, and not "lost"'
    ),
    (
        "log",
        "set-aside",
        "x",
        "1",
        "--why",
        "w",
        "--by",
        "b",
    ): 'partition must be a whole number from 0 on, and not "x"',
    ("audit", "invariants", "--under-way", "-0.5"): "--under-way must be a number from 0 on, and not -0.5",
    ("report", "3-1", "--occurred", "yesterday"): (
        "yesterday is no time; write it such as 2026-11-20T18:00 or 2026-11-20"
    ),
    ("serve", "baker"): "there is no role baker; valid: worker, projector, inbox",
}


@pytest.mark.parametrize("words", VALID, ids=" ".join)
def test_a_value_that_cannot_be_is_told_with_those_that_can(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, words)

    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"{VALID[words]}\n")


def test_what_is_not_given_at_all_is_told_with_the_usage() -> None:
    done = CliRunner().invoke(app, ["case", "show"])

    assert (done.exit_code, "Usage: " in done.stderr, "Missing argument" in done.stderr) == (2, True, True)
