"""How a claim is judged: runs to choose curves from, an estimate, bounds, a verdict."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import xarray as xr

from emnist_jax.stats import interval

CLASSES = 47
# Implementations that the paper's Adam may have been; the first is its Algorithm 1.
READINGS = (
    "adam",
    "adam_undamped",
    "adam_uncorrected",
    "adam_undamped_uncorrected",
    "adam_constant_correction",
)


class NotTestable(Exception):  # noqa: N818 (an answer, not an error)
    """The runs do not hold what a claim needs; the message is the reason."""


class Verdict(StrEnum):
    """What a claim's interval says about it."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDAMPED = "holds only for the undamped rule"
    UNDECIDED = "undecided"
    UNTESTABLE = "not testable"


class Estimate(NamedTuple):
    """A number with the bounds of its 95 % interval; `seeds` is 0 where it is not one of seeds."""

    mean: float
    lower: float
    upper: float
    seeds: int = 0


class Runs:
    """Curves by the name of their experiment, read as one implementation of Adam would be.

    Args:
        datasets: by path below the folder of results: "sgd", "convnets/c1", "convnets/c1/test".
        reading: one of `READINGS`. "adam_undamped" lacks the factor (1 - b1), which is Adam at
            the learning rate eta / (1 - b1): such a run is read at that rate, not trained again.
    """

    def __init__(self, datasets: Mapping[str, xr.Dataset], reading: str = "adam"):
        self.datasets, self.reading = datasets, reading

    def pick(self, name: str, *, epochs: int = 0, **setting: float) -> xr.Dataset:
        """Return the curves of one setting (dimensions not named are kept), NaN at chance.

        A diverged network guesses: from there on its accuracy counts as 1/47, its error as ln 47.

        Raises:
            NotTestable: no such run or setting, or fewer epochs than `epochs`.
        """
        if name not in self.datasets:
            raise NotTestable(f"{name} was not run")
        curves = self.datasets[name]
        for key, value in setting.items():
            curves = _select(curves, name, key, value)
        if epochs and curves.epoch.max() < epochs:
            have = int(curves.epoch.max())
            raise NotTestable(f"{name} has {have} epochs, this needs {epochs}")
        guess = {v: 1 / CLASSES if "accuracy" in v else math.log(CLASSES) for v in curves.data_vars}
        return curves.fillna(guess)

    def adam(
        self, learning_rate: float, b1: float, b2: float | None = None, epochs: int = 0
    ) -> xr.Dataset:
        """Return the dense net's curves under this reading of Adam; all b2 if it is not given.

        Raises:
            NotTestable: as `pick`.
        """
        setting = {"learning_rate": learning_rate, "b1": b1} | ({} if b2 is None else {"b2": b2})
        if self.reading in ("adam", "adam_undamped"):
            setting["learning_rate"] = self._rate(learning_rate, b1)
            return self.pick("adam", epochs=epochs, **setting)
        return self.pick(f"forensics/{self.reading}", epochs=epochs, **setting)

    def chosen_adam(self, name: str, epochs: int = 0) -> xr.Dataset:
        """Return the curves of a network trained by Adam with the paper's choice 1e-4, .9, .9999.

        Raises:
            NotTestable: as `pick`; or the reading was tried on the dense net only.
        """
        if self.reading not in ("adam", "adam_undamped"):
            raise NotTestable(f"{name} was not run with {self.reading}")
        return self.pick(name, epochs=epochs, learning_rate=self._rate(1e-4, 0.9))

    def seconds(self, name: str) -> float:
        """Return the training seconds of one network for one epoch.

        Raises:
            NotTestable: no such run, or one without times.
        """
        seconds = self.pick(name).attrs.get("seconds_per_epoch")
        if not seconds:
            raise NotTestable(f"{name} holds no times")
        return float(seconds)

    def _rate(self, learning_rate: float, b1: float) -> float:
        return learning_rate / (1 - b1) if self.reading == "adam_undamped" else learning_rate


def _select(curves: xr.Dataset, name: str, key: str, value: float) -> xr.Dataset:
    """Select by value up to rounding; a coordinate of one value for all trials must agree."""
    if key not in curves.coords:
        raise NotTestable(f"{name} has no {key}")
    found = np.flatnonzero(np.isclose(np.atleast_1d(curves[key].values), value, rtol=1e-6, atol=0))
    if not len(found):
        raise NotTestable(f"{name} was not run at {key}={value:g}")
    return curves.isel({key: found[0]}) if key in curves.dims else curves


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and how to test it.

    Attributes:
        id: row of the protocol and a letter.
        where: where in the paper it is made.
        says: what the paper claims, in other words than its own.
        statement: what is measured, and the bounds it must lie in.
        measure: gives one number a seed, or a finished `Estimate`.
        low, high: the bounds, the paper's number with its tolerance.
        why: why these bounds.
        unit: of the number.
        any_adam: whether the claim depends on which implementation of Adam is meant.
    """

    id: str
    where: str
    says: str
    statement: str
    measure: Callable[[Runs], xr.DataArray | Estimate]
    low: float
    high: float
    why: str
    unit: str = "%"
    any_adam: bool = False


class Judgement(NamedTuple):
    """The verdict on a claim, what was measured, and why where nothing was."""

    claim: Claim
    verdict: Verdict
    estimate: Estimate | None = None
    undamped: Estimate | None = None
    reason: str = ""


def judge(claim: Claim, datasets: Mapping[str, xr.Dataset]) -> Judgement:
    """Return the verdict on a claim.

    It holds when the 95 % interval over seeds lies within the claim's bounds, it does not when the
    interval lies outside, and is undecided when a bound lies in the interval. A claim about Adam
    that does not hold for Algorithm 1 is tried with the undamped rule.
    """
    plain = judge_reading(claim, datasets, "adam")
    if not claim.any_adam:
        return plain
    other = judge_reading(claim, datasets, "adam_undamped")
    only = plain.verdict is Verdict.FAILS and other.verdict is Verdict.HOLDS
    verdict = Verdict.UNDAMPED if only else plain.verdict
    return plain._replace(verdict=verdict, undamped=other.estimate)


def judge_reading(claim: Claim, datasets: Mapping[str, xr.Dataset], reading: str) -> Judgement:
    """Return the verdict on a claim under one reading of Adam."""
    try:
        found = estimate(claim.measure(Runs(datasets, reading)))
    except NotTestable as reason:
        return Judgement(claim, Verdict.UNTESTABLE, reason=str(reason))
    above = math.isinf(claim.low) or claim.low < found.lower
    below = math.isinf(claim.high) or found.upper < claim.high
    if above and below:
        verdict = Verdict.HOLDS
    elif found.upper <= claim.low or claim.high <= found.lower:
        verdict = Verdict.FAILS
    else:
        verdict = Verdict.UNDECIDED
    return Judgement(claim, verdict, found)


def estimate(values: xr.DataArray | Estimate) -> Estimate:
    """Return the mean over seeds with its 95 % t interval.

    Raises:
        NotTestable: fewer than two seeds, or a missing value.
    """
    if isinstance(values, Estimate):
        return values
    seeds = values.sizes["seed"]
    if seeds < 2:
        raise NotTestable("one seed gives no interval")
    over = interval(values)
    found = Estimate(float(over["mean"]), float(over.lower), float(over.upper), seeds)
    if not np.isfinite(found[:3]).all():
        raise NotTestable("a seed has no value")
    return found
