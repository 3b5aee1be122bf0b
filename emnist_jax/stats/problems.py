"""Rules over several problems, as reviewers ask by name (Dolan and More 2002; Agarwal et al. 2021).

Scores of the functions after Agarwal et al. are higher where better and comparable between problems
(accuracies of similar tasks, or scaled: (score - chance) / (reference - chance)). Their bands are
percentile intervals of the stratified bootstrap: runs are drawn anew within each problem.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from emnist_jax.errors import InputError
from emnist_jax.stats._inputs import require_dims, require_level, require_same_settings


def performance_profile(
    cost: xr.DataArray,
    rule: str = "rule",
    problem: str = "problem",
    taus: Sequence[float] | None = None,
) -> xr.DataArray:
    """Fraction of problems that a rule solves within tau times the cost of the best rule.

    rho_s(tau) = share of problems p with t_(p,s) <= tau min_s t_(p,s) (Dolan and More 2002).

    Args:
        cost: positive, lower is better: time to target, error. inf or NaN means not solved; a
            problem that no rule solved counts against all.
        rule: the dimension of what is compared.
        problem: the dimension of the problems.
        taus: ratios >= 1 to evaluate at; None takes every ratio that occurs, where the steps are.

    Returns:
        rho with the dimensions of `cost` without `problem`, and `tau`. At tau = 1 it is the share
        of wins; at the largest tau, with the default taus, the share of problems solved.

    Raises:
        InputError: unknown dimension, cost <= 0, or a tau below 1.
    """
    require_dims(cost, rule, problem)
    if (cost <= 0).any():
        raise InputError("a cost must be above 0: ratios to the best are taken")
    cost = cost.astype(float).fillna(np.inf)
    finest = cost.min(rule)
    ratio = xr.where(np.isfinite(finest), cost / finest, np.inf).transpose(*cost.dims)
    if taus is None:
        taus = np.unique(np.append(ratio.values[np.isfinite(ratio.values)], 1.0))
    tau = xr.DataArray(np.asarray(taus, float), dims="tau")
    if (tau < 1).any():
        raise InputError("a ratio tau to the best cost is 1 or more")
    solved = (ratio <= tau.assign_coords(tau=tau.values)).mean(problem)
    return solved.rename("performance_profile").assign_attrs(problems=cost.sizes[problem])


def interquartile_mean(scores: xr.DataArray, **how: str | float) -> xr.Dataset:
    """Mean of the middle half of all runs of all problems, with its stratified bootstrap band.

    Less swayed by outlying runs than the mean, less noisy than the median: a quarter of the runs
    is cut off at each end (Agarwal et al. 2021, section 4.3).

    Args:
        scores: runs with the dimensions `problem` and `seed`; others, such as the rule, are kept.
        **how: `problem` ("problem") and `seed` ("seed"), the dimensions of problems and of
            repetitions; of the bootstrap `level` (0.95), `resamples` (2000) and `rng` (0).

    Returns:
        `estimate`, `lower`, `upper`, in the unit of `scores`.

    Raises:
        InputError: unknown dimensions, missing scores, or bad `level`.
    """
    from scipy.stats import trim_mean

    return _over_runs(lambda x: trim_mean(x, 0.25, axis=-1), scores, **how)


def optimality_gap(scores: xr.DataArray, target: float, **how: str | float) -> xr.Dataset:
    """Mean shortfall of all runs from a score that counts as enough: lower is better.

    mean(max(target - score, 0)): what exceeds `target` earns nothing (Agarwal et al. 2021).
    Arguments, result and errors are those of `interquartile_mean`.
    """
    return _over_runs(lambda x: np.maximum(target - x, 0).mean(-1), scores, **how)


def score_profile(scores: xr.DataArray, taus: Sequence[float], **how: str | float) -> xr.Dataset:
    """Share of all runs with a score above tau, for each tau: Agarwal et al.'s performance profile.

    It shows the whole distribution of scores and, unlike Dolan and More's `performance_profile`,
    does not change with the rules beside it. The band is pointwise. Arguments, result (with the
    dimension `tau`) and errors are those of `interquartile_mean`.
    """
    taus = np.asarray(taus, float)

    def shares(x: NDArray) -> NDArray:
        return (x[..., None] > taus).mean(-2)

    return _over_runs(shares, scores, {"tau": taus}, **how)


def probability_of_improvement(
    a: xr.DataArray,
    b: xr.DataArray,
    problem: str = "problem",
    seed: str = "seed",
    **bootstrap: float,
) -> xr.Dataset:
    """How likely a run of a scores above a run of b, averaged over problems; ties count half.

    Of each problem it is Mann and Whitney's (1947) U / (N M) over all pairs of runs, not of equal
    seeds alone (Agarwal et al. 2021, section 4.3). The bootstrap draws the runs of both anew.

    Args:
        a: runs with the dimensions `problem` (may be absent: one problem) and `seed`.
        b: runs on the same problems; their number may differ.
        problem: the dimension of the problems.
        seed: the dimension of repetitions.
        **bootstrap: `level` (0.95), `resamples` (2000) and `rng` (0).

    Returns:
        `estimate`, `lower`, `upper`, between 0 and 1; .5 where neither is better.

    Raises:
        InputError: unknown dimensions, missing scores, other problems on a side, or bad `level`.
    """
    for x in (a, b):
        if not isinstance(x, xr.DataArray):
            raise InputError("runs are one variable: pass best(curves).valid_accuracy")
        if left := ", ".join(str(dim) for dim in x.dims if dim not in (problem, seed)):
            raise InputError(
                f"dimensions other than problems and seeds are left: {left}; select one"
            )
    a, b = (x if problem in x.dims else x.expand_dims(problem) for x in (a, b))
    sides = [_runs(x, problem, seed) for x in (a, b)]
    if sides[0].shape[-2] != sides[1].shape[-2]:
        raise InputError(f"{sides[0].shape[-2]} and {sides[1].shape[-2]} problems: give the same")
    require_same_settings(a, b, seed)

    def estimate(x: NDArray, y: NDArray) -> NDArray:
        return ((np.sign(x[..., :, None] - y[..., None, :]) + 1) / 2).mean((-3, -2, -1))

    return _bootstrapped(estimate, sides, {}, (), **bootstrap)


def _over_runs(
    statistic: Callable[[NDArray], NDArray],
    scores: xr.DataArray,
    more: Mapping[str, NDArray] | None = None,
    *,
    problem: str = "problem",
    seed: str = "seed",
    **bootstrap: float,
) -> xr.Dataset:
    """Bootstrap a statistic of all runs (..., run) of all problems; `more` labels its own axes."""
    more = more or {}
    runs = _runs(scores, problem, seed)
    kept = [dim for dim in scores.dims if dim not in (problem, seed)]
    coords = {dim: scores[dim] for dim in kept if dim in scores.coords}

    def flat(x: NDArray) -> NDArray:
        return statistic(x.reshape(*x.shape[:-2], -1))

    return _bootstrapped(flat, [runs], {**coords, **more}, (*kept, *more), **bootstrap)


def _runs(scores: xr.DataArray, problem: str, seed: str) -> NDArray:
    """Return scores as float64 (..., problem, seed), none missing."""
    require_dims(scores, problem, seed)
    runs = scores.astype(float).transpose(..., problem, seed).values
    if not np.isfinite(runs).all():
        raise InputError("scores are missing (diverged runs): fill in what they count as")
    return runs


def _bootstrapped(
    statistic: Callable[..., NDArray],
    sides: Sequence[NDArray],
    coords: dict,
    dims: Sequence[str],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    rng: int = 0,
) -> xr.Dataset:
    """Return a statistic of arrays (..., problem, seed) with its stratified bootstrap interval."""
    require_level(level)
    generator = np.random.default_rng(rng)
    draws, before = [], sides[0].ndim - 2
    for begin in range(0, resamples, 100):  # bounds the memory
        drawn = []
        for x in sides:
            shape = (min(100, resamples - begin), *x.shape[-2:])
            picks = generator.integers(x.shape[-1], size=shape)
            many = np.broadcast_to(x[..., None, :, :], (*x.shape[:-2], *shape))
            drawn.append(np.take_along_axis(many, np.broadcast_to(picks, many.shape), axis=-1))
        draws.append(statistic(*drawn))
    ends = [0.5 - level / 2, 0.5 + level / 2]
    lower, upper = np.quantile(np.concatenate(draws, axis=before), ends, axis=before)
    values = {"estimate": statistic(*sides), "lower": lower, "upper": upper}
    return xr.Dataset({k: (dims, v) for k, v in values.items()}, coords, {"level": level})
