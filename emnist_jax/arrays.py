"""Named arrays on disk: one safetensors file, whole or not at all, every byte checked."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emnist_jax.errors import InputError
from emnist_jax.results import write_whole


class DamagedError(InputError):
    """A file whose bytes are not those that were written."""


def save(path: str | Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> Path:
    """Write arrays, text about them, and a checksum of both.

    Raises:
        InputError: the file cannot be written (missing or read-only folder, full disk).
    """
    from safetensors.numpy import save as serialise

    # order="C" keeps arrays without dimensions, which np.ascontiguousarray does not.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content = serialise(arrays, {**about, "checksum": _checksum(arrays, about)})
    return write_whole(path, content)


def load(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays that `save` wrote, and the text about them.

    Raises:
        InputError: no such file, or one that cannot be read.
        DamagedError: not such a file, or a damaged one.
    """
    from safetensors import safe_open

    path = Path(path)
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        with safe_open(path, framework="numpy") as stored:
            about = dict(stored.metadata())
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        intact = about.pop("checksum") == _checksum(arrays, about)
    except MemoryError:
        raise
    except Exception:  # damaged bytes raise many kinds
        intact = False
    if not intact:
        raise DamagedError(f"{path}: damaged, its checksum is wrong")
    return arrays, about


def _checksum(arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].reshape(-1).view(np.uint8))
    return digest.hexdigest()
