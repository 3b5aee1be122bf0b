"""Curves of sweeps trained apart, such as the jobs of a cluster's array, made one."""

import json

import numpy as np
import xarray as xr

from emnist_jax.errors import InputError
from emnist_jax.store.checkpoint import check_same
from emnist_jax.store.curves import settings_of
from emnist_jax.store.provenance import runs_of

# What the parts may differ in: what they were split by, and the code that trained each of them.
APART = ("settings", "seeds", "dims", "code", "versions")


def join(*curves: xr.Dataset) -> xr.Dataset:
    """Return the curves of one sweep from those of its parts, split by seeds, settings or both.

    Every setting must be there with every seed. A trial that several parts hold must be equal in
    all. The provenance names the runs of all parts.

    Raises:
        InputError: parts of other data, models, rules, epochs and so on, or trials that are missing
            or differ.
    """
    if not curves or not all(isinstance(one, xr.Dataset) for one in curves):
        raise InputError("join: give curves, of two sweeps or more")
    first, *others = [json.loads(one.attrs.get("configuration", "{}")) for one in curves]
    if not all("settings" in one for one in (first, *others)):
        raise InputError("join: give curves as sweeps returned them; some name no settings")
    for other in others:
        check_same("the first part", first, other, ignore=APART)
    if len({tuple(sorted(one["settings"][0])) for one in (first, *others)}) > 1:
        raise InputError("join: some parts lack a hyperparameter that others name")
    parts = [_with_dimensions(one, curves).drop_attrs(deep=False) for one in curves]
    dims = parts[0].valid_error.dims
    if any(set(part.valid_error.dims) != set(dims) for part in parts):
        raise InputError(f"join: some parts lack a dimension of {', '.join(map(str, dims))}")
    trial = [dim for dim in dims if dim != "epoch"]
    there = [part.assign(there=xr.ones_like(part.valid_error.isel(epoch=0))) for part in parts]
    conflict = InputError("join: a trial is in two parts, with other curves in each")
    try:
        whole = xr.merge(there, compat="no_conflicts", join="outer", combine_attrs="drop")
    except xr.MergeError:
        raise conflict from None
    for part in there:  # to `merge` NaN is nothing; here it is a trial that diverged
        held = whole.sel({dim: part[dim] for dim in trial}).transpose(*part.valid_error.dims)
        if not part.equals(held):
            raise conflict
    missing = int(whole.there.isnull().sum())
    if missing:
        raise InputError(f"join: {missing} of {whole.there.size} trials are in none of the parts")
    order = {
        dim: list(dict.fromkeys(v for part in parts for v in part[dim].values.tolist()))
        for dim in trial
    }
    whole = whole.drop_vars("there").sel(order).transpose(*dims)
    if "sample" in whole.dims:
        whole = whole.drop_vars("sample")
    return whole.assign_attrs(_attributes(curves, first, whole, trial))


def _with_dimensions(one: xr.Dataset, curves: tuple[xr.Dataset, ...]) -> xr.Dataset:
    """Return curves whose hyperparameters have a dimension if they differ between the parts."""
    if "sample" in one.dims:  # samples are known by their settings, not by their place
        names = [name for name, values in one.coords.items() if values.dims == ("sample",)]
        settings = zip(*(one[name].values.tolist() for name in names), strict=True)
        return one.assign_coords(sample=[json.dumps(setting) for setting in settings])
    scalars = [name for name, values in one.coords.items() if not values.dims]
    varied = {
        name
        for name in scalars
        if len({v for each in curves for v in np.atleast_1d(each[name].values).tolist()}) > 1
    }
    return one.expand_dims(sorted(varied))


def _attributes(
    curves: tuple[xr.Dataset, ...], first: dict, whole: xr.Dataset, dims: list[str]
) -> dict[str, object]:
    """Return the provenance of the whole: the first part's, all settings and seeds, all runs."""
    settings = settings_of(whole, first["settings"][0])
    held = {"settings": settings, "seeds": whole.seed.values.tolist(), "dims": dims}
    runs = [run for one in curves for run in runs_of(one)]
    return curves[0].attrs | {
        "configuration": json.dumps(first | held),
        "runs": json.dumps(runs),
        "wall_seconds": sum(run["wall_seconds"] for run in runs),
    }
