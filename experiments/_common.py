"""What every experiment shares: options, command line, training, figures and tables on disk."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import xarray as xr

import emnist_jax as ej
from emnist_jax import hosts
from emnist_jax.cli.options import connect, guarded, otherwise
from emnist_jax.cli.options import parse as of_command_line
from emnist_jax.engine.grid import GridLike
from emnist_jax.engine.run import finished
from emnist_jax.stats import interval
from emnist_jax.store.curves import checksum, load_curves, save_curves
from experiments.claims.measures import best_accuracy, held_out_best

if TYPE_CHECKING:
    from flax import linen as nn
    from matplotlib.figure import Figure

    from emnist_jax.figures.tables import Table
    from emnist_jax.store.networks import Networks

T = TypeVar("T")

CHOSEN = {"b1": 0.9, "b2": 0.9999}
"""The paper's decay rates for Adam on every network but the baseline."""
CHOSEN_RATES = (1e-4, 1e-3)
"""The paper's learning rate with them; and ten times that, at which Adam is the undamped rule
(without the factor 1 - b1) at the paper's rate."""


@dataclass(frozen=True)
class Options:
    """Options of every experiment."""

    data: str = "glyphs"
    """glyphs (drawn), a TensorFlow Datasets name (emnist/balanced), a path of IDX files, images"""
    split: Literal["paper", "official"] = "paper"
    """paper: all images pooled and split again; official: the source's own test part"""
    size: Annotated[int | None, otherwise("all", "INT")] = None
    """use a fixed random subset of so many images in all (glyphs: draw so many)"""
    seeds: int = 5
    """number of random initialisations of every setting: seeds 0, 1, ..."""
    epochs: int = 100
    """passes over the training images"""
    batch_size: int = 50
    """images a minibatch"""
    out: Path = Path("runs")
    """folder of results; what was interrupted there is resumed, what is complete is skipped"""
    overwrite: bool = False
    """begin again, whatever is there"""
    trials_at_once: Annotated[int | None, otherwise("as many as suit the devices", "INT")] = None
    """trials trained together"""
    coordinator: Annotated[str | None, otherwise("none", "HOST:PORT")] = None
    """to use several hosts, give the same command on each: with auto under SLURM, Open MPI,
    Kubernetes or on a Cloud TPU, or with HOST:PORT of process 0 and the next two options"""
    processes: Annotated[int | None, otherwise("as many as auto finds", "INT")] = None
    """number of hosts, each with one process"""
    process: Annotated[int | None, otherwise("as auto finds", "INT")] = None
    """which of them this is: 0, 1, ...; process 0 reads and writes the results"""


def train(
    options: Options,
    folder: str,
    model: "nn.Module",
    rule: str,
    grid: GridLike,
    keep: str | None = None,
    data: ej.Dataset | None = None,
) -> "xr.Dataset | tuple[xr.Dataset, Networks]":
    """Train a sweep with the common options, saved and resumed in `folder` of the results.

    `data` stands in for those that the options name.
    """
    run = _arguments(options, folder, model, rule, grid, data) | {"keep": keep}
    if options.overwrite or finished(**run) is None:
        _announce(folder)
    return ej.sweep(**run, overwrite=options.overwrite, trials_at_once=options.trials_at_once)


def train_and_test(
    options: Options,
    folder: str,
    model: "nn.Module",
    grid: Mapping[str, object],
    keep: Literal["best", "last"],
    test: "Callable[[Networks, ej.Dataset], xr.Dataset] | None" = None,
) -> tuple[xr.Dataset, xr.Dataset]:
    """Train with Adam, then look at the test images once, with the networks kept.

    Returns:
        The curves, and what `test` (default: error and accuracies) gives. Both lie in `folder`,
        the latter in test/; finished ones are returned as they are, and need no networks there.

    Raises:
        InputError: `folder` holds another run.
    """
    run = _arguments(options, folder, model, "adam", grid) | {"keep": keep}
    path = run["out"] / "test" / "curves.nc"
    curves = None if options.overwrite else finished(**run)
    if curves is not None and (tested := hosts.first(_tested_with, curves, path)) is not None:
        return curves, tested
    lost = not hosts.first((run["out"] / "networks.safetensors").exists)
    lost &= curves is not None
    if curves is None or lost:
        _announce(folder)
    again = {"overwrite": options.overwrite or lost, "trials_at_once": options.trials_at_once}
    curves, networks = ej.sweep(**run, **again)
    data = run["data"]
    tested = networks.evaluate(data.test) if test is None else test(networks, data)
    own = {"images": len(data.test.labels), "keep": keep}
    own["curves_checksum"] = checksum(curves)
    tested = tested.assign_attrs(curves.attrs | own)
    hosts.first(save_curves, tested, path)
    return curves, tested


def _tested_with(curves: xr.Dataset, path: Path) -> xr.Dataset | None:
    """Return the test results in `path` if they are of the networks of these very curves."""
    if not path.exists():
        return None
    tested = load_curves(path)
    # The checksum covers the curves' attributes too, so their configuration.
    same = tested.attrs.get("curves_checksum") == checksum(curves)
    return tested if same else None


def load_data(options: Options) -> ej.Dataset:
    """Return the data that the options name."""
    return ej.load(options.data, split=options.split, size=options.size)


def _arguments(
    options: Options,
    folder: str,
    model: "nn.Module",
    rule: str,
    grid: GridLike,
    data: ej.Dataset | None = None,
) -> dict[str, Any]:
    """Return the arguments of a sweep, and of the question whether it is finished."""
    return {
        "data": load_data(options) if data is None else data,
        "model": model,
        "rule": rule,
        "grid": grid,
        "seeds": options.seeds,
        "epochs": options.epochs,
        "batch_size": options.batch_size,
        "out": options.out / folder,
    }


def _announce(folder: str) -> None:
    """Say what is trained now, where its progress is shown; errors alone go to stderr."""
    print(f"{folder}:", flush=True)


def together(curves: Mapping[str, xr.Dataset], dim: str) -> xr.Dataset:
    """Return curves of the same settings side by side, named along a new dimension."""
    return xr.concat(
        curves.values(),
        dim,
        combine_attrs="drop_conflicts",
        join="exact",
        coords="minimal",
        compat="override",
    ).assign_coords({dim: list(curves)})


def tuned(curves: xr.Dataset) -> xr.DataArray:
    """Return each seed's best validation accuracy (%) at the setting the other seeds choose."""
    score = best_accuracy(curves)
    if score.sizes["seed"] > 1:
        return held_out_best(score)[0]
    return score.max([dim for dim in score.dims if dim != "seed"])


def difference(a: xr.DataArray, b: xr.DataArray) -> tuple[float, float, float]:
    """Return the mean of a - b over the seeds both have, with its 95 % t interval."""
    over = interval(a - b)
    return tuple(float(over[name]) for name in ("mean", "lower", "upper"))


def collect(folder: Path) -> dict[str, xr.Dataset]:
    """Return all finished runs below a folder by their path in it, such as "convnets/c1"."""

    def read():
        paths = sorted(folder.rglob("curves.nc"))
        return {str(path.parent.relative_to(folder)): load_curves(path) for path in paths}

    return hosts.first(read)


def peak_limits(curves: xr.Dataset) -> tuple[float, float] | None:
    """Return limits of accuracy (%) that show peaks and declines, which take a few points.

    They leave the climb out of view; None where networks learn too little for that.
    """
    return (60, 100) if curves.valid_accuracy.max() > 0.75 else None


def draw(figures: "Mapping[str, Figure]", tables: "Mapping[str, Table]", folder: Path) -> None:
    """Write figures, and tables as Markdown, CSV and LaTeX, under their names in a folder."""
    from emnist_jax.figures.tables import save_table

    save_figures(figures, folder)
    for name, table in tables.items():
        save_table(table, folder / name)


def save_figures(figures: Mapping[str, "Figure"], folder: Path) -> list[Path]:
    """Write figures as PNG and SVG under their names and print where the PNGs are."""
    from emnist_jax.figures import save_figure

    paths = [
        path for name, figure in figures.items() for path in save_figure(figure, folder / name)
    ]
    for path in paths:
        if path.suffix == ".png":
            print(path)
    return paths


def parse(options: type[T], module: ModuleType) -> T:
    """Return the options of the command line of an experiment's module; --help prints and exits.

    Raises:
        InputError: an unknown option, or an invalid value.
    """
    command = f"python -m experiments.{Path(module.__file__).stem}"
    return of_command_line(options, command, module.__doc__)


def main(run: Callable, options: type) -> None:
    """Run an experiment from the command line."""

    def command():
        chosen = parse(options, sys.modules[run.__module__])
        connect(chosen)
        run(chosen)

    guarded(command)
