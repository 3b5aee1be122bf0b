"""B1, Figures 2 and 3: stochastic gradient descent on the dense net at five learning rates.

python -m experiments.sgd --data emnist/balanced
"""

from emnist_jax.figures import plot_best_against_rate, plot_curves
from emnist_jax.figures.tables import settings_table
from experiments._curves import peak_limits
from experiments._experiment import Experiment, Figure, Runs, main
from experiments._networks import DENSE, paper_sweep

RATES = (0.1, 0.03, 0.01, 0.003, 0.001)


def draw_three_rates(runs: Runs):
    """Draw the curves of the largest, the middle and the smallest learning rate."""
    curves = runs["sgd"]
    last = curves.sizes["learning_rate"] - 1
    return plot_curves(
        curves.isel(learning_rate=sorted({0, (last + 1) // 2, last})),
        hue="learning_rate",
        variables=("train_accuracy", "valid_accuracy"),
        ylim=peak_limits(curves),
    )


EXPERIMENT = Experiment(
    "sgd",
    "SGD (B1)",
    sweeps={"sgd": paper_sweep(DENSE, "sgd", {"learning_rate": RATES}, epochs=100)},
    figures={
        "figure_2_best_against_rate": Figure(
            "SGD: best validation accuracy and its epoch against eta.",
            lambda runs: plot_best_against_rate(runs["sgd"]),
        ),
        "figure_3_accuracy": Figure(
            "SGD: training and validation accuracy at three learning rates.", draw_three_rates
        ),
    },
    tables={"settings": lambda runs: settings_table(runs["sgd"])},
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
