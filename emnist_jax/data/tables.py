"""Arrays under names: which are images, which are labels, of which part, and their checks."""

import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

from emnist_jax.errors import InputError

PARTS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("valid", "val", "validation", "dev"), "valid"),
    **dict.fromkeys(("test", "testing", "t10k"), "test"),
}
IMAGES = ("images", "image", "imgs", "img", "inputs", "input", "pixels", "data", "x")
LABELS = ("labels", "label", "targets", "target", "class", "character", "digit", "y")
_MAX_LISTED = 12


def pairs(names: Iterable[str], where: str) -> dict[str, tuple[str, str]]:
    """Return the names of images and labels by part; the part is "" where names hold none.

    `images`, `x_train` and `dataset.train.images` are images, `targets`, `train_labels` and
    `dataset.train.labels` labels.

    Raises:
        InputError: no pair, images without labels or labels without images, or two of a kind.
    """
    found: dict[str, dict[str, str]] = {}
    names = list(names)
    listed = ", ".join(names[:_MAX_LISTED]) or "nothing"
    advice = "give images and labels (or inputs and targets), or x_train, y_train, x_test, y_test"
    for name in names:
        words = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
        words = re.split(r"[\W_]+", words)
        kinds = (("labels", LABELS), ("images", IMAGES))
        kind = next((kind for kind, known in kinds if set(words) & set(known)), None)
        part = next((PARTS[word] for word in words if word in PARTS), "")
        if kind is None:
            continue
        if kind in found.setdefault(part, {}):
            raise InputError(f"{where}: {found[part][kind]} and {name} are both {kind}; keep one")
        found[part][kind] = name
    if not found or any(len(pair) < 2 for pair in found.values()):
        raise InputError(f"{where}: holds {listed}; {advice}")
    return {part: (pair["images"], pair["labels"]) for part, pair in found.items()}


def images_of(values: Any, name: str) -> np.ndarray:
    """Return images (n, height, width[, channels]); rows of pixels become squares.

    Floats that are whole numbers above 1 are levels 0 to 255.

    Raises:
        InputError: rows of another number of pixels than a square has.
    """
    images = np.asarray(values)
    if images.ndim == 2:
        side = math.isqrt(images.shape[1])
        if side**2 != images.shape[1] or not side:
            raise InputError(
                f"{name}: {images.shape[1]} pixels an image are no square; give images of shape "
                "(n, height, width)"
            )
        images = images.reshape(-1, side, side)
    if images.dtype.kind == "f" and images.size and 1 < images.max() <= 255 and images.min() >= 0:
        levels = images.astype(np.uint8)
        images = levels if (levels == images).all() else images
    return images


def labels_of(values: Any, name: str) -> np.ndarray:
    """Return labels (n,), whole numbers from 0 or texts.

    Raises:
        InputError: several labels an image, or labels of another kind.
    """
    labels = np.asarray(values)
    if labels.ndim == 2 and 1 in labels.shape:
        labels = labels.ravel()
    if labels.ndim != 1:
        raise InputError(f"{name}: labels of shape {labels.shape}; give one label an image")
    if labels.dtype.kind in "OS":
        labels = np.array([x.decode() if isinstance(x, bytes) else str(x) for x in labels.tolist()])
    if labels.dtype.kind == "f" and (labels == np.rint(labels)).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iuU" or (labels.dtype.kind == "i" and (labels < 0).any()):
        what = labels[labels < 0][0] if labels.dtype.kind == "i" else labels.dtype
        raise InputError(f"{name}: labels are {what}; give class numbers from 0, or names")
    return labels
