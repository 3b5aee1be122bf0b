"""The array cache: a source once split is kept as one .npz file, so that its next load takes no
time.

The file's name says what it was made from: first the request (source, split, size), then the state
of the source (size and times of every file) and of this package's code. Whatever changes, the old
file is not found, and the new one replaces it. A zip checksum guards every byte; a damaged file is
built again. A cache that cannot be written is no reason to fail: one line on stderr says so, once.
"""

import contextlib
import functools
import hashlib
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from emnist_jax._setup import cache_folder
from emnist_jax.console import show
from emnist_jax.data.dataset import Dataset, Split, freeze

_PARTS = ("train", "valid", "test")
_ABANDONED_SECONDS = 3600.0
_UNFINISHED = "emnist_jax-"  # begins the name of a file being written; the folder may be shared


def fingerprint(files: Iterable[os.DirEntry[str] | Path]) -> str:
    """Return a hash of path, size, times and identity of every file: touching one changes it."""
    stats = ((os.fspath(file), file.stat()) for file in files)
    identities = [
        f"{name}\0{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"
        for name, stat in stats
    ]
    return hashlib.sha256("\n".join(identities).encode(errors="surrogateescape")).hexdigest()


def cached(request: tuple, state: str, build: Callable[[], Dataset]) -> Dataset:
    """Return the dataset of `request`, from the cache if it is there whole, else from `build`.

    The request is the source, split, size, ..., as plain values; the `state`, such as a
    `fingerprint`, differs when the source differs.
    """
    wanted, current = _digest(repr(request)), _digest(state + _code_version())
    path = cache_folder() / f"{wanted}-{current}.npz"
    data = _read(path)
    if data is None:
        data = build()
        _write(path, data)
    return data


def _read(path: Path) -> Dataset | None:
    """Return the dataset in `path`; None if there is none or any byte of it is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:  # np.load alone misses bytes beyond a shortened shape
                return None
        with np.load(path, allow_pickle=False) as arrays:
            about = json.loads(bytes(arrays["about"]))
            parts = [
                Split(freeze(arrays[f"{part}_images"]), freeze(arrays[f"{part}_labels"]))
                for part in _PARTS
            ]
        for part, digest in zip(parts, about.pop("hashes"), strict=True):
            # Stored, not computed again: the checksum has shown that these are the same bytes.
            vars(part)["hash"] = digest
        return Dataset(*parts, **about)
    except Exception:  # whatever is wrong with a cache file, the cure is to build it again
        return None


def _write(path: Path, data: Dataset) -> None:
    """Write `data` to `path`, whole or not at all, and remove what it replaces."""
    about = {name: getattr(data, name) for name in ("classes", "name", "split_hash", "notes")}
    about["hashes"] = [getattr(data, part).hash for part in _PARTS]
    arrays = {"about": np.frombuffer(json.dumps(about).encode(), np.uint8)}
    for part in _PARTS:
        arrays[f"{part}_images"] = getattr(data, part).images
        arrays[f"{part}_labels"] = getattr(data, part).labels
    temporary = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(".tmp", _UNFINISHED, path.parent)
        with open(handle, "wb") as file:
            np.savez(file, **arrays)
        os.replace(temporary, path)
        _remove_replaced(path)
    except OSError as error:
        say_once(f"array cache not written to {path.parent}: {error.strerror or error}")
    finally:
        with contextlib.suppress(OSError):  # it has its name by now, or was never made
            os.unlink(temporary)


@functools.cache
def say_once(line: str) -> None:
    """Print a line on stderr, once; one that cannot be written is no reason to fail."""
    show(line, error=True)


def _remove_replaced(path: Path) -> None:
    """Remove what `path` replaces, and what killed processes left half-written."""
    for old in path.parent.glob(f"{path.name.split('-')[0]}-*.npz"):
        if old != path:
            old.unlink(missing_ok=True)
    for left in path.parent.glob(f"{_UNFINISHED}*.tmp"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
                left.unlink()


@functools.cache
def _code_version() -> str:
    """Return a hash of this package's files: new code never meets old arrays."""
    digest = hashlib.sha256()
    for file in sorted(filter(Path.is_file, Path(__file__).parent.iterdir())):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:24]
