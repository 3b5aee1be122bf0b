"""Pictures: the one reader of files, and how a picture is made to look like training images."""

import os
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from emnist_jax.data.dataset import freeze
from emnist_jax.errors import InputError, check_choice

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".gif", ".bmp"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
BACKGROUNDS = ("white", "black")
_MAX_16_BIT = 2**16 - 1
_LIKE_PAPER = 48  # levels of 255 that paper may differ from its median, noise included
_INK = 0.25  # of full ink, from which a pixel belongs to the character


class PictureForm(NamedTuple):
    """What the images of a data set look like.

    `shape` is (height, width, channels), `paper` the median level of the outermost pixels. `extent`
    is the longer side of a character's box as a share of the image's side, the median over images;
    None where the outermost pixels are no even paper, as in photographs. `background` is what
    transparent pixels lie on.
    """

    shape: tuple[int, int, int]
    paper: int
    extent: float | None
    background: str = "white"


def form_of(images: np.ndarray, most: int = 1000, background: str = "white") -> PictureForm:
    """Return the form of images (n, height, width, channels) uint8, from the first `most`."""
    images = images[:most].astype(np.int16)
    border = _border(np.moveaxis(images, 0, 2))
    paper = int(np.median(border))
    extent = None
    if np.mean(np.abs(border - paper) <= _LIKE_PAPER) >= 0.9:
        ink = (np.abs(images - paper) > _INK * 255).any(-1)
        sides = [max(_box(one)[2:]) for one in ink if one.any()]
        extent = float(np.median(sides)) / min(images.shape[1:3]) if sides else None
    return PictureForm(tuple(map(int, images.shape[1:])), paper, extent, background)


def fit(picture: np.ndarray, form: PictureForm) -> np.ndarray:
    """Return a picture (any height, any width, channels) uint8 as an image of a form.

    A picture of one channel whose outermost pixels lie, in the median, on the other side of the
    middle grey than the training images' is taken for the opposite kind, such as dark ink on light
    paper, and inverted. A picture of the very size is otherwise left as it is. A character is cut
    out, its paper and its strongest ink brought to the levels of the training images, scaled to
    their extent and centred. A photograph, and whatever is in colour, is cropped to the shape about
    its centre and scaled.

    Raises:
        InputError: a character is to be cut out, and nothing is drawn.
    """
    paper = float(np.median(_border(picture)))
    if picture.shape == form.shape:
        opposite = picture.shape[-1] == 1 and (paper < 127.5) != (form.paper < 127.5)
        return 255 - picture if opposite else picture
    if form.extent is None or picture.shape[-1] != 1:
        return _scaled(_middle(picture, form.shape), *form.shape[:2])
    away = picture[..., 0] - paper
    ink = away / (away.ravel()[np.abs(away).argmax()] or 1)  # 0 on the paper, 1 at full ink
    if np.abs(away).max() <= _LIKE_PAPER:
        raise InputError("nothing is drawn on it: its pixels are all alike")
    return _place(np.clip(ink, 0, 1), form)


def read(
    source: str | os.PathLike[str] | BinaryIO,
    channels: int | None = None,
    background: str = "white",
    name: str | None = None,
) -> np.ndarray:
    """Return a picture (height, width, channels) uint8, grey or RGB; of several frames the first.

    Levels of 16 bits are scaled to 8. EXIF's orientation is followed.

    Args:
        source: a path, where ~ is the home, or an open file.
        channels: 1 or 3; None is 1 for what is stored as grey values without transparency, else 3.
        background: `white` or `black`, what transparent pixels lie on.
        name: what errors call the picture; its path if None.

    Raises:
        InputError: no such file, not a picture, levels of 32 bits, or wrong arguments.
    """
    name = name or f"{source}"
    if channels not in (None, 1, 3):
        raise InputError(f"{name}: pictures have 1 or 3 channels, these networks take {channels}")
    check_choice(f'background="{background}"', background, BACKGROUNDS)
    try:
        if isinstance(source, str | os.PathLike):
            source = Path(source).expanduser()
        with warnings.catch_warnings(action="ignore"), Image.open(source) as picture:
            picture.load()
            with suppress(Exception):  # damaged EXIF is none
                picture = ImageOps.exif_transpose(picture)
            picture = _in_8_bits(picture, background, name)
        if channels is None:
            channels = 1 if picture.mode in ("L", "1") else 3
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            ground = Image.new("RGBA", picture.size, background)
            picture = Image.alpha_composite(ground, picture)
        picture = picture.convert("L" if channels == 1 else "RGB")
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{name}: no such file; give the path of a PNG or JPEG") from None
    except UnidentifiedImageError:
        raise InputError(f"{name}: not a readable picture (its format is not known)") from None
    except Exception as error:  # pillow raises what the bytes lead to: OSError, struct.error, ...
        raise InputError(f"{name}: not a readable picture ({error})") from None
    return np.asarray(picture).reshape(*picture.size[::-1], channels)


def read_all(sources: Iterable[tuple[Any, str]], background: str = "white") -> np.ndarray:
    """Return pictures of one size, (n, height, width, channels) uint8, read-only.

    They are grey if every one is stored so, else RGB.

    Args:
        sources: paths or open files, and what errors call them.
        background: as in `read`.

    Raises:
        InputError: as `read`, or a picture of another size than the first.
    """
    images = []
    for source, name in sources:
        images.append(read(source, None, background, name))
        (height, width), (high, wide) = images[0].shape[:2], images[-1].shape[:2]
        if (high, wide) != (height, width):
            sizes = f"{wide}x{high} pixels, but the first image has {width}x{height}"
            raise InputError(f"{name}: {sizes}; bring all images to one size")
    pixels = np.empty((len(images), height, width, max(im.shape[2] for im in images)), np.uint8)
    for row, image in zip(pixels, images, strict=True):
        row[:] = image  # a grey image among RGB ones fills the three channels
    return freeze(pixels)


def _in_8_bits(picture: Image.Image, background: str, name: str) -> Image.Image:
    """Return a picture with levels 0 to 255; others as they are."""
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;16"):
        return picture
    levels = np.asarray(picture).astype(float)
    if picture.mode == "F" or levels.min() < 0 or levels.max() > _MAX_16_BIT:
        raise InputError(f"{name}: levels of 32 bits; store it with 8 or 16")
    clear = levels == picture.info.get("transparency", -1)
    levels[clear] = _MAX_16_BIT if background == "white" else 0
    return Image.fromarray(np.rint(levels * 255 / _MAX_16_BIT).astype(np.uint8))


def _border(picture: np.ndarray) -> np.ndarray:
    """Return the outermost pixels of (height, width, ...)."""
    edges = (picture[0], picture[-1], picture[1:-1, 0], picture[1:-1, -1])
    return np.concatenate([edge.reshape(-1) for edge in edges])


def _box(ink: np.ndarray) -> tuple[int, int, int, int]:
    """Return the first row and column, the height and the width of what is True."""
    rows, columns = np.flatnonzero(ink.any(1)), np.flatnonzero(ink.any(0))
    top, left = int(rows[0]), int(columns[0])
    return top, left, int(rows[-1]) + 1 - top, int(columns[-1]) + 1 - left


def _place(ink: np.ndarray, form: PictureForm) -> np.ndarray:
    """Return ink (height, width), 0 to 1, cut out, scaled and centred on a form's paper."""
    top, left, high, wide = _box(ink > _INK)
    height, width, channels = form.shape
    scale = form.extent * min(height, width) / max(high, wide)
    new_high, new_wide = (max(1, round(scale * side)) for side in (high, wide))
    cut = np.round(255 * ink[top : top + high, left : left + wide]).astype(np.uint8)
    small = _scaled(cut[..., None], min(new_high, height), min(new_wide, width))[..., 0]
    small = small / max(int(small.max()), 1)  # thin lines pale when they shrink
    placed = np.zeros((height, width))
    top, left = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    placed[top : top + small.shape[0], left : left + small.shape[1]] = small
    full = 255 if form.paper < 127.5 else 0
    levels = np.round(form.paper + (full - form.paper) * placed).astype(np.uint8)
    return np.repeat(levels[..., None], channels, axis=-1)


def _middle(picture: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """Return the largest middle part of a picture that has a shape's proportions."""
    high, wide = picture.shape[:2]
    share = min(high / shape[0], wide / shape[1])
    new_high, new_wide = max(1, round(share * shape[0])), max(1, round(share * shape[1]))
    top, left = (high - new_high) // 2, (wide - new_wide) // 2
    return picture[top : top + new_high, left : left + new_wide]


def _scaled(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return (h, w, channels) uint8 at another size, every old pixel counting when it shrinks."""
    planes = map(Image.fromarray, np.moveaxis(picture, -1, 0))
    resized = [plane.resize((width, height), Image.Resampling.BICUBIC) for plane in planes]
    return np.stack(resized, axis=-1)
