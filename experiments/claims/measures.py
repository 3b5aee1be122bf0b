"""What claims are measured by: one number a seed, accuracies in percent, from picked curves."""

import math

import numpy as np
import xarray as xr

from emnist_jax.stats import best, fraction_reached
from experiments.claims.judge import Estimate, NotTestable, Runs, estimate

INF = math.inf
LONG = 100  # epochs of the dense nets' protocol
SPLIT = "the paper's number within a point: another split of the images, few seeds there"
SIGN = "the sign of the difference, on the same seeds"


def sgd(runs: Runs, rate: float, epochs: int = LONG) -> xr.Dataset:
    """Return the curves of SGD at a learning rate."""
    return runs.pick("sgd", learning_rate=rate, epochs=epochs)


def rmsprop(runs: Runs, rate: float, epochs: int = LONG) -> xr.Dataset:
    """Return the curves of RMSprop at a learning rate."""
    return runs.pick("rmsprop", learning_rate=rate, epochs=epochs)


def chosen(runs: Runs, epochs: int) -> xr.Dataset:
    """Return the dense net's curves at the paper's choice for Adam."""
    return runs.adam(1e-4, 0.9, 0.9999, epochs)


def best_of(runs: Runs, name: str) -> tuple[xr.DataArray, ...]:
    """Return the best accuracy of a rule's best setting, and the epoch of it."""
    curves = runs.pick(name, epochs=LONG)
    return held_out_best(best_accuracy(curves), best_epoch(curves))


def best_accuracy(curves: xr.Dataset) -> xr.DataArray:
    """Return the highest validation accuracy over epochs."""
    return 100 * best(curves).valid_accuracy


def best_epoch(curves: xr.Dataset) -> xr.DataArray:
    """Return the epoch of the highest validation accuracy."""
    return best(curves).best_epoch


def still_rising(curves: xr.Dataset) -> xr.DataArray:
    """Return whether the best epoch is, in the mean of seeds, one of the last two."""
    return best_epoch(curves).mean("seed") > curves.epoch[-1] - 2


def best_or_more(curves: xr.Dataset) -> Estimate:
    """Return the best accuracy; of curves that still rise it is a lower bound: none above."""
    found = estimate(best_accuracy(curves))
    return found._replace(upper=INF) if still_rising(curves) else found


def peak_gain(curves: xr.Dataset, other: xr.Dataset) -> Estimate:
    """Return by how much the best accuracy exceeds another's; open where either still rises.

    Raises:
        NotTestable: fewer than two common seeds.
    """
    found = estimate(paired(best_accuracy(curves), best_accuracy(other)))
    if still_rising(curves):
        found = found._replace(upper=INF)
    return found._replace(lower=-INF) if still_rising(other) else found


def accuracy_at(curves: xr.Dataset, epoch: int) -> xr.DataArray:
    """Return the validation accuracy after an epoch."""
    return 100 * curves.valid_accuracy.sel(epoch=epoch, drop=True)


def reached_by(curves: xr.Dataset, epoch: int) -> xr.DataArray:
    """Return the highest validation accuracy up to an epoch."""
    return 100 * curves.valid_accuracy.sel(epoch=slice(0, epoch)).max("epoch")


def first_epoch_share(curves: xr.Dataset) -> xr.DataArray:
    """Return the validation accuracy after epoch 1 in percent of the best."""
    return 100 * fraction_reached(curves.valid_accuracy)


def change(
    curves: xr.Dataset, variable: str, early: tuple[int, int], late: tuple[int, int]
) -> xr.DataArray:
    """Return the mean of a curve over late epochs less that over early ones."""
    scale = 100 if variable.endswith("accuracy") else 1
    first, last = (curves[variable].sel(epoch=slice(*span)).mean("epoch") for span in (early, late))
    return scale * (last - first)


def largest_fall(curves: xr.Dataset) -> xr.DataArray:
    """Return the largest loss of validation accuracy from one epoch to the next (epoch 1 on)."""
    steps = curves.valid_accuracy.sel(epoch=slice(1, None)).diff("epoch")
    return -100 * steps.min("epoch")


def roughness(curves: xr.Dataset) -> xr.DataArray:
    """Return the mean bend (nats) of the training error: its second differences, epochs 5 to 20.

    A straight descent has none, a curve that goes up and down many; its rises alone would not do,
    as a curve may fluctuate and yet fall at every epoch.
    """
    return abs(curves.train_error.sel(epoch=slice(5, 20)).diff("epoch", n=2)).mean("epoch")


def paired(a: xr.DataArray, b: xr.DataArray) -> xr.DataArray:
    """Return a - b for the seeds both have.

    Raises:
        NotTestable: fewer than two common seeds.
    """
    difference = a - b  # xarray keeps the common labels
    if difference.sizes["seed"] < 2:
        raise NotTestable("fewer than two seeds in common")
    return difference


def ratio(values: xr.DataArray, others: xr.DataArray) -> Estimate:
    """Return the ratio of positive values, on the seeds both have: the geometric mean.

    Its interval is taken over logarithms, so that it cannot reach below zero.

    Raises:
        NotTestable: fewer than two common seeds.
    """
    mean, lower, upper, seeds = estimate(paired(np.log(values), np.log(others)))
    return Estimate(math.exp(mean), math.exp(lower), math.exp(upper), seeds)


def held_out_best(score: xr.DataArray, *values: xr.DataArray) -> tuple[xr.DataArray, ...]:
    """Return score, and values, of the best setting, chosen for each seed on the other seeds.

    The best of many noisy means is too high; a seed that had no say in the choice is not.

    Raises:
        NotTestable: fewer than two seeds.
    """
    n = score.sizes["seed"]
    if n < 2:
        raise NotTestable("one seed gives no interval")
    grid = [dim for dim in score.dims if dim != "seed"]
    rows = [x.transpose(*grid, "seed").values.reshape(-1, n) for x in (score, *values)]
    others = np.stack([np.delete(rows[0], i, axis=1).mean(1) for i in range(n)])
    chosen = others.argmax(1)
    seed = {"seed": score.seed.values}
    return tuple(xr.DataArray(x[chosen, np.arange(n)], seed, "seed") for x in rows)


def held_out_earliest(score: xr.DataArray, epochs: xr.DataArray, within: float) -> xr.DataArray:
    """Return the epochs of the earliest of the settings whose score is `within` of the best's.

    For each seed that setting is chosen on the other seeds.

    Raises:
        NotTestable: fewer than two seeds.
    """
    grid = [dim for dim in score.dims if dim != "seed"]
    near = score >= score.max(grid) - within
    late = 10 * epochs.max()  # a setting that is not near is no candidate
    return held_out_best(-epochs.where(near, late), epochs)[1]


def worst_step(scores: xr.DataArray, along: str) -> xr.DataArray:
    """Return the gain between successive settings `along` a dimension where its mean is lowest.

    "Always better" stands or falls with the step that gains least.
    """
    steps = scores.sortby(along).diff(along)
    return steps.isel({along: int(steps.mean("seed").argmin(along))}, drop=True)


def spread(values: xr.DataArray) -> Estimate:
    """Return the standard deviation over seeds with its 95 % interval for normal values.

    Raises:
        NotTestable: fewer than two seeds.
    """
    from scipy.stats import chi2

    n = values.sizes["seed"]
    if n < 2:
        raise NotTestable("one seed gives no spread")
    sd = float(values.std("seed", ddof=1))
    lower, upper = (sd * np.sqrt((n - 1) / chi2.ppf(q, n - 1)) for q in (0.975, 0.025))
    return Estimate(sd, float(lower), float(upper), n)


def exactly(value: float) -> Estimate:
    """Return a number that is no mean of seeds, such as a time: its interval is itself."""
    return Estimate(value, value, value)
