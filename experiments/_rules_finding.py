"""What searches of rules answer, in words: the rule, the schedule, or the average?"""

from collections.abc import Mapping, Sequence
from itertools import groupby

import numpy as np
import xarray as xr

from emnist_jax.stats import best_setting
from experiments._curves import gain, over_seeds, perhaps_not_done, signed, tuned
from experiments._draw import in_range
from experiments._experiment import Results
from experiments._names import NAMES
from experiments._rules import (
    KINDS,
    Choice,
    called,
    choices,
    epochs_to,
    gains_of_kind,
    percent,
    scheduled,
    searched,
)
from experiments.claims.measures import best_accuracy, ratio
from experiments.claims.rules import SCHEDULE_FREE, folder

_RIVALS = {
    ("adam", ""): "Adam at a constant rate",
    ("adam", "cosine"): "Adam with a cosine",
    ("adam", "averaged"): "averaged Adam",
    ("sgd", "averaged"): "averaged SGD",
    ("momentum", "averaged"): "averaged momentum",
}


def finding(runs: Results, network: str) -> str:
    """Return which rule to take, and what of it a schedule or an average does: a line each."""
    parts = _which, _lead, _accuracy, _pace, _open
    return "\n".join(f"- {part(runs, network)}" for part in parts)


def _which(runs: Results, network: str) -> str:
    """Return which rule to take at which budget, and how sure that is with half the settings."""
    found = list(choices(runs, network))
    lines = []
    for kind, words in KINDS.items():
        own = [one for one in found if one.kind == kind]
        half = own[max(0, len(own) - 2)]  # budgets double
        leads = ", ".join(
            f"{called(rule, kind)} with {in_range([one.k for one in of])}"
            for rule, of in groupby(own, key=lambda one: one.lead)
        )
        reached, (lower, upper) = 100 * float(half.after.expected), percent(half.after)
        lines.append(
            f"{words}, {leads}; with {half.k}, {called(half.lead, kind)} has {reached:.2f} % "
            f"[{lower:.2f} to {upper:.2f}], {_rivals(half)}"
        )
    return (
        f"**Which rule, by the number of settings to try?** {'. '.join(map(_sentence, lines))}. "
        "With few settings, where the ranges lie decides as much as the rule."
    )


def _lead(runs: Results, network: str) -> str:
    """Return what schedule-free AdamW leads others by that decay or average."""
    free = runs[folder(network, SCHEDULE_FREE)]
    less = [
        f"{words} {signed(gain(free, runs[folder(network, *of)]))}"
        for of, words in _RIVALS.items()
        if folder(network, *of) in runs
    ]
    return (
        "**What remains of schedule-free AdamW's lead?** At its best setting it is over "
        f"{'; over '.join(less)}."
    )


def _accuracy(runs: Results, network: str) -> str:
    """Return how far rules lie apart, of either kind, with the best of them and without."""
    lines = []
    for kind, words in KINDS.items():
        found = searched(runs, network, kind)
        values = {rule: tuned(curves) for rule, curves in found.items()}
        means = {rule: float(of.mean()) for rule, of in values.items()}
        lead, worst = max(means, key=means.get), min(means, key=means.get)
        others = [value for rule, value in means.items() if rule != lead]
        whole, next_best = (
            signed(over_seeds(tuned(one) - values[worst]))
            for one in (found[lead], _without_best(found[lead]))
        )
        equal = equal_range([of for rule, of in values.items() if rule != lead])
        lines.append(
            f"{words}, the best ({called(lead, kind)}) is {whole} above the worst "
            f"({called(worst, kind)}), and "
            f"{next_best} without its best setting; the others lie within "
            f"{max(others) - min(others):.2f} points, and if equal would 19 times in 20 within "
            f"{equal:.2f}"
        )
        if lead == "adamw":
            decay = signed(over_seeds(values[lead] - values["adam"]))
            lines[-1] += f"; over Adam, which has the same draws but no weight decay, it is {decay}"
    added = gains_of_kind(runs, network, "cosine")
    least, most = (pick(added, key=lambda rule: added[rule][0]) for pick in (min, max))
    return (
        f"**Does the rule matter for the accuracy?** {'. '.join(map(_sentence, lines))}. A cosine "
        f"adds {signed(added[least], '')} ({NAMES[least]}) to {signed(added[most], '')} points "
        f"({NAMES[most]})."
    )


def _without_best(curves: xr.Dataset) -> xr.Dataset:
    """Return the curves of all settings but the best one."""
    return curves.drop_isel(sample=int(best_accuracy(curves).mean("seed").argmax("sample")))


def equal_range(values: Sequence[xr.DataArray]) -> float:
    """Return how far apart the means of as many equal rules lie at most, 19 times in 20.

    The 95 % quantile of the studentized range (Tukey, 1949), with the noise that is left after
    taking out the means of rules and of seeds, which all rules share.
    """
    from scipy.stats import studentized_range

    x = np.stack([one.values for one in xr.align(*values, join="inner")])
    rules, seeds = x.shape
    left = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    df = (rules - 1) * (seeds - 1)
    error = np.sqrt((left**2).sum() / df / seeds)
    return float(studentized_range.ppf(0.95, rules, df) * error)


def _pace(runs: Results, network: str) -> str:
    """Return how long the fastest and the slowest rule take to an accuracy that all can reach."""
    of = {words: scheduled(runs, network, kind) for kind, words in KINDS.items()}
    constant, cosine = of.values()
    of[f"the same rules {KINDS['']}"] = {rule: constant[rule] for rule in cosine}
    times = [f"{words}, {_times(epochs_to(found, min))}" for words, found in of.items()]
    return (
        "**And for the time?** To a point below the worst rule's best, which all can reach: "
        f"{'; '.join(times)}."
    )


def _times(epochs: Mapping[str, xr.DataArray]) -> str:
    epochs = {rule: one.clip(min=1) for rule, one in epochs.items()}
    means = {rule: float(one.mean()) for rule, one in epochs.items()}
    fast, slow = min(means, key=means.get), max(means, key=means.get)
    if not np.isfinite(means[fast]):
        return "no rule gets there in every seed"
    start = f"{NAMES[fast]} takes {means[fast]:.1f} epochs in the mean, {NAMES[slow]}"
    if not np.isfinite(means[slow]):
        return f"{start} does not get there in every seed"
    of = ratio(epochs[slow], epochs[fast])
    times = f"{of.mean:.2f} times as many (geometric mean) [{of.lower:.2f} to {of.upper:.2f}]"
    return f"{start} {means[slow]:.1f}, {times}"


def _open(runs: Results, network: str) -> str:
    """Return what the few epochs and the ranges leave open."""
    edge = [
        f"{NAMES[rule]} {words}"
        for kind, words in KINDS.items()
        for rule, one in scheduled(runs, network, kind).items()
        if best_setting(one).learning_rate == one.learning_rate.max()
    ]
    constant = searched(runs, network)  # a cosine ends at its best
    late = perhaps_not_done({NAMES[rule]: one for rule, one in constant.items()})
    return (
        f"**What is open?** All this is of these settings. {late} Best at the largest learning "
        f"rate drawn: {', '.join(edge) or 'none'}."
    )


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:]


def _rivals(one: Choice) -> str:
    """Return in words how many of the other rules may be as good as the leader."""
    if not one.alike:
        return "ahead of every other"
    return f"{len(one.alike)} of {one.others} others may be as good"
