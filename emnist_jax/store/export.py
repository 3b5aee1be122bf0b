"""Curves for other programs: pandas, CSV, Parquet, TensorBoard, Weights & Biases.

pandas and CSV need nothing more; the others are the optional extra `trackers`, imported when used.
"""

import importlib
import io
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr

from emnist_jax.errors import InputError, check_choice
from emnist_jax.stats import best, interval
from emnist_jax.store.files import located, write_whole

EACH = ("trial", "setting")
EVENT_FILE = "events.out.tfevents.0.emnist_jax"  # one name: exporting again replaces, adds nothing
_ABOUT = ("data", "data_hash", "split_hash", "model", "rule", "batch_size", "commit", "device")


def to_pandas(curves: xr.Dataset) -> pd.DataFrame:
    """Return curves as a tidy table: a row a trial and epoch.

    Columns: the hyperparameters, fixed ones too, `seed`, `epoch`, then the variables. `attrs` holds
    the provenance.

    Raises:
        InputError: these are no curves.
    """
    _check(curves)
    curves = curves.transpose(..., "epoch")
    table = curves.to_dataframe(dim_order=[str(dim) for dim in curves[_first(curves)].dims])
    table = table.reset_index()
    names = [str(name) for name in curves.coords if name not in ("seed", "epoch")]
    order = [*names, *(name for name in ("seed", "epoch") if name in table), *curves.data_vars]
    table = table[order]
    table.attrs = {name: str(value) for name, value in curves.attrs.items()}
    return table


def to_csv(curves: xr.Dataset, path: str | Path) -> Path:
    """Write the table of `to_pandas` as comma-separated values, whole or not at all.

    Raises:
        InputError: these are no curves, or the file cannot be written.
    """
    return write_whole(path, to_pandas(curves).to_csv(index=False, lineterminator="\n").encode())


def to_parquet(curves: xr.Dataset, path: str | Path) -> Path:
    """Write the table of `to_pandas`, with its provenance, as Parquet, whole or not at all.

    Raises:
        InputError: these are no curves, pyarrow is not installed, or the file cannot be written.
    """
    _import("pyarrow")
    content = io.BytesIO()
    to_pandas(curves).to_parquet(content, engine="pyarrow", index=False)
    return write_whole(path, content.getvalue())


def to_tensorboard(curves: xr.Dataset, folder: str | Path, each: str = "trial") -> list[Path]:
    """Write TensorBoard's event files, a run in a folder of its own, its settings as hparams.

    The scalars are `accuracy/valid` and the like over epochs, and `best/valid_accuracy` at its
    epoch; what is not finite is left out. An event file of an earlier export is replaced.

    Args:
        curves: as a sweep returned them.
        folder: for `tensorboard --logdir`.
        each: "trial", a run per trial; "setting", a run per setting, means over seeds.

    Returns:
        The files.

    Raises:
        InputError: these are no curves, TensorBoard is not installed, or a file cannot be written.
    """
    runs = list(_runs(curves, each))
    protos = _import("tensorboard.compat.proto.event_pb2")
    summaries = _import("tensorboard.compat.proto.summary_pb2")
    hparams = _import("tensorboard.plugins.hparams.summary_v2")
    writers = _import("tensorboard.summary.writer.record_writer")
    now, paths = time.time(), []
    for run in runs:
        content = io.BytesIO()
        events = [protos.Event(wall_time=now, file_version="brain.Event:2")]
        settings = hparams.hparams_pb(run.settings, trial_id=run.name, start_time_secs=now)
        events.append(protos.Event(wall_time=now, summary=settings))
        at_best = {"best/valid_accuracy": run.summary["best_valid_accuracy"]}
        for epoch, values in [*run.steps, (run.summary["best_epoch"], at_best)]:
            scalars = [
                summaries.Summary.Value(tag=_tag(name), simple_value=value)
                for name, value in values.items()
                if np.isfinite(value)
            ]
            if scalars:
                summary = summaries.Summary(value=scalars)
                events.append(protos.Event(wall_time=now, step=int(epoch), summary=summary))
        for event in events:
            writers.RecordWriter(content).write(event.SerializeToString())
        paths.append(write_whole(Path(folder) / run.name / EVENT_FILE, content.getvalue()))
    return paths


def to_wandb(
    curves: xr.Dataset,
    folder: str | Path,
    each: str = "trial",
    *,
    project: str = "emnist_jax",
    mode: str = "offline",
) -> list[str]:
    """Log curves to Weights & Biases: settings and provenance as config, the best as summary.

    Args:
        curves: as a sweep returned them.
        folder: where W&B writes its `wandb` folder; `wandb sync folder/wandb/offline-*` uploads it.
        each: "trial", a run per trial, the seeds of a setting as a group; "setting", a run per
            setting, means over seeds.
        project: W&B's project.
        mode: "offline" writes files only; "online" needs an account.

    Returns:
        The identifiers of the runs.

    Raises:
        InputError: these are no curves, or wandb is not installed or refuses.
    """
    runs = list(_runs(curves, each))
    wandb = _import("wandb")
    about = {name: curves.attrs[name] for name in _ABOUT if name in curves.attrs}
    # A run of the caller's own goes on.
    folder = located(folder)
    where = {"project": project, "dir": str(folder), "mode": mode, "reinit": "create_new"}
    made = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for run in runs:
            how = {"name": run.name, "group": run.group, "config": about | run.settings}
            settings = wandb.Settings(silent=True, console="off", x_disable_stats=True)
            logged = wandb.init(settings=settings, **where, **how)
            for epoch, values in run.steps:
                logged.log({_tag(name): value for name, value in values.items()}, step=epoch)
            logged.summary.update(run.summary)
            logged.finish()
            made.append(logged.id)
    except (OSError, wandb.errors.Error) as error:
        raise InputError(f"wandb: {error}") from error
    return made


class _Run(NamedTuple):
    """What a tracker calls a run."""

    name: str
    group: str  # the setting's name
    settings: dict[str, float]
    steps: list[tuple[int, dict[str, float]]]  # (epoch, variables)
    summary: dict[str, float]


def _runs(curves: xr.Dataset, each: str) -> Iterator[_Run]:
    """Yield a run per trial, or a run per setting with the means over its seeds."""
    _check(curves)
    check_choice(f'each="{each}"', each, EACH)
    curves = curves if "seed" in curves.dims else curves.expand_dims("seed")
    grid = [str(dim) for dim in curves[_first(curves)].dims if dim not in ("seed", "epoch")]
    for labels in itertools.product(*(curves[dim].values for dim in grid)):
        one = curves.sel(dict(zip(grid, labels, strict=True)))
        settings = {
            str(name): values.item()
            for name, values in one.coords.items()
            if values.ndim == 0 and name not in ("seed", "epoch")
        }
        group = ",".join(map(_label, grid, labels)) or str(curves.attrs.get("rule", "run"))
        group = group.replace("/", "_")
        if each == "setting":
            means = one.mean("seed", skipna=False)
            yield _Run(group, group, settings, _steps(means), _summary(one))
            continue
        for seed in one.seed.values:
            trial = one.sel(seed=[seed])
            name, of_trial = f"{group},seed={seed}", {**settings, "seed": int(seed)}
            yield _Run(name, group, of_trial, _steps(trial.squeeze("seed")), _summary(trial))


def _steps(curves: xr.Dataset) -> list[tuple[int, dict[str, float]]]:
    values = {str(name): curve.values.tolist() for name, curve in curves.data_vars.items()}
    rows = zip(curves.epoch.values, *values.values(), strict=True)
    return [(int(epoch), dict(zip(values, row, strict=True))) for epoch, *row in rows]


def _summary(trials: xr.Dataset) -> dict[str, float]:
    """Return the best validation accuracy of trials (seed, epoch), with its interval if several."""
    at_best = best(trials)
    over = interval(at_best.valid_accuracy)
    found = {
        "best_valid_accuracy": float(over["mean"]),
        "best_epoch": float(at_best.best_epoch.mean(skipna=False)),
        "diverged": int(at_best.diverged.sum()),
    }
    if trials.sizes["seed"] > 1:
        found |= {f"best_valid_accuracy_{end}": float(over[end]) for end in ("lower", "upper")}
    return found


def _label(name: str, value: Any) -> str:
    return f"{name}={value:g}" if np.asarray(value).dtype.kind in "iuf" else str(value)


def _tag(name: str) -> str:
    """Return `accuracy/valid` for `valid_accuracy`: trackers draw what comes before / together."""
    part, _, quantity = name.partition("_")
    return f"{quantity}/{part}" if part in ("train", "valid") and quantity else name


def _first(curves: xr.Dataset) -> str:
    """Return the name of a variable with all dimensions."""
    return max(map(str, curves.data_vars), key=lambda name: curves[name].ndim)


def _check(curves: xr.Dataset) -> None:
    """Refuse what is no dataset of curves over epochs."""
    if not isinstance(curves, xr.Dataset) or "epoch" not in curves.dims or not curves.data_vars:
        raise InputError("export takes curves over epochs, as a sweep returns them")


def _import(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        package = module.partition(".")[0]
        advice = f"pip install {package} (or all of emnist_jax[trackers])"
        raise InputError(f"{package} is not installed: {advice}") from None
