"""R1, Figures 4 and 5: RMSprop on the dense net at six learning rates, decay .9.

python -m experiments.rmsprop --data emnist/balanced
"""

from dataclasses import dataclass

import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_best_against_rate, plot_curves
from emnist_jax.figures.tables import Table, settings_table
from experiments._common import Options as CommonOptions
from experiments._common import draw, main, train


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    learning_rate: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    """learning rates, each a setting"""
    decay: float = 0.9
    """decay of the mean of squared gradients"""


RUNS = ("rmsprop",)
CAPTIONS = {
    "figure_4_validation_accuracy": "RMSprop: validation accuracy.",
    "figure_5_training_error": "RMSprop: training error; guessing costs ln 47 = 3.85.",
    "best_against_rate": "RMSprop: best validation accuracy and its epoch against eta.",
}


def run(options: Options) -> xr.Dataset:
    """Train the grid, save its curves, and draw its figures and tables."""
    curves = measure(options)
    draw(figures(curves), tables(curves), options.out / "rmsprop")
    return curves


def measure(options: Options) -> xr.Dataset:
    """Train the grid and save its curves."""
    grid = {"learning_rate": options.learning_rate, "decay": options.decay}
    return train(options, "rmsprop", ej.MLP(hidden=(100, 100)), "rmsprop", grid)


def figures(curves: xr.Dataset) -> dict:
    """Return Figure 4 (validation accuracy), Figure 5 (training error) and best accuracies."""
    return {
        "figure_4_validation_accuracy": plot_curves(curves, hue="learning_rate"),
        "figure_5_training_error": plot_curves(
            curves, hue="learning_rate", variables="train_error"
        ),
        "best_against_rate": plot_best_against_rate(curves),
    }


def tables(curves: xr.Dataset) -> dict[str, Table]:
    """Return the table of settings; the paper had three seeds."""
    return {"settings": settings_table(curves, first_seeds=3)}


if __name__ == "__main__":
    main(run, Options)
