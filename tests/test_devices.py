"""Many devices: the same sweep on 1, 2, 3 and 8 of them, and a forecast that holds."""

import math
import os
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from processes import ended, start

import emnist_jax as ej
from benchmarks import devices as benchmark
from emnist_jax import hosts
from emnist_jax.cli import main
from emnist_jax.engine import forecast as forecasts
from emnist_jax.engine import memory as memories
from emnist_jax.engine import programs as parallel
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.forecast import Memory, forecast
from emnist_jax.engine.job import make_job
from emnist_jax.store.checkpoint import Checkpoints

COUNTS = (1, 2, 3, 8)
RATES = np.logspace(-3, -1, 5).tolist()


def train(dtype, **options):
    options = {"seeds": 2, "epochs": 2, "dtype": dtype, "progress_bar": False} | options
    data = ej.load("glyphs", size=660)
    return ej.sweep(data, ej.MLP(hidden=(8,)), "adam", {"learning_rate": RATES}, **options)


def on_all_counts(out):
    """Write the curves of every number of devices in both precisions."""
    mesh, found = parallel.row_mesh, {}
    jax.config.update("jax_enable_x64", True)
    for count in COUNTS:
        parallel.row_mesh = lambda n=None, count=count: mesh(min(n or count, count))
        for dtype in ("float32", "float64"):
            # Chunks of 10 trials, padded on 3 and 8 devices, and 5, padded on 2 and 3.
            curves = train(dtype, seeds=3, trials_at_once=10)
            found |= {f"{dtype} {count} {name}": curves[name].values for name in curves}
    np.savez(out / "curves.npz", **found)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    os.environ["EMNIST_JAX_CACHE"] = str(folder / "cache")
    process = start(on_all_counts, folder, log=folder / "log", devices=8)
    assert ended([process]) == [0], (folder / "log").read_text()
    return dict(np.load(folder / "curves.npz"))


@pytest.mark.slow
# What is left is the order of sums in matrix products of other sizes; 2 epochs, 20 updates.
@pytest.mark.parametrize(("dtype", "bound"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize("count", COUNTS[1:])
def test_curves_are_those_of_one_device(found, dtype, bound, count):
    for name in ("train_error", "valid_error"):
        one, many = (found[f"{dtype} {n} {name}"] for n in (1, count))
        assert one.shape == (5, 3, 3) and np.ptp(one) > 0.1
        np.testing.assert_allclose(many, one, rtol=bound, atol=0)


@pytest.mark.slow
def test_devices_say_nothing_to_each_other_within_an_epoch():
    if jax.device_count() == 1:
        pytest.skip("one device has nobody to talk to")
    model = ej.MLP(hidden=(8,), batch_norm=ej.BatchNorm(), dropout=0.5)
    data, rates = ej.load("glyphs", size=660), {"learning_rate": RATES}
    runner = Runner(make_job(ej.Sweep(model, "adam", rates, 1, 1), data))
    programs = {name: made.as_text() for name, made in runner.compiled(runner.layout()[0]).items()}
    talk = jax.jit(
        jax.shard_map(
            lambda x: jax.lax.psum(x, "rows"),
            mesh=runner.mesh,
            in_specs=parallel.ROWS,
            out_specs=parallel.REPLICATED,
        )
    )
    programs["talk"] = talk.lower(np.zeros(runner.mesh.size)).compile().as_text()
    words = "all-reduce", "all-gather", "all-to-all", "collective-permute", "reduce-scatter"
    assert [name for name in programs if any(word in programs[name] for word in words)] == ["talk"]


class StopError(Exception):
    pass


@pytest.mark.slow
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
    assert ended([process]) == [0], (tmp_path / "log").read_text()
    assert "going on on" in (tmp_path / "log").read_text()
    curves = ej.load_curves(tmp_path / "run" / "curves.nc")
    np.testing.assert_allclose(curves.valid_error, expected.valid_error, rtol=1e-4)


def resume(out, options):
    train("float32", out=out, **options)


def plan(model=None, grid=None, **options):
    data = ej.load("glyphs", size=660)
    at_once = options.pop("trials_at_once", None)
    grid = grid or {"learning_rate": RATES}
    sweep = ej.Sweep(model or ej.MLP(hidden=(8,)), "adam", grid, **options)
    return forecast(sweep, data, trials_at_once=at_once)


def test_a_forecast_of_10_000_trials():
    made = plan(grid={"learning_rate": np.logspace(-3, -1, 2000).tolist()}, trials_at_once=64)
    # Rows of 25 settings of one seed, two at once: wider ones would leave a chunk of another shape.
    assert (made.trials, made.chunks, made.trials_at_once) == (10_000, 200, 50)
    assert made.devices == jax.device_count() == 2 and made.seconds > 0
    text = str(made)
    assert "10,000 trials of 10 epochs" in text and "50 trials at once" in text


def test_the_forecast_is_of_the_chunks_that_a_sweep_takes():
    made = plan(seeds=2)
    assert made.trials_at_once == train("float32").trials_at_once


@pytest.mark.slow
def test_what_does_not_fit_is_refused_and_what_is_advised_fits(monkeypatch, tmp_path):
    devices = jax.device_count()
    few = {"learning_rate": np.linspace(0.001, 0.1, 12).tolist()}
    memory = plan(grid=few, seeds=devices, trials_at_once=12 * devices).memory
    monkeypatch.setattr(forecasts, "memory_of", lambda device: memory.total)
    grid = {"learning_rate": np.linspace(0.001, 0.1, 40 * devices).tolist()}
    with pytest.raises(
        ej.InputError, match=r"take .* MiB on each device, which has .* would fit"
    ) as caught:
        plan(grid=grid, trials_at_once=40 * devices)
    advised = int(str(caught.value).split("about ")[1].split()[0])
    assert plan(grid=grid, trials_at_once=advised).memory.total <= memory.total
    assert advised >= 4 * devices
    with pytest.raises(ej.InputError, match="would fit"):
        train("float32", seeds=40, trials_at_once=200, out=tmp_path / "run")
    monkeypatch.setattr(forecasts, "memory_of", lambda device: 1000)
    with pytest.raises(ej.InputError, match="one trial on each device takes"):
        plan()
    assert not list(tmp_path.rglob("*.safetensors"))


def command_line(words):
    sys.argv[1:] = words.split()
    main.main("sweep")


@pytest.mark.slow
def test_10_000_trials_on_8_devices_are_planned_from_the_command_line(tmp_path):
    words = "--plan --learning-rate logspace(-4,-1,2000) --size 660 --hidden 8 --epochs 2"
    process = start(command_line, words, log=tmp_path / "log", devices=8)
    assert ended([process]) == [0], (tmp_path / "log").read_text()
    first, chunks, device, host, seconds = (tmp_path / "log").read_text().splitlines()
    assert first.startswith("10,000 trials of 2 epochs on 8 x CPU core")
    number, at_once, each = (int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", chunks))
    assert at_once == 8 * each and number == math.ceil(10_000 / at_once)
    assert re.match(r"memory:   [\d.]+ MiB a device, which has [\d.]+ GiB \(data ", device)
    assert re.match(r"host:     [\d.]+ MiB for metrics, kept networks and checkpoints; it ", host)
    assert re.match(r"time:     about [\d.]+ \w+ \(", seconds)


@pytest.mark.slow
def test_10_000_trials_that_cannot_fit_are_refused_with_advice(tmp_path):
    """In 2**40 bytes a trial; so wide that this needs no more than their shapes."""
    words = "--plan --learning-rate logspace(-4,-1,2000) --size 660 --hidden 8"
    caught = {}
    for more in ("", " --trials-at-once 10000"):
        process = start(in_little_memory, words + more, log=tmp_path / "log", devices=8)
        assert ended([process]) == [0 if not more else 2]
        caught[more] = (tmp_path / "log").read_text().splitlines()
    (line,) = caught[" --trials-at-once 10000"]
    assert re.match(r"error: 10000 trials at once take .* on each device, which has 32.0 MiB", line)
    advised = int(re.search(r"about (\d+) would fit \(trials_at_once\)", line)[1])
    assert 8 <= advised < 10_000 and advised % 8 == 0


def in_little_memory(words):
    forecasts.memory_of = lambda device: 32 * 2**20
    command_line(words)


def test_a_resumed_chunk_that_no_longer_fits_gets_advice_that_can_be_followed(
    tmp_path, monkeypatch
):
    save = Checkpoints.save

    def save_and_stop(self, state):
        save(self, state)
        raise StopError

    options = {"checkpoint_minutes": 0, "trials_at_once": 10, "out": tmp_path / "run"}
    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    with pytest.raises(StopError):
        train("float32", **options)
    monkeypatch.undo()
    few = plan(trials_at_once=jax.device_count()).memory.total
    monkeypatch.setattr(forecasts, "memory_of", lambda device: few)
    with pytest.raises(
        ej.InputError, match="its checkpoint or state goes on with as many"
    ) as caught:
        train("float32", **options | {"trials_at_once": 2})
    assert "use more devices or memory; begun again (--overwrite), about" in str(caught.value)


def test_a_host_without_room_for_what_is_kept_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(forecasts, "host_memory", lambda: 2**20)
    monkeypatch.setattr(forecasts, "memory_of", lambda device: 2**40)
    with pytest.raises(ej.InputError, match=r"take .* on the host, which has 1.0 MiB .* \(keep\)"):
        plan(keep="best")


def test_a_lack_on_another_host_is_reported_on_this_one_too(monkeypatch):
    """With a trial a device, all that there is to advise on is there already."""
    monkeypatch.setattr(hosts, "any_of", lambda *flags: (True,))
    with pytest.raises(ej.InputError, match="would fit"):
        plan(seeds=1, trials_at_once=jax.device_count())


LIMITS = {"memory.max": "0::/one/two", "memory/memory.limit_in_bytes": "3:memory:/one/two"}


@pytest.mark.parametrize("file", LIMITS)
@pytest.mark.parametrize("least", [0, 1, 2])
def test_the_least_limit_of_nested_control_groups_holds(tmp_path, file, least):
    membership = tmp_path / "proc" / "self" / "cgroup"
    membership.parent.mkdir(parents=True)
    membership.write_text(f"1:cpu:/other\n{LIMITS[file]}\n")
    tree, name = (tmp_path / "sys" / "fs" / "cgroup" / file).parent, Path(file).name
    for depth, folder in enumerate((tree, tree / "one", tree / "one" / "two")):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("1000\n" if depth == least else "max\n")
    assert memories._group_limits(tmp_path) == [1000]


def test_where_the_system_does_not_tell_its_memory_some_is_assumed(monkeypatch):
    monkeypatch.delattr(os, "sysconf")
    monkeypatch.setattr(memories, "_group_limits", list)
    assert memories.host_memory() == memories.UNKNOWN_MEMORY


CONNECTIONS = {
    ("nonsense", 2, 0): 'coordinator "nonsense": give HOST:PORT of process 0, or auto',
    ("host:port", 2, 0): "give HOST:PORT",
    ("host:70000", 2, 0): "give HOST:PORT",
    ("host:29500", 0, 0): "processes=0: give the number of all processes, 1 or more",
    ("host:29500", 2, 2): "process=2: give its number, from 0 to 1",
    ("host:29500", 2, -1): "process=-1: give its number, from 0 to 1",
}


@pytest.mark.parametrize("given", CONNECTIONS, ids=str)
def test_what_connects_to_nothing_is_refused_at_once(given):
    with pytest.raises(ej.InputError, match=re.escape(CONNECTIONS[given])):
        hosts.connect(*given)


def test_memory_is_what_the_arrays_take():
    """Of a network written out by hand: 784 x 8 + 8 + 8 x 47 + 47 weights and as many moments."""
    devices = jax.device_count()
    made = plan(seeds=devices, trials_at_once=5 * devices)
    weights = 784 * 8 + 8 + 8 * 47 + 47
    assert made.memory.trials == pytest.approx(5 * 3 * weights * 4, rel=0.01)
    data = ej.load("glyphs", size=660)
    images = len(data.train.labels) + len(data.valid.labels)
    assert made.memory.data == images * (784 + 4)
    assert Memory(1, 2, 3, 4).total == 6
    # Three times what a checkpoint holds: the chunk, and of every trial 4 metrics of 11 epochs.
    a_checkpoint = 5 * devices * (3 * weights * 4 + 4 * 11 * 4)
    assert made.memory.host == pytest.approx(3 * a_checkpoint, rel=0.01)
    kept = plan(seeds=devices, trials_at_once=5 * devices, keep="best").memory.host
    assert kept - made.memory.host == 3 * 5 * devices * weights * 4


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="measured on Linux only")
@pytest.mark.parametrize("study", benchmark.STUDIES)
def test_measured_memory_is_forecast_within_15_percent(study):
    # Of several devices no two need hold most at the same instant, which is what a process shows.
    measured = benchmark.run_alone(study, 1)
    assert abs(measured["error"]) < 0.15, measured
