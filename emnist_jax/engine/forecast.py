"""What a sweep will take, before it starts: chunks of trials, memory on a device, time."""

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from emnist_jax import hosts
from emnist_jax._setup import kept_programs, start_jax
from emnist_jax.data import Dataset
from emnist_jax.engine import growth
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.job import Job, make_job
from emnist_jax.engine.memory import bytes_of, host_memory, memory_of
from emnist_jax.engine.progress import duration
from emnist_jax.engine.sweep import Sweep
from emnist_jax.errors import InputError, check_count
from emnist_jax.store.files import located
from emnist_jax.store.provenance import describe_devices

STEPS = 20  # that are timed
# XLA on a CPU copies operands of matrix products that are summed over their last axis, such as the
# patches in the gradient of a convolution, several trials at once, and does not count the copies:
# an epoch of ConvNets was measured to take 1.1 to 1.3 times what it counts.
CPU_SCRATCH = 1.2
COPIES = 3  # of all that is in a checkpoint while it is written: arrays, their file, and once more


@dataclass(frozen=True)
class Memory:
    """Bytes on one device when a sweep holds most; as XLA counts for the compiled programs.

    On CPUs a fifth is added to the scratch of an epoch, for copies that XLA does not count.
    """

    data: int  # all images and labels: every device holds them
    trials: int  # parameters, variables and optimiser states of the device's trials
    scratch: int  # first draws, or activations, gradients, the images in the epoch's order
    host: int  # on the first host: metrics, kept networks, and the copies a checkpoint is made of

    @property
    def total(self) -> int:
        """Return the sum of what is on the device."""
        return self.data + self.trials + self.scratch


@dataclass(frozen=True)
class Forecast:
    """What a sweep will take; printed, it is a few lines."""

    trials: int  # to train: those that its folder lacks, or has for fewer epochs
    kept: int  # those that its folder has whole
    trials_at_once: int
    chunks: int
    epochs: int
    devices: int
    device: str  # number and model, as in the provenance of curves
    memory: Memory
    device_memory: int  # bytes that a device has
    host_memory: int  # bytes that a host has; CPU devices have a share of them
    seconds: float  # of training and evaluation, from steps measured here

    def __str__(self) -> str:
        memory, each = self.memory, -(-self.trials_at_once // self.devices)
        parts = f"data {_size(memory.data)}, trials {_size(memory.trials)}"
        kept = f" ({self.kept:,} more are there)" if self.kept else ""
        return (
            f"{self.trials:,} trials of {self.epochs} epochs on {self.device}{kept}\n"
            f"chunks:   {self.chunks:,}, each of {self.trials_at_once:,} trials at once, "
            f"{each:,} a device\n"
            f"memory:   {_size(memory.total)} a device, which has {_size(self.device_memory)} "
            f"({parts}, scratch {_size(memory.scratch)})\n"
            f"host:     {_size(memory.host)} for metrics, kept networks and checkpoints; it has "
            f"{_size(self.host_memory)}\n"
            f"time:     about {duration(self.seconds)} (from {STEPS} steps and an evaluation of "
            "one chunk, measured here; compiling, checkpoints and figures come on top)"
        )


@kept_programs()
def forecast(
    sweep: Sweep,
    data: Dataset | str | tuple,
    out: str | Path | None = None,
    *,
    trials_at_once: int | None = None,
) -> Forecast | None:
    """Return what a `run` of a sweep will take on this machine's devices.

    Its programs are compiled, and a few steps of one chunk are timed: seconds, however large it is.

    Args:
        sweep, data, trials_at_once: see `run`.
        out: the folder of the run, whose finished trials are not trained again; none by default.
            What a run that was interrupted there has done is not counted. Nothing is written.

    Returns:
        The forecast; None where `out` holds the whole sweep.

    Raises:
        InputError: bad arguments, `out` cannot be used, or the sweep does not fit; the message
            names what would.
    """
    start_jax()
    job = make_job(sweep, data)
    if trials_at_once is not None:
        check_count("trials_at_once", trials_at_once)
    options = {"call": "forecast", "trials_at_once": trials_at_once, "out": out is not None}
    hosts.agree(job.configuration | options)
    runner, folder = Runner(job), None if out is None else located(out)
    stored = None if folder is None else hosts.first(growth.read, job, folder)
    if stored is None:
        chunks = runner.layout(trials_at_once)
        begun = np.full(len(chunks), -1)
    elif growth.covers(stored, job):
        return None
    else:
        state = growth.grown(stored, runner, folder, trials_at_once)
        chunks = [one for one, at in zip(state.chunks, state.begun, strict=True) if at < job.epochs]
        begun = state.begun[state.begun < job.epochs]
    sizes = np.array([len(np.unique(trials)) for trials in chunks])
    largest = chunks[sizes.argmax()]
    needed = check_memory(runner, largest, resumed=begun[sizes.argmax()] >= 0)
    before, epoch = _chunk_seconds(job, largest)
    return Forecast(
        int(sizes.sum()),
        job.trials - int(sizes.sum()),
        int(sizes.max()),
        len(chunks),
        job.epochs,
        runner.for_chunk(largest).mesh.size,
        describe_devices(),
        needed,
        memory_of(runner.mesh.local_devices[0]),
        host_memory(),
        float((sizes / sizes.max() * (before + (job.epochs - begun.clip(0)) * epoch)).sum()),
    )


def check_memory(runner: Runner, trials: np.ndarray, resumed: bool = False) -> Memory:
    """Return the memory that a chunk of trials (rows, k) takes on a device and on the host.

    Where there is less, on any host, the `InputError` says how many trials would fit. Those of a
    run that is `resumed` cannot be fewer.
    """
    runner, size = runner.for_chunk(trials), len(np.unique(trials))
    needed = memory(runner, trials)
    has = hosts.least(memory_of(runner.mesh.local_devices[0]))
    if hosts.any_of(needed.total > has)[0]:
        taken = f"{size} trials at once take {_size(needed.total)} on each device, which has"
        raise InputError(f"{taken} {_size(has)}: {_advice(runner, size, needed, has, resumed)}")
    beside = needed.total * len(runner.mesh.local_devices) if runner.on_cpu else 0
    shared = " for them and its devices" if runner.on_cpu else ""
    has = hosts.least(host_memory())
    if hosts.any_of(needed.host + beside > has)[0]:
        raise InputError(
            f"metrics, kept networks and checkpoints take {_size(needed.host)} on the host, which "
            f"has {_size(has)}{shared}: split the sweep, train fewer trials at once "
            "(trials_at_once), or keep no networks (keep)"
        )
    return needed


def _advice(runner: Runner, size: int, needed: Memory, has: int, resumed: bool) -> str:
    """Return what to do about a chunk that does not fit on devices that have so many bytes."""
    devices = runner.mesh.size
    least = memory(runner, np.arange(devices)[:, None] % runner.job.trials).total
    if least > has:
        return (
            f"one trial on each device takes {_size(least)}, so use fewer images, a smaller batch "
            "or network, or devices with more memory"
        )
    each = -(-size // devices)
    fit = 1 + max(0, has - least) * (each - 1) // max(1, needed.total - least)
    would = f"about {fit * devices} would fit (trials_at_once)"
    if resumed:
        return (
            "its checkpoint or state goes on with as many alone: use more devices or memory; begun "
            f"again (--overwrite), {would}"
        )
    return would


def memory(
    runner: Runner, trials: np.ndarray, programs: Mapping[str, jax.stages.Compiled] | None = None
) -> Memory:
    """Return the memory that a chunk of trials (rows, k) takes on a device and the host.

    `programs` are those that `Runner.compiled` gives, where they are at hand.
    """
    programs = programs or runner.compiled(trials)
    used = {name: program.memory_analysis() for name, program in programs.items()}
    epoch = used["epoch"]
    data = bytes_of(runner.arrays)
    # The epoch's arguments are trials, their few hyperparameters, and training images and labels.
    states = epoch.argument_size_in_bytes - bytes_of(runner.arrays["train"])
    more = {name: CPU_SCRATCH if runner.on_cpu and name != "init" else 1.0 for name in used}
    scratch = max(round(more[name] * used[name].temp_size_in_bytes) for name in used)
    # What the epoch cannot write in place of its arguments.
    scratch += epoch.output_size_in_bytes - epoch.alias_size_in_bytes
    stored = runner.stored_bytes() + states * runner.mesh.size
    return Memory(data, states, scratch, COPIES * stored)


def _chunk_seconds(job: Job, rows: np.ndarray) -> tuple[float, float]:
    """Return the seconds a chunk takes before its first epoch and for each, from a few steps."""
    data, batch, at_once = job.data, job.structure.batch_size, job.structure.evaluations[0].batch
    few = {
        "train": _part(data.train, min(STEPS * batch, len(data.train.labels))),
        "valid": _part(data.valid, min(at_once, len(data.valid.labels))),
    }
    runner = Runner(dataclasses.replace(job, data=dataclasses.replace(data, **few)))
    runner = runner.for_chunk(rows)
    chunk = runner.chunk(rows)
    trials = runner.start(chunk, [])

    def timed(function) -> tuple[float, object]:
        began = time.perf_counter()
        made = jax.block_until_ready(function())
        return time.perf_counter() - began, made

    def evaluate():
        return runner.programs.evaluate(chunk.hyper, trials, runner.data)

    trials = runner.run_epoch(chunk, trials, 1)  # compiles
    timed(evaluate)
    training, trials = timed(lambda: runner.run_epoch(chunk, trials, 2))
    evaluating, _ = timed(evaluate)
    steps = len(few["train"].labels) // batch
    seen = len(few["train"].labels) + len(few["valid"].labels)
    images = len(data.train.labels) + len(data.valid.labels)
    evaluated = evaluating / seen * images  # before training too
    return evaluated, training / steps * (len(data.train.labels) // batch) + evaluated


def _part(split, count: int):
    return type(split)(split.images[:count], split.labels[:count])


def _size(size: float) -> str:
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.1f} MiB"
