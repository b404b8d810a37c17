"""`up`, `status`, `logs` and `down`: what they start is ready, comes back when it dies, and is gone at the end."""

import asyncio
import json
import os
import re
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from infra.embedded.process import Identity, family, kill
from infra.run_state import Record, RunState, ServiceRecord, read_state
from infra.settings import Settings
from infra.supervisor import Role
from tests.integration import bare
from tests.services import own_settings, spare

pytestmark = pytest.mark.integration

SECONDS = 120.0


class Instance:
    """One data folder and the commands on it, as a person would type them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.env = os.environ | settings.environment()
        self.foreground: list[subprocess.Popen[str]] = []

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*bare.PROGRAM, *words], env=self.env, capture_output=True, text=True, timeout=SECONDS, check=False
        )

    def start(self) -> "subprocess.Popen[str]":
        """`up` in the foreground, ready."""
        started = subprocess.Popen(
            [*bare.PROGRAM, "up"],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.foreground.append(started)
        self.wait(lambda state: state.state == "ready" and state.supervisor.pid == started.pid)
        return started

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.run("status", "--json").stdout)
        return document

    def wait(self, holds: Callable[[RunState], bool]) -> RunState:
        """What the supervisor wrote down, once that holds."""
        deadline = time.monotonic() + SECONDS
        while (state := read_state(self.settings.data_dir)) is None or not holds(state):
            assert time.monotonic() < deadline, state
            time.sleep(0.05)
        return state

    def processes(self) -> list[Identity]:
        """All that runs now: supervisor, services, roles and what descends from them."""
        state = read_state(self.settings.data_dir)
        assert state is not None
        roots = [state.supervisor.identity, *(record.identity for record in state.services.values())]
        return [Identity.of(process.pid) for root in roots for process in family(root)]

    def close(self) -> None:
        if read_state(self.settings.data_dir) is not None:
            self.run("down")
        for started in self.foreground:
            kill(family(Identity.of(started.pid)))
            started.communicate(timeout=SECONDS)


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Instance]:
    """With all services."""
    instance = Instance(own_settings(tmp_path / "data"))
    yield instance
    instance.close()


@pytest.fixture
def light(tmp_path: Path) -> Iterator[Instance]:
    """Without Kafka, which takes longest to start; the bare roles do not need it."""
    instance = Instance(own_settings(tmp_path / "data", kafka_bootstrap="127.0.0.1:1"))
    asyncio.run(spare(instance.settings, "postgres"))
    yield instance
    instance.close()


@pytest.fixture
def lean(tmp_path: Path) -> Iterator[Instance]:
    """With PostgreSQL only, for what is the same whatever the services are."""
    elsewhere = {"kafka_bootstrap": "127.0.0.1:1", "temporal_address": "127.0.0.1:1"}
    instance = Instance(own_settings(tmp_path / "data", **elsewhere))
    asyncio.run(spare(instance.settings, "postgres"))
    yield instance
    instance.close()


def test_up_makes_all_ready_and_down_leaves_no_process(whole: Instance) -> None:
    up = whole.run("up", "--detach")
    assert up.returncode == 0, up.stderr
    state = whole.status()
    processes = whole.processes()

    assert (whole.settings.data_dir / "prepared").exists()
    assert state["state"] == "ready"
    assert set(state["services"]) == {"postgres", "kafka", "temporal", *bare.ROLES}
    assert all(record["state"] == "ready" and record["alive"] for record in state["services"].values())
    assert state["endpoints"]["kafka"] == whole.settings.bootstrap
    again = whole.run("up", "--detach")
    assert (again.returncode, again.stdout) == (0, f"lostfound runs already on {whole.settings.data_dir}.\n")
    assert whole.run("up").returncode == 5

    assert whole.run("down").returncode == 0
    assert [process for process in processes if process.alive] == []
    assert whole.run("status", "--json").returncode == 3
    assert whole.run("down").stdout == "Nothing runs.\n"


@pytest.mark.parametrize("words", [("up", "--detach"), ("up",)])
def test_nobody_but_its_owner_reads_or_lists_what_is_in_the_data_folder(lean: Instance, words: tuple[str, ...]) -> None:
    data = lean.settings.data_dir.with_name("fresh")
    fresh = Instance(lean.settings.model_copy(update={"data_dir": data}))
    left = data / "logs"
    if len(words) == 1:
        left.mkdir(mode=0o755, parents=True)  # as an earlier release left it
    before = os.umask(0o022)
    try:
        if len(words) == 1:
            fresh.start()
        else:
            assert fresh.run(*words).returncode == 0
    finally:
        os.umask(before)
    made = [path for path in data.rglob("*") if not path.is_symlink()]
    modes = {path: path.lstat().st_mode for path in made}
    fresh.close()

    assert left / "postgres.log" in modes
    assert {path: oct(mode) for path, mode in modes.items() if mode & 0o066 and not stat.S_ISSOCK(mode)} == {}
    if len(words) > 1:
        assert data.stat().st_mode & 0o066 == 0  # root's PostgreSQL, another user, passes through it


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_the_terminals_processes_stops_all_in_order(lean: Instance, number: signal.Signals) -> None:
    started = lean.start()
    processes = lean.processes()

    os.killpg(started.pid, number)
    _, said = started.communicate(timeout=SECONDS)

    assert (started.returncode, said) == (0, "")
    assert [process for process in processes if process.alive] == []
    assert "database system is shut down" in (lean.settings.data_dir / "logs" / "postgres.log").read_text()


def test_a_second_ctrl_c_ends_at_once_what_does_not_end(lean: Instance) -> None:
    (lean.settings.data_dir / "deaf-worker").touch()
    started = lean.start()
    processes = lean.processes()
    began = time.monotonic()

    os.killpg(started.pid, signal.SIGINT)
    lean.wait(lambda state: state.state == "stopping")
    os.killpg(started.pid, signal.SIGINT)
    started.communicate(timeout=SECONDS)

    assert time.monotonic() - began < Role.stop_seconds
    assert started.returncode == 0
    assert [process for process in processes if process.alive] == []


def test_a_killed_supervisor_leaves_nothing_and_the_next_start_recovers(whole: Instance) -> None:
    asyncio.run(spare(whole.settings, "postgres", "kafka"))
    started = whole.start()
    with psycopg.connect(whole.settings.dsn) as session:
        session.execute("CREATE TABLE kept (id int)")
    processes = whole.processes()
    started.kill()
    started.wait(SECONDS)

    assert whole.run("status", "--json").returncode == 3
    whole.start()

    assert [process for process in processes if process.alive] == []
    with psycopg.connect(whole.settings.dsn) as session:
        assert session.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_child_that_dies_is_started_again_and_the_restart_is_noted(light: Instance) -> None:
    light.start()
    before = light.wait(lambda _: True).services
    for name in ("postgres", "temporal", "worker"):
        kill(family(before[name].identity))

    def back(state: RunState) -> bool:
        restarts = [state.services[name].restarts for name in ("postgres", "temporal", "worker")]
        return state.state == "ready" and restarts == [1, 1, 1]

    after = light.wait(back).services
    assert after["worker"].pid != before["worker"].pid
    assert after["inbox"] == before["inbox"]


def test_what_a_supervisor_left_is_ended_by_its_record_and_strangers_are_not(lean: Instance) -> None:
    left = subprocess.Popen(["sleep", "600"], start_new_session=True)
    stranger = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        born = Identity.of(left.pid).create_time
        services = {
            name: ServiceRecord(pid=pid, create_time=time_, state="ready", restarts=0, since=0, log="")
            for name, pid, time_ in [("worker", left.pid, born), ("inbox", stranger.pid, born - 1000)]
        }
        supervisor = Record(pid=left.pid, create_time=1.0)
        RunState(supervisor=supervisor, state="ready", services=services, endpoints={}).write(lean.settings.data_dir)

        down = lean.run("down")

        assert down.stdout == "Ended what a killed start had left: worker.\n"
        assert left.wait(SECONDS) == -signal.SIGTERM
        assert stranger.poll() is None
    finally:
        for process in (left, stranger):
            process.kill()
            process.wait()


@pytest.mark.parametrize("words", [("up",), ("up", "--detach")])
def test_a_failure_quotes_no_earlier_start(lean: Instance, words: tuple[str, ...]) -> None:
    logs = lean.settings.data_dir / "logs"
    logs.mkdir(parents=True)
    for name in ("inbox", "supervisor"):
        (logs / f"{name}.log").write_text("Traceback (most recent call last):\nRuntimeError: of an earlier start\n")
    (lean.settings.data_dir / "fail-silently-inbox").touch()

    up = lean.run(*words)

    assert up.returncode == 1
    assert up.stderr == f"inbox ended before it was ready; read {logs / 'inbox.log'}.\n"


@pytest.mark.parametrize("words", [("up",), ("up", "--detach")])
def test_a_taken_port_is_told_in_one_sentence_that_names_the_setting(light: Instance, words: tuple[str, ...]) -> None:
    with socket.create_server((light.settings.host, light.settings.temporal_port)):
        up = light.run(*words)

    assert up.returncode == 6
    port = light.settings.temporal_port
    expected = rf"Port {port} on 127.0.0.1 is taken by .+ \(process {os.getpid()}\): stop it, or set .+\n"
    assert re.fullmatch(expected, up.stderr), up.stderr
    assert "LOSTFOUND_TEMPORAL_PORT" in up.stderr
    assert light.run("status", "--json").returncode == 3


def test_a_host_that_is_not_this_machine_is_told_in_one_sentence(lean: Instance) -> None:
    there = lean.settings.model_copy(update={"host": "192.0.2.77", "open_to_network": True, "kafka_bootstrap": None})

    up = Instance(there).run("up")

    assert (up.returncode, up.stderr.count("\n")) == (2, 1)
    assert "LOSTFOUND_HOST is '192.0.2.77', which is no address of this machine" in up.stderr


def test_a_port_taken_by_another_instance_is_told_with_the_command_that_stops_it(light: Instance) -> None:
    light.start()
    other = light.settings.data_dir.with_name("other")
    second = Instance(light.settings.model_copy(update={"data_dir": other}))

    up = second.run("up")

    assert up.returncode == 6
    assert f"LOSTFOUND_DATA_DIR={light.settings.data_dir} lostfound down" in up.stderr


@pytest.mark.parametrize("words", [("up",), ("up", "--detach")])
def test_a_role_that_cannot_start_ends_the_start_with_its_last_words(lean: Instance, words: tuple[str, ...]) -> None:
    (lean.settings.data_dir / "fail-inbox").touch()

    up = lean.run(*words)

    assert up.returncode == 1
    assert up.stderr.count("\n") == 1
    assert up.stderr.startswith("inbox ended before it was ready; read ")
    assert up.stderr.endswith("inbox was told to fail\n")
    assert lean.run("status", "--json").returncode == 3


@pytest.mark.parametrize("words", [("up",), ("up", "--detach")])
def test_a_data_folder_that_cannot_be_made_is_told_in_one_sentence(tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    up = Instance(own_settings(tmp_path / "file" / "data")).run(*words)

    assert up.returncode == 2
    assert "LOSTFOUND_DATA_DIR takes the path of a folder" in up.stderr
    assert up.stderr.count("\n") == 1


def test_logs_show_the_last_lines_and_name_what_there_is(lean: Instance) -> None:
    folder = lean.settings.data_dir / "logs"
    folder.mkdir(parents=True)
    (folder / "worker.log").write_text("one\ntwo\nthree\n")

    assert lean.run("logs", "worker", "--lines", "2").stdout == "two\nthree\n"
    unknown = lean.run("logs", "nobody")
    assert (unknown.returncode, unknown.stderr) == (1, "There is no log of 'nobody'; there are: worker.\n")
