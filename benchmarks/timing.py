"""Fair timing: warm-up first, contestants in alternation, medians with their range."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple


class Timing(NamedTuple):
    """Seconds of one thing, measured several times."""

    median: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Timing":
        """Return the timing of measured seconds."""
        return cls(median(seconds), min(seconds), max(seconds), len(seconds))

    def times(self, factor: float) -> "Timing":
        """Return the timing in another unit."""
        return Timing(self.median * factor, self.least * factor, self.most * factor, self.rounds)


@dataclass(frozen=True)
class Contestant:
    """A program that trains `trials` networks at once."""

    name: str
    trials: int
    run: Callable[[int], object]  # train for so many steps, and wait until it is done
    steps: int | None = None  # of one run, where the program cannot choose


def seconds_of(function: Callable[[], object]) -> float:
    """Return the wall-clock seconds of one call."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def alternate(
    functions: Mapping[str, Callable[[], object]],
    rounds: int,
    limit: float = math.inf,
    before: Mapping[str, Callable[[], object]] | None = None,
) -> dict[str, Timing]:
    """Time warm functions in alternation (A B A B ...), so that a change of the
    machine's speed affects all.

    A function that has spent `limit` seconds sits out, though not before its second round. What
    `before` has under its name is called each time before it, untimed.
    """
    spent: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            if len(spent[name]) < 2 or sum(spent[name]) < limit:
                if before:
                    before[name]()
                spent[name].append(seconds_of(function))
    return {name: Timing.of(s) for name, s in spent.items()}


def race(
    contestants: list[Contestant], seconds: float, rounds: int, limit: float
) -> dict[str, tuple[Timing, int]]:
    """Return by name the seconds of one step of one model, and the steps of a timed run.

    Runs are made long enough to last about `seconds`. A shorter one goes before each (a whole one
    where the program cannot choose): threads that slept while another contestant ran take 50 ms to
    spread over the cores again, which shows in a run of .1 s and not in an epoch of 6 s.
    """
    steps = {c.name: c.steps or _calibrate(c.run, seconds) for c in contestants}
    for c in contestants:
        if c.steps:
            c.run(c.steps)  # the others are warm from calibration
    functions = {c.name: lambda c=c: c.run(steps[c.name]) for c in contestants}
    before = {c.name: lambda c=c: c.run(max(1, steps[c.name] // 4)) for c in contestants}
    timings = alternate(functions, rounds, limit, before)
    return {
        c.name: (timings[c.name].times(1 / (steps[c.name] * c.trials)), steps[c.name])
        for c in contestants
    }


def _calibrate(run: Callable[[int], object], seconds: float) -> int:
    run(1)  # compiles, allocates
    steps, spent = 1, seconds_of(lambda: run(1))
    while spent < seconds / 4:
        steps *= 2
        spent = seconds_of(lambda: run(steps))  # noqa: B023 (called at once)
    return max(1, round(steps * seconds / spent))
