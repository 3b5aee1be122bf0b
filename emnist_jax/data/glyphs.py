"""`glyphs`: the 47 classes of EMNIST Balanced drawn by the program itself.

Every image is a pen line. The control points of a class's strokes (see `strokes.txt`) are jittered,
joined by Catmull-Rom curves, bent by a smooth random field, then slanted, rotated, scaled and
shifted. The line is rasterised as a sum of Gaussian dots: a dot is a product of a row and a column
profile, so a whole image is one matrix product. Only raw 64-bit draws of PCG64, which numpy keeps
stable across versions, are used.
"""

import functools
from pathlib import Path

import numpy as np

from emnist_jax.data.emnist import MERGED as CLASSES

DEFAULT_SIZE = 26_320
IMAGE_SIZE = 28
_POINTS = 120  # dots an image; the longest line is about 90 pixels long
# Images drawn together: changing it changes the images.
_CHUNK = 512

# How people differ: standard deviations, in units of the character's box unless noted otherwise.
_JITTER = 0.035  # of each control point
_BEND = 0.035  # of each of the waves of the smooth field
_WAVES = 3
_SLANT = 0.22
_ROTATION = 0.13  # radians
_LOG_SCALE = 0.13  # of each axis
_BOX = 19.0  # pixels: mean size of a character
_SHIFT = 1.3  # pixels
_LOG_WIDTH = 0.18
_PEN = 1.0  # pixels: median standard deviation of a dot
_NOISE = 0.05  # of full ink, a pixel


def draw(size: int = DEFAULT_SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Draw images (size, 28, 28, 1) uint8, ink bright on black, with their labels (size,) int32.

    The same size gives the same images; on another kind of processor a few pixels may round to
    a neighbouring level (9 pixels of 2,632 images differed by one level in a trial), which changes
    the content hash. The classes come in turn, so their counts differ by one at most. A larger
    `size` begins with the images of a smaller one.
    """
    labels = (np.arange(size) % len(CLASSES)).astype(np.int32)
    images = np.empty((size, IMAGE_SIZE, IMAGE_SIZE, 1), np.uint8)
    for chunk, start in enumerate(range(0, size, _CHUNK)):
        # A chunk is always drawn whole: its images must not depend on `size`.
        wanted = (np.arange(start, start + _CHUNK) % len(CLASSES)).astype(np.int32)
        stop = min(start + _CHUNK, size)
        images[start:stop, ..., 0] = _draw_chunk(wanted, chunk)[: stop - start]
    return images, labels


def _draw_chunk(labels: np.ndarray, chunk: int) -> np.ndarray:
    """Return the (n, 28, 28) uint8 images of `labels`."""
    random = _Random(chunk)
    n = len(labels)
    controls, curves, spacing, variants = _templates()
    first, count = variants[labels].T
    variant = first + (random.uniform(n) * count).astype(np.int64)

    control = controls[variant] + _JITTER * random.normal(n, *controls.shape[1:])
    points = curves[variant] @ control + _bend(curves[variant] @ controls[variant], random)
    points, scale = _pose(points, random)

    pen = _PEN * np.exp(_LOG_WIDTH * random.normal(n, 1))
    # A line of dots `step` apart adds up to sqrt(2 pi) * pen / step along its middle.
    step = spacing[variant] * scale
    weight = step / (np.sqrt(2 * np.pi) * pen)
    grid = np.arange(IMAGE_SIZE, dtype=np.float32) - (IMAGE_SIZE - 1) / 2
    profile = np.exp(-0.5 * ((points[..., None] - grid) / pen[..., None, None]) ** 2)
    columns, rows = profile[:, :, 0], profile[:, :, 1]
    ink = (rows * weight[..., None]).swapaxes(1, 2) @ columns

    ink = np.clip(1.7 * ink - 0.08, 0, 1) + _NOISE * random.normal(*ink.shape)
    return np.rint(255 * np.clip(ink, 0, 1)).astype(np.uint8)


def _bend(points: np.ndarray, random: "_Random") -> np.ndarray:
    """Return a smooth displacement of `points` (n, p, 2): a sum of plane waves."""
    n = len(points)
    wave = 4.0 * random.normal(n, 2, _WAVES)  # radians over one box
    phase = 2 * np.pi * random.uniform(n, 1, _WAVES)
    amplitude = _BEND * random.normal(n, _WAVES, 2)
    return np.sin(points @ wave + phase) @ amplitude


def _pose(points: np.ndarray, random: "_Random") -> tuple[np.ndarray, np.ndarray]:
    """Slant, scale, rotate and shift `points` to pixels around the image's centre.

    Returns the points (n, p, 2) and the mean scale (n, 1), in pixels a box.
    """
    n = len(points)
    slant, angle = _SLANT * random.normal(n), _ROTATION * random.normal(n)
    scale = _BOX * np.exp(_LOG_SCALE * random.normal(n, 2))
    scale[:, 0] *= 0.85  # characters are narrower than high
    shear = np.tile(np.eye(2, dtype=np.float32), (n, 1, 1))
    shear[:, 1, 0] = -slant  # y points down: a positive slant leans to the right
    turn = np.empty((n, 2, 2), np.float32)
    turn[:, 0, 0] = turn[:, 1, 1] = np.cos(angle)
    turn[:, 0, 1], turn[:, 1, 0] = np.sin(angle), -np.sin(angle)
    points = (points @ shear) * scale[:, None] @ turn
    return points + _SHIFT * random.normal(n, 1, 2), np.sqrt(scale[:, :1] * scale[:, 1:])


class _Random:
    """Uniform and normal float32 numbers from raw PCG64 draws."""

    def __init__(self, chunk: int):
        self._bits = np.random.PCG64(np.random.SeedSequence([0, chunk]))

    def uniform(self, *shape: int) -> np.ndarray:
        """Return numbers in (0, 1)."""
        count = int(np.prod(shape))
        halves = self._bits.random_raw((count + 1) // 2).view(np.uint32)[:count]
        return ((halves >> 9).astype(np.float32) + np.float32(0.5)).reshape(shape) / 2**23

    def normal(self, *shape: int) -> np.ndarray:
        """Return standard normal numbers (the inverse of their distribution at uniform ones)."""
        from scipy.special import ndtri

        return ndtri(self.uniform(*shape))


@functools.cache
def _templates() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return every variant of every class as arrays, padded to one shape.

    They are control points (v, c, 2), the box centred at 0, size 1; matrices (v, p, c) that take
    them to the dots on the curves; distances (v, p) from dot to dot, in boxes; and first variant
    and number of variants of each class (47, 2).
    """
    strokes = read_strokes()
    paths = [_parse(text) for name in CLASSES for text in strokes[name]]
    widest = max(len(control) for control, _ in paths)
    controls = np.zeros((len(paths), widest, 2), np.float32)
    curves = np.zeros((len(paths), _POINTS, widest), np.float32)
    spacing = np.zeros((len(paths), _POINTS), np.float32)
    for i, (control, arcs) in enumerate(paths):
        controls[i, : len(control)] = control
        curves[i, :, : len(control)], spacing[i] = _dots(control, arcs)
    counts = np.array([len(strokes[name]) for name in CLASSES])
    return controls, curves, spacing, np.stack([np.cumsum(counts) - counts, counts], 1)


def read_strokes() -> dict[str, list[str]]:
    """Return the variants of each class, see `strokes.txt`."""
    found: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("strokes.txt").read_text("utf-8").splitlines():
        name, _, variant = line.partition(" ")
        if name != "#":
            found.setdefault(name, []).append(variant)
    return found


def _parse(text: str) -> tuple[np.ndarray, list[list[int]]]:
    """Return control points (c, 2) and the smooth arcs between corners (lists of point numbers)."""
    control: list[list[float]] = []
    arcs: list[list[int]] = []
    for stroke in text.split("|"):
        arc: list[int] = []
        for word in stroke.split():
            control.append([float(number) / 100 - 0.5 for number in word.rstrip("!").split(",")])
            arc.append(len(control) - 1)
            if word.endswith("!"):
                arcs.append(arc)
                arc = [arc[-1]]
        arcs.append(arc)
    return np.array(control), [arc for arc in arcs if len(arc) > 1]


def _dots(control: np.ndarray, arcs: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return the matrix (p, c) from control points to evenly spaced dots, and the spacing (p,)."""
    fine = [_catmull_rom(arc, len(control)) for arc in arcs]
    steps = [np.linalg.norm(np.diff(matrix @ control, axis=0), axis=1) for matrix in fine]
    lengths = np.array([step.sum() for step in steps])
    # Every arc gets dots in proportion to its length; the longest takes what rounding leaves.
    share = np.maximum(2, np.floor(_POINTS * lengths / lengths.sum())).astype(int)
    share[np.argmax(lengths)] += _POINTS - share.sum()
    matrices, spacing = [], []
    for matrix, step, length, count in zip(fine, steps, lengths, share, strict=True):
        along = np.concatenate([[0], np.cumsum(step)])
        wanted = np.linspace(0, length, count)
        upper = np.clip(np.searchsorted(along, wanted), 1, len(along) - 1)
        part = ((wanted - along[upper - 1]) / step[upper - 1])[:, None]
        matrices.append((1 - part) * matrix[upper - 1] + part * matrix[upper])
        spacing.append(np.full(count, length / (count - 1)))
    return np.concatenate(matrices), np.concatenate(spacing)


def _catmull_rom(arc: list[int], n_control: int, per_span: int = 24) -> np.ndarray:
    """Return the matrix (m, n_control) of a uniform Catmull-Rom curve through the points `arc`."""
    eye = np.eye(n_control)[arc]
    padded = np.concatenate([2 * eye[:1] - eye[1:2], eye, 2 * eye[-1:] - eye[-2:-1]])
    t = np.linspace(0, 1, per_span, endpoint=False)[:, None]
    basis = 0.5 * np.concatenate(
        [-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2], 1
    )
    spans = [basis @ padded[i : i + 4] for i in range(len(arc) - 1)]
    return np.concatenate([*spans, eye[-1:]])
