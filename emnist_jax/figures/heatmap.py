"""Best accuracy over a grid of two hyperparameters."""

import itertools
from typing import TYPE_CHECKING

import numpy as np

from emnist_jax.errors import InputError
from emnist_jax.figures._inputs import caption_parts, check_curves, count_diverged
from emnist_jax.figures.style import (
    caption,
    fill_cell,
    new_figure,
    number,
    separate_cells,
    setting,
    styled,
    symbol,
)
from emnist_jax.stats import best

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


def _colour_floor(accuracy: np.ndarray) -> float:
    """Return the lowest accuracy that has neither failed nor is an outlier (Tukey, 1977)."""
    learned = accuracy[accuracy >= np.nanmax(accuracy, initial=0) / 2]
    if not learned.size:
        return 0.0
    lower, upper = np.quantile(learned, (0.25, 0.75))
    return float(learned[learned >= lower - 1.5 * (upper - lower)].min())


@styled
def plot_heatmap(
    curves: "xr.Dataset",
    *,
    x: str = "b2",
    y: str = "learning_rate",
    col: str | None = None,
    floor: float | None = None,
) -> "Figure":
    """Draw best validation accuracy over a grid, its mean epoch and divergences in each cell.

    Cells hold the mean over seeds of each trial's best accuracy over epochs (%), and of its epoch,
    unless they failed (have less than half of the best one's accuracy): then it is noise. Cells
    whose curves hold no number at all are settings that were not run.

    Args:
      curves: labelled curves with dimensions `x`, `y`, `col`, `seed` and `epoch`.
      x: dimension across.
      y: dimension upwards.
      col: dimension laid out in panels side by side; None for one panel.
      floor: accuracy in percent at which the colours begin; the cells below it share the darkest.
        Default: the lowest cell that neither failed nor lies far below those that did not
        (Tukey's fence).

    Raises:
      InputError: an unknown dimension, one given twice, or one left over.
    """
    if len({x, y, col}) < 3:
        raise InputError(f"x={x!r}, y={y!r}, col={col!r}: give three different dimensions")
    curves = check_curves(curves, ["valid_accuracy"], {"x": x, "y": y, "col": col}).sortby([x, y])
    columns = curves[col].values if col else [None]
    at_best = best(curves)
    accuracy = 100 * at_best.valid_accuracy.mean("seed", skipna=False)
    epoch = at_best.best_epoch.mean("seed", skipna=False)
    trained = curves.valid_accuracy.notnull().any(["seed", "epoch"])
    lowest, high = float(accuracy.min()), float(accuracy.max())
    low = _colour_floor(accuracy.values) if floor is None else floor
    wide, tall = curves.sizes[x], curves.sizes[y]
    figure = new_figure(1.9 + len(columns) * (0.3 + 0.95 * wide), 1.5 + 0.75 * tall)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    shades = {"vmin": low, "vmax": max(high, low + 1e-3)}
    for axes, column in zip(panels, columns, strict=True):
        chosen = {} if column is None else {col: column}
        cells, epochs = (v.sel(chosen).transpose(y, x).values for v in (accuracy, epoch))
        lost = at_best.diverged.sel(chosen).sum("seed").transpose(y, x).values
        there = trained.sel(chosen).transpose(y, x).values
        image = axes.imshow(cells, origin="lower", aspect="auto", cmap="viridis", **shades)
        for i, j in itertools.product(range(tall), range(wide)):
            dark = not cells[i, j] > (low + high) / 2
            text = f"{cells[i, j]:.1f}"
            text += f"\nepoch {epochs[i, j]:.0f}" if cells[i, j] >= high / 2 else ""
            text += f"\n{lost[i, j]}/{curves.sizes['seed']} div." if lost[i, j] else ""
            fill_cell(axes, i, j, text if there[i, j] else "not run", dark and there[i, j], 10)
        axes.set_xticks(range(wide), [number(v, x == "learning_rate") for v in curves[x].values])
        axes.set_yticks(range(tall), [number(v, y == "learning_rate") for v in curves[y].values])
        axes.set_xlabel(symbol(x), fontsize=13)
        separate_cells(axes, tall, wide, "white")
        axes.set_title("" if column is None else setting(col, column))
    panels[0].set_ylabel(symbol(y), fontsize=13)
    figure.colorbar(
        image,
        ax=list(panels),
        label="best validation\naccuracy (%)",  # two lines, for grids of few rows
        extend="min" if lowest < low else "neither",
        pad=0.02,
    )
    settings = curves.stack(cell=trained.dims, create_index=False)
    caption(
        figure,
        *caption_parts(curves),
        "mean over seeds of each trial's best epoch",
        count_diverged(settings.isel(cell=trained.values.ravel())),
    )
    return figure
