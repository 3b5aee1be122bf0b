"""B1, Figures 2 and 3: stochastic gradient descent on the dense net at five learning rates.

python -m experiments.sgd --data emnist/balanced
"""

from dataclasses import dataclass

import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_best_against_rate, plot_curves
from emnist_jax.figures.tables import Table, settings_table
from experiments._common import Options as CommonOptions
from experiments._common import draw, main, peak_limits, train


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    learning_rate: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003, 0.001)
    """learning rates, each a setting"""


RUNS = ("sgd",)
CAPTIONS = {
    "figure_2_best_against_rate": "SGD: best validation accuracy and its epoch against eta.",
    "figure_3_accuracy": "SGD: training and validation accuracy at three learning rates.",
}


def run(options: Options) -> xr.Dataset:
    """Train the grid, save its curves, and draw its figures and tables."""
    curves = measure(options)
    draw(figures(curves), tables(curves), options.out / "sgd")
    return curves


def measure(options: Options) -> xr.Dataset:
    """Train the grid and save its curves."""
    grid = {"learning_rate": options.learning_rate}
    return train(options, "sgd", ej.MLP(hidden=(100, 100)), "sgd", grid)


def figures(curves: xr.Dataset) -> dict:
    """Return Figure 2 (best accuracy and its epoch) and Figure 3 (curves of three rates)."""
    rates = curves.learning_rate.values
    three = rates[[0, len(rates) // 2, -1]] if len(rates) > 3 else rates
    return {
        "figure_2_best_against_rate": plot_best_against_rate(curves),
        "figure_3_accuracy": plot_curves(
            curves.sel(learning_rate=three),
            hue="learning_rate",
            variables=("train_accuracy", "valid_accuracy"),
            ylim=peak_limits(curves),
        ),
    }


def tables(curves: xr.Dataset) -> dict[str, Table]:
    """Return the table of settings."""
    return {"settings": settings_table(curves)}


if __name__ == "__main__":
    main(run, Options)
