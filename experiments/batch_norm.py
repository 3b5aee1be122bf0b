"""N1: batch normalisation on the dense net, as a bug left it, as the text has it, and as is usual.

    python -m experiments.batch_norm --data emnist/balanced

Crosses {frozen, trained} scale and bias x {normal: drawn from N(0, 1), standard: 1 and 0} x
{minibatch, running} statistics in evaluation x {Adam, undamped Adam}. The last is Adam at ten times
the rate: without the factor (1 - b1) = .1 its steps are ten times as long.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_curves
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best, interval
from experiments._common import CHOSEN, CHOSEN_RATES, draw, main, peak_limits, together, train
from experiments._common import Options as CommonOptions

PARAMETERS, INITIAL = ("frozen", "trained"), ("normal", "standard")
STATISTICS = ("minibatch", "running")
CELLS = tuple(map("_".join, itertools.product(PARAMETERS, INITIAL, STATISTICS)))
RUNS = tuple(f"batch_norm/{cell}" for cell in CELLS)
REPORTED, REPORTED_SD = 72.3, 5.6


@dataclass(frozen=True)
class Options(CommonOptions):
    """Options of this experiment."""

    learning_rate: tuple[float, ...] = CHOSEN_RATES
    """learning rates of Adam with b1 .9, b2 .9999; 1e-3 is undamped Adam at 1e-4"""


CAPTIONS = {
    "accuracy_adam": "Batch normalisation with Adam at eta 1e-4: validation accuracy.",
    "accuracy_undamped": "The same with undamped Adam at eta 1e-4 (Adam at 1e-3).",
}


def run(options: Options) -> dict[str, xr.Dataset]:
    """Train every cell, save its curves, and draw figures and the table of all."""
    cells = measure(options)
    draw(figures(cells), tables(cells), options.out / "batch_norm")
    return cells


def measure(options: Options) -> dict[str, xr.Dataset]:
    """Train every cell and save its curves."""
    cells = {}
    for cell in CELLS:
        parameters, initial, statistics = cell.split("_")
        norm = ej.BatchNorm(parameters, initial, statistics)
        grid = {"learning_rate": options.learning_rate, **CHOSEN}
        model = ej.MLP(hidden=(100, 100), batch_norm=norm)
        cells[cell] = train(options, f"batch_norm/{cell}", model, "adam", grid)
    return cells


def figures(cells: Mapping[str, xr.Dataset]) -> dict:
    """Return a figure a rule: a panel for each statistics, a line for each kind of parameters."""
    panels = {
        statistics: together(
            {kind: cells[f"{kind}_{statistics}"] for kind in _kinds()}, "parameters"
        )
        for statistics in STATISTICS
    }
    curves = together(panels, "statistics")
    rates = dict(zip(CAPTIONS, curves.learning_rate.values, strict=False))
    return {
        name: plot_curves(
            curves.sel(learning_rate=rate),
            hue="parameters",
            col="statistics",
            ylim=peak_limits(curves),
        )
        for name, rate in rates.items()
    }


def _kinds() -> list[str]:
    return [f"{parameters}_{initial}" for parameters in PARAMETERS for initial in INITIAL]


def tables(cells: Mapping[str, xr.Dataset]) -> dict[str, Table]:
    """Return each cell's best accuracy beside the reported 72.3 +- 5.6 %."""
    header = ["scale and bias", "drawn", "statistics", "eta of Adam", "best (%)", "95 %", "sd"]
    header += ["epoch of best", "near 72.3", "sd near 5.6", "diverged"]
    rows = []
    for cell, curves in cells.items():
        at_best = best(curves)
        over = interval(100 * at_best.valid_accuracy)
        for rate in curves.learning_rate.values:
            row = over.sel(learning_rate=rate)
            mean, sd = float(row["mean"]), float(row.sd)
            rows.append(
                [
                    *cell.split("_"),
                    f"{rate:g}",
                    f"{mean:.2f}",
                    f"{float(row.lower):.2f} to {float(row.upper):.2f}",
                    f"{sd:.2f}",
                    f"{float(at_best.best_epoch.sel(learning_rate=rate).mean()):.1f}",
                    "yes" if abs(mean - REPORTED) <= REPORTED_SD else "no",
                    "yes" if REPORTED_SD / 2 <= sd <= REPORTED_SD * 2 else "no",
                    f"{int(at_best.diverged.sel(learning_rate=rate).sum())}",
                ]
            )
    return {"cells": Table(header, rows)}


def finding(cells: Mapping[str, xr.Dataset]) -> str:
    """Return which cell comes nearest to the reported mean and spread."""
    (table,) = tables(cells).values()
    row = min(table.rows, key=lambda row: abs(float(row[4]) - REPORTED))
    both = [r for r in table.rows if r[8] == r[9] == "yes"]
    told = "; ".join(f"{', '.join(r[:3])}, eta {r[3]}" for r in both) or "none"
    return (
        f"The paper reports {REPORTED} ± {REPORTED_SD} %. Nearest: {', '.join(row[:3])}, "
        f"eta {row[3]}, with {row[4]} ± {row[6]} % (sd). Near it in mean and in spread: {told}."
    )


if __name__ == "__main__":
    main(run, Options)
