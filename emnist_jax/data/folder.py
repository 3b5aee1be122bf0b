"""Image folders: `train/<class>/*.png|jpg`, optionally `test/` and `valid/` of the same kind."""

import os
from pathlib import Path

import numpy as np

from emnist_jax.data.dataset import Source, Split, freeze
from emnist_jax.errors import InputError, nearest

_SUFFIXES = (".png", ".jpg", ".jpeg")
_PARTS = ("train", "test", "valid")


def image_files(path: Path) -> list[os.DirEntry[str]]:
    """Return every image of an image folder, sorted by part, class and name; empty if it is none.

    Hidden files and folders are passed over.
    """
    return [
        image
        for part in _PARTS
        for class_folder in _entries(path / part)
        if class_folder.is_dir()
        for image in _images(class_folder)
    ]


def advice(path: Path) -> str:
    """Return what to do with a folder that holds folders of images, but is no image folder."""
    if not any(_images(entry) for entry in _entries(path) if entry.is_dir()):
        return ""
    if path.resolve().name in _PARTS:
        return f"; it is a part of one itself, give {path.resolve().parent}"
    return f"; the class folders in it belong into {path / 'train'}/"


def read_folder(path: Path) -> Source:
    """Read an image folder; classes are the sorted folder names of `train/`.

    All images must have one size. They are read as grey values if every one is stored so, else as
    RGB.

    Raises:
        InputError: no training images, a class that `train/` lacks, an image that cannot be read or
            has another size.
    """
    files = image_files(path)
    by_part = {part: [file for file in files if _part_of(file) == part] for part in _PARTS}
    if not by_part["train"]:
        raise InputError(f"{path}: no images in train/<class>/*.png or *.jpg")
    classes = tuple(sorted({_class_of(file) for file in by_part["train"]}))
    pixels = _read_images(files)
    splits, start = {}, 0
    for part, members in by_part.items():
        if not members:
            continue
        images = pixels[start : start + len(members)]
        start += len(members)
        splits[part] = Split(images, freeze(_labels(members, classes, path / part)))
    return Source(path.resolve().name, classes, **splits)


def _entries(path: str | os.PathLike[str]) -> list[os.DirEntry[str]]:
    if not os.path.isdir(path):
        return []
    with os.scandir(path) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda e: e.name)


def _images(class_folder: os.DirEntry[str]) -> list[os.DirEntry[str]]:
    return [e for e in _entries(class_folder) if e.name.lower().endswith(_SUFFIXES)]


def _part_of(file: os.DirEntry[str]) -> str:
    return Path(file.path).parts[-3]


def _class_of(file: os.DirEntry[str]) -> str:
    return Path(file.path).parts[-2]


def _labels(files: list[os.DirEntry[str]], classes: tuple[str, ...], where: Path) -> np.ndarray:
    numbers = {name: number for number, name in enumerate(classes)}
    for name in map(_class_of, files):
        if name not in numbers:
            raise InputError(f'{where}: class "{name}" is not in train/: {nearest(name, classes)}')
    return np.array([numbers[_class_of(file)] for file in files], np.int32)


def _read_images(files: list[os.DirEntry[str]]) -> np.ndarray:
    """Return the pixels of all files, (n, h, w, c) uint8, read-only."""
    images = [_read_image(file.path) for file in files]
    height, width = images[0].shape[:2]
    channels = max(image.shape[2] for image in images)
    pixels = np.empty((len(files), height, width, channels), np.uint8)
    for row, image, file in zip(pixels, images, files, strict=True):
        if image.shape[:2] != (height, width):
            raise InputError(
                f"{file.path}: {image.shape[1]}x{image.shape[0]} pixels, but the first image has "
                f"{width}x{height}; bring all images to one size"
            )
        row[:] = image  # a grey image among RGB ones fills the three channels
    return freeze(pixels)


def _read_image(path: str) -> np.ndarray:
    """Return one image (h, w, 1 or 3) uint8; colour maps and transparency become RGB."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            grey = image.mode in ("L", "1")
            return np.asarray(image.convert("L" if grey else "RGB")).reshape(*image.size[::-1], -1)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path}: not a readable image ({error})") from None
