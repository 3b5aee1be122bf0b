"""Every claim is judged on hand-made curves that satisfy it and on others that violate it."""

import math

import numpy as np
import optax
import paper_world
import pytest
import scipy.stats
import xarray as xr
from paper_world import altered, chosen, results_of

from emnist_jax import rules
from experiments.claims import (
    PAPER,
    Claim,
    Estimate,
    NotTestable,
    Runs,
    Verdict,
    judge,
    judge_reading,
)
from experiments.claims.judge import estimate
from experiments.claims.measures import held_out_best, held_out_earliest, ratio, spread, worst_step

WORLD = paper_world.world()
CLAIMS = {claim.id: claim for claim in PAPER}
ACC, ERR = "valid_accuracy", "train_error"
PICK = {"learning_rate": 1e-4, "b1": 0.9, "b2": 0.9999}


def sgd(rate, points, variable=ACC):
    return altered("sgd", variable, points, learning_rate=rate)


def rmsprop(rate, points, variable=ACC):
    return altered("rmsprop", variable, points, learning_rate=rate)


def adam(points, variable=ACC, **at):
    at = {"learning_rate" if name == "rate" else name: value for name, value in at.items()}
    return altered("adam", variable, points, **at)


def network(name, points, **more):
    return lambda runs: runs | {name: chosen(points, **more)}


def results(name, accuracy=0.5, error=0.9, **more):
    return lambda runs: runs | {name: results_of(accuracy, error, **more)}


SLOW = {0: 0.02, 1: 0.3, 60: 0.836, 100: 0.835}
# For each claim a change to that world which makes it untrue.
VIOLATIONS = {
    "D1": results("convnets/c1/test", confusion=paper_world.UNLIKE),
    "B1a": sgd(0.1, SLOW),
    "B1b": sgd(0.1, {0: 0.02, 10: 0.8, 100: 0.832}),
    "B1c": sgd(0.1, {0: 0.02, 5: 0.9, 100: 0.85}, "train_accuracy"),
    "B1d": sgd(0.003, {0: 0.02, 86: 0.82, 100: 0.8}),
    "B1e": sgd(0.001, {0: 0.02, 86: 0.73, 100: 0.7}),
    "B1f": sgd(0.1, {0: 0.02, 5: 0.5, 10: 0.832, 100: 0.8}),
    "B1g": sgd(0.1, {0: 0.02, 10: 0.85, 100: 0.8}),
    "R1a": rmsprop(0.3, 0.5),
    "R1b": rmsprop(0.1, 0.5),
    "R1c": rmsprop(0.1, 3.0, ERR),
    "R1d": rmsprop(0.01, {0: 3.85, 1: 1.5, 100: 0.5}, ERR),
    "R1e": rmsprop(0.03, {0: 3.85, 1: 3.0, 100: 2.0}, ERR),
    "R1f": rmsprop(0.003, {0: 0.02, 1: 0.1, 8: 0.8}),
    "R1g": rmsprop(0.001, {0: 0.02, 1: 0.05, 8: 0.827}),
    "R1h": rmsprop(0.001, {0: 0.02, 8: 0.86, 100: 0.8}),
    "R1i": rmsprop(0.001, SLOW),
    "R1j": rmsprop(0.001, {0: 0.02, 8: 0.85, 100: 0.8}),
    "A1a": adam(0.8, rate=0.1, b1=0.0),
    "A1b": adam(0.8, rate=0.1, b1=0.9),
    "A1c": adam(0.8, rate=0.01, b1=0.0, b2=0.9999),  # one b2 that converges is enough
    "A1d": adam(0.8, rate=0.01, b1=0.9),
    "A1e": adam(0.55, rate=0.01, b1=0.0),
    "A1f": adam(0.55, rate=0.01, b1=0.9),
    "A1g": adam({0: 0.02, 5: 0.836, 100: 0.8}, rate=1e-3, b1=0.9, b2=0.9999),
    "A1h": adam(0.7, rate=1e-3, b1=0.9, b2=0.9999),
    "A1i": adam(0.8, rate=1e-3, b1=0.0, b2=0.9999),
    "A1j": adam(SLOW, rate=1e-3, b1=0.0, b2=0.9999),
    "A1k": adam(SLOW, rate=1e-3, b1=0.0, b2=0.9999),
    "A1l": adam(0.805, rate=1e-3, b1=0.0, b2=0.9999),
    "A1m": adam(
        {0: 0.02, 10: 0.8, 11: 0.78, 48: 0.835, 100: 0.83}, rate=1e-4, b1=0.0, b2=0.99
    ),  # likewise
    "A1n": adam(0.8, rate=1e-4, b1=0.0),
    "A1o": adam({0: 0.02, 90: 0.835, 100: 0.83}, rate=1e-4, b1=0.0),
    "A1p": adam(SLOW, **PICK),
    "A1q": adam({e: 0.8 - 0.01 * e + (e % 2) * 0.3 for e in range(101)}, ERR, **PICK),
    "A1r": adam(0.9, "valid_error", **PICK),
    "A1s": adam(0.805, rate=1e-3, b1=0.0, b2=0.9999),
    "A1t": adam({0: 0.02, 1: 0.5, 8: 0.836, 100: 0.8}, **PICK),
    "A1u": adam({0: 0.02, 5: 0.86, 100: 0.8}, rate=1e-3, b1=0.9, b2=0.999),
    "A1v": adam({0: 0.02, 8: 0.8, 100: 0.79}, **PICK),
    "N1a": network("batch_norm/frozen_normal_minibatch", 0.82),
    "N1b": network("batch_norm/frozen_normal_minibatch", 0.723),
    "N1c": network("batch_norm/frozen_normal_minibatch", 0.87),
    "C1a": network("convnets/c1", 0.9),
    "C1b": network("convnets/c1", {0: 0.02, 1: 0.6, 7: 0.8744}),
    "C2a": network("convnets/c2", 0.9),
    "C2b": network("convnets/c2", {0: 0.02, 1: 0.6, 7: 0.871}),
    "C2c": network("convnets/c2", 0.871, seconds_per_epoch=80.0),
    "C2d": network("convnets/c2", 0.871, seconds_per_epoch=80.0),
    "C3a": network("convnets/c1", SLOW),
    "C3b": network("convnets/c1", {0: 0.02, 1: 0.6, 7: 0.8744}),
    "C3c": network("convnets/c2", SLOW),
    "C3d": network("convnets/c2", {0: 0.02, 1: 0.6, 7: 0.871}),
    "C3e": network("convnets/c2", {0: 0.02, 7: 0.89, 100: 0.88}),
    "T1a": network("test_set/trained", 0.75),
    "T1b": network("test_set/trained", 0.842, valid_error=0.9),
    "T1c": results("test_set/trained/test", accuracy=0.75),
    "T1d": results("test_set/trained/test", error=0.9),
    "T2a": network("test_set/c1", 0.75),
    "T2b": network("test_set/c1", 0.8744, valid_error=0.9),
    "T2c": results("test_set/c1/test", accuracy=0.75),
    "T2d": results("test_set/c1/test", error=0.9),
    "T2e": results("test_set/c1/test", accuracy=0.82),
    "F1a": rmsprop(0.001, SLOW),
    "F1b": adam(SLOW, rate=1e-4, b1=0.9),
    "F1c": rmsprop(0.001, {0: 0.02, 1: 0.5, 8: 0.827, 100: 0.8}),
    "F1d": adam({0: 0.02, 1: 0.5, 8: 0.836, 100: 0.8}, rate=1e-4, b1=0.9),
    "F1e": lambda runs: rmsprop(0.001, 0.7)(rmsprop(0.003, 0.7)(runs)),
    "F1f": sgd(0.01, {0: 0.02, 10: 0.836, 100: 0.8}),
    "F1g": network("convnets/c1", 0.75),
}


def test_every_claim_has_its_own_id_and_a_violation():
    assert len(CLAIMS) == len(PAPER)
    assert set(VIOLATIONS) == set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_claim_holds_where_the_paper_is_right(name):
    judged = judge(CLAIMS[name], WORLD)
    assert judged.verdict is Verdict.HOLDS, judged


@pytest.mark.parametrize("name", CLAIMS)
def test_claim_does_not_hold_once_its_curve_is_changed(name):
    judged = judge_reading(CLAIMS[name], VIOLATIONS[name](WORLD), "adam")
    assert judged.verdict is Verdict.FAILS, judged
    assert judge(CLAIMS[name], VIOLATIONS[name](WORLD)).verdict in (
        Verdict.FAILS,
        Verdict.UNDAMPED,
    )


@pytest.mark.parametrize("name", CLAIMS)
def test_claim_without_its_runs_says_which_is_missing(name):
    judged = judge(CLAIMS[name], {})
    assert judged.verdict is Verdict.UNTESTABLE
    assert judged.reason.endswith("was not run")
    assert judged.estimate is None


def faster_at_ten_times_the_rate():
    """The world with b1 = .9 shifted by a decade: what 1e-4 did, 1e-3 now does."""
    runs = WORLD | {"adam": WORLD["adam"].copy(deep=True)}
    curves, before = runs["adam"], WORLD["adam"]
    for name in curves.data_vars:
        one = before[name].sel(learning_rate=1e-4, b1=0.9)
        curves[name].loc[{"learning_rate": 1e-3, "b1": 0.9}] = one.values
    learn = {0: 0.02, 1: 0.3, 60: 0.82}
    return altered("adam", ACC, learn, learning_rate=1e-4, b1=0.9)(runs)


def test_claim_that_holds_at_ten_times_the_rate_holds_only_for_the_undamped_rule():
    judged = judge(CLAIMS["A1p"], faster_at_ten_times_the_rate())
    assert judged.verdict is Verdict.UNDAMPED
    assert judged.estimate.mean == pytest.approx(100 * np.interp(6, [1, 60], [0.3, 0.82]))
    assert judged.undamped.mean == pytest.approx(83.0)


@pytest.mark.parametrize("reading", ["adam_uncorrected", "adam_constant_correction"])
def test_other_readings_come_from_their_own_runs(reading):
    runs = {f"forensics/{reading}": WORLD["adam"].sel(b1=[0.9])}
    assert judge_reading(CLAIMS["A1p"], runs, reading).verdict is Verdict.HOLDS
    assert judge_reading(CLAIMS["A1p"], runs, "adam").verdict is Verdict.UNTESTABLE
    assert judge_reading(CLAIMS["C1a"], WORLD, reading).reason.startswith("convnets/c1 was not")


@pytest.mark.parametrize(("b1", "factor"), [(0.9, 10.0), (0.5, 2.0), (0.0, 1.0)])
def test_undamped_adam_is_adam_at_a_larger_rate_at_every_step(b1, factor):
    grads = np.random.default_rng(0).normal(size=(50, 7)).astype(np.float32)
    tracks = []
    for rule in (rules.adam_undamped(1e-3, b1, 0.99), rules.adam(factor * 1e-3, b1, 0.99)):
        theta = np.ones(7, np.float32)
        state, track = rule.init(theta), []
        for g in grads:
            updates, state = rule.update(g, state, theta)
            theta = optax.apply_updates(theta, updates)
            track.append(np.asarray(theta))
        tracks.append(track)
    np.testing.assert_allclose(*tracks, rtol=2e-5)
    assert np.abs(tracks[0][-1] - 1).max() > 1e-3  # it did move


# The rule of judging


def claim_of(values, low=0.0, high=1.0):
    array = xr.DataArray(values, dims="seed")
    return Claim("X", "", "", "", lambda runs: array, low, high, "")


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([0.4, 0.5, 0.6], Verdict.HOLDS),
        ([2.4, 2.5, 2.6], Verdict.FAILS),
        ([-2.4, -2.5, -2.6], Verdict.FAILS),
        ([0.9, 1.0, 1.1], Verdict.UNDECIDED),
        ([0.2, 0.5, 0.8], Verdict.UNDECIDED),  # mean in, interval not
        ([0.0, 0.0, 0.0], Verdict.FAILS),  # "above 0" is not 0
        ([0.5], Verdict.UNTESTABLE),
        ([0.5, math.nan, 0.5], Verdict.UNTESTABLE),
    ],
)
def test_verdict_is_where_the_interval_lies(values, verdict):
    assert judge(claim_of(values), {}).verdict is verdict


def test_estimate_is_the_t_interval():
    values = np.array([81.0, 82.5, 83.0, 82.0])
    found = estimate(xr.DataArray(values, dims="seed"))
    expected = scipy.stats.t.interval(0.95, 3, values.mean(), scipy.stats.sem(values))
    np.testing.assert_allclose(found[:3], (values.mean(), *expected))
    assert found.seeds == 4


def test_spread_has_the_chi_squared_interval():
    values = np.array([1.0, 2.0, 4.0, 8.0])
    found = spread(xr.DataArray(values, dims="seed"))
    chi = scipy.stats.chi2(3)
    np.testing.assert_allclose(
        found[:3],
        [
            values.std(ddof=1),
            *(math.sqrt(values.var(ddof=1) * 3 / chi.ppf(q)) for q in (0.975, 0.025)),
        ],
    )


def test_best_setting_is_chosen_without_the_seed_it_is_read_at():
    score = xr.DataArray(
        [[9.0, 0.0, 0.0], [2.0, 2.0, 2.0], [1.0, 1.0, 8.0]],
        {"seed": [0, 1, 2]},
        ("setting", "seed"),
    )
    epochs = xr.DataArray(np.arange(9).reshape(3, 3), dims=("setting", "seed"))
    best, at = held_out_best(score, epochs)
    # Others of seed 0: 0, 2, 4.5; of seed 1: 4.5, 2, 4.5, the first; of seed 2: 4.5, 2, 1.
    assert best.values.tolist() == [1.0, 0.0, 0.0]
    assert at.values.tolist() == [6, 1, 2]


def test_earliest_setting_is_chosen_among_the_near_ones_on_the_other_seeds():
    score = xr.DataArray(
        [[84.0, 84.0, 84.0], [83.5, 83.5, 83.5], [70.0, 70.0, 70.0]],
        {"seed": [0, 1, 2]},
        ("setting", "seed"),
    )
    epochs = score.copy(data=[[60.0, 60.0, 60.0], [9.0, 10.0, 12.0], [1.0, 1.0, 1.0]])
    assert held_out_earliest(score, epochs, 1.0).values.tolist() == [9.0, 10.0, 12.0]
    assert held_out_earliest(score, epochs, 0.1).values.tolist() == [60.0, 60.0, 60.0]


RISING = {0: 0.02, 1: 0.6, 100: 0.84}  # 1 percent of a point an epoch up to the last


@pytest.mark.parametrize(("peaks", "verdict"), [(0.84, "FAILS"), (RISING, "UNDECIDED")])
def test_best_of_a_network_that_still_rises_is_no_number_to_reject(peaks, verdict):
    judged = judge_reading(CLAIMS["C2a"], network("convnets/c2", peaks)(WORLD), "adam")
    assert judged.verdict is Verdict[verdict]
    assert judged.estimate.mean == pytest.approx(84.0)
    assert math.isinf(judged.estimate.upper) == (verdict == "UNDECIDED")


def test_peak_of_a_network_is_that_of_the_longer_run_at_its_rate():
    longer = paper_world.chosen({0: 0.02, 30: 0.871, 100: 0.8}).sel(learning_rate=[1e-4])
    runs = network("convnets/c2", RISING)(WORLD) | {"convnets/c2/longer": longer}
    printed, undamped = (
        judge_reading(CLAIMS["C2a"], runs, reading).estimate
        for reading in ("adam", "adam_undamped")
    )
    assert (printed.mean, undamped.mean) == pytest.approx((87.1, 84.0))
    assert not math.isinf(printed.upper) and math.isinf(undamped.upper)


@pytest.mark.parametrize(
    ("rising", "bounds"),
    [
        ((), (False, False)),
        (("c2",), (False, True)),
        (("c1",), (True, False)),
        (("c1", "c2"), (True, True)),
    ],
)
def test_difference_of_networks_that_still_rise_has_no_bound_on_their_side(rising, bounds):
    runs = WORLD
    for cell in rising:
        runs = network(f"convnets/{cell}", RISING)(runs)
    found = judge_reading(CLAIMS["C3e"], runs, "adam").estimate
    assert (math.isinf(found.lower), math.isinf(found.upper)) == bounds


def test_an_open_end_on_the_side_that_a_claim_leaves_open_does_not_matter():
    runs = network("convnets/c2", 0.7)(network("convnets/c1", RISING)(WORLD))
    judged = judge_reading(CLAIMS["C3e"], runs, "adam")
    assert judged.estimate.lower == -math.inf and judged.verdict is Verdict.HOLDS


def test_a_setting_that_is_best_is_compared_with_the_best_other():
    found = judge_reading(CLAIMS["A1v"], WORLD, "adam").estimate
    assert found.mean == pytest.approx(-0.1)  # 83.5 at b1 0, 83.6 its own


def test_worst_step_is_the_least_gain_in_order_of_the_values():
    score = xr.DataArray([[5.0, 5.0], [1.0, 2.0], [4.0, 4.0]], {"b2": [3, 1, 2]}, ("b2", "seed"))
    assert worst_step(score, "b2").values.tolist() == [1.0, 1.0]


# What runs give


def test_diverged_network_counts_as_guessing():
    curves = WORLD["sgd"].copy(deep=True)
    for name in curves.data_vars:
        curves[name].loc[{"learning_rate": 0.1, "seed": 0, "epoch": slice(50, None)}] = np.nan
    picked = Runs({"sgd": curves}).pick("sgd", learning_rate=0.1).isel(seed=0, epoch=-1)
    assert picked.valid_accuracy == pytest.approx(1 / 47)
    assert picked.train_error == pytest.approx(math.log(47))


@pytest.mark.parametrize(
    ("pick", "reason"),
    [
        (lambda runs: runs.pick("nothing"), "nothing was not run"),
        (lambda runs: runs.pick("sgd", epochs=200), "sgd has 100 epochs, this needs 200"),
        (lambda runs: runs.pick("sgd", learning_rate=0.2), "not run at learning_rate=0.2"),
        (lambda runs: runs.pick("sgd", b1=0.9), "sgd has no b1"),
        (lambda runs: runs.pick("rmsprop", decay=0.99), "not run at decay=0.99"),
        (lambda runs: runs.seconds("sgd"), "sgd holds no times"),
    ],
)
def test_what_is_missing_is_named(pick, reason):
    with pytest.raises(NotTestable, match=reason):
        pick(Runs(WORLD))


def test_rates_are_found_up_to_rounding():
    curves = WORLD["adam"].assign_coords(learning_rate=WORLD["adam"].learning_rate.astype("f4"))
    found = Runs({"adam": curves}, "adam_undamped").adam(1e-4, 0.9, 0.9999)
    assert float(found.learning_rate) == pytest.approx(1e-3)


def test_estimates_of_one_number_are_taken_as_they_are():
    assert estimate(Estimate(1.0, 1.0, 1.0)) == (1.0, 1.0, 1.0, 0)


def test_a_ratio_is_a_geometric_mean_whose_interval_stays_above_zero():
    """Ratios 1, 4 and 16 by hand: mean 4; of their log2 (0, 2, 4) sd 2, t(2) = 4.303."""
    found = ratio(
        xr.DataArray([3.0, 8.0, 16.0], dims="seed"), xr.DataArray([3.0, 2.0, 1.0], dims="seed")
    )
    reach = 4.302653 * 2 / 3**0.5
    np.testing.assert_allclose(found, [4, 2 ** (2 - reach), 2 ** (2 + reach), 3], rtol=1e-6)
