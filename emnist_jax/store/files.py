"""Files written whole or not at all, and named arrays in them whose every byte is checked."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

from emnist_jax import hosts
from emnist_jax.errors import InputError, short


def located(path: str | os.PathLike[str]) -> Path:
    """Return a path, where ~ is the home; no such user, or what is no path is an `InputError`."""
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise InputError(f"{path}: {error}") from None
    except TypeError:
        raise InputError(f"{short(path)}: give the path of a file or folder") from None


def write_whole(path: str | Path, content: bytes) -> Path:
    """Write a file beside `path`, then rename it: `path` is whole, or as it was before.

    With several hosts the first one writes. Where it cannot (missing or read-only folder, full
    disk), the `InputError` names the path and the reason.
    """
    path = located(path)
    if not hosts.is_first():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(".tmp", f".{path.name}.", path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # else a power cut may leave the new name with no content
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "; make room and run the same command again" if full else ""
        raise InputError(f"{path}: cannot be written: {error.strerror or error}{advice}") from error
    return path


def _sync_folder(folder: Path) -> None:
    """Put a renamed file's name on the disk too, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: str | Path, text: str) -> Path:
    """Write a text file, as `write_whole`."""
    return write_whole(path, text.encode())


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of `write_whole` in a folder that no other writes to."""
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)


class DamagedError(InputError):
    """A file whose bytes are not those that were written."""


def save_arrays(
    path: str | Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str]
) -> Path:
    """Write arrays, text about them, and a checksum of both, as `write_whole`."""
    from safetensors.numpy import save as serialise

    # order="C" keeps arrays without dimensions, which np.ascontiguousarray does not.
    arrays = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    content = serialise(arrays, {**about, "checksum": _checksum(arrays, about)})
    return write_whole(path, content)


def load_arrays(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the arrays that `save_arrays` wrote, and the text about them.

    No such file, or one that cannot be read is an `InputError`; another kind of file, or a damaged
    one a `DamagedError`.
    """
    from safetensors import safe_open

    path = located(path)
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
