"""numpy's .npz files: images and labels, or inputs and targets, in one part or several."""

import io

import numpy as np

from emnist_jax.data.emnist import Part, Stored
from emnist_jax.data.tables import images_of, labels_of, pairs
from emnist_jax.errors import InputError


def read(raw: bytes, name: str) -> Stored:
    """Read the parts of one file.

    Raises:
        InputError: damaged, holding Python objects, or without images and labels.
    """
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            found = pairs(arrays.files, name)
            loaded = {part: [arrays[key] for key in keys] for part, keys in found.items()}
    except InputError:
        raise
    except Exception as error:  # zip, zlib and numpy's own formats each raise what they like
        raise InputError(f"{name}: not a readable .npz file ({error})") from None
    return Stored(
        {
            part: Part(images_of(images, name), labels_of(labels, name), name)
            for part, (images, labels) in loaded.items()
        }
    )
