"""The experiments' figures: the paper's numbers lie where it reports them, names are plain."""

import math
import re

import beyond_world
import matplotlib as mpl
import numpy as np
import paper_world
import pytest

from emnist_jax.figures.style import mark
from emnist_jax.models import describe
from emnist_jax.stats import best
from experiments import (
    adam,
    batch_norm,
    budgets,
    forensics,
    regularisation,
    rmsprop,
    test_set,
    weights_or_convolution,
)
from experiments._curves import peak_limits, with_names
from experiments._names import NAMES
from experiments._networks import C1, C2, DENSE
from experiments._study import BEYOND, PAPER
from experiments.claims.runs import READINGS


def paper_runs():
    """Return runs of every experiment of the paper, whose networks tell what they are."""
    runs = {"sgd": paper_world.sgd(), "rmsprop": paper_world.rmsprop(), "adam": paper_world.adam()}
    small = runs["adam"].sel(learning_rate=[1e-3, 1e-4], b1=[0.9])
    runs |= {f"forensics/{reading}": small for reading in READINGS[2:]}
    models = {"convnets/dense": DENSE, "convnets/c1": C1, "convnets/c2": C2}
    for folder, model in models.items():
        peaked = paper_world.chosen({0: 0.02, 7: 0.87, 100: 0.8}, seconds_per_epoch=1.0)
        runs[folder] = peaked.assign_attrs(model=describe(model.clone(classes=47)))
    for kind in batch_norm.KINDS:
        curves = paper_world.chosen({0: 0.02, 50: 0.82, 100: 0.81})
        both = curves.assign({f"{v}_minibatch": curves[v] for v in curves.data_vars})
        runs[f"batch_norm/{'_'.join(kind)}"] = both
    tested = paper_world.results_of(0.83, 0.5, paper_world.ALIKE)
    tested = tested.assign_attrs(rule="adam", model=describe(C1.clone(classes=47)))
    for folder, _ in test_set.TRAINED.values():
        minibatch = {f"{v}_minibatch": tested[v] for v in tested.data_vars}
        runs[f"{folder}/test"] = tested.assign(minibatch)
    runs["convnets/c2/test"] = tested
    return runs


RUNS = paper_runs()
FIGURES = {
    f"{name}/{figure}": of for name, one in PAPER.items() for figure, of in one.figures.items()
}


def marks(axes):
    """Return the marks of a panel: (x, y) of diamonds and (None, y) of lines."""
    found = []
    for artist, label in zip(*axes.get_legend_handles_labels(), strict=True):
        if label.startswith("reported: "):
            line = getattr(artist, "lines", [artist])[0]
            x, y = line.get_data()
            points = zip(np.atleast_1d(x), np.atleast_1d(y), strict=True)
            found += [(None, y[0])] if line is artist else list(points)
    return found


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        ("sgd/figure_2_best_against_rate", [[], [(0.1, 10)]]),
        ("rmsprop/figure_4_validation_accuracy", [[(7.5, 82.7)]]),
        ("rmsprop/figure_5_training_error", [[(None, math.log(47))]]),
        ("rmsprop/best_against_rate", [[(0.001, 82.7)], [(0.001, 7.5)]]),
        ("adam/figure_7_curves", [[(6, 83)], []]),
        ("adam/longer_windows", [[(48, 83.5)], [(6, 83)], [(6, 83)]]),
        ("forensics/curves", [[(6, 83)]]),
        ("batch_norm/accuracy_adam", [[(None, 72.3)]] * 2),
        ("batch_norm/accuracy_undamped", [[(None, 72.3)]] * 2),
        ("convnets/accuracy", [[(1, 83.7), (7, 87.44), (1, 83.2), (5, 87.1)]] * 2),
        ("convnets/error", [[(7, 0.363)]] * 2),
        ("convnets/accuracy_c2", [[(1, 83.2), (5, 87.1)]] * 2),
    ],
)
def test_the_papers_numbers_are_marked_where_it_reports_them(name, panels):
    figure = FIGURES[name].draw(RUNS)
    for axes, expected in zip(figure.axes, panels, strict=True):
        assert marks(axes) == expected
        (low, high), heights = axes.get_ylim(), [y for _, y in expected]
        assert all(low < y < high for y in heights)


def test_a_mark_has_the_spread_of_what_is_reported():
    figure = FIGURES["rmsprop/figure_4_validation_accuracy"].draw(RUNS)
    (container,) = (c for c in figure.axes[0].containers if "82.7" in c.get_label())
    across, upwards = (bars.get_segments()[0] for bars in container.lines[2])
    np.testing.assert_allclose(across, [[6, 82.7], [9, 82.7]])
    np.testing.assert_allclose(upwards, [[7.5, 82.3], [7.5, 83.1]])
    figure = FIGURES["batch_norm/accuracy_adam"].draw(RUNS)
    (span,) = (patch for patch in figure.axes[0].patches if patch.get_height() > 1)
    assert (span.get_y(), span.get_height()) == pytest.approx((66.7, 11.2))


def test_marks_share_a_legend_without_the_curves():
    figure = FIGURES["convnets/accuracy"].draw(RUNS)
    mark(figure, "mine", y=70)
    words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(words) == 3 and all(word.startswith("reported: ") for word in words)


# The axes


def test_limits_of_accuracies_end_above_the_highest_and_begin_after_the_climb():
    curves = paper_world.chosen({0: 0.02, 7: 0.842, 100: 0.8})
    assert peak_limits(curves) == (60, 85)
    curves["train_accuracy"] = curves.train_accuracy + 0.1
    assert peak_limits(curves, ("train_accuracy", "valid_accuracy")) == (60, 95)
    assert peak_limits(curves * 0.5) is None


def test_one_spike_does_not_set_the_axis_of_rmsprops_error():
    runs = RUNS | {"rmsprop": RUNS["rmsprop"].copy(deep=True)}
    runs["rmsprop"].train_error[2, 0, 85] = 100
    assert rmsprop.draw_error(runs).axes[0].get_ylim() == (0, 1.3 * math.log(47))


# Undamped Adam


def test_undamped_adam_is_adam_at_ten_times_the_rate():
    curves = adam.with_undamped(RUNS)
    assert curves.rule.values.tolist() == [
        r"$\beta_1$ = 0",
        r"$\beta_1$ = 0.9",
        r"$\beta_1$ = 0.9, undamped",
    ]
    grid = RUNS["adam"].valid_accuracy
    undamped = curves.valid_accuracy.isel(rule=2)
    for rate in (1e-2, 1e-3, 1e-4):
        expected = grid.sel(b1=0.9, learning_rate=10 * rate, method="nearest")
        np.testing.assert_array_equal(undamped.sel(learning_rate=rate), expected)
    assert undamped.sel(learning_rate=0.1).isnull().all()


def test_adams_grid_has_an_undamped_panel_and_the_papers_numbers():
    figure = adam.draw_grid(RUNS)
    first, second, third, *_ = figure.axes
    texts = [
        {t.get_position(): t.get_text() for t in axes.texts} for axes in (first, second, third)
    ]
    assert texts[0][3, 1 - 0.36] == "paper 83.5" and texts[1][3, 1 - 0.36] == "paper 80"
    assert texts[0][0, -0.36] == "paper 83.5" and (0, -0.36) not in texts[1]
    assert texts[2][3, -0.36] == "paper 83 by 6" and texts[2][3, 3] == "not run"
    assert texts[2][3, 0] == texts[1][3, 1]  # at 1e-4 what Adam reaches at 1e-3
    assert texts[0][0, 3] == "3.0"  # without an epoch
    highest = 100 * float(best(RUNS["adam"]).valid_accuracy.mean("seed").max())
    assert first.images[0].norm.vmin == pytest.approx(highest - 3)


def test_adams_figure_7_has_both_rules_at_the_papers_rate():
    accuracy, _ = adam.draw_most_overfitted(RUNS).axes
    drawn = [line.get_ydata() for line in accuracy.lines if line.get_label() == "valid_accuracy"]
    grid = 100 * RUNS["adam"].valid_accuracy.sel(b1=0.9, b2=0.9999).mean("seed")
    np.testing.assert_allclose(drawn, grid.sel(learning_rate=[1e-4, 1e-3]), rtol=1e-12)
    assert accuracy.get_ylim()[0] == 60


# Intervals


def test_an_outlier_among_the_readings_of_adam_is_an_arrow():
    runs = RUNS | {name: RUNS[name].copy(deep=True) for name in RUNS if "forensics" in name}
    runs["adam"] = RUNS["adam"].copy(deep=True)
    runs["adam"].valid_accuracy.loc[{"learning_rate": 0.01}] = 0.76  # undamped at 1e-3
    for reading, accuracy in zip(READINGS[2:], (0.82, 0.03, 0.83), strict=True):
        runs[f"forensics/{reading}"].valid_accuracy[:] = accuracy
    axes, _ = forensics.draw_readings(runs).axes
    assert axes.get_xlim()[0] > 60
    assert [line.get_ydata()[0] for line in axes.lines if line.get_marker() == "<"] == [3]


def test_what_the_paper_tested_has_the_interval_of_its_images():
    figure = test_set.draw(RUNS)
    assert [axes.get_title() for axes in figure.axes] == [
        r"$\eta$ = $10^{-4}$",
        r"$\eta$ = $10^{-3}$ (undamped: $10^{-4}$)",
    ]
    (bars,) = figure.axes[0].containers[1].lines[2]
    p, n, z = np.array([0.8222, 0.8676]), 15_800, 1.959964
    centre, half = p + z**2 / 2 / n, z * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    expected = [100 * (centre + sign * half) / (1 + z**2 / n) for sign in (-1, 1)]
    ends = np.array(bars.get_segments())[:, :, 0]
    np.testing.assert_allclose(ends, np.transpose(expected)[[0, 0, 0, 1]], rtol=1e-6)


def test_the_band_of_budgets_is_what_one_tuner_may_meet():
    (axes,) = budgets.draw(RUNS).axes
    assert axes.get_xscale() == "log"
    tops = 100 * best(RUNS["sgd"]).valid_accuracy.mean("seed").values
    _, y = axes.collections[0].get_paths()[0].vertices.T
    assert y.min() == pytest.approx(tops.mean() - tops.std())  # after one setting
    assert y.max() <= tops.max() + 1e-9


def test_gains_in_accuracy_and_in_the_gap_have_a_panel_each():
    accuracy, gap = regularisation.draw_gains(beyond_world.regularisation()).axes
    assert "more is better" in accuracy.get_title() and "less is better" in gap.get_title()
    for axes, expected in ((accuracy, 1), (gap, -5)):
        np.testing.assert_allclose(axes.containers[0].lines[0].get_xdata(), [expected] * 10)
    rows = [text.get_text() for text in accuracy.get_yticklabels()]
    assert rows[:2] == ["dense net, batch normalisation", "dense net, dropout 0.2"]


@pytest.mark.parametrize(("net", "epochs"), [("c1", 4), ("c2", 6)])
def test_a_convnet_and_its_rivals_are_drawn_in_all_their_epochs(net, epochs):
    runs = {
        name: one.isel(epoch=slice(5 if "/c1" in name else 7))
        for name, one in beyond_world.weights().items()
    }
    (axes,) = weights_or_convolution.draw_accuracy(runs, net).axes
    shown = [line for line in axes.lines if line.get_label() == "valid_accuracy"]
    assert [line.get_xdata()[-1] for line in shown] == [epochs] * 4


# Names


def test_networks_are_called_by_their_names_whatever_the_classes():
    for model, name in ((DENSE, "dense net"), (C1, "C1"), (C2, "C2")):
        for classes in (47, 10):
            curves = RUNS["sgd"].assign_attrs(model=describe(model.clone(classes=classes)))
            assert with_names(curves).attrs["model"] == name == NAMES[describe(model)]


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in PAPER | BEYOND if n != "anomalies"])  # has its own
def test_no_figure_shows_a_raw_name(name):
    runs = RUNS | beyond_world.world()
    for figure in (PAPER | BEYOND)[name].figures.values():
        drawn = figure.draw(runs)
        words = [re.sub(r"\$.*?\$", "", t.get_text()) for t in drawn.findobj(mpl.text.Text)]
        assert not [
            word for word in words if re.search(r"\w_\w|\w\(\w+=|^(sgd|adam|c1|c2)\b", word)
        ]
