"""A1, Figures 6 and 7: Adam on the dense net, 32 settings of eta, b1 and b2.

    python -m experiments.adam --data emnist/balanced

The largest experiment: five seeds are 160 trials of 100 epochs. `--seeds 2` is what the paper had;
an interrupted run goes on where it stopped.
"""

from emnist_jax.figures import plot_curves, plot_heatmap
from emnist_jax.figures.tables import settings_table
from experiments._curves import peak_limits
from experiments._experiment import Experiment, Figure, Runs, main
from experiments._networks import DENSE, paper_sweep

GRID = {
    "learning_rate": (0.1, 0.01, 0.001, 0.0001),
    "b1": (0.0, 0.9),
    "b2": (0.9, 0.99, 0.999, 0.9999),
}
BOTH = ("train_accuracy", "valid_accuracy", "train_error", "valid_error")


def smallest_rate(runs: Runs):
    """Return the curves at the smallest learning rate."""
    return runs["adam"].sel(learning_rate=runs["adam"].learning_rate.min())


def draw_most_overfitted(runs: Runs):
    """Draw the setting that the paper found to overfit most: the largest b1 and b2."""
    curves = smallest_rate(runs)
    return plot_curves(curves.sel(b1=curves.b1.max(), b2=curves.b2.max()), variables=BOTH)


def draw_windows(runs: Runs):
    """Draw the curves of every b2, a panel each b1."""
    curves = smallest_rate(runs)
    return plot_curves(curves, hue="b2", col="b1", ylim=peak_limits(curves))


EXPERIMENT = Experiment(
    "adam",
    "Adam (A1)",
    sweeps={"adam": paper_sweep(DENSE, "adam", GRID, epochs=100)},
    figures={
        "figure_6_grid": Figure(
            "Adam: best validation accuracy and its epoch over the grid.",
            lambda runs: plot_heatmap(runs["adam"], x="b2", y="learning_rate", col="b1"),
        ),
        "figure_7_curves": Figure(
            "Adam: training and validation curves at eta 1e-4, b1 .9, b2 .9999.",
            draw_most_overfitted,
        ),
        "longer_windows": Figure(
            "Adam: validation accuracy at the smallest eta for each b2.", draw_windows
        ),
    },
    tables={"settings": lambda runs: settings_table(runs["adam"], first_seeds=2)},
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
