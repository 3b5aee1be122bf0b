"""What `rules_compared` leaves open, in words: few epochs, the ranges, and no schedules."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from emnist_jax.stats import best, best_after_k, difference_after_k
from experiments.claims.measures import ratio

SCHEDULE = (
    "Learning rates are constant. Schedule-free AdamW alone is evaluated at the average of its "
    "weights, which stands in for a decaying rate: its lead may be the average's rather than the "
    "rule's, and what a schedule would give the others was not tried."
)


def less_after_k(one: xr.DataArray, other: xr.DataArray, k: int) -> xr.Dataset:
    """Return one rule less another after k settings; the i-th of both have the same quantiles."""
    return difference_after_k(one, other, resample="both", same_settings=True).sel(k=k)


def as_range(one: xr.Dataset) -> str:
    """Return an interval of shares, or of their differences, in percent or points."""
    return f"{100 * float(one.lower):.2f} to {100 * float(one.upper):.2f}"


def limits(own: Mapping[str, xr.DataArray], curves: Mapping[str, xr.Dataset]) -> str:
    """Return what the few epochs and the ranges leave open, and how far apart most rules are.

    Args:
        own: each rule's best validation accuracies (0 to 1), by setting and seed.
        curves: each rule's curves at its best setting.
    """
    last = int(next(iter(curves.values())).epoch[-1])
    rising = [
        rule for rule, one in curves.items() if float((best(one).best_epoch == last).mean()) > 0.5
    ]
    edge = [
        rule
        for rule, one in curves.items()
        if float(one.learning_rate) == float(own[rule].learning_rate.max())
    ]
    return (
        f"{last} epochs: best at the last epoch in most seeds, and perhaps not done: "
        f"{', '.join(rising) or 'none'}. Best at the largest learning rate drawn, and perhaps "
        f"better at larger ones: {', '.join(edge) or 'none'}. {_without_average(own)}"
    )


def _without_average(own: Mapping[str, xr.DataArray]) -> str:
    """Return how far apart the rules are that are evaluated where they are, at half the budget."""
    k = max(1, next(iter(own.values())).sizes["sample"] // 2)
    after = {
        rule: float(best_after_k(score, resamples=1).expected.sel(k=k))
        for rule, score in own.items()
        if rule != "schedule_free_adamw"
    }
    lead, worst = max(after, key=after.get), min(after, key=after.get)
    less = less_after_k(own[lead], own[worst], k)
    return (
        f"Without schedule-free AdamW, with {k} settings tried, the best rule ({lead}) is "
        f"{100 * float(less.difference):.2f} points [{as_range(less)}] above the worst ({worst})."
    )


def common_pace(when: Mapping[str, xr.Dataset]) -> str:
    """Return how long the fastest and the slowest rule take to an accuracy that all can reach.

    Args:
        when: each rule's times to a point below the worst rule's best, at its best setting.
    """
    epochs = {rule: one.epochs.clip(min=1) for rule, one in when.items()}
    means = {rule: float(one.mean()) for rule, one in epochs.items()}
    fast, slow = min(means, key=means.get), max(means, key=means.get)
    told = (
        "To a point below the worst rule's best, which all can reach, "
        f"{fast} takes {means[fast]:.1f} epochs in the mean"
    )
    if not np.isfinite(means[slow]):
        return f"{told}; {slow} does not get there in every seed."
    of = ratio(epochs[slow], epochs[fast])
    return (
        f"{told}, {slow} {means[slow]:.1f}: {of.mean:.2f} times as many "
        f"[{of.lower:.2f} to {of.upper:.2f}]."
    )
