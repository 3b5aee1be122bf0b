"""Every claim is judged on hand-made curves that satisfy it and on others that violate it."""

import math

import numpy as np
import optax
import paper_world
import pytest
import scipy.stats
import xarray as xr
from paper_world import altered, chosen, results_of, with_minibatch

from emnist_jax import rules
from experiments.claims.criteria import Estimate, Verdict, at_least, at_most, between, near
from experiments.claims.judge import Claim, by_reading, forest, judge, judge_all, judge_reading
from experiments.claims.measures import estimate, ratio, spread, worst_step
from experiments.claims.paper import PAPER
from experiments.claims.quantities import Measured
from experiments.claims.runs import NotTestable, Runs
from experiments.claims.tuning import held_out_best, held_out_earliest

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


def normalised(name, minibatch, running):
    return lambda runs: runs | {f"batch_norm/{name}": with_minibatch(running, minibatch)}


LEARNT = chosen({0: 0.02, 7: 0.842, 100: 0.8}, valid_error=0.493)
TESTED = results_of(0.8222, 0.547)
FAR_OFF = chosen({0: 0.02, 7: 0.842, 100: 0.8}, valid_error=0.9)
SLOW = {0: 0.02, 1: 0.3, 60: 0.836, 100: 0.835}
AS_FAST = adam({0: 0.02, 1: 0.77, 6: 0.83, 8: 0.836, 100: 0.8}, rate=1e-4, b1=0.9)  # as RMSprop
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
    "R1k": rmsprop(0.3, 3.0, ERR),
    "R1l": sgd(0.01, {0: 0.02, 10: 0.836, 100: 0.8}),
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
    "A1j2": adam({0: 0.02, 2: 0.836, 11: 0.8355}, rate=1e-3, b1=0.0, b2=0.9999),
    "A1k": adam(SLOW, rate=1e-3, b1=0.0, b2=0.9999),
    "A1l": adam(0.805, rate=1e-3, b1=0.0, b2=0.9999),
    "A1m": adam(
        {0: 0.02, 10: 0.8, 11: 0.78, 48: 0.835, 100: 0.83}, rate=1e-4, b1=0.0, b2=0.99
    ),  # likewise
    "A1n": adam(0.8, rate=1e-4, b1=0.0),
    "A1o": adam({0: 0.02, 90: 0.835, 100: 0.83}, rate=1e-4, b1=0.0),
    "A1o2": adam({0: 0.02, 90: 0.836, 100: 0.83}, rate=1e-4, b1=0.0),
    "A1p": adam(SLOW, **PICK),
    "A1p2": adam(SLOW, rate=1e-4, b1=0.9),
    "A1q": adam({e: 0.8 - 0.01 * e + (e % 2) * 0.3 for e in range(101)}, ERR, **PICK),
    "A1r": adam(0.9, "valid_error", **PICK),
    "A1s": adam(0.7, rate=1e-3, b1=0.9, b2=0.9999),
    "A1w": adam(0.805, rate=1e-3, b1=0.0, b2=0.9999),
    "A1t": adam({0: 0.02, 1: 0.5, 8: 0.836, 100: 0.8}, **PICK),
    "A1u": adam({0: 0.02, 5: 0.86, 100: 0.8}, rate=1e-3, b1=0.9, b2=0.999),
    "A1v": adam({0: 0.02, 8: 0.8, 100: 0.79}, **PICK),
    "N1a": normalised("frozen_normal", chosen(0.82), LEARNT),
    "N1b": normalised("frozen_normal", chosen(0.723), LEARNT),
    "N1c": normalised("frozen_normal", chosen(0.87), LEARNT),
    "C1a": network("convnets/c1", 0.9),
    "C1b": network("convnets/c1", {0: 0.02, 1: 0.6, 7: 0.8744}),
    "C2a": network("convnets/c2", 0.9),
    "C2b": network("convnets/c2", {0: 0.02, 1: 0.6, 7: 0.871}),
    "C2c": network("times/c2", 0.5, seconds_per_epoch=80.0, trials_at_once=1),
    "C2d": network("times/c2", 0.5, seconds_per_epoch=80.0, trials_at_once=1),
    "C3a": network("convnets/c1", SLOW),
    "C3b": network("convnets/c1", {0: 0.02, 1: 0.6, 7: 0.8744}),
    "C3c": network("convnets/c2", SLOW),
    "C3d": network("convnets/c2", {0: 0.02, 1: 0.6, 7: 0.871}),
    "C3e": network("convnets/c2", {0: 0.02, 7: 0.89, 100: 0.88}),
    "T1a": normalised("trained_normal", chosen(0.75), LEARNT),
    "T1b": normalised("trained_normal", FAR_OFF, LEARNT),
    "T1c": normalised("trained_normal/test", results_of(0.75, 0.9), TESTED),
    "T1d": normalised("trained_normal/test", results_of(0.5, 0.9), TESTED),
    "T1a2": normalised("trained_normal", LEARNT, chosen(0.75)),
    "T1b2": normalised("trained_normal", LEARNT, FAR_OFF),
    "T1e": normalised("trained_normal/test", results_of(0.84, 0.9), TESTED),
    "T2a": network("convnets/c1", 0.75),
    "T2b": network("convnets/c1", 0.8744, valid_error=0.9),
    "T2c": results("convnets/c1/test", accuracy=0.75),
    "T2d": results("convnets/c1/test", error=0.9),
    "T2e": results("convnets/c1/test", accuracy=0.82),
    "F1a": rmsprop(0.001, SLOW),
    "F1b": adam(SLOW, rate=1e-4, b1=0.9),
    "F1c": rmsprop(0.001, {0: 0.02, 1: 0.5, 8: 0.827, 100: 0.8}),
    "F1d": adam({0: 0.02, 1: 0.5, 8: 0.836, 100: 0.8}, rate=1e-4, b1=0.9),
    "F1e": lambda runs: rmsprop(0.001, 0.7)(rmsprop(0.003, 0.7)(runs)),
    "F1f": lambda runs: sgd(0.01, {0: 0.02, 5: 0.836, 100: 0.8})(AS_FAST(runs)),
    "F1f2": AS_FAST,
    "F1g": network("convnets/c1", 0.75),
    "F1h": network("times/c1", 0.5, seconds_per_epoch=0.5, trials_at_once=1),
}
CONSTANT = {"F1i"}  # a number of the text alone, which no curve changes


def test_every_claim_has_its_own_id_and_a_violation():
    assert len(CLAIMS) == len(PAPER)
    assert set(VIOLATIONS) | CONSTANT == set(CLAIMS)


@pytest.mark.parametrize("name", CLAIMS)
def test_claim_holds_where_the_paper_is_right(name):
    judged = judge(CLAIMS[name], WORLD)
    assert judged.verdict is Verdict.HOLDS, judged


@pytest.mark.parametrize("name", VIOLATIONS)
def test_claim_does_not_hold_once_its_curve_is_changed(name):
    judged = judge_reading(CLAIMS[name], VIOLATIONS[name](WORLD), "adam")
    assert judged.verdict is Verdict.FAILS, judged
    assert judge(CLAIMS[name], VIOLATIONS[name](WORLD)).verdict in (
        Verdict.FAILS,
        Verdict.UNDAMPED,
    )


@pytest.mark.parametrize("name", VIOLATIONS)
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
    return Claim("X", "", Measured("", "%", lambda runs: array), between(low, high, ""))


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
    (at,) = held_out_best(score, epochs)
    # Others of seed 0: 0, 2, 4.5; of seed 1: 4.5, 2, 4.5, the first; of seed 2: 4.5, 2, 1.
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


def test_a_network_still_rises_whose_best_epoch_is_in_the_last_twentieth():
    def verdict(best):
        curves = chosen({0: 0.02, best: 0.84, 61: 0.8}).sel(epoch=slice(0, 60))
        return judge_reading(CLAIMS["C2a"], WORLD | {"convnets/c2": curves}, "adam").verdict

    assert [verdict(best) for best in (57, 58)] == [Verdict.FAILS, Verdict.UNDECIDED]


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
    assert found.mean == pytest.approx(-0.02)  # 83.58 at b1 0, 83.6 its own


def test_worst_step_is_the_least_gain_in_order_of_the_values():
    score = xr.DataArray([[5.0, 5.0], [1.0, 2.0], [4.0, 4.0]], {"b2": [3, 1, 2]}, ("b2", "seed"))
    assert worst_step(score).values.tolist() == [1.0, 1.0]


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
        (lambda runs: runs.time_ratio("c1", "dense"), "times/dense holds no times"),
        (lambda runs: Runs(runs.datasets, macro=True).pick("sgd"), "holds no train_macro_accuracy"),
    ],
)
def test_what_is_missing_is_named(pick, reason):
    with pytest.raises(NotTestable, match=reason):
        pick(Runs(WORLD | {"times/dense": chosen(0.8)}))


def test_rates_are_found_up_to_rounding():
    curves = WORLD["adam"].assign_coords(learning_rate=WORLD["adam"].learning_rate.astype("f4"))
    found = Runs({"adam": curves}, "adam_undamped").adam(1e-4, 0.9, 0.9999)
    assert float(found.learning_rate) == pytest.approx(1e-3)


def test_estimates_of_one_number_are_taken_as_they_are():
    assert estimate(Estimate(1.0, 1.0, 1.0)) == Estimate(1.0, 1.0, 1.0)


def test_a_ratio_is_a_geometric_mean_whose_interval_stays_above_zero():
    """Ratios 1, 4 and 16 by hand: mean 4; of their log2 (0, 2, 4) sd 2, t(2) = 4.303."""
    found = ratio(
        xr.DataArray([3.0, 8.0, 16.0], dims="seed"), xr.DataArray([3.0, 2.0, 1.0], dims="seed")
    )
    reach = 4.302653 * 2 / 3**0.5
    np.testing.assert_allclose(found[:4], [4, 2 ** (2 - reach), 2 ** (2 + reach), 3], rtol=1e-6)


# Criteria, and all claims together


@pytest.mark.parametrize(
    ("criterion", "values", "bound"),
    [
        (at_most(1, ""), [0.2, 0.5, 0.6, 0.9], 1),  # decided or not, it is the bound's t test
        (at_most(1, ""), [1.2, 1.5, 1.6, 0.9], 1),
        (near(1.0, 1), [1.2, 1.5, 1.6, 1.3], 2),  # inside: the nearer of the two
        (near(1.0, 1), [-0.2, -0.5, 0.1, -0.7], 0),  # outside: the one between
    ],
)
def test_p_of_a_decision_is_that_of_a_t_test_against_the_nearest_bound(criterion, values, bound):
    found = estimate(xr.DataArray(values, dims="seed"))
    p = scipy.stats.ttest_1samp(values, bound).pvalue
    if criterion == near(1.0, 1) and bound == 2:  # twice the larger of two one-sided tests
        other = scipy.stats.ttest_1samp(values, 0).pvalue
        p = max(p, other)
    assert criterion.p(found) == pytest.approx(p)
    decided = criterion.verdict(found) is not Verdict.UNDECIDED
    assert decided == (criterion.p(found) < 0.05)


def test_seeds_needed_put_the_nearest_bound_out_of_reach():
    """sd .5, .25 from the bound: Cohen's d of .5, 34 pairs for a power of .8 (G*Power 3.1)."""
    values = 0.75 + 0.5 * np.array([-1, 0, 1]) * math.sqrt(1)
    found = estimate(xr.DataArray(values, dims="seed"))
    assert at_most(1, "").seeds_needed(found) == 34
    assert at_most(1, "").seeds_needed(found._replace(upper=math.inf)) == math.inf
    assert at_most(0.75, "").seeds_needed(found) == math.inf


def test_few_seeds_take_the_sd_of_settings_alike():
    world = WORLD | {"adam": WORLD["adam"].isel(seed=[0, 1])}
    two = judge_reading(CLAIMS["A1i"], world, "adam").estimate
    best = 100 * world["adam"].sel(learning_rate=1e-3, b1=0.0).valid_accuracy.max("epoch")
    sd = math.sqrt(best.var("seed", ddof=1).mean())
    half = scipy.stats.t.ppf(0.975, 4) * sd / math.sqrt(2)
    assert (two.seeds, two.df) == (2, 4)
    assert two.upper - two.mean == pytest.approx(half, rel=1e-6)


def test_false_discoveries_are_controlled_over_all_claims():
    """Benjamini and Hochberg (1995): the k-th smallest of m p values is decided below .05 k / m."""
    claims = [claim_of([0.5 + d, 0.5, 0.5 - d]) for d in (0.15, 0.19, 0.001, 0.6)]
    p = [judge(claim, {}).p for claim in claims]
    found = [j.controlled for j in judge_all(claims, {})]
    order = np.argsort(p)
    largest = max(k for k, i in enumerate(order, 1) if p[i] <= 0.05 * k / len(p))
    expected = dict.fromkeys(order[:largest], Verdict.HOLDS)
    assert found == [expected.get(i, Verdict.UNDECIDED) for i in range(4)]
    assert judge(claims[1], {}).verdict is Verdict.HOLDS and found[1] is Verdict.UNDECIDED


def with_macro(curves, less):
    names = [v for v in curves if "accuracy" in v]
    return curves.assign({v.replace("accuracy", "macro_accuracy"): curves[v] - less for v in names})


def test_verdict_that_depends_on_how_accuracy_is_averaged_is_found():
    for less, verdict in ((0.0, Verdict.HOLDS), (0.03, Verdict.FAILS)):
        (judged,) = judge_all([CLAIMS["R1h"]], {"rmsprop": with_macro(WORLD["rmsprop"], less)})
        assert (judged.verdict, judged.macro) == (Verdict.HOLDS, verdict)


def test_a_variant_is_read_by_its_name():
    base, other = chosen(0.8), chosen(0.7)
    runs = Runs({"n": with_minibatch(base, other)})
    for variant, expected in (("minibatch", other), ("", base)):
        found = runs.chosen_adam("n", variant=variant).valid_accuracy
        np.testing.assert_array_equal(found, expected.valid_accuracy[0])
    with pytest.raises(NotTestable, match="n holds no train_error_minibatch"):
        Runs({"n": other}).chosen_adam("n", variant="minibatch")


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({"trials_at_once": 2}, "times/c1 has the times of 2 networks at once"),
        ({"device": "GPU"}, "times of c1 and dense are of GPU and CPU"),
    ],
)
def test_times_of_unequal_runs_do_not_compare(about, reason):
    alone = {"trials_at_once": 1, "device": "CPU"}
    one, other = (chosen(0.8, seconds_per_epoch=s, **alone) for s in (1.0, 2.0))
    assert Runs({"times/c1": other, "times/dense": one}).time_ratio("c1", "dense") == 2
    with pytest.raises(NotTestable, match=reason):
        Runs({"times/c1": other.assign_attrs(about), "times/dense": one}).time_ratio("c1", "dense")


def test_forest_puts_the_bounds_at_one_and_the_paper_at_zero():
    runs = faster_at_ten_times_the_rate()
    rows = {row.claim.id: row for row in forest([judge(claim, runs) for claim in PAPER], runs)}
    assert {"R1h", "A1p", "C1a"} <= set(rows) and not {"R1j", "B1g", "F1e"} & set(rows)
    assert rows["R1h"].printed[0] == pytest.approx(0) and rows["R1h"].fitting is None
    assert rows["A1p"].printed[0] == pytest.approx(np.interp(6, [1, 60], [30, 82]) - 83)
    assert rows["A1p"].fitting[0] == pytest.approx(0)


def test_readings_count_only_claims_that_depend_on_them():
    found = by_reading(PAPER, WORLD)
    about = [claim.id for claim in PAPER if claim.any_adam]
    assert found["adam"] == dict.fromkeys(about, Verdict.HOLDS)
    assert found["adam_uncorrected"] == {}
    assert "A1p" in about and not {"A1i", "A1j2", "A1o", "A1w"} & set(about)


def test_statement_words_what_is_measured_and_its_bounds():
    words = {claim.id: claim.statement for claim in PAPER}
    assert words["B1a"] == "epoch of the best validation accuracy, is 5 to 20"
    assert words["B1g"] == (
        "best validation accuracy: SGD at eta 0.01 less SGD at eta 0.1, is above 0"
    )
    assert words["R1c"] == "training error, mean of epochs 91-100, is 3.85 within 0.1"
    assert CLAIMS["B1a"].where == "Section 2"
    assert at_least(2, "").words == "2 or more"


def test_differences_of_accuracies_are_in_points():
    differences = [claim for claim in PAPER if " less " in claim.statement]
    assert {"A1l", "B1g", "C3e"} <= {claim.id for claim in differences}
    assert "%" not in {claim.unit for claim in differences}
