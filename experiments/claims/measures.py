"""What claims are measured by: quantities of curves, in words and in numbers.

A `Source` picks curves, a `Quantity` takes one number a seed from them, accuracies in percent:
`BEST(sgd(0.1))` is the best validation accuracy of SGD at eta .1, `BEST(a) - BEST(b)` a difference
on the same seeds, `PEAK(a) / PEAK(b)` a ratio. Each carries its words and its unit.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import xarray as xr

from emnist_jax.stats import best, fraction_reached, interval, time_to_target
from experiments.claims.criteria import INF, Estimate
from experiments.claims.runs import NotTestable, Runs

LONG = 100  # epochs of the dense nets' protocol
FEW = 5  # with fewer seeds a setting's sd is pooled over settings alike
Values = xr.DataArray | Estimate


@dataclass(frozen=True)
class Source:
    """Curves in words and how to pick them; `at` is the place among `like`, settings alike."""

    name: str
    pick: Callable[[Runs], xr.Dataset]
    any_adam: bool = False
    like: Callable[[Runs], xr.Dataset] | None = None
    at: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measured:
    """One number a seed, or an `Estimate`, of runs; `any_adam`: it depends on which Adam is meant.

    `words` and `name` say what is measured and of which source.
    """

    words: str
    unit: str
    of: Callable[[Runs], Values]
    name: str = ""
    any_adam: bool = False
    like: Callable[[Runs], Values] | None = None
    at: Mapping[str, float] = field(default_factory=dict)

    def __sub__(self, other: "Measured") -> "Measured":
        """Return the difference on the seeds both have."""
        unit = "points" if self.unit == "%" else self.unit
        return self._with(other, "less", unit, lambda a, b: paired(a, b))

    def __truediv__(self, other: "Measured") -> "Measured":
        """Return the ratio on the seeds both have, of epochs: none counts as less than one."""
        return self._with(other, "over", "times", lambda a, b: ratio(a.clip(1), b.clip(1)))

    def over(self, words: str, function: Callable[[xr.DataArray], Values]) -> "Measured":
        """Return what a function makes of the values, such as a mean over one dimension."""
        return replace(
            self, words=f"{self.words}, {words}", of=lambda runs: function(self.of(runs)), like=None
        )

    def _with(self, other, word, unit, function):
        both = [self.words, other.words]
        words = f"{both[0]}: {self.name} {word} {other.name}"
        if both[0] != both[1]:
            words = f"{both[0]} of {self.name} {word} {both[1]} of {other.name}"
        return Measured(
            words,
            unit,
            lambda runs: function(self.of(runs), other.of(runs)),
            any_adam=self.any_adam or other.any_adam,
        )


@dataclass(frozen=True)
class Quantity:
    """What is measured, in words, with its unit: a function of curves."""

    words: str
    unit: str
    of: Callable[[xr.Dataset], Values]

    def __call__(self, source: Source) -> Measured:
        """Return the quantity of a source."""
        like = source.like
        return Measured(
            self.words,
            self.unit,
            lambda runs: self.of(source.pick(runs)),
            source.name,
            source.any_adam,
            None if like is None else lambda runs: self.of(like(runs)),
            source.at,
        )


# Sources


def run(name: str, words: str = "", epochs: int = 0) -> Source:
    """Return all curves of a run."""
    return Source(words or name.rpartition("/")[2], lambda runs: runs.pick(name, epochs=epochs))


def sgd(rate: float, epochs: int = LONG) -> Source:
    """Return SGD at a learning rate."""
    return _at_rate("sgd", f"SGD at eta {rate:g}", rate, epochs)


def rmsprop(rate: float, epochs: int = LONG) -> Source:
    """Return RMSprop at a learning rate."""
    return _at_rate("rmsprop", f"RMSprop at eta {rate:g}", rate, epochs)


def _at_rate(rule: str, name: str, rate: float, epochs: int) -> Source:
    return Source(name, lambda runs: runs.pick(rule, learning_rate=rate, epochs=epochs))


def adam(rate: float, b1: float, b2: float | None = None, epochs: int = LONG) -> Source:
    """Return Adam on the dense net: all b2 along a dimension if none is given."""
    name = f"eta {rate:g}, b1 {b1:g}"
    every = Source(name, lambda runs: runs.adam(rate, b1, epochs=epochs), b1 > 0)
    if b2 is None:
        return every
    pick = lambda runs: runs.adam(rate, b1, b2, epochs)  # noqa: E731
    return Source(f"{name}, b2 {b2:g}", pick, b1 > 0, every.pick, {"b2": b2})


def network(*names: str, words: str = "", epochs: int = 0) -> Source:
    """Return a network trained by the paper's choice of Adam, from the first run that has it."""
    pick = lambda runs: runs.chosen_adam(*names, epochs=epochs)  # noqa: E731
    return Source(words or names[-1].rpartition("/")[2], pick, True)


# Numbers of curves


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


BEST = Quantity("best validation accuracy", "%", best_accuracy)
PEAK = Quantity("epoch of the best validation accuracy", "epoch", best_epoch)
FALL = Quantity("largest fall of validation accuracy in one epoch", "points", largest_fall)
BEND = Quantity("mean bend of the training error, epochs 5-100", "nats", roughness)
SHARE = Quantity(
    "validation accuracy after epoch 1, of the best",
    "%",
    lambda curves: 100 * fraction_reached(curves.valid_accuracy),
)
TUNED = Quantity(
    "best validation accuracy at its best setting",
    "%",
    lambda curves: held_out_best(best_accuracy(curves))[0],
)
TUNED_PEAK = Quantity(
    "epoch of the best validation accuracy at its best setting",
    "epoch",
    lambda curves: held_out_best(best_accuracy(curves), best_epoch(curves))[1],
)


def at(epoch: int) -> Quantity:
    """Return the validation accuracy after an epoch."""
    words = f"validation accuracy after epoch {epoch}"
    return Quantity(words, "%", lambda curves: accuracy_at(curves, epoch))


def by(epoch: int) -> Quantity:
    """Return the highest validation accuracy up to an epoch."""
    words = f"highest validation accuracy up to epoch {epoch}"
    span = slice(0, epoch)
    return Quantity(words, "%", lambda c: 100 * c.valid_accuracy.sel(epoch=span).max("epoch"))


def mean(variable: str, first: int, last: int) -> Quantity:
    """Return the mean of a curve over epochs."""
    scale, unit = (100, "%") if variable.endswith("accuracy") else (1, "nats")
    span = f"epoch {first}" if first == last else f"mean of epochs {first}-{last}"
    return Quantity(
        f"{_words(variable)}, {span}",
        unit,
        lambda curves: scale * curves[variable].sel(epoch=slice(first, last)).mean("epoch"),
    )


def change(variable: str, early: tuple[int, int], late: tuple[int, int]) -> Quantity:
    """Return the mean of a curve over late epochs less that over early ones."""
    one, other = mean(variable, *late), mean(variable, *early)
    spans = " less ".join(quantity.words.rpartition(", ")[2] for quantity in (one, other))
    unit = "points" if one.unit == "%" else one.unit
    return Quantity(
        f"{_words(variable)}, {spans}", unit, lambda curves: one.of(curves) - other.of(curves)
    )


def _words(variable: str) -> str:
    return variable.replace("_", " ").replace("valid", "validation").replace("train", "training")


# Estimates, and numbers of several settings


def estimate(
    values: Values, like: Callable[[], xr.DataArray] | None = None, **at: float
) -> Estimate:
    """Return the mean over seeds with its 95 % t interval.

    With fewer than five seeds the sd is pooled over `like()`, settings alike with this one `at`.

    Raises:
        NotTestable: fewer than two seeds, or a missing value.
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


def or_later(epochs: xr.DataArray, last: int = LONG) -> Estimate:
    """Return the mean of epochs: never counts as the epoch after the last, with no upper end."""
    found = estimate(epochs.clip(max=last + 1))
    return found._replace(upper=INF) if np.isinf(epochs).any() else found


def exactly(value: float) -> Estimate:
    """Return a number that is no mean of seeds, such as a time: its interval is itself."""
    return Estimate(value, value, value)


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
    found = estimate(paired(np.log(values), np.log(others)))
    return Estimate(*map(math.exp, found[:3]), *found[3:])


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


def highest(scores: xr.DataArray) -> xr.DataArray:
    """Return the scores of the b2 with the highest mean: "no b2" stands or falls with it."""
    return scores.isel(b2=int(scores.mean("seed").argmax("b2")), drop=True)


def beats_the_rest(scores: xr.DataArray, b2: float = 0.9999) -> xr.DataArray:
    """Return a b2's score less that of the best other b2."""
    own = np.isclose(scores.b2, b2, rtol=1e-6)
    return scores.isel(b2=int(own.argmax()), drop=True) - highest(scores.isel(b2=~own))


def worst_step(scores: xr.DataArray, along: str = "b2") -> xr.DataArray:
    """Return the gain between successive settings `along` a dimension where its mean is lowest.

    "Always better" stands or falls with the step that gains least.
    """
    steps = scores.sortby(along).diff(along)
    return steps.isel({along: int(steps.mean("seed").argmin(along))}, drop=True)


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


def range_of(scores: Iterable[xr.DataArray]) -> xr.DataArray:
    """Return the scores with the highest mean less those with the lowest, on common seeds."""
    ordered = sorted(scores, key=lambda x: float(x.mean()))
    return paired(ordered[-1], ordered[0])


def target_of(
    scores: Mapping[str, xr.DataArray], pick: Callable[[Iterable[float]], float] = max
) -> float:
    """Return the accuracy (%) to reach: a point below the best setting of the best rule.

    `pick`: of which rule; min for the worst, so that all reach it.
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

    Raises:
        NotTestable: fewer than two seeds.
    """
    scores = {rule: best_accuracy(one) for rule, one in curves.items()}
    found = []
    for rule, one in curves.items():
        epochs = first_passage(one, target_of(scores, pick))
        counted = epochs.clip(1, float(one.epoch.max()) + 1)
        score = -counted if fastest_setting else scores[rule]
        found.append(held_out_best(score, counted, np.isinf(epochs))[1:])
    found.sort(key=lambda times: float(times[0].mean()))
    (slowest, never), (fastest, _) = found[-1], found[0]
    times = ratio(slowest, fastest)
    return times._replace(upper=INF) if never.any() else times
