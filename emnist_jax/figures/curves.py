"""Learning curves over epochs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from emnist_jax.errors import InputError, nearest
from emnist_jax.figures._inputs import (
    Curves,
    by_name,
    caption_parts,
    check_curves,
    count_diverged,
    finite,
    quantity_of,
)
from emnist_jax.figures.style import (
    MARKERS,
    End,
    caption,
    colours,
    label_ends,
    new_figure,
    scale_to,
    setting,
    styled,
)
from emnist_jax.stats import best_setting, diverged, interval

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Band = Literal["t95", "sd", "minmax", "seeds"]
BANDS = {
    "t95": "band: 95 % t interval of the mean",
    "sd": "band: ± 1 standard deviation over seeds",
    "minmax": "band: lowest to highest seed",
    "seeds": "thin: each seed",
}
PARTS = {"train": "training", "valid": "validation", "test": "test"}
UNITS = {"accuracy": "accuracy (%)", "error": "error (cross-entropy, nats)"}


def _name(variable: str) -> str:
    """Return `validation accuracy` for `valid_accuracy`."""
    part, _, quantity = variable.partition("_")
    return f"{PARTS.get(part, part)} {quantity}".strip()


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
    if band == "seeds":
        each = trials.transpose("epoch", "seed").values
        axes.plot(epochs, each, color=colour, linewidth=0.7, alpha=0.6)
    elif band is not None and trials.sizes["seed"] > 1:
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
    axes: "Axes",
    lines: "Mapping[Any, xr.Dataset]",
    hue: str | None,
    variables: Sequence[str],
    band: Band | None,
) -> list[End]:
    """Draw a line a value of `hue` and variable, training dashed; return the ends to be named."""
    ends = []
    for i, ((value, line), colour) in enumerate(
        zip(lines.items(), colours(list(lines)), strict=True)
    ):
        every = max(1, line.sizes["epoch"] // 8)
        for variable in variables:
            dashed = variable.startswith("train_") and len(variables) > 1
            marker = "" if dashed else MARKERS[i % len(MARKERS)]
            look = {"color": colour, "label": variable, "marker": marker}
            look |= {"markevery": (i % every, every), "linestyle": (0, (4, 1.5)) if dashed else "-"}
            y, reaches = _draw_mean(axes, finite(line, variable), band, **look)
            if hue is None and len(variables) > 1:
                ends.append(End(y, _name(variable).split()[0], colour, marker, reaches))
        if hue is not None:
            lost = int(diverged(line).sum())
            note = f" ({lost} of {line.sizes['seed']} diverged)" if lost else ""
            ends.append(End(y, setting(hue, value) + note, colour, marker, reaches))
    return ends


def _lines(panel: "xr.Dataset", hue: str | None) -> "dict[Any, xr.Dataset]":
    """Return the lines of a panel by the value of `hue`."""
    return {value: panel.sel({hue: value}) for value in panel[hue].values} if hue else {None: panel}


@styled
def plot_curves(
    curves: Curves,
    *,
    hue: str | None = None,
    col: str | None = None,
    variables: str | Sequence[str] = ("valid_accuracy",),
    band: Band | None = "t95",
    ylim: tuple[float, float] | None = None,
) -> "Figure":
    """Draw learning curves: the mean over seeds, a band, one line a value of `hue`, or a rule.

    Training curves are dashed where others are drawn too; accuracies (%) and errors (nats; on a
    log scale where they span a factor of 30) get a row each. A line ends with a cross where its
    first seed diverged; the seeds that live on are drawn thin.

    Args:
      curves: labelled curves with dimensions `seed`, `epoch`, `hue` and `col`; or {name: curves},
        each drawn at its best setting, which the caption names.
      hue: dimension shown by colour and marker.
      col: dimension laid out in panels side by side.
      variables: names of variables in `curves`.
      band: `t95`, a 95 % t interval of the mean, or where there are two seeds, whose interval
        would hide everything, `seeds`: a thin line each; `sd`, a sample standard deviation each
        way; `minmax`, from the lowest seed to the highest; None, none.
      ylim: limits of the vertical axis, of the first row if there are two; accuracies in percent.

    Raises:
      InputError: an unknown variable, dimension or band, or a dimension left over.
    """
    variables = [variables] if isinstance(variables, str) else list(variables)
    if band is not None and band not in BANDS:
        raise InputError(f'there is no band "{band}": {nearest(band, BANDS)}')
    if (named := by_name(curves)) is None:
        curves = check_curves(curves, variables, {"hue": hue, "col": col})
        shown = [curves]
        columns = curves[col].values if col else [None]
        panels = [_lines(curves if col is None else curves.sel({col: c}), hue) for c in columns]
    elif hue or col:
        raise InputError("hue and col are dimensions of one sweep: give its curves alone")
    else:
        named = {
            name: check_curves(best_setting(one), variables, {}) for name, one in named.items()
        }
        hue, shown, columns, panels = "rule", list(named.values()), [None], [named]
    quantities = list(dict.fromkeys(map(quantity_of, variables)))
    if band == "t95" and max(one.sizes["seed"] for one in shown) == 2:
        band = "seeds"

    longest = max((len(name) for name in panels[0] if isinstance(name, str)), default=0)
    width = min(3.4 + 3.4 * len(columns) + 0.08 * max(0, longest - 28), 14)
    figure = new_figure(width, 1.0 + 3.3 * len(quantities))
    grid = figure.subplots(len(quantities), len(columns), sharex=True, sharey="row", squeeze=False)
    for quantity, row in zip(quantities, grid, strict=True):
        drawn = [v for v in variables if quantity_of(v) == quantity]
        drawn.sort(key=lambda v: not v.startswith("train_"))  # labels stand at the last one's end
        if ylim is not None and quantity == quantities[0]:
            row[0].set_ylim(ylim)
        else:
            values = np.concatenate([finite(c, v).values.ravel() for c in shown for v in drawn])
            accuracy = quantity == "accuracy"
            scale_to(row[0], values, highest=100 if accuracy else np.inf, log=quantity == "error")
        for axes, column, lines in zip(row, columns, panels, strict=True):
            axes.margins(x=0.02)
            ends = _draw_panel(axes, lines, hue, drawn, band)
            axes.set_title("" if col is None else setting(col, column))
        if ends:
            label_ends(row[-1], ends)
        alone = _name(drawn[0]).removesuffix(quantity) if len(drawn) == 1 else ""
        row[0].set_ylabel(alone + UNITS.get(quantity, quantity))
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)

    lost = count_diverged(*shown)
    caption(
        figure,
        *caption_parts(*shown, names=list(named or ())),
        "dashed: training, solid: validation" if hue and len(variables) > len(quantities) else "",
        BANDS[band] if band and any(c.sizes["seed"] > 1 for c in shown) else "",
        lost and f"{lost} (x: the mean ends)",
    )
    return figure
