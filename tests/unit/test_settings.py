"""A setting that cannot be is told in a sentence that names it, what it is and what it takes, whatever it is."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activities.licensing.signing import SigningKeys
from events.errors import RefusalError
from events.terms import VendorId
from infra.main import main
from infra.problem import Problem
from infra.settings import NO_SETTINGS, PREFIX, ROOT, Settings, read_settings, valid

BAD = {
    "data_dir": ("~nobody-here/data", "/tmp/" + 256 * "n", "/tmp/\udcff"),
    "cache_dir": ("~nobody-here/cache",),
    "host": ("0.0.0.0", "::", "a b", "http://127.0.0.1", "127.0.0.1:9092", "-", "\udcff"),
    "open_to_network": ("perhaps", "2"),
    **dict.fromkeys(
        ("kafka_port", "kafka_controller_port", "temporal_port", "temporal_ui_port"),
        ("abc", "0", "-1", "65536", "9092.5", "1e400", "9" * 5000),
    ),
    "kafka_bootstrap": (
        "kafka",
        "kafka:",
        ":9092",
        "kafka:0",
        "kafka:65536",
        "one:1,two",
        "one:1,,two:2",
        "::1:9092",
        "u:secret@h:1",
    ),
    "temporal_address": ("temporal", "temporal:x", "http://temporal:7233", "one:1,two:2", "[x]:1", "u:secret@h:1"),
    "temporal_namespace": ("a b", "../x", "n" * 101, "-"),
    "task_queue": ("a/b", "\n"),
    "evidence_url": ("bucket", "s3://", "s3://B", "https://bucket", "s3://bucket/a b", "s3://key:secret@bucket"),
    "postgres_dsn": (
        "xx",
        "host=secret",
        "postgresql://u:secret@h/d?x",
        "mysql://u:secret@h/d",
        "postgresql://[secret",
    ),
    "log_partitions": ("0", "513", "six"),
    "replication_factor": ("0", "10", "none"),
    "projector": ("flink", "FAUST"),
    "hold_seconds": ("nan", "inf", "-inf", "-1", "86401", "soon"),
    "lease_sweep_seconds": ("nan", "inf", "0", "86401"),
    "status_base": (
        "ftp://x",
        "http://",
        "http://x:0",
        "http://x:y",
        "http://[",
        "http://x/ y",
        "http://" + 200 * "x",
        "https://u:secret@h",
    ),
    "vendor": ("A_B", "../x", "a", "a-", "1a", "a" * 33, "acme\n", "\udcff"),
}


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No setting but those that the test makes."""
    for name in os.environ:
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    return monkeypatch


def refused() -> list[str]:
    """The sentences with which the settings are refused."""
    with pytest.raises(Problem) as problem:
        read_settings()
    assert problem.value.exit_code == 2
    return problem.value.sentence.splitlines()


def test_every_setting_says_what_it_takes_and_is_tried_here() -> None:
    assert BAD.keys() == Settings.model_fields.keys()
    assert all(valid(name) for name in Settings.model_fields)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_a_setting_that_cannot_be_is_told_with_what_it_takes(
    name: str, value: str, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv(f"{PREFIX}{name.upper()}", value)

    (sentence,) = refused()

    assert sentence.startswith(f"{PREFIX}{name.upper()} ")
    assert sentence.endswith(f"; it takes {valid(name)}.")
    assert "secret" not in sentence
    assert (name == "postgres_dsn" or "@" in value) != (repr(value)[:70] in sentence)
    assert sentence.encode()


def test_each_setting_that_cannot_be_has_a_sentence_of_its_own(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("LOSTFOUND_KAFKA_PORT", "abc")
    variables.setenv("LOSTFOUND_VENDOR", "A_B")

    assert [sentence.split()[0] for sentence in refused()] == ["LOSTFOUND_KAFKA_PORT", "LOSTFOUND_VENDOR"]


@given(st.sampled_from(sorted(Settings.model_fields)), st.text(st.characters(exclude_characters="\0", codec=None)))
def test_whatever_a_setting_is_it_is_taken_or_told_in_one_sentence(name: str, value: str) -> None:
    known = {variable: text for variable, text in os.environ.items() if variable.startswith(PREFIX)}
    variable = f"{PREFIX}{name.upper()}"
    try:
        raw = value.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # such a variable cannot be
        return
    with pytest.MonkeyPatch.context() as patch:
        for other in known:
            patch.delenv(other)
        patch.setenv(variable, raw)
        try:
            found = read_settings()
        except Problem as problem:
            (sentence,) = problem.sentence.splitlines()
            assert variable in sentence
            assert sentence.encode()
        else:
            assert Settings(**{name: getattr(found, name)}) == found


@pytest.mark.parametrize(
    ("variable", "remedy"),
    [
        ("LOSTFOUND_KAFAK_PORT", "did you mean LOSTFOUND_KAFKA_PORT?"),
        ("LOSTFOUND_POSTGRES_DNS", "did you mean LOSTFOUND_POSTGRES_DSN?"),
        ("lostfound_vendors", "did you mean LOSTFOUND_VENDOR?"),
        ("LOSTFOUND_XYZ", "docs/settings.md lists those that there are."),
    ],
)
def test_a_variable_that_is_no_setting_is_refused_with_the_nearest_one(
    variable: str, remedy: str, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv(variable, "4711")
    variables.setenv("LOSTFOUND_HOLD_SECONDS", "soon")

    first, second = refused()

    assert first == f"{variable} is no setting; {remedy}"
    assert second.startswith("LOSTFOUND_HOLD_SECONDS is 'soon'")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *((f"LOSTFOUND_{name}", "/tmp/file") for name in sorted(NO_SETTINGS)),
        ("LOSTFOUND_API_SERVICE_HOST", "10.0.0.1"),
        ("LOSTFOUND_API_SERVICE_PORT", "8080"),
        ("LOSTFOUND_API_SERVICE_PORT_HTTP", "8080"),
        ("LOSTFOUND_API_PORT", "tcp://10.0.0.1:8080"),
        ("LOSTFOUND_API_PORT_8080_TCP", "tcp://10.0.0.1:8080"),
        ("LOSTFOUND_API_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("LOSTFOUND_XYZ", ""),
    ],
)
def test_what_processes_of_ours_and_kubernetes_put_there_is_left_alone(
    variable: str, value: str, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv(variable, value)

    assert read_settings() == Settings.model_construct()


def test_an_empty_setting_is_unset(variables: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        variables.setenv(f"{PREFIX}{name.upper()}", "")

    assert read_settings() == Settings.model_construct()


@pytest.mark.parametrize(
    ("one", "other", "elsewhere"),
    [
        ("kafka_port", "kafka_controller_port", "temporal_address"),
        ("kafka_port", "temporal_port", ""),
        ("kafka_controller_port", "temporal_ui_port", ""),
        ("temporal_port", "temporal_ui_port", "kafka_bootstrap"),
    ],
)
def test_two_ports_alike_are_refused_and_both_named(
    one: str, other: str, elsewhere: str, variables: pytest.MonkeyPatch
) -> None:
    for name in (one, other):
        variables.setenv(f"{PREFIX}{name.upper()}", "4711")
    if elsewhere:
        variables.setenv(f"{PREFIX}{elsewhere.upper()}", "elsewhere:1")

    (sentence,) = refused()

    assert sentence.startswith(f"{PREFIX}{one.upper()} and {PREFIX}{other.upper()} are both 4711")


def test_ports_that_nothing_here_listens_on_may_be_alike(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("LOSTFOUND_KAFKA_PORT", "7233")
    variables.setenv("LOSTFOUND_KAFKA_BOOTSTRAP", "elsewhere:9092")

    assert read_settings().kafka_port == 7233


def test_more_copies_than_the_embedded_broker_can_keep_are_refused_and_both_settings_named(
    variables: pytest.MonkeyPatch,
) -> None:
    variables.setenv("LOSTFOUND_REPLICATION_FACTOR", "3")

    (sentence,) = refused()

    assert "LOSTFOUND_REPLICATION_FACTOR is 3" in sentence
    assert "LOSTFOUND_KAFKA_BOOTSTRAP" in sentence
    variables.setenv("LOSTFOUND_KAFKA_BOOTSTRAP", "one:1,two:1,three:1")
    assert read_settings().replication_factor == 3


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost", "127.1"])
def test_a_host_of_this_machine_alone_needs_no_leave(host: str, variables: pytest.MonkeyPatch) -> None:
    variables.setenv("LOSTFOUND_HOST", host)
    variables.setenv("LOSTFOUND_TEMPORAL_ADDRESS", "elsewhere:7233")

    assert read_settings().host == host
    assert read_settings().temporal_listens == host


@pytest.mark.parametrize(("host", "goes"), [("localhost", True), ("127.1", True), ("127.1.2.3", False), ("::1", False)])
def test_a_host_at_which_the_embedded_temporal_does_not_work_is_refused_and_both_settings_named(
    host: str, goes: bool, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv("LOSTFOUND_HOST", host)
    if goes:
        assert read_settings().host == host
        return

    (sentence,) = refused()

    assert f"LOSTFOUND_HOST is {host!r}" in sentence
    assert "LOSTFOUND_TEMPORAL_ADDRESS" in sentence


@pytest.mark.parametrize("host", ["192.0.2.9", "10.1.2.3", "2001:db8::1", "fe80::1", "::ffff:192.0.2.9"])
def test_a_host_that_others_reach_is_refused_until_it_is_said_to_be_meant(
    host: str, variables: pytest.MonkeyPatch
) -> None:
    variables.setenv("LOSTFOUND_HOST", host)

    (sentence,) = refused()

    assert f"LOSTFOUND_HOST is {host!r}" in sentence
    assert "Kafka and Temporal with its web pages would be open" in sentence
    assert "LOSTFOUND_OPEN_TO_NETWORK=yes" in sentence
    variables.setenv("LOSTFOUND_OPEN_TO_NETWORK", "yes")
    assert read_settings().host == host
    assert read_settings().temporal_listens in ("0.0.0.0", "::")  # its parts seek each other on loopback


def test_only_what_would_be_open_is_named(variables: pytest.MonkeyPatch) -> None:
    variables.setenv("LOSTFOUND_HOST", "192.0.2.9")
    variables.setenv("LOSTFOUND_KAFKA_BOOTSTRAP", "elsewhere:9092")
    (sentence,) = refused()
    assert "and Temporal with its web pages would be open" in sentence

    variables.setenv("LOSTFOUND_TEMPORAL_ADDRESS", "elsewhere:7233")
    assert read_settings().host == "192.0.2.9"


def test_an_address_of_the_sixth_version_is_told_to_clients_in_brackets() -> None:
    there = Settings(host="::1", temporal_address="elsewhere:7233")
    assert there.bootstrap == "[::1]:9092"
    assert there.at(there.temporal_port) == "[::1]:7233"


@pytest.mark.parametrize("opened", [True, False])
def test_another_process_gets_exactly_these_settings(opened: bool, variables: pytest.MonkeyPatch) -> None:
    given = Settings(host="192.0.2.9" if opened else "localhost", open_to_network=opened, hold_seconds=0.5)
    for name, value in given.environment().items():
        variables.setenv(name, value)

    assert read_settings() == given


@pytest.mark.parametrize("name", ["../x", "A_B", "", "a/b", "acme\n"])
def test_no_file_is_named_after_what_names_no_vendor(name: str, tmp_path: Path) -> None:
    with pytest.raises(RefusalError, match="names no vendor"):
        SigningKeys(tmp_path / "keys").create(VendorId(name))
    assert not any(path.is_file() for path in tmp_path.parent.rglob("x*"))


def test_the_environment_is_read_in_one_place_which_tells_what_cannot_be() -> None:
    elsewhere = [path for path in (ROOT / "infra").rglob("*.py") if re.search(r"\bSettings\(\)", path.read_text())]

    assert elsewhere == [ROOT / "infra" / "settings.py"]


COMMANDS = (
    ("status",),
    ("up",),
    ("up", "--detach"),
    ("up", "--once"),
    ("down",),
    ("logs", "worker"),
    ("setup",),
    ("fetch",),
    ("serve", "worker"),
    ("case", "list"),
    ("vendor", "add", "nobody"),
    ("policy", "show"),
    ("views", "rebuild"),
    ("audit", "invariants"),
    ("report", "3-1", "--reason", "lost"),
    ("access", "link", "3-1"),
    ("activation", "code", "A-1"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_refuses_a_setting_that_cannot_be(
    words: tuple[str, ...], variables: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    variables.setenv("LOSTFOUND_KAFKA_PORT", "abc")
    variables.setattr(sys, "argv", ["lostfound", *words])
    variables.setattr("infra.main.leave", sys.exit)

    with pytest.raises(SystemExit) as end:
        main()

    assert end.value.code == 2
    assert capsys.readouterr() == ("", f"LOSTFOUND_KAFKA_PORT is 'abc'; it takes {valid('kafka_port')}.\n")


@pytest.mark.parametrize("words", [("infra.start", "status"), ("infra.roles", "worker")], ids=" ".join)
def test_every_process_refuses_a_setting_that_cannot_be(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *words],
        env=os.environ | {"LOSTFOUND_KAFKA_PORT": "abc"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"LOSTFOUND_KAFKA_PORT is 'abc'; it takes {valid('kafka_port')}.\n"
