"""The memory of devices and hosts against the forecast."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import flax.linen as nn
import jax
import numpy as np

import emnist_jax as ej
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.forecast import forecast, memory
from emnist_jax.engine.job import make_job


def measure() -> list[dict[str, object]]:
    """Return measured and forecast memory of every study, on one device and on all."""
    return [run_alone(study, n) for study in STUDIES for n in (1, len(jax.devices()))]


def measure_device(model: nn.Module, each: int) -> dict[str, object]:
    """Train networks for an epoch; return their memory on a device, forecast and measured.

    What a CPU device takes is read from the process's growth, so this needs a process of its own,
    and arrays so large that the rest does not count.
    """
    devices = jax.device_count()
    rates = {"learning_rate": np.geomspace(1e-4, 1e-3, each).tolist()}
    job = make_job(ej.Sweep(model, "adam", rates, devices, 1, 200), _images(4000))
    runner = Runner(job)
    (rows,) = runner.layout(job.trials)
    expected = memory(runner, rows).total
    state, chunk = runner.fresh([rows]), runner.chunk(rows)
    read = _peak_of_device if jax.default_backend() != "cpu" else _peak_of_process
    before = read(reset=True)
    trials = runner.start(chunk, [])
    for epoch in (0, 1):
        trials = runner.run_epoch(chunk, trials, 1) if epoch else trials
        runner.record(state, chunk, trials, epoch)
    found = read() - before
    if jax.default_backend() == "cpu":
        found /= devices
    return _compared(devices, job.trials, expected, found)


def measure_host(model: nn.Module, each: int) -> dict[str, object]:
    """Keep so many networks a device, trained one by one, in checkpoints; return as above.

    Their memory is that of the whole process, CPU devices included.
    """
    devices = jax.device_count()
    data, how = _images(400), {"trials_at_once": devices}
    rate = {"learning_rate": 1e-3}
    sweep = ej.Sweep(model, "adam", rate, each * devices, 1, 200, keep="last")
    ej.run(sweep.replace(seeds=devices), data, progress_bar=False, **how)  # compiles
    made = forecast(sweep, data, **how)
    before = _peak_of_process(reset=True)
    with TemporaryDirectory() as out:
        ej.run(sweep, data, out, progress_bar=False, **how)
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


def run_alone(study: str, devices: int) -> dict[str, object]:
    """Return what a study measures in a process of its own, with so many CPU devices."""
    command = [sys.executable, "-m", "benchmarks.devices", study]
    environment = os.environ | {"JAX_NUM_CPU_DEVICES": str(devices)}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {"study": study} | json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    print(json.dumps(STUDIES[sys.argv[1]]()), flush=True)
