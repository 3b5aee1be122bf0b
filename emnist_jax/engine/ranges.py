"""Values as one writes them on a command line or in a file: numbers, ranges, distributions.

    0.1   1e-3                numbers
    linspace(0,0.9,4)         evenly spaced, ends included, as in numpy
    logspace(-4,-1,7)         10 to evenly spaced powers
    uniform(0,0.5)            to be drawn from, by `draw`
    loguniform(1e-5,1e-1)     to be drawn from, uniformly in the logarithm

Each may follow `1-`: `1-logspace(-4,-1,4)` is 0.9999, 0.999, 0.99, 0.9, as decay rates need it.
"""

import math
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emnist_jax.errors import InputError, check_count, nearest

SPACES = {"linspace": np.linspace, "logspace": np.logspace}
DISTRIBUTIONS = ("uniform", "loguniform")
_CALL = re.compile(r"(1-)?\s*(\w+)\s*\((.*)\)", re.DOTALL)


@dataclass(frozen=True)
class Distribution:
    """Numbers from `low` to `high`, uniform in themselves or in their logarithm; or 1 - them."""

    low: float
    high: float
    log: bool = False
    one_minus: bool = False

    def quantile(self, fraction: float) -> float:
        """Return the number below which this fraction of the distribution lies (above, if 1 -)."""
        if self.log:
            value = self.low * (self.high / self.low) ** fraction
        else:
            value = self.low + (self.high - self.low) * fraction
        return 1 - value if self.one_minus else value


Values = tuple[float, ...] | Distribution


def parse(name: str, words: Sequence[str]) -> Values:
    """Return what the words for a hyperparameter mean: its values, or a distribution.

    Raises:
        InputError: naming the hyperparameter and the word that cannot be meant.
    """
    read = [_read(name, word) for word in words]
    if any(isinstance(one, Distribution) for one in read):
        if len(read) > 1:
            raise InputError(f"{name}: a distribution stands alone; write only {words[0]!r}")
        return read[0]
    return tuple(value for values in read for value in values)


def _read(name: str, word: str) -> Values:
    if not (call := _CALL.fullmatch(word.strip())):
        return (_number(name, word, word),)
    one_minus, function, inside = call.groups()
    if function not in (*SPACES, *DISTRIBUTIONS):
        raise InputError(f"{name}={word}: {nearest(function, (*SPACES, *DISTRIBUTIONS))}")
    numbers = [_number(name, word, part) for part in inside.split(",")]
    if function in SPACES:
        return _space(name, word, function, numbers, bool(one_minus))
    log = function == "loguniform"
    if len(numbers) != 2 or not (0 if log else -math.inf) < numbers[0] < numbers[1] < math.inf:
        example = "loguniform(1e-5,1e-1), above 0" if log else "uniform(0,0.5)"
        raise InputError(f"{name}={word}: give the lowest and the highest, as in {example}")
    return Distribution(*numbers, log, bool(one_minus))


def _space(
    name: str, word: str, function: str, numbers: Sequence[float], one_minus: bool
) -> tuple[float, ...]:
    if len(numbers) != 3 or not numbers[2].is_integer():
        example = "logspace(-4,-1,7)" if function == "logspace" else "linspace(0,0.9,4)"
        raise InputError(f"{name}={word}: give first, last and how many, as in {example}")
    start, stop, count = *numbers[:2], int(numbers[2])
    check_count(f"{name}={word}: the number of values", count, most=10_000)
    with np.errstate(over="ignore"):
        values = SPACES[function](start, stop, count)
    if not np.isfinite(values).all():
        raise InputError(f"{name}={word}: its values are too large for a float")
    # Twelve digits: 0.3, not 0.30000000000000004, so that curves.sel(b1=0.3) finds it.
    return tuple(float(f"{1 - value if one_minus else value:.12g}") for value in values)


def _number(name: str, word: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"{name}={word}: {text.strip()!r} is no number; give numbers, a range such as "
            "logspace(-4,-1,7), or loguniform(1e-5,1e-1) to draw from"
        ) from None


def draw(values: Mapping[str, Values], samples: int, seed: int) -> list[dict[str, float]]:
    """Draw settings at random: from distributions, and from lists with equal chances.

    A hyperparameter's draws depend on its name and the seed alone: more samples begin with the
    same ones, and another hyperparameter changes nothing about those there.

    Args:
        values: what each hyperparameter is drawn from.
        samples: number of settings, 1 to 100,000.
        seed: 0 or more.

    Raises:
        InputError: no distribution to draw from, or numbers out of range.
    """
    check_count("samples", samples, most=100_000)
    if seed < 0:
        raise InputError(f"sample seed {seed}: give 0 or more")
    if not any(isinstance(one, Distribution) for one in values.values()):
        raise InputError("samples need a range to draw from, such as loguniform(1e-5,1e-1)")
    columns = {}
    for name, one in values.items():
        fractions = np.random.default_rng([seed, zlib.crc32(name.encode())]).random(samples)
        if isinstance(one, Distribution):
            columns[name] = [one.quantile(fraction) for fraction in fractions.tolist()]
        else:
            columns[name] = [one[int(fraction * len(one))] for fraction in fractions.tolist()]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
