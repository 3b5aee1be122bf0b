"""Named arrays on disk: one safetensors file, whole or not at all, every byte checked."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from emnist_jax.errors import InputError
from emnist_jax.results import write_whole


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
        InputError: no such file, not such a file, or a damaged one.
    """
    from safetensors import safe_open

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as stored:
            about = dict(stored.metadata())
            arrays = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        intact = about.pop("checksum") == _checksum(arrays, about)
    except Exception:  # damaged bytes raise many kinds
        intact = False
    if not intact:
        raise InputError(f"{path}: damaged, its checksum is wrong")
    return arrays, about


def _checksum(arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> str:
    digest = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].reshape(-1).view(np.uint8))
    return digest.hexdigest()
