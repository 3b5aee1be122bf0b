"""Labelled curves as figures and tables need them: checked, finite, in percent."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from emnist_jax.errors import InputError, nearest

if TYPE_CHECKING:
    import xarray as xr


def quantity_of(variable: str) -> str:
    """Return `accuracy` for `valid_accuracy`."""
    return variable.rpartition("_")[2]


def finite(curves: "xr.Dataset", variable: str) -> "xr.DataArray":
    """Return a variable in float64 with infinities as NaN, accuracies in percent."""
    values = curves[variable].astype("float64")
    values = values.where(np.isfinite(values))
    return 100 * values if quantity_of(variable) == "accuracy" else values


def check(
    curves: "xr.Dataset", variables: Sequence[str], roles: Mapping[str, str | None]
) -> "xr.Dataset":
    """Return curves whose only dimensions are those in `roles`, `seed` and `epoch`.

    Raises:
      InputError: an unknown variable or dimension, or a dimension of several values left over.
    """
    for variable in variables:
        if variable not in curves:
            known = nearest(variable, map(str, curves.data_vars))
            raise InputError(f'the curves have no variable "{variable}": {known}')
    if "seed" not in curves.dims:
        curves = curves.expand_dims("seed")
    if "epoch" not in curves.dims:
        raise InputError("the curves have no dimension epoch: pass them as a sweep returned them")
    grid = [str(dim) for dim in curves.dims if dim not in ("seed", "epoch")]
    for role, dim in roles.items():
        if dim is not None and dim not in grid:
            raise InputError(f'{role}="{dim}" is no dimension of the curves: {nearest(dim, grid)}')
    for dim in [dim for dim in grid if dim not in roles.values()]:
        if curves.sizes[dim] > 1:
            free = [role for role, used in roles.items() if used is None]
            other = f' or pass {free[0]}="{dim}"' if free else ""
            raise InputError(
                f"the curves hold {curves.sizes[dim]} values of {dim}: choose one, "
                f"curves.sel({dim}=...){other}"
            )
        curves = curves.squeeze(dim)
    return curves
