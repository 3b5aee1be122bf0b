"""Numbers that claims are about: one a seed, accuracies in percent, from picked curves.

Functions that need two seeds or more raise `NotTestable`.
"""

import math
from collections.abc import Callable

import numpy as np
import xarray as xr

from emnist_jax.stats import best, interval, time_to_target
from experiments.claims.criteria import INF, Estimate
from experiments.claims.runs import NotTestable

LONG = 100  # epochs of the dense nets' protocol
FEW = 5  # with fewer seeds a setting's sd is pooled over settings alike
Values = xr.DataArray | Estimate


def _at_best(curves: xr.Dataset) -> xr.Dataset:
    return best(curves[["valid_accuracy", "valid_error"]])  # the others take time


def best_accuracy(curves: xr.Dataset) -> xr.DataArray:
    """Return the highest validation accuracy over epochs."""
    return 100 * _at_best(curves).valid_accuracy


def best_epoch(curves: xr.Dataset) -> xr.DataArray:
    """Return the epoch of the highest validation accuracy."""
    return _at_best(curves).best_epoch


def still_rising(curves: xr.Dataset) -> xr.DataArray:
    """Return whether the best epoch lies, in the mean of seeds, in the last twentieth of them."""
    return best_epoch(curves).mean("seed") > 0.95 * curves.epoch[-1]


def best_or_more(curves: xr.Dataset) -> Estimate:
    """Return the best accuracy; of curves that still rise it is a lower bound: none above."""
    found = estimate(best_accuracy(curves))
    return found._replace(upper=INF) if still_rising(curves) else found


def peak_gain(curves: xr.Dataset, other: xr.Dataset) -> Estimate:
    """Return by how much the best accuracy exceeds another's; open where either still rises."""
    found = estimate(seed_differences(best_accuracy(curves), best_accuracy(other)))
    if still_rising(curves):
        found = found._replace(upper=INF)
    return found._replace(lower=-INF) if still_rising(other) else found


def accuracy_at(curves: xr.Dataset, epoch: int) -> xr.DataArray:
    """Return the validation accuracy after an epoch."""
    return 100 * curves.valid_accuracy.sel(epoch=epoch, drop=True)


def largest_fall(curves: xr.Dataset) -> xr.DataArray:
    """Return the largest loss of validation accuracy from one epoch to the next (epoch 1 on)."""
    steps = curves.valid_accuracy.sel(epoch=slice(1, None)).diff("epoch")
    return -100 * steps.min("epoch")


def roughness(curves: xr.Dataset) -> xr.DataArray:
    """Return the mean bend (nats) of the training error: its second differences from epoch 5 on.

    A straight descent has none, a curve that goes up and down many; its rises alone would not do,
    as a curve may fluctuate and yet fall at every epoch.
    """
    return abs(curves.train_error.sel(epoch=slice(5, LONG)).diff("epoch", n=2)).mean("epoch")


def first_passage(curves: xr.Dataset, accuracy: float) -> xr.DataArray:
    """Return the first epoch with this validation accuracy (%) or more; inf where there is none."""
    return time_to_target(curves, accuracy / 100).epochs


def overfitting(curves: xr.Dataset) -> xr.DataArray:
    """Return training less validation accuracy (points) after the last epoch."""
    last = curves.isel(epoch=-1, drop=True)
    return 100 * (last.train_accuracy - last.valid_accuracy)


# Estimates, and numbers of several settings


def estimate(
    values: Values, like: Callable[[], xr.DataArray] | None = None, **at: float
) -> Estimate:
    """Return the mean over seeds with its 95 % t interval.

    With fewer than five seeds the sd is pooled over `like()`, settings alike with this one `at`.
    """
    if isinstance(values, Estimate):
        return values
    seeds = values.sizes["seed"]
    if seeds < 2:
        raise NotTestable("one seed gives no interval")
    over = interval(values)
    if like is not None and seeds < FEW:
        over = interval(like(), pool=list(at)).sel(at, method="nearest")
    df = int(over.df.fillna(0))
    found = Estimate(float(over["mean"]), float(over.lower), float(over.upper), seeds, df)
    if not np.isfinite(found[:3]).all():
        raise NotTestable("a seed has no value")
    return found


def or_later(epochs: xr.DataArray) -> Estimate:
    """Return the mean of epochs: never counts as the epoch after the last, with no upper end."""
    found = estimate(epochs.clip(max=LONG + 1))
    return found._replace(upper=INF) if np.isinf(epochs).any() else found


def exactly(value: float) -> Estimate:
    """Return a number that is no mean of seeds, such as a time: its interval is itself."""
    return Estimate(value, value, value)


def seed_differences(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Return a - b for the seeds both have."""
    difference = a - b  # xarray keeps the common labels
    if difference.sizes["seed"] < 2:
        raise NotTestable("fewer than two seeds in common")
    return difference


def ratio(values: xr.DataArray, others: xr.DataArray) -> Estimate:
    """Return the ratio of positive values, on the seeds both have: the geometric mean.

    Its interval is taken over logarithms, so that it cannot reach below zero.
    """
    found = estimate(seed_differences(np.log(values), np.log(others)))
    return Estimate(*map(math.exp, found[:3]), *found[3:])


def spread(values: xr.DataArray) -> Estimate:
    """Return the standard deviation over seeds with its 95 % interval for normal values."""
    from scipy.stats import chi2

    n = values.sizes["seed"]
    if n < 2:
        raise NotTestable("one seed gives no spread")
    sd = float(values.std("seed", ddof=1))
    lower, upper = (sd * np.sqrt((n - 1) / chi2.ppf(q, n - 1)) for q in (0.975, 0.025))
    return Estimate(sd, float(lower), float(upper), n)


def highest(scores: xr.DataArray) -> xr.DataArray:
    """Return the scores of the b2 with the highest mean: "no b2" stands or falls with it."""
    return scores.isel(b2=int(scores.mean("seed").argmax("b2")), drop=True)


def beats_the_rest(scores: xr.DataArray) -> xr.DataArray:
    """Return the score of b2 .9999 less that of the best other b2."""
    own = np.isclose(scores.b2, 0.9999, rtol=1e-6)
    return scores.isel(b2=int(own.argmax()), drop=True) - highest(scores.isel(b2=~own))


def worst_step(scores: xr.DataArray) -> xr.DataArray:
    """Return the gain from a b2 to the next larger one where its mean is lowest.

    "Always better" stands or falls with the step that gains least.
    """
    steps = scores.sortby("b2").diff("b2")
    return steps.isel(b2=int(steps.mean("seed").argmin("b2")), drop=True)
