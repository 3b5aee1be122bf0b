"""R1, Figures 4 and 5: RMSprop on the dense net at six learning rates, decay .9.

python -m experiments.rmsprop --data emnist/balanced
"""

import math

from emnist_jax.figures import plot_best_against_rate, plot_curves
from emnist_jax.figures.style import mark
from emnist_jax.figures.tables import settings_table
from experiments._curves import with_names
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._networks import DENSE, paper_sweep

GRID = {"learning_rate": (0.3, 0.1, 0.03, 0.01, 0.003, 0.001), "decay": 0.9}

GUESSING = math.log(47)


def draw_accuracy(runs: Results):
    """Draw validation accuracy at every learning rate."""
    figure = plot_curves(with_names(runs["rmsprop"]), hue="learning_rate")
    words = "82.7 ± .4 % at epochs 6 to 9"
    return mark(figure, words, 7.5, 82.7, dx=1.5, dy=0.4, loc=(0.42, 0.74))  # between lines


def draw_error(runs: Results):
    """Draw training error up to a little above that of guessing: single epochs lie far above."""
    curves, limits = with_names(runs["rmsprop"]), (0, 1.3 * GUESSING)
    figure = plot_curves(curves, hue="learning_rate", variables="train_error", ylim=limits)
    return mark(figure, "ln 47 = 3.85, guessing", y=GUESSING, loc="upper left")


def draw_best(runs: Results):
    """Draw the best accuracy and its epoch at every learning rate."""
    figure = plot_best_against_rate(with_names(runs["rmsprop"]))
    mark(figure, "82.7 ± .4 %", 0.001, 82.7, dy=0.4, panels=slice(1), loc="lower left")
    return mark(figure, "6 to 9", 0.001, 7.5, dy=1.5, panels=slice(1, None), loc="upper left")


EXPERIMENT = Experiment(
    "rmsprop",
    "RMSprop (R1)",
    sweeps={"rmsprop": paper_sweep(DENSE, "rmsprop", GRID, epochs=100)},
    figures={
        "figure_4_validation_accuracy": Figure("RMSprop: validation accuracy.", draw_accuracy),
        "figure_5_training_error": Figure(
            "RMSprop: training error; single epochs above 5 nats are cut off.", draw_error
        ),
        "best_against_rate": Figure(
            "RMSprop: best validation accuracy and its epoch against eta.", draw_best
        ),
    },
    tables={"settings": lambda runs: settings_table(runs["rmsprop"], first_seeds=3)},
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
