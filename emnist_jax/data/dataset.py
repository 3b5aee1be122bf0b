"""`Dataset`: images and labels in three parts, immutable, and how a source is split into them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from emnist_jax.errors import InputError, check_choice

SPLITS = ("paper", "official")
SPLIT_SEED = 2017
_POOLED_HELD_OUT = (15_800, 131_600)  # validation, and again test, of the whole pool
_OFFICIAL_VALID = (15_800, 115_800)  # validation of the official train part
_MAX_LISTED = 5


@dataclass(frozen=True, eq=False, repr=False)
class Split:
    """One part of a dataset: read-only images (n, h, w, c) uint8 and labels (n,) int32.

    Accepts images of shape (n, h, w) or (n, h, w, c), as integers 0 to 255 or as floats in [0, 1].

    Raises:
        InputError: wrong shape, type or range, NaN, no images, or another number of labels.
    """

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        images, labels = _as_images(self.images), _as_labels(self.labels)
        if len(images) != len(labels):
            given = f"{len(images)} images but {len(labels)} labels"
            raise InputError(f"{given}; give one label an image")
        object.__setattr__(self, "images", images)
        object.__setattr__(self, "labels", labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        return f"{len(self):,} images of {'x'.join(map(str, self.images.shape[1:]))}"

    @cached_property
    def hash(self) -> str:
        """sha256 of shape, pixels and labels."""
        digest = hashlib.sha256(repr(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images))
        digest.update(np.ascontiguousarray(self.labels.astype("<i4")))
        return digest.hexdigest()


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Train, validation and test images of one source; immutable.

    `dataclasses.replace(data, valid=(images, labels))` swaps a part. `hash` identifies the contents
    (parts and classes, not the name); `split_hash` identifies the index arrays that the source was
    split with, in the order train, validation, test of the source's own parts. `notes` are lines on
    how the source was read: what was left out, which orientation was taken. `background` is what
    transparent pixels of its files lie on.

    Raises:
        InputError: the parts' images differ in shape, a label is outside the classes, there is one
            class, or a class name is not UTF-8 or another's too.
    """

    train: Split
    valid: Split
    test: Split
    classes: tuple[str, ...]
    name: str
    split_hash: str = ""
    notes: tuple[str, ...] = ()
    background: str = "white"

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(map(str, self.classes)))
        object.__setattr__(self, "name", _printable(self.name))
        object.__setattr__(self, "notes", tuple(map(_printable, self.notes)))
        for name in self.classes:
            if name != _printable(name):
                raise InputError(f"{self.name}: class name {name!a} is not UTF-8; rename it")
            if self.classes.count(name) > 1:
                raise InputError(f"{self.name}: two classes are called {name!r}; rename one")
        n = len(self.classes)
        if n < 2:
            raise InputError(f"{self.name}: one class is nothing to learn; give two or more")
        for part in ("train", "valid", "test"):
            where = f"{self.name} {part}"
            object.__setattr__(self, part, as_split(getattr(self, part), where))
            split, size = getattr(self, part), self.train.images.shape[1:]
            if split.images.shape[1:] != size:
                given = f"{part} images are {split.images.shape[1:]}, train images {size}"
                raise InputError(f"{self.name}: {given}; give one size")
            if len(outside := np.unique(split.labels[split.labels >= n])):
                shown = ", ".join(map(str, outside[:_MAX_LISTED]))
                raise InputError(f"{where}: label {shown} is outside the {n} classes 0..{n - 1}")

    def __repr__(self) -> str:
        head = f"{self.name}: {len(self.classes)} classes, hash {self.hash[:12]}"
        parts = (f"  {part:5} {getattr(self, part)!r}" for part in ("train", "valid", "test"))
        return "\n".join([head, *parts])

    @cached_property
    def hash(self) -> str:
        """sha256 of the contents: the three parts and the class names."""
        parts = [self.train.hash, self.valid.hash, self.test.hash, *self.classes]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class Source(NamedTuple):
    """What a reader gives: the source's own parts, not split yet."""

    name: str
    classes: tuple[str, ...]
    train: Split
    test: Split | None = None
    valid: Split | None = None
    notes: tuple[str, ...] = ()


def as_split(value: Any, name: str) -> Split:
    """Return a Split, or a pair (images, labels) made one; an `InputError` begins with `name`."""
    if isinstance(value, Split):
        return value
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        raise InputError(f"{name}: expected a pair (images, labels), got {type(value).__name__}")
    try:
        return Split(*value)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


def permutation(n: int) -> np.ndarray:
    """Return THE fixed permutation of 0 .. n-1: the order that sorts n raw draws of PCG64(2017).

    The raw 64-bit stream of PCG64 and a stable sort are the same in every numpy version, which
    `Generator.permutation` does not promise.
    """
    return np.argsort(np.random.PCG64(SPLIT_SEED).random_raw(n), kind="stable")


def split_indices(
    parts: tuple[int, int, int], split: str, size: int | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the index arrays of train, validation and test into the pool of a source's parts.

    `paper` permutes the whole pool: the first images train, 15,800 / 131,600 of them validation, as
    many test. `official` permutes the official train part, whose last 15,800 / 115,800 become
    validation, unless the source has its own validation part; its test part is test. Shares are
    rounded to the nearest number.

    Args:
        parts: number of images in the source's own train, validation and test parts (0: no such
            part); the pool has them in this order.
        split: `paper` or `official`.
        size: keep that many images in all, in the same proportions; None keeps all.

    Raises:
        InputError: no such split, no official test part, or too few images.
    """
    check_choice(f'no split "{split}"', split, SPLITS)
    total = sum(parts)
    if size is not None and not 1 <= size <= total:
        raise InputError(f"size is {size}; give 1 to {total}, the number of images there are")
    size = total if size is None else size
    n_train, n_valid, n_test = parts
    if split == "paper":
        order = permutation(total)[:size]
        held = _share(size, _POOLED_HELD_OUT)
        indices = tuple(np.split(order, [size - 2 * held, size - held]))
    else:
        if not n_test:
            raise InputError('this source has no test part; use split="paper"')
        held = 0 if n_valid else _share(n_train, _OFFICIAL_VALID)
        train, valid = np.split(permutation(n_train), [n_train - held])
        if n_valid:
            valid = np.arange(n_train, n_train + n_valid)
        test = np.arange(n_train + n_valid, total)
        indices = tuple(_subset(part, (size, total)) for part in (train, valid, test))
    if min(map(len, indices)) == 0:
        raise InputError(f"{size} images are too few for train, validation and test; give more")
    return indices


def partition(source: Source, split: str = "paper", size: int | None = None) -> Dataset:
    """Split a source as `split_indices` does; parts of different sizes are an `InputError`, too."""
    own = (source.train, source.valid, source.test)
    present = [part for part in own if part is not None]
    try:
        indices = split_indices(tuple(0 if p is None else len(p) for p in own), split, size)
    except InputError as error:
        raise InputError(f"{source.name}: {error}") from None
    shapes = {part.images.shape[1:] for part in present}
    if len(shapes) > 1:
        listed = " and ".join("x".join(map(str, shape)) for shape in sorted(shapes))
        raise InputError(f"{source.name}: its parts hold images of different sizes, {listed}")
    images = np.concatenate([part.images for part in present])
    labels = np.concatenate([part.labels for part in present])
    splits = [Split(freeze(images[index]), freeze(labels[index])) for index in indices]
    return Dataset(*splits, source.classes, source.name, hash_indices(indices), source.notes)


def _printable(text: str) -> str:
    """Return a text with what is not UTF-8, such as an old file name's bytes, as escapes."""
    return text.encode(errors="backslashreplace").decode()


def hash_indices(indices: tuple[np.ndarray, ...]) -> str:
    """Return the sha256 of the index arrays and their lengths."""
    digest = hashlib.sha256()
    for index in indices:
        digest.update(np.array([len(index)], "<i8"))
        digest.update(index.astype("<i8"))
    return digest.hexdigest()


def _share(n: int, fraction: tuple[int, int]) -> int:
    """Return n * fraction rounded half up, exactly (integers only)."""
    return (2 * n * fraction[0] + fraction[1]) // (2 * fraction[1])


def _subset(index: np.ndarray, fraction: tuple[int, int]) -> np.ndarray:
    """Return a fixed random share of `index`; all of it, in order, for the fraction 1."""
    if fraction[0] == fraction[1]:
        return index
    return index[permutation(len(index))[: _share(len(index), fraction)]]


def _as_images(values: Any) -> np.ndarray:
    images = _as_array(values, "images")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise InputError(f"images have shape {images.shape}; give (n, height, width, channels)")
    if images.shape[1] in (1, 3) and images.shape[2] == images.shape[3] > 4:
        advice = "give (n, height, width, channels): images.transpose(0, 2, 3, 1)"
        raise InputError(f"images have shape {images.shape}, channels first; {advice}")
    if images.size == 0:
        raise InputError(f"no images: the array has shape {images.shape}")
    if images.dtype == np.uint8:
        return _immutable(images)
    floating = np.issubdtype(images.dtype, np.floating)
    if not (floating or np.issubdtype(images.dtype, np.integer)):
        raise InputError(f"images are {images.dtype}; give uint8, or floats in [0, 1]")
    low, high = images.min(), images.max()  # NaN if any pixel is
    if np.isnan(low):
        raise InputError("images hold NaN; every pixel needs a number")
    if low < 0 or high > (1 if floating else 255):
        advice = "scale floats to [0, 1] or give uint8" if floating else "give integers 0 to 255"
        raise InputError(f"images range from {low:g} to {high:g}; {advice}")
    return freeze((np.rint(images * 255.0) if floating else images).astype(np.uint8))


def _as_labels(values: Any) -> np.ndarray:
    labels = _as_array(values, "labels")
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        given = f"{labels.dtype} of shape {labels.shape}"
        raise InputError(f"labels are {given}; give integers of shape (n,)")
    if len(labels) and not 0 <= labels.min() <= labels.max() <= np.iinfo(np.int32).max:
        given = f"{labels.min()} to {labels.max()}"
        raise InputError(f"labels range from {given}; give class numbers from 0")
    return _immutable(labels if labels.dtype == np.int32 else labels.astype(np.int32))


def _as_array(values: Any, what: str) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError as error:  # ragged lists
        raise InputError(f"{what} are not one array: {error}") from None


def freeze(array: np.ndarray) -> np.ndarray:
    """Make `array`, which nobody else holds, read-only in place, and return it."""
    array.flags.writeable = False
    return array


def _immutable(array: np.ndarray) -> np.ndarray:
    """Return `array` if neither it nor what it is a view of can be written to, else a copy."""
    owner = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return freeze(array.copy())
        owner = owner.base
    return array
