"""A1, Figures 6 and 7: Adam on the dense net, 32 settings of eta, b1 and b2.

    python -m experiments.adam --data emnist/balanced

The largest experiment: five seeds are 160 trials of 100 epochs. `--seeds 2` is what the paper had;
an interrupted run goes on where it stopped.
"""

import xarray as xr

from emnist_jax.figures import plot_curves, plot_heatmap
from emnist_jax.figures.style import mark, setting
from emnist_jax.figures.tables import settings_table
from emnist_jax.stats import best
from experiments._curves import peak_limits, together, with_names
from experiments._experiment import Experiment, Figure, Results
from experiments._main import main
from experiments._networks import DENSE, paper_sweep

GRID = {
    "learning_rate": (0.1, 0.01, 0.001, 0.0001),
    "b1": (0.0, 0.9),
    "b2": (0.9, 0.99, 0.999, 0.9999),
}
BOTH = ("train_accuracy", "valid_accuracy", "train_error", "valid_error")
# The paper's best accuracies (%) by eta, b1 and b2.
REPORTED = {(1e-3, 0.0, 0.9999): 83.5, (1e-3, 0.9, 0.9999): 80, (1e-4, 0.9, 0.9999): "83 by 6"}
REPORTED |= {(1e-4, 0.0, b2): 83.5 for b2 in GRID["b2"]}


def with_undamped(runs: Results) -> xr.Dataset:
    """Return the grid along a dimension `rule` in place of b1: each b1, and the last undamped.

    Undamped Adam at eta is Adam at eta / (1 - b1); NaN where that was not run.
    """
    grid = with_names(runs["adam"])
    rules = {setting("b1", b1): grid.sel(b1=b1, drop=True) for b1 in grid.b1.values}
    last, one = list(rules.items())[-1]
    slower = (grid.learning_rate * (1 - grid.b1[-1])).round(12).values
    undamped = one.assign_coords(learning_rate=slower).reindex(learning_rate=grid.learning_rate)
    return together(rules | {f"{last}, undamped": undamped}, "rule")


def smallest_rate(runs: Results) -> xr.Dataset:
    """Return the curves of every rule at the smallest learning rate."""
    curves = with_undamped(runs)
    return curves.sel(learning_rate=curves.learning_rate.min()).dropna("rule", how="all")


def draw_grid(runs: Results):
    """Draw best accuracies, in colours that tell the highest three points apart."""
    curves, b1s = with_undamped(runs), runs["adam"].b1.values
    floor = 100 * float(best(curves).valid_accuracy.mean("seed").max()) - 3
    figure = plot_heatmap(curves, y="learning_rate", x="b2", col="rule", floor=floor)
    rates, b2s = (sorted(curves[axis].values.tolist()) for axis in ("learning_rate", "b2"))
    box = {"facecolor": "white", "boxstyle": "round,pad=0.15", "linewidth": 0}
    for (rate, b1, b2), accuracy in REPORTED.items():
        for axes, of in zip(figure.axes, [*b1s, b1s[-1]], strict=False):
            if of == b1 and rate in rates and b2 in b2s:
                at, text = (b2s.index(b2), rates.index(rate) - 0.36), f"paper {accuracy}"
                axes.text(*at, text, ha="center", va="center", fontsize=9, bbox=box)
    return figure


def draw_most_overfitted(runs: Results):
    """Draw the setting that the paper found to overfit most, the largest b1 and b2."""
    curves = smallest_rate(runs)
    shown = curves.sel(b2=curves.b2.max()).isel(rule=slice(runs["adam"].sizes["b1"] - 1, None))
    figure = plot_curves(shown, hue="rule", variables=BOTH, ylim=peak_limits(shown, BOTH[:2]))
    return mark(figure, "83 % by epoch 6", 6, 83, panels=slice(1))


def draw_windows(runs: Results):
    """Draw the curves of every b2, a panel each rule."""
    curves = smallest_rate(runs)
    figure = plot_curves(curves, hue="b2", col="rule", ylim=peak_limits(curves))
    mark(figure, "83.5 % at epochs 44 to 52", 48, 83.5, dx=4, panels=slice(1))
    return mark(figure, "83 % by epoch 6", 6, 83, panels=slice(1, None))


EXPERIMENT = Experiment(
    "adam",
    "Adam (A1)",
    sweeps={"adam": paper_sweep(DENSE, "adam", GRID, epochs=100)},
    figures={
        "figure_6_grid": Figure(
            "Adam: best validation accuracy and its epoch over the grid, with the paper's (at eta "
            "1e-3 and b1 0 at epoch 10 to 12, at 1e-4 at 44 to 52; 83 by epoch 6). Undamped: "
            "without the factor 1 - b1, which is Adam at ten times eta.",
            draw_grid,
        ),
        "figure_7_curves": Figure(
            "Adam, and undamped: training and validation curves at eta 1e-4, b1 .9, b2 .9999.",
            draw_most_overfitted,
        ),
        "longer_windows": Figure(
            "Adam: validation accuracy at the smallest eta for each b2.", draw_windows
        ),
    },
    tables={"settings": lambda runs: settings_table(runs["adam"], first_seeds=2)},
)

if __name__ == "__main__":
    main(EXPERIMENT, __doc__)
