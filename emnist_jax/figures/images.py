"""Figures of images: samples, learned weights, confusions and examples of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from emnist_jax.errors import InputError, check_choice
from emnist_jax.figures.style import (
    caption,
    fill_cell,
    new_figure,
    separate_cells,
    setting,
    styled,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TILES = 100  # of a layer's units: more would be too small to see


def _draw_image(axes: "Axes", image: np.ndarray) -> None:
    """Draw an image of (height, width[, channels]), one channel as dark ink on white."""
    full = 255 if np.issubdtype(image.dtype, np.integer) else 1.0
    if image.ndim == 3 and image.shape[-1] == 1:
        image = image[..., 0]
    axes.imshow(image, cmap="gray_r" if image.ndim == 2 else None, vmin=0, vmax=full)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set(visible=True, color="0.85")
    axes.grid(False)


def _check_images(images: Any, classes: Sequence[str], **labels: Any) -> list[np.ndarray]:
    """Return images and labels as arrays that belong together."""
    images, arrays = np.asarray(images), [np.asarray(values) for values in labels.values()]
    if images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[-1] not in (1, 3)):
        raise InputError(f"images have shape {images.shape}: pass (n, height, width[, 1 or 3])")
    if not len(images):
        raise InputError("there are no images to draw: pass at least one")
    for name, values in zip(labels, arrays, strict=True):
        if values.shape != (len(images),):
            raise InputError(f"{name} have shape {values.shape}, images {images.shape}: one each")
        if values.min() < 0 or values.max() >= len(classes):
            raise InputError(
                f"{name} go from {values.min()} to {values.max()}, but there are "
                f"{len(classes)} classes: pass the names of all"
            )
    return [images, *arrays]


@styled
def plot_samples(
    images: Any,
    labels: Any,
    classes: Sequence[str],
    rows: int = 5,
    columns: int = 5,
    *,
    note: str = "",
) -> "Figure":
    """Draw the first `rows` x `columns` images, ink dark on white, each below its label.

    Args:
      images: (n, height, width) or (n, height, width, 1 or 3), uint8 or floats in [0, 1].
      labels: (n,) indices into `classes`.
      classes: names of the classes.
      rows: images downwards.
      columns: images across.
      note: text for the caption, such as the data's name.

    Raises:
      InputError: shapes that do not belong together, no images, or labels without a class.
    """
    images, labels = _check_images(images, classes, labels=labels)
    figure = new_figure(0.95 * columns + 0.2, 1.15 * rows + 0.2)
    for i, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
        if i < len(images):
            _draw_image(axes, images[i])
            axes.set_title(classes[labels[i]], fontsize=13, pad=3)
        else:
            axes.set_axis_off()
    caption(figure, note)
    return figure


def _kernel(parameters: Any, layer: str | None) -> np.ndarray:
    """Return the kernel of `layer`, of the first layer that has one if None."""
    if not isinstance(parameters, Mapping):
        return np.asarray(parameters)
    import jax

    kernels = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(parameters.get("params", parameters)):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        if name.endswith("kernel"):
            kernels[name.removesuffix("kernel").rstrip("/_")] = leaf
    if not kernels:
        raise InputError("the parameters hold no layer with a kernel: pass the kernel itself")
    name = min(kernels) if layer is None else layer
    check_choice(f'there is no layer "{name}"', name, kernels)
    return np.asarray(kernels[name])


def _tiles(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel as (height, width, channels in, units)."""
    if kernel.ndim == 4:
        return kernel
    if kernel.ndim == 2:
        for channels in (1, 3):
            side = round((kernel.shape[0] / channels) ** 0.5)
            if side * side * channels == kernel.shape[0]:
                return kernel.reshape(side, side, channels, -1)
    raise InputError(
        f"a kernel of shape {kernel.shape} is no picture: pass (height, width, in, out), "
        "or (inputs, units) of a layer on square images"
    )


def _columns(tiles: int) -> int:
    """Return the columns of an about square arrangement, with full rows where there is one."""
    side = int(np.ceil(tiles**0.5))
    return next((c for c in range(side, side * 3 // 2 + 1) if tiles % c == 0), side)


def _mosaic(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Return (n, height, width) tiles as one picture, a line of NaN between them."""
    n, height, width = tiles.shape
    rows = -(-n // columns)
    framed = np.full((rows * columns, height + 1, width + 1), np.nan)
    framed[:n, 1:, 1:] = tiles
    picture = framed.reshape(rows, columns, height + 1, width + 1).swapaxes(1, 2)
    return picture.reshape(rows * (height + 1), columns * (width + 1))[1:, 1:]


@styled
def plot_weights(parameters: Any, *, layer: str | None = None, note: str = "") -> "Figure":
    """Draw learned weights as tiles, one a unit: red positive, blue negative, white zero.

    With several input channels a row is a channel and a column a unit. The colours end at the
    99.5th percentile of the absolute weights. At most 100 tiles are drawn; the caption says so.

    Args:
      parameters: a dense kernel (inputs, units) on square images, a convolution's (height, width,
        in, out), or parameters as flax gives them.
      layer: name of the layer in `parameters`; default the first by name that has a kernel.
      note: text for the caption.

    Raises:
      InputError: no such layer, or a kernel that is no picture.
    """
    from matplotlib import colormaps

    tiles = np.moveaxis(_tiles(_kernel(parameters, layer)), -1, 0)  # (units, height, width, in)
    units, height, width, channels = tiles.shape
    shown = min(units, max(1, MOST_TILES // channels))
    columns = shown if channels > 1 else _columns(shown)
    picture = _mosaic(np.moveaxis(tiles[:shown], -1, 0).reshape(-1, height, width), columns)
    limit = float(np.quantile(np.abs(tiles), 0.995)) or 1.0

    across = min(7.0, 0.8 * columns)
    figure = new_figure(max(across, 2.5) + 1.0, across * picture.shape[0] / picture.shape[1] + 0.5)
    axes = figure.subplots()
    shades = colormaps["RdBu_r"].with_extremes(bad="0.75")  # the lines between tiles
    image = axes.imshow(picture, cmap=shades, vmin=-limit, vmax=limit)
    axes.set_axis_off()
    figure.colorbar(image, ax=axes, label="weight", extend="both", shrink=0.8)
    left_out = f"the first {shown} of {units} units" if shown < units else ""
    rows = "rows: input channels, columns: units" if channels > 1 else ""
    caption(figure, note, left_out, rows)
    return figure


def confusion_matrix(labels: Any, predictions: Any, classes: int) -> np.ndarray:
    """Return (classes, classes) counts: row the true class, column the predicted one."""
    pairs = np.asarray(labels) * classes + np.asarray(predictions)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


class Confusion(NamedTuple):
    """How often one class was read as another: of `total` images of `true`, `count`."""

    true: int
    predicted: int
    count: int
    total: int


def setting_and_seeds(labelled: "xr.DataArray", joined: str) -> str:
    """Return the setting and the seeds that labelled numbers are of, for a caption.

    Scalar coordinates are the setting; `seed` is scalar or a dimension, and `joined` says what
    several seeds were, such as "counted together".
    """
    fixed = [
        setting(str(name), value.item())
        for name, value in labelled.coords.items()
        if value.ndim == 0 and name != "seed"
    ]
    if "seed" in labelled.coords:
        seeds = np.atleast_1d(labelled.seed.values).tolist()
        several = len(seeds) > 1
        listed = ", ".join(map(str, seeds))
        fixed.append(f"seeds {listed} {joined}" if several else f"seed {listed} alone")
    return " · ".join(fixed)


def _check_matrix(matrix: Any, classes: Sequence[str] | None) -> tuple[np.ndarray, Sequence[str]]:
    """Return counts (true, predicted), summed over seeds, and the names of the classes."""
    if hasattr(matrix, "dims"):
        for dim in set(matrix.dims) - {"true", "predicted", "seed"}:
            if matrix.sizes[dim] > 1:
                raise InputError(
                    f"the counts are of {matrix.sizes[dim]} values of {dim}: choose one, "
                    f"confusion.sel({dim}=...)"
                )
        classes = matrix.true.values.tolist() if classes is None else classes
        matrix = matrix.sum(set(matrix.dims) - {"true", "predicted"}).transpose("true", "predicted")
    if classes is None:
        raise InputError("a plain confusion matrix needs the names of the classes: pass classes")
    matrix = np.asarray(matrix)
    if matrix.shape != (len(classes), len(classes)):
        raise InputError(
            f"a confusion matrix of shape {matrix.shape} does not fit "
            f"{len(classes)} classes: pass as many rows and columns"
        )
    return matrix, classes


def most_confused(
    matrix: Any, classes: Sequence[str] | None = None, k: int = 10
) -> list[Confusion]:
    """Return the `k` most frequent mistakes, the most frequent first; pairs never mistaken are out.

    Args:
      matrix: (classes, classes) counts, rows the true class; or what `Networks.confusion` gives,
        of which seeds are summed.
      classes: names of the classes; labelled counts know them.
      k: number of mistakes.

    Raises:
      InputError: a matrix whose shape does not fit the classes, or counts of several settings.
    """
    matrix, classes = _check_matrix(matrix, classes)
    mistakes = matrix - np.diag(np.diag(matrix))
    order = np.argsort(-mistakes, axis=None, kind="stable")[:k]
    cells = zip(*np.unravel_index(order, matrix.shape), strict=True)
    return [
        Confusion(int(i), int(j), int(matrix[i, j]), int(matrix[i].sum()))
        for i, j in cells
        if mistakes[i, j]
    ]


@styled
def plot_confusion(
    matrix: Any, classes: Sequence[str] | None = None, *, note: str = ""
) -> "Figure":
    """Draw the mistakes of each class, in percent of its images; the diagonal is left grey.

    A cell of 5 % or more holds its number. Arguments and errors are those of `most_confused`;
    `note` is text for the caption, and counts of several settings are an `InputError` too.
    """
    from matplotlib.colors import PowerNorm

    of = setting_and_seeds(matrix, "counted together") if hasattr(matrix, "coords") else ""
    matrix, classes = _check_matrix(matrix, classes)
    n = len(classes)
    totals = matrix.sum(1, keepdims=True)
    percent = 100 * matrix / np.maximum(totals, 1)
    np.fill_diagonal(percent, np.nan)
    highest = max(float(np.nanmax(percent, initial=0)), 1.0)
    norm = PowerNorm(0.5, vmin=0, vmax=highest)  # a root, so that rare mistakes show as well

    side = max(3.0, 0.2 * n)
    figure = new_figure(side + 1.2, side + 0.6)
    axes = figure.subplots()
    axes.set_facecolor("0.82")
    # Not an image of equal aspect: the layout would not keep its labels inside the figure.
    image = axes.imshow(percent, cmap="Blues", norm=norm, aspect="auto")
    for i, j in np.argwhere(np.nan_to_num(percent) >= 5):
        fill_cell(axes, i, j, f"{percent[i, j]:.0f}", norm(percent[i, j]) > 0.6, 8)
    size = 9.5 if n > 20 else 11
    axes.set_xticks(range(n), classes, fontsize=size)
    axes.set_yticks(range(n), classes, fontsize=size)
    axes.tick_params(labeltop=True, labelright=True, pad=2)
    separate_cells(axes, n, n, "0.92")
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    figure.colorbar(image, ax=axes, label="% of the true class's images", shrink=0.6, pad=0.02)
    wrong = 1 - np.trace(matrix) / max(matrix.sum(), 1)
    caption(figure, note, of, f"{100 * wrong:.1f} % of {matrix.sum():,} readings wrong")
    return figure


@styled
def plot_confused_examples(
    images: Any,
    labels: Any,
    predictions: Any,
    classes: Sequence[str],
    *,
    pairs: int = 5,
    examples: int = 8,
    note: str = "",
) -> "Figure":
    """Draw images of the most frequent mistakes, a row each, the first ones in the given order.

    Args:
      images: (n, height, width) or (n, height, width, 1 or 3), uint8 or floats in [0, 1].
      labels: (n,) true classes, indices into `classes`.
      predictions: (n,) predicted classes.
      classes: names of the classes.
      pairs: number of rows.
      examples: images a row.
      note: text for the caption.

    Raises:
      InputError: shapes that do not belong together, or predictions without a mistake.
    """
    images, labels, predictions = _check_images(
        images, classes, labels=labels, predictions=predictions
    )
    matrix = confusion_matrix(labels, predictions, len(classes))
    confusions = most_confused(matrix, classes, pairs)
    if not confusions:
        raise InputError("every prediction is right: there is no mistake to draw")
    figure = new_figure(1.6 + 0.75 * examples, 0.2 + 0.85 * len(confusions))
    grid = figure.subplots(len(confusions), examples, squeeze=False)
    for row, (true, predicted, count, total) in zip(grid, confusions, strict=True):
        found = np.flatnonzero((labels == true) & (predictions == predicted))
        for axes in row[min(len(found), examples) :]:
            axes.set_axis_off()
        for axes, i in zip(row, found, strict=False):
            _draw_image(axes, images[i])
        words = f"{classes[true]} read as {classes[predicted]}\n{count} of {total}"
        row[0].set_ylabel(words, rotation=0, ha="right", va="center", fontsize=11)
    caption(figure, note)
    return figure
