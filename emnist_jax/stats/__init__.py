"""Statistics of labelled curves: xarray objects in, xarray objects out.

Curves are an `xarray.Dataset` whose dimensions are hyperparameters, `seed` and `epoch` (0 is before
any update), with the variables `train_error`, `train_accuracy`, `valid_error` and `valid_accuracy`;
accuracies are fractions in [0, 1]. A diverged trial holds NaN from the epoch it diverged on.
NaN is never dropped in silence: it propagates, or the result counts it.

`docs/statistics.md` explains each statistic in plain words, with its formula and source.
"""

from emnist_jax.stats.comparisons import performance_profile, rank_correlation, regret
from emnist_jax.stats.curves import (
    best,
    best_index,
    diverged,
    early_stopping,
    fraction_reached,
    median_time,
    selection_bias,
    time_to_target,
)
from emnist_jax.stats.intervals import interval, paired, seeds_needed, two_proportions, wilson
from emnist_jax.stats.tuning import best_after_k, difference_after_k, good_share, sensitivity

__all__ = [
    "best",
    "best_after_k",
    "best_index",
    "difference_after_k",
    "diverged",
    "early_stopping",
    "fraction_reached",
    "good_share",
    "interval",
    "median_time",
    "paired",
    "performance_profile",
    "rank_correlation",
    "regret",
    "seeds_needed",
    "selection_bias",
    "sensitivity",
    "time_to_target",
    "two_proportions",
    "wilson",
]
