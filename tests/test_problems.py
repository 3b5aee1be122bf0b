"""Rules over several problems: aggregates by hand, profiles, the stratified bootstrap."""

import numpy as np
import pytest
import xarray as xr

from emnist_jax import stats
from emnist_jax.errors import InputError


def runs(values):
    return xr.DataArray(np.asarray(values, float), dims=("problem", "seed"))


SCORES = runs([[0.1, 0.5, 0.6, 0.9], [0.2, 0.3, 0.7, 0.8]])


def test_interquartile_mean_and_optimality_gap_by_hand():
    # sorted .1 .2 | .3 .5 .6 .7 | .8 .9
    np.testing.assert_allclose(stats.interquartile_mean(SCORES).estimate, 2.1 / 4)
    # short of .75 by .65 .25 .15 0 and .55 .45 .05 0
    np.testing.assert_allclose(stats.optimality_gap(SCORES, 0.75).estimate, 2.1 / 8)


def test_score_profile_is_the_share_above():
    taus = [0.0, 0.5, 0.8]
    both = xr.concat([SCORES, SCORES + 0.05], "rule").assign_coords(rule=["a", "b"])
    found = stats.score_profile(both, taus, resamples=50)
    assert found.estimate.dims == ("rule", "tau")
    np.testing.assert_allclose(found.estimate.sel(rule="a"), [1, 4 / 8, 1 / 8])
    np.testing.assert_allclose(found.estimate.sel(rule="b"), [1, 5 / 8, 2 / 8])
    assert (found.lower <= found.estimate).all() and (found.estimate <= found.upper).all()


def test_probability_of_improvement_counts_pairs_and_half_the_ties():
    a, b = runs([[1, 2, 3], [5, 5, 5]]), runs([[2, 0], [5, 6]])
    wins = [[x > y for x in p for y in q] for p, q in zip(a.values, b.values, strict=True)]
    ties = [[x == y for x in p for y in q] for p, q in zip(a.values, b.values, strict=True)]
    found = stats.probability_of_improvement(a, b)
    np.testing.assert_allclose(found.estimate, np.mean(wins) + np.mean(ties) / 2)
    assert found.lower < found.estimate < found.upper
    one = stats.probability_of_improvement(a[0].drop_vars("problem", errors="ignore"), b[0])
    np.testing.assert_allclose(one.estimate, 4.5 / 6)


def test_the_bootstrap_draws_within_each_problem():
    # runs of a problem are equal: nothing to draw, however much the problems differ
    found = stats.interquartile_mean(runs([[0.1] * 4, [0.9] * 4, [0.4] * 4]))
    np.testing.assert_allclose([found.lower, found.upper], found.estimate)


def test_the_band_covers():
    rng, held = np.random.default_rng(0), 0
    for i in range(60):
        x = runs(rng.normal([[0], [2]], 1, (2, 20)))
        found = stats.interquartile_mean(x, resamples=100, rng=i)
        held += bool(found.lower <= 1 <= found.upper)
    assert held > 51


def test_performance_profile_by_hand():
    inf = np.inf
    cost = xr.DataArray(
        [[1, 4, inf, inf], [2, 2, 3, np.nan]],
        dims=["rule", "problem"],
        coords={"rule": ["sgd", "adam"]},
    )
    out = stats.performance_profile(cost)
    np.testing.assert_array_equal(out.tau, [1, 2])
    np.testing.assert_array_equal(out.sel(rule="sgd"), [0.25, 0.5])
    np.testing.assert_array_equal(out.sel(rule="adam"), [0.5, 0.75])
    np.testing.assert_array_equal(
        stats.performance_profile(cost, taus=[1.5]).values, [[0.25], [0.5]]
    )


def test_missing_scores_and_other_problems_are_refused():
    with pytest.raises(InputError, match="missing"):
        stats.interquartile_mean(SCORES.where(SCORES > 0.1))
    with pytest.raises(InputError, match="2 and 1 problems"):
        stats.probability_of_improvement(SCORES, SCORES[:1])
    named = SCORES.assign_coords(problem=["mnist", "cifar"])
    with pytest.raises(InputError, match="differ in their settings"):
        stats.probability_of_improvement(named, named[::-1])
    with pytest.raises(InputError, match='did you mean "problem"'):
        stats.optimality_gap(SCORES, 1, problem="problems")
