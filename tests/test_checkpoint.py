"""Resume: bit for bit after any interruption, never from damage, never from another run."""

import os
import re
import signal
import threading
import time
from functools import partial

import jax
import numpy as np
import optax
import pytest

import emnist_jax as ej
from emnist_jax.engine import growth
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.run import finished
from emnist_jax.errors import InputError
from emnist_jax.store import checkpoint
from emnist_jax.store import files as arrays
from emnist_jax.store.checkpoint import Checkpoints, State, check_same, locked
from emnist_jax.store.curves import save_curves

RULES = {
    "rmsprop": "rmsprop",
    "adam": "adam",
    "random keys in its state": partial(optax.noisy_sgd, key=jax.random.key(0)),
}


@pytest.fixture(scope="module")
def data():
    return ej.load("glyphs", size=660)


def run(data, out=None, *, rule="adam", model=None, grid=None, **options):
    """A sweep of three chunks, the last one padded, with a trial that overflows."""
    defaults = {
        "seeds": 1,
        "epochs": 3,
        "keep": "best",
        "trials_at_once": 2,
        "checkpoint_minutes": 0,
        "progress_bar": False,
    }
    return ej.sweep(
        data,
        model or ej.MLP(hidden=(8,)),
        rule,
        grid or {"learning_rate": [1e-3, 3e38, 1e-2, 0.1, 0.03]},
        out=out,
        **(defaults | options),
    )


class StopAfterSaveError(Exception):
    pass


def run_stopping_after_every_save(monkeypatch, data, out, **options):
    """Resume the run until it ends; return its result and how often it was stopped."""
    save, stops = Checkpoints.save, []

    def save_and_stop(self, state):
        save(self, state)
        stops.append(state.epoch)
        raise StopAfterSaveError

    while True:
        monkeypatch.setattr(Checkpoints, "save", save_and_stop)
        try:
            return run(data, out, **options), len(stops)
        except StopAfterSaveError:
            pass
        finally:
            monkeypatch.setattr(Checkpoints, "save", save)


def assert_same_bits(found, expected):
    for (curves, networks), (others, other_networks) in [(found, expected)]:
        assert set(curves) == set(others)
        for name in curves:
            assert curves[name].values.tobytes() == others[name].values.tobytes(), name
        leaves = jax.tree.leaves(networks.variables), jax.tree.leaves(other_networks.variables)
        for a, b in zip(*leaves, strict=True):
            assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
        np.testing.assert_array_equal(networks.epoch, other_networks.epoch)


@pytest.mark.parametrize(
    "rule", ["adam", *(pytest.param(n, marks=pytest.mark.slow) for n in RULES if n != "adam")]
)
def test_a_run_stopped_after_every_save_equals_one_left_alone(tmp_path, monkeypatch, data, rule):
    expected = run(data, rule=RULES[rule])
    found, stops = run_stopping_after_every_save(
        monkeypatch, data, tmp_path / "run", rule=RULES[rule]
    )
    assert stops == 3 * 4  # chunks times epochs 0 to 3
    assert_same_bits(found, expected)
    assert np.isnan(found[0].valid_error.sel(learning_rate=3e38).values[:, 1:]).all()


@pytest.mark.slow
def test_dropout_and_running_statistics_resume_too(tmp_path, monkeypatch, data):
    norm = ej.BatchNorm(statistics="running")
    options = {
        "model": ej.MLP(hidden=(8,), batch_norm=norm),
        "grid": {"learning_rate": [1e-3, 1e-2], "dropout": [0.1, 0.4]},
        "keep": "last",
    }
    expected = run(data, **options)
    found, _ = run_stopping_after_every_save(monkeypatch, data, tmp_path / "run", **options)
    assert_same_bits(found, expected)


def stop_after(monkeypatch, data, out, saves, **options):
    """Run until the given number of saves, then stop without any clearing up."""
    save, left = Checkpoints.save, [saves]

    def count(self, state):
        save(self, state)
        left[0] -= 1
        if not left[0]:
            raise StopAfterSaveError

    monkeypatch.setattr(Checkpoints, "save", count)
    with pytest.raises(StopAfterSaveError):
        run(data, out, **options)
    monkeypatch.setattr(Checkpoints, "save", save)


def test_a_finished_run_is_returned_untouched_and_overwrite_redoes_it(tmp_path, monkeypatch, data):
    first = run(data, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        ".lock",
        "curves.nc",
        "networks.safetensors",
    ]
    monkeypatch.setitem(ej.sweep.__globals__, "_trained", lambda *_: pytest.fail("trained again"))
    assert_same_bits(run(data, tmp_path), first)
    monkeypatch.undo()
    os.utime(tmp_path / "curves.nc", (0, 0))  # a date no new file has
    assert_same_bits(run(data, tmp_path, overwrite=True), first)
    assert (tmp_path / "curves.nc").stat().st_mtime > 0


def test_at_most_two_checkpoints_are_kept(tmp_path, monkeypatch, data):
    for saves in (1, 2, 5):
        stop_after(monkeypatch, data, tmp_path / str(saves), saves)
        files = sorted((tmp_path / str(saves) / "checkpoint").iterdir())
        assert len(files) == min(saves, 2) and files[-1].stem == f"{saves:06d}"


CHANGES = {
    "epochs": {"epochs": 4},
    "seeds": {"seeds": [1]},
    "model": {"model": ej.MLP(hidden=(9,))},
    "rule": {"rule": "sgd"},
    "settings": {"grid": {"learning_rate": [1e-3, 3e38, 1e-2, 0.1, 0.031]}},
    "batch_size": {"batch_size": 60},
    "dims": {"grid": [{"learning_rate": rate} for rate in (1e-3, 3e38, 1e-2, 0.1, 0.03)]},
    "keep": {"keep": "last"},
}


@pytest.mark.parametrize("state", ["interrupted", "finished"])
def test_another_configuration_is_refused_naming_what_differs(tmp_path, monkeypatch, data, state):
    if state == "finished":
        run(data, tmp_path)
    else:
        stop_after(monkeypatch, data, tmp_path, 3)
    for name, change in CHANGES.items():
        if state == "finished" and name in growth.GROWS:
            continue  # it grows, or cannot: see test_growth
        with pytest.raises(ej.InputError, match=rf"another run \(.*{name} .* there, .* here") as e:
            run(data, tmp_path, **change)
        assert "\n" not in str(e.value) and "--overwrite" in str(e.value)
        assert str(e.value).count(" there, ") == 1, "what only follows from it is not named"
    with pytest.raises(ej.InputError, match=r"run \(images \[.* there, \[.* here\)"):
        run(ej.load("glyphs", size=670), tmp_path)


def test_other_code_cannot_resume_but_finished_runs_remain(tmp_path, monkeypatch, data):
    stop_after(monkeypatch, data, tmp_path / "begun", 3)
    finished = run(data, tmp_path / "finished")
    monkeypatch.setattr("emnist_jax.engine.job.package_code", lambda: "1.0 another")
    with pytest.raises(ej.InputError, match=r"another run .*code"):
        run(data, tmp_path / "begun")
    assert_same_bits(run(data, tmp_path / "finished"), finished)
    monkeypatch.setattr("emnist_jax.engine.job.program", lambda *_: "another")
    with pytest.raises(ej.InputError, match=r"another run \(program .* there, 'another' here\)"):
        run(data, tmp_path / "finished")


def test_a_changed_rule_of_the_callers_own_is_another_run(tmp_path, data):
    def rule(learning_rate):
        return optax.sgd(learning_rate)

    run(data, tmp_path, rule=rule)

    def rule(learning_rate):
        return optax.sgd(2 * learning_rate)

    with pytest.raises(ej.InputError, match=r"another run \(program .* there, .* here\)"):
        run(data, tmp_path, rule=rule)


def test_between_versions_the_callers_own_code_is_compared(tmp_path, data, monkeypatch):
    def made(factor):
        return lambda learning_rate: optax.sgd(factor * learning_rate)

    before = run(data, tmp_path, rule=made(1.0))
    monkeypatch.setattr("emnist_jax.engine.job.installed", lambda name: "another")
    monkeypatch.setattr("emnist_jax.engine.job.program", lambda *_: "another")
    assert_same_bits(run(data, tmp_path, rule=made(1.0)), before)
    with pytest.raises(ej.InputError, match=r"another run \(own_code"):
        run(data, tmp_path, rule=made(2.0))


@pytest.mark.parametrize("damage", ["flip", "tear", "empty", "not safetensors"])
@pytest.mark.parametrize("damaged", [1, 2])
def test_damaged_checkpoints_are_passed_over(tmp_path, monkeypatch, capsys, data, damage, damaged):
    expected = run(data)
    stop_after(monkeypatch, data, tmp_path, 6)
    for path in sorted((tmp_path / "checkpoint").iterdir())[-damaged:]:
        raw = bytearray(path.read_bytes())
        if damage == "flip":
            raw[-5] ^= 1
        path.write_bytes({"tear": raw[:-9], "empty": b"", "flip": raw}.get(damage, b"x" * 99))
    assert_same_bits(run(data, tmp_path), expected)
    assert capsys.readouterr().err.count("damaged, its checksum is wrong") == damaged


def small_state(values):
    chunks, begun, seconds = [np.zeros((1, 3), int)], np.array([-1]), np.zeros((1, 2))
    return State(1, 2, chunks, begun, [np.arange(6.0)], values, [], np.zeros(2), seconds, 5.0)


def test_any_flipped_bit_of_a_checkpoint_is_noticed(tmp_path):
    checkpoints = Checkpoints(tmp_path, {"epochs": 2}, "1 x CPU", 1)
    checkpoints.save(small_state({"valid_error": np.ones((2, 3), np.float32)}))
    (path,) = tmp_path.glob("*.safetensors")
    whole = path.read_bytes()
    for position in range(len(whole)):
        raw = bytearray(whole)
        raw[position] ^= 1 << position % 8
        path.write_bytes(raw)
        assert checkpoints.restore() is None, position
    path.write_bytes(whole)
    restored = checkpoints.restore()
    assert (restored.chunk, restored.epoch, restored.wall_seconds) == (1, 2, 5)
    np.testing.assert_array_equal(restored.arrays[0], np.arange(6.0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_saves_and_then_stops(tmp_path, monkeypatch, data, number, capsys):
    expected = run(data)
    record = Runner.record

    def record_then_signal(self, state, chunk, trials, epoch):
        record(self, state, chunk, trials, epoch)
        if (chunk.trials[0], epoch) == (2, 1):
            os.kill(os.getpid(), number)

    monkeypatch.setattr(Runner, "record", record_then_signal)
    with pytest.raises(KeyboardInterrupt, match=r"^epoch 1/\d, chunk 2/\d saved$"):
        run(data, tmp_path, checkpoint_minutes=60)
    monkeypatch.undo()
    state = Checkpoints(tmp_path / "checkpoint", {}, "1 x CPU", 1)
    monkeypatch.setattr(checkpoint, "check_same", lambda *_, **__: None)
    saved = state.restore()
    monkeypatch.undo()
    assert (saved.chunk, saved.epoch) == (1, 1)
    capsys.readouterr()
    assert_same_bits(run(data, tmp_path, progress_bar=True), expected)
    assert re.search(r"^resuming at epoch 1/\d, chunk 2/\d$", capsys.readouterr().out, re.M)


def test_outside_the_main_thread_a_sweep_runs_too(tmp_path, data):
    found = []
    thread = threading.Thread(target=lambda: found.append(run(data, tmp_path)))
    thread.start()
    thread.join()
    assert_same_bits(found[0], run(data))


def test_a_locked_folder_is_refused_and_free_afterwards(tmp_path, data):
    with locked(tmp_path), pytest.raises(ej.InputError, match="another run is writing here"):
        run(data, tmp_path)
    run(data, tmp_path, epochs=1)


def test_what_killed_runs_left_is_removed(tmp_path):
    (tmp_path / "checkpoint").mkdir()
    left = [tmp_path / ".curves.nc.x7.tmp", tmp_path / "checkpoint/.000001.safetensors.x8.tmp"]
    for path in [*left, tmp_path / "my.tmp"]:
        path.write_text("half")
    with locked(tmp_path):
        assert [path.exists() for path in left] == [False, False]
    assert (tmp_path / "my.tmp").exists()  # not ours


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, data):
    (tmp_path / "file").write_text("in the way")
    for out in (tmp_path / "file", tmp_path / "file/run"):
        with pytest.raises(ej.InputError, match=r"file.*cannot be written"):
            run(data, out)


def test_a_full_disk_keeps_the_older_checkpoints(tmp_path, monkeypatch, data):
    """A stand-in for a full disk: the write fails before the file is whole."""
    expected = run(data)
    stop_after(monkeypatch, data, tmp_path, 3)
    newest = sorted((tmp_path / "checkpoint").iterdir())
    fsync = os.fsync

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ej.InputError, match=r"No space left on device; make room"):
        run(data, tmp_path)
    monkeypatch.setattr(os, "fsync", fsync)
    assert sorted((tmp_path / "checkpoint").iterdir()) == newest  # and no half-written file
    assert_same_bits(run(data, tmp_path), expected)


def test_check_same_ignores_the_names_given(tmp_path):
    check_same(tmp_path, {"a": [1, 2], "code": 1}, {"a": (1, 2), "code": 2}, ignore=("code",))
    with pytest.raises(ej.InputError, match="code 1 there, 2 here"):
        check_same(tmp_path, {"code": 1}, {"code": 2})


def test_a_checkpoint_is_due_after_its_minutes(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path, {}, "1 x CPU", 5)
    checkpoints.saved_at = 1000.0
    for now, due in ((1299.0, False), (1300.0, True)):
        monkeypatch.setattr(time, "monotonic", lambda now=now: now)
        assert checkpoints.due == due


def test_a_signal_while_results_are_written_stops_too(tmp_path, monkeypatch, data):
    expected = run(data)
    save = save_curves

    def save_under_a_signal(curves, path):
        os.kill(os.getpid(), signal.SIGTERM)
        return save(curves, path)

    monkeypatch.setattr("emnist_jax.engine.run.save_curves", save_under_a_signal)
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path)
    monkeypatch.undo()
    assert not (tmp_path / "checkpoint").exists()  # it had finished
    assert_same_bits(run(data, tmp_path), expected)


def test_a_checkpoint_that_cannot_be_read_now_is_no_reason_to_begin_again(
    tmp_path, monkeypatch, data
):
    stop_after(monkeypatch, data, tmp_path, 3)
    saved = sorted((tmp_path / "checkpoint").iterdir())

    def refuse(path, mode):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(arrays, "open", refuse, raising=False)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        run(data, tmp_path)
    monkeypatch.undo()
    assert sorted((tmp_path / "checkpoint").iterdir()) == saved


def test_a_damaged_checkpoint_does_not_push_out_a_whole_one(tmp_path):
    state = small_state({})
    checkpoints = Checkpoints(tmp_path, {}, "1 x CPU", 1)
    for _ in range(2):
        checkpoints.save(state)
    first, second = sorted(tmp_path.glob("*.safetensors"))
    second.write_bytes(second.read_bytes()[:-9])
    checkpoints.restore()
    checkpoints.save(state)
    assert first.exists() and len(list(tmp_path.glob("*.safetensors"))) == 2


def test_other_devices_go_on_and_say_so(tmp_path, monkeypatch, data, capsys):
    expected, _ = run(data)
    stop_after(monkeypatch, data, tmp_path, 3)
    monkeypatch.setattr("emnist_jax.engine.run.describe_devices", lambda: "8 x another device")
    curves, _ = run(data, tmp_path)
    assert "going on on 8 x another device: equal to rounding" in capsys.readouterr().err
    np.testing.assert_allclose(curves.valid_error, expected.valid_error, rtol=1e-5)


def test_a_finished_run_is_returned_while_its_folder_cannot_be_written(tmp_path, data):
    expected = run(data, tmp_path)
    with locked(tmp_path):  # as on a read-only disk, no lock can be had
        assert_same_bits(run(data, tmp_path), expected)


def test_overwrite_leaves_nothing_made_from_the_old_run(tmp_path, monkeypatch, data):
    run(data, tmp_path)
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "curves.nc").write_bytes(b"results on test images")

    def stop(self, state):
        raise StopAfterSaveError

    monkeypatch.setattr(Checkpoints, "save", stop)
    with pytest.raises(StopAfterSaveError):
        run(data, tmp_path, overwrite=True)
    assert not list(tmp_path.rglob("*.nc")) and not list(tmp_path.glob("*.safetensors"))


def test_finished_tells_a_run_from_another(tmp_path, data):
    sweep = ej.Sweep(ej.MLP(hidden=(8,)), "sgd", {"learning_rate": [1e-2, 1e-3]}, 1, 1)
    assert finished(sweep, data, tmp_path) is None
    curves = ej.run(sweep, data, tmp_path, progress_bar=False)
    assert finished(sweep, data, tmp_path).identical(curves)
    with pytest.raises(InputError, match=r"hidden=\(8,\).* there, .*hidden=\(9,\)"):
        finished(sweep.replace(model=ej.MLP(hidden=(9,))), data, tmp_path)
