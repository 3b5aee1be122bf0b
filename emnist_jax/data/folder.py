"""Image folders: `train/<class>/*.png|jpg|...`, optionally `test/` and `valid/` like it."""

import os
import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emnist_jax.data import pictures
from emnist_jax.data.dataset import Source, Split, freeze
from emnist_jax.data.tables import PARTS
from emnist_jax.errors import InputError, nearest

_IGNORED = ("thumbs.db", "desktop.ini")
_MAX_LISTED = 8


class Image(NamedTuple):
    """An image of a folder, its part and the name of its class."""

    part: str
    label: str
    file: os.DirEntry[str]


def image_files(path: Path) -> list[Image]:
    """Return every image of an image folder, sorted by part, class and name; empty if it is none.

    Hidden files and folders are passed over; so are images elsewhere, see `left_out`. Names of
    classes are composed (Unicode's NFC), as they mean the same on every system. Two that are one
    part, such as val/ and valid/, are an `InputError`.
    """
    found = []
    for part in ("train", "test", "valid"):
        folders = [entry for entry in _part_folders(path) if PARTS[entry.name.lower()] == part]
        filled = [f.name for f in folders if any(map(_images, _folders(f)))]
        if len(filled) > 1:
            raise InputError(f"{path}: {' and '.join(filled)} are both the {part} part; keep one")
        for entry in folders:
            found += [
                Image(part, unicodedata.normalize("NFC", label.name), file)
                for label in _folders(entry)
                for file in _images(label)
            ]
    return found


def left_out(path: Path) -> str:
    """Return one line that counts and names what `image_files` passes over; empty if nothing."""
    found: Counter[str] = Counter()
    empty = []
    for part in _part_folders(path):
        for entry in _entries(part):
            if not entry.is_dir():
                found[f"{part.name}/ (in no class)"] += 1
                continue
            where = f"{part.name}/{entry.name}/"
            if not _images(entry):
                empty.append(f"{where} holds no images")
            for folder, below, names in os.walk(entry.path):
                below[:] = [name for name in below if not name.startswith(".")]
                deep = os.path.relpath(folder, path)
                for name in filter(_counts, names):
                    if deep != os.path.normpath(where):
                        found[f"{deep}/ (deeper than a class)"] += 1
                    elif not name.lower().endswith(pictures.SUFFIXES):
                        found[f"{where} ({Path(name).suffix or 'no suffix'})"] += 1
    if outside := len(_images(path)):
        found["./ (in no class)"] = outside
    for other in _folders(path):
        inside = sum(len(_images(folder)) for folder in (other, *_folders(other)))
        if other.name.lower() not in PARTS and inside:
            found[f"{other.name}/ (neither train, valid nor test)"] += inside
    lines = [f"{count:,} in {where}" for where, count in found.items()]
    named = [*empty, *lines]
    if not named:
        return ""
    count = f"{found.total():,} files not read: " if lines else ""
    more = f" and {len(named) - _MAX_LISTED} more" if len(named) > _MAX_LISTED else ""
    return f"{path}: {count}{', '.join(named[:_MAX_LISTED])}{more}"


def advice(path: Path) -> str:
    """Return what to do with a folder that holds folders of images, but is no image folder."""
    if any(_part_folders(path)) and (line := left_out(path)):
        return f"; {line}"
    if not any(map(_images, _folders(path))):
        return ""
    if path.resolve().name.lower() in PARTS:
        return f"; it is a part of one itself, give {path.resolve().parent}"
    return f"; the class folders in it belong into {path / 'train'}/"


def read(path: Path, background: str = "white") -> Source:
    """Read an image folder; classes are the sorted folder names of `train/`.

    They are read as grey values if every one is stored so, else as RGB. No training images, a class
    that `train/` lacks, an image that cannot be read or has another size are an `InputError`.
    """
    files = image_files(path)
    classes = tuple(sorted({image.label for image in files if image.part == "train"}))
    if not classes:
        raise InputError(f"{path}: no images in train/<class>/")
    numbers = {name: number for number, name in enumerate(classes)}
    for image in files:
        if image.label not in numbers:
            hint = nearest(image.label, classes)
            raise InputError(f'{path / image.part}: class "{image.label}" is not in train/: {hint}')
    pixels = pictures.read_all(((image.file.path, image.file.path) for image in files), background)
    labels = np.array([numbers[image.label] for image in files], np.int32)
    splits = {}
    for part in {image.part for image in files}:
        rows = np.flatnonzero([image.part == part for image in files])
        rows = slice(rows[0], rows[-1] + 1)
        splits[part] = Split(pixels[rows], freeze(labels[rows].copy()))
    notes = (line,) if (line := left_out(path)) else ()
    return Source(path.resolve().name, classes, **splits, notes=notes)


def _entries(path: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    if not os.path.isdir(path):
        return []
    with os.scandir(path) as entries:
        return sorted((e for e in entries if _counts(e.name)), key=lambda e: e.name)


def _counts(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in _IGNORED


def _folders(path: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    return [entry for entry in _entries(path) if entry.is_dir()]


def _part_folders(path: Path) -> list[os.DirEntry[str]]:
    return [entry for entry in _folders(path) if entry.name.lower() in PARTS]


def _images(class_folder: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    return [e for e in _entries(class_folder) if e.name.lower().endswith(pictures.SUFFIXES)]
