"""Labelled curves as figures and tables need them: checked, finite, in percent."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from emnist_jax.errors import InputError, nearest
from emnist_jax.figures.style import setting
from emnist_jax.stats import diverged
from emnist_jax.stats._inputs import require_variables
from emnist_jax.store.curves import SHARED_ORDER

Curves = xr.Dataset | Mapping[str, xr.Dataset]
"""Curves of one sweep, or of several by name."""


def quantity_of(variable: str) -> str:
    """Return `accuracy` for `valid_accuracy`."""
    return variable.rpartition("_")[2]


def finite(curves: xr.Dataset, variable: str) -> xr.DataArray:
    """Return a variable in float64 with infinities as NaN, accuracies in percent."""
    values = curves[variable].astype("float64")
    values = values.where(np.isfinite(values))
    return 100 * values if quantity_of(variable) == "accuracy" else values


def check_curves(
    curves: xr.Dataset, variables: Sequence[str], roles: Mapping[str, str | None]
) -> xr.Dataset:
    """Return curves whose only dimensions are those in `roles`, `seed` and `epoch`.

    An unknown variable or dimension, or several values of one left over are an `InputError`.
    """
    require_variables(curves, *variables)
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


def by_name(curves: Curves) -> dict[str, xr.Dataset] | None:
    """Return curves given by name as a dict, and None for those of one sweep.

    Neither, or nothing is an `InputError`.
    """
    if isinstance(curves, xr.Dataset):
        return None
    named = dict(curves) if isinstance(curves, Mapping) else {}
    if not named or not all(isinstance(one, xr.Dataset) for one in named.values()):
        raise InputError("give the curves of a sweep, or several by name: {name: curves, ...}")
    return named


def caption_parts(*curves: xr.Dataset, names: Sequence[str] = ()) -> list[str]:
    """Return what curves are of: data, rules (or their names), models, what is fixed, the seeds."""

    def common(of: str) -> str:
        return ", ".join(dict.fromkeys(str(one.attrs[of]) for one in curves if of in one.attrs))

    def fixed(one: xr.Dataset) -> list[str]:
        return [setting(str(n), one[n].item()) for n in one.coords if one[n].ndim == 0]

    parts = [common("data"), *([] if names else [common("rule")]), common("model")]
    if not names:
        parts += fixed(curves[0])
    for name, one in zip(names, curves, strict=bool(names)):
        parts.append(f"{name} at {', '.join(at)}" if (at := fixed(one)) else name)
    seeds = {one.sizes["seed"] for one in curves}
    counts = " or ".join(map(str, sorted(seeds)))
    orders = {one.attrs.get("order", "seed") for one in curves} - {"seed"}
    shared = [of if of == SHARED_ORDER else f"order {of}" for of in sorted(orders, key=str)]
    return [*filter(None, parts), f"{counts} seed{'s' * (seeds != {1})}", *shared]


def count_diverged(*curves: xr.Dataset) -> str:
    """Return how many of the trials diverged; nothing if none did."""
    lost = np.concatenate([diverged(one).values.ravel() for one in curves])
    return f"{int(lost.sum())} of {lost.size} trials diverged" if lost.any() else ""
