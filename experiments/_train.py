"""What an experiment trains and tests, and what a folder of results holds."""

from pathlib import Path

import numpy as np
import xarray as xr

import emnist_jax as ej
from emnist_jax import hosts
from emnist_jax.engine.run import finished
from emnist_jax.errors import InputError
from emnist_jax.figures import confusion_matrix
from emnist_jax.store import networks
from emnist_jax.store.curves import checksum, load_curves, save_curves
from experiments._experiment import Experiment
from experiments._options import Options, chosen


def train(experiment: Experiment, options: Options) -> None:
    """Train what is missing of an experiment in the folder of results, and test what is kept.

    Raises:
        InputError: invalid options, or a folder that holds another run.
    """
    if options.seeds < experiment.least_seeds:  # before hours of training, not after
        least = experiment.least_seeds
        raise InputError(f"seeds={options.seeds}: {experiment.name} needs {least} seeds or more")
    usual = ej.load(options.data, split=options.split, size=options.size)
    sources: dict[object, ej.Dataset] = {None: usual}
    for folder, sweep in chosen(experiment, options).items():
        other = experiment.data.get(folder)
        if other not in sources:
            name = getattr(options, other) if isinstance(other, str) else None
            sources[other] = (
                ej.load(name, split=options.split, size=options.size) if name else other(usual)
            )
        _train_and_test(sweep, sources[other], folder, options)


def _train_and_test(sweep: ej.Sweep, data: ej.Dataset, folder: str, options: Options) -> None:
    """Train a sweep into a folder unless it is there, and test its networks unless they are."""
    out = options.out / folder
    path = out / "test" / "curves.nc"
    curves = None if options.overwrite else finished(sweep, data, out)
    if curves is not None and (sweep.keep is None or hosts.first(_tests_of, curves, path)):
        return
    lost = curves is not None and not hosts.first((out / networks.FILE).exists)
    if curves is None or lost:
        print(f"{folder}:", flush=True)  # above its progress; errors alone go to stderr
    found = ej.run(
        sweep,
        data,
        out,
        overwrite=options.overwrite or lost,
        trials_at_once=options.trials_at_once,
    )
    if sweep.keep is not None:
        curves, kept = found
        own = {"images": len(data.test.labels), "curves_checksum": checksum(curves)}
        hosts.first(save_curves, test(kept, data).assign_attrs(curves.attrs | own), path)


def _tests_of(curves: xr.Dataset, path: Path) -> bool:
    """Return whether a file holds the test results of the networks of these very curves."""
    # The checksum covers the curves' attributes too, so their configuration.
    return path.exists() and load_curves(path).attrs.get("curves_checksum") == checksum(curves)


def test(kept: ej.Networks, data: ej.Dataset) -> xr.Dataset:
    """Return errors, accuracies and confusion matrices (true class, predicted class) on the test.

    Only test images are looked at, and nothing is chosen on them.
    """
    split, names = data.test, list(data.classes)
    predicted = kept.logits(split.images).argmax("class").values.reshape(-1, len(split.labels))
    matrices = [confusion_matrix(split.labels, row, len(names)) for row in predicted]
    shape = (*kept.epoch.shape, len(names), len(names))
    dims = (*kept.epoch.dims, "true", "predicted")
    tested = kept.evaluate(split).assign_coords(true=names, predicted=names)
    confusion = (dims, np.asarray(matrices, np.int32).reshape(shape))
    return tested.assign(confusion=confusion, best_epoch=kept.epoch)


def collect(folder: Path) -> dict[str, xr.Dataset]:
    """Return all finished runs below a folder by their path in it, such as "convnets/c1"."""

    def read():
        paths = sorted(folder.rglob("curves.nc"))
        return {str(path.parent.relative_to(folder)): load_curves(path) for path in paths}

    return hosts.first(read)
