"""R1, Figures 4 and 5: RMSprop on the dense net at six learning rates, decay .9.

python -m experiments.rmsprop --data emnist/balanced
"""

from emnist_jax.figures import plot_best_against_rate, plot_curves
from emnist_jax.figures.tables import settings_table
from experiments._experiment import Experiment, Figure, main
from experiments._networks import DENSE, paper_sweep

GRID = {"learning_rate": (0.3, 0.1, 0.03, 0.01, 0.003, 0.001), "decay": 0.9}

EXPERIMENT = Experiment(
    "rmsprop",
    "RMSprop (R1)",
    sweeps={"rmsprop": paper_sweep(DENSE, "rmsprop", GRID, epochs=100)},
    figures={
        "figure_4_validation_accuracy": Figure(
            "RMSprop: validation accuracy.",
            lambda runs: plot_curves(runs["rmsprop"], hue="learning_rate"),
        ),
        "figure_5_training_error": Figure(
            "RMSprop: training error; guessing costs ln 47 = 3.85.",
            lambda runs: plot_curves(runs["rmsprop"], hue="learning_rate", variables="train_error"),
        ),
        "best_against_rate": Figure(
            "RMSprop: best validation accuracy and its epoch against eta.",
            lambda runs: plot_best_against_rate(runs["rmsprop"]),
        ),
    },
    tables={"settings": lambda runs: settings_table(runs["rmsprop"], first_seeds=3)},
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
