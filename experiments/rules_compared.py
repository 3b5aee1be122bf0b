"""X1: which of nine learning rules to take, with and without a schedule, at equal budgets?

    python -m experiments.rules_compared --data emnist/balanced

On the dense net, each rule with as many random settings: at a constant learning rate, with a cosine
after a warm-up, and, for three of them, evaluated at an average of the weights. Does a lead
come from the rule, from the decay of its rate, or from the average? The ranges, below, are fixed
beforehand; learning rates span three decades each, and what is drawn for a hyperparameter of one
name has the same quantiles for all rules: they are compared setting by setting, and a lucky draw is
lucky for all.

Besides the usual rules: Lion (Chen et al., 2023), schedule-free AdamW (Defazio et al., 2024), and
ADOPT (Taniguchi et al., 2024) as the most recent, proved to converge with any b2, which mattered so
much in the paper's Adam; every operation of it is elementwise, so that all its
hyperparameters are axes of one compiled program. (Muon's orthogonalisation costs several times the
network's own operations here; Prodigy has no learning rate to compare.)
"""

from collections.abc import Collection
from functools import partial

from flax import linen as nn

from emnist_jax import Sweep, schedules
from emnist_jax.engine import ranges
from emnist_jax.errors import check_count
from emnist_jax.figures.tables import Table
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._networks import DENSE, float32_sweep
from experiments._rules import (
    draw_against_adam,
    draw_budgets,
    draw_kinds,
    draw_settings,
)
from experiments._rules_finding import finding
from experiments._rules_tables import choice_table, kinds_table, tuned_table
from experiments.claims.rules import folder

_DECAY, _LONG = "1-loguniform(0.01,0.5)", "1-loguniform(0.0001,0.1)"
_ADAM = {"learning_rate": "loguniform(1e-5,1e-2)", "b1": "1-loguniform(0.02,1)", "b2": _LONG}
SPACES: dict[str, dict[str, str]] = {
    "sgd": {"learning_rate": "loguniform(1e-3,1)"},
    "momentum": {"learning_rate": "loguniform(1e-4,1e-1)", "decay": _DECAY},
    "nesterov": {"learning_rate": "loguniform(1e-4,1e-1)", "decay": _DECAY},
    "rmsprop": {"learning_rate": "loguniform(1e-5,1e-2)", "decay": "1-loguniform(0.001,0.5)"},
    "adam": _ADAM,
    "adamw": _ADAM | {"weight_decay": "loguniform(1e-4,1)"},
    "lion": {
        "learning_rate": "loguniform(1e-6,1e-3)",
        "b1": "1-loguniform(0.02,0.5)",
        "b2": "1-loguniform(0.001,0.1)",
        "weight_decay": "loguniform(1e-3,10)",
    },
    "schedule_free_adamw": {
        "learning_rate": "loguniform(1e-4,1e-1)",
        "b1": "1-loguniform(0.02,0.5)",
        "b2": _LONG,
        "weight_decay": "loguniform(1e-4,1)",
    },
    "adopt": _ADAM,
}
AVERAGED = ("sgd", "momentum", "adam")
HELP = {"settings": "random settings of each rule", "sample_seed": "seed of the draw of settings"}


def search_sweeps(
    network: str,
    model: nn.Module,
    rules: Collection[str],
    *,
    epochs: int,
    settings: int,
    sample_seed: int,
    batch_size: int,
    images: int,
) -> dict[str, Sweep]:
    """Return sweeps over random settings of rules: at a constant rate, and with a cosine.

    The cosine follows a warm-up of a twentieth of all updates. Schedule-free AdamW has none: its
    average stands in for one.
    """
    check_count("settings", settings, least=2)
    steps, found = epochs * (images // batch_size), {}
    for rule in rules:
        values = {name: ranges.parse(name, [word]) for name, word in SPACES[rule].items()}
        grid = ranges.draw(values, settings, sample_seed)
        made = partial(float32_sweep, model, grid=grid, epochs=epochs, batch_size=batch_size)
        found[folder(network, rule)] = made(rule)
        if folder(network, rule, "cosine") not in found:
            cosine = schedules.cosine(rule, steps, warmup=steps // 20)
            found[folder(network, rule, "cosine")] = made(cosine)
    return found


def sweeps(
    epochs: int = 10,
    settings: int = 16,
    sample_seed: int = 0,
    batch_size: int = 50,
    images: int = 100_000,
) -> dict[str, Sweep]:
    """Return a sweep for each rule and kind, over random settings from its ranges."""
    how = {"epochs": epochs, "settings": settings, "sample_seed": sample_seed}
    found = search_sweeps("dense", DENSE, SPACES, **how, batch_size=batch_size, images=images)
    for rule in AVERAGED:
        constant = found[folder("dense", rule)]
        averaged = constant.replace(rule=schedules.average(rule))
        found[folder("dense", rule, "averaged")] = averaged
    return found


def ranges_table(_: Results) -> Table:
    """Return what the settings of each rule are drawn from."""
    drawn = {rule: [f"{k} {words}" for k, words in of.items()] for rule, of in SPACES.items()}
    return Table([{"rule": k, "settings drawn from": ", ".join(of)} for k, of in drawn.items()])


EXPERIMENT = Experiment(
    "rules_compared",
    "Which rule to take, with and without a schedule? (X1)",
    sweeps=sweeps,
    help=HELP,
    least_seeds=2,
    figures={
        "against_adam": Figure(
            "Does another rule beat Adam? Eight rules less Adam, with half of the settings tried, "
            "at constant rates, and with a cosine, which schedule-free AdamW has not.",
            partial(draw_against_adam, network="dense"),
        ),
        "kinds": Figure(
            "What do a cosine, and an average of the weights, add to each rule?",
            partial(draw_kinds, network="dense"),
        ),
        "budgets": Figure(
            "How does the best accuracy to expect grow with the settings tried? With a cosine.",
            partial(draw_budgets, network="dense", kind="cosine"),
        ),
        "settings": Figure(
            "How wide is each rule's range of good learning rates? Every setting, constant rates.",
            partial(draw_settings, network="dense"),
        ),
    },
    tables={
        "choice": partial(choice_table, network="dense"),
        "kinds": kinds_table,
        "tuned": partial(tuned_table, network="dense"),
        "ranges": ranges_table,
    },
    finding=partial(finding, network="dense"),
    cost="3.5 hours on two CPU cores (projected)",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
