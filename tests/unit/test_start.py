"""The first instants of the command: what was typed is looked at, and Ctrl-C ends it without a word."""

import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest

LOADS = "import sys; from infra.start import main; print('begun', flush=True); main()"
SECONDS = 60.0


@pytest.mark.parametrize("after_seconds", [0.02, 0.1, 0.2, 0.3])
def test_ctrl_c_while_the_command_is_loaded_ends_it_without_a_traceback(after_seconds: float) -> None:
    started = subprocess.Popen(
        [sys.executable, "-c", LOADS, "serve", "nobody"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "begun\n"

    time.sleep(after_seconds)  # not to wait for anything: this is the instant that is tried
    started.send_signal(signal.SIGINT)
    said, errors = started.communicate(timeout=SECONDS)

    if started.returncode == 130:
        assert (said, errors) == ("", "")
    else:  # it was done before
        assert started.returncode == 2
        assert "there is no role nobody" in errors


def test_an_argument_that_is_not_utf_8_is_told_in_one_sentence() -> None:
    words = [sys.executable, "-m", "infra.start", "case", "show", b"caf\xe9"]

    done = subprocess.run(words, capture_output=True, timeout=SECONDS, check=False)

    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"Argument 3, 'caf\\udce9', is not UTF-8: type it anew.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_an_answer_that_cannot_be_written_is_told_in_one_sentence() -> None:
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-m", "infra.start", "codes"]
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=SECONDS, check=False)

    told = "The answer could not be written where it was sent: no space is left there.\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_the_version_is_printed() -> None:
    words = [sys.executable, "-m", "infra.start", "--version"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=SECONDS, check=False)

    assert (done.returncode, done.stdout) == (0, f"lostfound {version('lostfound')}\n")
