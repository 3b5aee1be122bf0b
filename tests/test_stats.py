"""Statistics: hand-worked examples, exact enumerations and Monte Carlo checks of coverage."""

import itertools
import math

import numpy as np
import pytest
import scipy.stats
import xarray as xr

from emnist_jax import stats
from emnist_jax.errors import InputError

T975_4 = 2.7764451051977987  # t table, 4 degrees of freedom, 97.5 %


def seeds(values, **coords):
    """A DataArray whose last dimension is `seed`, before it the dimensions of `coords`."""
    values = np.asarray(values, float)
    return xr.DataArray(
        values, dims=[*coords, "seed"], coords={**coords, "seed": np.arange(values.shape[-1])}
    )


def curves(accuracy, error=None, attrs=None):
    """Curves (learning_rate, seed, epoch); the error defaults to 1 - accuracy."""
    accuracy = np.asarray(accuracy, float)
    while accuracy.ndim < 3:
        accuracy = accuracy[None]
    error = 1 - accuracy if error is None else np.asarray(error, float).reshape(accuracy.shape)
    dims = ["learning_rate", "seed", "epoch"]
    n, s, e = accuracy.shape
    return xr.Dataset(
        {
            f"{part}_{kind}": (dims, value)
            for part in ("train", "valid")
            for kind, value in (("accuracy", accuracy), ("error", error))
        },
        coords={
            "learning_rate": 10.0 ** -np.arange(1, n + 1),
            "seed": np.arange(s),
            "epoch": np.arange(e),
        },
        attrs=attrs or {},
    )


# --- interval ---------------------------------------------------------------------------------


def test_t_interval_by_hand():
    # mean 3, sd sqrt(2.5), half-width t sqrt(2.5 / 5) = t sqrt(.5)
    out = stats.interval(seeds([1, 2, 3, 4, 5]))
    assert out["mean"] == 3
    assert out.n == 5 and out.missing == 0
    np.testing.assert_allclose(out.sd, math.sqrt(2.5), rtol=1e-12)
    np.testing.assert_allclose(out.upper - 3, T975_4 * math.sqrt(0.5), rtol=1e-10)
    np.testing.assert_allclose(3 - out.lower, T975_4 * math.sqrt(0.5), rtol=1e-10)


def test_interval_keeps_the_other_dimensions_and_works_in_float64():
    x = curves(np.random.default_rng(0).random((3, 4, 5)).astype(np.float32)).valid_accuracy
    x = x.astype(np.float32)
    out = stats.interval(x)
    assert dict(out.sizes) == {"learning_rate": 3, "epoch": 5}
    expected = x.values.astype(np.float64).std(1, ddof=1)
    np.testing.assert_allclose(out.sd, expected, rtol=1e-12)
    assert out["mean"].dtype == np.float64


def test_missing_values_propagate_unless_skipped_and_are_counted():
    x = seeds([[1, 2, np.nan], [4, 5, 6], [7, np.inf, np.nan]], learning_rate=[1, 2, 3])
    for method in ("t", "percentile", "bca"):
        out = stats.interval(x, method=method)
        np.testing.assert_array_equal(out.missing, [1, 0, 2])
        for name in ("mean", "sd", "lower", "upper"):
            np.testing.assert_array_equal(np.isnan(out[name]), [True, False, True])
    out = stats.interval(x, skipna=True)
    np.testing.assert_array_equal(out["mean"], [1.5, 5, 7])
    np.testing.assert_array_equal(out.n, [2, 3, 1])
    np.testing.assert_allclose(out.sd, [math.sqrt(0.5), 1, np.nan])
    half = 12.706204736174694 * math.sqrt(0.5) / math.sqrt(2)  # t table, 1 degree of freedom
    np.testing.assert_allclose(out.upper[0], 1.5 + half, rtol=1e-9)
    assert np.isnan(out.upper[2])
    skipped = stats.interval(x, method="percentile", skipna=True)
    np.testing.assert_array_equal(skipped.lower, [1, 4, np.nan])  # P(all minimal) > .025


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_t_interval_covers_at_its_level(level):
    x = seeds(np.random.default_rng(1).normal(7, 3, (20_000, 5)), trial=np.arange(20_000))
    out = stats.interval(x, level=level)
    coverage = float(((out.lower <= 7) & (out.upper >= 7)).mean())
    assert abs(coverage - level) < 4 * math.sqrt(level * (1 - level) / 20_000)


def test_pooled_interval_is_that_of_the_pooled_sd():
    """Written out in numpy, for three settings of which one lacks a seed and one is missing."""
    x = np.array([[80.0, 81.0], [70.0, 72.0], [60.0, 60.5], [50.0, np.nan]])
    out = stats.interval(seeds(x, rate=[1, 2, 3, 4]), pool=["rate"])
    sd = math.sqrt(sum(((row - row.mean()) ** 2).sum() for row in x[:3]) / 3)
    half = scipy.stats.t.ppf(0.975, 3) * sd / math.sqrt(2)
    np.testing.assert_allclose(out.upper[:3] - x[:3].mean(1), half)
    np.testing.assert_allclose(x[:3].mean(1) - out.lower[:3], half)
    assert out.df == 3 and np.isnan(out.upper[3])
    one = stats.interval(seeds(x, rate=[1, 2, 3, 4])).sel(rate=1)
    assert one.df == 1 and one.upper - 80.5 == pytest.approx(12.706204736174694 * 0.5)


@pytest.mark.parametrize(
    ("effect", "power", "n"),
    # Cohen's d of a paired t test and its number of pairs, two-sided 5 %: G*Power 3.1.
    [(0.2, 0.8, 199), (0.5, 0.8, 34), (0.8, 0.8, 15), (0.5, 0.95, 54), (1.0, 0.9, 13)],
)
def test_seeds_needed_are_those_of_a_t_test(effect, power, n):
    assert stats.seeds_needed(effect * 3, 3.0, power=power) == n
    assert stats.seeds_needed(0.0, 3.0) == math.inf
    assert stats.seeds_needed(1.0, 0.0) == 2
    assert stats.seeds_needed(math.nan, 0.0) == math.inf


def enumerated_means(x):
    """All len(x)^len(x) equally likely bootstrap means, sorted."""
    return np.sort([np.mean(p) for p in itertools.product(x, repeat=len(x))])


def test_percentile_bootstrap_by_enumeration():
    # Sums of three draws from {0, 1, 3}: 0 (1 of 27), 1 (3), ..., 7 (3), 9 (1): the 10 % quantile
    # lies in the mass at 1/3, the 90 % quantile in the mass at 7/3.
    out = stats.interval(seeds([0, 1, 3]), method="percentile", level=0.8)
    np.testing.assert_allclose([out.lower, out.upper], [1 / 3, 7 / 3])


def test_bca_bootstrap_by_enumeration():
    # Efron (1987): alpha' = Phi(z0 + (z0 + z) / (1 - a (z0 + z))) on the exact distribution
    from statistics import NormalDist

    x = np.array([0.1, 0.4, 0.7, 1.3, 2.9, 6.1])
    means, normal = enumerated_means(x), NormalDist()
    below = ((means < x.mean() - 1e-12).mean() + (means <= x.mean() + 1e-12).mean()) / 2
    z0 = normal.inv_cdf(below)
    jackknife = (x.sum() - x) / 5
    u = jackknife.mean() - jackknife
    a = (u**3).sum() / (6 * (u**2).sum() ** 1.5)
    levels = [
        normal.cdf(z0 + (z0 + z) / (1 - a * (z0 + z))) for z in map(normal.inv_cdf, (0.05, 0.95))
    ]
    expected = np.quantile(means, levels)
    plain = np.quantile(means, [0.05, 0.95])
    out = stats.interval(seeds(x), method="bca", level=0.9, resamples=40_000)
    np.testing.assert_allclose([out.lower, out.upper], expected, atol=0.06)
    assert (abs(expected - plain) > 0.12).all()  # so that percentile would fail the line above


@pytest.mark.slow
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_bootstrap_covers_with_many_seeds_and_undercovers_with_five(method):
    rng = np.random.default_rng(2)
    rates = []
    for n in (5, 40):
        x = seeds(rng.normal(size=(1500, n)), trial=np.arange(1500))
        out = stats.interval(x, method=method, resamples=999)
        rates.append(float(((out.lower <= 0) & (out.upper >= 0)).mean()))
    assert rates[0] < 0.90  # why the default is t
    assert 0.92 < rates[1] < 0.965


def test_bootstrap_is_repeatable_and_handles_constant_rows():
    x = seeds([[0.1, 0.1, 0.1], [1, 2, 4]], learning_rate=[1, 2])
    one, two = (stats.interval(x, method="bca", rng=3) for _ in range(2))
    xr.testing.assert_identical(one, two)
    assert one.lower[0] == one.upper[0] == 0.1
    assert one.lower[1] < one["mean"][1] < one.upper[1]


# --- paired -----------------------------------------------------------------------------------


def test_paired_by_hand():
    # differences 1, 2, 3, 4, 5 on seeds 0..4; b has a further seed, a another
    a = xr.DataArray([11.0, 22, 33, 44, 55, 0], dims="seed", coords={"seed": [0, 1, 2, 3, 4, 9]})
    b = xr.DataArray([0.0, 50, 40, 30, 20, 10], dims="seed", coords={"seed": [7, 4, 3, 2, 1, 0]})
    out = stats.paired(a, b)
    assert out.difference == 3 and out.n == 5 and out.unpaired == 2
    np.testing.assert_allclose(out.upper, 3 + T975_4 * math.sqrt(0.5), rtol=1e-10)
    d_z = 3 / math.sqrt(2.5)
    np.testing.assert_allclose(out.d_z, d_z, rtol=1e-12)
    # m = 4: gamma(2) / (sqrt(2) gamma(3/2)) = 1 / (sqrt(2) sqrt(pi) / 2)
    np.testing.assert_allclose(out.g_z, d_z * math.sqrt(2 / math.pi), rtol=1e-10)
    # Student's distribution with 4 degrees of freedom has a closed form
    t = d_z * math.sqrt(5)
    u = t / math.sqrt(t**2 + 4)
    p = 2 * (0.5 - 0.75 * (u - u**3 / 3))
    np.testing.assert_allclose(out.p, p, rtol=1e-9)


def test_pairing_removes_what_seeds_share():
    rng = np.random.default_rng(5)
    shared = rng.normal(0, 1, (4000, 5))
    trial = np.arange(4000)
    a = seeds(shared + rng.normal(0.02, 0.01, shared.shape), trial=trial)
    b = seeds(shared + rng.normal(0, 0.01, shared.shape), trial=trial)
    out = stats.paired(a, b)
    coverage = float(((out.lower <= 0.02) & (out.upper >= 0.02)).mean())
    assert abs(coverage - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 4000)
    assert float((out.upper - out.lower).mean()) < 0.05
    # sd of a difference is .01 sqrt(2), so the effect is sqrt(2); g_z is unbiased, d_z is not
    np.testing.assert_allclose(out.g_z.mean(), math.sqrt(2), atol=0.06)
    assert float(out.d_z.mean()) > math.sqrt(2) + 0.2


def test_paired_settings_of_one_sweep_and_missing_pairs():
    x = curves(np.random.default_rng(0).random((2, 4, 3))).valid_accuracy
    x[0, 1, 2] = np.nan
    out = stats.paired(x.sel(learning_rate=0.1), x.sel(learning_rate=0.01))
    np.testing.assert_array_equal(out.missing, [0, 0, 1])
    np.testing.assert_array_equal(np.isnan(out.difference), [False, False, True])
    np.testing.assert_allclose(out.difference[0], (x[0, :, 0] - x[1, :, 0]).mean())


def test_equal_differences_are_certain():
    out = stats.paired(seeds([2.0, 3, 4]), seeds([1.0, 2, 3]))
    assert np.isposinf(out.d_z) and out.p == 0 and out.lower == out.upper == 1


def test_paired_refuses_what_cannot_be_paired():
    a = seeds([1, 2, 3])
    with pytest.raises(InputError, match="found 1"):
        stats.paired(a, a.assign_coords(seed=[2, 3, 4]))
    with pytest.raises(InputError, match="labels"):
        stats.paired(a, a.drop_vars("seed"))
    with pytest.raises(InputError, match="same order"):
        one = seeds(np.ones((2, 3)), b1=[0.0, 0.9])
        stats.paired(one, one.assign_coords(b1=[0.0, 0.5]))
    with pytest.raises(InputError, match='differ in "b1"'):  # random search: other samples
        one = seeds(np.ones((2, 3)), sample=[0, 1]).assign_coords(b1=("sample", [0.1, 0.2]))
        stats.paired(one, one.assign_coords(b1=("sample", [0.1, 0.3])))


# --- proportions ------------------------------------------------------------------------------


def test_wilson_by_hand():
    # The bounds solve (p - q)^2 = z^2 q (1 - q) / n: check them in that equation.
    z = 1.959963984540054
    out = stats.wilson(xr.DataArray([0.0, 0.3, 0.8744, 1.0], dims="model"), 50)
    for bound in (out.lower, out.upper):
        q, p = bound.values, out.accuracy.values
        np.testing.assert_allclose((p - q) ** 2, z**2 * q * (1 - q) / 50, atol=1e-15)
    assert out.lower[0] == 0 and out.upper[3] == 1
    np.testing.assert_allclose(out.upper[0], z**2 / (50 + z**2), rtol=1e-12)
    assert np.isnan(stats.wilson(np.nan, 50).lower)


def test_wilson_covers():
    hits = np.random.default_rng(3).binomial(100, 0.87, 20_000)
    out = stats.wilson(xr.DataArray(hits / 100, dims="trial"), 100)
    coverage = ((out.lower <= 0.87) & (out.upper >= 0.87)).mean()
    k = np.arange(101)
    exact = stats.wilson(xr.DataArray(k / 100, dims="k"), 100)
    inside = ((exact.lower <= 0.87) & (exact.upper >= 0.87)).values
    weight = [math.comb(100, i) * 0.87**i * 0.13 ** (100 - i) for i in k]
    assert 0.935 < np.dot(inside, weight) < 0.965
    assert abs(coverage - np.dot(inside, weight)) < 0.007


def test_difference_of_two_proportions_by_hand():
    out = stats.two_proportions(0.8744, 15_800, 0.871, 15_800)
    # pooled .8727; sqrt(.8727 x .1273 x 2 / 15800) = .0037501; .0034 / .0037501
    np.testing.assert_allclose(out.z, 0.9066, atol=2e-4)
    np.testing.assert_allclose(out.p, math.erfc(0.90663 / math.sqrt(2)), atol=1e-4)
    assert out.lower < 0 < out.upper
    # Newcombe (1998), table II: 56/70 - 48/80, method 10: .0524 to .3339
    out = stats.two_proportions(56 / 70, 70, 48 / 80, 80)
    np.testing.assert_allclose([out.lower, out.upper], [0.0524, 0.3339], atol=5e-5)
    assert np.isnan(stats.two_proportions(1.0, 10, 1.0, 10).z)


def test_proportions_refuse_per_cent():
    with pytest.raises(InputError, match="100"):
        stats.wilson(87.44, 15_800)
    with pytest.raises(InputError, match="image"):
        stats.wilson(0.5, 0)


# --- curves -----------------------------------------------------------------------------------


def test_best_epoch_ties_go_to_the_lower_error_then_the_earlier_epoch():
    accuracy = [[0.1, 0.8, 0.8, 0.8], [0.1, 0.8, 0.8, 0.5], [0.9, 0.2, 0.3, 0.4]]
    error = [[3.0, 0.7, 0.5, 0.6], [3.0, 0.6, 0.6, 0.1], [2.0, 1.0, 0.5, 0.7]]
    c = curves(accuracy, error)
    np.testing.assert_array_equal(stats.best_index(c)[0], [2, 1, 0])
    np.testing.assert_array_equal(stats.best_index(c, by="valid_error")[0], [2, 3, 2])
    tied = curves([0.1, 0.6, 0.7, 0.7], [3.0, 0.5, 0.5, 0.5])
    assert stats.best_index(tied, by="valid_error") == 2


def test_best_reads_every_curve_at_the_selected_epoch():
    c = curves([[0.1, 0.5, 0.4], [0.3, 0.2, 0.1]], attrs={"data": "glyphs"})
    c["train_accuracy"] = c.train_accuracy + 0.5
    out = stats.best(c).isel(learning_rate=0)
    np.testing.assert_array_equal(out.best_epoch, [1, 0])  # epoch 0 takes part
    np.testing.assert_allclose(out.train_accuracy, [1.0, 0.8])
    np.testing.assert_allclose(out.valid_error, [0.5, 0.7])
    assert out.attrs["data"] == "glyphs"
    assert "epoch" not in out.coords


def test_best_counts_diverged_trials_with_their_finite_epochs():
    nan = np.nan
    out = stats.best(curves([[0.1, 0.6, nan], [nan, nan, nan], [0.1, 0.2, 0.3]])).isel(
        learning_rate=0
    )
    np.testing.assert_array_equal(out.diverged, [True, True, False])
    np.testing.assert_array_equal(out.best_epoch, [1, nan, 2])
    np.testing.assert_array_equal(out.valid_accuracy, [0.6, nan, 0.3])


def test_an_epoch_with_a_finite_accuracy_but_no_finite_error_is_not_selected():
    # argmax over NaN logits still gives some accuracy
    out = stats.best(curves([0.1, 0.3, 0.9, 0.9], [3.0, 1.0, np.nan, np.inf]))
    assert out.best_epoch == 1 and bool(out.diverged)


def test_early_stopping_by_hand():
    # the example of docs/statistics.md, which goes on: 7, 8 and 9 are worse, 9 is three after 6
    accuracy = [0.10, 0.50, 0.60, 0.60, 0.58, 0.60, 0.61, 0.60, 0.59, 0.50, 0.90]
    error = [3.9, 1.8, 1.0, 0.9, 0.9, 0.95, 0.8, 0.9, 0.7, 0.9, 0.1]
    c = curves(accuracy, error).squeeze()
    by_patience = {1: (3, 3, 4), 2: (3, 3, 5), 3: (6, 6, 9), 4: (10, 10, np.inf)}
    for patience, (best, at, epochs) in by_patience.items():
        found = stats.early_stopping(c, patience)
        assert (found.best_epoch, found.epochs) == (best, epochs)
        assert found.stopped == np.isfinite(epochs)
        assert found.valid_accuracy == accuracy[at] and found.train_error == error[at]
    by_error = stats.early_stopping(c, 2, by="valid_error")
    # epoch 4 ties the error but not the accuracy of 3, so 3 stays the best and 5 ends it
    assert (by_error.best_epoch, by_error.epochs) == (3, 5)


def test_early_stopping_is_training_with_patience_simulated():
    random = np.random.default_rng(1)
    accuracy = random.integers(0, 6, (3, 4, 30)) / 10  # many ties
    error = random.integers(1, 5, (3, 4, 30)) / 2.0
    accuracy[0, 0, 9:] = error[0, 0, 9:] = np.nan
    c = curves(accuracy, error)
    for patience in (1, 3, 7):
        found = stats.early_stopping(c, patience)
        for i, j in np.ndindex(3, 4):
            best, waited, spent = (-1.0, 0.0), 0, np.inf
            for epoch in range(30):
                now = (accuracy[i, j, epoch], -error[i, j, epoch])
                waited += 1
                if now > best:
                    best, at, waited = now, epoch, 0
                if waited == patience:
                    spent = epoch
                    break
            one = found.isel(learning_rate=i, seed=j)
            assert (one.best_epoch, one.epochs) == (at, spent)
            assert (one.valid_accuracy, -one.valid_error) == best


def test_a_patience_beyond_the_curves_gives_the_best_and_is_censored():
    c = curves(np.random.default_rng(2).random((2, 3, 8)))
    found = stats.early_stopping(c, 100)
    assert not found.stopped.any() and np.isinf(found.epochs).all()
    xr.testing.assert_identical(found.drop_vars(["epochs", "stopped"]), stats.best(c))
    times = stats.median_time(stats.early_stopping(c, 1).epochs)
    assert (times.censored == 0).all()


def test_a_trial_without_a_finite_epoch_returns_nothing():
    found = stats.early_stopping(curves([np.nan] * 5), 2).squeeze()
    assert found.epochs == 2 and np.isnan(found.best_epoch) and found.diverged


@pytest.mark.parametrize("patience", [0, 1.5, True])
def test_early_stopping_needs_a_whole_patience(patience):
    with pytest.raises(InputError, match="patience="):
        stats.early_stopping(curves([0.1, 0.2]), patience)


def test_best_with_two_hyperparameters_and_with_random_samples():
    c = curves(np.random.default_rng(0).random((3, 2, 4)))
    for form in (c.expand_dims(b1=[0.0, 0.9]), c.rename(learning_rate="sample")):
        out = stats.best(form)
        xr.testing.assert_allclose(
            out.valid_accuracy, form.valid_accuracy.max("epoch").transpose(*out.valid_accuracy.dims)
        )


def test_selection_bias_by_hand():
    # seeds peak at different epochs: maxima .8, .6, .7 (mean .7); mean curve .1, .6, .5, .4
    c = [[0.1, 0.8, 0.4, 0.2], [0.1, 0.5, 0.4, 0.6], [0.1, 0.5, 0.7, 0.4]]
    out = stats.selection_bias(curves(c).valid_accuracy.isel(learning_rate=0))
    np.testing.assert_allclose(out.mean_of_maxima, 0.7)
    np.testing.assert_allclose(out.max_of_mean, 0.6)
    assert out.max_of_mean_epoch == 1
    np.testing.assert_allclose(out["last"], 0.4)
    # without seed 0 the others' mean is .1 .5 .55 .5: epoch 2, seed 0 reads .4;
    # without 1: .1 .65 .55 .3: epoch 1, reads .5; without 2: .1 .65 .4 .4: epoch 1, reads .5
    np.testing.assert_allclose(out.held_out, 1.4 / 3)
    np.testing.assert_allclose(out.bias, 0.7 - 1.4 / 3)
    assert out.diverged == 0


def test_selection_bias_when_no_epoch_is_better():
    # Flat curves at .8 with noise .01 an epoch: the truth is .8 whatever the epoch. The maximum of
    # 50 normal values lies 2.249 sd up (tables), that of the mean of 4 seeds 2.249 / 2.
    rng = np.random.default_rng(0)
    x = 0.8 + 0.01 * rng.normal(size=(400, 4, 50))
    out = stats.selection_bias(curves(x).valid_accuracy).mean("learning_rate")
    np.testing.assert_allclose(out.mean_of_maxima, 0.8 + 0.02249, atol=5e-4)
    np.testing.assert_allclose(out.max_of_mean, 0.8 + 0.01125, atol=5e-4)
    np.testing.assert_allclose(out.held_out, 0.8, atol=8e-4)  # 3.2 standard errors


def test_selection_bias_with_a_diverged_seed_and_with_one_seed():
    c = [[0.1, 0.6, np.nan, np.nan], [0.1, 0.5, 0.9, 0.9], [0.1, 0.4, 0.8, 0.8]]
    out = stats.selection_bias(curves(c).valid_accuracy.isel(learning_rate=0))
    assert out.diverged == 1 and out.max_of_mean_epoch == 1
    np.testing.assert_allclose(out.mean_of_maxima, (0.6 + 0.9 + 0.8) / 3)
    assert np.isnan(out["last"]) and np.isnan(out.held_out) and np.isnan(out.bias)
    one = stats.selection_bias(curves(c[1]).valid_accuracy.isel(learning_rate=0))
    assert one.mean_of_maxima == one.max_of_mean == 0.9 and np.isnan(one.held_out)


def test_time_to_target_in_epochs_and_seconds():
    c = [[0.1, 0.7, 0.8, 0.7], [0.1, 0.2, 0.79, 0.6], [0.1, 0.3, np.nan, np.nan], [0.8, 0.9, 0, 0]]
    out = stats.time_to_target(curves(c, attrs={"seconds_per_epoch": 2.5}), 0.8)
    out = out.isel(learning_rate=0)
    np.testing.assert_array_equal(out.epochs, [2, np.inf, np.inf, 0])
    np.testing.assert_array_equal(out.seconds, [5, np.inf, np.inf, 0])
    np.testing.assert_array_equal(out.reached, [True, False, False, True])
    error = stats.time_to_target(curves(c), 0.2, by="valid_error").isel(learning_rate=0)
    np.testing.assert_array_equal(error.epochs[[0, 1]], [2, np.inf])
    assert "seconds" not in error


def test_median_time_with_censored_trials():
    inf = np.inf
    x = seeds(
        [[3, 1, inf, 2, inf], [inf, 1, inf, 2, inf], [4, 1, 3, 2, 9]], learning_rate=[1, 2, 3]
    )
    out = stats.median_time(x)
    np.testing.assert_array_equal(out["median"], [3, inf, 3])
    np.testing.assert_array_equal(out.lower, [1, 1, 1])
    np.testing.assert_array_equal(out.upper, [inf, inf, 9])
    np.testing.assert_array_equal(out.censored, [2, 3, 0])
    assert out.coverage == 1 - 2 / 2**5
    even = stats.median_time(seeds([4, 8, inf, inf]))  # half have arrived at 8
    assert even["median"] == 8
    assert stats.median_time(seeds([5])).coverage == 0


@pytest.mark.parametrize("n", [5, 6, 12, 25])
def test_median_time_interval_covers_at_the_level_it_states(n):
    times = np.random.default_rng(n).exponential(size=(20_000, n))
    times[times > 1.2] = np.inf  # censored beyond the last epoch; the median is ln 2
    out = stats.median_time(seeds(times, trial=np.arange(20_000)))
    covered = float(((out.lower <= math.log(2)) & (out.upper >= math.log(2))).mean())
    stated = float(out.coverage)
    assert abs(covered - stated) < 4 * math.sqrt(stated * (1 - stated) / 20_000)
    assert stated >= 0.95 or n == 5


def test_fraction_reached():
    c = curves([[0.1, 0.72, 0.8, 0.75], [0.1, 0.2, np.nan, np.nan]]).valid_accuracy[0]
    np.testing.assert_allclose(stats.fraction_reached(c), [0.9, 1.0])
    np.testing.assert_allclose(stats.fraction_reached(c, of="last"), [0.96, np.nan])
    np.testing.assert_allclose(stats.fraction_reached(c, after=3), [0.9375, np.nan])
    with pytest.raises(InputError, match="no epoch 7"):
        stats.fraction_reached(c, after=7)


# --- tuning -----------------------------------------------------------------------------------


def test_best_after_k_against_every_order():
    x = np.array([0.3, 0.9, 0.1, 0.5, 0.5, 0.7])
    running = np.maximum.accumulate(np.array(list(itertools.permutations(x))), axis=1)
    out = stats.best_after_k(xr.DataArray(x, dims="sample"))
    np.testing.assert_allclose(out.expected, running.mean(0), rtol=1e-12)
    np.testing.assert_allclose(out.sd, running.std(0), atol=1e-7)
    assert np.isnan(out.lower).all()  # one seed: nothing to resample


def test_best_after_k_takes_the_mean_over_seeds_first_and_keeps_other_dimensions():
    x = np.random.default_rng(0).random((2, 3, 4, 5))
    score = xr.DataArray(
        x, dims=["b1", "learning_rate", "rule", "seed"], coords={"rule": list("abcd")}
    )
    out = stats.best_after_k(score, over=["b1", "learning_rate"], resamples=50)
    assert dict(out.sizes) == {"rule": 4, "k": 6}
    np.testing.assert_allclose(out.expected[:, -1], x.mean(-1).max((0, 1)))
    np.testing.assert_allclose(out.expected[:, 0], x.mean((0, 1, 3)))
    assert list(out.rule.values) == list("abcd")


def test_best_after_k_does_not_overflow():
    n = 1500
    out = stats.best_after_k(xr.DataArray(np.arange(1, n + 1.0), dims="sample"))
    k = np.arange(1, n + 1)
    np.testing.assert_allclose(out.expected, k * (n + 1) / (k + 1), rtol=1e-9)  # known closed form


@pytest.mark.slow
@pytest.mark.parametrize("resample", ["seed", "setting", "both"])
def test_best_after_k_band_covers(resample):
    # Settings' true scores are N(0, 1), the seeds' noise N(0, .5). Truth: for "seed" the mean of
    # the settings' own true scores (k = 1); for the others the population's 0 (k = 1).
    rng = np.random.default_rng(11)
    hit, n = 0, 300
    for i in range(n):
        true = rng.normal(size=25)
        noise = rng.normal(0, 0.5, (25, 20))
        if resample == "seed":
            noise += rng.normal(0, 0.5, 20)  # shared by all settings: seeds must stay whole
        score = seeds(true[:, None] + noise, sample=np.arange(25))
        out = stats.best_after_k(score, resample=resample, resamples=300, rng=i)
        truth = true.mean() if resample == "seed" else 0.0
        hit += bool(out.lower[0] <= truth <= out.upper[0])
    assert 0.87 < hit / n < 0.98


def test_failed_settings_are_never_dropped_in_silence():
    score = seeds([[0.5, 0.7], [np.nan, 0.9], [0.2, 0.4]], sample=[0, 1, 2])
    with pytest.raises(InputError, match="1 of 6 scores are missing"):
        stats.best_after_k(score)
    out = stats.best_after_k(score, failed=0.1, resamples=10)
    np.testing.assert_allclose(out.expected, [(0.6 + 0.5 + 0.3) / 3, (0.6 * 2 + 0.5) / 3, 0.6])


def test_tuned_scores_by_enumeration():
    # 3 seeds have 27 equally likely resamples; the best of 2 of 4 settings over all 6 pairs
    score = np.random.default_rng(0).normal(size=(3, 4))

    def best_of_pairs(means):
        return [max(pair, key=lambda j: means[j]) for pair in itertools.combinations(range(4), 2)]

    luck = []
    for rows in itertools.product(range(3), repeat=3):
        means = score[list(rows)].mean(0)
        luck += [means[j] - score.mean(0)[j] for j in best_of_pairs(means)]
    expected = score[:, best_of_pairs(score.mean(0))].mean(1) - np.mean(luck) * math.sqrt(3 / 2)
    found = stats.tuned_scores(seeds(score.T, sample=range(4)), 2, resamples=20_000)
    np.testing.assert_allclose(found, expected, atol=0.01)
    assert abs(np.mean(luck)) > 0.03  # so that it is seen if it is not taken off


def others_choose(x):
    """Each seed at the setting that the other seeds find best, x (trial, setting, seed)."""
    chosen = (x.sum(2, keepdims=True) - x).argmax(1)[:, None]
    return np.take_along_axis(x, chosen, axis=1)[:, 0]


@pytest.mark.parametrize(
    ("mine", "k", "adam", "n"), [(16, 16, 1, 5), (8, 3, 1, 5), (1, 1, 1, 5), (16, 16, 16, 10)]
)
def test_the_paired_interval_of_tuned_scores_covers_where_no_rule_is_better(mine, k, adam, n):
    # all settings are equal: the best of many only looks better
    rng, sides = np.random.default_rng(14), []
    for settings in (mine, adam):
        coords = {"trial": np.arange(800), "sample": range(settings)}
        sides.append(seeds(rng.normal(size=(800, settings, n)), **coords))
    tuned = [
        stats.tuned_scores(x, min(k, x.sizes["sample"]), ["sample"], resamples=200) for x in sides
    ]
    out = stats.paired(*tuned)
    assert 0.92 < float(((out.lower <= 0) & (out.upper >= 0)).mean()) < 0.995
    if adam > 1:  # why a seed's setting is not chosen on the other seeds
        held_out = [xr.DataArray(others_choose(x.values), dims=("trial", "seed")) for x in sides]
        out = stats.interval(held_out[0] - held_out[1])
        assert float(((out.lower <= 0) & (out.upper >= 0)).mean()) < 0.8


def test_best_setting_has_the_highest_mean_over_seeds():
    c = curves([[[0.1, 0.9], [0.1, 0.2]], [[0.6, 0.5], [0.7, 0.1]], [[0.9, np.nan], [np.nan] * 2]])
    found = stats.best_setting(c)
    assert found.learning_rate == 0.01 and found.valid_accuracy.dims == ("seed", "epoch")


def test_difference_after_k_pairs_the_seeds():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.1, 6)
    a = seeds(shared + np.array([[0.7], [0.8], [0.9]]), learning_rate=[1, 2, 3])
    b = seeds(shared + np.array([[0.6], [0.7], [0.75], [0.75]]), sample=[1, 2, 3, 4])
    out = stats.difference_after_k(a, b)
    # expected best of a: .8, (.8 + 2 x .9) / 3, .9; of b: .7, (.7 + .75 x 5) / 6, (.75 x 4) / 4
    expected = [0.1, 2.6 / 3 - 4.45 / 6, 0.15]
    np.testing.assert_allclose(out.difference, expected)
    np.testing.assert_allclose(out.lower, expected)  # what the seeds share cancels
    np.testing.assert_allclose(out.upper, expected)
    assert out.n == 6
    fewer = stats.difference_after_k(a, b.assign_coords(seed=[0, 1, 2, 3, 8, 9]))
    assert fewer.n == 4
    alone = stats.best_after_k(a)
    assert (alone.upper - alone.lower > 0.05).all()


def test_difference_after_k_draws_settings_independently():
    a = seeds(np.arange(8.0)[:, None].repeat(3, 1), sample=np.arange(8))
    out = stats.difference_after_k(a, a, resample="setting")
    assert (out.difference == 0).all()
    # k = 1: each side is the mean of 8 draws from 0..7, variance 63 / 12 / 8 on each side
    half = 1.96 * math.sqrt(2 * 63 / 12 / 8)
    np.testing.assert_allclose([out.lower[0], out.upper[0]], [-half, half], rtol=0.1)


def test_difference_after_k_of_the_same_settings_cancels_what_they_share():
    a = seeds(np.arange(8.0)[:, None].repeat(3, 1), sample=np.arange(8))
    out = stats.difference_after_k(a + 0.5, a, resample="both", same_settings=True)
    for name in ("difference", "lower", "upper"):
        np.testing.assert_allclose(out[name], 0.5)
    with pytest.raises(InputError, match="as many on both sides, not 8, 7"):
        stats.difference_after_k(a, a.isel(sample=slice(7)), same_settings=True)


@pytest.mark.slow
def test_difference_after_k_of_the_same_settings_covers():
    rng, n, held = np.random.default_rng(12), 300, 0
    for _ in range(n):
        shared = rng.uniform(0, 1, (30, 1))  # one draw of both rules, besides one of each its own
        sides = [shared + 0.2 * rng.uniform(0, 1, (30, 1)) for _ in range(2)]
        sides = [seeds(x + rng.normal(0, 0.05, (30, 5)), sample=np.arange(30)) for x in sides]
        out = stats.difference_after_k(*sides, resample="both", same_settings=True, resamples=400)
        held += bool(out.lower[0] <= 0 <= out.upper[0])
    assert 0.9 < held / n < 0.985
    assert float(out.upper[0] - out.lower[0]) < 0.1  # a fifth of what it were if drawn apart


@pytest.mark.slow
@pytest.mark.parametrize("resample", ["seed", "both"])
def test_difference_after_k_covers(resample):
    # Two rules of six settings; a seed shifts all settings of both, which pairing takes out.
    rng, n, held = np.random.default_rng(11), 300, 0
    truth = [np.linspace(0, 1, 6), np.linspace(0.2, 0.8, 6)]
    for _ in range(n):
        shared = rng.normal(0, 1, 30)
        sides = []
        for levels in truth:
            if resample == "both":  # another search finds other settings: the mean of one is known
                levels = rng.uniform(levels[0], levels[-1], 30)
            x = levels[:, None] + shared + rng.normal(0, 0.3, (len(levels), 30))
            sides.append(seeds(x, sample=np.arange(len(levels))))
        out = stats.difference_after_k(*sides, resample=resample, resamples=400)
        held += bool(out.lower[0] <= 0 <= out.upper[0])  # at k = 1 both have the mean .5
    assert 0.9 < held / n < 0.985


def test_paired_interval_covers():
    rng, n, held = np.random.default_rng(12), 2000, 0
    shared = rng.normal(0, 5, (n, 5))
    a = seeds(shared + rng.normal(0.3, 1, (n, 5)), sample=np.arange(n))
    b = seeds(shared + rng.normal(0, 1, (n, 5)), sample=np.arange(n))
    out = stats.paired(a, b)
    held = float(((out.lower <= 0.3) & (out.upper >= 0.3)).mean())
    assert abs(held - 0.95) < 4 * math.sqrt(0.95 * 0.05 / n)


def test_sensitivity_by_hand():
    # best .8 at 1e-2; floor .78. Up: .8 to .7 over a decade crosses at .2 of it; down: .79 is
    # inside, then .79 to .74 crosses at .2 of the decade below 1e-3.
    rates = [1e-1, 1e-2, 1e-3, 1e-4]
    score = xr.DataArray(
        [0.7, 0.8, 0.79, 0.74], dims="learning_rate", coords={"learning_rate": rates}
    )
    out = stats.sensitivity(score, delta=0.02)
    np.testing.assert_allclose(out.width, 1.4, rtol=1e-9)
    np.testing.assert_allclose([out.lower, out.upper], [10**-3.2, 10**-1.8], rtol=1e-9)
    assert out.best_at == 1e-2 and out.best == 0.8
    assert not out.lower_open and not out.upper_open


def test_sensitivity_at_the_ends_of_the_grid_and_beside_divergence():
    nan = np.nan
    rates = [1e-4, 1e-3, 1e-2, 1e-1]
    score = seeds(
        np.array([[0.8, 0.8, 0.5, 0.8], [nan, 0.8, 0.8, nan], [0.1, 0.2, 0.3, 0.8], [nan] * 4]).T,
        learning_rate=rates,
    )
    out = stats.sensitivity(score, delta=0.03)
    np.testing.assert_allclose(out.width, [1.1, 1, 0.06, nan], rtol=1e-9)
    np.testing.assert_array_equal(out.lower_open, [True, False, False, False])
    np.testing.assert_array_equal(out.upper_open, [False, False, True, False])
    assert dict(out.sizes) == {"seed": 4}


def test_good_share_by_hand():
    # means .8, .795, .78, .5: within .01 of the best are 2 of 4, of .82 none, within .02 of it 1
    score = seeds(
        np.array([[0.7, 0.9], [0.79, 0.8], [0.78, 0.78], [0.6, 0.4]]), sample=[0, 1, 2, 3]
    )
    out = stats.good_share(score)
    assert (out.share, out.settings) == (0.5, 4)
    z = 1.959963984540054  # the normal table, and Wilson's formula at p = 1/2
    half = z / (1 + z**2 / 4) * math.sqrt(1 / 16 + z**2 / 64)
    np.testing.assert_allclose([out.lower, out.upper], [0.5 - half, 0.5 + half])
    assert stats.good_share(score, 0.82).share == 0
    assert stats.good_share(score, 0.82, delta=0.02).share == 0.25
    with pytest.raises(InputError, match="delta"):
        stats.good_share(score, delta=-1)
    with pytest.raises(InputError, match="missing"):
        stats.good_share(score.where(score > 0.5))
    assert stats.good_share(score.where(score > 0.5), failed=0.0).share == 0.5


@pytest.mark.slow
def test_good_share_covers_the_width_of_the_good_region():
    # A rate is good on one decade of the three it is drawn from: the share is 1/3.
    rng, held, n = np.random.default_rng(8), 0, 400
    for _ in range(n):
        logs = rng.uniform(-4, -1, 20)
        score = xr.DataArray(np.where(abs(logs + 2) < 0.5, 0.8, 0.5), dims="sample")
        out = stats.good_share(score, 0.8)
        held += bool(out.lower <= 1 / 3 <= out.upper)
    assert abs(held / n - 0.95) < 0.035


# --- comparisons ------------------------------------------------------------------------------


def test_rank_correlation_by_hand():
    # ranks 1 2 3 4 against 1 3 2 4: rho = 1 - 6 (0 + 1 + 1 + 0) / (4 x 15) = .8
    a = seeds(np.array([0.1, 0.2, 0.3, 0.9])[:, None] + np.zeros(3), learning_rate=[1, 2, 3, 4])
    b = seeds(np.array([10, 30, 20, 40.0])[:, None] + np.zeros(3), learning_rate=[1, 2, 3, 4])
    out = stats.rank_correlation(a, b)
    # no noise between seeds: no doubt
    np.testing.assert_allclose([out.correlation, out.lower, out.upper], 0.8)
    assert out.settings == 4
    assert np.isnan(stats.rank_correlation(a, b * 0).correlation)
    # a tie: ranks 1 2.5 2.5 4 against 1 2 3 4: 4.5 / sqrt(4.5 x 5)
    tied = stats.rank_correlation(a, xr.where(a == 0.3, 0.2, a))
    np.testing.assert_allclose(tied.correlation, math.sqrt(0.9))


def test_rank_correlation_bootstrap_by_enumeration():
    # 3 seeds on each side: 27 x 27 equally likely resamples
    rng = np.random.default_rng(4)
    true = np.linspace(0, 3, 8)
    x, y = (true[:, None] + rng.normal(0, 1, (8, 3)) for _ in range(2))

    def ranks(scores):
        means = [scores[:, p].mean(1) for p in itertools.product(range(3), repeat=3)]
        return np.argsort(np.argsort(means, axis=1), axis=1)

    rho = [
        1 - 6 * ((p - q) ** 2).sum() / (8 * 63) for p, q in itertools.product(ranks(x), ranks(y))
    ]
    out = stats.rank_correlation(
        seeds(x, sample=np.arange(8)), seeds(y, sample=np.arange(8)), level=0.8, resamples=20_000
    )
    ends = np.quantile(rho, [0.1, 0.9])
    assert ends[1] - ends[0] > 0.2
    wider = math.sqrt(3 / 2) * scipy.stats.t.ppf(0.9, 2) / scipy.stats.norm.ppf(0.9)
    expected = np.clip(out.correlation.item() + wider * (ends - out.correlation.item()), -1, 1)
    np.testing.assert_allclose([out.lower, out.upper], expected, atol=0.05)  # a rank swap is .043


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "least", "most"), [(0.1, 0.9, 0.995), (1.0, 0, 0.5)])
def test_rank_correlation_covers_where_seeds_differ_less_than_settings(noise, least, most):
    rng, n, held = np.random.default_rng(13), 200, 0
    for _ in range(n):
        true = rng.normal(0, 1, (23, 1))
        others = 0.9 * true + 0.44 * rng.normal(0, 1, (23, 1))
        sides = [
            seeds(t + rng.normal(0, noise, (23, 5)), sample=np.arange(23)) for t in (true, others)
        ]
        out = stats.rank_correlation(*sides, resamples=400)
        rho = scipy.stats.spearmanr(true[:, 0], others[:, 0]).statistic
        held += bool(out.lower <= rho <= out.upper)
    assert least < held / n < most


def test_regret_by_hand():
    grid = {"b1": [0.0, 0.9], "learning_rate": [0.1, 0.01]}
    here = seeds([[[0.5, 0.5, 0.5], [0.8, 0.7, 0.3]], [[0.6, 0.6, 0.9], [0.1, 0.1, 0.1]]], **grid)
    there = seeds([[[0.9, 0.9], [0.1, 0.1]], [[0.2, 0.2], [0.3, 0.3]]], **grid)
    out = stats.regret(here, there)
    # here: means .5, .6, .7, .1: best is (.9, .1); there chooses (0, .1), which has .5 here
    np.testing.assert_allclose(out.regret, 0.2)
    assert out.best_b1 == 0.9 and out.best_learning_rate == 0.1
    assert out.chosen_b1 == 0.0 and out.chosen_learning_rate == 0.1
    # held out: others choose (.9, .1) for seeds 0 (.75 > .5) and 1 (.75 > .55), (0, .01) for
    # seed 2 (.75 > .6), read .6, .6, .3 minus .5 each
    np.testing.assert_allclose(out.held_out, 0, atol=1e-15)
    half = 4.302652729911275 * np.std([0.1, 0.1, -0.2], ddof=1) / math.sqrt(3)  # t table, 2
    np.testing.assert_allclose([out.lower, out.upper], [-half, half], rtol=1e-9)


@pytest.mark.slow
def test_held_out_regret_is_free_of_the_winners_bias():
    rng = np.random.default_rng(9)
    plain, held_out = [], []
    for _ in range(150):  # ten equal settings: nothing is lost by any choice
        here, there = (seeds(rng.normal(size=(10, 5)), sample=np.arange(10)) for _ in range(2))
        out = stats.regret(here, there)
        plain.append(float(out.regret))
        held_out.append(float(out.held_out))
    assert np.mean(plain) > 0.5
    assert abs(np.mean(held_out)) < 0.15


# --- input ------------------------------------------------------------------------------------


def test_bad_input_is_one_clear_line():
    c = curves(np.ones((2, 3, 4)))
    x = c.valid_accuracy
    cases = [
        (lambda: stats.interval(x, "seeds"), 'did you mean "seed"'),
        (lambda: stats.interval(x, method="bac"), 'did you mean "bca"'),
        (lambda: stats.interval(x, level=95), "0.95"),
        (lambda: stats.interval(x, pool=["rate"]), 'no dimension "rate"'),
        (lambda: stats.interval(x, method="bca", pool=["seed"]), "no sd to pool"),
        (lambda: stats.best(c, by="valid_acuracy"), 'did you mean "valid_accuracy"'),
        (lambda: stats.best(c.drop_vars("valid_error")), "valid_error"),
        (lambda: stats.best(x), "xarray.Dataset"),
        (lambda: stats.best_after_k(x, over=["learning_rat"]), 'did you mean "learning_rate"'),
        (lambda: stats.best_after_k(x, resample="seeds"), 'did you mean "seed"'),
        (lambda: stats.best_after_k(x), "an epoch is no setting"),
        (lambda: stats.best_after_k(x, over=["epoch"]), "an epoch is no setting"),
        (lambda: stats.difference_after_k(x, x), "an epoch is no setting"),
        (lambda: stats.difference_after_k(c, c), "one variable of the curves"),
        (lambda: stats.good_share(x), "an epoch is no setting"),
        (lambda: stats.tuned_scores(x), "an epoch is no setting"),
        (lambda: stats.rank_correlation(x, x), "an epoch is no setting"),
        (lambda: stats.regret(x, x), "an epoch is no setting"),
        (lambda: stats.tuned_scores(x[..., 0], 3), "k=3"),
        (lambda: stats.tuned_scores(x[:, :1, 0]), "one seed"),
        (lambda: stats.sensitivity(x.assign_coords(learning_rate=[0, 1])), "positive"),
        (lambda: stats.sensitivity(x, delta=-1), "delta"),
        (lambda: stats.performance_profile(x * 0, "learning_rate", "seed"), "above 0"),
        (lambda: stats.performance_profile(x, "learning_rate", "seed", [0.5]), "1 or more"),
        (lambda: stats.rank_correlation(x, x, over=["learning_rate"]), "epoch"),
        (lambda: stats.time_to_target(c.drop_vars("epoch"), 0.5), "coordinate"),
        (lambda: stats.fraction_reached(x, of="first"), "best, last"),
    ]
    for call, words in cases:
        with pytest.raises(InputError) as caught:
            call()
        assert words in str(caught.value)
        assert "\n" not in str(caught.value)
