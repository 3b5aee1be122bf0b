"""What is measured at the best of several settings, less the luck of the choice."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import xarray as xr

from emnist_jax.stats import tuned_scores
from experiments.claims.criteria import INF, Estimate
from experiments.claims.measures import best_accuracy, first_passage, ratio, seed_differences
from experiments.claims.runs import NotTestable


def less_luck(score: xr.DataArray) -> xr.DataArray:
    """Return each seed's score at the best setting, less the luck of the choice if any."""
    if score.sizes["seed"] < 2:
        raise NotTestable("one seed gives no interval")
    return tuned_scores(score) if score.ndim > 1 else score


def held_out_best(score: xr.DataArray, *values: xr.DataArray) -> tuple[xr.DataArray, ...]:
    """Return values of the best setting, chosen for each seed on the other seeds by the score.

    Of values other than the score itself, such as its epoch. For the score see `less_luck`: seeds
    that choose for each other depend on each other, and its interval would be too narrow.
    """
    n = score.sizes["seed"]
    if n < 2:
        raise NotTestable("one seed gives no interval")
    grid = [dim for dim in score.dims if dim != "seed"]
    rows = [x.transpose(*grid, "seed").values.reshape(-1, n) for x in (score, *values)]
    others = np.stack([np.delete(rows[0], i, axis=1).mean(1) for i in range(n)])
    chosen = others.argmax(1)
    seed = {"seed": score.seed.values}
    return tuple(xr.DataArray(x[chosen, np.arange(n)], seed, "seed") for x in rows[1:])


def held_out_earliest(score: xr.DataArray, epochs: xr.DataArray, within: float) -> xr.DataArray:
    """Return the epochs of the earliest of the settings whose score is `within` of the best's.

    For each seed that setting is chosen on the other seeds.
    """
    grid = [dim for dim in score.dims if dim != "seed"]
    near = score >= score.max(grid) - within
    late = 10 * epochs.max()  # a setting that is not near is no candidate
    return held_out_best(-epochs.where(near, late), epochs)[0]


def tuned_range(curves: Mapping[str, xr.Dataset]) -> xr.DataArray:
    """Return the best accuracy of the best less that of the worst rule, at their best settings."""
    scores = [less_luck(best_accuracy(one)) for one in curves.values()]
    ordered = sorted(scores, key=lambda x: float(x.mean()))
    return seed_differences(ordered[-1], ordered[0])


def target_of(
    scores: Mapping[str, xr.DataArray], pick: Callable[[Iterable[float]], float] = max
) -> float:
    """Return the accuracy (%) to reach: a point below the best setting of the best rule.

    `pick`: of which rule; min for the worst, so that all reach it in the mean.
    """
    return pick(float(score.mean("seed").max()) for score in scores.values()) - 1


def slowest_over_fastest(
    curves: Mapping[str, xr.Dataset], pick: Callable = max, *, fastest_setting: bool = False
) -> Estimate:
    """Return the ratio of the rules' epochs to an accuracy, slowest over fastest rule.

    Never counts as one epoch more than there were, with no upper end.

    Args:
        curves: by rule.
        pick: the rule whose best accuracy, less a point, is to be reached (see `target_of`).
        fastest_setting: take each rule at the setting that is there first, not at its most
            accurate one; either is chosen for each seed on the other seeds.
    """
    scores = {rule: best_accuracy(one) for rule, one in curves.items()}
    found = []
    for rule, one in curves.items():
        epochs = first_passage(one, target_of(scores, pick))
        counted = epochs.clip(1, float(one.epoch.max()) + 1)
        score = -counted if fastest_setting else scores[rule]
        found.append(held_out_best(score, counted, np.isinf(epochs)))
    found.sort(key=lambda times: float(times[0].mean()))
    (slowest, never), (fastest, _) = found[-1], found[0]
    times = ratio(slowest, fastest)
    return times._replace(upper=INF) if never.any() else times
