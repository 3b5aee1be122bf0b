"""A sweep: every setting of a grid with every seed, trained at once; labelled curves come out."""

import dataclasses
import json
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import flax.linen as nn
import numpy as np
import xarray as xr

from emnist_jax import console, hosts, rules
from emnist_jax._setup import kept_programs, start_jax
from emnist_jax.data import Dataset
from emnist_jax.data.pictures import form_of
from emnist_jax.engine import growth
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.forecast import check_memory
from emnist_jax.engine.grid import GridLike
from emnist_jax.engine.job import Job, make_job
from emnist_jax.engine.progress import Progress, progress
from emnist_jax.engine.stop import stop_signals
from emnist_jax.engine.sweep import Sweep, check_names
from emnist_jax.errors import InputError, check_count
from emnist_jax.store import networks
from emnist_jax.store.checkpoint import Checkpoints, State, locked
from emnist_jax.store.curves import save_curves
from emnist_jax.store.files import located
from emnist_jax.store.networks import Networks
from emnist_jax.store.provenance import describe_devices, provenance, runs_of


def sweep(
    data: Dataset | str | tuple,
    model: nn.Module,
    rule: str | rules.Rule,
    grid: GridLike,
    **options: Any,
) -> xr.Dataset | tuple[xr.Dataset, Networks]:
    """Train every setting of a grid with every seed and return their curves.

    Args:
        data: a `Dataset`, or what `load` takes.
        model, rule, grid: see `Sweep`.
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


@kept_programs()
def run(
    sweep: Sweep,
    data: Dataset | str | tuple,
    out: str | Path | None = None,
    *,
    overwrite: bool = False,
    keep_state: bool = False,
    checkpoint_minutes: float = 5.0,
    trials_at_once: int | None = None,
    progress_bar: bool = True,
) -> xr.Dataset | tuple[xr.Dataset, Networks]:
    """Train a sweep on data and return its curves.

    Args:
        sweep: what to train.
        data: a `Dataset`, or what `load` takes.
        out: a folder for curves.nc and checkpoints. The same call again resumes an interrupted
            run and returns a finished one; with more seeds, settings or epochs it trains what is
            missing; with fewer it returns a selection.
        overwrite: begin again, whatever `out` holds.
        keep_state: keep the final states in `out` too, so that more epochs can go on from there.
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
        KeyboardInterrupt: on Ctrl-C, SIGTERM or SIGHUP, after saving when `out` is given.
    """
    start_jax()
    job = make_job(sweep, data)
    options = {"trials_at_once": trials_at_once, "overwrite": overwrite, "out": out is not None}
    hosts.agree(job.configuration | {"call": "run", "keep_state": keep_state} | options)
    if trials_at_once is not None:
        check_count("trials_at_once", trials_at_once)
    if not isinstance(checkpoint_minutes, int | float) or not checkpoint_minutes >= 0:
        raise InputError(f"checkpoint_minutes={checkpoint_minutes!r}: give minutes, 0 or more")
    if out is None:
        if keep_state:
            raise InputError("keep_state keeps states in a folder: give out=...")
        with progress(progress_bar and hosts.is_first()) as show:
            return _trained(job, trials_at_once, None, False, None, Event(), show)
    folder = located(out)
    checkpoints = Checkpoints(
        folder / "checkpoint", job.configuration, describe_devices(), checkpoint_minutes
    )
    if not overwrite and (found := _found(job, folder, checkpoints)) is not None:
        if progress_bar and hosts.is_first():
            console.show(f"{folder}: complete, nothing trained")
        if keep_state:
            hosts.first(_report_states, job, folder)
        return found
    with ExitStack() as stack:
        hosts.first(stack.enter_context, locked(folder))
        if overwrite:
            hosts.first(_remove, folder)
            checkpoints.clear()
        stop = stack.enter_context(stop_signals())
        show = stack.enter_context(progress(progress_bar and hosts.is_first()))
        made = _trained(job, trials_at_once, folder, keep_state, checkpoints, stop, show)
        curves, trained = made if job.keep else (made, None)
        if trained is not None:
            hosts.first(trained.save, folder / networks.FILE)
        # Last: its presence means that all is there.
        hosts.first(save_curves, curves, folder / "curves.nc")
        checkpoints.clear()
        hosts.first(growth.remove_states, folder, job.epochs if keep_state else None)
        if keep_state:
            hosts.first(_report_states, job, folder)
        if hosts.any_of(stop.is_set())[0]:  # while the results were written
            raise KeyboardInterrupt("all saved")
    return made


def finished(sweep: Sweep, data: Dataset | str | tuple, out: str | Path) -> xr.Dataset | None:
    """Return the curves of a finished run of a sweep in `out`, None if some are missing there.

    Raises:
        InputError: an invalid field of the sweep, or `out` holds another run.
    """
    job = make_job(sweep, data)
    stored = hosts.first(growth.read, job, located(out))
    return growth.selection(stored, job) if stored and growth.covers(stored, job) else None


def _found(
    job: Job, folder: Path, checkpoints: Checkpoints
) -> xr.Dataset | tuple[xr.Dataset, Networks] | None:
    """Return what a folder holds of a job, None if some of it is missing there."""
    stored = hosts.first(growth.read, job, folder)
    if stored is None or not growth.covers(stored, job):
        return None
    checkpoints.clear_of(job.configuration)  # a run may be killed before it does
    curves = growth.selection(stored, job)
    return (curves, growth.select_networks(stored, job, folder)) if job.keep else curves


def _remove(folder: Path) -> None:
    """Remove what a run, and what was made from it, left in a folder; its curves first."""
    try:
        for name in ("curves.nc", "test/curves.nc", networks.FILE):
            (folder / name).unlink(missing_ok=True)
        growth.remove_states(folder, None)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be removed: {error.strerror}") from error


def _trained(
    job: Job,
    trials_at_once: int | None,
    folder: Path | None,
    keep_state: bool,
    checkpoints: Checkpoints | None,
    stop: Event,
    show: Progress,
) -> xr.Dataset | tuple[xr.Dataset, Networks]:
    """Train all chunks in turn, from a checkpoint or the folder's curves if there are any."""
    began = time.monotonic()
    runner = Runner(job)
    stored = hosts.first(growth.read, job, folder) if folder else None  # now that it is locked
    state, resumed = _begin(runner, stored, folder, checkpoints, trials_at_once)
    todo = [i for i in range(state.chunk, len(state.chunks)) if state.begun[i] < job.epochs]
    if todo:
        largest = max(todo, key=lambda i: len(np.unique(state.chunks[i])))
        fixed = resumed or state.begun[largest] >= 0
        check_memory(runner, state.chunks[largest], resumed=fixed)
    began -= state.wall_seconds
    show.start(job.epochs, _names(job), _before(job, state))
    if resumed:
        show.line(f"resuming at {show.at(state.chunk, state.epoch)}")
    for number in todo:
        # From all devices anew: the next chunk may have more rows than the last one.
        wanted = Runner(job).for_chunk(state.chunks[number])
        runner = runner if runner.mesh == wanted.mesh else wanted
        chunk = runner.chunk(state.chunks[number])
        if state.epoch < 0 <= state.begun[number]:
            epoch = int(state.begun[number])
            arrays = hosts.first(growth.load_state, folder, job, epoch, state, number)
            state = state._replace(epoch=epoch, arrays=arrays)
        trials = runner.start(chunk, state.arrays)
        for epoch in range(state.epoch + 1, job.epochs + 1):
            if epoch > 0:
                seconds = time.perf_counter()
                trials = runner.run_epoch(chunk, trials, epoch)
                state.seconds[number, epoch - 1] = time.perf_counter() - seconds
            runner.record(state, chunk, trials, epoch)
            due = checkpoints is not None and checkpoints.due
            due, stopped = hosts.any_of(due, stop.is_set())
            last = epoch == job.epochs
            if checkpoints and (due or stopped or last):
                arrays, wall = runner.arrays_of(trials, chunk), time.monotonic() - began
                if last and keep_state:
                    rows = state.chunks[number]
                    hosts.first(growth.save_state, folder, job, number, rows, arrays)
                checkpoints.save(
                    state._replace(chunk=number, epoch=epoch, arrays=arrays, wall_seconds=wall)
                )
            lost = _diverged(state, number, epoch)
            show.update(number, epoch, state.values["valid_accuracy"], lost)
            if stopped:
                raise KeyboardInterrupt(f"{show.at(number, epoch)} saved")
        state = state._replace(epoch=-1, arrays=[])
    curves = _label(job, state, stored, time.monotonic() - began)
    return (curves, _label_networks(job, runner, state, curves)) if job.keep else curves


def _begin(
    runner: Runner,
    stored: growth.Finished | None,
    folder: Path | None,
    checkpoints: Checkpoints | None,
    trials_at_once: int | None,
) -> tuple[State, bool]:
    """Return the state to begin with, and whether it is that of a checkpoint."""
    if stored is not None and stored.is_whole:
        checkpoints.clear_of(stored.configuration)  # a run may be killed before it does
    if checkpoints and (state := checkpoints.restore()) is not None:
        return state, True
    if stored is None:
        return runner.fresh(runner.layout(trials_at_once)), False
    state = growth.grown(stored, runner, folder, trials_at_once)
    if hosts.is_first():
        _report_growth(stored, state, runner.job)
    return state, False


def _report_growth(stored: growth.Finished, state: State, job: Job) -> None:
    """Print how many trials are kept and how many trained, and whether other code trained them."""
    kept, more = len(stored.numbers), job.trials - len(stored.numbers)
    longer = f" (they go on from epoch {stored.epochs})" if job.epochs > stored.epochs else ""
    console.show(f"{kept} trials kept{longer}, {more} trained")
    differing = [n for n in growth.CODE if stored.configuration.get(n) != job.configuration[n]]
    if differing:
        console.show(f"the trials kept were trained by other {' and '.join(differing)}")


def _report_states(job: Job, folder: Path) -> None:
    """Print how many trials no more epochs can go on from, if any."""
    if lacking := job.trials - growth.states(job, folder):
        console.show(
            f"{folder}: the final states of {lacking} of {job.trials} trials were not kept when "
            "they were trained; --overwrite trains them anew"
        )


def _names(job: Job) -> list[str]:
    """Return one name per setting: the numbers it differs in from others, else the rule's."""
    settings = job.grid.settings
    varied = [name for name in settings[0] if len({setting[name] for setting in settings}) > 1]
    return [
        ", ".join(f"{name} {setting[name]:.4g}" for name in varied) or job.rule_name
        for setting in settings
    ]


def _before(job: Job, state: State) -> list[int]:
    """Return of each chunk how many epochs are not trained now, but were before."""
    before = state.begun.clip(0)
    before[: state.chunk] = job.epochs
    if state.epoch >= 0:
        before[state.chunk] = state.epoch
    return before.tolist()


def _diverged(state: State, chunk: int, epoch: int) -> int:
    """Return how many trials have diverged, up to this epoch of this chunk."""
    errors = state.values["valid_error"]
    last = np.full(len(errors), errors.shape[1] - 1)
    for number, trials in enumerate(state.chunks[chunk:], chunk):
        last[np.unique(trials)] = epoch if number == chunk else state.begun[number]
    latest = np.take_along_axis(errors, last[:, None].clip(0), axis=1)[:, 0]
    return int(np.isnan(latest)[last >= 0].sum())


def _label(job: Job, state: State, stored: growth.Finished | None, wall: float) -> xr.Dataset:
    """Return the values as labelled curves with their provenance."""
    configuration = job.configuration
    named = ("data", "data_hash", "split_hash", "model", "rule", "batch_size", "order")
    attrs = provenance(configuration)
    attrs |= {name: configuration[name] for name in named}
    attrs |= {f"{part}_images": len(getattr(job.data, part)) for part in ("train", "valid")}
    ran = ~np.isnan(state.seconds).all(1)
    sizes = np.array([len(np.unique(trials)) for trials in state.chunks])
    trained = int(sizes[ran].sum())
    this = {name: attrs[name] for name in ("command", "versions", "device", "commit")}
    this |= {"code": configuration["code"], "wall_seconds": wall, "trials": trained}
    runs = [*(runs_of(stored.curves) if stored else ()), this]
    attrs |= {
        "runs": json.dumps(runs),
        "trials_at_once": int(sizes.max()),
        "seconds_per_epoch": float(np.nanmedian(state.seconds[ran], axis=1).sum() / trained),
        "wall_seconds": sum(one["wall_seconds"] for one in runs),
    }
    return growth.labelled(job, state.values, attrs)


def _label_networks(job: Job, runner: Runner, state: State, curves: xr.Dataset) -> Networks:
    """Return the networks kept, with what their curves hold at their epochs."""
    return Networks(
        job.structure.model,
        runner.networks(state),
        growth.kept_labels(job, state.kept_epoch, curves),
        job.structure.evaluations[0].batch,
        job.data.classes,
        form_of(job.data.train.images, background=job.data.background),
    )
