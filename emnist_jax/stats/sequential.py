"""Looking while seeds are added: a confidence sequence, races resampled, intervals' coverage."""

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import stdtrit

from emnist_jax.errors import InputError, check_count
from emnist_jax.stats._inputs import require_dims, require_level
from emnist_jax.stats.intervals import interval

EFFECT_VARIANCE = 2.0
"""The intervals are near their tightest for 6 to 20 seeds, and finite from the fourth."""


def confidence_sequence(
    differences: xr.DataArray,
    dim: str = "seed",
    *,
    level: float = 0.95,
    effect_variance: float = EFFECT_VARIANCE,
) -> xr.Dataset:
    """Intervals of the mean after 1, 2, ... values that ALL hold at once with probability `level`.

    So one may look after every seed and stop whenever an interval excludes 0. For independent
    normal values of unknown variance, Gaussian mixture of t statistics: with the effect
    (mean - mu) / sd under a normal prior of variance g, the likelihood ratio

        (1 + n g)^(-1/2) ((1 + u) / (1 + u / (1 + n g)))^(n / 2),   u = n (mean - mu)^2 / SS,

    is a test martingale in the filtration of scale-invariant statistics, so that Ville's inequality
    bounds its supremum; SS is the sum of squares about the mean. Solved for mu,

        mean -+ sqrt(SS / n (A - 1) / (1 - A / (1 + n g))),   A = ((1 + n g) / alpha^2)^(1 / n),

    alpha = 1 - `level`; infinite while A >= 1 + n g. Wang and Ramdas (2024), "Anytime-valid t-tests
    and confidence sequences for Gaussian means with unknown variance", theorem 4.9 with c^2 = 1/g;
    Lai (1976) has the flat mixture. Its price: at 10 values it is 1.7 times as wide as Student's.

    Args:
        differences: values in the order they came, such as paired differences by seed.
        dim: the dimension along which they came; others are kept.
        level: probability that all intervals hold.
        effect_variance: g, fixed before looking. Larger values give tighter intervals for fewer
            seeds and wider ones for many.

    Returns:
        `mean`, `lower`, `upper` with the dimension `n` = 1, 2, ... in place of `dim`. Infinite for
        the first values and while all are equal, NaN from the first missing one on. Normal values
        are never equal: those of accuracies on few images may be, and then say nothing of the
        spread, so that they must decide nothing.

    Raises:
        InputError: unknown `dim`, bad `level`, or a variance that is not above 0.
    """
    require_dims(differences, dim)
    require_level(level)
    if not effect_variance > 0:
        raise InputError(f"effect_variance={effect_variance}: give a number above 0")
    x = differences.astype(float).transpose(..., dim)
    mean, half = _sequence(x.values, 1 - level, effect_variance)
    dims = (*x.dims[:-1], "n")
    coords = {d: x[d] for d in x.dims[:-1] if d in x.coords}
    values = {"mean": (dims, mean), "lower": (dims, mean - half), "upper": (dims, mean + half)}
    labels = {**coords, "n": np.arange(1, x.shape[-1] + 1)}
    return xr.Dataset(values, labels, {"level": level, "effect_variance": effect_variance})


def _sequence(x: NDArray, alpha: float, g: float) -> tuple[NDArray, NDArray]:
    """Return running means and half-widths along the last axis."""
    n = np.arange(1, x.shape[-1] + 1)
    mean, squares = _running(x)
    wide = 1 + n * g
    a = (wide / alpha**2) ** (1 / n)
    # Values equal to rounding: their spread is unknown, not 0.
    equal = squares <= n * (1e-9 * np.maximum.accumulate(np.abs(x), -1)) ** 2
    finite = (a < wide) & ~equal
    factor = np.where(finite, (a - 1) / np.where(finite, 1 - a / wide, 1), np.inf)
    with np.errstate(invalid="ignore"):  # 0 x inf
        half = np.where(finite, np.sqrt(squares / n * factor), np.inf)
    return mean, np.where(np.isnan(mean), np.nan, half)


def _running(x: NDArray) -> tuple[NDArray, NDArray]:
    """Return means and sums of squares about them of the first n values, along the last axis."""
    n = np.arange(1, x.shape[-1] + 1)
    shifted = x - x[..., :1]  # so that the difference of squares keeps its digits
    mean = shifted.cumsum(-1) / n
    squares = np.maximum((shifted**2).cumsum(-1) - n * mean**2, 0)
    return x[..., :1] + mean, squares


def simulate_races(
    scores: xr.DataArray,
    against: xr.DataArray | None = None,
    *,
    dim: str = "seed",
    most_seeds: int = 50,
    fixed: int = 20,
    level: float = 0.95,
    races: int = 2000,
    rng: int = 0,
) -> xr.Dataset:
    """What races would have done, drawn with replacement from the stored scores of many seeds.

    Three ways to decide between two rules see the same draws: the race stops once the
    `confidence_sequence` excludes 0; peeking once Student's interval does, after each seed from the
    third on; fixed looks once, after `fixed` seeds. All end undecided at their last seed.

    Args:
        scores: one score a seed, of one rule at one setting.
        against: the other rule's, paired by seed; None races the rule against itself, each side
            with seeds of its own: whatever is decided there is wrong.
        dim: the dimension of seeds.
        most_seeds: pairs at which race and peeking give up, `fixed` or more.
        fixed: pairs of the fixed design.
        level: of all intervals.
        races: number of races drawn.
        rng: seed of the draws.

    Returns:
        With the dimension `way` (race, peeking, fixed): `decided` and `wrong`, shares of the races
        (wrong: against the sign of the mean of all stored pairs, or at all where it is 0), and
        `seeds`, the mean number of pairs used.

    Raises:
        InputError: numbers out of range, scores that are missing or not paired by `dim`.
    """
    require_level(level)
    check_count("races", races)
    check_count("fixed", fixed, most_seeds)
    require_dims(scores, dim)
    pool = scores if against is None else scores - against
    if pool.ndim != 1 or pool.sizes[dim] < 2 or not np.isfinite(pool).all():
        raise InputError(f'a race needs two or more finite scores along "{dim}", and no other dim')
    generator = np.random.default_rng(rng)
    x = generator.choice(pool.values.astype(float), (races, most_seeds))
    if against is None:
        x -= generator.choice(pool.values.astype(float), (races, most_seeds))
    truth = 0.0 if against is None else np.sign(float(pool.mean()))
    mean, half = _sequence(x, 1 - level, EFFECT_VARIANCE)
    n = np.arange(1, most_seeds + 1)
    freedom = np.maximum(n - 1, 1)
    student = stdtrit(freedom, 0.5 + level / 2) * np.sqrt(_running(x)[1] / freedom / n)
    halves = {"race": half, "peeking": np.where(n > 2, student, np.inf)}
    halves["fixed"] = np.where(n == fixed, student, np.inf)
    rows = []
    for way, width in halves.items():
        hit = np.abs(mean) > width
        decided, first = hit.any(1), hit.argmax(1)
        sign = np.sign(mean[np.arange(races), first])
        used = np.where(decided, first + 1, fixed if way == "fixed" else most_seeds)
        rows.append((decided.mean(), (decided & (sign != truth)).mean(), used.mean()))
    decided, wrong, seeds = np.transpose(rows)
    values = {"decided": ("way", decided), "wrong": ("way", wrong), "seeds": ("way", seeds)}
    about = {"level": level, "races": races, "most_seeds": most_seeds, "fixed": fixed}
    return xr.Dataset(values, {"way": list(halves)}, about)


def coverage(
    x: xr.DataArray,
    n: int,
    dim: str = "seed",
    *,
    level: float = 0.95,
    draws: int = 2000,
    rng: int = 0,
) -> xr.DataArray:
    """Share of draws of n of all N seeds whose t interval holds the mean of all N.

    The draws are without replacement, as seeds are. Their mean then varies about that of all N by
    the factor sqrt(1 - n / N) less than about the mean of ever more seeds, so the interval is
    narrowed by that factor (finite-population correction; Cochran 1977, chapter 2): uncorrected
    it would seem to cover more often than it does. For pairs pass their differences, a - b.

    Args:
        x: one value a seed; other dimensions are kept, with the same draws.
        n: seeds a draw, from 2 to N - 1.
        dim: the dimension of seeds.
        level: of the interval.
        draws: their number.
        rng: seed of the draws.

    Returns:
        The share, to be compared with `level`; draws with missing values count as not covering.

    Raises:
        InputError: unknown `dim`, bad `level`, or n out of range.
    """
    require_dims(x, dim)
    check_count("draws", draws)
    total = x.sizes[dim]
    if not 2 <= n < total:
        raise InputError(f"n={n}: give a number of seeds from 2 to {total - 1}")
    generator = np.random.default_rng(rng)
    picks = generator.permuted(np.tile(np.arange(total), (draws, 1)), axis=1)[:, :n]
    drawn = x.isel({dim: xr.DataArray(picks, dims=("draw", "of_draw"))})
    found = interval(drawn, "of_draw", level=level)
    off = np.abs(found["mean"] - x.mean(dim, skipna=False))
    narrowed = (found.upper - found["mean"]) * np.sqrt(1 - n / total)
    return (off <= narrowed).mean("draw").rename("coverage").assign_attrs(level=level, n=n)
