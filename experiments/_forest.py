"""The report's forest plot: how far what is measured lies from the paper's numbers."""

import re
from collections.abc import Sequence

import numpy as np

from emnist_jax.figures.style import COLOURS, GREY, caption, new_figure, styled
from experiments.claims.judge import Claim, ForestRow

LIMIT = 6  # tolerances; what lies further out is an arrow with its number


@styled
def draw_forest(rows: Sequence[ForestRow], fitting: str, note: str = ""):
    """Draw one row per claim: 0 is the paper's number, the band ends at the claim's bounds.

    `fitting` is the name of the reading of Adam that is drawn beside the printed one.
    """
    figure = new_figure(9, 1.3 + 0.27 * len(rows))
    axes = figure.subplots()
    axes.axvspan(-1, 1, color="0.9", label="the claim's bounds")
    axes.axvline(0, color=GREY, linewidth=0.8)
    for i, (name, words) in enumerate((("printed", "as printed"), ("fitting", fitting))):
        style = {"color": COLOURS[i], "markersize": 4.5}
        axes.plot([], [], "os"[i] + "-", label=words, **style)
        for y, row in enumerate(rows):
            if values := getattr(row, name):
                apart = 0.19 * (2 * i - 1) if row.printed and row.fitting else 0
                _draw_estimate(axes, y + apart, np.array(values), "os"[i], style)
    for y in range(1, len(rows)):
        if rows[y].claim.id[0] != rows[y - 1].claim.id[0]:
            axes.axhline(y - 0.5, color="0.6", linewidth=0.6)
    axes.set(xlim=(-1.2 * LIMIT, 1.2 * LIMIT), ylim=(len(rows) - 0.4, -0.6))
    axes.set_xlabel("(measured \N{MINUS SIGN} paper) / tolerance")
    axes.set_yticks(range(len(rows)), [label(row.claim) for row in rows], fontsize=8.5)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper right", ncols=3)
    caption(figure, "mean and 95 % interval over seeds", f"arrows: beyond {LIMIT}", note)
    return figure


def _draw_estimate(axes, y: float, values: np.ndarray, marker: str, style: dict) -> None:
    """Draw a mean with its interval, or an arrow at the edge with the number that lies beyond."""
    mean, *ends = np.clip(values, -LIMIT, LIMIT)
    if mean == values[0]:
        axes.plot(ends, [y, y], color=style["color"], linewidth=1.3)
        axes.plot(mean, y, marker, **style)
        return
    side = np.sign(mean)
    axes.plot(mean, y, ">" if side > 0 else "<", **style)
    number = f"{values[0]:.0f}".replace("-", "\N{MINUS SIGN}")
    where = {"ha": "left" if side > 0 else "right", "va": "center"}
    axes.text(mean + 0.15 * side, y, number, fontsize=7, color=style["color"], **where)


def label(claim: Claim) -> str:
    """Return a claim's label: what it says, without what stands in brackets."""
    says = re.sub(r" \([^)]*\)", "", claim.says).replace("validation accuracy", "valid. accuracy")
    return f"{says}  {claim.id}"
