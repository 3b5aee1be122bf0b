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

from collections.abc import Collection, Mapping
from functools import partial

import numpy as np
import xarray as xr
from flax import linen as nn

from emnist_jax import Sweep, schedules
from emnist_jax.engine import ranges
from emnist_jax.errors import check_count
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, best_setting
from experiments._curves import gain, over_seeds, signed, tuned
from experiments._experiment import Experiment, Figure, Runs, main
from experiments._names import NAMES
from experiments._networks import DENSE, float32_sweep
from experiments._rules import (
    KINDS,
    choice_table,
    draw_against_adam,
    draw_budgets,
    draw_kinds,
    draw_settings,
    epochs_to,
    finding_on,
    gains,
    kinds_table,
    scores,
    searched,
    tuned_table,
)
from experiments.claims.beyond import SCHEDULE_FREE, folder
from experiments.claims.measures import ratio, tuned_range

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
    check_count("settings", settings)
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


def ranges_table(_: Runs) -> Table:
    """Return what the settings of each rule are drawn from."""
    drawn = {rule: [f"{k} {words}" for k, words in of.items()] for rule, of in SPACES.items()}
    return Table([{"rule": k, "settings drawn from": ", ".join(of)} for k, of in drawn.items()])


# What it answers, in words: the rule, the schedule, or the average?


def finding(runs: Runs) -> str:
    """Return which rule to take, and what of it a schedule or an average does: a line each."""
    lines = finding_on(runs, "dense"), _lead(runs), _accuracy(runs), _pace(runs), _open(runs)
    return "\n".join(f"- {line}" for line in lines)


def _lead(runs: Runs) -> str:
    """Return what schedule-free AdamW leads Adam by: as it is, with a cosine, averaged."""
    free = runs[folder("dense", SCHEDULE_FREE)]
    less = {
        kind: signed(gain(free, runs[folder("dense", "adam", kind)]))
        for kind in ("", "cosine", "averaged")
    }
    return (
        "**What remains of schedule-free AdamW's lead?** At its best setting it is over Adam at a "
        f"constant rate {less['']}; over Adam with a cosine {less['cosine']}; over Adam averaged "
        f"{less['averaged']}."
    )


def _accuracy(runs: Runs) -> str:
    """Return how far rules lie apart, of either kind, with the best of them and without."""
    lines = []
    for kind, words in KINDS.items():
        found = searched(runs, "dense", kind)
        means = {rule: float(tuned(curves).mean()) for rule, curves in found.items()}
        lead = max(means, key=means.get)
        rest = {rule: curves for rule, curves in found.items() if rule != lead}
        whole, others = (signed(over_seeds(tuned_range(of))) for of in (found, rest))
        lines.append(
            f"{words}, the best ({NAMES[lead]}) is {whole} above the worst, without it the best is "
            f"{others} above"
        )
    added = gains(runs, "cosine")
    least, most = (pick(added, key=lambda rule: added[rule][0]) for pick in (min, max))
    return (
        f"**Does the rule matter for the accuracy?** {'; '.join(lines)}. A cosine adds "
        f"{signed(added[least], '')} ({NAMES[least]}) to {signed(added[most], '')} points "
        f"({NAMES[most]})."
    )


def _pace(runs: Runs) -> str:
    """Return how long the fastest and the slowest rule take to an accuracy that all can reach."""
    lines = [
        f"{words}, {_times(epochs_to(searched(runs, 'dense', kind), min))}"
        for kind, words in KINDS.items()
    ]
    return (
        "**And for the time?** To a point below the worst rule's best, which all can reach: "
        f"{'; '.join(lines)}."
    )


def _times(epochs: Mapping[str, xr.DataArray]) -> str:
    epochs = {rule: one.clip(min=1) for rule, one in epochs.items()}
    means = {rule: float(one.mean()) for rule, one in epochs.items()}
    fast, slow = min(means, key=means.get), max(means, key=means.get)
    start = f"{NAMES[fast]} takes {means[fast]:.1f} epochs in the mean, {NAMES[slow]}"
    if not np.isfinite(means[slow]):
        return f"{start} does not get there in every seed"
    of = ratio(epochs[slow], epochs[fast])
    return (
        f"{start} {means[slow]:.1f}, {of.mean:.2f} times as many [{of.lower:.2f} to {of.upper:.2f}]"
    )


def _open(runs: Runs) -> str:
    """Return what the few epochs and the ranges leave open."""
    late, edge = [], []
    for kind, words in KINDS.items():
        found = searched(runs, "dense", kind)
        own, curves = scores(found), {rule: best_setting(one) for rule, one in found.items()}
        last = int(curves["sgd"].epoch[-1])
        if not kind:
            rising = [r for r, one in curves.items() if (best(one).best_epoch == last).mean() > 0.5]
            late = [NAMES[rule] for rule in rising]
        edge += [
            f"{NAMES[rule]} {words}"
            for rule, one in curves.items()
            if one.learning_rate == own[rule].learning_rate.max()
        ]
    return (
        f"**What is open?** After {last} epochs at a constant rate, best at the last in most "
        f"seeds, and perhaps not done: {', '.join(late) or 'none'}. Best at the largest learning "
        f"rate drawn: {', '.join(edge) or 'none'}."
    )


EXPERIMENT = Experiment(
    "rules_compared",
    "Which rule to take, with and without a schedule (X1)",
    sweeps=sweeps,
    help=HELP,
    least_seeds=2,
    figures={
        "against_adam": Figure(
            "Does another rule beat Adam? Eight rules less Adam at equal budgets, all at constant "
            "rates, and all that can with a cosine.",
            partial(draw_against_adam, network="dense"),
        ),
        "kinds": Figure(
            "What do a cosine, and an average of the weights, add to each rule?", draw_kinds
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
    finding=finding,
    cost="70 minutes on two CPU cores (projected)",
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
