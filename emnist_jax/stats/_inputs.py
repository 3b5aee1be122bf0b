"""Checks and preparations that several statistics share."""

from collections.abc import Sequence
from os import PathLike

import numpy as np
import xarray as xr

from emnist_jax.errors import InputError, check_choice, nearest


def require_dims(x: xr.DataArray | xr.Dataset, *dims: str) -> None:
    """Raise `InputError` unless `x` has every dimension named."""
    for dim in dims:
        if dim not in x.dims:
            what = f'"{x.name}"' if getattr(x, "name", None) else "the data"
            raise InputError(f'{what} has no dimension "{dim}": {nearest(dim, map(str, x.dims))}')


def require_variables(curves: xr.Dataset, *names: str) -> None:
    """Raise `InputError` unless `curves` is a Dataset with every variable named."""
    if not isinstance(curves, xr.Dataset):
        path = isinstance(curves, str | PathLike)
        hint = "; read a file's with ej.load_curves" if path else ""
        raise InputError(f"curves must be an xarray.Dataset, not {type(curves).__name__}{hint}")
    for name in names:
        check_choice(f'no curve "{name}"', name, map(str, curves.data_vars))


def require_level(level: float) -> None:
    """Raise `InputError` unless `level` is a confidence level, such as 0.95."""
    if not 0 < level < 1:
        raise InputError(f"level must be between 0 and 1 (0.95 for 95 %), not {level}")


def common_seeds(a: xr.DataArray, b: xr.DataArray, dim: str) -> np.ndarray:
    """Return the labels along `dim` that both have; fewer than two are an `InputError`."""
    for x in (a, b):
        require_dims(x, dim)
        if dim not in x.coords:
            raise InputError(f'pairing needs the labels of "{dim}": give both a coordinate "{dim}"')
    labels = np.intersect1d(a[dim].values, b[dim].values)
    if len(labels) < 2:
        raise InputError(f'pairing needs two or more common values of "{dim}", found {len(labels)}')
    return labels


def require_same_settings(a: xr.DataArray, b: xr.DataArray, dim: str) -> None:
    """Raise `InputError` unless `a` and `b` agree along every dimension but `dim`.

    Scalar coordinates may differ: they say which settings were selected.
    """
    try:
        xr.align(a, b, join="exact", exclude=[dim])
    except ValueError as error:
        advice = "select the same ones, in the same order"
        raise InputError(f"the two sides differ in their settings: {advice}") from error
    for name in set(a.coords) & set(b.coords):
        one, other = a[name], b[name]
        if one.ndim and dim not in one.dims and not one.variable.equals(other.variable):
            raise InputError(f'the two sides differ in "{name}": they are not the same settings')


def stack_settings(
    score: xr.DataArray, over: Sequence[str] | None, seed: str, failed: float | None
) -> xr.DataArray:
    """Return float64 scores with the dimensions (..., seed, setting), without missing values.

    `over` names the dimensions that span the settings (None: all but `seed`). A score without
    `seed` gets one of length 1. Missing scores become `failed`; None makes them an `InputError`.
    """
    if not isinstance(score, xr.DataArray):
        raise InputError("scores are one variable of the curves: pass best(curves).valid_accuracy")
    over = [str(d) for d in score.dims if d != seed] if over is None else list(over)
    require_dims(score, *over)
    if "epoch" in over:
        advice = "pass best(curves).valid_accuracy, or select an epoch"
        raise InputError(f"an epoch is no setting: {advice}")
    if not over:
        raise InputError("no dimension holds the settings: name it with over=[...]")
    if seed not in score.dims:
        score = score.drop_vars(seed, errors="ignore").expand_dims(seed)
    stacked = score.astype(float).stack(setting=over, create_index=False)
    stacked = stacked.transpose(..., seed, "setting")
    missing = ~np.isfinite(stacked)
    if missing.any():
        if failed is None:
            what = f"{int(missing.sum())} of {missing.size} scores are missing (diverged trials)"
            raise InputError(f"{what}: give failed=, the score to count them at")
        stacked = stacked.where(~missing, failed)
    return stacked


def resampled_seed_weights(n: int, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Return (resamples, n) weights; a row times the scores of n seeds is one bootstrap mean."""
    return rng.multinomial(n, np.full(n, 1 / n), size=resamples) / n
