"""What an experiment trains and tests, and what a folder of results holds."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import xarray as xr

import emnist_jax as ej
from emnist_jax import hosts
from emnist_jax.console import show
from emnist_jax.engine.run import finished
from emnist_jax.errors import InputError
from emnist_jax.store.curves import checksum, load_curves, save_curves
from experiments._data import OtherData
from experiments._experiment import Experiment, Taken
from experiments._options import Options, chosen


def train(experiment: Experiment, options: Options, folders: Collection[str] | None = None) -> None:
    """Train what is missing of an experiment, in some of its folders or all, and test what is kept.

    Raises:
        InputError: invalid options, or a folder that holds another run.
    """
    least = experiment.least_seeds
    if options.seeds is not None and options.seeds < least:  # before hours of training, not after
        raise InputError(f"seeds={options.seeds}: {experiment.name} needs {least} seeds or more")

    @cache
    def data(source: OtherData) -> ej.Dataset:
        if source.change:
            return source.change(data(OtherData(source.option)))
        name = getattr(options, source.option or "data")
        return ej.load(name, split=options.split, size=options.size)

    made = experiment.make()
    for folder, sweep in chosen(experiment, options, len(data(OtherData()).train)).items():
        if folders is None or folder in folders:
            own = data(experiment.data.get(folder, OtherData()))
            # `collect` takes what the experiment has by default: other options are trained.
            usual = sweep == made.get(folder)
            if not (usual and _is_taken(experiment.taken.get(folder), sweep, own, options.out)):
                _train_and_test(sweep, own, folder, options)


def _is_taken(taken: Taken | None, sweep: ej.Sweep, data: ej.Dataset, out: Path) -> bool:
    """Return whether another experiment's folder holds the curves of a sweep."""
    if taken is None or sweep.epochs > taken.sweep.epochs:
        return False
    part = taken.sweep.replace(grid=sweep.grid, seeds=sweep.seeds)
    with suppress(InputError):  # a folder of other data or settings: it is trained
        return finished(part, data, out / taken.folder) is not None
    return False


def _part(curves: xr.Dataset, taken: Taken, sweep: ej.Sweep) -> xr.Dataset:
    """Return a sweep's curves, of those of the folder they are taken from; KeyError if some lack.

    How long the whole took is not among their attributes.
    """
    axes = {axis: list(of) for axis, of in sweep.grid.items() if axis in curves.dims}
    part = curves.sel(axes | {"seed": range(sweep.seeds), "epoch": range(sweep.epochs + 1)})
    part.attrs = {k: v for k, v in part.attrs.items() if k not in ("wall_seconds", "runs")}
    return part.assign_attrs(taken_from=taken.folder)


def _train_and_test(sweep: ej.Sweep, data: ej.Dataset, folder: str, options: Options) -> None:
    """Train a sweep into a folder unless it is there, and test its networks unless they are.

    All networks of the folder are tested, which may be more than those of the sweep.
    """
    out = options.out / folder
    tested = sweep.keep is not None and not options.overwrite and hosts.first(_is_tested, out)
    if tested and finished(sweep, data, out) is not None:
        return
    show(f"{folder}:")  # above its progress; errors alone go to stderr
    names = "overwrite", "keep_state", "trials_at_once"
    ej.run(sweep, data, out, **{name: getattr(options, name) for name in names})
    if sweep.keep is not None:
        curves, kept = hosts.first(load_curves, out), ej.load_networks(out, sweep.model)
        for dim in set(kept.kept.dims) - {"epoch"}:
            if not np.array_equal(kept.kept[dim], curves[dim]):
                raise InputError(
                    f"{out} holds networks of trials that its curves lack, as a run was stopped "
                    "between the two: give the command of that run again, or use --overwrite"
                )
        own = {"images": len(data.test.labels), "curves_checksum": checksum(curves)}
        tested = test(kept, data, sweep).assign_attrs(curves.attrs | own)
        hosts.first(save_curves, tested, out / "test" / "curves.nc")


def _is_tested(out: Path) -> bool:
    """Return whether a folder holds the test results of the networks of its very curves."""
    # The checksum covers the curves' attributes too, so their configuration.
    path = out / "test" / "curves.nc"
    return path.exists() and _is_of(load_curves(path), load_curves(out))


def _is_of(tested: xr.Dataset, curves: xr.Dataset) -> bool:
    """Return whether test results are of the networks of some curves."""
    return tested.attrs.get("curves_checksum") == checksum(curves)


def test(kept: ej.Networks, data: ej.Dataset, sweep: ej.Sweep) -> xr.Dataset:
    """Return what networks get of the test images, as the sweep's model and as its variants.

    Errors, accuracies and confusion matrices (true class, predicted class); those of a variant
    end with its name. Only test images are looked at, and nothing is chosen on them.
    """
    found = _tested(kept, data)
    for name, model in (sweep.variants or {}).items():
        model = model.clone(classes=len(data.classes))
        # Statistics of the minibatch are those of as many images as in training.
        variant = replace(kept, model=model, evaluation_batch=sweep.batch_size)
        tested = _tested(variant, data)
        found = found.assign({f"{v}_{name}": tested[v] for v in tested.data_vars})
    return found


def _tested(kept: ej.Networks, data: ej.Dataset) -> xr.Dataset:
    confusion = kept.confusion(data.test).astype(np.int32)
    return kept.evaluate(data.test).assign(confusion=confusion)


def collect(folder: Path, *experiments: Experiment) -> dict[str, xr.Dataset]:
    """Return all finished runs below a folder by their path in it, such as "convnets/c1".

    Test results are left out, with a line, where the curves beside them are others by now. What
    the experiments take from others' runs is among them.
    """

    def read():
        paths = sorted(folder.rglob("curves.nc"))
        runs = {str(path.parent.relative_to(folder)): load_curves(path) for path in paths}
        for name in [one for one in runs if one.endswith("/test")]:
            curves = runs.get(name.removesuffix("/test"))
            if curves is None or not _is_of(runs[name], curves):
                show(f"{folder / name}: left out, as it is of other curves; train it to test anew")
                del runs[name]
        for experiment in experiments:
            made = experiment.make()
            for name, taken in experiment.taken.items():
                if name not in runs and taken.folder in runs:
                    with suppress(KeyError):
                        runs[name] = _part(runs[taken.folder], taken, made[name])
        return runs

    return hosts.first(read)
