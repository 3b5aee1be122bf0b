"""Datasets: one loader a source, all giving one immutable `Dataset`."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from emnist_jax.data import cache, dataset, files, folder, glyphs, tfds
from emnist_jax.data.dataset import SPLITS, Dataset, Source, Split, partition, split_indices
from emnist_jax.data.pictures import BACKGROUNDS
from emnist_jax.errors import InputError, check_choice

__all__ = ["SOURCES", "SPLITS", "Dataset", "Split", "load", "split_indices"]

_TFDS_NAME = re.compile(r"[A-Za-z]\w*(/[\w.-]+)?(:[\w.]+)?", re.ASCII)  # name/config:version

_DARK = 32  # of 255: 12 bits stored in 16 reach half of it

SOURCES: dict[str, str] = {
    "glyphs": "47 classes of handwriting-like characters, drawn by the program; no download",
    "emnist/balanced": "EMNIST Balanced; other variants: byclass, bymerge, letters, digits, mnist",
    "mnist": "MNIST digits",
    "fashion_mnist": "Fashion-MNIST, 10 kinds of clothes",
    "cifar10": "CIFAR-10, 32x32 RGB",
    "<TFDS name>": "any other image dataset of TFDS (needs TensorFlow once, to prepare)",
    "<folder>": "IDX files (plain or .gz), or images in train/<class>/*.png|jpg|webp|tif|gif|bmp",
    "<file>.csv": "an image a line, label first, as on Kaggle; also .npz, .mat, .parquet",
    "<file>.zip": "EMNIST's official gzip.zip or matlab.zip; gzip.zip#letters chooses a variant",
}


def load(
    source: Any = "glyphs",
    split: str = "paper",
    *,
    size: int | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    transposed: bool | None = None,
    background: str = "white",
) -> Dataset:
    """Load a dataset and split it into train, validation and test.

    Args:
        source: `"glyphs"`; a TFDS name such as `"emnist/balanced"`; a path, where ~ is the home, of
            a folder of IDX files or images, of a .csv, .npz, .mat or .parquet file, or of a zip
            archive such as EMNIST's gzip.zip or matlab.zip (an existing path comes before a TFDS
            name; `path#letters` chooses among several variants); a pair of arrays (images, labels),
            which is split; or three such pairs, as a tuple or a dict with the keys train, valid and
            test, taken as they are.
        split: `"paper"` pools all images and gives each part a share of a fixed permutation,
            100,000 / 15,800 / 15,800 of 131,600 or the same proportions; `"official"` keeps the
            source's test part and takes validation images from its train part. See `split_indices`.
        size: number of images in all, a fixed random subset in the same proportions; for glyphs the
            number to draw.
        classes: class names, for arrays only (default: the numbers).
        name: the dataset's name, for arrays only (default: `arrays`).
        transposed: for files of arrays, whether their images lie transposed; None takes EMNIST's so
            (see `emnist.as_source`).
        background: `"white"` or `"black"`, what transparent pixels of image files lie on.

    Returns:
        A `Dataset`; all its arrays are read-only. Its notes (what was not read, which orientation
        was taken) are printed on stderr, each once.

    Raises:
        InputError: the source or split does not exist, or the data is unusable; one line says why.
    """
    check_choice(f'no split "{split}"', split, SPLITS)
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or size < 1):
        raise InputError(f"size is {size!r}; give a whole number of images above 0")
    check_choice(f'background="{background}"', background, BACKGROUNDS)
    if transposed not in (None, True, False):
        raise InputError(f"transposed is {transposed!r:.60}; give True or False")
    if isinstance(source, Dataset):
        raise InputError("this is a Dataset already; use it as it is")
    text = os.fspath(source) if isinstance(source, (str, os.PathLike)) else None
    located = None if text is None else _locate(text)
    if transposed is not None and (not located or source == "glyphs"):
        raise InputError("transposed can be given for files only")
    if text is None:
        return _from_arrays(source, split, size, classes, name or "arrays")
    if classes is not None or name is not None:
        raise InputError("classes and name can be given for arrays only")
    if text == "glyphs":
        drawn = glyphs.DEFAULT_SIZE if size is None else size
        request = ("glyphs", split, drawn)
        return cache.cached(request, "", lambda: partition(_glyphs(drawn), split))
    if located:
        how = {"transposed": transposed, "background": background}
        data = _load_path(*located, split, size, how)
        for note in data.notes:
            cache.say_once(note)
        return data
    if isinstance(source, os.PathLike) or not _TFDS_NAME.fullmatch(text):
        raise InputError(f"{text[:200]!r}: no such folder or file, and no TFDS name")
    request = ("tfds", text, split, size)
    return cache.cached(request, tfds.state(text), lambda: partition(tfds.read(text), split, size))


def _glyphs(size: int) -> Source:
    """Return glyphs whose last 12 % are their test part."""
    images, labels = glyphs.draw(size)
    n_test = len(split_indices((size, 0, 0), "paper")[2])
    parts = slice(0, size - n_test), slice(size - n_test, size)
    return Source("glyphs", glyphs.CLASSES, *(Split(images[part], labels[part]) for part in parts))


def _locate(text: str) -> tuple[Path, str | None] | None:
    """Return the existing path that `text` names and the variant after #; None if there is none."""
    try:
        if (path := Path(text).expanduser()).exists():
            return path, None
        before, mark, variant = text.rpartition("#")
        if mark and (path := Path(before).expanduser()).exists():
            return path, variant
    except (OSError, ValueError, RuntimeError) as error:  # name too long, NUL in it, no such user
        raise InputError(f"{text[:200]!r}: not a usable path ({error})") from None
    return None


def _load_path(
    path: Path, variant: str | None, split: str, size: int | None, how: dict[str, Any]
) -> Dataset:
    """Load files of arrays, alone, in a folder or in a zip archive, or an image folder."""
    request = ("path", str(path.resolve()), variant, split, size, *how.values())
    state = ""
    try:
        arrays = files.beside(path) if path.is_file() else files.in_folder(path)
        images = [] if path.is_file() or files.are_idx(arrays) else folder.image_files(path)
        if images:
            for given, word in ((variant, f'"#{variant}"'), (how["transposed"], "transposed")):
                if given is not None:
                    raise InputError(f"{path}: an image folder takes no {word}; drop it")
            found, state = [image.file for image in images], folder.left_out(path)
            read = lambda: folder.read(path, how["background"])  # noqa: E731
        elif path.is_file() and not arrays:
            found, read = [path], lambda: files.read_zip(path, variant, **how)
        elif files.are_idx(arrays) or (arrays and not folder.advice(path)):
            found, read = arrays, lambda: files.read(path, arrays, variant, **how)
        else:
            raise InputError(
                f"{path}: holds neither IDX files (emnist-balanced-train-images-idx3-ubyte.gz, "
                f"...) nor images in train/<class>/*.png or *.jpg, nor a .csv, .npz, .mat or "
                f".parquet{folder.advice(path)}"
            )
        state += cache.fingerprint(found)
        data = cache.cached(request, state, lambda: partition(_not_dark(read()), split, size))
        return replace(data, background=how["background"])
    except OSError as error:
        reason = error.strerror or error
        raise InputError(f"{error.filename or path}: cannot be read ({reason})") from None


def _not_dark(source: Source) -> Source:
    """Return a source, with a note if its levels hardly differ, such as 12 bits stored in 16."""
    top = max(part.images.max() for part in (source.train, source.test, source.valid) if part)
    if top >= _DARK:
        return source
    note = f"{source.name}: no pixel is above {top} of 255; scale the levels if they are of 12 bits"
    return source._replace(notes=(*source.notes, note))


def _from_arrays(
    source: Any, split: str, size: int | None, classes: Sequence[str] | None, name: str
) -> Dataset:
    parts = ("train", "valid", "test")
    if isinstance(source, dict):
        if set(source) != set(parts):
            given = ", ".join(map(str, source))
            raise InputError(f"{name}: give the keys train, valid and test, not {given}")
        source = tuple(source[part] for part in parts)
    is_list = isinstance(source, (tuple, list))
    if is_list and len(source) == 3:
        if size is not None:
            raise InputError(f"{name}: size cannot be given with parts split already")
        splits = list(map(dataset.as_split, source, (f"{name} {part}" for part in parts)))
        indices = tuple(np.arange(len(part)) for part in splits)
        return Dataset(*splits, _class_names(splits, classes), name, dataset.hash_indices(indices))
    if is_list and not any(hasattr(one, "__len__") and not isinstance(one, str) for one in source):
        advice = "give (images, labels), images (n, height, width[, channels]) and labels (n,)"
        raise InputError(f"{name}: {source!r:.60} is no data: {advice}")
    pool = dataset.as_split(source, name)
    return partition(Source(name, _class_names([pool], classes), pool), split, size)


def _class_names(splits: Sequence[Split], classes: Sequence[str] | None) -> tuple[str, ...]:
    if classes is not None:
        if not isinstance(classes, Sequence | np.ndarray):
            raise InputError(f"classes={classes!r:.60}: give a list of names, one a class")
        return tuple(classes)
    return tuple(map(str, range(max(int(part.labels.max()) for part in splits) + 1)))
