"""Many devices: the same sweep on 1, 2, 3 and 8 of them, and a forecast that holds."""

import os

import jax
import numpy as np
import pytest
from processes import ended, start

import emnist_jax as ej
from benchmarks import devices as benchmark
from emnist_jax import parallel
from emnist_jax.checkpoint import Checkpoints
from emnist_jax.forecast import Memory, forecast

COUNTS = (1, 2, 3, 8)
RATES = np.logspace(-3, -1, 5).tolist()  # with 2 seeds, 10 trials: padded on 3 and on 8 devices


def train(dtype, **options):
    options = {"seeds": 2, "epochs": 2, "dtype": dtype, "progress_bar": False} | options
    data = ej.load("glyphs", size=660)
    return ej.sweep(data, ej.MLP(hidden=(8,)), "adam", {"learning_rate": RATES}, **options)


def on_all_counts(out):
    """Write the curves of every number of devices in both precisions."""
    mesh, found = parallel.trial_mesh, {}
    jax.config.update("jax_enable_x64", True)
    for count in COUNTS:
        parallel.trial_mesh = lambda n=None, count=count: mesh(min(n or count, count))
        for dtype in ("float32", "float64"):
            curves = train(dtype, trials_at_once=8)
            found |= {f"{dtype} {count} {name}": curves[name].values for name in curves}
    np.savez(out / "curves.npz", **found)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    os.environ["EMNIST_JAX_CACHE"] = str(folder / "cache")
    process = start(on_all_counts, folder, log=folder / "log", devices=8)
    assert ended([process], seconds=240) == [0], (folder / "log").read_text()
    return dict(np.load(folder / "curves.npz"))


# What is left is the order of sums in matrix products of other sizes; 2 epochs, 20 updates.
@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("count", COUNTS[1:])
def test_curves_are_those_of_one_device(found, dtype, bound, count):
    for name in ("train_error", "valid_error"):
        one, many = (found[f"{dtype} {n} {name}"] for n in (1, count))
        assert one.shape == (5, 2, 3) and np.ptp(one) > 0.1
        np.testing.assert_allclose(many, one, rtol=bound, atol=0)


class StopError(Exception):
    pass


@pytest.mark.parametrize("devices", [1, 3])
def test_a_run_goes_on_on_another_number_of_devices(tmp_path, monkeypatch, devices):
    """Begun here on as many devices as there are, ended in a process with others."""
    save = Checkpoints.save

    def save_and_stop(self, state):
        save(self, state)
        if state.epoch == 1:
            raise StopError

    options = {"checkpoint_minutes": 0, "trials_at_once": 4}
    expected = train("float32", **options)
    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    with pytest.raises(StopError):
        train("float32", out=tmp_path / "run", **options)
    monkeypatch.undo()
    process = start(resume, tmp_path / "run", options, log=tmp_path / "log", devices=devices)
    assert ended([process], seconds=120) == [0], (tmp_path / "log").read_text()
    assert "going on on" in (tmp_path / "log").read_text()
    curves = ej.load_curves(tmp_path / "run" / "curves.nc")
    np.testing.assert_allclose(curves.valid_error, expected.valid_error, rtol=1e-4)


def resume(out, options):
    train("float32", out=out, **options)


def plan(model=None, grid=None, **options):
    data = ej.load("glyphs", size=660)
    return forecast(
        data, model or ej.MLP(hidden=(8,)), "adam", grid or {"learning_rate": RATES}, **options
    )


def test_a_forecast_of_10_000_trials():
    made = plan(grid={"learning_rate": np.logspace(-3, -1, 2000).tolist()}, trials_at_once=64)
    assert (made.trials, made.chunks, made.trials_at_once) == (10_000, 157, 64)
    assert made.devices == jax.device_count() and made.seconds > 0
    text = str(made)
    assert "10,000 trials of 10 epochs" in text and "64 trials at once" in text


def test_the_forecast_is_of_the_chunks_that_a_sweep_takes():
    made = plan(seeds=2)
    assert made.trials_at_once == train("float32").trials_at_once


def test_what_does_not_fit_is_refused_and_what_is_advised_fits(monkeypatch, tmp_path):
    devices = jax.device_count()
    memory = plan(trials_at_once=12 * devices).memory
    monkeypatch.setattr(parallel, "memory_of", lambda device: memory.total)
    grid = {"learning_rate": np.linspace(0.001, 0.1, 40 * devices).tolist()}
    with pytest.raises(
        ej.InputError, match=r"take .* MiB on each device, which has .* would fit"
    ) as told:
        plan(grid=grid, trials_at_once=40 * devices)
    advised = int(str(told.value).split("about ")[1].split()[0])
    assert plan(grid=grid, trials_at_once=advised).memory.total <= memory.total
    assert advised >= 4 * devices
    with pytest.raises(ej.InputError, match="would fit"):
        train("float32", seeds=40, trials_at_once=200, out=tmp_path / "run")
    monkeypatch.setattr(parallel, "memory_of", lambda device: 1000)
    with pytest.raises(ej.InputError, match="one trial on each device takes"):
        plan()
    assert not list(tmp_path.rglob("*.safetensors"))


def test_memory_is_what_the_arrays_take():
    """Of a network written out by hand: 784 x 8 + 8 + 8 x 47 + 47 weights and as many moments."""
    made = plan(seeds=1, trials_at_once=5 * jax.device_count())
    weights = 784 * 8 + 8 + 8 * 47 + 47
    assert made.memory.trials == pytest.approx(5 * 3 * weights * 4, rel=0.01)
    data = ej.load("glyphs", size=660)
    images = len(data.train.labels) + len(data.valid.labels)
    assert made.memory.data == images * (784 + 4)
    assert Memory(1, 2, 3).total == 6


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="measured on Linux only")
def test_measured_memory_is_forecast_within_15_percent():
    measured = benchmark.run_alone("memory", 2, 6)
    assert measured["trials"] == 12
    assert abs(measured["error"]) < 0.15, measured


def test_the_cost_model_adds_up():
    parts = {
        "step": 1e-4,
        "evaluation_image": 1e-7,
        "shuffle_image": 1e-8,
        "replicate_bytes_per_second": 1e9,
        "data_bytes": 1e8,
        "trial_bytes": 1e6,
        "exchange": 1e-2,
        "exchange_bytes_per_second": 1e8,
        "save_bytes_per_second": 1e8,
    }
    one, many = benchmark.model(parts, 8), benchmark.model(parts, 64)
    assert one["training"] == pytest.approx(100 * (10 * (2000 * 1e-4 + 115_800 * 1e-7) + 1e-3))
    assert one["exchange"] == 0 and many["exchange"] == pytest.approx(100 * 7 * 1e-2)
    assert one["checkpoints"] == pytest.approx(80e6 / 1e8)
    assert many["checkpoints"] == pytest.approx(2 * 640e6 / 1e8)
    assert one["replication"] == many["replication"] == pytest.approx(0.8)
    assert many["efficiency"] < one["efficiency"] < 1
