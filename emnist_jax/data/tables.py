"""Arrays under names, as in numpy's .npz and MATLAB's .mat files (those of EMNIST's matlab.zip hold
a struct `dataset`): which are images, which are labels, of which part, and their checks.
"""

import io
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from emnist_jax.data.emnist import Part, Stored, mapping_of
from emnist_jax.errors import InputError

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "t10k"), "test"),
}
IMAGES = ("images", "image", "imgs", "img", "inputs", "input", "pixels", "data", "x")
LABELS = ("labels", "label", "targets", "target", "class", "character", "digit", "y")
_MAX_LISTED = 12


def read_npz(raw: bytes, name: str) -> Stored:
    """Read a .npz file; InputError if it is damaged, holds Python objects, or as `parts_of`."""
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            return Stored(parts_of(arrays, name))
    except InputError:
        raise
    except Exception as error:  # zip, zlib and numpy's own formats each raise what they like
        raise InputError(f"{name}: not a readable .npz file ({error})") from None


def read_mat(raw: bytes, name: str) -> Stored:
    """Read a .mat file; InputError if it is damaged, of version 7.3, or as `parts_of`."""
    from scipy.io import loadmat

    try:
        loaded = loadmat(io.BytesIO(raw), simplify_cells=True)
    except NotImplementedError:
        raise InputError(f"{name}: MATLAB 7.3's format; save it with -v7") from None
    except Exception as error:  # scipy raises whatever the bytes lead to
        raise InputError(f"{name}: not a readable .mat file ({error})") from None
    arrays = dict(_flat(loaded))
    mapping = next((arrays[key] for key in arrays if key.split(".")[-1] == "mapping"), None)
    if mapping is not None:
        rows = np.atleast_2d(mapping)
        if rows.dtype.kind not in "iuf" or rows.shape[1] < 2:
            raise InputError(f"{name}: mapping: give rows of a label and its character's code")
        mapping = mapping_of(rows.astype(int).tolist(), f"{name}: mapping")
    return Stored(parts_of(arrays, name), mapping)


def _flat(values: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of nested structs by their dotted names."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        elif isinstance(value, np.ndarray):
            yield f"{before}{key}", value


def parts_of(arrays: Mapping[str, np.ndarray], where: str) -> dict[str, Part]:
    """Return the images and labels among arrays by part; the part is "" where names hold none.

    `images`, `x_train` and `dataset.train.images` are images, `targets`, `train_labels` and
    `dataset.train.labels` labels. No pair, images without labels or labels without images, and two
    of a kind are an `InputError`, as is what `images_of` and `labels_of` refuse.
    """
    found: dict[str, dict[str, str]] = {}
    kinds = (("labels", LABELS), ("images", IMAGES))
    for name in arrays:
        words = re.split(r"[\W_]+", re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower())
        kind = next((kind for kind, known in kinds if set(words) & set(known)), None)
        part = next((PARTS[word] for word in words if word in PARTS), "")
        if kind is None:
            continue
        if kind in found.setdefault(part, {}):
            raise InputError(f"{where}: {found[part][kind]} and {name} are both {kind}; keep one")
        found[part][kind] = name
    if not found or any(len(pair) < 2 for pair in found.values()):
        raise InputError(
            f"{where}: holds {', '.join([*arrays][:_MAX_LISTED]) or 'nothing'}; give images and "
            "labels (or inputs and targets), or x_train, y_train, x_test, y_test"
        )
    return {
        part: part_of(arrays[pair["images"]], arrays[pair["labels"]], where)
        for part, pair in found.items()
    }


def part_of(images: Any, labels: Any, name: str) -> Part:
    """Return one part as stored in the file `name`, checked by `images_of` and `labels_of`."""
    return Part(images_of(images, name), labels_of(labels, name), name)


def images_of(values: Any, name: str) -> np.ndarray:
    """Return images (n, height, width[, channels]); rows of pixels become squares.

    Floats that are whole numbers above 1 are levels 0 to 255. Rows of another number of pixels than
    a square has are an `InputError`.
    """
    images = np.asarray(values)
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        if side**2 != images.shape[1] or not side:
            given = f"{images.shape[1]} pixels an image are no square"
            raise InputError(f"{name}: {given}; give images of shape (n, height, width)")
        images = images.reshape(-1, side, side)
    if images.dtype.kind == "f" and images.size and 1 < images.max() <= 255 and images.min() >= 0:
        levels = images.astype(np.uint8)
        images = levels if (levels == images).all() else images
    if images.ndim not in (3, 4):
        shape = f"images of shape {images.shape}"
        raise InputError(f"{name}: {shape}; give (n, height, width[, channels])")
    return images


def _text(label: object, name: str) -> str:
    try:
        return label.decode() if isinstance(label, bytes) else str(label)
    except UnicodeDecodeError:
        raise InputError(f"{name}: label {label!r:.60} is not UTF-8; rename it") from None


def labels_of(values: Any, name: str) -> np.ndarray:
    """Return labels (n,), whole numbers from 0 or texts; others are an `InputError`."""
    labels = np.asarray(values)
    if labels.ndim == 2 and 1 in labels.shape:
        labels = labels.ravel()
    if labels.ndim != 1:
        raise InputError(f"{name}: labels of shape {labels.shape}; give one label an image")
    if labels.dtype.kind in "OS":
        labels = np.array([_text(x, name) for x in labels.tolist()])
    words = np.char.strip(np.char.lower(labels.astype(str))) if labels.dtype.kind in "fU" else ()
    if len(missing := np.flatnonzero(np.isin(words, ("", "nan")))):
        raise InputError(f"{name}: image {missing[0] + 1} has no label; give it one, or drop it")
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuU" or (labels.dtype.kind == "i" and (labels < 0).any()):
        what = labels[labels < 0][0] if labels.dtype.kind == "i" else labels.dtype
        raise InputError(f"{name}: labels are {what}; give class numbers from 0, or names")
    return labels
