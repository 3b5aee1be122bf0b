"""A race of two rules: seeds are added until the difference is decided, and looking is allowed."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from emnist_jax import figures
from emnist_jax.comparison import by_rule, in_points, notes_on, require_alike, score_of
from emnist_jax.data import Dataset, load
from emnist_jax.engine.run import run as train
from emnist_jax.engine.sweep import Sweep
from emnist_jax.errors import InputError, check_count
from emnist_jax.stats import best_setting, confidence_sequence
from emnist_jax.stats._inputs import require_level

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Race:
    """How a race went; prints as a sentence."""

    a: str
    b: str
    settings: tuple[dict[str, float], ...]  # of a and b, that raced
    differences: xr.DataArray  # a - b by seed, of accuracies as fractions
    sequence: xr.Dataset  # what `stats.confidence_sequence` gives of them
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> str:
        """Return which rule is better, or "undecided"."""
        last = self.sequence.isel(n=-1)
        if last.lower > 0 or last.upper < 0:
            return f"{self.a if last['mean'] > 0 else self.b} is better"
        return "undecided"

    def __str__(self) -> str:
        """Return the difference with its interval, the verdict, the seeds it took, and notes."""
        last = self.sequence.isel(n=-1)
        points = in_points(*(float(last[name]) for name in ("mean", "lower", "upper")))
        seeds = f"after {self.differences.size} seeds"
        sentence = f"{self.a} - {self.b} {seeds}: {points}: {self.verdict}"
        return "\n".join([sentence, *(f"  {note}" for note in self.notes)])

    __repr__ = __str__

    def plot(self) -> "Figure":
        """Draw the mean difference and its confidence sequence against the seeds raced."""
        return figures.plot_sequence(self.sequence, ylabel=f"{self.a} - {self.b}, points")


def race(
    mine: Sweep,
    other: Sweep,
    data: Dataset | str | tuple,
    out: str | Path | None = None,
    *,
    most_seeds: int = 48,
    step: int = 4,
    tuning_seeds: int = 3,
    level: float = 0.95,
    run: Callable[..., xr.Dataset] = train,
) -> Race:
    """Add seeds to two rules until one is clearly better, or the budget of seeds ends.

    First both are tuned alike: each one's grid is trained on seeds 0 to `tuning_seeds` - 1, and the
    setting with the best mean accuracy goes on. Then new seeds race at these settings alone, `step`
    at a time and in pairs, until `stats.confidence_sequence` of their differences excludes 0. It
    holds at all numbers of seeds at once, so to stop early is no cheating: of races between
    equal rules at most 1 - `level` end with a verdict. Each trial counts with its best epoch.

    Args:
        mine: a sweep; the race sets its `seeds`.
        other: the sweep to race it with, of the same epochs and minibatch order.
        data: what both train on.
        out: a folder; the same call goes on where it was interrupted, and a larger `most_seeds`
            goes on where an undecided race ended. None keeps nothing.
        most_seeds: pairs of seeds at which the race ends undecided; the first 3 decide nothing.
        step: seeds trained between two looks.
        tuning_seeds: seeds that choose the settings; not used where each has but one.
        level: of the confidence sequence.
        run: what trains a sweep on data into a folder and grows it.

    Returns:
        The race, to print or to `.plot()`.

    Raises:
        InputError: numbers out of range, or sweeps of different epochs or orders.

    Examples:
        >>> print(race(mine, adam, data, "runs/race"))  # doctest: +SKIP
        mine - adam after 12 seeds: +0.8 points [0.1, 1.5]: mine is better
    """
    check_count("step", step)
    check_count("tuning_seeds", tuning_seeds)
    check_count("most_seeds", most_seeds)
    require_level(level)
    if not most_seeds >= 4:
        raise InputError(f"most_seeds={most_seeds}: three pairs decide nothing; give 4 or more")
    sweeps = {"mine": mine.replace(keep=None), "other": other.replace(keep=None)}
    with ExitStack() as stack:
        folder = Path(out or stack.enter_context(TemporaryDirectory()))
        data = data if isinstance(data, Dataset) else load(data)
        begin, tuned = 0, {}
        if not all(_is_single(one) for one in sweeps.values()):
            begin = tuning_seeds
            for name, one in sweeps.items():
                tuned[name] = run(one.replace(seeds=begin), data, folder / name / "tuning")
                sweeps[name] = one.replace(grid=_setting(best_setting(tuned[name])))
        for n in range(min(step, most_seeds), most_seeds + step, step):
            seeds = list(range(begin, begin + min(n, most_seeds)))
            curves = by_rule(
                run(one.replace(seeds=seeds), data, folder / name / "race")
                for name, one in sweeps.items()
            )
            require_alike(curves)
            a, b = (_by_seed(one) for one in curves.values())
            settings = tuple(map(_setting, curves.values()))
            sequence = confidence_sequence(a - b, level=level)
            notes = _notes(by_rule(tuned.values()), curves)
            found = Race(*curves, settings, a - b, sequence, notes)
            if found.verdict != "undecided":
                break
    return found


def _notes(tuned: Mapping[str, xr.Dataset], raced: Mapping[str, xr.Dataset]) -> tuple[str, ...]:
    """Return which settings raced, how unlike their tuning was, and what else to keep in mind."""
    settings = [
        f"{name} at " + ", ".join(f"{n} {value:.4g}" for n, value in _setting(one).items())
        for name, one in raced.items()
    ]
    notes = ["raced: " + "; ".join(settings)]
    counts = {name: one.valid_accuracy.isel(epoch=0, seed=0).size for name, one in tuned.items()}
    if len({*counts.values()}) > 1:
        listed = ", ".join(f"{name} over {count}" for name, count in counts.items())
        notes.append(f"tuned over unlike numbers of settings, {listed}: more find a better best")
    notes += notes_on(raced)
    return *notes, *(f"tuning: {note}" for note in notes_on(tuned) if note not in notes)


def _is_single(sweep: Sweep) -> bool:
    """Return whether a sweep has one setting."""
    if isinstance(sweep.grid, Sequence):
        return len(sweep.grid) == 1
    return all(np.size(values) == 1 for values in sweep.grid.values())


def _setting(curves: xr.Dataset) -> dict[str, float]:
    """Return the hyperparameters of curves of one setting."""
    names = [str(name) for name in curves.coords if name not in ("seed", "epoch", "sample")]
    return {name: curves[name].item() for name in names}


def _by_seed(curves: xr.Dataset) -> xr.DataArray:
    """Return the one score of each seed, in the order the seeds came."""
    score = score_of(curves)
    return score.squeeze([dim for dim in score.dims if dim != "seed"], drop=True).sortby("seed")
