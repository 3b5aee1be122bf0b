"""B1, Figures 2 and 3: stochastic gradient descent on the dense net at five learning rates.

python -m experiments.sgd --data emnist/balanced
"""

from emnist_jax.figures import plot_best_against_rate, plot_curves
from emnist_jax.figures.style import mark
from emnist_jax.figures.tables import settings_table
from experiments._curves import peak_limits, with_names
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._networks import DENSE, paper_sweep

RATES = (0.1, 0.03, 0.01, 0.003, 0.001)


def draw_three_rates(runs: Results):
    """Draw the curves of the largest, the middle and the smallest learning rate."""
    curves, both = with_names(runs["sgd"]), ("train_accuracy", "valid_accuracy")
    last = curves.sizes["learning_rate"] - 1
    shown = curves.isel(learning_rate=sorted({0, (last + 1) // 2, last}))
    limits = peak_limits(shown, both)
    return plot_curves(shown, hue="learning_rate", variables=both, ylim=limits)


def draw_best(runs: Results):
    """Draw the best accuracy and its epoch at every learning rate."""
    figure = plot_best_against_rate(with_names(runs["sgd"]))
    words = "overfits from about epoch 10"
    return mark(figure, words, 0.1, 10, panels=slice(1, None), loc="lower left")


EXPERIMENT = Experiment(
    "sgd",
    "SGD (B1)",
    sweeps={"sgd": paper_sweep(DENSE, "sgd", {"learning_rate": RATES}, epochs=100)},
    figures={
        "figure_2_best_against_rate": Figure(
            "SGD: best validation accuracy and its epoch against eta.", draw_best
        ),
        "figure_3_accuracy": Figure(
            "SGD: training and validation accuracy at three learning rates.", draw_three_rates
        ),
    },
    tables={"settings": lambda runs: settings_table(runs["sgd"])},
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
