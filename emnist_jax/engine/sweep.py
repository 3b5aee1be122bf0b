"""A sweep: every setting of a grid with every seed, trained at once; labelled curves come out."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import flax.linen as nn
import numpy as np
import xarray as xr

from emnist_jax import hosts, rules, train
from emnist_jax.data import Dataset, load
from emnist_jax.data.pictures import form_of
from emnist_jax.engine.chunks import Chunk, Runner, arrays_of
from emnist_jax.engine.forecast import check_memory
from emnist_jax.engine.grid import GridLike
from emnist_jax.engine.job import Plan, make_plan
from emnist_jax.engine.progress import Progress, progress
from emnist_jax.errors import InputError, check_count
from emnist_jax.store import networks
from emnist_jax.store.checkpoint import Checkpoints, State, check_same, locked, stop_signals
from emnist_jax.store.curves import load_curves, save_curves
from emnist_jax.store.networks import Networks, load_networks
from emnist_jax.store.provenance import describe_devices, provenance


def sweep(
    data: Dataset | str | tuple,
    model: nn.Module,
    rule: str | rules.Rule,
    grid: GridLike,
    *,
    seeds: int | Sequence[int] = 5,
    epochs: int = 10,
    batch_size: int = 50,
    metrics: Mapping[str, train.Metric] | None = None,
    dtype: str = "float32",
    keep: str | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    checkpoint_minutes: float = 5.0,
    trials_at_once: int | None = None,
    progress_bar: bool = True,
) -> xr.Dataset | tuple[xr.Dataset, Networks]:
    """Train every setting of a grid with every seed and return their curves.

    Args:
        data: a `Dataset`, or what `load` takes.
        model: a Flax module called as `module(x, train=False)`; a field `classes` that is None is
            set to the data's number of classes.
        rule: a name (see `rules`), or a function of the learning rate and hyperparameters.
        grid: hyperparameters of the rule (or float fields of the model, such as `dropout`) with
            a number or a list of numbers each, or a list of whole settings.
        seeds: a number n (seeds 0..n-1) or a list. A seed decides the initial weights.
        epochs: passes over the training images.
        batch_size: images a minibatch; what is left over of an epoch is not trained on.
        metrics: more functions (logits, labels) -> one number an image, by name.
        dtype: "float32", or "float64" (set `jax_enable_x64` first).
        keep: "best" also returns every trial's network at its highest validation accuracy (ties
            to the lower validation error, then to the earlier epoch), "lowest_error" at its lowest
            validation error (ties to the higher accuracy), "last" after the last epoch.
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
        InputError: bad arguments, or an `out` that cannot be used.
        LostHostError: another host has ended or is out of reach (see `hosts`).
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after saving when `out` is given.
    """
    data = data if isinstance(data, Dataset) else load(data)
    plan = make_plan(data, model, rule, grid, seeds, epochs, batch_size, metrics, dtype, keep)
    told = {"trials_at_once": trials_at_once, "overwrite": overwrite, "out": out is not None}
    hosts.agree(plan.configuration() | {"call": "sweep"} | told)
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
                plan.configuration(),
                describe_devices(),
                checkpoint_minutes,
            )
            if not overwrite and (curves := _finished(plan, folder)) is not None:
                checkpoints.clear()  # a run may be killed between its results and this
                return curves if keep is None else (curves, _finished_networks(plan, folder))
            hosts.first(stack.enter_context, locked(folder))
            if overwrite:
                hosts.first(_remove, folder)
                checkpoints.clear()
            stop = stack.enter_context(stop_signals())
        show = stack.enter_context(progress(progress_bar and hosts.is_first()))
        curves, trained = _run(plan, trials_at_once, checkpoints, stop, show)
        if checkpoints is not None:
            if trained is not None:
                hosts.first(trained.save, folder / networks.FILE)
            # Last: its presence says that all is there.
            hosts.first(save_curves, curves, folder / "curves.nc")
            checkpoints.clear()
        if hosts.any_of(stop.is_set())[0]:  # while the results were written
            raise KeyboardInterrupt
    return curves if trained is None else (curves, trained)


def finished(
    data: Dataset | str | tuple,
    model: nn.Module,
    rule: str | rules.Rule,
    grid: GridLike,
    *,
    out: str | Path,
    seeds: int | Sequence[int] = 5,
    epochs: int = 10,
    batch_size: int = 50,
    metrics: Mapping[str, train.Metric] | None = None,
    dtype: str = "float32",
    keep: str | None = None,
) -> xr.Dataset | None:
    """Return the curves of a finished `sweep` of these arguments in `out`, None if there is none.

    Raises:
        InputError: bad arguments, or `out` holds another run.
    """
    data = data if isinstance(data, Dataset) else load(data)
    plan = make_plan(data, model, rule, grid, seeds, epochs, batch_size, metrics, dtype, keep)
    return _finished(plan, Path(out))


def _remove(folder: Path) -> None:
    """Remove what a run, and what was made from it, left in a folder; its curves first."""
    try:
        for name in ("curves.nc", "test/curves.nc", networks.FILE):
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be removed: {error.strerror}") from error


def _finished(plan: Plan, folder: Path) -> xr.Dataset | None:
    return hosts.first(_read_finished, plan, folder)


def _read_finished(plan: Plan, folder: Path) -> xr.Dataset | None:
    if not (folder / "curves.nc").exists():
        return None
    curves = load_curves(folder / "curves.nc")
    begun = json.loads(curves.attrs.get("configuration", "{}"))
    # Finished curves name the code they came from; only unfinished ones must not change it. What an
    # older version did not record is not compared.
    now = {name: value for name, value in plan.configuration().items() if name in begun}
    check_same(folder, begun, now, ignore=("code", "versions"))
    return curves


def _finished_networks(plan: Plan, folder: Path) -> Networks:
    try:
        return load_networks(folder / networks.FILE, plan.structure.model)
    except InputError as error:
        raise InputError(f"{error}; use --overwrite to train the networks again") from None


def _run(
    plan: Plan,
    trials_at_once: int | None,
    checkpoints: Checkpoints | None,
    stop: Event,
    show: Progress,
) -> tuple[xr.Dataset, Networks | None]:
    """Train all chunks in turn, from the last checkpoint if there is one."""
    began = time.monotonic()
    stored = checkpoints.restore() if checkpoints else None
    runner = Runner(plan)
    state = runner.fresh(trials_at_once) if stored is None else stored
    check_memory(runner, state.chunk, state.chunk_size, resumed=stored is not None)
    began -= state.wall_seconds
    chunks = -(-plan.trials // state.chunk_size)
    show.start(plan.epochs, _names(plan), chunks)
    for number in range(state.chunk, chunks):
        runner = runner.for_chunk(number, state.chunk_size)
        chunk = runner.chunk(number, state.chunk_size)
        trials = runner.start(chunk, state.arrays)
        for epoch in range(state.epoch + 1, plan.epochs + 1):
            if epoch > 0:
                seconds = time.perf_counter()
                trials = runner.run_epoch(chunk, trials, epoch)
                state.seconds[number, epoch - 1] = time.perf_counter() - seconds
            runner.record(state, chunk, trials, epoch)
            done = number * plan.epochs + epoch
            lost = _diverged(state, chunk, epoch)
            show.update(done, state.values["valid_accuracy"], lost)
            due = checkpoints is not None and checkpoints.due
            due, stopped = hosts.any_of(due, stop.is_set())
            if checkpoints and (due or stopped or epoch == plan.epochs):
                wall = time.monotonic() - began
                arrays = arrays_of(trials, chunk)
                checkpoints.save(
                    state._replace(chunk=number, epoch=epoch, arrays=arrays, wall_seconds=wall)
                )
            if stopped:
                raise KeyboardInterrupt
        state = state._replace(epoch=-1, arrays=[])
    curves = _label(plan, state, time.monotonic() - began)
    return curves, _label_networks(plan, runner, state, curves) if plan.keep else None


def _names(plan: Plan) -> list[str]:
    """Return a name a setting: the numbers it differs in from others, else the rule's."""
    settings = plan.grid.settings
    varied = [name for name in settings[0] if len({setting[name] for setting in settings}) > 1]
    return [
        ", ".join(f"{name} {setting[name]:.4g}" for name in varied) or plan.rule_name
        for setting in settings
    ]


def _diverged(state: State, chunk: Chunk, epoch: int) -> int:
    """Return how many trials have diverged, up to this epoch of this chunk."""
    errors = state.values["valid_error"]
    before = np.isnan(errors[: chunk.trials.start, -1]).sum()
    return int(before + np.isnan(errors[chunk.trials, epoch]).sum())


def _label(plan: Plan, state: State, wall: float) -> xr.Dataset:
    """Return the values as labelled curves with their provenance."""
    dims, shape = (*plan.dims, "epoch"), (*plan.shape, plan.epochs + 1)
    coords = {**plan.coords, "epoch": ("epoch", np.arange(plan.epochs + 1, dtype=np.int32))}
    configuration = plan.configuration()
    named = ("data", "data_hash", "split_hash", "model", "rule", "batch_size")
    attrs = provenance(configuration)
    attrs |= {name: configuration[name] for name in named}
    attrs |= {f"{part}_images": len(getattr(plan.data, part)) for part in ("train", "valid")}
    attrs |= {
        "trials_at_once": state.chunk_size,
        "seconds_per_epoch": float(np.median(state.seconds, axis=1).sum() / plan.trials),
        "wall_seconds": wall,
    }
    return xr.Dataset({k: (dims, v.reshape(shape)) for k, v in state.values.items()}, coords, attrs)


def _label_networks(plan: Plan, runner: Runner, state: State, curves: xr.Dataset) -> Networks:
    """Return the networks kept, with what their curves say at their epochs."""
    epoch = xr.DataArray(state.kept_epoch.reshape(plan.shape), plan.coords, plan.dims)
    kept = curves[["valid_accuracy", "valid_error"]].sel(epoch=epoch).drop_vars("epoch")
    return Networks(
        plan.structure.model,
        runner.networks(state),
        kept.assign(epoch=epoch).drop_attrs(),
        plan.structure.evaluation_batch,
        plan.data.classes,
        form_of(plan.data.train.images),
    )
