"""What tuning buys: the paper's three rules had 5, 6 and 32 settings to choose from.

python -m experiments.budgets --out results
"""

from emnist_jax.figures import plot_budget
from emnist_jax.stats import best, best_after_k
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._names import NAMES

RULES = ("sgd", "rmsprop", "adam")
CHANCE = 1 / 47


def draw(runs: Results):
    """Draw the best accuracy to expect by the number of settings tried."""
    found = {}
    for rule in RULES:
        after = best_after_k(best(runs[rule]).valid_accuracy, failed=CHANCE)
        mean, sd = after.expected, after.sd  # over orders; none has more than the best there is
        found[NAMES[rule]] = (after.k, mean, mean - sd, (mean + sd).clip(max=mean[-1]))
    note = "mean over the orders of trying settings · band: ± 1 standard deviation over orders"
    return plot_budget(found, note=note)


EXPERIMENT = Experiment(
    "budgets",
    "Tuning budgets",
    reads=RULES,
    figures={
        "budgets": Figure(
            "Best validation accuracy to expect after k settings tried in random order.", draw
        )
    },
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
