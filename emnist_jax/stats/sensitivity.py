"""How careful one must be with a rate: the width of the good region, and its share."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from emnist_jax.errors import InputError
from emnist_jax.stats._inputs import require_dims, stack_settings
from emnist_jax.stats.intervals import wilson


def sensitivity(
    score: xr.DataArray, over: str = "learning_rate", delta: float = 0.01
) -> xr.Dataset:
    """How wide is the good region: the decades of `over` whose score is within `delta` of the best.

    The score is interpolated linearly in log10(`over`) between grid points. The region is the
    connected one around the best point. A missing (diverged) neighbour ends it at the last
    finite point: nothing is known in between, so the width errs to the narrow side.

    Args:
        score: higher is better, on a grid along `over`; other dimensions are kept. With `seed`
            among them, `interval(sensitivity(score).width)` gives the interval over seeds.
        over: a positive hyperparameter with a coordinate.
        delta: tolerance in the unit of the score: 0.01 is one point of accuracy.

    Returns:
        `width` in decades (log10 units); `lower` and `upper` edges in the unit of `over`; `best`
        and `best_at`; `lower_open` and `upper_open`: True where the region reaches the end of
        the grid, so that the true width is larger. All NaN (and False) where no score is finite.

    Raises:
        InputError: no dimension or coordinate `over`, values <= 0, or a negative `delta`.
    """
    require_dims(score, over)
    if over not in score.coords:
        raise InputError(f'the score has no coordinate "{over}"')
    if (score[over] <= 0).any():
        raise InputError(f'"{over}" must be positive: the width is measured in decades')
    if not delta >= 0:
        raise InputError(f"delta must be 0 or more, not {delta}")
    score = score.astype(float).sortby(over)
    score = score.where(np.isfinite(score))
    names = ("width", "lower", "upper", "best", "lower_open", "upper_open")
    dims = {"input_core_dims": [[over], [over]], "output_core_dims": [[]] * len(names)}
    kinds = {"output_dtypes": [float] * 4 + [bool] * 2, "kwargs": {"delta": delta}}
    x = np.log10(score[over].astype(float))
    values = xr.apply_ufunc(_good_region, x, score, vectorize=True, **dims, **kinds)
    out = xr.Dataset(dict(zip(names, values, strict=True)), attrs={"over": over, "delta": delta})
    return out.assign(best_at=score.idxmax(over))


def good_share(
    score: xr.DataArray,
    reference: float | None = None,
    delta: float = 0.01,
    over: Sequence[str] | None = None,
    *,
    seed: str = "seed",
    failed: float | None = None,
    level: float = 0.95,
) -> xr.Dataset:
    """How forgiving is a rule: the share of settings, drawn at random, within `delta` of a score.

    It is `sensitivity` for a random search: where a rate was drawn log-uniformly over D decades, D
    times the share is the width in decades of its good region, averaged over what was drawn
    beside it. The interval is Wilson's (1927) for settings drawn independently.

    Args:
        score: higher is better; a setting's score is its mean over seeds.
        reference: the score to come near to, such as the best that any rule reached; None takes
            the best of these settings, which is below the best there is: the share errs upward.
        delta: tolerance in the unit of the score: 0.01 is one point of accuracy.
        over, seed, failed, level: as in `best_after_k`.

    Returns:
        `share`, `lower`, `upper`, and `settings`, their number.

    Raises:
        InputError: unknown dimension, missing scores without `failed`, bad `delta` or `level`.
    """
    if not delta >= 0:
        raise InputError(f"delta must be 0 or more, not {delta}")
    means = stack_settings(score, over, seed, failed).mean(seed)
    floor = (means.max("setting") if reference is None else reference) - delta
    n = means.sizes["setting"]
    found = wilson((means >= floor).mean("setting"), n, level=level)
    return found.rename(accuracy="share").assign(settings=n).assign_attrs(delta=delta)


def _good_region(x: NDArray, y: NDArray, delta: float) -> tuple:
    """Region of y >= max(y) - delta around the maximum; x is log10, ascending."""
    if np.isnan(y).all():
        return (np.nan,) * 4 + (False, False)
    i = int(np.nanargmax(y))
    floor = y[i] - delta
    upper, upper_open = _edge(x[i:], y[i:], floor)
    lower, lower_open = _edge(x[i::-1], y[i::-1], floor)
    return upper - lower, 10**lower, 10**upper, y[i], lower_open, upper_open


def _edge(x: NDArray, y: NDArray, floor: float) -> tuple[float, bool]:
    """Walk from the best point (first) until y crosses `floor`; True if the grid ends before."""
    below = np.flatnonzero(~(y >= floor))  # NaN counts as below
    if not below.size:
        return x[-1], True
    j = below[0]
    if np.isnan(y[j]):
        return x[j - 1], False
    return x[j - 1] + (y[j - 1] - floor) / (y[j - 1] - y[j]) * (x[j] - x[j - 1]), False
