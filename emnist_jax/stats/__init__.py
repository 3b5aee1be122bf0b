"""Statistics of labelled curves: xarray objects in, xarray objects out.

Curves are an `xarray.Dataset` whose dimensions are hyperparameters, `seed` and `epoch` (0 is before
any update), with the variables `train_error`, `train_accuracy`, `valid_error` and `valid_accuracy`;
accuracies are fractions in [0, 1]. A diverged trial holds NaN from the epoch it diverged on.
NaN is never dropped in silence: it propagates, or the result counts it.

`docs/statistics.md` explains each statistic in plain words, with its formula and source.
"""

from emnist_jax.stats.comparisons import rank_correlation, regret
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
from emnist_jax.stats.problems import (
    interquartile_mean,
    optimality_gap,
    performance_profile,
    probability_of_improvement,
    score_profile,
)
from emnist_jax.stats.sensitivity import good_share, sensitivity
from emnist_jax.stats.sequential import confidence_sequence, coverage, simulate_races
from emnist_jax.stats.tuning import best_after_k, best_setting, difference_after_k, tuned_scores

__all__ = [
    "best",
    "best_after_k",
    "best_index",
    "best_setting",
    "confidence_sequence",
    "coverage",
    "difference_after_k",
    "diverged",
    "early_stopping",
    "fraction_reached",
    "good_share",
    "interquartile_mean",
    "interval",
    "median_time",
    "optimality_gap",
    "paired",
    "performance_profile",
    "probability_of_improvement",
    "rank_correlation",
    "regret",
    "score_profile",
    "seeds_needed",
    "selection_bias",
    "sensitivity",
    "simulate_races",
    "time_to_target",
    "tuned_scores",
    "two_proportions",
    "wilson",
]
