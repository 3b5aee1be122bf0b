"""Means with intervals over seeds, paired differences, and intervals of single accuracies."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import gammaln, nctdtr, ndtr, ndtri, stdtr, stdtrit

from emnist_jax.errors import InputError, check_choice
from emnist_jax.stats import _inputs

METHODS = {"t": "t", "percentile": "percentile", "bca": "BCa"}  # our name: scipy's name


def interval(
    x: xr.DataArray,
    dim: str = "seed",
    *,
    level: float = 0.95,
    method: str = "t",
    skipna: bool = False,
    pool: Sequence[str] = (),
    resamples: int = 9999,
    rng: int = 0,
) -> xr.Dataset:
    """Mean, sample standard deviation and confidence interval of the mean over `dim`.

    Args:
        x: values, for instance `curves.valid_accuracy`; inf counts as missing, as NaN does.
        dim: the dimension of independent repetitions.
        level: confidence level.
        method: "t", mean -+ t(n-1) sd / sqrt(n), exact for normal values (Student 1908);
            "percentile" or "bca", bootstrap intervals (Efron 1987) through `scipy.stats.bootstrap`.
            Both bootstraps are too narrow for few seeds (with five they cover 83 %, not 95 %).
        skipna: by default one missing value makes the statistics of its setting NaN; True
            computes them from the finite values.
        pool: dimensions of settings alike whose variances are equal: for `method` "t" the sd is
            then the pooled one, sqrt(sum of squares / df) with df = sum of (n - 1) over them, and
            t has df degrees of freedom. Two seeds of 16 settings give t(16) = 2.1, not t(1) = 12.7.
        resamples: number of bootstrap resamples.
        rng: seed of the bootstrap.

    Returns:
        `mean`, `sd`, `lower`, `upper`, in the unit of `x`, `n` (finite values), `missing` and `df`,
        with the dimensions of `x` without `dim`. With one value `sd` and the bounds are NaN.

    Raises:
        InputError: unknown `dim`, `pool` or `method`, a pooled bootstrap, `level` outside (0, 1).
    """
    _inputs.require_dims(x, dim, *pool)
    if pool and method != "t":
        raise InputError(f'pool is for method="t"; the bootstrap "{method}" has no sd to pool')
    _inputs.require_level(level)
    check_choice(f'unknown method "{method}"', method, METHODS)
    x = x.astype(float)
    x = x.where(np.isfinite(x))
    n = x.notnull().sum(dim)
    mean = x.mean(dim, skipna=skipna)
    squares = ((x - mean) ** 2).sum(dim, min_count=1)
    df = (n - 1).where(squares.notnull(), 0).clip(min=0).sum(list(pool))
    df, squares = df.where(df > 0), squares.sum(list(pool), min_count=1)
    sd = np.sqrt(squares / df).broadcast_like(mean)
    if method == "t":
        half = stdtrit(df, 0.5 + level / 2) * sd / np.sqrt(n)
        lower, upper = mean - half, mean + half
    else:
        kept = x if skipna else x.where(n == x.sizes[dim])
        how = {"level": level, "method": METHODS[method], "resamples": resamples, "rng": rng}
        dims = {"input_core_dims": [[dim]], "output_core_dims": [[], []]}
        lower, upper = xr.apply_ufunc(_bootstrap_mean, kept, vectorize=True, kwargs=how, **dims)
    values = {"mean": mean, "sd": sd, "lower": lower, "upper": upper, "n": n}
    values |= {"missing": x.sizes[dim] - n, "df": df}
    return xr.Dataset(values, attrs={"level": level, "method": method, "over": dim})


def _bootstrap_mean(
    x: NDArray, level: float, method: str, resamples: int, rng: int
) -> tuple[float, float]:
    """Bootstrap bounds of the mean of the finite values; NaN where there are fewer than two."""
    from scipy.stats import bootstrap

    x = np.sort(x[np.isfinite(x)])
    if len(x) < 2:
        return np.nan, np.nan
    if x[0] == x[-1]:  # BCa is undefined without spread
        return x[0], x[0]
    how = {"n_resamples": resamples, "confidence_level": level, "method": method}
    return bootstrap((x,), np.mean, rng=np.random.default_rng(rng), **how).confidence_interval


def paired(
    a: xr.DataArray, b: xr.DataArray, dim: str = "seed", *, level: float = 0.95
) -> xr.Dataset:
    """Paired comparison a - b over the seeds that both have.

    With d the difference of one seed: t interval of mean(d), two-sided p of the paired t test, and
    the effect sizes d_z = mean(d) / sd(d) (Cohen 1988) and g_z = J d_z, corrected for few seeds by
    J = gamma(m / 2) / (sqrt(m / 2) gamma((m - 1) / 2)), m = n - 1 (Hedges 1981).

    Args:
        a: values with the coordinate `dim`.
        b: values to take from them, with equal coordinates but for `dim`.
        dim: the dimension that pairs.
        level: confidence level.

    Returns:
        `difference`, `sd`, `lower`, `upper` in the unit of `a`; `p`, `d_z`, `g_z`; `n` pairs,
        `missing` pairs (common seeds where a side is NaN: these make the row NaN), `unpaired` seeds
        (on one side only). When all differences are equal and not 0, d_z is infinite and p is 0.

    Raises:
        InputError: fewer than two common seeds, no seed labels, or differing coordinates.
    """
    labels = _inputs.common_seeds(a, b, dim)
    _inputs.require_same_settings(a, b, dim)
    unpaired = a.sizes[dim] + b.sizes[dim] - 2 * len(labels)
    a, b = (x.sel({dim: labels}).astype(float) for x in (a, b))
    out = interval(a - b, dim, level=level).rename(mean="difference")
    m = (out.n - 1).where(out.n > 1)
    out["d_z"] = out.difference / out.sd
    out["g_z"] = np.exp(gammaln(m / 2) - gammaln((m - 1) / 2)) / np.sqrt(m / 2) * out.d_z
    out["p"] = 2 * stdtr(m, -np.abs(out.d_z) * np.sqrt(out.n))
    return out.assign(unpaired=unpaired)


def seeds_needed(difference: float, sd: float, *, power: float = 0.8, level: float = 0.95) -> float:
    """Least number of seeds whose t interval excludes a mean this far off, with probability power.

    With n seeds and the true difference, t is noncentral (n - 1 degrees of freedom, noncentrality
    sqrt(n) difference / sd); its far tail is left out (Cohen 1988, chapter 2). The estimates put in
    are themselves uncertain: read "about".

    Args:
        difference: distance of the mean from what the interval is to exclude, in the unit of `sd`.
        sd: standard deviation over seeds.
        power: probability to exclude it.
        level: confidence level of the interval to be.

    Returns:
        A whole number of 2 or more; inf where more than 10,000 are needed or an input is NaN.
    """
    if sd == 0 and abs(difference) > 0:
        return 2.0
    n = np.arange(2, 10_001)
    critical = stdtrit(n - 1, 0.5 + level / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        shift = np.sqrt(n) * np.abs(np.divide(difference, sd))
    # Beyond the range of the noncentral t's series its probability is 1.
    enough = (nctdtr(n - 1, np.minimum(shift, 1e3), critical) <= 1 - power) & ~np.isnan(shift)
    return float(n[enough.argmax()]) if enough.any() else np.inf


def wilson(accuracy: xr.DataArray | float, n: int, *, level: float = 0.95) -> xr.Dataset:
    """Interval of the accuracy of ONE trained network, from the n images it was measured on.

    Wilson's score interval (1927). It covers the draw of the images only, not the seed: for a
    learning rule use `interval` over seeds.

    Args:
        accuracy: fraction of the images classified correctly.
        n: number of images.
        level: confidence level.

    Returns:
        `accuracy`, `lower`, `upper`.

    Raises:
        InputError: an accuracy outside [0, 1], n below 1, or `level` outside (0, 1).
    """
    p = xr.DataArray(accuracy).astype(float)
    if ((p < 0) | (p > 1)).any():  # NaN is let through, it stays NaN
        raise InputError("accuracy must be a fraction in [0, 1]: divide per cent by 100")
    if n < 1:
        raise InputError(f"an accuracy needs one image or more, not n = {n}")
    _inputs.require_level(level)
    z = ndtri(0.5 + level / 2)
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    lower, upper = np.maximum(centre - half, 0), np.minimum(centre + half, 1)
    return xr.Dataset({"accuracy": p, "lower": lower, "upper": upper}, attrs={"level": level})


def two_proportions(
    a: xr.DataArray | float, n_a: int, b: xr.DataArray | float, n_b: int, *, level: float = 0.95
) -> xr.Dataset:
    """Difference a - b of two accuracies on n_a and n_b images, taken as independent.

    z divides the difference by its standard error under equality, with the pooled accuracy p:
    sqrt(p (1 - p) (1 / n_a + 1 / n_b)). The interval is Newcombe's (1998, method 10), built from
    two Wilson intervals. Two networks on the SAME images are not independent: McNemar's test on the
    images where they disagree is sharper; without these images this is the safe answer.

    Returns:
        `difference`, `z`, `p` (two-sided), `lower`, `upper`. z is NaN when both are 0 or both 1.

    Raises:
        InputError: as `wilson`.
    """
    wa, wb = wilson(a, n_a, level=level), wilson(b, n_b, level=level)
    p_a, p_b = wa.accuracy, wb.accuracy
    pooled = (p_a * n_a + p_b * n_b) / (n_a + n_b)
    error = np.sqrt(pooled * (1 - pooled) * (1 / n_a + 1 / n_b))
    difference = p_a - p_b
    z = difference / error.where(error > 0)
    values = {"difference": difference, "z": z, "p": 2 * ndtr(-np.abs(z))}
    values["lower"] = difference - np.sqrt((p_a - wa.lower) ** 2 + (wb.upper - p_b) ** 2)
    values["upper"] = difference + np.sqrt((wa.upper - p_a) ** 2 + (p_b - wb.lower) ** 2)
    return xr.Dataset(values, attrs={"level": level})
