"""Small IDX files in EMNIST's official layout, written for the tests straight from the format."""

import gzip
import struct
import zipfile
from pathlib import Path

import numpy as np


def idx_bytes(array: np.ndarray) -> bytes:
    """Return the IDX file of a uint8 array."""
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def arrays(n: int, n_classes: int = 47, seed: int = 0, size: int = 28):
    """Return random upright images (n, size, size) and labels in which every class occurs first."""
    random = np.random.default_rng(seed)
    labels = np.arange(n) % n_classes
    return random.integers(0, 256, (n, size, size), dtype=np.uint8), labels.astype(np.uint8)


def emnist_files(variant="balanced", n_train=116, n_test=20, n_classes=47, first_label=0, seed=0):
    """Return {file name: bytes} of one variant, and the upright images and labels by part."""
    files, parts = {}, {}
    for part, n in (("train", n_train), ("test", n_test)):
        images, labels = arrays(n, n_classes, seed + (part == "test"))
        parts[part] = images, labels
        stored = images.transpose(0, 2, 1)
        prefix = f"emnist-{variant}-{part}"
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(idx_bytes(stored), 1)
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(idx_bytes(labels + first_label), 1)
    return files, parts


def write_folder(path: Path, files: dict[str, bytes]) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    for name, raw in files.items():
        (path / name).write_bytes(raw)
    return path


def write_zip(path: Path, files: dict[str, bytes], inside: str = "gzip/") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in files.items():
            archive.writestr(inside + name, raw)
    return path
