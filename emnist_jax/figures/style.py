"""The one look of every figure, how labels are written, and `save_figure`."""

import functools
import io
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emnist_jax.errors import check_choice
from emnist_jax.store.files import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours without the yellow, which is too light for lines on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*Xdh"
GREY = "0.35"
REPORTED = {"marker": "D", "color": "black", "markersize": 8, "markerfacecolor": "none"}
"""Of a number reported elsewhere."""
PNG_LIMIT = 200_000  # bytes
FORMATS = ("pdf", "png", "svg")
SYMBOLS = {  # of abbreviations; words such as decay mean another thing in another rule
    "learning_rate": r"$\eta$",
    "b1": r"$\beta_1$",
    "b2": r"$\beta_2$",
    "eps": r"$\epsilon$",
}
SETTINGS = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 11,
    "grid.color": "0.9",
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "image.interpolation": "none",  # sharp pixels, and raw ones in vector files
    "svg.hashsalt": "emnist_jax",  # element ids, and so the file's bytes, repeat between runs
}


@contextmanager
def style() -> Iterator[None]:
    """Give matplotlib this project's look, whatever the user's own is, in a block."""
    import matplotlib.style

    with matplotlib.style.context(["default", SETTINGS]):
        yield


styled = style()
"""Decorator of a function that draws: it runs inside `style()`."""


def new_figure(width: float, height: float) -> "Figure":
    """Return an empty figure of `width` x `height` inches, laid out by its content.

    It is outside pyplot: never shown twice, never leaked, yet drawn by notebooks.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure._repr_png_ = functools.partial(render, figure, "png", dpi=100)
    return figure


def symbol(name: str) -> str:
    """Return how a hyperparameter is written: `learning_rate` as a Greek eta, others by name."""
    return SYMBOLS.get(name, name.replace("_", " "))


def number(value: Any, powers: bool = False) -> str:
    r"""Return a coordinate's value as text.

    With `powers`, and for what is below 0.001, as a power of ten: 0.03 gives $3 \cdot 10^{-2}$.
    """
    if not np.issubdtype(np.asarray(value).dtype, np.number):
        return str(value)
    value = float(value)
    if value == 0 or not (powers or abs(value) < 1e-3):
        return f"{value:.4g}"
    digits, exponent = f"{value:.3e}".split("e")
    digits = f"{float(digits):g}"
    power = rf"10^{{{int(exponent)}}}"
    return f"${power}$" if digits == "1" else rf"${digits} \cdot {power}$"


def setting(name: str, value: Any) -> str:
    """Return `name = value` as a label, learning rates as powers of ten."""
    if np.asarray(value).dtype.kind in "OSU":
        return str(value)
    return f"{symbol(name)} = {number(value, powers=name in ('learning_rate', 'eps'))}"


def colours(values: Sequence[Any]) -> list[Any]:
    """Return one colour a value: ordered ones for numbers, distinct ones for names."""
    from matplotlib import colormaps

    values = np.asarray(values)
    if np.issubdtype(values.dtype, np.number) and len(values) > 1:
        rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
        # The palest fifth of the map is too light for lines on white.
        return list(colormaps["viridis"](0.8 * rank / (len(values) - 1)))
    return [COLOURS[i % len(COLOURS)] for i in range(len(values))]


def line_style(i: int) -> dict[str, Any]:
    """Return colour, marker and line of the i-th line of a figure: dashed where colours repeat."""
    return {
        "color": COLOURS[i % len(COLOURS)],
        "marker": MARKERS[i % len(MARKERS)],
        "linestyle": "-" if i < len(COLOURS) else "--",
    }


def caption(figure: "Figure", *parts: str) -> None:
    """Write `parts` small and grey below the figure, with line breaks between them if possible."""
    room = int(figure.get_figwidth() * 72 / 8.5 * 1.7)  # characters of 8.5 points a line
    lines = [""]
    for part in filter(None, " · ".join(filter(None, parts)).split(" · ")):
        joined = f"{lines[-1]} · {part}" if lines[-1] else part
        seen = re.sub(r"\\\w+|[${}^_]", "", joined)  # what mathematical markup does not print
        # A part longer than a line is broken too, unless it is mathematical markup.
        broken = [part] if "$" in part else textwrap.wrap(part, room)
        lines[-1:] = [joined] if len(seen) <= room else [*filter(None, lines[-1:]), *broken]
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=8.5, color=GREY)


def scale_to(axes: "Axes", values: np.ndarray, highest: float = np.inf, log: bool = False) -> None:
    """Set the limits so that all `values` show, and not all of a wide band, which would hide them.

    `highest` is the highest value possible. With `log`, a span above a factor of 30 gets a log
    axis; one of less than three powers of ten has ticks at 1, 2 and 5 of each.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    values = values[np.isfinite(values)]
    if not values.size:
        return
    low, high = values.min(), values.max()
    if log and low > 0 and high / low > 30:
        axes.set_yscale("log")
        axes.set_ylim(low / 1.2, high * 1.2)
        if high / low < 1000:
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        margin = 0.04 * (high - low) or 0.5
        axes.set_ylim(low - margin, min(high + margin, highest * 1.01))


def fill_cell(axes: "Axes", row: int, column: int, text: str, dark: bool, size: float) -> None:
    """Write into a cell of an image, in white on a dark one."""
    how = {"ha": "center", "va": "center", "fontsize": size, "linespacing": 1.15}
    axes.text(column, row, text, color="white" if dark else "black", **how)


def separate_cells(axes: "Axes", rows: int, columns: int, colour: str) -> None:
    """Draw thin lines between the cells of an image, and neither frame nor tick marks."""
    axes.set_xticks(np.arange(columns - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(rows - 1) + 0.5, minor=True)
    axes.grid(False)
    axes.grid(which="minor", color=colour, linewidth=0.6)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)


@styled
def mark(
    figure: "Figure",
    words: str,
    x: float | Sequence[float] | None = None,
    y: float | Sequence[float] | None = None,
    *,
    dx: float | Sequence[float] = 0.0,
    dy: float = 0.0,
    panels: slice = slice(None),
    colour: str = "black",
    loc: str | tuple[float, float] = "lower right",
) -> "Figure":
    """Draw what is reported elsewhere into panels of a figure, and return it.

    Diamonds at x across (such as an epoch) and y upwards (such as an accuracy in %), which reach dx
    and dy each way; or a line if x is None. `words` and `loc` are for the legend.
    """
    label, style = f"reported: {words}", REPORTED | {"color": colour}
    reach = [np.where(np.equal(way, 0), np.nan, way) for way in (dy, dx)]
    for axes in figure.axes[panels]:
        if x is None:
            axes.axhline(y, color=colour, linestyle="--", linewidth=1.2, label=label)
            axes.axhspan(y - dy, y + dy, color=colour, alpha=0.08, linewidth=0)
        else:
            axes.errorbar(x, y, *reach, linestyle="none", capsize=3, zorder=6, label=label, **style)
        pairs = zip(*axes.get_legend_handles_labels(), strict=True)
        shown = [
            (getattr(artist, "lines", [artist])[0], text)  # without the bars of a diamond
            for artist, text in pairs
            if text.startswith("reported: ")
        ]
        legible = {"frameon": True, "framealpha": 0.8, "edgecolor": "none"}  # on curves, too
        axes.legend(*zip(*shown, strict=True), loc=loc, fontsize=9, **legible)
    return figure


class End(NamedTuple):
    """The right end of a line, for `label_ends`; a line that ends early `reaches` no edge."""

    y: float
    label: str
    colour: Any
    marker: str
    reaches: bool = True


def label_ends(axes: "Axes", ends: Sequence[End]) -> None:
    """Name lines at the right of `axes`, in the order they end and moved apart where too close.

    An arrow follows the name of a line that ends outside the limits, which must be set before.
    """
    from scipy.optimize import isotonic_regression

    ends = sorted(ends, key=lambda end: end.y)
    to_axes = axes.transData + axes.transAxes.inverted()
    x = axes.get_xlim()[1]
    true = np.array([to_axes.transform((x, end.y))[1] for end in ends])
    wanted = np.clip(true, 0, 1)
    rows = axes.get_subplotspec().get_gridspec().nrows
    gap = 10 * 1.35 / (axes.get_figure().get_figheight() * 72 * 0.72 / rows)
    steps = gap * np.arange(len(ends))
    placed = np.clip(isotonic_regression(wanted - steps).x, 0, max(0, 1 - steps[-1])) + steps
    for end, y, target, exact in zip(ends, placed, wanted, true, strict=True):
        outside = {"transform": axes.transAxes, "clip_on": False, "color": end.colour}
        if end.reaches:
            axes.plot([1.005, 1.045 if end.marker else 1.07], [target, y], linewidth=0.8, **outside)
        axes.plot([1.055], [y], end.marker or "none", **outside)
        arrow = " ↓" if exact < 0 else " ↑" if exact > 1 else ""
        axes.text(1.08, y, end.label + arrow, transform=axes.transAxes, va="center", fontsize=10)


def _reset_layout(figure: "Figure") -> None:
    """Let the next layout begin where the first did, not where an earlier drawing left it."""
    for axes in figure.axes:
        if axes.get_subplotspec() is not None:
            axes.set_subplotspec(axes.get_subplotspec())
        for bar in (image.colorbar for image in axes.images if image.colorbar is not None):
            bar.ax.set_position((0, 0, 1, 1))
            bar.ax.set_in_layout(True)  # which setting a position had ended


def render(figure: "Figure", kind: str, dpi: float) -> bytes:
    """Return the figure as a `pdf`, `png` or `svg` file's bytes, the same every time."""
    metadata = {
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
        "png": {"Software": None},
        "svg": {"Date": None, "Creator": None},
    }
    buffer = io.BytesIO()
    with style():
        _reset_layout(figure)
        # One pass, which savefig makes, leaves labels of a square with a colour bar outside.
        figure.get_layout_engine().execute(figure)
        figure.savefig(buffer, format=kind, dpi=dpi, metadata=metadata[kind])
    return buffer.getvalue()


def _encode(figure: "Figure", kind: str) -> bytes:
    """Render; a PNG above `PNG_LIMIT` gets 256 colours, then fewer and fewer dots."""
    if kind != "png":
        return render(figure, kind, dpi=150)
    for dpi in (160, 130, 100, 80, 60):
        content = render(figure, kind, dpi)
        if len(content) > PNG_LIMIT:
            content = _with_palette(content)
        if len(content) <= PNG_LIMIT:
            break
    return content


def _with_palette(png: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    image = Image.open(io.BytesIO(png)).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def save_figure(
    figure: "Figure", stem: str | Path, formats: str | Sequence[str] = ("png", "svg")
) -> list[Path]:
    """Write `figure` to `stem`.png, `stem`.svg, ... and return the paths.

    A stem that names a format, such as curves.pdf, is that one file.

    The same figure gives the same bytes: no date, fixed identifiers. Each file appears whole or
    not at all. PNGs stay below 200 kB where a resolution of 60 dots an inch or more allows it.

    Raises:
      InputError: a format that is none of pdf, png and svg, or a folder that cannot be written.
    """
    stem = Path(stem)
    formats = [formats] if isinstance(formats, str) else formats
    if (ending := stem.suffix.removeprefix(".").lower()) in FORMATS:
        stem, formats = stem.with_suffix(""), [ending]
    for kind in formats:
        check_choice(f'figures cannot be saved as "{kind}"', kind, FORMATS)
    contents = {stem.with_name(f"{stem.name}.{kind}"): _encode(figure, kind) for kind in formats}
    return [write_whole(path, content) for path, content in contents.items()]
