"""Runs killed at random moments, resumed, and compared with one that was left alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from . import victim

MOMENTS = {"any": 0.35, "start": 0.1, "checkpoint": 0.35, "networks": 0.1, "curves": 0.1}


class Kills(NamedTuple):
    """How many processes were killed, how many of them inside a write, and of what."""

    kills: int
    lost: int
    inside: Mapping[str, int]


def kill_and_resume(
    folder: Path,
    reference: Mapping[str, bytes],
    window: float,
    kills: int,
    seed: int,
    in_a_row: int = 6,
) -> Kills:
    """Kill runs until `kills` processes are dead; each run resumed must equal the reference.

    `window` is about the seconds between a run's first checkpoint and its end.
    """
    random, done, lost, number = np.random.default_rng(seed), 0, 0, 0
    inside: dict[str, int] = {}
    while done < kills:
        number += 1
        path, killed = folder / f"run{number}", 0
        while killed < in_a_row and done + killed < kills:
            if not victim.kill_when(path, _moment(path, window, random)):
                break  # it was finished before the moment came
            killed += 1
            for left in victim.unfinished(path):
                name = "checkpoint" if left.parent.name == "checkpoint" else left.name.split(".")[1]
                inside[name] = inside.get(name, 0) + 1
        code, said = victim.run(path)
        whole = code == 0 and victim.outcome(path) == reference and not victim.unfinished(path)
        if not whole:
            print(f"LOST: {path.name} after {killed} kills: exit code {code}: {said}")
        done, lost = done + killed, lost + (0 if whole else killed)
    return Kills(done, lost, inside)


def _moment(path: Path, window: float, random: np.random.Generator) -> Callable[[], bool]:
    """Half the moments fall inside a write, which is a small part of the time."""
    kind = random.choice(list(MOMENTS), p=list(MOMENTS.values()))
    if kind == "any":
        return victim.after(path, random.uniform(0, window))
    if kind == "start":
        return victim.after(path, -random.uniform(0, 2))
    if kind == "checkpoint":
        return victim.inside_write(path, "checkpoint/0", int(random.integers(1, 8)))
    return victim.inside_write(path, kind)
