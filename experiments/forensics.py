"""Which Adam did the paper run? Five implementations against its rows with b1 = .9.

    python -m experiments.forensics --data emnist/balanced

Algorithm 1 and the undamped rule (without the factor 1 - b1) are read from the grid of
`experiments.adam`, which should have run into the same --out: undamped Adam at eta is Adam at
eta / (1 - b1), here ten times eta. So only the rules without bias correction, or with a constant
one, are trained; and only where the paper says something of them: eta 1e-3 and 1e-4 with b1 .9.
Twenty epochs reach past its peaks there (epoch 6, and 80 % at most); two seeds, as it had.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_curves, plot_intervals
from emnist_jax.figures.tables import Table
from experiments._common import Options as CommonOptions
from experiments._common import collect, draw, main, train
from experiments.claims import PAPER, READINGS, NotTestable, Runs, judge_reading
from experiments.report import readings_table

TRAINED = READINGS[2:]
RUNS = tuple(f"forensics/{rule}" for rule in TRAINED)
SHOWN = ("A1g", "A1p")  # claims whose number the paper gives
REPORTED = {"A1g": 80.0, "A1p": 83.0}
CAPTIONS = {
    "readings": "Five readings of Adam against the paper's numbers (diamonds): A1g, at most 80 % "
    "at eta 1e-3; A1p, 83 % by epoch 6 at eta 1e-4 (both b1 .9, b2 .9999).",
    "curves": "Five readings of Adam at eta 1e-4, b1 .9, b2 .9999: validation accuracy.",
}


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    seeds: int = 2
    """number of random initialisations of every setting: seeds 0, 1, ..."""
    epochs: int = 20
    """passes over the training images"""
    learning_rate: tuple[float, ...] = (1e-3, 1e-4)
    """learning rates"""
    b1: tuple[float, ...] = (0.9,)
    """decays of the first moment"""
    b2: tuple[float, ...] = (0.9, 0.99, 0.999, 0.9999)
    """decays of the second moment"""


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train what is not in Adam's grid, and draw the figures and the table of readings."""
    found = measure(options)
    draw(figures(found), tables(found), options.out / "forensics")
    return found


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train what is not in Adam's grid; return all runs in the folder of results, by name."""
    grid = {"learning_rate": options.learning_rate, "b1": options.b1, "b2": options.b2}
    for rule in TRAINED:
        train(options, f"forensics/{rule}", ej.MLP(hidden=(100, 100)), rule, grid)
    return collect(options.out)


def figures(found: Mapping[str, xr.Dataset]) -> dict:
    """Return the readings' numbers beside the reported ones, and their curves.

    Args:
        found: all runs by name: Adam's grid serves two of the readings.
    """
    rows, reported = [], []
    for claim in PAPER:
        for reading in READINGS if claim.id in SHOWN else ():
            estimate = judge_reading(claim, found, reading).estimate
            numbers = estimate[:3] if estimate else (float("nan"),) * 3
            rows.append((f"{claim.id} {reading}", *numbers))
            reported.append(REPORTED[claim.id])
    data = ", ".join(sorted({str(curves.attrs.get("data", "")) for curves in found.values()}))
    note = f"{data} · dense net, b1 .9, b2 .9999 · mean and 95 % t interval over seeds"
    drawn = {
        "readings": plot_intervals(
            *zip(*rows, strict=True),
            reference=reported,
            xlabel="validation accuracy (%)",
            note=note,
        )
    }
    curves = {}
    for reading in READINGS:
        try:
            one = Runs(found, reading).adam(1e-4, 0.9, 0.9999)
        except NotTestable:
            continue
        curves[reading] = one.reset_coords(drop=True)
    if curves:
        together = xr.concat(curves.values(), "rule", join="inner", combine_attrs="drop_conflicts")
        drawn["curves"] = plot_curves(together.assign_coords(rule=list(curves)), hue="rule")
    return drawn


def tables(found: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return each claim about Adam under each reading.

    Args:
        found: all runs by name.
    """
    return {"readings": readings_table(found)}


if __name__ == "__main__":
    main(run, Options)
