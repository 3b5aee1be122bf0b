"""Numbers that several experiments take from curves: tuned accuracies, means with intervals."""

import math
import re
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from flax import linen as nn

from emnist_jax.figures import plot_intervals
from emnist_jax.figures.style import setting
from emnist_jax.stats import best_setting, interval
from experiments._experiment import Results
from experiments._names import name
from experiments._networks import multiply_adds, parameters
from experiments.claims.measures import best_accuracy, still_rising
from experiments.claims.tuning import less_luck

Mean = tuple[float, tuple[float, float]]
"""A mean over seeds and the ends of its 95 % t interval."""
NONE: Mean = math.nan, (math.nan, math.nan)


def together(curves: Mapping[str, xr.Dataset], dim: str) -> xr.Dataset:
    """Return the seeds, settings and epochs that curves share, along a new named dimension."""
    return xr.concat(
        curves.values(),
        dim,
        combine_attrs="drop_conflicts",
        join="inner",
        coords="minimal",
        compat="override",
    ).assign_coords({dim: list(curves)})


def of_variant(runs: xr.Dataset, variant: str) -> xr.Dataset:
    """Return curves or test results as a variant of their sweep gives them; "" for its model."""
    end = f"_{variant}"
    names = {v: v.removesuffix(end) for v in map(str, runs.data_vars) if v.endswith(end)}
    return runs[list(names)].rename(names) if variant else runs


def tuned(curves: xr.Dataset) -> xr.DataArray:
    """Return each seed's best accuracy (%) at the best setting, less the luck of the choice."""
    score = best_accuracy(curves)
    if score.sizes["seed"] > 1:
        return less_luck(score)
    return score.max([dim for dim in score.dims if dim != "seed"])


def over_seeds(values: xr.DataArray) -> Mean:
    """Return the mean of values over seeds with its interval."""
    found = interval(values)
    return float(found["mean"]), (float(found.lower), float(found.upper))


def signed(found: Mean, unit: str = "points") -> str:
    """Return a difference in words: +0.52 points [0.31, 0.73]."""
    mean, (lower, upper) = found
    named = f" {unit}" if unit else ""
    return f"{mean:+.2f}{named} [{lower:.2f}, {upper:.2f}]"


def plot_means(panels: Mapping[str, Mapping[str, Mean]], **about):
    """Draw means over seeds with their intervals, a row each, in panels by title."""
    rows = [[(mean, *bounds) for mean, bounds in found.values()] for found in panels.values()]
    labels, numbers = next(iter(panels.values())), np.moveaxis(rows, -1, 0)
    return plot_intervals(list(labels), *numbers, titles=list(panels), **about)


def plot_differences(panels: Mapping[str, Mapping[str, Mean]], xlabel: str, **about):
    """Draw mean differences over seeds with their intervals."""
    note = "mean difference and 95 % t interval over seeds"
    return plot_means(panels, reference=0, xlabel=xlabel, note=note, **about)


def gain(one: xr.Dataset, other: xr.Dataset) -> Mean:
    """Return what one network or rule gains over another, in points, both at their best setting."""
    return over_seeds(tuned(one) - tuned(other))


def gains(runs: Results, pairs: Mapping[str, tuple[str, str]]) -> dict[str, Mean]:
    """Return, by words, what the first of each pair of runs gains over the second."""
    return {words: gain(runs[one], runs[other]) for words, (one, other) in pairs.items()}


def plot_gains(runs: Results, pairs: Mapping[str, tuple[str, str]]):
    """Draw the gains with their intervals."""
    return plot_differences({"": gains(runs, pairs)}, "best validation accuracy, points")


def perhaps_not_done(curves: Mapping[str, xr.Dataset]) -> str:
    """Return which curves still rise at the end, at their best setting."""
    late = [words for words, one in curves.items() if still_rising(best_setting(one))]
    return f"Still rising at the end, and perhaps not done: {', '.join(late) or 'none'}."


def size_row(model: nn.Module, curves: xr.Dataset, **more: xr.DataArray) -> dict[str, object]:
    """Return a network's size, its tuned accuracy, more of it, and its time, for a table."""
    mean, bounds = over_seeds(tuned(curves))
    row = {
        "parameters": parameters(model),
        "multiply-adds an image": sum(multiply_adds(model)),
        "best (%)": mean,
        "95 %": bounds,
    }
    return row | more | {"s an epoch": curves.attrs.get("seconds_per_epoch", float("nan"))}


def peak_limits(
    curves: xr.Dataset, variables: Sequence[str] = ("valid_accuracy",)
) -> tuple[float, float] | None:
    """Return limits of accuracies (%) that show peaks and declines, which take a few points.

    They leave the climb out of view; None where networks learn too little for that.
    """
    highest = max(float(curves[variable].max()) for variable in variables)
    return (60, 5 * math.ceil(20 * highest)) if curves.valid_accuracy.max() > 0.75 else None


def with_names(curves: xr.Dataset) -> xr.Dataset:
    """Return curves with the plain names of rule and network as attributes, for captions."""
    about = {key: str(curves.attrs[key]) for key in ("rule", "model") if key in curves.attrs}
    short = {key: re.sub(r",? ?classes=\d+", "", text) for key, text in about.items()}
    return curves.assign_attrs({key: name(text) for key, text in short.items()})


def adam_at(rate: float) -> str:
    """Return a rate of Adam, and that ten times the paper's is its undamped rule's."""
    undamped = " (undamped: $10^{-4}$)" if math.isclose(rate, 1e-3) else ""
    return setting("learning_rate", rate) + undamped


def with_rates(curves: xr.Dataset) -> xr.Dataset:
    """Return curves with plain names, and rates of Adam in words."""
    rates = [adam_at(rate) for rate in curves.learning_rate.values]
    return with_names(curves).assign_coords(learning_rate=rates)
