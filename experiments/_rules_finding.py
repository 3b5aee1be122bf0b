"""Which rule `rules_compared` finds one should take, and what that leaves open, in words."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from emnist_jax.stats import best, best_after_k
from experiments._experiment import Runs
from experiments._rules import (
    NETWORKS,
    Choice,
    at_best_setting,
    choices,
    less_after_k,
    percent,
    scores,
    times,
)
from experiments.claims.beyond import NAMES
from experiments.claims.measures import ratio


def finding(runs: Runs) -> str:
    """Return which rule to take at which budget, and what that leaves open."""
    lines = []
    for network in NETWORKS:
        found = [
            f"{one.k}: **{one.lead}**, {100 * float(one.after.expected):.2f} % "
            f"[{_words(one.after)}], {_rivals(one)}"
            for one in choices(runs)
            if one.network == network
        ]
        lines.append(f"To take on {NAMES[network]}, by settings to try: {'; '.join(found)}.")
    lines.append(
        "Many rules are compared, and the leader is picked by these very numbers, so some gaps "
        "are luck; intervals near all settings are too narrow; and where few settings are tried, "
        "where the ranges lie decides as much as the rule."
    )
    lines += [
        f"On {NAMES[network]}, {_limits(runs, network)} {_pace(times(runs, network, min))}"
        for network in NETWORKS
    ]
    lines.append(
        "Learning rates are constant. Schedule-free AdamW alone is evaluated at the average of its "
        "weights, which stands in for a decaying rate: its lead may be the average's rather than "
        "the rule's, and what a schedule would give the others was not tried."
    )
    return "\n\n".join(lines)


def _words(one: xr.Dataset) -> str:
    return "{:.2f} to {:.2f}".format(*percent(one))


def _rivals(one: Choice) -> str:
    """Return in words how many of the other rules may be as good as the leader."""
    if not one.alike:
        return "ahead of every other"
    return f"{len(one.alike)} of {one.others} others may be as good"


def _limits(runs: Runs, network: str) -> str:
    """Return what the few epochs and the ranges leave open, and how far apart most rules are."""
    own, curves = scores(runs, network), at_best_setting(runs, network)
    last = int(curves["sgd"].epoch[-1])
    late = [rule for rule, one in curves.items() if (best(one).best_epoch == last).mean() > 0.5]
    edge = [r for r, one in curves.items() if one.learning_rate == own[r].learning_rate.max()]
    k = max(1, own["sgd"].sizes["sample"] // 2)
    after = {
        rule: float(best_after_k(score, resamples=1).expected.sel(k=k))
        for rule, score in own.items()
        if rule != "schedule_free_adamw"
    }
    lead, worst = max(after, key=after.get), min(after, key=after.get)
    less = less_after_k(own[lead], own[worst], k)
    return (
        f"{last} epochs: best at the last epoch in most seeds, and perhaps not done: "
        f"{', '.join(late) or 'none'}. Best at the largest learning rate drawn, and perhaps "
        f"better at larger ones: {', '.join(edge) or 'none'}. Without schedule-free AdamW, with "
        f"{k} settings tried, the best rule ({lead}) is {100 * float(less.difference):.2f} points "
        f"[{_words(less)}] above the worst ({worst})."
    )


def _pace(when: Mapping[str, xr.Dataset]) -> str:
    """Return how long the fastest and the slowest rule take to an accuracy that all can reach."""
    epochs = {rule: one.epochs.clip(min=1) for rule, one in when.items()}
    means = {rule: float(one.mean()) for rule, one in epochs.items()}
    fast, slow = min(means, key=means.get), max(means, key=means.get)
    start = (
        "To a point below the worst rule's best, which all can reach, "
        f"{fast} takes {means[fast]:.1f} epochs in the mean"
    )
    if not np.isfinite(means[slow]):
        return f"{start}; {slow} does not get there in every seed."
    of = ratio(epochs[slow], epochs[fast])
    return (
        f"{start}, {slow} {means[slow]:.1f}: {of.mean:.2f} times as many "
        f"[{of.lower:.2f} to {of.upper:.2f}]."
    )
