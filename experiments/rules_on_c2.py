"""X1 on a ConvNet: six learning rules on C2, with and without a schedule.

    python -m experiments.rules_on_c2 --data emnist/balanced

Of `rules_compared` the three best with a cosine, schedule-free AdamW, which is best without, SGD
and Adam; the first eight of its settings.
"""

from functools import partial

import numpy as np
import xarray as xr

from emnist_jax import Sweep
from experiments import _rules_finding
from experiments._curves import over_seeds, signed
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._networks import C2
from experiments._rules import draw_against_adam, draw_kinds, draw_tuned, searched
from experiments._rules_tables import choice_table, tuned_table
from experiments.claims.rules import ON_C2
from experiments.claims.tuning import tuned_range
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


def finding(runs: Results) -> str:
    """Return which rule to take on C2, and whether the dense net differs at as many settings."""
    parts = [_rules_finding.finding(runs, "c2")]
    c2, dense = (searched(runs, network, "cosine") for network in ("c2", "dense"))
    count = c2["adam"].sizes["sample"]
    dense = {rule: one for rule, one in dense.items() if rule in c2}
    few = {rule: one.isel(sample=slice(count)) for rule, one in dense.items()}
    if set(few) == set(c2) and all(_same_draws(few[rule], c2[rule]) for rule in c2):
        alike, whole = (over_seeds(tuned_range(of)) for of in (few, dense))
        parts.append(
            f"- **And on the dense net?** With a cosine, the best of these {len(c2)} rules is "
            f"there {signed(alike)} above the worst with the same {count} settings, "
            f"{signed(whole)} with all of its {dense['adam'].sizes['sample']}."
        )
    return "\n".join(parts)


def _same_draws(one: xr.Dataset, other: xr.Dataset) -> bool:
    return np.array_equal(one.learning_rate, other.learning_rate)


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
    finding=finding,
    cost="6 hours on two CPU cores (projected)",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
