"""Labelled curves on disk: netCDF with provenance, whole or not at all, damage detected."""

import hashlib
import json
from pathlib import Path

import numpy as np
import xarray as xr

from emnist_jax.errors import InputError
from emnist_jax.store.files import write_whole

SHARED_ORDER = "shared order"  # of curves of older versions, whose seeds had one minibatch order


def save_curves(curves: xr.Dataset, path: str | Path) -> Path:
    """Write curves to a netCDF file, atomically, with a checksum of everything they hold.

    Raises:
        InputError: the file cannot be written (missing or read-only folder, full disk).
    """
    curves = curves.assign_attrs(checksum=checksum(curves))
    encoding = {name: {"zlib": True, "complevel": 4} for name in curves.data_vars}
    # Made in memory first: the HDF5 library may crash the process when a disk is full.
    return write_whole(path, bytes(curves.to_netcdf(engine="h5netcdf", encoding=encoding)))


def load_curves(path: str | Path) -> xr.Dataset:
    """Return the curves that `save` wrote to a netCDF file, identical to those given to it.

    Of a folder it is the `curves.nc`, as a sweep leaves it.

    Raises:
        InputError: no file, another kind of file, or a damaged one.
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
    if "configuration" in curves.attrs and "order" not in curves.attrs:
        curves.attrs["order"] = SHARED_ORDER
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
