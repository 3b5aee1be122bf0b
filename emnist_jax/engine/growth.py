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
from emnist_jax.engine.job import LABELS, Job
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

    @property
    def is_whole(self) -> bool:
        """Return whether the curves hold all trials of their run, not a selection of them."""
        return len(self.numbers) == len(self.configuration["settings"]) * len(
            self.configuration["seeds"]
        )


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
    epochs = curves.get("epoch", xr.DataArray())
    if "seed" not in curves.coords or not np.array_equal(epochs, np.arange(begun["epochs"] + 1)):
        raise InputError(
            f"{folder} holds some epochs of its {begun['epochs']} alone, or curves without seeds; "
            "use --overwrite, or another --out"
        )
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
    same = stored.numbers.tolist() == list(range(job.trials)) and stored.epochs == job.epochs
    dims = (*job.dims, "epoch")
    if same and all(values.dims == dims for values in stored.curves.values()):
        return stored.curves
    values = {
        name: values[_places(stored.numbers, job), : job.epochs + 1]
        for name, values in flat(stored.curves).items()
    }
    attrs = stored.curves.attrs | {"configuration": json.dumps(_selected(stored, job))}
    return labelled(job, values, attrs)


def _selected(stored: Finished, job: Job) -> dict[str, object]:
    """Return the configuration of the job's part of a run: the code is that which trained it."""
    begun = stored.configuration
    names = [set(one["settings"][0]) for one in (begun, job.configuration)]
    # A program is of the hyperparameters that its settings name.
    changed = (*GROWS, "program") if names[0] != names[1] else GROWS
    return dict(sorted((begun | {name: job.configuration[name] for name in changed}).items()))


def _places(numbers: np.ndarray, job: Job) -> np.ndarray:
    """Return where each trial of the job lies among trials of these numbers; -1 if nowhere."""
    places = np.full(job.trials, -1)
    places[numbers[numbers >= 0]] = np.flatnonzero(numbers >= 0)
    return places


def select_networks(stored: Finished, job: Job, folder: Path) -> Networks:
    """Return the job's networks, selected from a run that covers it."""
    found, rows = _networks(stored, job, folder, np.arange(job.trials))
    variables = jax.tree.map(lambda leaf: leaf[rows.ravel()], found.variables)
    epoch = np.ravel(found.epoch.values)[rows]
    kept = kept_labels(job, epoch, selection(stored, job))
    return Networks(found.model, variables, kept, found.evaluation_batch, found.classes, found.form)


def _networks(
    stored: Finished, job: Job, folder: Path, trials: np.ndarray
) -> tuple[Networks, np.ndarray]:
    """Return the networks in a folder, and where those of trials are among them.

    These (trials, kept of each) are found by their labels. Networks that are missing, or are not of
    the folder's curves are an `InputError`: a run may be killed after it wrote the one, before it
    writes the other.
    """
    try:
        found = load_networks(folder / FILE, job.structure.model)
    except InputError as error:
        raise InputError(f"{error}; use --overwrite to train the networks again") from None
    kept, each = found.kept, job.kept_each
    names = [str(name) for name in kept.coords if name not in LABELS]
    numbers = trial_numbers(job, settings_of(kept, names), np.atleast_1d(kept.seed).tolist())
    rows = _places(numbers, job)[trials][:, None] * each + np.arange(each)
    epoch = np.ravel(found.epoch.values)[rows]
    own = flat(stored.curves)["valid_error"][_places(stored.numbers, job)[trials]]
    of_curves = np.take_along_axis(own, epoch.clip(max=stored.epochs), axis=1)
    alike = np.array_equal(np.ravel(kept.valid_error)[rows], of_curves, equal_nan=True)
    if rows.min() < 0 or epoch.max() > stored.epochs or not alike:
        raise InputError(
            f"{folder} holds networks that are not of its curves, as a run was stopped between "
            "the two: give the command of that run again, or use --overwrite"
        )
    return found, rows


def grown(stored: Finished, runner: Runner, folder: Path, trials_at_once: int | None) -> State:
    """Return the state of a job that begins with what a folder holds.

    Trials there that the job lacks, or no states to go on from are an `InputError`.
    """
    job = runner.job
    extra, ways = int((stored.numbers < 0).sum()), "use --overwrite, or choose another --out (or "
    ways += "--name, if there is one)"
    if extra:
        lacks = "fewer epochs" if stored.epochs < job.epochs else "lacks others that are"
        raise InputError(
            f"{folder} holds {extra} trials that are not in this sweep, and {lacks}: train a sweep "
            f"that has them too, {ways}"
        )
    if stored.epochs > job.epochs:
        had = f"{folder} holds {stored.epochs} epochs, and this sweep has {job.epochs}"
        raise InputError(f"{had}: give it as many, {ways}")
    chunks = hosts.first(_chunks_of_states, folder, job, stored)
    todo = np.ones(job.trials, bool)
    todo[stored.numbers] = False
    fresh = runner.layout(trials_at_once, todo.reshape(-1, len(job.seeds))) if todo.any() else []
    state = runner.fresh([*chunks, *fresh])
    state.begun[: len(chunks)] = stored.epochs
    for name, values in flat(stored.curves).items():
        state.values[name][stored.numbers, : stored.epochs + 1] = values
    if job.keep:
        before, rows = _networks(stored, job, folder, stored.numbers)  # the first host reads them
        for kept, leaf in zip(state.kept, jax.tree.leaves(before.variables), strict=True):
            kept[stored.numbers] = leaf[rows]
        state.kept_epoch[stored.numbers] = np.ravel(before.epoch.values)[rows]
    return state


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
    own: dict[tuple, list[int]] = {}  # a list may hold a setting twice: they are paired in order
    for number, setting in enumerate(job.grid.settings):
        own.setdefault(key(setting, names), []).append(number)
    places = {int(seed): number for number, seed in enumerate(job.seeds)}
    numbers = []
    for setting in settings:
        same = own.get(key(setting, names))
        at = same.pop(0) * len(places) if same else None
        numbers += [-1 if at is None or s not in places else at + places[s] for s in seeds]
    return np.array(numbers)


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
    save_arrays(path, named, {"configuration": json.dumps(job.configuration)})


def _chunks_of_states(folder: Path, job: Job, stored: Finished) -> list[np.ndarray]:
    """Return the trials (rows, k) of each state of a finished run that is to be kept.

    States of trials that its curves lack are left out: a run was killed that would have added them.
    Where the job goes on from the states, one of other code is an `InputError`, as is a trial that
    has none.
    """
    chunks, trials, found = [], set(stored.numbers.tolist()), set()
    for path in _state_files(folder, stored.epochs):
        chunk, _, begun = _read_state(path, job)
        own = set(chunk.ravel().tolist())
        if not own <= trials - found:
            continue
        if job.epochs > stored.epochs:
            check_same(folder, begun, job.like(begun), ignore=GROWS)
        chunks.append(chunk)
        found |= own
    if job.epochs > stored.epochs and found < trials:
        raise InputError(
            f"{folder} has states to go on from for {len(found)} of its {len(trials)} trials of "
            f"{stored.epochs} epochs: use --overwrite to train its trials anew (to go on next "
            "time: keep_state=True, on the command line emnist-jax sweep --keep-state)"
        )
    return chunks


def states(job: Job, folder: Path) -> int:
    """Return of how many of the job's trials a folder holds final states, of any epochs."""
    read = (_read_state(path, job)[0] for path in (folder / "state").glob("*.safetensors"))
    return len({number for trials in read for number in trials.ravel().tolist() if number >= 0})


def _state_files(folder: Path, epochs: int) -> list[Path]:
    """Return the files of the states after so many epochs, a chunk each."""
    return sorted((folder / "state").glob(f"{epochs:06d}-*.safetensors"))


def _read_state(path: Path, job: Job) -> tuple[np.ndarray, list[np.ndarray], dict]:
    """Return a state's trials (rows, k) by the job's numbers, its arrays, its configuration.

    The arrays are in the order of the numbers.
    """
    named, about = load_arrays(path)
    begun = json.loads(about["configuration"])
    numbers = trial_numbers(job, begun["settings"], begun["seeds"])
    trials = named.pop("trials")
    order = np.argsort(numbers[np.unique(trials)])
    return numbers[trials], [named[name][order] for name in sorted(named)], begun


def load_state(folder: Path, job: Job, epochs: int, state: State, number: int) -> list[np.ndarray]:
    """Return the arrays of the trials of a chunk after so many epochs, in their order.

    None such is an `InputError`.
    """
    files = _state_files(folder, epochs)
    for path in files[number:] + files[:number]:  # it is the first, unless some are left out
        trials, arrays, _ = _read_state(path, job)
        if np.array_equal(trials, state.chunks[number]):
            return arrays
    raise InputError(f"{folder}: the states to go on from are gone; use --overwrite")


def remove_states(folder: Path, but: int | None) -> None:
    """Remove the final states in a folder, but those after so many epochs."""
    for path in (folder / "state").glob("*.safetensors"):
        if but is None or not path.name.startswith(f"{but:06d}-"):
            path.unlink(missing_ok=True)
