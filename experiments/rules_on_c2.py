"""X1 on a ConvNet: six learning rules on C2, with and without a schedule.

    python -m experiments.rules_on_c2 --data emnist/balanced

Of `rules_compared` the three best with a cosine, schedule-free AdamW, which is best without, SGD
and Adam; the first eight of its settings.
"""

from functools import partial

from emnist_jax import Sweep
from experiments._experiment import Experiment, Figure
from experiments._main import main
from experiments._networks import C2
from experiments._rules import draw_against_adam, draw_kinds, draw_tuned
from experiments._rules_finding import finding
from experiments._rules_tables import choice_table, tuned_table
from experiments.claims.rules import ON_C2
from experiments.rules_compared import HELP, search_sweeps


def sweeps(
    epochs: int = 8,
    settings: int = 8,
    sample_seed: int = 0,
    batch_size: int = 50,
    images: int = 100_000,
) -> dict[str, Sweep]:
    """Return a sweep for each rule, at a constant rate and with a cosine."""
    how = {"epochs": epochs, "settings": settings, "sample_seed": sample_seed}
    return search_sweeps("c2", C2, ON_C2, **how, batch_size=batch_size, images=images)


EXPERIMENT = Experiment(
    "rules_on_c2",
    "Which rule to take on C2? (X1)",
    sweeps=sweeps,
    help=HELP,
    least_seeds=2,
    figures={
        "tuned": Figure(
            "Does another rule beat Adam on C2? Five rules less Adam, all at their best settings, "
            "at constant rates, and with a cosine, which schedule-free AdamW has not.",
            partial(draw_tuned, network="c2"),
        ),
        "against_adam": Figure(
            "And if only half of the settings had been tried? Five rules less Adam.",
            partial(draw_against_adam, network="c2"),
        ),
        "kinds": Figure(
            "What does a cosine add to each rule on C2?", partial(draw_kinds, network="c2")
        ),
    },
    tables={
        "choice": partial(choice_table, network="c2"),
        "tuned": partial(tuned_table, network="c2"),
    },
    finding=partial(finding, network="c2"),
    cost="6 hours on two CPU cores (projected)",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
