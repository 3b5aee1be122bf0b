"""Figures that compare rules and settings: tuning budgets, intervals side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from emnist_jax.errors import InputError, nearest
from emnist_jax.figures.style import (
    COLOURS,
    GREY,
    MARKERS,
    REPORTED,
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
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _panels(titles: Sequence[str], xlabel: str, ylabel: str) -> "tuple[Figure, list[Axes]]":
    """Return a figure of small panels, three a row, that share the vertical axis."""
    columns = min(len(titles), 3)
    rows = -(-len(titles) // columns)
    figure = new_figure(2.0 + 2.4 * columns, 1.0 + 2.0 * rows)
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for i, axes in enumerate(panels):
        axes.set_visible(i < len(titles))
        axes.set_title(titles[i] if i < len(titles) else "")
        axes.set_xlabel(xlabel if i + columns >= len(titles) else "")
    figure.supylabel(ylabel, fontsize=11)
    return figure, panels[: len(titles)]


@styled
def plot_budget(
    budgets: Mapping[str, tuple[Any, Any, Any, Any]],
    *,
    against: str | None = None,
    band: bool = True,
    note: str = "",
) -> "Figure":
    """Draw expected best validation accuracy against the number of settings tried, on a log axis.

    Args:
      budgets: for each rule's name (k, mean, low, high): numbers of settings, and the expected best
        accuracy after k of them in [0, 1] with its interval. A dotted line goes on where a rule has
        no more settings.
      against: the rule to draw in grey beside each other one, which gets a panel of its own; None
        draws all in one panel.
      band: whether to draw the intervals, which hide each other where there are many rules.
      note: text for the caption: what the data are and what the interval is.

    Raises:
      InputError: nothing to draw, an unknown rule, or arrays of unequal lengths.
    """
    if not budgets:
        raise InputError("there is no budget curve to draw: pass {name: (k, mean, low, high)}")
    if against is not None and against not in budgets:
        raise InputError(f'no budget curve of "{against}": {nearest(against, budgets)}')
    xlabel, ylabel = "settings tried", "expected best\nvalidation accuracy (%)"
    longest = max(np.max(k) for k, *_ in budgets.values())
    if against is None:
        figure = new_figure(6.8, 4.2)
        axes = figure.subplots()
        ends = [
            _draw_budget(axes, name, arrays, longest, band, line_style(i))
            for i, (name, arrays) in enumerate(budgets.items())
        ]
        _number_settings(axes)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        label_ends(axes, ends)
        caption(figure, note, "in brackets: the number of settings there are")
        return figure
    names = [name for name in budgets if name != against]
    figure, panels = _panels(names, xlabel, ylabel.replace("\n", " "))
    for axes, name in zip(panels, names, strict=True):
        grey = {"color": GREY, "marker": ""}
        _draw_budget(axes, against, budgets[against], longest, band, grey)
        _draw_budget(axes, name, budgets[name], longest, band, line_style(0))
        _number_settings(axes)
    caption(figure, note, f"grey: {against}")
    return figure


def _number_settings(axes: "Axes") -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_xmargin(0.02)


def _draw_budget(
    axes: "Axes",
    name: str,
    arrays: tuple[Any, Any, Any, Any],
    longest: float,
    band: bool,
    style: Mapping[str, Any],
) -> End:
    """Draw a rule's line, its band and what follows its last setting; return the line's end."""
    k, *rest = (np.asarray(array, float) for array in arrays)
    if any(array.shape != k.shape for array in rest) or k.ndim != 1:
        raise InputError(f"k, mean, low and high of {name} differ in length: give one each")
    mean, low, high = (100 * array for array in rest)
    colour = style["color"]
    axes.plot(k, mean, **style, markevery=max(1, len(k) // 8), label=name)
    if band:
        axes.fill_between(k, low, high, color=colour, alpha=0.2, linewidth=0)
    axes.plot([k[-1], longest], [mean[-1]] * 2, ":", color=colour, linewidth=1.2)
    return End(mean[-1], f"{name} ({k[-1]:.0f})", colour, style["marker"])


@styled
def plot_intervals(
    labels: Sequence[str],
    mean: Any,
    low: Any,
    high: Any,
    *,
    reference: Any = None,
    titles: Sequence[str] = (),
    xlabel: str = "",
    same_scale: bool = False,
    note: str = "",
) -> "Figure":
    """Draw a forest plot: one row a label, the estimate and its interval, also in figures.

    Rows so far from most (beyond Tukey's outer fence), or with so wide an interval (ten times the
    median), that the others would have less than a third of the axis do not set its limits; an
    arrow at its end is for a mean beyond it.

    Args:
      labels: names of the rows, from the top.
      mean: estimates, one a row; NaN where nothing was measured, as the row then notes. With
        `titles`, such a list for each panel.
      low: lower ends of the intervals, as `mean`.
      high: upper ends.
      reference: one number, drawn as a line (0 for differences), or as many as there are estimates,
        drawn as diamonds (values reported elsewhere; NaN for none).
      titles: of panels side by side with the same rows; none for one panel.
      xlabel: what the numbers are, with their unit.
      same_scale: whether all panels have the same limits.
      note: text for the caption.

    Raises:
      InputError: no rows, or sequences of unequal lengths.
    """
    n, panels = len(labels), max(1, len(titles))
    shape = (len(titles), n) if titles else (n,)
    numbers = [np.asarray(values, float) for values in (mean, low, high)]
    unequal = any(values.shape != shape for values in numbers)
    if not n or unequal or np.size(reference) not in (1, panels * n):
        of = f"{len(titles)} panels of {n}" if titles else str(n)
        raise InputError(f"a forest plot of {of} labels needs {n or 'some'} means, lows and highs")
    numbers = [values.reshape(panels, n) for values in numbers]
    diamonds = None
    if reference is not None and np.ndim(reference):
        diamonds = np.reshape(reference, (panels, n)).astype(float)
    width = 8 + 3.4 * (panels - 1) + 0.08 * max(0, max(map(len, labels)) - 28)
    figure = new_figure(width, 1.2 + 0.36 * n)
    grid = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    for i, axes in enumerate(grid):
        if reference is not None and diamonds is None:
            axes.axvline(float(reference), color=GREY, linewidth=1, linestyle="--")
        reported = None if diamonds is None else diamonds[i]
        _draw_intervals(axes, *(values[i] for values in numbers), reported)
        axes.set_title(titles[i] if titles else "")
        axes.set_xlabel(xlabel)
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
    if same_scale:
        ends = [axes.get_xlim() for axes in grid]
        for axes in grid:
            axes.set_xlim(np.min(ends), np.max(ends))
    for i, axes in enumerate(grid):  # now that its limits are known
        _write_numbers(axes, *(values[i] for values in numbers))
    grid[0].set_yticks(range(n), labels)
    grid[0].set_ylim(n - 0.4, -0.6)
    if diamonds is not None:
        handles = grid[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside upper right", ncols=2, fontsize=9.5)
    caption(figure, note)
    return figure


def _draw_intervals(
    axes: "Axes", mean: np.ndarray, low: np.ndarray, high: np.ndarray, reported: np.ndarray | None
) -> None:
    """Draw the rows of a panel of a forest plot, within limits that show most of them."""
    rows = np.arange(len(mean))
    if reported is not None:
        axes.plot(reported, rows, linestyle="none", zorder=3, label="reported", **REPORTED)
    # A bootstrap interval may begin above the mean, by rounding or by its bias.
    reach = np.maximum((mean - low, high - mean), 0)
    how = {"fmt": "o", "color": COLOURS[0], "capsize": 3, "label": "measured, with its interval"}
    axes.errorbar(mean, rows, xerr=reach, **how)
    far = _far(mean, low, high)
    if far.any():
        near = [*low[~far], *high[~far], *([] if reported is None else reported)]
        left, right = np.nanmin(near), np.nanmax(near)
        axes.set_xlim(left - 0.1 * (right - left), right + 0.1 * (right - left))


def _write_numbers(axes: "Axes", mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> None:
    """Write each row's numbers beside it, and an arrow for a mean beyond the limits."""
    widest = max((width for width in high - low if np.isfinite(width)), default=0)
    digits = 2 if widest <= 0 else min(6, max(2, 1 - int(np.floor(np.log10(widest)))))
    for row in range(len(mean)):
        measured = np.isfinite(mean[row])
        shown = [f"{x[row]:.{digits}f}" for x in (mean, low, high)]
        text = f"{shown[0]}  [{shown[1]}, {shown[2]}]" if measured else "not measured"
        where = {"transform": axes.get_yaxis_transform(), "va": "center", "fontsize": 9.5}
        axes.text(1.02, row, text.replace("-", "\N{MINUS SIGN}"), **where)
        left, right = axes.get_xlim()
        if measured and not left <= mean[row] <= right:
            right = int(mean[row] > right)
            at, transform = (0.985 if right else 0.015), axes.get_yaxis_transform()
            axes.plot([at], [row], "<>"[right], color=COLOURS[0], transform=transform)


def _far(mean: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return which rows lie beyond the outer fence of them all (Tukey, 1977), or are very wide.

    None if the others have more than a third of the axis even so.
    """
    if not np.isfinite(mean).any():
        return np.zeros(len(mean), bool)
    lower, upper = np.nanquantile(mean, (0.25, 0.75))
    reach, width = 3 * (upper - lower), high - low
    far = (mean < lower - reach) | (mean > upper + reach) | (width > 10 * np.nanmedian(width))
    near, whole = (np.nanmax(high[of]) - np.nanmin(low[of]) for of in (~far, slice(None)))
    return far & (0 < 3 * near < whole)


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
    figure, panels = _panels(list(scores), symbol(x), "best validation accuracy (%)")
    for axes, score in zip(panels, scores.values(), strict=True):
        axes.plot(score[x].values, 100 * score.mean("seed").values, "o", color=COLOURS[0])
        axes.set_xscale("log")
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
      x: scores in percent with the dimension of the settings and `seed`.
      y: scores of the same settings, in the same order.
      groups: one name per setting, shown by colour and marker.
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
    # Intervals are cut to what is possible.
    ends = [np.clip([side.lower, side.upper], 0, 100) for side in sides]
    bars = [np.abs(end - mean) for end, mean in zip(ends, means, strict=True)]
    figure = new_figure(10.4, 4.8)
    axes, by_rank = figure.subplots(1, 2)
    places = [np.argsort(np.argsort(-mean)) + 1 for mean in means]
    for i, name in enumerate(dict.fromkeys(groups)):
        of = np.array([group == name for group in groups])
        style = {"color": COLOURS[i % len(COLOURS)], "linestyle": "none"}
        by_rank.plot(places[0][of], places[1][of], marker=MARKERS[i], **style)
        more = {"xerr": bars[0][:, of], "yerr": bars[1][:, of], "elinewidth": 1, "label": name}
        axes.errorbar(means[0][of], means[1][of], marker=MARKERS[i], **style, **more)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    by_rank.axline((1, 1), slope=1, color=GREY, linewidth=1, linestyle="--", zorder=0)
    limits = len(groups) + 0.5, 0.5  # the best at the top right
    by_rank.set(xlim=limits, ylim=limits)
    by_rank.set(xlabel=ranks[0], ylabel=ranks[1])
    figure.legend(loc="outside upper right", ncols=3, fontsize=10)
    caption(figure, note)
    return figure
