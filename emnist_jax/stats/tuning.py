"""What tuning buys: the best of k settings, expected, compared, and free of the choice's bias."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from emnist_jax.errors import InputError, check_choice, check_count
from emnist_jax.stats import _inputs
from emnist_jax.stats.curves import best

RESAMPLE = ("seed", "setting", "both")


def best_setting(curves: xr.Dataset, seed: str = "seed") -> xr.Dataset:
    """Return the curves of the setting whose best validation accuracy is highest, mean over seeds.

    A setting of which a seed has no finite epoch is no candidate, unless all are so. The values of
    the hyperparameters chosen stay as scalar coordinates.

    Raises:
        InputError: as `best`.
    """
    score = best(curves).valid_accuracy
    mean = score.mean(seed, skipna=False) if seed in score.dims else score
    return curves.isel(mean.fillna(-np.inf).argmax(mean.dims)) if mean.dims else curves


def best_after_k(
    score: xr.DataArray,
    over: Sequence[str] | None = None,
    *,
    seed: str = "seed",
    failed: float | None = None,
    resample: str = "seed",
    level: float = 0.95,
    resamples: int = 2000,
    rng: int = 0,
) -> xr.Dataset:
    """Best score to expect after trying k of the N settings in random order.

    A setting's score is its mean over seeds. With x_(1) <= ... <= x_(N), the maximum of k settings
    drawn without replacement is x_(i) with probability C(i-1, k-1) / C(N, k): the expectation
    below is exact (Dodge et al. 2019; Tang et al. 2020 for drawing without replacement). Rules
    tuned over 5, 6 and 32 settings are compared at equal k.

    Args:
        score: higher is better, for instance `best(curves).valid_accuracy`.
        over: the dimensions that span the settings; None means all but `seed`. Others are kept.
        seed: the dimension of repetitions; absent means one seed.
        failed: score to count a missing one at (chance, say); None raises instead.
        resample: what the bootstrap band treats as random. "seed": the settings are a fixed grid.
            "setting": they are a random search, another draw would give others. "both".
        level: confidence level of the percentile band.
        resamples: number of bootstrap resamples.
        rng: seed of the bootstrap.

    Returns:
        Along the new dimension `k` = 1..N: `expected`; `sd`, the standard deviation over orders
        (what one tuner may meet); `lower` and `upper`, the bootstrap band of `expected`, NaN where
        what is resampled has length 1. Near k = N the band under "setting" is too low: a resample
        cannot exceed the best setting seen.

    Raises:
        InputError: unknown dimension or choice, missing scores without `failed`, bad `level`.
    """
    _inputs.require_level(level)
    check_choice(f'unknown resample "{resample}"', resample, RESAMPLE)
    stacked = _inputs.stack_settings(score, over, seed, failed)
    weights = _order_weights(stacked.sizes["setting"])
    settings = np.sort(stacked.mean(seed).values, axis=-1)
    expected = settings @ weights
    spread = np.sqrt(((settings[..., None] - expected[..., None, :]) ** 2 * weights).sum(-2))
    draws = _draws_after_k(stacked.values, weights, resample, resamples, rng)
    lower, upper = np.quantile(draws, [0.5 - level / 2, 0.5 + level / 2], axis=-2)
    dims = (*stacked.dims[:-2], "k")
    coords = {d: stacked[d] for d in stacked.dims[:-2] if d in stacked.coords}
    values = {"expected": expected, "sd": spread, "lower": lower, "upper": upper}
    found = {name: (dims, value) for name, value in values.items()}
    labels = {**coords, "k": np.arange(1, stacked.sizes["setting"] + 1)}
    return xr.Dataset(found, labels, {"level": level, "resample": resample})


def difference_after_k(
    a: xr.DataArray,
    b: xr.DataArray,
    *,
    seed: str = "seed",
    failed: float | None = None,
    resample: str = "seed",
    same_settings: bool = False,
    level: float = 0.95,
    resamples: int = 2000,
    rng: int = 0,
) -> xr.Dataset:
    """Difference a - b of two best-after-k curves at equal k, with a bootstrap interval.

    The two may have different settings and numbers of settings. Seeds are resampled together
    (only those both have are used), settings independently. Arguments as in `best_after_k`; every
    dimension but `seed` spans settings. With `same_settings` the i-th setting of both is one draw,
    such as the same quantile of each rule's range: settings are then resampled together too, and
    what a lucky draw gives to both cancels.

    Returns:
        Along `k` = 1..min(N_a, N_b): `difference`, `lower`, `upper`; `n`, the common seeds.

    Raises:
        InputError: as `best_after_k`; under two common seeds; `same_settings` of unequal numbers.
    """
    _inputs.require_level(level)
    check_choice(f'unknown resample "{resample}"', resample, RESAMPLE)
    stacks = [_inputs.stack_settings(x, None, seed, failed) for x in (a, b)]
    labels = _inputs.common_seeds(*stacks, seed)
    values = [x.sel({seed: labels}).values for x in stacks]
    counts = [x.shape[-1] for x in values]
    if same_settings and counts[0] != counts[1]:
        raise InputError(f"same_settings needs as many on both sides, not {counts[0]}, {counts[1]}")
    k = min(counts)
    expected, draws = [], []
    for side, x in enumerate(values):
        weights = _order_weights(x.shape[-1])[:, :k]
        expected.append(np.sort(x.mean(-2)) @ weights)
        stream = 0 if same_settings else side
        draws.append(_draws_after_k(x, weights, resample, resamples, rng, stream))
    lower, upper = np.quantile(draws[0] - draws[1], [0.5 - level / 2, 0.5 + level / 2], axis=-2)
    values = {"difference": expected[0] - expected[1], "lower": lower, "upper": upper}
    found = {name: ("k", value) for name, value in values.items()} | {"n": len(labels)}
    return xr.Dataset(found, {"k": np.arange(1, k + 1)}, {"level": level, "resample": resample})


def tuned_scores(
    score: xr.DataArray,
    k: int | None = None,
    over: Sequence[str] | None = None,
    *,
    seed: str = "seed",
    failed: float | None = None,
    resamples: int = 1000,
    rng: int = 0,
) -> xr.DataArray:
    """Per seed: its score after tuning over k settings, without the luck of the winner.

    A seed's score is that of the best of k settings by the mean over all seeds, expected over the
    choice of the k as in `best_after_k`. The best of noisy means is too high, and the more so the
    more settings were tried. That optimism is estimated by the bootstrap over seeds, the mean of
    (best resampled mean) - (mean of all seeds at that setting), times sqrt(n / (n - 1)) as
    resampled few seeds spread too little (Efron 1983; Hesterberg 2015), and taken off.

    `paired` of two rules' values is the interval of their difference, both tuned alike. How often
    it covers is in docs/statistics.md: as it says for scores near normal, far less where a rule's
    best setting fails now and then. Then give the number of failures beside the score.

    Args:
        score: higher is better, for instance `best(curves).valid_accuracy`.
        k: the budget; None takes all settings.
        over, seed, failed, resamples, rng: as in `best_after_k`; seeds must be two or more.

    Returns:
        Scores in the unit of `score`, without the dimensions of the settings.

    Raises:
        InputError: as `best_after_k`; fewer than two seeds; a k that is no number of settings.
    """
    stacked = _inputs.stack_settings(score, over, seed, failed)
    seeds, n = stacked.sizes[seed], stacked.sizes["setting"]
    k = n if k is None else k
    check_count("k", k, n)
    if seeds < 2:
        raise InputError("one seed cannot separate luck from merit: give two or more")
    x, weights = stacked.values, _order_weights(n)[:, k - 1]
    mean = x.mean(-2, keepdims=True)
    draws = _inputs.resampled_seed_weights(seeds, resamples, np.random.default_rng(rng)) @ x
    above = draws - draws.mean(-2, keepdims=True)  # of the mean of all, but for their number
    luck = np.take_along_axis(above, np.argsort(draws, axis=-1), axis=-1) @ weights
    values = np.take_along_axis(x, np.argsort(mean, axis=-1), axis=-1) @ weights
    values -= luck.mean(-1, keepdims=True) * np.sqrt(seeds / (seeds - 1))
    return stacked.isel(setting=0, drop=True).copy(data=values)


def _order_weights(n: int) -> NDArray:
    """Return w[i-1, k-1] = C(i-1, k-1) / C(n, k), the law of the maximum of k of n settings.

    By recurrence from w[n-1, k-1] = k / n downward, which does not overflow as binomials do.
    """
    i, k = np.arange(1, n)[:, None], np.arange(1, n + 1)
    ratio = np.maximum(i - k + 1, 0) / i  # C(i-1, k-1) / C(i, k-1)
    below = np.cumprod(ratio[::-1], axis=0)[::-1]
    return np.vstack([below, np.ones((1, n))]) * (k / n)


def _draws_after_k(
    x: NDArray, weights: NDArray, resample: str, resamples: int, rng: int, stream: int = 0
) -> NDArray:
    """Bootstrap draws (..., resamples, k) of the expected best of scores x (..., seed, setting).

    The resampled seeds depend on `rng` alone, so that two sides share them; settings are shared by
    sides of one `stream`.
    """
    seeds, settings = x.shape[-2:]
    if resample == "setting":
        means = np.repeat(x.mean(-2, keepdims=True), resamples, axis=-2)
    else:
        generator = np.random.default_rng([rng, 0])
        means = _inputs.resampled_seed_weights(seeds, resamples, generator) @ x
    if resample != "seed":
        picks = np.random.default_rng([rng, 1, stream]).integers(settings, size=means.shape[-2:])
        means = np.take_along_axis(means, np.broadcast_to(picks, means.shape), axis=-1)
    draws = np.sort(means, axis=-1) @ weights
    alone = (seeds == 1 and resample != "setting") or (settings == 1 and resample != "seed")
    return np.full_like(draws, np.nan) if alone else draws
