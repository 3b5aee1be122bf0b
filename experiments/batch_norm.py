"""N1: batch normalisation on the dense net, as a bug left it, as the text has it, and as is usual.

    python -m experiments.batch_norm --data emnist/balanced

Crosses {frozen, trained} scale and bias x {normal: drawn from N(0, 1), standard: 1 and 0} x
{minibatch, running} statistics in evaluation x {Adam, undamped Adam}. The last is Adam at ten times
the rate: without the factor (1 - b1) = .1 its steps are ten times as long. Each network is trained
once and evaluated with either statistics; `experiments.test_set` reads them after epoch 7.
"""

import itertools

import numpy as np
import xarray as xr

import emnist_jax as ej
from emnist_jax.figures import plot_curves
from emnist_jax.figures.style import mark
from emnist_jax.figures.tables import Table
from emnist_jax.stats import best
from experiments._curves import of_variant, over_seeds, peak_limits, together
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._names import name
from experiments._networks import CHOSEN_GRID, DENSE, paper_sweep

KINDS = tuple(itertools.product(("frozen", "trained"), ("normal", "standard")))
STATISTICS = ("minibatch", "running")
REPORTED, REPORTED_SD = 72.3, 5.6


def sweep(kind: str, drawn: str) -> ej.Sweep:
    """Return the sweep of one kind of parameters, evaluated with either statistics."""
    usual, minibatch = (
        DENSE.clone(batch_norm=ej.BatchNorm(kind, drawn, statistics))
        for statistics in ("running", "minibatch")
    )
    keep = (7,) if drawn == "normal" else None
    variants = {"minibatch": minibatch}
    return paper_sweep(usual, "adam", CHOSEN_GRID, epochs=100, variants=variants, keep=keep)


def read(runs: Results, kind: str, drawn: str, statistics: str) -> xr.Dataset:
    """Return the curves of a cell."""
    variant = "minibatch" if statistics == "minibatch" else ""
    return of_variant(runs[f"batch_norm/{kind}_{drawn}"], variant)


def draw_rate(runs: Results, number: int):
    """Draw the curves of Adam (0) or undamped Adam (1): a panel each statistics, a line each kind.

    Undamped Adam is Adam at ten times the rate, and the caption names its own.
    """
    panels = {}
    for one in STATISTICS:
        cells = {", ".join(map(name, kind)): read(runs, *kind, one) for kind in KINDS}
        panels[name(one)] = together(cells, "parameters")
    curves = together(panels, "statistics")
    rule = ("Adam", "undamped Adam")[number]
    shown = curves.isel(learning_rate=min(number, curves.sizes["learning_rate"] - 1))
    shown = shown.assign_coords(learning_rate=shown.learning_rate / 10**number)
    shown = shown.assign_attrs(rule=rule, model="dense net with batch normalisation")
    figure = plot_curves(shown, hue="parameters", col="statistics", ylim=peak_limits(curves))
    return mark(figure, "72.3 ± 5.6 %", y=REPORTED, dy=REPORTED_SD)


def cells_table(runs: Results) -> Table:
    """Return each cell's best accuracy beside the reported 72.3 +- 5.6 %."""
    rows = []
    for (kind, drawn), statistics in itertools.product(KINDS, STATISTICS):
        found = best(read(runs, kind, drawn, statistics))
        for rate in found.learning_rate.values:
            at_best = found.sel(learning_rate=rate)
            accuracy = 100 * at_best.valid_accuracy
            (mean, bounds), sd = over_seeds(accuracy), float(accuracy.std("seed", ddof=1))
            macro = 100 * at_best.get("valid_macro_accuracy", accuracy * np.nan).mean()
            rows.append(
                {
                    "scale and bias": kind,
                    "drawn": drawn,
                    "statistics": statistics,
                    "eta of Adam": rate,
                    "best (%)": mean,
                    "95 %": bounds,
                    "sd": sd,
                    "macro then (%)": macro,
                    "epoch of best": at_best.best_epoch.mean(),
                    "near 72.3": abs(mean - REPORTED) <= REPORTED_SD,
                    "sd near 5.6": REPORTED_SD / 2 <= sd <= REPORTED_SD * 2,
                    "diverged": int(at_best.diverged.sum()),
                }
            )
    return Table(rows, {"eta of Adam": "g", "epoch of best": ".1f"})


def finding(runs: Results) -> str:
    """Return which cell comes nearest to the reported mean and spread."""
    rows = cells_table(runs).rows
    near = min(rows, key=lambda row: abs(row["best (%)"] - REPORTED))
    both = [row for row in rows if row["near 72.3"] and row["sd near 5.6"]]
    return (
        f"The paper reports {REPORTED} ± {REPORTED_SD} %. Nearest: {_name(near)}, with "
        f"{near['best (%)']:.2f} ± {near['sd']:.2f} % (sd). Near it in mean and in spread: "
        f"{'; '.join(map(_name, both)) or 'none'}."
    )


def _name(row: dict) -> str:
    words = (row["scale and bias"], row["drawn"], row["statistics"])
    return f"{', '.join(words)}, eta {row['eta of Adam']:g}"


EXPERIMENT = Experiment(
    "batch_norm",
    "Batch normalisation (N1)",
    sweeps={f"batch_norm/{'_'.join(kind)}": sweep(*kind) for kind in KINDS},
    figures={
        "accuracy_adam": Figure(
            "Batch normalisation with Adam at eta 1e-4, scale and bias frozen (the bug) or "
            "trained, in evaluation with either statistics: validation accuracy.",
            lambda runs: draw_rate(runs, 0),
        ),
        "accuracy_undamped": Figure(
            "The same with undamped Adam at eta 1e-4, which is Adam at 1e-3.",
            lambda runs: draw_rate(runs, 1),
        ),
    },
    tables={"cells": cells_table},
    finding=finding,
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
