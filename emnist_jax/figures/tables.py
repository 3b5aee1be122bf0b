"""Tables of settings, for terminals, notebooks and papers."""

import csv
import html
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emnist_jax.console import sparkline
from emnist_jax.figures._inputs import check_curves, finite
from emnist_jax.stats import best, interval, selection_bias
from emnist_jax.store.files import write_text

if TYPE_CHECKING:
    import xarray as xr


def _summary(curves: "xr.Dataset", most: int | None = None) -> "tuple[Table, int]":
    """Return a row a setting, or for each of the `most` best, and how many settings there are."""
    curves, grid, settings = _settings_of(curves)
    at_best, seeds = best(curves), curves.sizes["seed"]
    peak, lost = interval(100 * at_best.valid_accuracy), at_best.diverged.sum("seed")
    epochs = at_best.best_epoch.mean("seed")
    means = finite(curves, "valid_accuracy").mean("seed", skipna=False)
    number = len(settings)
    if most is not None and number > most:
        score = peak["mean"].transpose(*grid).values.ravel()
        order = np.argsort(-np.nan_to_num(score, nan=-np.inf), kind="stable")
        settings = [settings[i] for i in order[:most]]
    rows = []
    for at in settings:
        mean, half = float(peak["mean"].sel(at)), float((peak["upper"] - peak["mean"]).sel(at))
        curve = means.sel(at).values
        rows.append(
            at
            | {
                "best valid. accuracy": f"{mean:.2f}{f' ± {half:.2f}' * (seeds > 1)} %",
                "at epoch": epochs.sel(at),
                "last": f"{curve[-1]:.2f} %" if np.isfinite(curve[-1]) else "-",
                "diverged": f"{int(lost.sel(at))} of {seeds}",
                "mean curve": sparkline(curve),
            }
        )
    return Table(rows, dict.fromkeys(grid, ".4g") | {"at epoch": ".0f"}), number


def _settings_of(curves: "xr.Dataset") -> "tuple[xr.Dataset, list[str], list[dict[str, Any]]]":
    """Return curves, checked, the dimensions of their grid, and the labels of each setting."""
    grid = [str(dim) for dim in curves.dims if dim not in ("seed", "epoch")]
    curves = check_curves(curves, ["valid_accuracy"], {dim: dim for dim in grid})
    labels = itertools.product(*(curves[dim].values for dim in grid))
    return curves, grid, [dict(zip(grid, values, strict=True)) for values in labels]


def summarise(curves: "xr.Dataset") -> str:
    """Return a table of the settings: best validation accuracy and its epoch, the last one's.

    Means over seeds; ± is half a 95 % t interval. "-" stands for a mean with a diverged seed in it.

    Raises:
      InputError: the curves lack `valid_accuracy` or the dimension `epoch`.
    """
    rows = _summary(curves)[0].text()
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]])


def curves_summary_html(curves: "xr.Dataset", most: int = 20) -> str:
    """Return the table of `summarise` as HTML, for notebooks: all settings, or the `most` best.

    Its caption says what the curves are of.

    Raises:
      InputError: as `summarise`.
    """
    table, settings = _summary(curves, most)
    about = [str(curves.attrs[name]) for name in ("data", "rule", "model") if name in curves.attrs]
    if settings > most:
        about.append(f"the best {most} of {settings} settings, the best first")
    return table.html(" · ".join(about))


@dataclass(frozen=True)
class Table:
    """Rows of numbers and text by column; they become text where the table is printed.

    Attributes:
        rows: each row's values by column, which all rows have in the order of the first: a number,
            text, a truth value, the two ends of an interval, or None for nothing.
        formats: of a column's numbers; others are written as ".2f", whole numbers as ",".
    """

    rows: Sequence[Mapping[str, Any]]
    formats: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> list[list[str]]:
        """Return the header and the rows as text; "-" stands for a number that is not finite."""
        header = list(self.rows[0]) if self.rows else []
        rows = [[_text(row[name], self.formats.get(name)) for name in header] for row in self.rows]
        return [header, *rows]

    def markdown(self) -> str:
        """Return the table as GitHub's Markdown."""
        header, *rows = ([cell.replace("|", r"\|") for cell in row] for row in self.text())
        lines = [header, ["---"] * len(header), *rows]
        return "\n".join(f"| {' | '.join(row)} |" for row in lines) + "\n"

    def csv(self) -> str:
        """Return the table as comma-separated values."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(self.text())
        return text.getvalue()

    def html(self, caption: str = "") -> str:
        """Return the table as HTML, for notebooks."""
        lines = ["<table>"] + [f"<caption>{html.escape(caption)}</caption>"] * bool(caption)
        for i, row in enumerate(self.text()):
            tag = "td" if i else "th"
            cells = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row)
            lines.append(f"<tr>{cells}</tr>")
        return "\n".join([*lines, "</table>"])

    def latex(self) -> str:
        """Return the table as a tabular with booktabs' rules."""
        header, *rows = (" & ".join(map(_escape, row)) + r" \\" for row in self.text())
        begin = rf"\begin{{tabular}}{{{'l' * len(self.text()[0])}}}"
        lines = [begin, r"\toprule", header, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
        return "\n".join(lines) + "\n"


def _text(value: Any, form: str | None) -> str:
    """Return a value as it is printed."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " to ".join(_text(end, form) for end in value)
    if not np.isfinite(value):
        return "-"
    whole = isinstance(value, int | np.integer)
    return format(value if whole else float(value), form or ("," if whole else ".2f"))


def _escape(text: str) -> str:
    """Write text for LaTeX."""
    special = {c: rf"\{c}" for c in "&%$#_{}"}
    special |= {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return text.translate(str.maketrans(special | {"±": r"$\pm$", "<": "$<$", ">": "$>$"}))


def save_table(table: Table, stem: str | Path) -> list[Path]:
    """Write a table to `stem`.md, `stem`.csv and `stem`.tex, as `write_text`; return the paths."""
    stem = Path(stem)
    texts = {".md": table.markdown(), ".csv": table.csv(), ".tex": table.latex()}
    return [write_text(stem.with_name(stem.name + end), text) for end, text in texts.items()]


def settings_table(curves: "xr.Dataset", first_seeds: int | None = None) -> Table:
    """Return a row a setting: best validation accuracy (%), its epoch, and what less choice gives.

    "best" is the mean over seeds of each seed's best epoch, with a 95 % t interval and the sample
    standard deviation; "macro" the mean over classes there, if it was kept; "best of the mean" the
    best epoch of the mean curve; "held out" reads each seed at the epoch the other seeds choose;
    "last" the last epoch. "-": a seed diverged. With `first_seeds` also the best of that many seeds
    only, for comparison with as few. Curves that lack a variable or dimension are an `InputError`.
    """
    curves, grid, settings = _settings_of(curves)
    at_best, choices = best(curves), selection_bias(100 * curves.valid_accuracy)
    over, few = interval(100 * at_best.valid_accuracy), None
    macro = at_best.get("valid_macro_accuracy")
    if first_seeds and first_seeds < curves.sizes["seed"]:
        few = interval(100 * at_best.valid_accuracy.isel(seed=slice(first_seeds)))
    rows = []
    for at in settings:
        choice, epochs = choices.sel(at), at_best.best_epoch.sel(at)
        row = at | {
            "best (%)": over["mean"].sel(at),
            "95 %": (over.lower.sel(at), over.upper.sel(at)),
            "sd": over.sd.sel(at),
            **({"macro then (%)": 100 * macro.sel(at).mean()} if macro is not None else {}),
            "epoch of best": epochs.mean(),
            "in seeds": (epochs.min(), epochs.max()),
            "best of the mean (%)": choice.max_of_mean,
            "held out (%)": choice.held_out,
            "last (%)": choice["last"],
            "diverged": int(at_best.diverged.sel(at).sum()),
        }
        if few is not None:
            first = f"first {first_seeds} seeds"
            row |= {f"{first}: best (%)": few["mean"].sel(at), f"{first}: sd": few.sd.sel(at)}
        rows.append(row)
    formats = dict.fromkeys(grid, ".4g") | {"epoch of best": ".1f", "in seeds": ".0f"}
    return Table(rows, formats)
