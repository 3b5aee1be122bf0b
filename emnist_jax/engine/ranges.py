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

from emnist_jax.errors import InputError, check_choice, check_count

SPACES = {"linspace": np.linspace, "logspace": np.logspace}
DISTRIBUTIONS = ("uniform", "loguniform")
SAMPLERS = ("random", "sobol", "halton")
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

    Of an invalid word the `InputError` names it and the hyperparameter.
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
    check_choice(f"{name}={word}", function, (*SPACES, *DISTRIBUTIONS))
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


def draw(
    values: Mapping[str, Values], samples: int, seed: int, sampler: str = "random"
) -> list[dict[str, float]]:
    """Draw settings: from distributions, and from lists with equal chances.

    More samples begin with the same ones. At random, a hyperparameter's draws depend on its name
    and the seed alone: another one changes nothing about those there. Quasi-random points fill the
    space of all hyperparameters more evenly, so the best of k tends to be better (Bergstra and
    Bengio 2012; Bousquet et al. 2017); they depend on all the names.

    The sampler is "random"; or a scrambled sequence of `scipy.stats.qmc`, "sobol" (most even at 2,
    4, 8, ... samples) or "halton". No distribution to draw from, more than 100,000 samples or none,
    a seed below 0, and an unknown sampler are an `InputError`.
    """
    check_count("samples", samples, most=100_000)
    if seed < 0:
        raise InputError(f"sample seed {seed}: give 0 or more")
    check_choice(f'unknown sampler "{sampler}"', sampler, SAMPLERS)
    if not any(isinstance(one, Distribution) for one in values.values()):
        raise InputError("samples need a range to draw from, such as loguniform(1e-5,1e-1)")
    columns = {}
    for name, fractions in _fractions(sorted(values), samples, seed, sampler).items():
        one = values[name]
        if isinstance(one, Distribution):
            columns[name] = [one.quantile(fraction) for fraction in fractions]
        else:
            columns[name] = [one[int(fraction * len(one))] for fraction in fractions]
    return [{name: columns[name][i] for name in values} for i in range(samples)]


def _fractions(
    names: Sequence[str], samples: int, seed: int, sampler: str
) -> dict[str, list[float]]:
    """Return numbers in [0, 1) by hyperparameter."""
    if sampler == "random":
        streams = {name: [seed, zlib.crc32(name.encode())] for name in names}
        return {n: np.random.default_rng(s).random(samples).tolist() for n, s in streams.items()}
    from scipy.stats import qmc

    sequence = {"sobol": qmc.Sobol, "halton": qmc.Halton}[sampler](len(names), rng=seed)
    # Sobol's points come in powers of two; those drawn beyond `samples` change none before them.
    points = sequence.random(2 ** (samples - 1).bit_length())[:samples]
    return dict(zip(names, points.T.tolist(), strict=True))
