"""Looking while seeds are added: the sequence's formula, its coverage, races, seeds that decide."""

import itertools

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from scipy.integrate import quad

from emnist_jax import stats
from emnist_jax.errors import InputError


def seeds(values, *dims):
    values = np.asarray(values, float)
    return xr.DataArray(values, dims=(*dims, "seed"), coords={"seed": range(values.shape[-1])})


def mixture(t, n, g):
    """Likelihood ratio of a t statistic: effects normal with variance g, against no effect."""

    def weighted(effect):
        return scipy.stats.nct.pdf(t, n - 1, np.sqrt(n) * effect) * scipy.stats.norm.pdf(
            effect, scale=np.sqrt(g)
        )

    return quad(weighted, -8, 8, points=[0, t / np.sqrt(n)], limit=200)[0] / scipy.stats.t.pdf(
        t, n - 1
    )


@pytest.mark.parametrize(("g", "level"), [(2.0, 0.95), (1.0, 0.8)])
def test_at_the_bounds_the_mixture_of_t_densities_is_one_over_alpha(g, level):
    x = np.random.default_rng(0).normal(0.3, 1, 12)
    found = stats.confidence_sequence(seeds(x), level=level, effect_variance=g)
    for n in (5, 8, 12):
        first = x[:n]
        for bound in (found.lower.sel(n=n), found.upper.sel(n=n)):
            t = (first.mean() - float(bound)) / (first.std(ddof=1) / np.sqrt(n))
            np.testing.assert_allclose(mixture(t, n, g), 1 / (1 - level), rtol=1e-5)
        np.testing.assert_allclose(found["mean"].sel(n=n), first.mean())
    assert np.isinf(found.upper.sel(n=1)) and np.isinf(stats.confidence_sequence(seeds(x)).lower[2])


def test_all_intervals_hold_at_once_where_student_s_do_not():
    x = seeds(np.random.default_rng(1).normal(7, 3, (4000, 50)), "race") + 1e4
    found = stats.confidence_sequence(x)
    held = ((found.lower <= 10_007) & (found.upper >= 10_007)).all("n").mean()
    assert held > 0.95
    decided = ((found.lower > 10_005.5) | (found.upper < 10_005.5)).any("n").mean()
    assert decided > 0.5  # half a standard deviation: not for being wide


def test_a_missing_value_is_not_passed_over():
    found = stats.confidence_sequence(seeds([1, 2, 3, 4, np.nan, 6]))
    assert np.isfinite(found.lower.sel(n=4)) and np.isnan(found.lower.sel(n=[5, 6])).all()


def test_equal_values_decide_nothing():
    # Normal values are never equal: of a coarse measure, they do not show that the spread is 0.
    x = np.array([0.83, 0.84, 0.85, 0.86, 0.87]) - np.array([0.82, 0.83, 0.84, 0.85, 0.86])
    found = stats.confidence_sequence(seeds([*x, 0.02]))
    assert np.isinf(found.upper[:5]).all() and np.isfinite(found.upper[5])


def test_races_of_equals_stop_falsely_in_few_cases_and_peeking_in_many():
    found = stats.simulate_races(seeds(np.random.default_rng(2).normal(0.8, 0.01, 200)))
    np.testing.assert_array_equal(found.wrong, found.decided)
    race, peeking, fixed = found.decided.values
    assert race < 0.05 and 0.15 < peeking < 0.35 and abs(fixed - 0.05) < 0.02


def test_races_of_unequals_are_decided_rightly_with_fewer_seeds():
    rng = np.random.default_rng(3)
    a, b = (seeds(rng.normal(mean, 0.01, 200)) for mean in (0.83, 0.80))
    race = stats.simulate_races(a, b).sel(way="race")
    assert race.decided == 1 and race.wrong < 0.01 and race.seeds < 12
    mirrored = stats.simulate_races(b, a).sel(way="race")
    assert mirrored.wrong < 0.01


def test_coverage_is_the_share_of_all_draws():
    # every draw of 3 of 7, with the interval of the source: t, narrowed by sqrt(1 - n / N)
    x = np.random.default_rng(4).exponential(size=7)
    held = []
    for draw in itertools.combinations(x, 3):
        half = 4.302652729911275 * np.std(draw, ddof=1) / np.sqrt(3) * np.sqrt(4 / 7)
        held.append(abs(np.mean(draw) - x.mean()) <= half)
    found = stats.coverage(seeds([x, x + 5], "rule"), 3, draws=4000)
    np.testing.assert_allclose(found, np.mean(held), atol=0.03)


def test_coverage_of_many_normal_seeds_is_the_level():
    x = seeds(np.random.default_rng(5).normal(size=1000))
    for n in (5, 20):
        assert abs(float(stats.coverage(x, n)) - 0.95) < 0.02


def test_bad_input_is_one_line():
    x = seeds([1, 2, 3])
    cases = [
        (lambda: stats.confidence_sequence(x, "seeds"), 'did you mean "seed"'),
        (lambda: stats.confidence_sequence(x, effect_variance=0), "above 0"),
        (lambda: stats.simulate_races(x, fixed=60), "fixed=60"),
        (lambda: stats.simulate_races(x.where(x > 1)), "finite scores"),
        (lambda: stats.coverage(x, 3), "from 2 to 2"),
    ]
    for call, words in cases:
        with pytest.raises(InputError, match=words):
            call()
