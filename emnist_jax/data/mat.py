"""MATLAB's .mat files, such as those of EMNIST's matlab.zip: a struct `dataset` of train, test and
mapping.
"""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from emnist_jax.data.emnist import Part, Stored, mapping_of
from emnist_jax.data.tables import images_of, labels_of, pairs
from emnist_jax.errors import InputError


def read(raw: bytes, name: str) -> Stored:
    """Read the parts and the mapping of one file.

    Raises:
        InputError: damaged, of version 7.3, or without images and labels.
    """
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
        mapping = mapping_of(np.atleast_2d(mapping).astype(int).tolist(), f"{name}: mapping")
    found = pairs(arrays, name)
    parts = {
        part: Part(images_of(arrays[images], name), labels_of(arrays[labels], name), name)
        for part, (images, labels) in found.items()
    }
    return Stored(parts, mapping)


def _flat(values: dict[str, Any], before: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of nested structs by their dotted names."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{key}.")
        elif isinstance(value, np.ndarray):
            yield f"{before}{key}", value
