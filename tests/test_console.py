"""What cannot be shown costs nothing; signals; a JAX without the device it is to use."""

import io
import os
import signal
import subprocess
import sys
from functools import partial

import pytest

from emnist_jax import console
from emnist_jax._setup import start_jax
from emnist_jax.console import show
from emnist_jax.engine.stop import stop_signals
from emnist_jax.errors import InputError


@pytest.fixture(autouse=True)
def forget():
    console._report_once.cache_clear()


def test_lines_are_shown_at_once(capsys):
    show("a")
    show("b", error=True)
    assert capsys.readouterr() == ("a\n", "b\n")


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", b"?\n"), ("utf-8", "█\n".encode()), ("cp1252", b"?\n")]
)
def test_characters_that_an_encoding_lacks_are_question_marks(encoding, shown, monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    show("█")
    assert raw.getvalue() == shown


def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w")


def closed_file():
    with open(os.devnull, "w") as file:
        return file


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (closed_pipe, "Broken pipe"),
        pytest.param(
            partial(open, "/dev/full", "w"),
            "No space left on device",
            marks=pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full"),
        ),
        (closed_file, "closed file"),
        (lambda: None, None),
    ],
)
def test_a_stream_that_cannot_be_written_is_reported_once(stream, reason, monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", stream())
    show("a")
    show("b")
    if sys.stdout is not None:
        sys.stdout.close()  # raises where lines are still held back
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == (reason is not None)
    assert all(reason in line and line.endswith("going on without it") for line in errors)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_asks_to_stop_and_a_second_one_stops(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with stop_signals() as stop:
        assert not stop.is_set()
        signal.raise_signal(number)
        assert stop.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) == before


def test_a_signal_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with stop_signals() as stop:
            signal.raise_signal(signal.SIGHUP)
        assert not stop.is_set() and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("error", [AssertionError(), RuntimeError("no such backend")])
def test_a_platform_without_devices_is_one_line(error, monkeypatch):
    def devices():
        raise error

    monkeypatch.setattr("jax.devices", devices)
    with pytest.raises(InputError, match="finds no device"):
        start_jax()


def test_the_command_refuses_a_platform_without_devices(tmp_path):
    words = ["-m", "experiments.sweep", "--size", "188", "--learning-rate", "1", "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        env=os.environ | {"JAX_PLATFORMS": "cud"},
        capture_output=True,
        text=True,
    )
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith("error: JAX_PLATFORMS=cud finds no device")
    assert not any(tmp_path.iterdir())
