"""What searches of rules answer, in words: the rule, the schedule, or the average?"""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from emnist_jax.stats import best_setting
from experiments._curves import gain, over_seeds, perhaps_not_done, signed, tuned
from experiments._experiment import Results
from experiments._names import NAMES
from experiments._rules import (
    KINDS,
    Choice,
    choices,
    epochs_to,
    gains_of_kind,
    percent,
    searched,
)
from experiments.claims.measures import ratio
from experiments.claims.rules import SCHEDULE_FREE, folder
from experiments.claims.tuning import tuned_range


def finding(runs: Results) -> str:
    """Return which rule to take, and what of it a schedule or an average does: a line each."""
    lines = finding_on(runs, "dense"), _lead(runs), _accuracy(runs), _pace(runs), _open(runs)
    return "\n".join(f"- {line}" for line in lines)


def _lead(runs: Results) -> str:
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


def _accuracy(runs: Results) -> str:
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
    added = gains_of_kind(runs, "cosine")
    least, most = (pick(added, key=lambda rule: added[rule][0]) for pick in (min, max))
    return (
        f"**Does the rule matter for the accuracy?** {'; '.join(lines)}. A cosine adds "
        f"{signed(added[least], '')} ({NAMES[least]}) to {signed(added[most], '')} points "
        f"({NAMES[most]})."
    )


def _pace(runs: Results) -> str:
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


def _open(runs: Results) -> str:
    """Return what the few epochs and the ranges leave open."""
    constant, edge = searched(runs, "dense", ""), []
    for kind, words in KINDS.items():
        for rule, one in searched(runs, "dense", kind).items():
            if best_setting(one).learning_rate == one.learning_rate.max():
                edge.append(f"{NAMES[rule]} {words}")
    rising = perhaps_not_done({NAMES[rule]: one for rule, one in constant.items()})
    return (
        f"**What is open?** At a constant rate: {rising} Best at the largest learning rate drawn: "
        f"{', '.join(edge) or 'none'}."
    )


def finding_on(runs: Results, network: str) -> str:
    """Return which rule to take with half the settings tried, of each kind."""
    found = list(choices(runs, network))
    k = max(1, found[-1].k // 2)
    leads = [
        f"{KINDS[one.kind]} {NAMES[one.lead]}, {100 * float(one.after.expected):.2f} % "
        f"[{interval_words(one.after)}], {_rivals(one)}"
        for one in found
        if one.k == k
    ]
    return (
        f"**Which rule?** With {k} settings to try: {'; '.join(leads)}. "
        f"{found[0].others + 1} rules are compared, and the leader is picked by these very "
        "numbers: of intervals of 95 % one in twenty misses; where few settings are tried, where "
        "the ranges lie decides as much as the rule."
    )


def interval_words(one: xr.Dataset) -> str:
    """Return an interval of fractions in percent."""
    return "{:.2f} to {:.2f}".format(*percent(one))


def _rivals(one: Choice) -> str:
    """Return in words how many of the other rules may be as good as the leader."""
    if not one.alike:
        return "ahead of every other"
    return f"{len(one.alike)} of {one.others} others may be as good"
