"""Is mine better: the sentence and its numbers, what is refused, the picture, and races."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from matplotlib.text import Text

import emnist_jax as ej

RATES = [0.1, 0.01, 0.001]


def curves(points, rates=RATES, epochs=3, **attrs):
    """Curves whose best accuracy is 80 % + `points` (setting, seed), at the middle epoch."""
    points = np.asarray(points, float)
    best = 0.8 + points / 100
    accuracy = np.stack([best * 0 + 0.02, best, best - 0.01, best - 0.02][:epochs], -1)
    dims = ("learning_rate", "seed", "epoch")
    attrs = {"rule": "mine", "data": "glyphs", "data_hash": "d1", "split_hash": "s1"} | attrs
    return xr.Dataset(
        {"valid_accuracy": (dims, accuracy), "valid_error": (dims, 1 - accuracy)},
        {"learning_rate": rates, "seed": range(points.shape[1]), "epoch": range(epochs)},
        {"order": "seed"} | attrs,
    )


def one(points, **more):
    return curves([points], rates=[0.1], **more)


def needed(difference, sd, alpha=0.05):
    """Pairs at which Student's interval excludes 0 with a probability of 80 %."""
    for n in range(2, 10_001):
        edge = scipy.stats.t.ppf(1 - alpha / 2, n - 1)
        if scipy.stats.nct.sf(edge, n - 1, abs(difference) / sd * np.sqrt(n)) >= 0.8:
            return n
    return np.inf


def test_the_sentence_is_the_paired_interval():
    # differences 1, 2, 3 points: mean 2, sd 1, t(2) = 4.3027, half-width 2.48
    mine, adam = one([1, 4, 2]), one([0, 2, -1], rule="adam")
    expected = "+2.0 points [-0.5, 4.5]: undecided; about {} seeds would decide"
    assert str(ej.compare(mine, adam)) == "mine - adam: " + expected.format(needed(2, 1))
    (pair,) = ej.compare({"a": adam, "b": mine}).pairs
    np.testing.assert_allclose([pair.difference, pair.sd], [-0.02, 0.01])
    assert pair.points == "-2.0 points [-4.5, 0.5]"
    sure = ej.compare(one([5, 8, 6]), adam)
    assert str(sure) == "mine - adam: +6.0 points [3.5, 8.5]: mine is better"
    assert sure.pairs[0].improvement == 1
    same = str(ej.compare(adam, adam))
    assert same.endswith("+0.00 points [0.00, 0.00]: undecided; equal on every seed")
    found = ej.compare(one([1, 2]), one([0, 1], rule="adam")).pairs[0]._replace(sd=0, lower=0.01)
    assert found.verdict == "undecided"  # of a coarse measure: normal values are never equal


def test_rules_are_tuned_alike():
    rng = np.random.default_rng(0)
    mine = curves(rng.normal(0, 0.2, (5, 4)) - [[3], [2], [0], [2], [3]], [1, 0.3, 0.1, 0.03, 0.01])
    adam = curves(rng.normal(0, 0.2, (3, 4)) - [[2], [0], [2]], rule="adam")
    found = ej.compare(mine, adam)
    assert found.k == 3 and "mine - adam after 3 settings: " in str(found)
    for name, side in {"mine": mine, "adam": adam}.items():
        own = ej.stats.tuned_scores(ej.stats.best(side).valid_accuracy, 3)
        np.testing.assert_array_equal(found.scores[name], own)
    untuned = ej.compare(mine, adam, k=1).pairs[0].difference  # of rates taken blindly
    every = [ej.stats.best(side).valid_accuracy.mean() for side in (mine, adam)]
    np.testing.assert_allclose(untuned, every[0] - every[1])


def test_unlike_grids_are_noted_below_their_sentence_with_the_difference_of_all_settings():
    # Adam is 2 points better at its best rate, yet its best of 2 of 3 is 2 / 3 x 2 + 1 / 3 x -6.
    adam = curves([[2, 2.1, 1.9], [-6, -6, -6], [-6, -6.1, -5.9]], rule="adam")
    mine = curves([[0, 0, 0], [-6, -6, -6]], RATES[:2])
    first, note = str(ej.compare(mine, adam)).splitlines()[:2]
    assert first.startswith("mine - adam after 2 settings: +0.6")
    assert note.strip().startswith("mine has 2 settings, adam 3; each counts as the best of 2")
    every = [ej.stats.tuned_scores(ej.stats.best(x).valid_accuracy) for x in (mine, adam)]
    over = 100 * ej.stats.paired(*every)
    assert abs(over.difference + 2) < 0.1
    assert note.endswith(f"both: -2.0 points [{over.lower:.1f}, {over.upper:.1f}]")
    both = xr.concat([mine, mine], "b1").assign_coords(b1=[0.9, 0.5])
    wide = curves(np.zeros((4, 3)), [1, *RATES], rule="adam")  # 4 settings on either side
    said = str(ej.compare(both, wide)).splitlines()[1]
    assert said == "  mine tried 2 of the 4 values of learning_rate of adam"


def test_a_stated_epoch_is_read_and_a_failed_trial_counts_as_nothing():
    mine, adam = one([3, 3, 3]), one([0, 1, 2], rule="adam")
    mine.valid_accuracy[0, 0, 2] = np.nan
    found = ej.compare(mine, adam, epoch=2)
    np.testing.assert_allclose(found.scores["mine"], [0, 0.82, 0.82], atol=1e-12)
    assert "1 of 3 trials of mine diverged" in str(found)
    with pytest.raises(ej.InputError, match="epoch=9"):
        ej.compare(mine, adam, epoch=9)


def test_several_rules_control_false_discoveries():
    rng = np.random.default_rng(1)
    rules = {"adam": one(rng.normal(size=6))} | {
        name: one(rng.normal(shift, 1, 6)) for name, shift in (("a", 9), ("b", 1.5), ("c", 0))
    }
    found = ej.compare(rules, against="adam")
    assert [(pair.a, pair.b) for pair in found.pairs] == [
        ("a", "adam"),
        ("b", "adam"),
        ("c", "adam"),
    ]
    p = np.array([pair.p for pair in found.pairs])
    order = np.argsort(p)  # Benjamini and Hochberg: q of the i-th smallest is min over j >= i
    steps = np.minimum.accumulate((p[order] * 3 / np.arange(1, 4))[::-1])[::-1]
    np.testing.assert_allclose([found.pairs[i].q for i in order], steps)
    assert ej.compare(rules).pairs[0][:2] == ("adam", "a")
    doubtful = found.pairs[0]._replace(lower=0.1, upper=0.2, q=0.06)
    assert doubtful.verdict == "undecided"
    said = str(dataclasses.replace(found, pairs=(doubtful, *found.pairs[1:]))).split("\n")[0]
    assert "undecided after correction for 3 comparisons (q = 0.06); about " in said
    pair = found.pairs[2]
    assert pair.needed == needed(pair.difference, pair.sd, 0.05 / 3)
    labels = [text.get_text() for text in found.plot().axes[1].get_yticklabels()]
    assert f"c \N{MINUS SIGN} adam\nundecided (q = {pair.q:.2g})" in labels[2]


MINE, ADAM = one([0, 1, 2]), one([0, 1, 3], rule="adam")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: ej.compare(MINE, ADAM.assign_attrs(data_hash="d2")),
            r"data: glyphs \(hash d1\), gl",
        ),
        (
            lambda: ej.compare(
                MINE.assign_attrs(train_images=9), ADAM.assign_attrs(train_images=8)
            ),
            r"data: glyphs \(9 train images, hash d1\), glyphs \(8 train images, hash d1\)",
        ),
        (lambda: ej.compare(MINE, ADAM.assign_attrs(split_hash="s2")), "differ in split: s1, s2"),
        (lambda: ej.compare(MINE, ADAM.isel(epoch=[0, 1])), "epochs: 0 to 2, 0 1"),
        (lambda: ej.compare(MINE, ADAM.isel(seed=[0, 2])), "seeds: 0 to 2, 0 2"),
        (lambda: ej.compare(MINE, ADAM.assign_attrs(order=0)), "minibatch order: seed, 0"),
        (lambda: ej.compare(MINE), "two rules or more"),
        (lambda: ej.compare({"mine": MINE}), "two rules or more"),
        (lambda: ej.compare(MINE, 3), "xarray.Dataset"),
        (lambda: ej.compare("a/curves.nc", MINE), "load_curves"),
        (lambda: ej.compare(MINE, ADAM.isel(seed=[0, 1, 1])), "adam holds a seed twice"),
        (lambda: ej.compare(MINE, ADAM, k=2.5), "k=2.5: give a whole number from 1 to 1"),
        (lambda: ej.compare(MINE, ADAM, epoch=-1), "epoch=-1: give one of 0 to 2"),
        (lambda: ej.compare(MINE, ADAM, epoch=2.5), "epoch=2.5: give one of 0 to 2"),
        (
            lambda: ej.stats.probability_of_improvement(MINE.valid_accuracy, ADAM.valid_accuracy),
            "are left: learning_rate, epoch",
        ),
        (lambda: ej.compare(MINE, ADAM.isel(seed=0)), '"seed"'),
        (lambda: ej.compare(*(x.isel(seed=[0]) for x in (MINE, ADAM))), "one seed"),
        (lambda: ej.compare(MINE, ADAM, against="adma"), 'did you mean "adam"'),
        (lambda: ej.compare(MINE, ADAM, k=2), "k=2"),
        (lambda: ej.race(sweep("mine"), sweep("adam"), None, most_seeds=3), "most_seeds=3"),
        (lambda: ej.race(sweep("mine"), sweep("adam"), None, most_seeds=10.0), "most_seeds=10.0"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(call, words):
    with pytest.raises(ej.InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_what_a_reader_should_keep_in_mind_is_noted():
    flat = np.repeat([[0.0], [1.0], [2.0]], 4, axis=1)
    setup = {"configuration": json.dumps({"dtype": "float64"}), "batch_size": 100}
    mine = curves(flat + np.arange(4) / 10, **setup)
    adam = curves(flat, rule="adam", configuration=json.dumps({"dtype": "float32"}), batch_size=50)
    shared = [x.drop_attrs(deep=False).assign_attrs(x.attrs) for x in (mine, adam)]
    for x in shared:
        del x.attrs["order"]
    text = str(ej.compare(*shared))
    for words in (
        "mine is best at the lowest learning rate of its grid",
        "differ in batch_size: mine 100, adam 50",
        "differ in dtype: mine float64, adam float32",
        "all seeds share one minibatch order",
    ):
        assert words in text
    assert "order" not in str(ej.compare(mine, adam))
    lost = adam.where(adam.learning_rate < 0)  # of no trial is anything finite
    equal = mine.where(False, 0.5)
    assert "widen" not in str(ej.compare(equal, lost.assign_attrs(adam.attrs)))


def test_a_failed_trial_that_decides_is_noted():
    mine = curves([[9, 9, 9], [1, 1, 1]], RATES[:2])
    adam = mine.copy(deep=True).assign_attrs(rule="adam")
    mine.valid_accuracy[0, 2, 1:] = np.nan
    said = "1 of 6 trials of mine diverged; each counts with its best epoch before that, as 0 with"
    assert said in str(ej.compare(mine, adam)) and "1 at its best setting" in str(
        ej.compare(mine, adam)
    )
    mine = adam.copy(deep=True).assign_attrs(rule="mine")
    mine.valid_accuracy[1, 2, 1:] = np.nan
    assert "at its best setting" not in str(ej.compare(mine, adam))


def test_notebooks_show_a_table_and_names_are_escaped():
    found = ej.compare({"<mine>": MINE, "adam": ADAM})
    page = found._repr_html_()
    assert "&lt;mine&gt; - adam" in page and "<mine>" not in page
    assert found.pairs[0].points in page and page.count("<td>") == 7


def test_the_picture_shows_rates_seeds_and_the_interval_of_the_difference():
    points = np.random.default_rng(2).normal(size=(3, 4))
    found = ej.compare(curves(points), curves(-points, rule="adam"))
    rates, difference = found.plot().axes
    names = [text.get_text() for text in rates.get_legend().get_texts()]
    assert names == ["mine", "adam"]
    dots = [line.get_ydata() for line in rates.lines if line.get_marker() == "."]
    np.testing.assert_allclose(np.sort(np.ravel(dots[:4])), np.sort(80 + points.ravel()))
    (bar,) = difference.containers
    pair = found.pairs[0]
    ends = bar[2][0].get_segments()[0][:, 0]
    np.testing.assert_allclose(ends, [100 * pair.lower, 100 * pair.upper])
    assert "rules at one rate stand side by side" in words_of(found.plot())
    alone = ej.compare(*(x.squeeze("learning_rate", drop=True) for x in (MINE, ADAM)))
    assert len(alone.plot().axes) == 1


def words_of(figure):
    return " ".join(" ".join(text.get_text() for text in figure.findobj(Text)).split())


def test_the_picture_shows_what_lies_far_below_and_the_number_that_is_compared():
    low = curves([[-40, -41], [-50, -50], [np.nan, -50]], train_images=1234, model="net")
    adam = curves([[0, 1], [-60, -61]], [0.1, 0.3], rule="adam", train_images=1234, model="net")
    found = ej.compare(low, adam)
    rates = found.plot().axes[0]
    marks = [line for line in rates.lines if line.get_marker() == "v"]
    assert [len(line.get_xdata()) for line in marks] == [3, 1]
    assert all(np.all(line.get_ydata() == 0) for line in marks)  # of the axes: at the edge
    shown = words_of(found.plot())
    for words in ("triangles: 4 settings below 66.0 %", "1,234 training images", "2 epochs"):
        assert words in shown
    assert " net " in shown and "1 of 10 trials diverged" in shown
    dashed = [line.get_ydata()[0] for line in rates.lines if line.get_linestyle() == "--"]
    np.testing.assert_allclose(dashed, [100 * found.scores[n].mean() for n in ("mine", "adam")])
    later = ej.compare(low, adam, epoch=2).plot()
    assert later.axes[0].get_ylabel() == "validation accuracy (%) after epoch 2"


# Races


def sweep(rule, **grid):
    return ej.Sweep(ej.MLP(), rule, grid or {"learning_rate": RATES}, epochs=2)


def trainer(calls, effect):
    """A `run` that trains nothing: mine is `effect` points better than adam at a rate of .01."""

    def run(sweep, data, out):
        seeds = range(sweep.seeds) if isinstance(sweep.seeds, int) else sweep.seeds
        calls.append((sweep.rule, out.parent.name, out.name, sweep.grid, list(seeds)))
        rates = np.atleast_1d(sweep.grid["learning_rate"])
        shift = effect if sweep.rule == "mine" else 0
        rule = len(sweep.rule) + (sweep.rule == "mine")
        noise = np.array([np.random.default_rng([s, rule]).normal() for s in seeds])
        found = curves(noise + shift - abs(np.log10(rates) + 2)[:, None] * 30, rates, 2)
        found = found.assign_coords(seed=list(seeds)).assign_attrs(rule=sweep.rule)
        return found if np.ndim(sweep.grid["learning_rate"]) else found.squeeze("learning_rate")

    return run


def test_a_race_tunes_then_adds_new_seeds_until_it_is_decided(tmp_path):
    data = ej.load((np.zeros((20, 4, 4), np.uint8), np.arange(20) % 2))
    calls = []
    sweeps = sweep("mine"), sweep("adam")
    found = ej.race(*sweeps, data, tmp_path, run=trainer(calls, 3), step=4, tuning_seeds=2)
    tuning, raced = calls[:2], calls[2:]
    assert [call[1:] for call in tuning] == [
        (side, "tuning", {"learning_rate": RATES}, [0, 1]) for side in ("mine", "other")
    ]
    assert all(call[2:4] == ("race", {"learning_rate": 0.01}) for call in raced)
    n = found.differences.size
    assert [call[4] for call in raced[::2]] == [list(range(2, 2 + i)) for i in range(4, n + 1, 4)]
    assert found.verdict == "mine is better" and 4 <= n < 24
    own = ej.stats.confidence_sequence(found.differences)
    xr.testing.assert_identical(found.sequence, own)
    assert own.isel(n=-1).lower > 0
    assert n == 4 or not own.sel(n=n - 4).lower > 0
    first, *notes = str(found).splitlines()
    assert first.startswith(f"mine - adam after {n} seeds: +") and notes == [
        "  raced: mine at learning_rate 0.01; adam at learning_rate 0.01"
    ]
    lines = found.plot().axes[0].lines
    np.testing.assert_allclose(lines[-1].get_ydata(), 100 * own["mean"])


def test_an_undecided_race_ends_at_its_budget_and_single_settings_need_no_tuning():
    data = ej.load((np.zeros((20, 4, 4), np.uint8), np.arange(20) % 2))
    calls = []
    mine, adam = (sweep(rule, learning_rate=0.01) for rule in ("mine", "adam"))
    found = ej.race(mine, adam, data, run=trainer(calls, 0), most_seeds=10)
    assert found.settings == ({"learning_rate": 0.01},) * 2
    assert found.verdict == "undecided" and "undecided" in str(found)
    assert [call[4] for call in calls[::2]] == [list(range(i)) for i in (4, 8, 10)]
    mine = sweep("mine", learning_rate=[0.01, 0.001])
    notes = ej.race(mine, adam, data, run=trainer(calls, 0), most_seeds=4).notes
    assert "tuned over unlike numbers of settings, mine over 2, adam over 1" in notes[1]
    assert "tuning: mine is best at the highest learning rate of its grid: widen it" in notes
