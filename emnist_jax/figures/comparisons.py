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
    new_figure,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def plot_budget(budgets: Mapping[str, tuple[Any, Any, Any, Any]], *, note: str = "") -> "Figure":
    """Draw expected best validation accuracy against the number of settings tried.

    Args:
      budgets: for each rule's name (k, mean, low, high): numbers of settings, and the expected best
        accuracy after k of them in [0, 1] with its interval. A dotted line goes on where a rule has
        no more settings.
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
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        every = max(1, len(k) // 8)
        axes.plot(k, mean, marker=marker, color=colour, markevery=every, label=name)
        axes.fill_between(k, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot([k[-1], longest], [mean[-1]] * 2, ":", color=colour, linewidth=1.2)
        ends.append(End(mean[-1], f"{name} ({k[-1]:.0f})", colour, marker))
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
      mean: estimates; NaN where nothing was measured, which the row then says.
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
        xerr=(mean - low, high - mean),
        fmt="o",
        color=COLOURS[0],
        capsize=3,
        label="measured, with its interval",
    )
    for row in rows:
        measured = np.isfinite(mean[row])
        text = f"{mean[row]:.4g}  [{low[row]:.4g}, {high[row]:.4g}]" if measured else "not measured"
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
