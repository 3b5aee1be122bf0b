"""Rules and settings against the learning rate, and one rule against another."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from emnist_jax.errors import InputError
from emnist_jax.figures._inputs import Curves, by_name, caption_parts, check_curves, count_diverged
from emnist_jax.figures.style import (
    COLOURS,
    GREY,
    MARKERS,
    End,
    caption,
    colours,
    label_ends,
    new_figure,
    number,
    scale_to,
    setting,
    styled,
    symbol,
)
from emnist_jax.stats import best, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


SHOWN = 15
"""Points below the best that a comparison shows: failed settings would hide all differences."""


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


def _at_rates(curves: xr.Dataset, x: str) -> xr.Dataset:
    """Return best accuracy (%) and epoch by `x` and seed, at the best of what else the grid has."""
    found = best(curves)
    found = xr.Dataset({"accuracy": 100 * found.valid_accuracy, "epoch": found.best_epoch})
    found = found if "seed" in found.dims else found.expand_dims("seed")
    if x not in found.coords or not (np.asarray(found[x]) > 0).all():
        raise InputError(f"{x} has values that are not positive numbers: a log axis needs them so")
    if found[x].ndim == 0:
        found = found.expand_dims(x)
    elif x not in found.dims:  # a random search
        found = found.swap_dims({found[x].dims[0]: x}).assign_attrs(random=True)
    if others := [dim for dim in found.dims if dim not in (x, "seed")]:
        found = found.stack(other=others, create_index=False)
        mean = found.accuracy.mean("seed", skipna=False).fillna(-np.inf)
        found = found.isel(other=mean.argmax("other"))
    return found.sortby(x).transpose(x, "seed")


def _draw_rates(
    axes: "Axes",
    rows: Mapping[Any, xr.Dataset],
    of: str,
    x: str,
    most: float,
    least: float = -np.inf,
) -> list[End]:
    """Draw means with t intervals and the seeds as dots; return the lines' ends to be named.

    Intervals are cut to what is possible, 0 to `most`. The settings of a random search are not
    joined: they differ in more than the rate. Means below `least` are triangles at the lower edge.
    """
    ends, shown, middle = [], [], (len(rows) - 1) / 2
    for i, ((name, row), colour) in enumerate(zip(rows.items(), colours(list(rows)), strict=True)):
        values = row[of]
        over_seeds = interval(values)
        mean, *ends_of = (over_seeds[key].values for key in ("mean", "lower", "upper"))
        low, high = np.clip(ends_of, 0, most)
        shown += [values.values.ravel(), low, high]
        # Settings of one rate stand side by side, as their bars would hide each other.
        at = values[x].values * 10 ** (0.03 * (i - middle))
        marker = MARKERS[i % len(MARKERS)]
        line = "none" if "random" in row.attrs else "-"
        look = {"color": colour, "marker": marker, "linestyle": line, "elinewidth": 1.2}
        axes.errorbar(at, mean, (mean - low, high - mean), capsize=3, label=str(name), **look)
        if (far := at[mean < least]).size:
            edge = {"transform": axes.get_xaxis_transform(), "clip_on": False, "zorder": 3}
            axes.plot(far, 0 * far, "v", color=colour, **edge)
        aside = 10 ** (0.02 if i >= middle else -0.02)  # not hidden by the mean
        axes.plot(at * aside, values.values, ".", color=colour, alpha=0.45, markersize=4)
        ends.append(End(float(mean[-1]), name, colour, marker))
    scale_to(axes, np.concatenate(shown))
    axes.set_xscale("log")
    return ends


def _finish_rates(axes: "Axes", rows: Mapping[Any, xr.Dataset], x: str) -> None:
    _mark_rates(axes, np.unique(np.concatenate([row[x].values for row in rows.values()])))
    axes.set_xlabel("learning rate " + symbol(x) if x == "learning_rate" else symbol(x))


def _series(curves: Curves, x: str, hue: str | None) -> tuple[dict, list[xr.Dataset], str | None]:
    """Return what is drawn by its label or value of `hue`, the curves, and what `hue` is called."""
    if (named := by_name(curves)) is None:
        curves = check_curves(curves, ["valid_accuracy"], {"x": x, "hue": hue})
        values = curves[hue].values if hue else [None]
        rows = {v: _at_rates(curves if v is None else curves.sel({hue: v}), x) for v in values}
        return rows, [curves], hue
    if hue:
        raise InputError("hue is a dimension of one sweep: give its curves alone")
    rows = {name: _at_rates(one, x) for name, one in named.items()}
    alone = [one.drop_vars([n for n in one.coords if one[n].ndim == 0]) for one in named.values()]
    return rows, alone, "rule"


@styled
def plot_best_against_rate(
    curves: Curves, *, x: str = "learning_rate", hue: str | None = None
) -> "Figure":
    """Draw each setting's best validation accuracy and the epoch of it against the learning rate.

    Means over seeds with 95 % t intervals; every seed is a small dot. Best is the highest over the
    epochs of a trial, so its mean is biased upward by the choice on the validation set.

    Args:
      curves: labelled curves with dimensions `x`, `seed`, `epoch` and, if given, `hue`; or
        {name: curves}, each with its own rates and, at each, at the best of its other settings.
      x: dimension of positive numbers, drawn on a log axis.
      hue: dimension shown by colour and marker.

    Raises:
      InputError: an unknown or left-over dimension, or values of `x` that are not positive numbers.
    """
    rows, shown, hue = _series(curves, x, hue)
    figure = new_figure(6.8, 5.2)
    panels = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    names = {"accuracy": "best validation\naccuracy (%)", "epoch": "epoch of the best"}
    possible = (100, max(int(one.epoch.max()) for one in shown))
    for axes, (of, name), most in zip(panels, names.items(), possible, strict=True):
        ends = _draw_rates(axes, rows, of, x, most)
        axes.set_ylabel(name)
        if hue and axes is panels[0]:
            axes.set_xmargin(0.08)
            label_ends(axes, [end._replace(label=setting(hue, end.label)) for end in ends])
    axes.yaxis.get_major_locator().set_params(integer=True)  # the lower panel's: epochs
    _finish_rates(axes, rows, x)
    several = any(one.sizes["seed"] > 1 for one in shown)
    caption(
        figure,
        *caption_parts(*shown, names=list(rows) if hue == "rule" else ()),
        "mean and 95 % t interval over seeds" if several else "",
        count_diverged(*shown),
    )
    return figure


@styled
def plot_comparison(
    curves: Mapping[str, xr.Dataset],
    differences: Mapping[str, xr.DataArray],
    *,
    x: str = "learning_rate",
    level: float = 0.95,
    scores: Mapping[str, xr.DataArray] | None = None,
    note: str = "",
) -> "Figure":
    """Draw rules against the learning rate, and beside it their differences with intervals.

    Left: as the upper panel of `plot_best_against_rate`, down to 15 points below the best, with
    triangles at the edge for what lies below; a trial without a finite accuracy counts as 0. Left
    out where a rule has no `x`. Right: a row a pair of rules with a dot a seed, the mean and its t
    interval, and the line of no difference.

    Args:
      curves: of each rule by its name.
      differences: by the name of the pair, one value a seed, as a fraction (drawn in points).
      x: dimension of positive numbers, drawn on a log axis.
      level: confidence level of the intervals of the differences.
      scores: of each rule by its name one value a seed, the ones whose differences are drawn; their
        mean becomes a dashed line. For rules that are read at another number than their best.
      note: text for the caption.

    Raises:
      InputError: no difference, or values of `x` that are not positive numbers.
    """
    if not differences:
        raise InputError("there is no difference to draw: pass {name: differences by seed}")
    first = next(iter(curves.values()))
    several = first.sizes["epoch"] > 1
    both = all(x in one.coords for one in curves.values())
    tall = max(3.6, 1.6 + 0.6 * len(differences))
    figure = new_figure(10 if both else 5.6, tall)
    *left, right = figure.subplots(1, 1 + both, squeeze=False, width_ratios=[4, 3][1 - both :])[0]
    notes = []
    for axes in left:
        rows = {name: _at_rates(one, x).fillna(0) for name, one in curves.items()}
        means = [row.accuracy.mean("seed") for row in rows.values()]
        top = max(float(row.accuracy.max()) for row in rows.values())
        _draw_rates(axes, rows, "accuracy", x, 100, top - SHOWN)
        if low := sum(int((mean < top - SHOWN).sum()) for mean in means):
            notes.append(f"triangles: {low} setting{'s' * (low > 1)} below {top - SHOWN:.1f} %")
        for mean, colour in zip((scores or {}).values(), colours(list(rows)), strict=False):
            axes.axhline(100 * float(mean.mean()), color=colour, linewidth=1, linestyle="--")
        notes += ["dashed: what the differences are of"] if scores else []
        notes += ["rules at one rate stand side by side"]
        axes.set_ylim(max(axes.get_ylim()[0], top - SHOWN), top + SHOWN / 20)
        after = f"validation accuracy (%) after epoch {first.epoch.values[0]}"
        axes.set_ylabel("best validation accuracy (%)" if several else after)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, fontsize=10)
        _finish_rates(axes, rows, x)
    right.axvline(0, color=GREY, linewidth=1, linestyle="--")
    labels = []
    for i, (name, one) in enumerate(differences.items()):
        points = 100 * one
        over = interval(points, level=level)
        mean, low, high = (float(over[key]) for key in ("mean", "lower", "upper"))
        right.plot(points.values, np.full(points.size, i + 0.16), ".", color=COLOURS[0], alpha=0.6)
        right.errorbar([mean], [i], xerr=[[mean - low], [high - mean]], fmt="ko", capsize=4)
        labels.append(f"{name}\n{mean:+.2f} [{low:.2f}, {high:.2f}]")
    right.set_yticks(range(len(labels)), [text.replace("-", "\N{MINUS SIGN}") for text in labels])
    right.set_ylim(len(differences) - 0.4, -0.6)
    right.set_xmargin(0.1)
    right.grid(axis="y", visible=False)
    right.set_xlabel("difference, points of accuracy")
    number = first.attrs.get("train_images")
    parts = caption_parts(*curves.values(), names=list(curves))
    caption(
        figure,
        *(part for part in parts if part not in curves),
        "" if number is None else f"{number:,} training images",
        f"{int(first.epoch.max())} epochs" if several else "",
        count_diverged(*curves.values()),
        f"dots: seeds; bars: {100 * level:g} % t intervals",
        *notes,
        note,
    )
    return figure


@styled
def plot_sequence(sequence: xr.Dataset, *, ylabel: str = "difference, points") -> "Figure":
    """Draw a confidence sequence of a difference against the number of seeds.

    Args:
      sequence: what `stats.confidence_sequence` gives, of fractions; drawn in points.
      ylabel: what the difference is of.
    """
    figure = new_figure(6.4, 3.8)
    axes = figure.subplots()
    n, mean = sequence.n.values, 100 * sequence["mean"].values
    low, high = 100 * sequence.lower.values, 100 * sequence.upper.values
    ends = np.isfinite(low)
    axes.axhline(0, color=GREY, linewidth=1, linestyle="--")
    axes.fill_between(n[ends], low[ends], high[ends], color=COLOURS[0], alpha=0.2, linewidth=0)
    axes.plot(n, mean, color=COLOURS[0], marker=MARKERS[0])
    shown = np.concatenate([mean, low[ends][1:], high[ends][1:]])  # the first is often huge
    scale_to(axes, np.append(shown, 0.0))
    axes.set_xlabel("pairs of seeds")
    axes.set_ylabel(ylabel.replace("-", "\N{MINUS SIGN}"))
    axes.xaxis.get_major_locator().set_params(integer=True)
    level = f"{100 * sequence.attrs['level']:g} %"
    caption(figure, f"mean, and its {level} confidence sequence: all intervals hold at once")
    return figure
