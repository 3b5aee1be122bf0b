"""What a folder holds of a sweep already: read where it is enough, grown where it is not.

A folder grows when the same sweep is run in it with more seeds, settings or epochs: what it holds
stays, what is missing is trained. More epochs go on from the final states of its chunks, which
`keep_state` keeps. The files there stay as they are until the grown ones are whole.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import xarray as xr

from emnist_jax import hosts, rules
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.job import Job
from emnist_jax.errors import InputError
from emnist_jax.models import model_fields
from emnist_jax.store.checkpoint import OLDER, State, check_same
from emnist_jax.store.curves import load_curves, settings_of
from emnist_jax.store.files import load_arrays, save_arrays
from emnist_jax.store.networks import FILE, Networks, load_networks

GROWS = ("settings", "seeds", "dims", "epochs")  # what a grown sweep may have more of
CODE = ("code", "versions")  # what finished curves name, and are not refused for


class Finished(NamedTuple):
    """A finished run in a folder."""

    curves: xr.Dataset
    configuration: Mapping[str, object]
    numbers: np.ndarray  # its trials in the job's numbering, -1 for those it has not

    @property
    def epochs(self) -> int:
        """Return the epochs it was trained for."""
        return self.configuration["epochs"]


def read(job: Job, folder: Path) -> Finished | None:
    """Return the finished run in a folder, None if there is none.

    One that is no run of the job's sweep, smaller or larger, is an `InputError`.
    """
    if not (folder / "curves.nc").exists():
        return None
    curves = load_curves(folder / "curves.nc")
    begun = OLDER | json.loads(curves.attrs.get("configuration", "{}"))
    if "settings" not in begun:
        raise InputError(f"{folder} holds curves of no sweep; use --overwrite, or another --out")
    # What an older version did not record is not compared.
    now = {name: value for name, value in job.like(begun).items() if name in begun}
    check_same(folder, begun, now, ignore=(*CODE, *GROWS))
    try:  # by the labels: a user may have joined, sorted or selected these curves
        settings = settings_of(curves, begun["settings"][0])
    except InputError as error:
        raise InputError(f"{folder}: {error}; use --overwrite, or another --out") from None
    seeds = np.atleast_1d(curves.seed).tolist()
    return Finished(curves, begun, trial_numbers(job, settings, seeds))


def covers(stored: Finished, job: Job) -> bool:
    """Return whether a finished run holds all trials and epochs of the job."""
    # What is kept as the best or the last of more epochs is not that of fewer.
    shorter = job.epochs < stored.epochs and not isinstance(job.keep, str)
    enough = job.epochs == stored.epochs or shorter
    return enough and set(range(job.trials)) <= set(stored.numbers.tolist())


def selection(stored: Finished, job: Job) -> xr.Dataset:
    """Return the job's curves, selected from a run that covers it."""
    same = len(stored.numbers) == job.trials and stored.epochs == job.epochs
    dims = (*job.dims, "epoch")
    if same and all(values.dims == dims for values in stored.curves.values()):
        return stored.curves
    values = {
        name: values[rows_of(stored, job), : job.epochs + 1]
        for name, values in flat(stored.curves).items()
    }
    return labelled(job, values, stored.curves.attrs | {"configuration": _as_json(job)})


def rows_of(stored: Finished, job: Job) -> np.ndarray:
    """Return where each trial of the job lies among those of a run that covers it."""
    places = np.full(job.trials, -1)
    places[stored.numbers[stored.numbers >= 0]] = np.flatnonzero(stored.numbers >= 0)
    return places


def select_networks(stored: Finished, job: Job, folder: Path) -> Networks:
    """Return the job's networks, selected from a run that covers it."""
    found = _networks(folder, job)
    rows = rows_of(stored, job)
    if rows.tolist() == list(range(len(stored.numbers))):
        return found
    each = job.kept_each
    chosen = (rows[:, None] * each + np.arange(each)).ravel()
    variables = jax.tree.map(lambda leaf: leaf[chosen], found.variables)
    epoch = np.ravel(found.epoch.values)[chosen].reshape(job.trials, each)
    kept = kept_labels(job, epoch, selection(stored, job))
    return Networks(found.model, variables, kept, found.evaluation_batch, found.classes, found.form)


def _networks(folder: Path, job: Job) -> Networks:
    try:
        return load_networks(folder / FILE, job.structure.model)
    except InputError as error:
        raise InputError(f"{error}; use --overwrite to train the networks again") from None


def grown(stored: Finished, runner: Runner, folder: Path, trials_at_once: int | None) -> State:
    """Return the state of a job that begins with what a folder holds.

    Trials there that the job lacks, or no states to go on from are an `InputError`.
    """
    job = runner.job
    extra = int((stored.numbers < 0).sum())
    if extra or stored.epochs > job.epochs:
        what = f"{extra} trials" if extra else f"{stored.epochs} epochs"
        raise InputError(
            f"{folder} holds {what} that are not in this sweep, and lacks others that are: train a "
            "sweep of both, use --overwrite, or choose another --out (or --name, if there is one)"
        )
    chunks = hosts.first(_chunks_of_states, folder, job, stored.epochs)
    if job.epochs > stored.epochs:
        _check_continued(stored, job, folder, chunks)
    todo = np.ones(job.trials, bool)
    todo[stored.numbers] = False
    fresh = runner.layout(trials_at_once, todo.reshape(-1, len(job.seeds))) if todo.any() else []
    state = runner.fresh([*chunks, *fresh])
    state.begun[: len(chunks)] = stored.epochs
    for name, values in flat(stored.curves).items():
        state.values[name][stored.numbers, : stored.epochs + 1] = values
    if job.keep:
        before = _networks(folder, job)  # which the first host reads
        shape = (len(stored.numbers), job.kept_each)
        for kept, leaf in zip(state.kept, jax.tree.leaves(before.variables), strict=True):
            kept[stored.numbers] = leaf.reshape(*shape, *leaf.shape[1:])
        state.kept_epoch[stored.numbers] = before.epoch.values.reshape(shape)
    return state


def _check_continued(
    stored: Finished, job: Job, folder: Path, chunks: Sequence[np.ndarray]
) -> None:
    """Refuse to go on from states that are missing, or were made by other code."""
    found = set(np.concatenate([np.ravel(one) for one in chunks]).tolist()) if chunks else set()
    trials = set(stored.numbers.tolist())
    if not trials <= found:
        raise InputError(
            f"{folder} has states to go on from for {len(trials & found)} of its {len(trials)} "
            f"trials of {stored.epochs} epochs: use --overwrite to train its trials anew, with "
            "--keep-state to go on next time"
        )
    check_same(folder, stored.configuration, job.like(stored.configuration), ignore=GROWS)


def trial_numbers(job: Job, settings: Sequence[Mapping], seeds: Sequence[int]) -> np.ndarray:
    """Return the job's numbers of trials (settings, then seeds), -1 for those it has not.

    A hyperparameter that only one of them names has its default in the other.
    """
    model = job.structure.model
    fields = {name: getattr(model, name) for name in model_fields(model)}
    usual = fields | rules.hyperparameters(job.structure.rule)
    usual = {name: value for name, value in usual.items() if fields.get(name, value) == value}

    def key(setting: Mapping[str, float], names: set[str]) -> tuple:
        return tuple(setting.get(name, usual.get(name)) for name in sorted(names))

    names = {*job.grid.settings[0], *settings[0]}
    own = {key(setting, names): number for number, setting in enumerate(job.grid.settings)}
    places = {int(seed): number for number, seed in enumerate(job.seeds)}
    return np.array(
        [
            own[at] * len(places) + places[seed] if at in own and seed in places else -1
            for at in (key(setting, names) for setting in settings)
            for seed in seeds
        ]
    )


def flat(curves: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the variables of curves as (trials, epochs + 1), trials over settings, then seeds."""
    curves = curves.transpose(..., "seed", "epoch", missing_dims="ignore")
    return {str(name): v.values.reshape(-1, v.sizes["epoch"]) for name, v in curves.items()}


def labelled(job: Job, values: Mapping[str, np.ndarray], attrs: Mapping) -> xr.Dataset:
    """Return values (trials, epochs + 1) as labelled curves."""
    dims, shape = (*job.dims, "epoch"), (*job.shape, job.epochs + 1)
    coords = {**job.coords, "epoch": ("epoch", np.arange(job.epochs + 1, dtype=np.int32))}
    return xr.Dataset({k: (dims, v.reshape(shape)) for k, v in values.items()}, coords, attrs)


def kept_labels(job: Job, epoch: np.ndarray, curves: xr.Dataset) -> xr.Dataset:
    """Return the validation metrics of networks kept at these epochs (trials, kept of each)."""
    values = curves[["valid_accuracy", "valid_error"]]
    if isinstance(job.keep, tuple):
        return values.sel(epoch=list(job.keep)).drop_attrs()
    at = xr.DataArray(epoch.reshape(job.shape), job.coords, job.dims)
    return values.sel(epoch=at).drop_vars("epoch").assign(epoch=at).drop_attrs()


# Final states of chunks, kept to go on from


def save_state(folder: Path, job: Job, number: int, trials: np.ndarray, arrays: list) -> None:
    """Write the final state of a chunk of trials (rows, k), as `save_arrays`."""
    named = {f"array {i:03d}": array for i, array in enumerate(arrays)} | {"trials": trials}
    path = folder / "state" / f"{job.epochs:06d}-{number:05d}.safetensors"
    save_arrays(path, named, {"configuration": _as_json(job)})


def _chunks_of_states(folder: Path, job: Job, epochs: int) -> list[np.ndarray]:
    """Return the job's numbers of the trials (rows, k) of each state after so many epochs."""
    paths = sorted((folder / "state").glob(f"{epochs:06d}-*.safetensors"))  # a chunk each
    read = (_read_state(path, job) for path in paths)
    return [numbers[trials] for numbers, trials, _ in read]


def _read_state(path: Path, job: Job) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return the job's numbers of a state's trials, its rows of trials, and its arrays."""
    named, about = load_arrays(path)
    begun = json.loads(about["configuration"])
    numbers = trial_numbers(job, begun["settings"], begun["seeds"])
    return numbers, named.pop("trials"), [named[name] for name in sorted(named)]


def load_state(folder: Path, job: Job, epochs: int, number: int) -> list[np.ndarray]:
    """Return the arrays of a chunk's trials after so many epochs, in the order of their numbers."""
    path = folder / "state" / f"{epochs:06d}-{number:05d}.safetensors"
    numbers, trials, arrays = _read_state(path, job)
    order = np.argsort(numbers[np.unique(trials)])
    return [array[order] for array in arrays]


def remove_states(folder: Path, but: int | None) -> None:
    """Remove the final states in a folder, but those after so many epochs."""
    for path in (folder / "state").glob("*.safetensors"):
        if but is None or not path.name.startswith(f"{but:06d}-"):
            path.unlink(missing_ok=True)


def _as_json(job: Job) -> str:
    return json.dumps(job.configuration, sort_keys=True)
