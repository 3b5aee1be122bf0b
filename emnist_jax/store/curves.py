"""Labelled curves on disk: netCDF with provenance, whole or not at all, damage detected."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import xarray as xr

from emnist_jax.errors import InputError
from emnist_jax.store.files import located, write_whole

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
    """Return the curves that `save_curves` wrote to a file, identical to those given to it.

    Of a folder it is the `curves.nc`, as a sweep leaves it.

    Raises:
        InputError: no file, another kind of file, or a damaged one.
    """
    path = located(path)
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


def settings_of(curves: xr.Dataset, names: Iterable[str]) -> list[dict[str, float]]:
    """Return the values of hyperparameters that curves are labelled with, a setting after another.

    The order is that of all dimensions but `seed` and `epoch`.

    Raises:
        InputError: the curves have no such label.
    """
    of_trial = {"seed": 0, "epoch": 0}
    grid = curves.valid_error.isel(of_trial, drop=True, missing_dims="ignore")
    columns = {}
    for name in names:
        if name not in curves.coords:
            raise InputError(f"the curves have no label {name}, which they were trained with")
        columns[name] = curves[name].broadcast_like(grid).transpose(*grid.dims).values.ravel()
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


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
