"""What is typed for a vendor that there is not, or twice, or wrongly, is told at once and plainly."""

import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from events.terms import VendorId
from infra.main import app
from infra.settings import Settings

pytestmark = pytest.mark.integration

AT_ONCE_SECONDS = 5.0


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A good policy that nobody has yet."""
    file = tmp_path / "policy.yaml"
    file.write_text("supervisors: [ann]\nrules: [{mode: manual, watch_days: 77}]\n")
    return file


def typed(settings: Settings, *words: str, stdin: str = "") -> Result:
    """What a command answers; in a thread, because it has an event loop of its own."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(CliRunner().invoke, app, words, input=stdin, env=settings.environment()).result(90)


def commands(group: Any = None, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that can be typed."""
    group = group or get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        else:
            yield (*words, name), command


def arguments(command: Any, policy: Path) -> Iterator[str]:
    """A value for everything that a command must be given."""
    values = {
        "verdict": "found",
        "file": str(policy),
        "type_": "loss.reported",
        "factor": "board=b-77",
        "reason": "lost",
        "until": "2027-11-20",
    }
    for parameter in command.params:
        if parameter.required:
            if parameter.param_type_name == "option":
                yield parameter.opts[0]
            yield values.get(parameter.name, "3-1")


OF_A_VENDOR = {
    words: command
    for words, command in commands()
    if any(parameter.name == "vendor" and parameter.param_type_name == "option" for parameter in command.params)
}
MORE = {("trigger",): ("--send",), **{("case", name): ("--on", "1") for name in ("approve", "reject", "verdict")}}


@pytest.mark.parametrize("words", sorted(OF_A_VENDOR), ids=" ".join)
def test_every_command_says_at_once_that_a_vendor_is_unknown(
    settings: Settings, policy: Path, words: tuple[str, ...]
) -> None:
    given = (*words, *arguments(OF_A_VENDOR[words], policy), *MORE.get(words, ()), "--vendor", "nobody")

    begun = time.monotonic()
    done = typed(settings, *given, stdin="a long password\n")

    assert (done.exit_code, done.stdout) == (1, ""), done.stderr
    assert done.stderr.endswith("[unknown_vendor]\n")
    assert "vendor nobody" in done.stderr
    assert done.stderr.count("\n") == 1
    assert time.monotonic() - begun < AT_ONCE_SECONDS


def test_a_first_vendor_that_was_never_added_is_unknown_too(settings: Settings) -> None:
    done = typed(settings.model_copy(update={"vendor": "nobody"}), "case", "list")

    assert (done.exit_code, done.stderr.endswith("[unknown_vendor]\n")) == (1, True)


def test_a_vendor_is_added_again_with_its_policy_or_none_and_not_with_another(
    settings: Settings, vendor: VendorId, policy: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("supervisors: [bob]\n")
    first = typed(settings, "vendor", "add", vendor, "--policy", str(policy), "--json")
    assert json.loads(first.stdout)["added"] is True

    for words in ((), ("--policy", str(policy))):
        again = typed(settings, "vendor", "add", vendor, *words, "--json")
        assert (again.exit_code, json.loads(again.stdout)["added"]) == (0, False)
    refused = typed(settings, "vendor", "add", vendor, "--policy", str(other))

    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"vendor {vendor} is there already, and version 1 of its policy is in force, another one;"
        f" put this one in force with `lostfound policy adopt --vendor {vendor}` [vendor_exists]\n"
    )
    assert typed(settings, "policy", "adopt", str(other), "--vendor", vendor).exit_code == 0
    assert typed(settings, "vendor", "add", vendor, "--policy", str(other)).exit_code == 0
    assert typed(settings, "vendor", "add", vendor, "--policy", str(policy)).exit_code == 1


LISTS = {words: command for words, command in commands() if words[-1] == "list"} | {
    words: command for words, command in commands() if words in (("outbox", "retry"), ("blacklist", "show"))
}


@pytest.mark.parametrize("words", sorted(LISTS), ids=" ".join)
def test_every_list_is_a_json_array(settings: Settings, words: tuple[str, ...]) -> None:
    done = typed(settings, *words, "--json")

    assert done.exit_code == 0, done.stderr
    assert isinstance(json.loads(done.stdout), list)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("licence", "verify", "{missing}"), "{missing} cannot be read: there is no such file [unreadable_file]"),
        (("licence", "verify", "{folder}"), "{folder} cannot be read: it is a folder [unreadable_file]"),
        (("licence", "verify", "{binary}"), "{binary} cannot be read: it is not text in UTF-8 [unreadable_file]"),
        (
            ("licence", "verify", "{text}", "--jwks", "{text}"),
            "{text} cannot be read: it is not a JSON object [unreadable_file]",
        ),
        (
            ("licence", "verify", "{text}", "--jwks", "{object}"),
            "no key of this vendor signed this file as it is; ask the vendor for it again [bad_signature]",
        ),
        (
            ("vendor", "add", "A_B"),
            "A_B cannot name a vendor; use a name of 2 to 32 .* [invalid_data]",
        ),
        (
            ("case", "approve", "c-1", "--by", "ann", "--on", "1", "--condition", "x"),
            "a condition and the days to meet it go together: give both, or neither [invalid_data]",
        ),
        (
            ("case", "ask", "c-1", "a b", "--by", "ann", "--on", "1"),
            'item 1 of evidence must be a name of up to 80 .* and not "a b" [invalid_data]',
        ),
        (
            ("report", "3-1", "--kind", "dongle", "--reason", "lost", "--by", "Ann S."),
            '--by must be a name of .*, and not "Ann S." [invalid_data]',
        ),
        (
            ("report", "3-1", "--reason", "lost", "--occurred", "yesterday"),
            "yesterday is no time; write it such as 2026-11-20T18:00",
        ),
        (("case", "show", ""), 'no case "" is known; `lostfound case list` names those that there are [unknown_case]'),
        (("case", "show", "x" * 100_000), f'no case "{"x" * 39}… is known; `lostfound'),
        (("container", "show", "a b " * 9_000), '"a b a b .*… is known; check its serial'),
        (("report", "3-1"), "Missing option '--reason'"),
        (("report", "C-no", "--reason", "lost"), "no container C-no is known; check its serial"),
        (
            ("report", "C-1", "--kind", "cloud", "--reason", "lost"),
            "C-1 is of kind cloud, and the reason lost is not for that kind; valid: forgotten, stolen [invalid_loss]",
        ),
        (("found", "C-no"), "[unknown_container]"),
        (("returned", "C-no", "--role", "holder", "--by", "h-1"), "[role_missing]"),
        (
            ("outbox", "retry", "nope"),
            "no fact of the key nope is set aside; `lostfound status` names those that are [not_set_aside]",
        ),
        (
            ("log", "set-aside", "0", "0", "--why", " ", "--by", "ops"),
            "why must say how the record came there, as far as known [invalid_data]",
        ),
        (("inbox", "dead-letters", "list", "--code", "foo"), "there is no code 'foo'; .* [invalid_data]"),
        (("evidence", "R-none", "photo"), "no case of report R-none is known; report the loss first [no_case]"),
    ],
)
def test_what_is_typed_wrongly_is_told_plainly(
    settings: Settings, tmp_path: Path, words: tuple[str, ...], sentence: str
) -> None:
    files = {name: tmp_path / name for name in ("missing", "folder", "binary", "text", "object")}
    files["folder"].mkdir()
    files["binary"].write_bytes(b"\xff\xfe")
    files["text"].write_text("text")
    files["object"].write_text("{}")

    done = typed(settings, *(word.format(**files) for word in words))

    pattern = re.escape(sentence.format(**files)).replace(r"\.\*", ".*")
    assert done.exit_code in (1, 2)
    assert re.search(pattern, " ".join(re.sub("[│╭╮╰╯─]", " ", done.stderr).split())), done.stderr
