"""Curves as text: `sparkline`, and a table of the settings for terminals and notebooks."""

import html
import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from emnist_jax.figures._inputs import check, finite
from emnist_jax.stats import best, interval

if TYPE_CHECKING:
    import xarray as xr


def sparkline(values: Sequence[float], width: int = 20) -> str:
    """Return a one-line picture of `values` in at most `width` characters; x where not finite.

    >>> sparkline([0, 1, 2, 3])
    '▁▃▆█'
    """
    bars = "▁▂▃▄▅▆▇█"
    values = np.asarray(values, float)
    if len(values) > width:
        values = values[np.linspace(0, len(values) - 1, width).round().astype(int)]
    finite = values[np.isfinite(values)]
    low, span = (finite.min(), np.ptp(finite) or 1) if finite.size else (0, 1)
    return "".join(
        bars[round((v - low) / span * (len(bars) - 1))] if np.isfinite(v) else "x" for v in values
    )


def _summary(curves: "xr.Dataset") -> Iterator[list[str]]:
    """Yield the header of a table of settings, then a row for each."""
    grid = [str(dim) for dim in curves.dims if dim not in ("seed", "epoch")]
    curves = check(curves, ["valid_accuracy"], {dim: dim for dim in grid})
    yield [*grid, "best valid. accuracy", "at epoch", "last", "diverged", "mean curve"]
    accuracy, at_best = finite(curves, "valid_accuracy"), best(curves)
    for values in itertools.product(*(curves[dim].values for dim in grid)):
        at = dict(zip(grid, values, strict=True))
        chosen = at_best.sel(at)
        peak = interval(100 * chosen.valid_accuracy)
        mean, half = float(peak["mean"]), float(peak["upper"] - peak["mean"])
        curve = accuracy.sel(at).mean("seed", skipna=False).values
        yield [
            *(f"{v:.4g}" if np.asarray(v).dtype.kind in "iuf" else str(v) for v in values),
            f"{mean:.2f} ± {half:.2f} %" if curves.sizes["seed"] > 1 else f"{mean:.2f} %",
            f"{chosen.best_epoch.mean():.0f}",
            f"{curve[-1]:.2f} %" if np.isfinite(curve[-1]) else "-",
            f"{int(chosen.diverged.sum())} of {curves.sizes['seed']}",
            sparkline(curve),
        ]


def summarise(curves: "xr.Dataset") -> str:
    """Return a table of the settings: best validation accuracy and its epoch, the last one's.

    Means over seeds; ± is half a 95 % t interval. "-" stands for a mean with a diverged seed in it.

    Raises:
      InputError: the curves lack `valid_accuracy` or the dimension `epoch`.
    """
    rows = list(_summary(curves))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def curves_summary_html(curves: "xr.Dataset") -> str:
    """Return the table of `summarise` as HTML, for notebooks.

    Raises:
      InputError: as `summarise`.
    """
    header, *rows = ([html.escape(cell) for cell in row] for row in _summary(curves))
    lines = ["<table>", "<tr>" + "".join(f"<th>{cell}</th>" for cell in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])
