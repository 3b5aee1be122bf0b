"""Figures of labelled curves: over epochs, against the learning rate, as a heat map."""

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emnist_jax.errors import InputError, nearest
from emnist_jax.figures._inputs import check, finite, quantity_of
from emnist_jax.figures._style import (
    MARKERS,
    End,
    caption,
    colours,
    label_ends,
    new_figure,
    number,
    separate_cells,
    setting,
    styled,
    symbol,
)
from emnist_jax.stats import best, diverged, interval

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Band = Literal["t95", "sd", "minmax"]
BANDS = {
    "t95": "95 % t interval of the mean",
    "sd": "± 1 standard deviation over seeds",
    "minmax": "lowest to highest seed",
}
PARTS = {"train": "training", "valid": "validation", "test": "test"}
UNITS = {"accuracy": "accuracy (%)", "error": "error (cross-entropy, nats)"}


def _name(variable: str) -> str:
    """Return `validation accuracy` for `valid_accuracy`."""
    part, _, quantity = variable.partition("_")
    return f"{PARTS.get(part, part)} {quantity}".strip()


def _count_diverged(curves: "xr.Dataset") -> str:
    lost = diverged(curves)
    return f"{int(lost.sum())} of {lost.size} trials diverged" if lost.any() else ""


def _describe(curves: "xr.Dataset") -> list[str]:
    """Return what the curves are of: data, rule, model, what is fixed, the number of seeds."""
    parts = [str(curves.attrs[key]) for key in ("data", "rule", "model") if key in curves.attrs]
    fixed = [name for name in curves.coords if curves[name].ndim == 0]
    parts += [setting(str(name), curves[name].item()) for name in fixed]
    seeds = curves.sizes["seed"]
    return [*parts, f"{seeds} seed{'s' * (seeds != 1)}"]


def _scale(axes: "Axes", values: np.ndarray, highest: float = np.inf, log: bool = False) -> None:
    """Set the limits so that all `values` show, and not all of a wide band, which would hide them.

    `highest` is the highest value possible. With `log`, a span above a factor of 30 gets a log
    axis.
    """
    values = values[np.isfinite(values)]
    if not values.size:
        return
    low, high = values.min(), values.max()
    if log and low > 0 and high / low > 30:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.2, high * 1.2)
    else:
        margin = 0.04 * (high - low) or 0.5
        axes.set_ylim(low - margin, min(high + margin, highest * 1.01))


def _draw_mean(
    axes: "Axes", trials: "xr.DataArray", band: Band | None, **line: Any
) -> tuple[float, bool]:
    """Draw the mean over seeds and its band; return the line's last height, and if it got there.

    From the epoch at which a seed diverges there is no mean: the seeds that live on are drawn
    thin, and a cross marks the end.
    """
    epochs, colour, over_seeds = trials.epoch.values, line["color"], interval(trials)
    mean = over_seeds["mean"].values
    axes.plot(epochs, mean, **line)
    if band is not None and trials.sizes["seed"] > 1:
        low, high = {
            "t95": (over_seeds.lower, over_seeds.upper),
            "sd": (mean - over_seeds.sd, mean + over_seeds.sd),
            "minmax": (trials.min("seed", skipna=False), trials.max("seed", skipna=False)),
        }[band]
        axes.fill_between(epochs, low, high, color=colour, alpha=0.2, linewidth=0)
    alive = np.flatnonzero(np.isfinite(mean))
    last = alive[-1] if alive.size else 0
    if last + 1 < len(epochs):
        axes.plot(epochs[last], mean[last], "x", color=colour, markersize=9, zorder=5)
        rest = trials.transpose("epoch", "seed").values[last:]
        axes.plot(epochs[last:], rest, color=colour, linewidth=0.6)
    return float(mean[last]), last + 1 == len(epochs)


def _draw_panel(
    axes: "Axes", curves: "xr.Dataset", hue: str | None, variables: Sequence[str], band: Band | None
) -> list[End]:
    """Draw a line a value of `hue` and variable, training dashed; return the ends to be named."""
    values = curves[hue].values if hue else [None]
    every = max(1, curves.sizes["epoch"] // 8)
    ends = []
    for i, (value, colour) in enumerate(zip(values, colours(values), strict=True)):
        line = curves.sel({hue: value}) if hue else curves
        for variable in variables:
            dashed = variable.startswith("train_") and len(variables) > 1
            marker = "" if dashed else MARKERS[i % len(MARKERS)]
            y, reaches = _draw_mean(
                axes,
                finite(line, variable),
                band,
                color=colour,
                label=variable,
                linestyle=(0, (4, 1.5)) if dashed else "-",
                marker=marker,
                markevery=(i % every, every),
            )
            if hue is None and len(variables) > 1:
                ends.append(End(y, _name(variable).split()[0], colour, marker, reaches))
        if hue is not None:
            lost = int(diverged(line).sum())
            note = f" ({lost} of {line.sizes['seed']} diverged)" if lost else ""
            ends.append(End(y, setting(hue, value) + note, colour, marker, reaches))
    return ends


@styled
def plot_curves(
    curves: "xr.Dataset",
    *,
    hue: str | None = None,
    col: str | None = None,
    variables: str | Sequence[str] = ("valid_accuracy",),
    band: Band | None = "t95",
    ylim: tuple[float, float] | None = None,
) -> "Figure":
    """Draw learning curves: the mean over seeds, a band, one line a value of `hue`.

    Training curves are dashed where others are drawn too; accuracies (%) and errors (nats; on a
    log scale where they span a factor of 30) get a row each. A line ends with a cross where its
    first seed diverged; the seeds that live on are drawn thin.

    Args:
      curves: labelled curves with dimensions `seed`, `epoch`, `hue` and `col`.
      hue: dimension told apart by colour and marker.
      col: dimension laid out in panels side by side.
      variables: names of variables in `curves`.
      band: `t95`, a 95 % t interval of the mean; `sd`, a sample standard deviation each way;
        `minmax`, all seeds; None, none.
      ylim: limits of the vertical axis, of the first row if there are two; accuracies in percent.

    Raises:
      InputError: an unknown variable, dimension or band, or a dimension left over.
    """
    variables = [variables] if isinstance(variables, str) else list(variables)
    if band is not None and band not in BANDS:
        raise InputError(f'there is no band "{band}": {nearest(band, BANDS)}')
    curves = check(curves, variables, {"hue": hue, "col": col})
    quantities = list(dict.fromkeys(map(quantity_of, variables)))
    columns = curves[col].values if col else [None]

    names = curves[hue].values if hue and curves[hue].dtype.kind in "OSU" else []
    longest = max((len(str(name)) for name in names), default=0)
    width = min(3.4 + 3.4 * len(columns) + 0.08 * max(0, longest - 28), 14)
    figure = new_figure(width, 1.0 + 3.3 * len(quantities))
    grid = figure.subplots(len(quantities), len(columns), sharex=True, sharey="row", squeeze=False)
    for quantity, row in zip(quantities, grid, strict=True):
        shown = [v for v in variables if quantity_of(v) == quantity]
        shown.sort(key=lambda v: not v.startswith("train_"))  # labels stand at the last one's end
        if ylim is not None and quantity == quantities[0]:
            row[0].set_ylim(ylim)
        else:
            values = np.stack([finite(curves, v).values for v in shown])
            accuracy = quantity == "accuracy"
            _scale(row[0], values, highest=100 if accuracy else np.inf, log=quantity == "error")
        for axes, column in zip(row, columns, strict=True):
            panel = curves if col is None else curves.sel({col: column})
            axes.margins(x=0.02)
            ends = _draw_panel(axes, panel, hue, shown, band)
            axes.set_title("" if col is None else setting(col, column))
        if ends:
            label_ends(row[-1], ends)
        alone = _name(shown[0]).removesuffix(quantity) if len(shown) == 1 else ""
        row[0].set_ylabel(alone + UNITS.get(quantity, quantity))
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)

    lost = _count_diverged(curves)
    caption(
        figure,
        *_describe(curves),
        "dashed: training, solid: validation" if hue and len(variables) > len(quantities) else "",
        f"band: {BANDS[band]}" if band and curves.sizes["seed"] > 1 else "",
        lost and f"{lost} (x: the mean ends)",
    )
    return figure


def _mark_rates(axes: "Axes", rates: np.ndarray) -> None:
    """Put ticks at the rates, as many as have room; of many or long ones, at powers of ten."""
    from matplotlib.ticker import NullFormatter

    drawn = any(float(f"{rate:.1e}") != rate for rate in rates)  # at random: with many digits
    if len(rates) > 12 or (drawn and rates[-1] > 10 * rates[0]):
        axes.xaxis.set_minor_formatter(NullFormatter())
        return
    room, shown = np.ptp(np.log10(rates)) / 8, [rates[0]]
    for rate in rates[1:]:
        if np.log10(rate / shown[-1]) >= room:
            shown.append(rate)
    axes.set_xticks(shown, [number(rate, powers=True) for rate in shown])
    axes.minorticks_off()


@styled
def plot_best_against_rate(
    curves: "xr.Dataset", *, x: str = "learning_rate", hue: str | None = None
) -> "Figure":
    """Draw each setting's best validation accuracy and the epoch of it against the learning rate.

    Means over seeds with 95 % t intervals; every seed is a small dot. Best is the highest over the
    epochs of a trial, so its mean is biased upward by the choice on the validation set.

    Args:
      curves: labelled curves with dimensions `x`, `seed`, `epoch` and, if given, `hue`.
      x: dimension of positive numbers, drawn on a log axis.
      hue: dimension told apart by colour and marker.

    Raises:
      InputError: an unknown or left-over dimension, or values of `x` that are not positive numbers.
    """
    curves = check(curves, ["valid_accuracy"], {"x": x, "hue": hue})
    rates = curves[x].values
    if rates.dtype.kind not in "iuf" or not (rates > 0).all():
        raise InputError(f"{x} has values that are not positive numbers: a log axis needs them so")
    hues = curves[hue].values if hue else [None]
    figure = new_figure(6.8, 5.2)
    panels = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    names = ("best validation\naccuracy (%)", "epoch of the best")
    possible = (100, int(curves.epoch.max()))
    at_best = best(curves)
    quantities = (100 * at_best.valid_accuracy, at_best.best_epoch)
    for axes, values, name, most in zip(panels, quantities, names, possible, strict=True):
        over_seeds = interval(values)
        shown = [values.values, over_seeds.lower.values, over_seeds.upper.values]
        _scale(axes, np.clip(np.concatenate([v.ravel() for v in shown]), 0, most))
        axes.set_xscale("log")
        axes.set_ylabel(name)
        ends = []
        for i, (value, colour) in enumerate(zip(hues, colours(hues), strict=True)):
            chosen = {} if value is None else {hue: value}
            trials = values.sel(chosen).transpose(x, "seed").values
            mean, low, high = (
                over_seeds[key].sel(chosen).values for key in ("mean", "lower", "upper")
            )
            # Settings of one rate stand side by side, as their bars would hide each other.
            at = rates * 10 ** (0.03 * (i - (len(hues) - 1) / 2))
            marker = MARKERS[i % len(MARKERS)]
            axes.errorbar(
                at,
                mean,
                (mean - low, high - mean),
                color=colour,
                capsize=3,
                marker=marker,
                elinewidth=1.2,
                label=str(value),
            )
            axes.plot(at, trials, ".", color=colour, alpha=0.45, markersize=4)
            if value is not None:
                ends.append(End(float(mean[np.argmax(rates)]), setting(hue, value), colour, marker))
        if ends and axes is panels[0]:
            axes.set_xmargin(0.08)
            label_ends(axes, ends)
    axes.yaxis.get_major_locator().set_params(integer=True)  # the lower panel's: epochs
    _mark_rates(axes, np.unique(rates))
    axes.set_xlabel("learning rate " + symbol(x) if x == "learning_rate" else symbol(x))
    several = curves.sizes["seed"] > 1
    caption(
        figure,
        *_describe(curves),
        "mean and 95 % t interval over seeds" if several else "",
        _count_diverged(curves),
    )
    return figure


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

    Cells hold the mean over seeds of each trial's best accuracy over epochs (%), and of its epoch.

    Args:
      curves: labelled curves with dimensions `x`, `y`, `col`, `seed` and `epoch`.
      x: dimension across.
      y: dimension upwards.
      col: dimension laid out in panels side by side; None for one panel.
      floor: accuracy in percent at which the colours begin; the cells below it share the darkest.
        Default: the lowest cell that neither failed (has less than half of the best one's
        accuracy) nor lies by itself far below those that did not (Tukey's fence).

    Raises:
      InputError: an unknown dimension, one given twice, or one left over.
    """
    if len({x, y, col}) < 3:
        raise InputError(f"x={x!r}, y={y!r}, col={col!r}: give three different dimensions")
    curves = check(curves, ["valid_accuracy"], {"x": x, "y": y, "col": col}).sortby([x, y])
    columns = curves[col].values if col else [None]
    at_best = best(curves)
    accuracy = 100 * at_best.valid_accuracy.mean("seed", skipna=False)
    epoch = at_best.best_epoch.mean("seed", skipna=False)
    lowest, high = float(accuracy.min()), float(accuracy.max())
    low = _colour_floor(accuracy.values) if floor is None else floor
    wide, tall = curves.sizes[x], curves.sizes[y]
    figure = new_figure(1.9 + len(columns) * (0.3 + 0.95 * wide), 1.5 + 0.75 * tall)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, column in zip(panels, columns, strict=True):
        chosen = {} if column is None else {col: column}
        cells, epochs = (v.sel(chosen).transpose(y, x).values for v in (accuracy, epoch))
        lost = at_best.diverged.sel(chosen).sum("seed").transpose(y, x).values
        image = axes.imshow(
            cells,
            origin="lower",
            aspect="auto",
            cmap="viridis",
            vmin=low,
            vmax=max(high, low + 1e-3),
        )
        for i, j in itertools.product(range(tall), range(wide)):
            dark = not cells[i, j] > (low + high) / 2
            text = f"{cells[i, j]:.1f}\nepoch {epochs[i, j]:.0f}"
            text += f"\n{lost[i, j]}/{curves.sizes['seed']} div." if lost[i, j] else ""
            axes.text(
                j,
                i,
                text,
                ha="center",
                va="center",
                fontsize=10,
                linespacing=1.15,
                color="white" if dark else "black",
            )
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
    caption(
        figure,
        *_describe(curves),
        "mean over seeds of each trial's best epoch",
        _count_diverged(curves),
    )
    return figure
