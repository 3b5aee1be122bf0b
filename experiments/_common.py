"""What every experiment shares: options, command line, training, figures and tables on disk."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro
import xarray as xr

import emnist_jax as ej
from emnist_jax import results
from emnist_jax.errors import InputError

if TYPE_CHECKING:
    from flax import linen as nn
    from matplotlib.figure import Figure

    from emnist_jax.figures.tables import Table
    from emnist_jax.networks import Networks

CHOSEN = {"b1": 0.9, "b2": 0.9999}
"""The paper's decay rates for Adam on every network but the baseline."""
CHOSEN_RATES = (1e-4, 1e-3)
"""The paper's learning rate with them; and ten times that, at which Adam is the undamped rule
(without the factor 1 - b1) at the paper's rate."""


@dataclass(frozen=True)
class Options:
    """Options of every experiment."""

    data: str = "glyphs"
    """glyphs (drawn by the program), a TensorFlow Datasets name such as emnist/balanced, or the
    path of a folder of IDX files, of EMNIST's gzip.zip, or of an image folder"""
    split: Literal["paper", "official"] = "paper"
    """paper: train and test pooled and split again 100,000 / 15,800 / 15,800; official: the
    source's own test part"""
    size: int | None = None
    """use a fixed random subset of so many images in all (glyphs: draw so many); default: all"""
    seeds: int = 5
    """number of random initialisations of every setting: seeds 0, 1, ..."""
    epochs: int = 100
    """passes over the training images"""
    batch_size: int = 50
    """images a minibatch"""
    out: Path = Path("runs")
    """folder of results; the experiment writes to a folder of its own name in it, resumes what was
    interrupted there and skips what is complete"""
    overwrite: bool = False
    """begin again, whatever is there"""


def train(
    options: Options, folder: str, model: "nn.Module", rule: str, grid: Mapping[str, object]
) -> xr.Dataset:
    """Train a sweep with the common options, saved and resumed in `folder` of the results."""
    return _sweep(options, folder, model, rule, grid)


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
        the latter in test/; finished ones are returned as they are.

    Raises:
        InputError: `folder` holds another run.
    """
    where = options.out / folder
    curves_path, tested_path = where / "curves.nc", where / "test" / "curves.nc"
    if curves_path.exists() and tested_path.exists() and not options.overwrite:
        curves = results.load(curves_path)
        there = curves.sizes["epoch"] - 1, curves.sizes["seed"], curves.attrs["data_hash"]
        if there == (options.epochs, options.seeds, _data(options).hash):
            return curves, results.load(tested_path)
    curves, networks = _sweep(options, folder, model, "adam", grid, keep=keep)
    data = _data(options)
    tested = networks.evaluate(data.test) if test is None else test(networks, data)
    tested = tested.assign_attrs(curves.attrs | {"images": len(data.test.labels), "keep": keep})
    results.save(tested, tested_path)
    return curves, tested


def _sweep(options: Options, folder: str, model, rule: str, grid, **more):
    print(f"{folder}:", file=sys.stderr)
    return ej.sweep(
        _data(options),
        model,
        rule,
        grid,
        seeds=options.seeds,
        epochs=options.epochs,
        batch_size=options.batch_size,
        out=options.out / folder,
        overwrite=options.overwrite,
        **more,
    )


def _data(options: Options) -> ej.Dataset:
    return ej.load(options.data, split=options.split, size=options.size)


def collect(folder: Path) -> dict[str, xr.Dataset]:
    """Return all finished runs below a folder by their path in it, such as "convnets/c1"."""
    paths = sorted(folder.rglob("curves.nc"))
    return {str(path.parent.relative_to(folder)): results.load(path) for path in paths}


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


def main(run: Callable, options: type) -> None:
    """Run an experiment from the command line: bad input is one line and exit code 2."""
    chosen = tyro.cli(options, description=sys.modules[run.__module__].__doc__)
    try:
        run(chosen)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        import shlex

        kept = [word for word in sys.orig_argv[1:] if word != "--overwrite"]
        again = shlex.join(["python", *kept])
        print(f"\nstopped; to go on from here: {again}", file=sys.stderr)
        sys.exit(130)
