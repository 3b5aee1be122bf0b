"""What `rules_compared` answers, in words: the rule, the schedule, or the average?"""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from emnist_jax.stats import best
from experiments._curves import over_seeds, signed, tuned
from experiments._experiment import Runs
from experiments._names import NAMES
from experiments._rules import (
    KINDS,
    at_best_setting,
    epochs_to,
    finding_on,
    gains,
    scores,
    searched,
)
from experiments.claims.beyond import folder
from experiments.claims.measures import ratio, tuned_range


def finding(runs: Runs) -> str:
    """Return which rule to take at which budget, and what of it a schedule or an average does."""
    return "\n\n".join([_ahead(runs), _pace(runs), finding_on(runs, "dense"), _open(runs)])


def _ahead(runs: Runs) -> str:
    """Return what schedule-free AdamW leads Adam by: as it is, with a cosine, averaged."""
    free = tuned(runs[folder("dense", "schedule_free_adamw")])
    less = {
        kind: signed(over_seeds(free - tuned(runs[folder("dense", "adam", kind)])))
        for kind in ("", "cosine", "averaged")
    }
    rise = {rule: signed(of) for rule, of in gains(runs, "dense", "cosine").items()}
    return (
        f"Schedule-free AdamW less Adam at a constant rate: {less['']}; less Adam with a cosine: "
        f"{less['cosine']}; less averaged Adam: {less['averaged']}. A cosine adds to "
        + "; ".join(f"{NAMES[rule]} {words}" for rule, words in rise.items())
        + "."
    )


def _pace(runs: Runs) -> str:
    """Return whether the rule changes the time, hardly the accuracy, of either kind."""
    lines = []
    for kind, words in KINDS.items():
        found = searched(runs, "dense", kind)
        means = {rule: float(tuned(curves).mean()) for rule, curves in found.items()}
        lead = max(means, key=means.get)
        rest = {rule: curves for rule, curves in found.items() if rule != lead}
        whole, others = (signed(over_seeds(tuned_range(of))) for of in (found, rest))
        lines.append(
            f"All rules, {words}: the best, {NAMES[lead]}, is {whole} above the worst; of the "
            f"others the best is {others} above the worst. "
            + _times(epochs_to(runs, "dense", min, kind))
        )
    return " ".join(lines)


def _times(epochs: Mapping[str, xr.DataArray]) -> str:
    """Return how long the fastest and the slowest rule take to an accuracy that all can reach."""
    epochs = {rule: one.clip(min=1) for rule, one in epochs.items()}
    means = {rule: float(one.mean()) for rule, one in epochs.items()}
    fast, slow = min(means, key=means.get), max(means, key=means.get)
    start = (
        "To a point below the worst rule's best, which all can reach, "
        f"{NAMES[fast]} takes {means[fast]:.1f} epochs in the mean"
    )
    if not np.isfinite(means[slow]):
        return f"{start}; {NAMES[slow]} does not get there in every seed."
    of = ratio(epochs[slow], epochs[fast])
    return (
        f"{start}, {NAMES[slow]} {means[slow]:.1f}: {of.mean:.2f} times as many "
        f"[{of.lower:.2f} to {of.upper:.2f}]."
    )


def _open(runs: Runs) -> str:
    """Return what the few epochs and the ranges leave open."""
    lines = []
    for kind, words in KINDS.items():
        own, curves = scores(runs, "dense", kind), at_best_setting(runs, "dense", kind)
        last = int(curves["sgd"].epoch[-1])
        late = [
            NAMES[r] for r, one in curves.items() if (best(one).best_epoch == last).mean() > 0.5
        ]
        edge = [
            NAMES[r] for r, one in curves.items() if one.learning_rate == own[r].learning_rate.max()
        ]
        if kind == "":
            lines.append(
                f"Of {last} epochs {words}, best at the last in most seeds, and perhaps not done: "
                f"{', '.join(late) or 'none'}."
            )
        lines.append(
            f"Best at the largest learning rate drawn, {words}: {', '.join(edge) or 'none'}."
        )
    return " ".join(lines)
