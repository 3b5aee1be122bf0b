"""A1, Figures 6 and 7: Adam on the dense net, 32 settings of eta, b1 and b2.

    python -m experiments.adam --data emnist/balanced

The largest experiment: five seeds are 160 trials of 100 epochs. `--seeds 2` is what the paper had;
an interrupted run goes on where it stopped.
"""

from dataclasses import dataclass

import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_curves, plot_heatmap
from emnist_jax.figures.tables import Table, settings_table
from experiments._common import Options as CommonOptions
from experiments._common import draw, main, peak_limits, train


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    learning_rate: tuple[float, ...] = (0.1, 0.01, 0.001, 0.0001)
    """learning rates"""
    b1: tuple[float, ...] = (0.0, 0.9)
    """decays of the first moment, each with every learning rate"""
    b2: tuple[float, ...] = (0.9, 0.99, 0.999, 0.9999)
    """decays of the second moment, each with every pair of the others"""


RUNS = ("adam",)
CAPTIONS = {
    "figure_6_grid": "Adam: best validation accuracy and its epoch over the grid.",
    "figure_7_curves": "Adam: training and validation curves at eta 1e-4, b1 .9, b2 .9999.",
    "longer_windows": "Adam: validation accuracy at the smallest eta for each b2.",
}


def run(options: Options) -> xr.Dataset:
    """Train the grid, save its curves, and draw its figures and tables."""
    curves = measure(options)
    draw(figures(curves), tables(curves), options.out / "adam")
    return curves


def measure(options: Options) -> xr.Dataset:
    """Train the grid and save its curves."""
    grid = {"learning_rate": options.learning_rate, "b1": options.b1, "b2": options.b2}
    return train(options, "adam", ej.MLP(hidden=(100, 100)), "adam", grid)


def figures(curves: xr.Dataset) -> dict:
    """Return Figure 6 (the grid), Figure 7 (the most overfitted setting) and curves of each b2."""
    smallest = curves.sel(learning_rate=curves.learning_rate.min())
    last = smallest.sel(b1=curves.b1.max(), b2=curves.b2.max())
    both = ("train_accuracy", "valid_accuracy", "train_error", "valid_error")
    return {
        "figure_6_grid": plot_heatmap(curves, x="b2", y="learning_rate", col="b1"),
        "figure_7_curves": plot_curves(last, variables=both),
        "longer_windows": plot_curves(smallest, hue="b2", col="b1", ylim=peak_limits(smallest)),
    }


def tables(curves: xr.Dataset) -> dict[str, Table]:
    """Return the table of settings; the paper had two seeds."""
    return {"settings": settings_table(curves, first_seeds=2)}


if __name__ == "__main__":
    main(run, Options)
