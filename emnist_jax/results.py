"""Labelled curves on disk: netCDF with provenance, whole or not at all, damage detected."""

import errno
import hashlib
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import xarray as xr

from emnist_jax import hosts
from emnist_jax._setup import in_notebook
from emnist_jax.errors import InputError
from emnist_jax.fingerprint import installed

PACKAGES = ("emnist_jax", "jax", "jaxlib", "flax", "optax", "numpy", "xarray")


def save(curves: xr.Dataset, path: str | Path) -> Path:
    """Write curves to a netCDF file, atomically, with a checksum of everything they hold.

    Raises:
        InputError: the file cannot be written (missing or read-only folder, full disk).
    """
    curves = curves.assign_attrs(checksum=checksum(curves))
    encoding = {name: {"zlib": True, "complevel": 4} for name in curves.data_vars}
    # Made in memory first: the HDF5 library may crash the process when a disk is full.
    return write_whole(path, bytes(curves.to_netcdf(engine="h5netcdf", encoding=encoding)))


def load(path: str | Path) -> xr.Dataset:
    """Return the curves that `save` wrote to a netCDF file, identical to those given to it.

    Of a folder it is the `curves.nc`, as a sweep leaves it.

    Raises:
        InputError: no such file, not such a file, or a damaged one.
    """
    path = Path(path)
    path = path / "curves.nc" if path.is_dir() else path
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the folder of a finished sweep")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as stored:
            curves = stored.load()
        given = curves.attrs.pop("checksum")
        intact = given == checksum(curves)
    except Exception as error:  # HDF5 raises many kinds for damaged bytes
        raise InputError(f"{path}: not readable as curves; use --overwrite to redo it") from error
    if not intact:
        raise InputError(f"{path}: damaged, its checksum is wrong; use --overwrite to redo it")
    return curves


def checksum(curves: xr.Dataset) -> str:
    """Return the sha256 of the variables, coordinates and attributes of curves."""
    digest = hashlib.sha256()
    for name in sorted(map(str, curves.variables)):
        values = np.ascontiguousarray(curves[name].values)
        digest.update(f"{name} {curves[name].dims} {values.dtype} {values.shape}".encode())
        digest.update(values.astype("U").tobytes() if values.dtype.kind in "OU" else values)
    attrs = {name: str(value) for name, value in curves.attrs.items() if name != "checksum"}
    digest.update(json.dumps(attrs, sort_keys=True).encode())
    return digest.hexdigest()


def write_whole(path: str | Path, content: bytes) -> Path:
    """Write a file beside `path`, then rename it: `path` is whole, or as it was before.

    With several hosts the first one writes.

    Raises:
        InputError: naming the path and the reason.
    """
    path = Path(path)
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
    """Write a text file, whole or not at all."""
    return write_whole(path, text.encode())


def remove_unfinished(folder: Path) -> None:
    """Remove what killed processes left of `write_whole` in a folder that no other writes to."""
    for left in folder.glob(".*.tmp"):
        left.unlink(missing_ok=True)


def provenance(configuration: Mapping[str, object]) -> dict[str, str]:
    """Return where results come from: command, configuration, versions, device and commit."""
    return {
        "command": _command(),
        "configuration": json.dumps(configuration, sort_keys=True),
        "versions": json.dumps(
            {"python": platform.python_version()} | {name: installed(name) for name in PACKAGES}
        ),
        "device": describe_devices(),
        "commit": commit(),
    }


def _command() -> str:
    """Return the command line; that of a notebook's kernel would say nothing but a file's path."""
    return "notebook" if in_notebook() else shlex.join(["python", *sys.orig_argv[1:]])


def describe_devices() -> str:
    """Return the number and model of JAX's devices: a GPU's own name, a CPU's from the system.

    >>> describe_devices()  # doctest: +SKIP
    '16 x NVIDIA H100 80GB HBM3 on 2 hosts'
    """
    import jax

    devices = jax.devices()
    among = f" on {jax.process_count()} hosts" if jax.process_count() > 1 else ""
    return f"{len(devices)} x {_describe_device(devices[0])}{among}"


def _describe_device(device) -> str:
    if device.platform != "cpu":
        return str(device.device_kind)
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        if models:
            return f"CPU core ({models[0]})"
    return f"CPU core ({platform.processor() or platform.machine()})"


def commit() -> str:
    """Return the commit of this package's checkout, with `+` where files differ from it."""
    folder = Path(__file__).parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no", "--", str(folder))
        return git("rev-parse", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
