"""Criteria: the bounds of a claim's number, worded once, and what an interval says of them.

`above(0)`, `at_least(20)`, `at_most(1)`, `below(0)`, `between(5, 20)`, `near(83.5, 1)`. A claim of
no difference, or of a setting being the best, gets a margin, `at_most(0.3)`: no number of seeds
shows a difference of exactly zero.
"""

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from scipy.special import stdtr, stdtrit

from emnist_jax.stats import seeds_needed

INF = math.inf
LEVEL = 0.95
SIGN = "the sign of the difference, on the same seeds"
SPLIT = "the paper's number within a point: another split of the images, few seeds there"


class Verdict(StrEnum):
    """What a claim's interval says about it."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNDAMPED = "holds only for the undamped rule"
    UNDECIDED = "undecided"
    UNTESTABLE = "not testable"


class Estimate(NamedTuple):
    """A number with its 95 % interval.

    `seeds` is 0 where it is not one of seeds; `df` are its degrees of freedom (0: seeds - 1).
    """

    mean: float
    lower: float
    upper: float
    seeds: int = 0
    df: int = 0


@dataclass(frozen=True)
class Criterion:
    """Bounds of a number: in words, and why these. `reported`: the paper's number, if there is."""

    low: float
    high: float
    words: str
    why: str
    reported: float = math.nan

    @property
    def numeric(self) -> bool:
        """Whether the paper gives a number, with a tolerance on either side."""
        return not math.isnan(self.reported) and math.isfinite(self.high - self.low)

    def verdict(self, found: Estimate) -> Verdict:
        """Return whether the interval lies within the bounds, outside, or on one of them."""
        above = math.isinf(self.low) or self.low < found.lower
        below = math.isinf(self.high) or found.upper < self.high
        if above and below:
            return Verdict.HOLDS
        if found.upper <= self.low or self.high <= found.lower:
            return Verdict.FAILS
        return Verdict.UNDECIDED

    def p(self, found: Estimate) -> float:
        """Return the least alpha whose 1 - alpha interval decides; below .05 where 95 % does."""
        df = found.df or found.seeds - 1
        reach = min((_reach(found, bound) for bound in self._bounds(found)), default=INF)
        return float(2 * stdtr(df, -reach * stdtrit(df, 0.5 + LEVEL / 2)))

    def seeds_needed(self, found: Estimate, power: float = 0.8) -> float:
        """Return the seeds that would decide with this power, were mean and sd as estimated.

        inf where no number would: the mean lies on a bound, or more epochs are needed.
        """
        df = found.df or found.seeds - 1
        scale = math.sqrt(found.seeds) / stdtrit(df, 0.5 + LEVEL / 2)  # half an interval to sd
        return max(
            (
                seeds_needed(abs(bound - found.mean), _half(found, bound) * scale, power=power)
                for bound in self._bounds(found)
            ),
            default=2,
        )

    def scaled(self, found: Estimate) -> tuple[float, float, float]:
        """Return mean and interval on the scale of the paper's number, 0, and bounds, -1 and 1."""

        def scale(value: float) -> float:
            bound = self.high if value > self.reported else self.low
            return (value - self.reported) / abs(bound - self.reported)

        return scale(found.mean), scale(found.lower), scale(found.upper)

    def _bounds(self, found: Estimate) -> list[float]:
        """Return the bounds that an interval around this mean must not reach."""
        if found.mean <= self.low:
            return [self.low]
        if found.mean >= self.high:
            return [self.high]
        return [bound for bound in (self.low, self.high) if math.isfinite(bound)]


def _half(found: Estimate, bound: float) -> float:
    return found.mean - found.lower if bound < found.mean else found.upper - found.mean


def _reach(found: Estimate, bound: float) -> float:
    """Return the distance to a bound in halves of the interval on that side."""
    distance, half = abs(bound - found.mean), _half(found, bound)
    return distance / half if half else math.copysign(INF, distance) if distance else 0.0


def above(low: float, why: str = SIGN) -> Criterion:
    """Return the criterion of being larger."""
    return Criterion(low, INF, f"above {low:g}", why)


def at_least(low: float, why: str, reported: float = math.nan) -> Criterion:
    """Return the criterion of being as large, for a bound that the claim names or grants."""
    return Criterion(low, INF, f"{low:g} or more", why, reported)


def below(high: float, why: str = SIGN) -> Criterion:
    """Return the criterion of being smaller."""
    return Criterion(-INF, high, f"below {high:g}", why)


def at_most(high: float, why: str) -> Criterion:
    """Return the criterion of being no larger: a margin, or a bound that the claim names."""
    return Criterion(-INF, high, f"at most {high:g}", why)


def between(low: float, high: float, why: str, reported: float | None = None) -> Criterion:
    """Return the criterion of lying in a range, with the paper's number in its middle unless given.

    NaN for a word that is no number.
    """
    middle = (low + high) / 2 if reported is None else reported
    return Criterion(low, high, f"{low:g} to {high:g}", why, middle)


def near(value: float, tolerance: float = 1, why: str = SPLIT) -> Criterion:
    """Return the criterion of lying within a tolerance of the paper's number."""
    words = f"{value:.4g} within {tolerance:g}"
    return Criterion(value - tolerance, value + tolerance, words, why, value)
