"""What a claim measures, in words: a `Quantity` (its number) of a `Selection` (its curves).

`BEST(sgd(0.1))` is the best validation accuracy of SGD at eta .1, `BEST(a) - BEST(b)` a difference
on the same seeds, `PEAK(a) / PEAK(b)` a ratio. Each carries its words and its unit.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import xarray as xr

from emnist_jax.stats import fraction_reached
from experiments.claims.measures import (
    LONG,
    Values,
    accuracy_at,
    best_accuracy,
    best_epoch,
    largest_fall,
    ratio,
    roughness,
    seed_differences,
)
from experiments.claims.runs import Runs
from experiments.claims.tuning import held_out_best, less_luck


@dataclass(frozen=True)
class Selection:
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
        return self._with(other, "less", unit, seed_differences)

    def __truediv__(self, other: "Measured") -> "Measured":
        """Return the ratio on the seeds both have, of epochs: none counts as less than one."""
        return self._with(other, "over", "times", lambda a, b: ratio(a.clip(1), b.clip(1)))

    def over(
        self, words: str, function: Callable[[xr.DataArray], Values], unit: str = ""
    ) -> "Measured":
        """Return what a function makes of the values, such as a mean over one dimension."""
        return replace(
            self,
            words=f"{self.words}, {words}",
            unit=unit or self.unit,
            of=lambda runs: function(self.of(runs)),
            like=None,
        )

    def _with(self, other, word, unit, function):
        both = [self.words, other.words]
        words = f"{both[0]}: {self.name} {word} {other.name}"
        if both[0] != both[1]:
            words = f"{both[0]} of {self.name} {word} {both[1]} of {other.name}"
        any_adam = self.any_adam or other.any_adam
        return Measured(
            words, unit, lambda runs: function(self.of(runs), other.of(runs)), any_adam=any_adam
        )


@dataclass(frozen=True)
class Quantity:
    """What is measured, in words, with its unit: a function of curves."""

    words: str
    unit: str
    of: Callable[[xr.Dataset], Values]

    def __call__(self, source: Selection) -> Measured:
        """Return the quantity of a source."""
        of, like = (pick and partial(self._of, pick) for pick in (source.pick, source.like))
        return Measured(self.words, self.unit, of, source.name, source.any_adam, like, source.at)

    def _of(self, pick: Callable[[Runs], xr.Dataset], runs: Runs) -> Values:
        return self.of(pick(runs))


# Sources


def run(name: str, words: str = "", epochs: int = 0) -> Selection:
    """Return all curves of a run."""
    return Selection(words or name.rpartition("/")[2], lambda runs: runs.pick(name, epochs=epochs))


def sgd(rate: float, epochs: int = LONG, rule: str = "sgd", name: str = "SGD") -> Selection:
    """Return SGD, or another rule with one learning rate, at a rate."""
    name = f"{name} at eta {rate:g}"
    return Selection(name, lambda runs: runs.pick(rule, learning_rate=rate, epochs=epochs))


rmsprop = partial(sgd, rule="rmsprop", name="RMSprop")


def adam(rate: float, b1: float, b2: float | None = None, epochs: int = LONG) -> Selection:
    """Return Adam on the dense net: all b2 along a dimension if none is given."""
    name = f"eta {rate:g}, b1 {b1:g}"
    every = Selection(name, lambda runs: runs.adam(rate, b1, epochs=epochs), b1 > 0)
    if b2 is None:
        return every
    pick = lambda runs: runs.adam(rate, b1, b2, epochs)  # noqa: E731
    return Selection(f"{name}, b2 {b2:g}", pick, b1 > 0, every.pick, {"b2": b2})


def network(name: str, words: str, epochs: int = 0) -> Selection:
    """Return a network trained by the paper's choice of Adam."""
    return Selection(words, lambda runs: runs.chosen_adam(name, epochs=epochs), True)


# Quantities


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
    lambda curves: less_luck(best_accuracy(curves)),
)
TUNED_PEAK = Quantity(
    "epoch of the best validation accuracy at its best setting",
    "epoch",
    lambda curves: held_out_best(best_accuracy(curves), best_epoch(curves))[0],
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
    return Quantity(
        f"{_words(variable)}, {_span(first, last)}",
        unit,
        lambda curves: scale * curves[variable].sel(epoch=slice(first, last)).mean("epoch"),
    )


def change(variable: str, early: tuple[int, int], late: tuple[int, int]) -> Quantity:
    """Return the mean of a curve over late epochs less that over early ones."""
    one, other = mean(variable, *late), mean(variable, *early)
    spans = f"{_span(*late)} less {_span(*early)}"
    unit = "points" if one.unit == "%" else one.unit
    return Quantity(
        f"{_words(variable)}, {spans}", unit, lambda curves: one.of(curves) - other.of(curves)
    )


def _span(first: int, last: int) -> str:
    return f"epoch {first}" if first == last else f"mean of epochs {first}-{last}"


def _words(variable: str) -> str:
    return variable.replace("_", " ").replace("valid", "validation").replace("train", "training")
