"""What one trial's curve says: its best epoch, its speed, and the bias of picking maxima."""

import numpy as np
import xarray as xr
from scipy.special import bdtr

from emnist_jax.errors import InputError, check_choice, check_count
from emnist_jax.stats import _inputs

CURVES = ("train_error", "train_accuracy", "valid_error", "valid_accuracy")


def diverged(curves: xr.Dataset) -> xr.DataArray:
    """Per trial: does any of its curves hold NaN or inf at any epoch?"""
    _inputs.require_variables(curves)
    present = [curves[name] for name in CURVES if name in curves]
    if not present:
        raise InputError(f"no curve in the data: expected one of {', '.join(CURVES)}")
    bad = sum(~np.isfinite(curve) for curve in present) > 0
    _inputs.require_dims(bad, "epoch")
    return bad.any("epoch").rename("diverged")


def best_index(curves: xr.Dataset, by: str = "valid_accuracy") -> xr.DataArray:
    """Per trial: position along `epoch` of its best epoch.

    The highest accuracy, ties to the lower error of the same part; or, for `by` an error, the
    lowest error, ties to the higher accuracy; then the earliest epoch. Epoch 0 takes part.
    Epochs where either is not finite do not; a trial without any finite epoch gets 0.

    Use it as an index: `curves.isel(epoch=best_index(curves))`, or use `best`.

    Raises:
        InputError: `by` or its partner (error for accuracy) is not among the curves.
    """
    score, tie = _score_and_tie(curves, by)
    tie = tie.where(score == score.max("epoch"), -np.inf)
    return tie.argmax("epoch").rename("epoch_index")


def best(curves: xr.Dataset, by: str = "valid_accuracy") -> xr.Dataset:
    """Per trial: all curves at the epoch that `best_index` selects.

    A trial that diverged counts with its best finite epoch (epoch 0 at the least) and is marked.

    Returns:
        The curves without `epoch`; `best_epoch` (float; NaN, like the curves, when a trial has no
        finite epoch) and `diverged` (bool). `best(curves).diverged.sum("seed")` counts.

    Raises:
        InputError: as `best_index`.
    """
    return _at(curves, best_index(curves, by), by)


def early_stopping(curves: xr.Dataset, patience: int = 5, by: str = "valid_accuracy") -> xr.Dataset:
    """Per trial: what training would have returned that stops when nothing improves any more.

    It stops after the first epoch that lies `patience` epochs after the best one so far, and
    returns the best one. Best is what `best` calls so: an equal accuracy with a lower error is an
    improvement. A diverged epoch is none, so a diverged trial stops as any other.

    Args:
        curves: trained without stopping, so that the answer is exact for every patience.
        patience: epochs without an improvement after which training stops.
        by: the curve that decides, as in `best`.

    Returns:
        As `best`, for the epochs until it stopped: the curves at `best_epoch`, and `diverged` (of
        the whole curves). `epochs` (float) is the number trained, and inf where training had not
        stopped by the last epoch: that trial is censored, and what it returns may not be final.
        `stopped` (bool) marks the others; `median_time(found.epochs)` deals with both.

    Raises:
        InputError: as `best_index`, or a patience that is no whole number above 0.
    """
    check_count("patience", patience)
    scores, ties = (each.transpose("epoch", ...) for each in _score_and_tie(curves, by))
    _require_epochs(curves)
    epochs = curves.epoch.values
    like = scores.isel(epoch=0, drop=True)
    index, spent = np.zeros(like.shape, int), np.full(like.shape, np.inf)
    top, top_tie = (np.full(like.shape, -np.inf) for _ in range(2))
    for i, epoch in enumerate(epochs):
        now, now_tie = scores.values[i], ties.values[i]
        going = np.isinf(spent)
        better = going & ((now > top) | ((now == top) & (now_tie > top_tie)))
        index = np.where(better, i, index)
        top, top_tie = np.where(better, now, top), np.where(better, now_tie, top_tie)
        spent = np.where(going & (epoch - epochs[index] >= patience), epoch, spent)
    found = _at(curves, like.copy(data=index), by)
    return found.assign(epochs=like.copy(data=spent), stopped=like.copy(data=np.isfinite(spent)))


def selection_bias(accuracy: xr.DataArray, dim: str = "seed") -> xr.Dataset:
    """Four answers to "how good is this setting", and how much picking each seed's maximum adds.

    Args:
        accuracy: validation accuracy (higher is better) with the dimensions `dim` and `epoch`.
        dim: the dimension of repetitions.

    Returns:
        Per setting: `mean_of_maxima`, the mean over seeds of each seed's best epoch, biased upward;
        `max_of_mean` and its `max_of_mean_epoch`, the best epoch of the mean curve, slightly
        biased; `held_out`, each seed read at the epoch the OTHER seeds' mean curve selects, then
        averaged: free of the bias (NaN with one seed); `last`, the mean at the last epoch; `bias` =
        `mean_of_maxima` - `held_out`; `diverged`, the number of seeds with missing values. A mean
        is NaN at an epoch where a seed is, so the mean curve is maximised over the epochs that all
        seeds reached; `last` and `held_out` are NaN when what they read is.

    Raises:
        InputError: `dim` or `epoch` is not a dimension, or `epoch` has no coordinate.
    """
    _inputs.require_dims(accuracy, dim)
    _require_epochs(accuracy)
    x = accuracy.astype(float)
    x = x.where(np.isfinite(x))
    mean = x.mean(dim, skipna=False)
    read = []
    for i in range(x.sizes[dim]):
        others = x.isel({dim: [j for j in range(x.sizes[dim]) if j != i]})
        pick = others.mean(dim, skipna=False) if others.sizes[dim] else mean * np.nan
        index = pick.fillna(-np.inf).argmax("epoch")
        own = x.isel({dim: i}, drop=True).isel(epoch=index, drop=True)
        read.append(own.where(pick.notnull().any("epoch")))
    values = {
        "mean_of_maxima": x.max("epoch").mean(dim, skipna=False),
        "max_of_mean": mean.max("epoch"),
        "max_of_mean_epoch": mean.idxmax("epoch"),
        "held_out": xr.concat(read, dim).mean(dim, skipna=False),
        "last": mean.isel(epoch=-1, drop=True),
        "diverged": x.isnull().any("epoch").sum(dim),
    }
    out = xr.Dataset(values)
    return out.assign(bias=out.mean_of_maxima - out.held_out)


def time_to_target(
    curves: xr.Dataset, target: xr.DataArray | float, by: str = "valid_accuracy"
) -> xr.Dataset:
    """Per trial: training time until a curve first reaches `target`, in whole epochs and seconds.

    A trial that never reaches it, diverged ones included, is censored: its time is inf.

    Args:
        curves: with `attrs["seconds_per_epoch"]`, the training seconds of one trial for one epoch,
            where seconds are wanted.
        target: accuracy to reach or exceed; for `by` an error, the error to reach or go below.
        by: the curve.

    Returns:
        `epochs` (float), `reached` (bool), and `seconds` = epochs x seconds_per_epoch where known.

    Raises:
        InputError: unknown curve, or no coordinate `epoch`.
    """
    _inputs.require_variables(curves, by)
    curve = curves[by]
    _require_epochs(curve)
    hit = curve <= target if _is_error(by) else curve >= target  # NaN compares false
    epochs = curve.epoch.astype(float).where(hit).min("epoch").fillna(np.inf)
    out = xr.Dataset({"epochs": epochs, "reached": np.isfinite(epochs)})
    if "seconds_per_epoch" in curves.attrs:
        out["seconds"] = epochs * float(curves.attrs["seconds_per_epoch"])
    return out


def median_time(times: xr.DataArray, dim: str = "seed", *, level: float = 0.95) -> xr.Dataset:
    """Median over seeds of times in which inf means "not reached", with a rank interval.

    All trials of a sweep train equally long, so the Kaplan-Meier median (1958) is the smallest time
    by which at least half of the seeds have arrived; inf when fewer than half did. The interval
    between the j-th smallest and j-th largest time holds for any distribution; its confidence is
    1 - 2 P(Binomial(n, 1/2) < j). Five seeds allow 93.75 % at most: `coverage` says what it is.

    Args:
        times: for instance `time_to_target(curves, 0.8).epochs`; NaN counts as not reached.
        dim: the dimension of repetitions.
        level: confidence level wanted.

    Returns:
        `median`, `lower`, `upper` (may be inf), `n`, `censored` (trials that never arrived), and
        `coverage`, the interval's true level at n seeds.

    Raises:
        InputError: unknown `dim` or `level` outside (0, 1).
    """
    _inputs.require_dims(times, dim)
    _inputs.require_level(level)
    times = times.astype(float).fillna(np.inf)
    n = times.sizes[dim]
    ranks = np.arange(1, n // 2 + 1) if n > 1 else np.array([1])
    coverage = np.maximum(1 - 2 * bdtr(ranks - 1, n, 0.5), 0)
    j = int(max((coverage >= level).sum(), 1))
    along = {"input_core_dims": [[dim]], "output_core_dims": [["rank"]]}
    ordered = xr.apply_ufunc(np.sort, times, **along)  # ascending along rank
    ranks = {"median": (n + 1) // 2 - 1, "lower": j - 1, "upper": n - j}
    values = {name: ordered.isel(rank=rank) for name, rank in ranks.items()}
    values |= {"censored": np.isinf(times).sum(dim), "n": n, "coverage": float(coverage[j - 1])}
    return xr.Dataset(values, attrs={"level": level, "over": dim})


def fraction_reached(accuracy: xr.DataArray, after: int = 1, of: str = "best") -> xr.DataArray:
    """Per trial: accuracy after epoch `after`, as a fraction of its best or last accuracy.

    Args:
        accuracy: with the dimension and coordinate `epoch`.
        after: the epoch.
        of: "best", the highest finite accuracy of the trial; "last", at the last epoch.

    Returns:
        The ratio, without `epoch`; NaN where a diverged trial lacks either.

    Raises:
        InputError: no such epoch, or `of` is neither "best" nor "last".
    """
    _inputs.require_dims(accuracy, "epoch")
    check_choice(f'unknown reference "{of}"', of, ["best", "last"])
    if "epoch" not in accuracy.coords or after not in accuracy.epoch.values:
        raise InputError(f"no epoch {after} in the curves")
    reference = accuracy.max("epoch") if of == "best" else accuracy.isel(epoch=-1, drop=True)
    return (accuracy.sel(epoch=after, drop=True) / reference).rename("fraction_reached")


def _is_error(name: str) -> bool:
    return name.endswith("_error")


def _score_and_tie(curves: xr.Dataset, by: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Return what is to be highest, and what is when that is equal; -inf where not finite."""
    check_choice(f'unknown curve "{by}"', by, CURVES)
    names = [f"{by.split('_')[0]}_{what}" for what in ("error", "accuracy")]
    _inputs.require_variables(curves, by, *names)
    _inputs.require_dims(curves[by], "epoch")
    error, accuracy = (curves[name] for name in names)
    usable = np.isfinite(error) & np.isfinite(accuracy)
    score, tie = (-error, accuracy) if _is_error(by) else (accuracy, -error)
    return score.where(usable, -np.inf), tie.where(usable, -np.inf)


def _at(curves: xr.Dataset, index: xr.DataArray, by: str) -> xr.Dataset:
    """Return all curves at a position along `epoch` of each trial, and which trials diverged."""
    names = [name for name in curves.data_vars if "epoch" in curves[name].dims]
    _require_epochs(curves)
    at = curves[names].isel(epoch=index).reset_coords("epoch").rename(epoch="best_epoch")
    at["best_epoch"] = at.best_epoch.astype(float)
    part = by.split("_")[0]
    at = at.where(np.isfinite(at[f"{part}_error"]) & np.isfinite(at[f"{part}_accuracy"]))
    return at.assign(diverged=diverged(curves)).assign_attrs(curves.attrs)


def _require_epochs(curves: xr.Dataset | xr.DataArray) -> None:
    _inputs.require_dims(curves, "epoch")
    if "epoch" not in curves.coords:
        raise InputError('the curves lack the coordinate "epoch" (0 = before any update)')
