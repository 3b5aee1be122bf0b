"""Tables of settings, for terminals, notebooks and papers."""

import csv
import html
import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from emnist_jax.engine.sparkline import sparkline
from emnist_jax.figures._inputs import check, finite
from emnist_jax.stats import best, interval, selection_bias
from emnist_jax.store.files import write_text

if TYPE_CHECKING:
    import xarray as xr


def _summary(curves: "xr.Dataset", most: int | None = None) -> list[list[str]]:
    """Return the header of a table of settings, then a row for each, or for the `most` best."""
    grid = _grid_of(curves)
    curves = check(curves, ["valid_accuracy"], {dim: dim for dim in grid})
    header = [*grid, "best valid. accuracy", "at epoch", "last", "diverged", "mean curve"]
    at_best, seeds = best(curves), curves.sizes["seed"]
    peak, lost = interval(100 * at_best.valid_accuracy), at_best.diverged.sum("seed")
    epochs = at_best.best_epoch.mean("seed")
    means = finite(curves, "valid_accuracy").mean("seed", skipna=False)
    settings = list(itertools.product(*(curves[dim].values for dim in grid)))
    if most is not None and len(settings) > most:
        score = peak["mean"].transpose(*grid).values.ravel()
        order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
        settings = [settings[i] for i in order[:most]]
    rows = [header]
    for values in settings:
        at = dict(zip(grid, values, strict=True))
        mean, half = float(peak["mean"].sel(at)), float((peak["upper"] - peak["mean"]).sel(at))
        curve = means.sel(at).values
        rows.append(
            [
                *(f"{v:.4g}" if np.asarray(v).dtype.kind in "iuf" else str(v) for v in values),
                f"{mean:.2f} ± {half:.2f} %" if seeds > 1 else f"{mean:.2f} %",
                f"{float(epochs.sel(at)):.0f}",
                f"{curve[-1]:.2f} %" if np.isfinite(curve[-1]) else "-",
                f"{int(lost.sel(at))} of {seeds}",
                sparkline(curve),
            ]
        )
    return rows


def _grid_of(curves: "xr.Dataset") -> list[str]:
    return [str(dim) for dim in curves.dims if dim not in ("seed", "epoch")]


def summarise(curves: "xr.Dataset") -> str:
    """Return a table of the settings: best validation accuracy and its epoch, the last one's.

    Means over seeds; ± is half a 95 % t interval. "-" stands for a mean with a diverged seed in it.

    Raises:
      InputError: the curves lack `valid_accuracy` or the dimension `epoch`.
    """
    rows = _summary(curves)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def curves_summary_html(curves: "xr.Dataset", most: int = 20) -> str:
    """Return the table of `summarise` as HTML, for notebooks: all settings, or the `most` best.

    Its caption says what the curves are of.

    Raises:
      InputError: as `summarise`.
    """
    header, *rows = _summary(curves, most)
    settings = math.prod(curves.sizes[dim] for dim in _grid_of(curves))
    about = [str(curves.attrs[name]) for name in ("data", "rule", "model") if name in curves.attrs]
    about += [f"the best {most} of {settings} settings, the best first"] * (settings > len(rows))
    return Table(header, rows).html(" · ".join(about))


class Table(NamedTuple):
    """A header and rows of text, to be written as Markdown, CSV, HTML and LaTeX."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """Return the table as GitHub's Markdown."""
        cells = [[cell.replace("|", r"\|") for cell in row] for row in (self.header, *self.rows)]
        cells.insert(1, ["---"] * len(self.header))
        return "\n".join(f"| {' | '.join(row)} |" for row in cells) + "\n"

    def csv(self) -> str:
        """Return the table as comma-separated values."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.header, *self.rows])
        return text.getvalue()

    def html(self, caption: str = "") -> str:
        """Return the table as HTML, for notebooks."""
        lines = ["<table>"] + [f"<caption>{html.escape(caption)}</caption>"] * bool(caption)
        for tag, row in (("th", self.header), *(("td", row) for row in self.rows)):
            cells = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
            lines.append(f"<tr>{cells}</tr>")
        return "\n".join([*lines, "</table>"])

    def latex(self) -> str:
        """Return the table as a tabular with booktabs' rules."""
        lines = [" & ".join(map(_escape, row)) + r" \\" for row in (self.header, *self.rows)]
        lines = [r"\toprule", lines[0], r"\midrule", *lines[1:], r"\bottomrule"]
        begin = rf"\begin{{tabular}}{{{'l' * len(self.header)}}}"
        return "\n".join([begin, *lines, r"\end{tabular}"]) + "\n"


def _escape(text: str) -> str:
    """Write text for LaTeX."""
    special = {c: rf"\{c}" for c in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return text.translate(str.maketrans(special | {"±": r"$\pm$", "<": "$<$", ">": "$>$"}))


def save_table(table: Table, stem: str | Path) -> list[Path]:
    """Write a table to `stem`.md, `stem`.csv and `stem`.tex, and return the paths.

    Raises:
      InputError: a file cannot be written.
    """
    stem = Path(stem)
    texts = {".md": table.markdown(), ".csv": table.csv(), ".tex": table.latex()}
    return [write_text(stem.with_name(stem.name + end), text) for end, text in texts.items()]


def settings_table(curves: "xr.Dataset", first_seeds: int | None = None) -> Table:
    """Return a row a setting: best validation accuracy (%), its epoch, and what less choice gives.

    "best" is the mean over seeds of each seed's best epoch, with a 95 % t interval and the sample
    standard deviation; "best of the mean" the best epoch of the mean curve; "held out" reads each
    seed at the epoch the other seeds choose; "last" the last epoch. "-": a seed diverged.

    Args:
      curves: labelled curves.
      first_seeds: also give the best of that many seeds only, for comparison with as few.

    Raises:
      InputError: the curves lack a variable or dimension.
    """
    grid = _grid_of(curves)
    curves = check(curves, ["valid_accuracy"], {dim: dim for dim in grid})
    at_best, choices = best(curves), selection_bias(100 * curves.valid_accuracy)
    over = interval(100 * at_best.valid_accuracy)
    few = curves.sizes["seed"] > (first_seeds or curves.sizes["seed"])
    header = [*grid, "best (%)", "95 %", "sd", "epoch of best"]
    header += ["best of the mean (%)", "held out (%)", "last (%)", "diverged"]
    rows = []
    for values in itertools.product(*(curves[dim].values for dim in grid)):
        at = dict(zip(grid, values, strict=True))
        row, choice, epochs = over.sel(at), choices.sel(at), at_best.best_epoch.sel(at).values
        cells = [
            _number(row["mean"]),
            f"{_number(row.lower)} to {_number(row.upper)}",
            _number(row.sd),
            f"{np.mean(epochs):.1f} ({epochs.min():.0f} to {epochs.max():.0f})",
            *(_number(choice[name]) for name in ("max_of_mean", "held_out", "last")),
            f"{int(at_best.diverged.sel(at).sum())} of {curves.sizes['seed']}",
        ]
        if few:
            some = interval(100 * at_best.valid_accuracy.sel(at).isel(seed=slice(first_seeds)))
            cells.append(f"{_number(some['mean'])} ± {_number(some.sd)}")
        rows.append([*(str(v) if isinstance(v, str) else f"{v:.4g}" for v in values), *cells])
    return Table(header + [f"first {first_seeds} seeds: best ± sd"] * few, rows)


def _number(value: float, digits: int = 2) -> str:
    return f"{float(value):.{digits}f}" if np.isfinite(value) else "-"
