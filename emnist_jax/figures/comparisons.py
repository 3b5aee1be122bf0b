"""Figures that compare rules and settings: tuning budgets, intervals side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emnist_jax.errors import InputError
from emnist_jax.figures._style import (
    COLOURS,
    GREY,
    MARKERS,
    End,
    caption,
    label_ends,
    line_style,
    new_figure,
    styled,
    symbol,
)
from emnist_jax.stats import interval

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure


@styled
def plot_budget(
    budgets: Mapping[str, tuple[Any, Any, Any, Any]], *, band: bool = True, note: str = ""
) -> "Figure":
    """Draw expected best validation accuracy against the number of settings tried.

    Args:
      budgets: for each rule's name (k, mean, low, high): numbers of settings, and the expected best
        accuracy after k of them in [0, 1] with its interval. A dotted line goes on where a rule has
        no more settings.
      band: whether to draw the intervals, which hide each other where there are many rules.
      note: text for the caption: what the data are and what the interval is.

    Raises:
      InputError: nothing to draw, or arrays of unequal lengths.
    """
    if not budgets:
        raise InputError("there is no budget curve to draw: pass {name: (k, mean, low, high)}")
    figure = new_figure(6.8, 4.2)
    axes = figure.subplots()
    ends, longest = [], max(np.max(k) for k, *_ in budgets.values())
    for i, (name, arrays) in enumerate(budgets.items()):
        k, *rest = (np.asarray(array, float) for array in arrays)
        if any(array.shape != k.shape for array in rest) or k.ndim != 1:
            raise InputError(f"k, mean, low and high of {name} differ in length: give one each")
        mean, low, high = (100 * array for array in rest)
        style = line_style(i)
        colour = style["color"]
        axes.plot(k, mean, **style, markevery=max(1, len(k) // 8), label=name)
        if band:
            axes.fill_between(k, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot([k[-1], longest], [mean[-1]] * 2, ":", color=colour, linewidth=1.2)
        ends.append(End(mean[-1], f"{name} ({k[-1]:.0f})", colour, style["marker"]))
    axes.set_xmargin(0.02)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel("settings tried")
    axes.set_ylabel("expected best\nvalidation accuracy (%)")
    label_ends(axes, ends)
    caption(figure, note, "in brackets: the number of settings there are")
    return figure


@styled
def plot_intervals(
    labels: Sequence[str],
    mean: Sequence[float],
    low: Sequence[float],
    high: Sequence[float],
    *,
    reference: float | Sequence[float] | None = None,
    xlabel: str = "",
    note: str = "",
) -> "Figure":
    """Draw a forest plot: one row a label, the estimate and its interval, also in figures.

    Args:
      labels: names of the rows, from the top.
      mean: estimates; NaN where nothing was measured, as the row then notes.
      low: lower ends of the intervals.
      high: upper ends.
      reference: one number, drawn as a line (0 for differences), or one a row, drawn as diamonds
        (values reported elsewhere; NaN for none).
      xlabel: what the numbers are, with their unit.
      note: text for the caption.

    Raises:
      InputError: no rows, or sequences of unequal lengths.
    """
    mean, low, high = (np.asarray(values, float) for values in (mean, low, high))
    n = len(labels)
    if not n or any(values.shape != (n,) for values in (mean, low, high)):
        raise InputError(f"a forest plot of {n} labels needs {n or 'some'} means, lows and highs")
    rows = np.arange(n)
    widest = max((width for width in high - low if np.isfinite(width)), default=0)
    digits = 2 if widest <= 0 else max(2, 1 - int(np.floor(np.log10(widest))))
    figure = new_figure(8, 1.2 + 0.36 * n)
    axes = figure.subplots()
    if reference is not None and np.ndim(reference) == 0:
        axes.axvline(float(reference), color=GREY, linewidth=1, linestyle="--")
    elif reference is not None:
        axes.plot(
            reference,
            rows,
            "D",
            color=COLOURS[1],
            markersize=9,
            markerfacecolor="none",
            zorder=3,
            label="reported",
        )
    axes.errorbar(
        mean,
        rows,
        # A bootstrap interval may begin above the mean, by rounding or by its bias.
        xerr=(np.maximum(mean - low, 0), np.maximum(high - mean, 0)),
        fmt="o",
        color=COLOURS[0],
        capsize=3,
        label="measured, with its interval",
    )
    for row in rows:
        measured = np.isfinite(mean[row])
        shown = [f"{x[row]:.{digits}f}" for x in (mean, low, high)]
        text = f"{shown[0]}  [{shown[1]}, {shown[2]}]" if measured else "not measured"
        text = text.replace("-", "\N{MINUS SIGN}")
        axes.annotate(
            text,
            (1.02, row),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9.5,
            annotation_clip=False,
        )
    axes.set_yticks(rows, labels)
    axes.set_ylim(n - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(xlabel)
    if reference is not None and np.ndim(reference) == 1:
        figure.legend(loc="outside upper right", ncols=2, fontsize=9.5)
    caption(figure, note)
    return figure


@styled
def plot_profile(profile: "xr.DataArray", *, xlabel: str, note: str = "") -> "Figure":
    """Draw a performance profile: for each rule the share of problems solved against tau.

    Args:
      profile: what `stats.performance_profile` gives, with the dimensions `rule` and `tau`.
      xlabel: what tau is a ratio of.
      note: text for the caption.
    """
    figure = new_figure(6.8, 4.6)
    axes = figure.subplots()
    tau, ends = profile.tau.values, []
    most = tau[-1] * 1.05
    for i, rule in enumerate(profile.rule.values):
        share = 100 * profile.sel(rule=rule).values
        style = line_style(i)
        axes.plot(
            [*tau, most],
            [*share, share[-1]],
            **style,
            drawstyle="steps-post",
            markevery=max(1, len(tau) // 8),
        )
        ends.append(End(share[-1], str(rule), style["color"], style["marker"]))
    axes.set_xlim(1, max(most, 1.05))
    axes.set_ylim(-2, 104)
    if most > 4:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(xlabel)
    axes.set_ylabel("problems solved (%)")
    label_ends(axes, ends)
    caption(figure, note)
    return figure


@styled
def plot_settings(
    scores: Mapping[str, "xr.DataArray"], *, x: str = "learning_rate", note: str = ""
) -> "Figure":
    """Draw the score of every setting of a random search against one hyperparameter, by rule.

    Args:
      scores: for each rule's name the accuracy (0 to 1) of its settings, with the dimensions
        `sample` and `seed` and the coordinate `x`; a dot is the mean over seeds.
      x: a positive hyperparameter, drawn on a log axis.
      note: text for the caption.

    Raises:
      InputError: nothing to draw.
    """
    if not scores:
        raise InputError("there are no settings to draw: pass {name: scores}")
    columns = min(len(scores), 3)
    rows = -(-len(scores) // columns)
    figure = new_figure(2.0 + 2.4 * columns, 1.0 + 2.0 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes, (name, score) in zip(panels.flat, scores.items(), strict=False):
        axes.plot(score[x].values, 100 * score.mean("seed").values, "o", color=COLOURS[0])
        axes.set_xscale("log")
        axes.set_title(name)
    for axes in panels.flat[len(scores) :]:
        axes.set_visible(False)
    figure.supylabel("best validation accuracy (%)", fontsize=11)
    for column in range(columns):
        lowest = max(row for row in range(rows) if row * columns + column < len(scores))
        panels[lowest, column].set_xlabel(symbol(x), fontsize=13)
    caption(figure, note)
    return figure


@styled
def plot_pairs(
    x: "xr.DataArray",
    y: "xr.DataArray",
    groups: Sequence[str],
    *,
    labels: Sequence[str],
    ranks: Sequence[str] = ("rank", "rank"),
    note: str = "",
) -> "Figure":
    """Draw settings by their scores on two problems, with 95 % t intervals over seeds, and by rank.

    Args:
      x: scores with the dimension of the settings and `seed`.
      y: scores of the same settings, in the same order.
      groups: a name a setting, shown by colour and marker.
      labels: of the two axes.
      ranks: of the two axes of the panel of ranks, 1 for the highest mean score.
      note: text for the caption.

    Raises:
      InputError: not as many groups and scores on both sides.
    """
    sides = [interval(score) for score in (x, y)]
    means = [side["mean"].values for side in sides]
    if not len(means[0]) == len(means[1]) == len(groups):
        raise InputError(f"{len(means[0])} and {len(means[1])} settings in {len(groups)} groups")
    halves = [mean - side.lower.values for mean, side in zip(means, sides, strict=True)]
    figure = new_figure(10.4, 4.8)
    axes, by_rank = figure.subplots(1, 2)
    places = [np.argsort(np.argsort(-mean)) + 1 for mean in means]
    for i, name in enumerate(dict.fromkeys(groups)):
        of = np.array([group == name for group in groups])
        style = {"color": COLOURS[i % len(COLOURS)], "linestyle": "none"}
        by_rank.plot(places[0][of], places[1][of], marker=MARKERS[i], **style)
        axes.errorbar(
            means[0][of],
            means[1][of],
            xerr=halves[0][of],
            yerr=halves[1][of],
            fmt=MARKERS[i],
            color=COLOURS[i % len(COLOURS)],
            elinewidth=1,
            label=name,
        )
    for mean, set_limits in zip(means, (axes.set_xlim, axes.set_ylim), strict=True):
        margin = 0.05 * (np.nanmax(mean) - np.nanmin(mean)) or 0.5
        set_limits(np.nanmin(mean) - margin, np.nanmax(mean) + margin)  # not of a wide interval
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    by_rank.axline((1, 1), slope=1, color=GREY, linewidth=1, linestyle="--", zorder=0)
    ends = len(groups) + 0.5, 0.5  # the best at the top right
    by_rank.set(xlim=ends, ylim=ends)
    by_rank.set(xlabel=ranks[0], ylabel=ranks[1])
    figure.legend(loc="outside upper right", ncols=3, fontsize=10)
    caption(figure, note)
    return figure
