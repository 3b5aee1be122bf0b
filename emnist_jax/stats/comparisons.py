"""Do settings carry over to another problem: rank correlation, and regret."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from emnist_jax.errors import InputError
from emnist_jax.stats import _inputs
from emnist_jax.stats.intervals import interval


def rank_correlation(
    a: xr.DataArray,
    b: xr.DataArray,
    over: Sequence[str] | None = None,
    *,
    seed: str = "seed",
    failed: float | None = None,
    level: float = 0.95,
    resamples: int = 2000,
    rng: int = 0,
) -> xr.Dataset:
    """Spearman correlation between the mean scores of the same settings on two problems.

    Do hyperparameters that rank well on one problem rank well on the other? The percentile
    bootstrap resamples the seeds of each problem, independently; the settings stay. Its ends are
    moved away from the estimate by sqrt(n / (n - 1)) t(n - 1) / z for n seeds (the fewer of the
    two), as resampled few seeds spread too little (after Hesterberg 2015). Noise between seeds
    pulls the estimate, and more so its interval, toward 0.

    Args:
        a: scores of the settings on one problem.
        b: scores of the same settings on another problem, with its own seeds.
        over, seed, failed, level, resamples, rng: as in `best_after_k`.

    Returns:
        `correlation` (NaN when all settings tie on a side), `lower`, `upper` (NaN when both
        problems have a single seed), and `settings`, their number.

    Raises:
        InputError: different settings, fewer than two, other dimensions left, missing scores.
    """
    _inputs.require_level(level)
    x, y = _both(a, b, over, seed, failed)
    correlation, lower, upper = float(_spearman(x.mean(0), y.mean(0))), np.nan, np.nan
    repeated = [len(z) for z in (x, y) if len(z) > 1]
    if repeated:
        generator = np.random.default_rng(rng)
        means = [_inputs.resampled_seed_weights(len(z), resamples, generator) @ z for z in (x, y)]
        draws = _spearman(*means)
        # A resample in which a side ties throughout has no correlation; it is left out.
        draws = draws[np.isfinite(draws)]
        if draws.size:
            ends = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2])
            n, q = min(repeated), 0.5 + level / 2
            wider = np.sqrt(n / (n - 1)) * stdtrit(n - 1, q) / ndtri(q) * (ends - correlation)
            lower, upper = np.clip(correlation + wider, -1, 1)
    values = {"correlation": correlation, "lower": float(lower), "upper": float(upper)}
    return xr.Dataset({**values, "settings": x.shape[1]}, attrs={"level": level})


def regret(
    here: xr.DataArray,
    there: xr.DataArray,
    over: Sequence[str] | None = None,
    *,
    seed: str = "seed",
    failed: float | None = None,
    level: float = 0.95,
) -> xr.Dataset:
    """What is lost on problem `here` by taking the setting that is best on problem `there`.

    regret = (score of the best setting here) - (score here of the best setting there), by means
    over seeds, so 0 or more. Choosing the best on the very scores it is judged by flatters it and
    inflates the regret; `held_out` is free of that: for each seed the best setting is chosen on the
    other seeds, then both settings are read at that seed. It may be negative.

    Args:
        here: scores of the settings, higher is better, on the problem that is judged.
        there: scores of the same settings on the problem that chooses.
        over, seed, failed, level: as in `best_after_k`.

    Returns:
        `regret`; `held_out` with its t interval `lower`, `upper` over the seeds of `here` (NaN
        below two), and the two settings as the coordinates `best_<name>` and `chosen_<name>`.

    Raises:
        InputError: as `rank_correlation`.
    """
    _inputs.require_level(level)
    x, y = _both(here, there, over, seed, failed)
    settings = _inputs.stack_settings(here, over, seed, failed)
    mean = x.mean(0)
    best, chosen = int(mean.argmax()), int(y.mean(0).argmax())
    held_out = xr.DataArray([np.nan], dims=seed)
    if len(x) > 1:
        picks = (x.sum(0) - x).argmax(1)  # row i: the sum over the other seeds
        held_out = xr.DataArray(x[np.arange(len(x)), picks] - x[:, chosen], dims=seed)
    across = interval(held_out, seed, level=level)
    labels = {
        f"{role}_{name}": settings[name].values[i]
        for role, i in (("best", best), ("chosen", chosen))
        for name in map(str, settings.coords)
        if settings[name].dims == ("setting",)
    }
    values = {"regret": mean[best] - mean[chosen], "held_out": across["mean"]}
    values |= {"lower": across.lower, "upper": across.upper}
    return xr.Dataset(values, labels, {"level": level})


def _both(
    a: xr.DataArray, b: xr.DataArray, over: Sequence[str] | None, seed: str, failed: float | None
) -> tuple[NDArray, NDArray]:
    """Return the scores of two problems as arrays (seed, setting), settings in the same order."""
    _inputs.require_same_settings(a, b, seed)
    over = [str(d) for d in a.dims if d != seed] if over is None else list(over)
    x, y = (_inputs.stack_settings(z, over, seed, failed) for z in (a, b))
    if x.ndim != 2 or y.ndim != 2:
        extra = ", ".join(str(d) for d in x.dims[:-2] + y.dims[:-2])
        raise InputError(f'dimensions other than "{seed}" and the settings are left: {extra}')
    if x.sizes["setting"] < 2:
        raise InputError("comparing settings needs two or more of them")
    return x.values, y.values


def _spearman(x: NDArray, y: NDArray) -> NDArray:
    """Spearman's correlation along the last axis: Pearson's of the ranks, ties averaged."""
    from scipy.stats import rankdata

    rx, ry = (rankdata(z, axis=-1) for z in (x, y))
    rx, ry = (r - r.mean(-1, keepdims=True) for r in (rx, ry))
    norm = np.sqrt((rx**2).sum(-1) * (ry**2).sum(-1))
    with np.errstate(invalid="ignore"):
        return (rx * ry).sum(-1) / norm
