"""Many devices: memory against the forecast, and the time on devices that this machine lacks."""

import json
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import flax.linen as nn
import jax
import numpy as np

import emnist_jax as ej
from benchmarks import ours
from benchmarks.timing import seconds_of
from emnist_jax import hosts
from emnist_jax.engine import programs as parallel
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.forecast import forecast
from emnist_jax.engine.forecast import memory as forecast_memory
from emnist_jax.engine.job import make_plan

IMAGES, VALID, EPOCHS = 100_000, 15_800, 100  # the paper's protocol
EACH, PER_HOST, MINUTES = 10, 8, 5  # trials and devices together; minutes between checkpoints
COUNTS = 8, 64, 512


def measure(data: ej.Dataset, checkpoint: dict, quick: bool) -> dict[str, object]:
    """Return measured and forecast memory, and the cost model with its measured parts.

    `checkpoint` is a row of the checkpoint study: what it costs to save so many MiB.
    """
    parts = measured_parts(data, quick)
    parts["save_bytes_per_second"] = checkpoint["mib"] * 2**20 / checkpoint["save"]["median"]
    return {
        "memory": [run_alone(study, n) for study in STUDIES for n in (1, len(jax.devices()))],
        "parts": parts,
        "model": [model(parts, devices) for devices in COUNTS],
    }


# Memory


def measure_device(model: nn.Module, each: int) -> dict[str, object]:
    """Train networks for an epoch; return their memory on a device, forecast and measured.

    What a CPU device takes is told by how much the process grows, so this needs a process of its
    own, and arrays so large that the rest does not count.
    """
    devices = jax.device_count()
    grid = {"learning_rate": 1e-3}
    plan = make_plan(
        _images(4000), model, "adam", grid, each * devices, 1, 200, None, "float32", None
    )
    runner = Runner(plan)
    expected = forecast_memory(runner, 0, plan.trials).total
    state, chunk = runner.fresh(plan.trials), runner.chunk(0, plan.trials)
    read = _peak_of_device if jax.default_backend() != "cpu" else _peak_of_process
    before = read(reset=True)
    trials = runner.start(chunk, [])
    for epoch in (0, 1):
        trials = runner.run_epoch(chunk, trials, 1) if epoch else trials
        runner.record(state, chunk, trials, epoch)
    found = read() - before
    if jax.default_backend() == "cpu":
        found /= devices
    return _compared(devices, plan.trials, expected, found)


def measure_host(model: nn.Module, each: int) -> dict[str, object]:
    """Keep so many networks a device, trained one by one, in checkpoints; return as above.

    Their memory is that of the whole process, CPU devices included.
    """
    devices = jax.device_count()
    what = _images(400), model, "adam", {"learning_rate": 1e-3}
    how = {"epochs": 1, "batch_size": 200, "keep": "last", "trials_at_once": devices}
    ej.sweep(*what, seeds=devices, progress_bar=False, **how)  # compiles
    made = forecast(*what, seeds=each * devices, **how)
    before = _peak_of_process(reset=True)
    with TemporaryDirectory() as out:
        ej.sweep(*what, seeds=each * devices, out=out, progress_bar=False, **how)
    found = _peak_of_process() - before
    return _compared(devices, made.trials, made.memory.total * devices + made.memory.host, found)


def _images(count: int) -> ej.Dataset:
    random = np.random.default_rng(0)
    splits = {
        part: (random.integers(0, 256, (n, 28, 28, 1), np.uint8), np.arange(n, dtype=np.int32) % 10)
        for part, n in (("train", count), ("valid", count // 4), ("test", 10))
    }
    return ej.load(splits)


def _compared(devices: int, trials: int, expected: int, found: float) -> dict[str, object]:
    return {
        "devices": devices,
        "trials": trials,
        "forecast_mib": expected / 2**20,
        "measured_mib": found / 2**20,
        "error": expected / found - 1,
    }


def _peak_of_device(reset: bool = False) -> int:
    return 0 if reset else jax.local_devices()[0].memory_stats()["peak_bytes_in_use"]


def _peak_of_process(reset: bool = False) -> int:
    """Return the most memory this process has had, or after a reset, what it has (Linux)."""
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024


STUDIES = {
    "dense": partial(measure_device, ej.MLP(hidden=(1000, 500)), 8),
    "convolutional": partial(measure_device, ej.ConvNet(channels=(10, 20), hidden=(500,)), 4),
    "kept on the host": partial(measure_host, ej.MLP(hidden=(500,)), 30),
}


# The cost model


def measured_parts(data: ej.Dataset, quick: bool) -> dict[str, float]:
    """Return the parts of an epoch on one device, and what hosts cost, in seconds and bytes."""
    network, rule = ours.NETWORKS["dense"], "adam"
    part = ours.part(data, 1000 if quick else 5000)
    sweep = ours.Sweep(part, network, rule, EACH, at_once=EACH, devices=1)
    images, labels = sweep.runner.data["train"]
    shuffle = jax.jit(lambda *args: list(parallel.minibatches(*args)), static_argnums=2)
    everything = ours.part(data, 2000 if quick else 20_000).train
    everything = everything.images, everything.labels
    on_device = [jax.device_put(a, jax.devices()[0]) for a in everything]
    counted = len(everything[1])
    times = {
        "epoch": sweep.epoch,
        "evaluation": sweep.evaluate,
        "shuffle_few": lambda: jax.block_until_ready(shuffle(images, labels, ours.BATCH, 1)),
        "shuffle": lambda: jax.block_until_ready(shuffle(*on_device, ours.BATCH, 1)),
        "replicate": lambda: jax.block_until_ready(
            parallel.place(parallel.trial_mesh(1), everything, parallel.REPLICATED)
        ),
    }
    found = {name: _median(function) for name, function in times.items()}
    seen = len(labels) + len(part.valid.labels)
    return {
        "step": (found["epoch"] - found["shuffle_few"]) / sweep.steps / EACH,
        "evaluation_image": found["evaluation"] / seen / EACH,
        "shuffle_image": found["shuffle"] / counted,
        "replicate_bytes_per_second": sum(a.nbytes for a in everything) / found["replicate"],
        "data_bytes": (IMAGES + VALID) * (everything[0][0].nbytes + 4),
        "trial_bytes": parallel.bytes_of(sweep.state) / EACH,
        **_exchange(2 if quick else 5),
    }


def _median(function, rounds: int = 5) -> float:
    function()
    return median(seconds_of(function) for _ in range(rounds))


def measure_exchange(rounds: int) -> dict[str, float]:
    """Return what two connected processes take for an epoch's flags and metrics, and for bytes."""
    mesh = parallel.trial_mesh()
    few = parallel.place(mesh, {str(i): np.zeros(EACH * mesh.size, "f") for i in range(4)})
    many = parallel.place(mesh, np.zeros((mesh.size, 2**22), "f"))

    def epoch():
        hosts.any_of(False, False)
        hosts.gather(few)

    return {
        "exchange": _median(epoch, 5 * rounds),
        "exchange_bytes_per_second": many.nbytes / _median(lambda: hosts.gather(many), rounds),
    }


def _exchange(rounds: int) -> dict[str, float]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    commands = [["exchange", str(rounds), address, "2", str(i)] for i in range(2)]
    processes = [_start(command, devices=1) for command in commands]
    said = [process.communicate()[0] for process in processes]
    return _answer(said[0])


def model(parts: dict[str, float], devices: int) -> dict[str, float]:
    """Return the seconds of a sweep of one chunk, `EACH` trials a device, by what takes them.

    Assumed: every device is as fast as the one that was measured alone; a host has `PER_HOST`
    devices; hosts exchange in a ring, each of its steps as slow as two processes here; every host
    reads its own data; the first host gathers and writes a checkpoint every `MINUTES`.
    """
    among = -(-devices // PER_HOST)
    images = IMAGES + VALID
    training = EPOCHS * (
        EACH * (IMAGES // ours.BATCH * parts["step"] + images * parts["evaluation_image"])
        + IMAGES * parts["shuffle_image"]
    )
    state = EACH * devices * parts["trial_bytes"]
    gather = state / parts["exchange_bytes_per_second"] if among > 1 else 0.0
    checkpoints = max(1, training // (60 * MINUTES))
    seconds = {
        "training": training,
        "exchange": EPOCHS * (among - 1) * parts["exchange"],
        "checkpoints": checkpoints * (gather + state / parts["save_bytes_per_second"]),
        "replication": min(devices, PER_HOST)
        * parts["data_bytes"]
        / parts["replicate_bytes_per_second"],
    }
    efficiency = training / sum(seconds.values())
    return (
        {"devices": devices, "hosts": among, "trials": EACH * devices}
        | seconds
        | {"efficiency": efficiency}
    )


# Processes of their own


def run_alone(study: str, devices: int) -> dict[str, object]:
    """Return what a study measures in a process of its own, with so many CPU devices."""
    return {"study": study} | _answer(_start([study], devices).communicate()[0])


def _start(arguments: list[str], devices: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "benchmarks.devices", *arguments]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _answer(said: str) -> dict:
    return json.loads(said.splitlines()[-1])  # JAX says something of its own before


if __name__ == "__main__":
    study, *more = sys.argv[1:]
    if study == "exchange":
        rounds, address, *numbers = more
        hosts.connect(address, *map(int, numbers))
        found = measure_exchange(int(rounds))
    else:
        found = STUDIES[study]()
    print(json.dumps(found), flush=True)
