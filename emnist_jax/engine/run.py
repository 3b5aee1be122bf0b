"""A sweep: every setting of a grid with every seed, trained at once; labelled curves come out."""

import dataclasses
import json
import os
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import flax.linen as nn
import numpy as np
import xarray as xr

from emnist_jax import hosts, rules
from emnist_jax.data import Dataset, load
from emnist_jax.data.pictures import form_of
from emnist_jax.engine.chunks import Chunk, Runner, arrays_of
from emnist_jax.engine.forecast import check_memory
from emnist_jax.engine.grid import GridLike
from emnist_jax.engine.job import Job, make_job
from emnist_jax.engine.progress import Progress, progress
from emnist_jax.engine.sweep import Sweep, check_names
from emnist_jax.errors import InputError, check_count
from emnist_jax.store import networks
from emnist_jax.store.checkpoint import Checkpoints, State, check_same, locked, stop_signals
from emnist_jax.store.curves import load_curves, save_curves
from emnist_jax.store.networks import Networks, load_networks
from emnist_jax.store.provenance import describe_devices, provenance


def sweep(
    data: Dataset | str | tuple, model: nn.Module, rule: str | rules.Rule, grid: GridLike, **options
) -> xr.Dataset | tuple[xr.Dataset, Networks]:
    """Train every setting of a grid with every seed and return their curves.

    Args:
        data: a `Dataset`, or what `load` takes.
        model: see `Sweep`.
        rule: see `Sweep`.
        grid: see `Sweep`.
        **options: further fields of `Sweep` (seeds, epochs, ...) and options of `run` (out, ...).

    Returns:
        What `run` returns.

    Raises:
        InputError: an invalid argument, or an `out` that cannot be used.
    """
    check_names(options, Sweep, run)
    names = {one.name for one in dataclasses.fields(Sweep)}
    chosen = {name: value for name, value in options.items() if name in names}
    rest = {name: value for name, value in options.items() if name not in names}
    return run(Sweep(model, rule, grid, **chosen), data, **rest)


def run(
    sweep: Sweep,
    data: Dataset | str | tuple,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    checkpoint_minutes: float = 5.0,
    trials_at_once: int | None = None,
    progress_bar: bool = True,
) -> xr.Dataset | tuple[xr.Dataset, Networks]:
    """Train a sweep on data and return its curves.

    Args:
        sweep: what to train.
        data: a `Dataset`, or what `load` takes.
        out: a folder for curves.nc and checkpoints; the same call resumes or returns what is there.
        overwrite: begin again, whatever `out` holds.
        checkpoint_minutes: minutes between checkpoints.
        trials_at_once: trials trained together; by default as many as suits the device.
        progress_bar: whether to show progress.

    Returns:
        Curves: one dimension a listed hyperparameter, then `seed` and `epoch` (0: before any
        update); variables `train_error`, `valid_error` (nats), `train_accuracy`,
        `valid_accuracy` (0 to 1), means over all images in evaluation mode, and those of
        `metrics`. From the epoch a trial diverges it holds NaN. Attributes hold the provenance.
        With `keep`, a pair: the curves, and the `Networks`.

    Raises:
        InputError: an invalid argument, or an `out` that cannot be used.
        LostHostError: another host has ended or is out of reach (see `hosts`).
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after saving when `out` is given.
    """
    data = data if isinstance(data, Dataset) else load(data)
    job = make_job(sweep, data)
    options = {"trials_at_once": trials_at_once, "overwrite": overwrite, "out": out is not None}
    hosts.agree(job.configuration() | {"call": "sweep"} | options)
    if trials_at_once is not None:
        check_count("trials_at_once", trials_at_once)
    if not isinstance(checkpoint_minutes, int | float) or not checkpoint_minutes >= 0:
        raise InputError(f"checkpoint_minutes={checkpoint_minutes!r}: give minutes, 0 or more")
    if out is not None and not isinstance(out, str | os.PathLike):
        raise InputError(f"out={out!r}: give the path of a folder")
    with ExitStack() as stack:
        checkpoints, stop = None, Event()
        if out is not None:
            folder = Path(out)
            checkpoints = Checkpoints(
                folder / "checkpoint",
                job.configuration(),
                describe_devices(),
                checkpoint_minutes,
            )
            if not overwrite and (curves := _finished(job, folder)) is not None:
                checkpoints.clear()  # a run may be killed between its results and this
                return curves if sweep.keep is None else (curves, _finished_networks(job, folder))
            hosts.first(stack.enter_context, locked(folder))
            if overwrite:
                hosts.first(_remove, folder)
                checkpoints.clear()
            stop = stack.enter_context(stop_signals())
        show = stack.enter_context(progress(progress_bar and hosts.is_first()))
        curves, trained = _run(job, trials_at_once, checkpoints, stop, show)
        if checkpoints is not None:
            if trained is not None:
                hosts.first(trained.save, folder / networks.FILE)
            # Last: its presence says that all is there.
            hosts.first(save_curves, curves, folder / "curves.nc")
            checkpoints.clear()
        if hosts.any_of(stop.is_set())[0]:  # while the results were written
            raise KeyboardInterrupt
    return curves if trained is None else (curves, trained)


def finished(sweep: Sweep, data: Dataset | str | tuple, out: str | Path) -> xr.Dataset | None:
    """Return the curves of a finished run of a sweep in `out`, None if there is none.

    Raises:
        InputError: an invalid field of the sweep, or `out` holds another run.
    """
    data = data if isinstance(data, Dataset) else load(data)
    return _finished(make_job(sweep, data), Path(out))


def _remove(folder: Path) -> None:
    """Remove what a run, and what was made from it, left in a folder; its curves first."""
    try:
        for name in ("curves.nc", "test/curves.nc", networks.FILE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be removed: {error.strerror}") from error


def _finished(job: Job, folder: Path) -> xr.Dataset | None:
    return hosts.first(_read_finished, job, folder)


def _read_finished(job: Job, folder: Path) -> xr.Dataset | None:
    if not (folder / "curves.nc").exists():
        return None
    curves = load_curves(folder / "curves.nc")
    begun = json.loads(curves.attrs.get("configuration", "{}"))
    # Finished curves name the code they came from; only unfinished ones must not change it. What an
    # older version did not record is not compared.
    now = {name: value for name, value in job.configuration().items() if name in begun}
    check_same(folder, begun, now, ignore=("code", "versions"))
    return curves


def _finished_networks(job: Job, folder: Path) -> Networks:
    try:
        return load_networks(folder / networks.FILE, job.structure.model)
    except InputError as error:
        raise InputError(f"{error}; use --overwrite to train the networks again") from None


def _run(
    job: Job,
    trials_at_once: int | None,
    checkpoints: Checkpoints | None,
    stop: Event,
    show: Progress,
) -> tuple[xr.Dataset, Networks | None]:
    """Train all chunks in turn, from the last checkpoint if there is one."""
    began = time.monotonic()
    stored = checkpoints.restore() if checkpoints else None
    runner = Runner(job)
    state = runner.fresh(trials_at_once) if stored is None else stored
    check_memory(runner, state.chunk, state.chunk_size, resumed=stored is not None)
    began -= state.wall_seconds
    chunks = -(-job.trials // state.chunk_size)
    show.start(job.epochs, _names(job), chunks)
    for number in range(state.chunk, chunks):
        runner = runner.for_chunk(number, state.chunk_size)
        chunk = runner.chunk(number, state.chunk_size)
        trials = runner.start(chunk, state.arrays)
        for epoch in range(state.epoch + 1, job.epochs + 1):
            if epoch > 0:
                seconds = time.perf_counter()
                trials = runner.run_epoch(chunk, trials, epoch)
                state.seconds[number, epoch - 1] = time.perf_counter() - seconds
            runner.record(state, chunk, trials, epoch)
            done = number * job.epochs + epoch
            lost = _diverged(state, chunk, epoch)
            show.update(done, state.values["valid_accuracy"], lost)
            due = checkpoints is not None and checkpoints.due
            due, stopped = hosts.any_of(due, stop.is_set())
            if checkpoints and (due or stopped or epoch == job.epochs):
                wall = time.monotonic() - began
                arrays = arrays_of(trials, chunk)
                checkpoints.save(
                    state._replace(chunk=number, epoch=epoch, arrays=arrays, wall_seconds=wall)
                )
            if stopped:
                raise KeyboardInterrupt
        state = state._replace(epoch=-1, arrays=[])
    curves = _label(job, state, time.monotonic() - began)
    return curves, _label_networks(job, runner, state, curves) if job.keep else None


def _names(job: Job) -> list[str]:
    """Return a name a setting: the numbers it differs in from others, else the rule's."""
    settings = job.grid.settings
    varied = [name for name in settings[0] if len({setting[name] for setting in settings}) > 1]
    return [
        ", ".join(f"{name} {setting[name]:.4g}" for name in varied) or job.rule_name
        for setting in settings
    ]


def _diverged(state: State, chunk: Chunk, epoch: int) -> int:
    """Return how many trials have diverged, up to this epoch of this chunk."""
    errors = state.values["valid_error"]
    before = np.isnan(errors[: chunk.trials.start, -1]).sum()
    return int(before + np.isnan(errors[chunk.trials, epoch]).sum())


def _label(job: Job, state: State, wall: float) -> xr.Dataset:
    """Return the values as labelled curves with their provenance."""
    dims, shape = (*job.dims, "epoch"), (*job.shape, job.epochs + 1)
    coords = {**job.coords, "epoch": ("epoch", np.arange(job.epochs + 1, dtype=np.int32))}
    configuration = job.configuration()
    named = ("data", "data_hash", "split_hash", "model", "rule", "batch_size")
    attrs = provenance(configuration)
    attrs |= {name: configuration[name] for name in named}
    attrs |= {f"{part}_images": len(getattr(job.data, part)) for part in ("train", "valid")}
    attrs |= {
        "trials_at_once": state.chunk_size,
        "seconds_per_epoch": float(np.median(state.seconds, axis=1).sum() / job.trials),
        "wall_seconds": wall,
    }
    return xr.Dataset({k: (dims, v.reshape(shape)) for k, v in state.values.items()}, coords, attrs)


def _label_networks(job: Job, runner: Runner, state: State, curves: xr.Dataset) -> Networks:
    """Return the networks kept, with what their curves say at their epochs."""
    epoch = xr.DataArray(state.kept_epoch.reshape(job.shape), job.coords, job.dims)
    kept = curves[["valid_accuracy", "valid_error"]].sel(epoch=epoch).drop_vars("epoch")
    return Networks(
        job.structure.model,
        runner.networks(state),
        kept.assign(epoch=epoch).drop_attrs(),
        job.structure.evaluation_batch,
        job.data.classes,
        form_of(job.data.train.images),
    )
