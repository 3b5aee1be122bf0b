"""Figures show the numbers they claim to show, computed here independently."""

import io
import re
import subprocess
import sys

import matplotlib as mpl
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from matplotlib.colors import same_color
from PIL import Image

from emnist_jax import figures, stats
from emnist_jax.data import glyphs
from emnist_jax.errors import InputError
from emnist_jax.figures._inputs import caption_parts
from emnist_jax.store.files import remove_unfinished

VARIABLES = ("train_error", "train_accuracy", "valid_error", "valid_accuracy")


def make_curves(seeds=3, epochs=8, diverged=(), **grid):
    """Random curves over `grid`; `diverged` holds (index of the trial, first epoch of NaN)."""
    grid = grid or {"learning_rate": [0.1, 0.03, 0.01]}
    shape = (*map(len, grid.values()), seeds, epochs + 1)
    rng = np.random.default_rng(0)
    values = {name: rng.uniform(0.2, 0.8, shape) for name in VARIABLES}
    for trial, epoch in diverged:
        for array in values.values():
            array[*trial, epoch:] = np.nan
    dims = (*grid, "seed", "epoch")
    coords = {**grid, "seed": range(seeds), "epoch": range(epochs + 1)}
    attrs = {"data": "glyphs", "rule": "adam", "model": "MLP"}
    return xr.Dataset({k: (dims, v) for k, v in values.items()}, coords, attrs)


def caption_of(figure):
    return figure.get_supxlabel().replace("\n", " · ")


def mean_lines(axes):
    return [line for line in axes.lines if line.get_label() in VARIABLES]


def end_labels(axes):
    return [text for text in axes.texts if text.get_text()]


def band_edges(collection, n):
    """Return (low, high) of a filled band over n points."""
    x, y = collection.get_paths()[0].vertices.T
    edges = [np.sort(y[x == at]) for at in np.unique(x)]
    assert len(edges) == n
    return np.array([(e[0], e[-1]) for e in edges]).T


# Curves


@pytest.mark.parametrize("variable", ["valid_accuracy", "train_error"])
def test_line_is_the_mean_over_seeds_and_band_the_t_interval(variable):
    curves = make_curves(seeds=5)
    (axes,) = figures.plot_curves(curves, hue="learning_rate", variables=variable).axes
    scale = 100 if variable == "valid_accuracy" else 1
    lines, bands = mean_lines(axes), axes.collections
    assert len(lines) == len(bands) == 3
    for line, band, rate in zip(lines, bands, curves.learning_rate.values, strict=True):
        trials = scale * curves[variable].sel(learning_rate=rate).values
        np.testing.assert_array_equal(line.get_xdata(), np.arange(9))
        np.testing.assert_allclose(line.get_ydata(), trials.mean(0), rtol=1e-12)
        expected = scipy.stats.t.interval(0.95, 4, trials.mean(0), scipy.stats.sem(trials))
        np.testing.assert_allclose(band_edges(band, 9), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("band", "low", "high"),
    [
        ("minmax", lambda v: v.min(0), lambda v: v.max(0)),
        ("sd", lambda v: v.mean(0) - v.std(0, ddof=1), lambda v: v.mean(0) + v.std(0, ddof=1)),
    ],
)
def test_other_bands(band, low, high):
    curves = make_curves(seeds=4, learning_rate=[0.1])
    (axes,) = figures.plot_curves(curves, band=band).axes
    trials = 100 * curves.valid_accuracy.values[0]
    edges = band_edges(axes.collections[0], 9)
    np.testing.assert_allclose(edges, [low(trials), high(trials)], rtol=1e-9)


def test_one_seed_has_no_band_and_the_caption_promises_none():
    figure = figures.plot_curves(make_curves(seeds=1), hue="learning_rate")
    assert not figure.axes[0].collections
    assert "1 seed" in caption_of(figure) and "band" not in caption_of(figure)


def test_two_seeds_are_drawn_themselves():
    curves = make_curves(seeds=2)
    figure = figures.plot_curves(curves, hue="learning_rate")
    (axes,) = figure.axes
    assert not axes.collections and "thin: each seed" in caption_of(figure)
    thin = [line.get_ydata() for line in axes.lines if line.get_linewidth() == 0.7]
    trials = 100 * curves.valid_accuracy.values.reshape(-1, 9)
    np.testing.assert_allclose(thin, trials)
    spread = figures.plot_curves(curves, hue="learning_rate", band="minmax").axes[0]
    assert len(spread.collections) == 3


def test_diverged_trials_end_the_mean_stay_visible_and_are_counted():
    curves = make_curves(seeds=3, diverged=[((1, 0), 5)])
    figure = figures.plot_curves(curves, hue="learning_rate")
    (axes,) = figure.axes
    mean = mean_lines(axes)[1].get_ydata()
    trials = 100 * curves.valid_accuracy.values[1]
    np.testing.assert_allclose(mean[:5], trials[:, :5].mean(0))
    assert np.isnan(mean[5:]).all()
    (cross,) = [line for line in axes.lines if line.get_marker() == "x"]
    np.testing.assert_allclose(cross.get_xydata(), [[4, mean[4]]])
    thin = [line.get_ydata() for line in axes.lines if line.get_linewidth() == 0.6]
    np.testing.assert_array_equal(thin, trials[:, 4:])
    assert "1 of 9 trials diverged" in caption_of(figure)
    noted = [t.get_text() for t in end_labels(axes) if "diverged" in t.get_text()]
    assert noted == [r"$\eta$ = $3 \cdot 10^{-2}$ (1 of 3 diverged)"]


def test_infinite_errors_count_as_diverged_and_do_not_stretch_the_axis():
    curves = make_curves()
    curves.train_error.values[0, 0, -1] = np.inf
    figure = figures.plot_curves(curves, hue="learning_rate", variables="train_error")
    assert "1 of 9 trials diverged" in caption_of(figure)
    assert figure.axes[0].get_ylim()[1] < 1


def test_a_sweep_that_diverged_whole_is_drawn_empty_and_counted(recwarn):
    curves = make_curves(diverged=[((i, s), 0) for i in range(3) for s in range(3)])
    for plot in (figures.plot_curves, figures.plot_best_against_rate):
        figure = plot(curves, hue="learning_rate") if plot is figures.plot_curves else plot(curves)
        figure._repr_png_()
        assert "9 of 9 trials diverged" in caption_of(figure)
    assert not recwarn.list


def test_training_is_dashed_validation_solid_and_labels_stand_at_validation():
    curves = make_curves()
    both = ("valid_accuracy", "train_accuracy")
    figure = figures.plot_curves(curves, hue="learning_rate", variables=both)
    (axes,) = figure.axes
    for line in mean_lines(axes):
        assert line.is_dashed() == (line.get_label() == "train_accuracy")
    order = [
        text.get_text() for text in sorted(end_labels(axes), key=lambda t: t.get_position()[1])
    ]
    ends = curves.valid_accuracy.mean("seed").isel(epoch=-1)
    rates = {0.1: r"$10^{-1}$", 0.03: r"$3 \cdot 10^{-2}$", 0.01: r"$10^{-2}$"}
    expected = [rf"$\eta$ = {rates[r]}" for r in ends.sortby(ends).learning_rate.values]
    assert order == expected
    assert "dashed: training" in caption_of(figure)


def test_errors_and_accuracies_get_their_own_rows():
    curves = make_curves(learning_rate=[0.1])
    figure = figures.plot_curves(curves, variables=VARIABLES)
    assert [axes.get_ylabel() for axes in figure.axes] == [
        "error (cross-entropy, nats)",
        "accuracy (%)",
    ]
    for axes, quantity in zip(figure.axes, ("error", "accuracy"), strict=True):
        assert {line.get_label() for line in mean_lines(axes)} == {
            f"train_{quantity}",
            f"valid_{quantity}",
        }
        assert {text.get_text() for text in end_labels(axes)} == {"training", "validation"}
    assert r"$\eta$ = $10^{-1}$" in caption_of(figure)  # a lone value is said, not lost


def test_panels_show_their_own_values():
    curves = make_curves(b1=[0.0, 0.9], b2=[0.9, 0.99])
    figure = figures.plot_curves(curves, hue="b2", col="b1")
    assert [axes.get_title() for axes in figure.axes] == [r"$\beta_1$ = 0", r"$\beta_1$ = 0.9"]
    for axes, b1 in zip(figure.axes, (0.0, 0.9), strict=True):
        for line, b2 in zip(mean_lines(axes), (0.9, 0.99), strict=True):
            expected = 100 * curves.valid_accuracy.sel(b1=b1, b2=b2).mean("seed")
            np.testing.assert_allclose(line.get_ydata(), expected)


def test_every_trial_is_inside_the_limits_though_the_band_is_wide():
    curves = make_curves(seeds=2)
    (axes,) = figures.plot_curves(curves, hue="learning_rate").axes
    low, high = axes.get_ylim()
    values = 100 * curves.valid_accuracy.values
    assert low < values.min() < values.max() < high
    assert high - low < 1.2 * np.ptp(values)


def test_errors_of_very_different_sizes_get_a_log_axis():
    curves = make_curves()
    curves["train_error"] = curves.train_error * xr.DataArray(
        [1.0, 1e-2, 1e-4], dims="learning_rate"
    )
    for variable, scale in (("train_error", "log"), ("valid_error", "linear")):
        (axes,) = figures.plot_curves(curves, hue="learning_rate", variables=variable).axes
        assert axes.get_yscale() == scale


def test_a_short_log_axis_has_ticks_between_powers_of_ten():
    curves = make_curves(learning_rate=[0.1, 0.01])
    curves["valid_error"] = curves.valid_error.dims, np.geomspace(0.09, 3.9, 54).reshape(2, 3, 9)
    figure = figures.plot_curves(curves, hue="learning_rate", variables="valid_error")
    figure.draw_without_rendering()
    (axes,) = figure.axes
    low, high = axes.get_ylim()
    shown = [tick.get_text() for tick in axes.get_yticklabels()]
    inside = [text for text in shown if low < float(text) < high]
    assert inside == ["0.1", "0.2", "0.5", "1", "2"]


def test_labels_of_lines_that_end_together_do_not_overlap():
    curves = make_curves(learning_rate=list(np.logspace(-1, -6, 6)))
    curves = curves.where(curves.epoch < 8, 0.5)
    figure = figures.plot_curves(curves, hue="learning_rate")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in end_labels(figure.axes[0])]
    assert len(boxes) == 6
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes)


def test_long_names_widen_the_figure_not_shrink_the_lines():
    names = [f"{i}: learning_rate=0.001234 b1=0.8765 b2=0.9987" for i in range(2)]
    curves = make_curves(learning_rate=[0.1, 0.01])
    short = figures.plot_curves(curves, hue="learning_rate")
    named = figures.plot_curves(curves.assign_coords(learning_rate=names), hue="learning_rate")
    for figure in (short, named):
        figure.draw_without_rendering()
    inches = [f.axes[0].get_position().width * f.get_figwidth() for f in (short, named)]
    assert inches[1] > 0.7 * inches[0]


def test_a_line_that_ends_outside_the_limits_says_so():
    curves = make_curves(learning_rate=[0.1, 0.01])
    curves = curves.where(curves.learning_rate > 0.05, 0.1)
    (axes,) = figures.plot_curves(curves, hue="learning_rate", ylim=(15, 90)).axes
    assert axes.get_ylim() == (15, 90)
    arrows = [text.get_text().endswith("↓") for text in end_labels(axes)]
    assert sorted(arrows) == [False, True]


def test_ordered_values_get_ordered_colours_and_names_distinct_ones():
    rates = make_curves(learning_rate=[0.01, 0.1, 0.001])
    (axes,) = figures.plot_curves(rates, hue="learning_rate").axes
    by_rate = [mean_lines(axes)[i].get_color() for i in (2, 0, 1)]
    expected = mpl.colormaps["viridis"]([0.0, 0.4, 0.8])
    assert all(same_color(a, b) for a, b in zip(by_rate, expected, strict=True))
    named = make_curves(rule=["sgd", "adam"])
    (axes,) = figures.plot_curves(named, hue="rule").axes
    assert [line.get_color() for line in mean_lines(axes)] == ["#0072B2", "#D55E00"]
    assert {text.get_text() for text in end_labels(axes)} == {"sgd", "adam"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, r'2 values of b1: choose one, curves.sel\(b1=...\) or pass hue="b1"'),
        ({"hue": "b3"}, 'did you mean "b[12]"'),
        ({"hue": "b1", "variables": "valid_acuracy"}, 'did you mean "valid_accuracy"'),
        ({"hue": "b1", "col": "b2", "band": "t99"}, 'did you mean "t95"'),
    ],
)
def test_wrong_requests_are_explained(options, message):
    with pytest.raises(InputError, match=message):
        figures.plot_curves(make_curves(b1=[0.0, 0.9], b2=[0.9, 0.99]), **options)


# Best accuracy


def best_by_hand(curves):
    """Per trial, (best accuracy in percent, its epoch), ties to the lower error; plain loops."""
    accuracy, error = curves.valid_accuracy.values, curves.valid_error.values
    best, epoch = np.empty(accuracy.shape[:-1]), np.empty(accuracy.shape[:-1])
    for trial in np.ndindex(best.shape):
        rows = [
            (-a, e, i)
            for i, (a, e) in enumerate(zip(accuracy[trial], error[trial], strict=True))
            if np.isfinite(a)
        ]
        top = min(rows)
        best[trial], epoch[trial] = -100 * top[0], top[2]
    return best, epoch


def test_best_against_rate_shows_means_and_intervals_of_best_and_epoch():
    curves = make_curves(seeds=4, diverged=[((0, 1), 6)])
    curves.valid_accuracy.values[2, 0, [3, 6]] = 0.95  # a tie, for the error to decide
    figure = figures.plot_best_against_rate(curves)
    curves = curves.sortby("learning_rate")
    for axes, trials in zip(figure.axes, best_by_hand(curves), strict=True):
        assert axes.get_xscale() == "log"
        line, *_ = axes.containers[0]
        np.testing.assert_allclose(line.get_xdata(), curves.learning_rate)
        np.testing.assert_allclose(line.get_ydata(), trials.mean(1))
        bars = np.array(axes.containers[0][2][0].get_segments())[:, :, 1]
        expected = scipy.stats.t.interval(0.95, 3, trials.mean(1), scipy.stats.sem(trials, axis=1))
        most = 100 if axes is figure.axes[0] else 8
        np.testing.assert_allclose(bars.T, np.clip(expected, 0, most), atol=1e-12)
        dots = np.array([dot.get_ydata() for dot in axes.lines if dot.get_marker() == "."])
        np.testing.assert_allclose(dots.T, trials)
    assert "1 of 12 trials diverged" in caption_of(figure)


def test_rules_by_name_have_their_own_rates_and_the_best_of_their_other_settings():
    mine = make_curves(seeds=4, learning_rate=[0.1, 0.01], b1=[0.0, 0.9])
    adam = make_curves(seeds=3, learning_rate=[0.01, 0.001])
    figure = figures.plot_best_against_rate({"mine": mine, "adam": adam})
    lines = [container[0] for container in figure.axes[0].containers]
    best = 100 * mine.valid_accuracy.max("epoch").mean("seed").max("b1").values
    np.testing.assert_allclose(lines[0].get_ydata(), best[::-1])
    np.testing.assert_allclose(lines[1].get_ydata(), best_by_hand(adam)[0].mean(1)[::-1])
    np.testing.assert_allclose(np.divide(*(line.get_xdata()[[0]] for line in lines)), 10, rtol=0.1)
    assert [text.get_text() for text in end_labels(figure.axes[0])] != []
    assert all(name in caption_of(figure) for name in ("mine", "adam", "3 or 4 seeds"))


def test_rules_by_name_are_drawn_at_their_best_settings_which_the_caption_names():
    mine, adam = make_curves(learning_rate=[0.1, 0.01]), make_curves(seeds=2)
    adam = adam.assign(valid_accuracy=adam.valid_accuracy + 0.1)
    figure = figures.plot_curves({"mine": mine, "adam": adam})
    for line, curves in zip(mean_lines(figure.axes[0]), (mine, adam), strict=True):
        at = int(np.argmax(best_by_hand(curves)[0].mean(1)))
        trials = 100 * curves.valid_accuracy.values[at]
        np.testing.assert_allclose(line.get_ydata(), trials.mean(0))
        assert figures.rates.setting("learning_rate", curves.learning_rate[at]) in caption_of(
            figure
        )
    assert {text.get_text() for text in end_labels(figure.axes[0])} == {"mine", "adam"}


@pytest.mark.parametrize("plot", [figures.plot_curves, figures.plot_best_against_rate])
def test_what_is_no_curves_by_name_is_refused(plot):
    with pytest.raises(InputError, match="several by name"):
        plot({"mine": 1})
    with pytest.raises(InputError, match="give its curves alone"):
        plot({"mine": make_curves()}, hue="learning_rate")


def test_settings_of_a_random_search_are_not_joined():
    rates = ("sample", [0.1, 0.01, 0.05])
    curves = make_curves(sample=[0, 1, 2]).drop_vars("sample").assign_coords(learning_rate=rates)
    line = figures.plot_best_against_rate({"mine": curves}).axes[0].containers[0][0]
    np.testing.assert_allclose(line.get_xdata(), [0.01, 0.05, 0.1])
    assert line.get_linestyle() == "None"


def test_a_confidence_sequence_is_drawn_in_points_from_where_it_is_finite():
    differences = xr.DataArray(np.random.default_rng(0).normal(0.01, 0.01, 9), dims="seed")
    sequence = stats.confidence_sequence(differences)
    (axes,) = figures.plot_sequence(sequence, ylabel="mine - adam, points").axes
    edges = band_edges(axes.collections[0], 6)
    np.testing.assert_allclose(edges, 100 * np.stack([sequence.lower[3:], sequence.upper[3:]]))


def test_ticks_stand_at_the_rates_that_have_room():
    rates = [3e-4, 1e-3, 1.1e-3, 3e-3]
    axes = figures.plot_best_against_rate(make_curves(learning_rate=rates)).axes[1]
    np.testing.assert_allclose(axes.get_xticks(), [3e-4, 1e-3, 3e-3])
    labels = [tick.get_text() for tick in axes.get_xticklabels()]
    assert labels == [r"$3 \cdot 10^{-4}$", "$10^{-3}$", r"$3 \cdot 10^{-3}$"]
    assert not len(axes.get_xticks(minor=True))
    many = figures.plot_best_against_rate(make_curves(learning_rate=np.geomspace(0.1, 0.3, 20)))
    many._repr_png_()
    assert not any(tick.get_text() for tick in many.axes[1].get_xticklabels(minor=True))


def test_best_against_rate_needs_positive_rates():
    with pytest.raises(InputError, match="not positive numbers"):
        figures.plot_best_against_rate(make_curves(learning_rate=[0.0, 0.1]))


def test_heatmap_cells_hold_best_accuracy_epoch_and_divergences():
    curves = make_curves(
        seeds=2,
        diverged=[((0, 1, 1, 0), 4)],
        learning_rate=[0.1, 0.01, 0.001],
        b1=[0.0, 0.9],
        b2=[0.9, 0.99],
    )
    figure = figures.plot_heatmap(curves, col="b1")
    best, epoch = (values.mean(-1) for values in best_by_hand(curves))
    for b1, axes in enumerate(figure.axes[:2]):
        (image,) = axes.images
        # Rates grow upwards: the last of the descending rates is the lowest row.
        np.testing.assert_allclose(image.get_array(), best[::-1, b1])
        assert image.origin == "lower"
        cells = {text.get_position(): text.get_text() for text in axes.texts}
        for row, rate in enumerate((2, 1, 0)):
            for column in range(2):
                lines = cells[column, row].split("\n")
                assert lines[0] == f"{best[rate, b1, column]:.1f}"
                assert lines[1] == f"epoch {epoch[rate, b1, column]:.0f}"
                assert lines[2:] == (["1/2 div."] if (rate, b1, column) == (0, 1, 1) else [])
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == [
        "$10^{-3}$",
        "$10^{-2}$",
        "$10^{-1}$",
    ]
    assert "1 of 24 trials diverged" in caption_of(figure)


def test_heatmap_hides_the_epochs_of_failed_cells_and_says_what_was_not_run():
    curves = make_curves(seeds=2, learning_rate=[0.1, 0.01], b2=[0.9, 0.99])
    accuracy = xr.DataArray([[0.03, 0.6], [np.nan, 0.8]], dims=["learning_rate", "b2"])
    curves = curves * 0 + accuracy
    figure = figures.plot_heatmap(curves.assign_attrs(data="glyphs"))
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert cells == {  # the lower rate below
        (0, 0): "not run",
        (1, 0): "80.0\nepoch 0",
        (0, 1): "3.0",
        (1, 1): "60.0\nepoch 0",
    }
    assert "diverged" not in caption_of(figure)


def test_heatmap_needs_a_dimension_for_each_side():
    with pytest.raises(InputError, match="three different dimensions"):
        figures.plot_heatmap(make_curves(b1=[0.0, 0.9], b2=[0.9, 0.99]), x="b1", y="b2", col="b1")


def test_rates_drawn_at_random_are_ticked_at_powers_of_ten():
    curves = make_curves(learning_rate=[2.387e-4, 5.126e-4, 0.0131])
    axes = figures.plot_best_against_rate(curves).axes[-1]
    powers = np.log10(axes.get_xticks())
    np.testing.assert_allclose(powers, powers.round(), atol=1e-12)


def test_epochs_are_ticked_in_whole_numbers():
    curves = make_curves(learning_rate=[0.1, 0.01]).isel(epoch=slice(3))
    learning = figures.plot_curves(curves, hue="learning_rate")
    best = figures.plot_best_against_rate(curves)
    for ticks in (learning.axes[0].get_xticks(), best.axes[1].get_yticks()):
        assert (ticks == np.round(ticks)).all()


def test_a_caption_longer_than_its_figure_is_broken():
    name = "MLP(hidden=(100, 100), batch_norm=BatchNorm(parameters='frozen', initial='normal'))"
    curves = make_curves(learning_rate=[0.1, 0.01], b2=[0.9, 0.99]).assign_attrs(model=name)
    figure = figures.plot_heatmap(curves)
    figure.draw_without_rendering()
    inside = figure.bbox
    box = figure._supxlabel.get_window_extent()
    assert box.x1 <= inside.x1, caption_of(figure)


@pytest.mark.parametrize(
    ("cells", "begins"),
    [
        ([84, 83, 82, 76, 71, 63, 3, 3, 3, 3, 3, 3], 63),  # half of them failed
        ([84, 83.9, 83.8, 83.7, 83.5, 83.2, 70, 3], 83.2),  # 70 would hide the differences
        ([9, 8, 7, 6], 6),  # low all of them
        ([84, np.nan, np.nan, np.nan], 84),
    ],
)
def test_heatmap_colours_begin_at_the_lowest_that_learned(cells, begins):
    rates = np.logspace(-4, -1, len(cells) // 2)
    curves = make_curves(learning_rate=rates, b2=[0.9, 0.99])
    values = np.reshape(cells, (-1, 2))[..., None, None] / 100
    curves["valid_accuracy"] = curves.valid_accuracy * 0 + values
    image = figures.plot_heatmap(curves, col=None).axes[0].images[0]
    assert image.norm.vmin == pytest.approx(begins)
    assert figures.plot_heatmap(curves, col=None, floor=40).axes[0].images[0].norm.vmin == 40


# Comparisons


def test_budget_lines_bands_and_what_follows_the_last_setting():
    k = np.arange(1, 6)
    mean = 0.7 + 0.02 * k
    budgets = {"SGD": (k[:3], mean[:3], mean[:3] - 0.01, mean[:3] + 0.02), "Adam": (k, *[mean] * 3)}
    (axes,) = figures.plot_budget(budgets).axes
    sgd = next(line for line in axes.lines if line.get_label() == "SGD")
    np.testing.assert_allclose(sgd.get_xydata(), np.stack([k[:3], 100 * mean[:3]], 1))
    edges = band_edges(axes.collections[0], 3)
    np.testing.assert_allclose(edges, [100 * mean[:3] - 1, 100 * mean[:3] + 2])
    dotted = next(line for line in axes.lines if line.get_linestyle() == ":")
    np.testing.assert_allclose(dotted.get_xydata(), [[3, 76], [5, 76]])
    assert axes.get_xscale() == "log"
    assert {text.get_text() for text in end_labels(axes)} == {"SGD (3)", "Adam (5)"}


def test_each_rule_has_a_panel_beside_one_rule_in_grey():
    k, rng = np.arange(1, 4), np.random.default_rng(0)
    budgets = {name: (k, *rng.uniform(0.5, 0.9, (3, 3))) for name in ("SGD", "Adam", "Lion")}
    figure = figures.plot_budget(budgets, against="Adam", note="mine")
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["SGD", "Lion"]
    for axes in panels:
        grey, own = (line for line in axes.lines if line.get_linestyle() == "-")
        np.testing.assert_allclose(grey.get_ydata(), 100 * budgets["Adam"][1])
        np.testing.assert_allclose(own.get_ydata(), 100 * budgets[axes.get_title()][1])
        assert same_color(grey.get_color(), "0.35") and not same_color(own.get_color(), "0.35")
        assert axes.get_xscale() == "log" and len(axes.collections) == 2
    assert caption_of(figure) == "mine · grey: Adam"
    with pytest.raises(InputError, match='"adm": did you mean "Adam"'):
        figures.plot_budget(budgets, against="adm")


def test_intervals_are_drawn_and_written_and_missing_ones_noted():
    mean, low, high = [0.3, np.nan, -1.25], [-0.1, np.nan, -1.5], [0.7, np.nan, -1.0]
    figure = figures.plot_intervals(["a", "b", "c"], mean, low, high, reference=0)
    (axes,) = figure.axes
    bars = axes.containers[0][2][0].get_segments()
    drawn = [(bar[0][0], bar[1][0], bar[0][1]) for bar in bars if len(bar)]
    np.testing.assert_allclose(drawn, [(-0.1, 0.7, 0), (-1.5, -1.0, 2)])
    assert [text.get_text() for text in axes.texts] == [
        "0.30  [\N{MINUS SIGN}0.10, 0.70]",
        "not measured",
        "\N{MINUS SIGN}1.25  [\N{MINUS SIGN}1.50, \N{MINUS SIGN}1.00]",
    ]
    small = figures.plot_intervals(["a"], [0.00012], [0.0001], [0.00014])
    assert small.axes[0].texts[0].get_text() == "0.000120  [0.000100, 0.000140]"
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is at the top
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]


def test_reported_values_stand_beside_the_measured():
    figure = figures.plot_intervals(["a", "b"], [1, 2], [0, 1], [2, 3], reference=[1.5, np.nan])
    diamonds = next(line for line in figure.axes[0].lines if line.get_label() == "reported")
    np.testing.assert_array_equal(diamonds.get_xdata(), [1.5, np.nan])


def test_intervals_in_panels_share_their_rows():
    mean = np.array([[1.0, 2, 3], [40, 50, 60]])
    figure = figures.plot_intervals(
        ["a", "b", "c"], mean, mean - 1, mean + 1, reference=mean + 5, titles=["one", "other"]
    )
    assert [axes.get_title() for axes in figure.axes] == ["one", "other"]
    for axes, of in zip(figure.axes, mean, strict=True):
        diamonds, *_ = (line for line in axes.lines if line.get_label() == "reported")
        np.testing.assert_array_equal(diamonds.get_xdata(), of + 5)
        np.testing.assert_array_equal(axes.containers[0].lines[0].get_xdata(), of)
        assert axes.texts[0].get_text() == f"{of[0]:.2f}  [{of[0] - 1:.2f}, {of[0] + 1:.2f}]"


def test_panels_of_one_scale_have_the_limits_that_show_all_of_them():
    mean = np.array([[1.0, 2, 3], [40, 50, 60]])
    how = {"titles": ["one", "other"], "same_scale": True}
    figure = figures.plot_intervals(["a", "b", "c"], mean, mean - 1, mean + 1, **how)
    one, other = (axes.get_xlim() for axes in figure.axes)
    assert one == other and one[0] <= 0 and one[1] >= 61


def test_a_row_far_from_the_rest_is_an_arrow_at_the_end_of_the_axis():
    mean = np.array([84.0, 76, 82, 3, 83])
    (axes,) = figures.plot_intervals(list("abcde"), mean, mean - 1, mean + 1).axes
    low, high = axes.get_xlim()
    assert 70 < low < 75 and 85 < high < 90
    arrows = [line for line in axes.lines if line.get_marker() in ("<", ">")]
    assert [(arrow.get_marker(), *arrow.get_xydata()[0]) for arrow in arrows] == [("<", 0.015, 3)]
    assert axes.texts[3].get_text() == "3.00  [2.00, 4.00]"  # the number is still there
    mean[3] = 60  # beyond the fence too, but the others keep their room
    (axes,) = figures.plot_intervals(list("abcde"), mean, mean - 1, mean + 1).axes
    assert axes.get_xlim()[0] < 59 and not any(line.get_marker() == "<" for line in axes.lines)


def test_a_row_with_a_very_wide_interval_does_not_set_the_axis():
    mean, half = np.array([84.0, 76, 82, 80, 83]), np.array([1, 1, 1, 50, 1])
    (axes,) = figures.plot_intervals(list("abcde"), mean, mean - half, mean + half).axes
    low, high = axes.get_xlim()
    assert 70 < low < 75 and 85 < high < 90
    assert not [line for line in axes.lines if line.get_marker() in ("<", ">")]  # its mean shows
    assert axes.texts[3].get_text() == "80.00  [30.00, 130.00]"


def test_comparisons_of_unequal_lengths_are_refused():
    with pytest.raises(InputError, match="3 labels needs 3"):
        figures.plot_intervals(["a", "b", "c"], [1, 2], [0, 1], [2, 3])
    with pytest.raises(InputError, match="2 panels of 1 labels needs 1"):
        figures.plot_intervals(["a"], [1], [0], [2], titles=["one", "other"])
    with pytest.raises(InputError, match="2 labels needs 2"):
        figures.plot_intervals(["a", "b"], [1, 2], [0, 1], [2, 3], reference=[1, 2, 3])
    with pytest.raises(InputError, match="of SGD differ in length"):
        figures.plot_budget({"SGD": ([1, 2], [0.5], [0.4], [0.6])})
    with pytest.raises(InputError, match="no budget curve"):
        figures.plot_budget({})


# Images

CLASSES = ("0", "1", "a")


def make_images(n=6, channels=1):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, 8, 8, channels), dtype=np.uint8), np.arange(n) % 3


@pytest.mark.parametrize("scale", [1, 1 / 255])
def test_samples_are_dark_ink_on_white_below_their_labels(scale):
    images, labels = make_images()
    images = images if scale == 1 else images * scale
    figure = figures.plot_samples(images, labels, CLASSES, rows=2, columns=2)
    for i, axes in enumerate(figure.axes):
        (drawn,) = axes.images
        grey = drawn.to_rgba(drawn.get_array())[..., 0]
        np.testing.assert_allclose(grey, 1 - images[i, ..., 0] * (1 / 255 / scale), atol=1 / 255)
        assert axes.get_title() == CLASSES[labels[i]]
    assert len(figure.axes) == 4


def test_colour_samples_are_drawn_as_they_are():
    images, labels = make_images(2, channels=3)
    figure = figures.plot_samples(images, labels, CLASSES, rows=1, columns=3)
    np.testing.assert_array_equal(figure.axes[1].images[0].get_array(), images[1])
    assert not figure.axes[2].images


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 8)), [0, 1], r"shape \(2, 8\)"),
        (np.zeros((2, 8, 8)), [0], r"labels have shape \(1,\)"),
        (np.zeros((2, 8, 8)), [0, 3], "from 0 to 3, but there are 3 classes"),
        (np.zeros((0, 8, 8)), [], "no images"),
    ],
)
def test_images_that_cannot_be_drawn_are_refused(images, labels, message):
    with pytest.raises(InputError, match=message):
        figures.plot_samples(images, labels, CLASSES)


def tile(figure, row, column, side):
    corner = row * (side + 1), column * (side + 1)
    picture = figure.axes[0].images[0].get_array()
    return picture[corner[0] : corner[0] + side, corner[1] : corner[1] + side]


def test_dense_weights_are_tiles_with_a_map_centred_at_zero():
    kernel = np.random.default_rng(0).normal(size=(64, 10))
    figure = figures.plot_weights(kernel)
    for unit in range(10):
        expected = kernel[:, unit].reshape(8, 8)
        np.testing.assert_array_equal(tile(figure, unit // 5, unit % 5, 8), expected)
    norm = figure.axes[0].images[0].norm
    assert norm.vmin == -norm.vmax
    assert norm.vmax == np.quantile(np.abs(kernel), 0.995)


def test_kernels_of_several_channels_have_a_row_a_channel():
    kernel = np.random.default_rng(0).normal(size=(5, 5, 3, 4))
    figure = figures.plot_weights(kernel)
    for channel in range(3):
        for unit in range(4):
            np.testing.assert_array_equal(
                tile(figure, channel, unit, 5), kernel[:, :, channel, unit]
            )
    colour = figures.plot_weights(kernel.reshape(5 * 5 * 3, 4))  # the same weights, dense
    np.testing.assert_array_equal(
        colour.axes[0].images[0].get_array(), figure.axes[0].images[0].get_array()
    )


def test_weights_find_the_layer():
    first, second = np.ones((5, 5, 1, 2)), np.full((16, 3), 2.0)
    parameters = {"params": {"dense_0": {"kernel": second, "bias": np.zeros(3)}}}
    assert tile(figures.plot_weights(parameters), 0, 0, 4).max() == 2
    parameters["params"]["conv_0_kernel"] = first
    assert tile(figures.plot_weights(parameters), 0, 0, 5).max() == 1
    assert tile(figures.plot_weights(parameters, layer="dense_0"), 0, 0, 4).max() == 2
    with pytest.raises(InputError, match='did you mean "dense_0"'):
        figures.plot_weights(parameters, layer="dense_1")
    with pytest.raises(InputError, match="no layer with a kernel"):
        figures.plot_weights({"bias": first})
    with pytest.raises(InputError, match="is no picture"):
        figures.plot_weights(np.ones((15, 4)))


def test_units_left_out_are_noted():
    figure = figures.plot_weights(np.random.default_rng(0).normal(size=(4, 120)))
    assert "the first 100 of 120 units" in caption_of(figure)


LABELS = np.array([0] * 10 + [1] * 4 + [2] * 5)
PREDICTIONS = np.array([0] * 6 + [2] * 3 + [1] + [1] * 3 + [0] + [2] * 3 + [0] * 2)
MATRIX = np.array([[6, 1, 3], [1, 3, 0], [2, 0, 3]])


def test_confusions_by_hand():
    np.testing.assert_array_equal(figures.confusion_matrix(LABELS, PREDICTIONS, 3), MATRIX)
    top = figures.most_confused(MATRIX, CLASSES, 2)
    assert top == [(0, 2, 3, 10), (2, 0, 2, 5)]
    assert len(figures.most_confused(MATRIX, CLASSES, 99)) == 4  # right answers are no mistakes
    with pytest.raises(InputError, match="does not fit 3 classes"):
        figures.most_confused(np.eye(2), CLASSES)


def test_confusion_shows_shares_of_the_true_class_without_the_diagonal():
    figure = figures.plot_confusion(MATRIX, CLASSES)
    axes = figure.axes[0]
    drawn = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(drawn, [[np.nan, 10, 30], [25, np.nan, 0], [40, 0, np.nan]])
    numbers = {text.get_position(): text.get_text() for text in axes.texts}
    assert numbers == {(1, 0): "10", (2, 0): "30", (0, 1): "25", (0, 2): "40"}
    assert "36.8 % of 19 readings wrong" in caption_of(figure)


def test_labelled_confusions_know_their_classes_and_sum_seeds():
    counts = xr.DataArray(
        np.stack([[MATRIX, MATRIX * 0], [MATRIX * 5, MATRIX]]),
        dims=("b1", "seed", "true", "predicted"),
        coords={"b1": [0.0, 0.9], "true": list(CLASSES), "predicted": list(CLASSES)},
    )
    of_plain = figures.most_confused(MATRIX, CLASSES)
    assert figures.most_confused(counts.sel(b1=0.0)) == of_plain
    assert figures.most_confused(counts.isel(b1=[0]).transpose("predicted", ...)) == of_plain
    assert "36.8 % of 114 readings" in caption_of(figures.plot_confusion(counts.sel(b1=0.9)))
    with pytest.raises(InputError, match=r"2 values of b1: choose one, confusion.sel\(b1="):
        figures.plot_confusion(counts)
    with pytest.raises(InputError, match="pass classes"):
        figures.plot_confusion(MATRIX)


def test_labelled_confusions_name_their_setting_and_seeds():
    counts = xr.DataArray(
        np.ones((2, 2, 2), int),
        {"seed": [3, 5], "true": ["a", "b"], "predicted": ["a", "b"], "b1": 0.9},
        ("seed", "true", "predicted"),
    )
    both = caption_of(figures.plot_confusion(counts))
    assert "= 0.9 · seeds 3, 5 counted together" in both and "8 readings" in both
    one = caption_of(figures.plot_confusion(counts.sel(seed=5)))
    assert "seed 5 alone" in one and "4 readings" in one
    assert "seed" not in caption_of(figures.plot_confusion(counts[0].values, ["a", "b"]))


def test_confusion_of_a_class_without_images_and_of_no_mistakes(recwarn):
    figures.plot_confusion(np.diag([3, 0, 2]), CLASSES)._repr_png_()
    assert not recwarn.list


def test_nothing_of_a_confusion_is_cut_off(tmp_path):
    matrix = np.random.default_rng(0).integers(0, 9, (47, 47)) + np.eye(47, dtype=int) * 50
    figure = figures.plot_confusion(matrix, glyphs.CLASSES)
    path, _ = figures.save_figure(figure, tmp_path / "a")
    pixels = np.asarray(Image.open(path).convert("L"))
    edges = (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:])
    assert all((edge > 250).all() for edge in edges)


def test_confused_examples_are_images_of_that_mistake():
    images = np.arange(19, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    figure = figures.plot_confused_examples(
        images, LABELS, PREDICTIONS, CLASSES, pairs=2, examples=4
    )
    shown = [
        [int(axes.images[0].get_array()[0, 0]) for axes in row if axes.images]
        for row in np.reshape(figure.axes, (2, 4))
    ]
    assert shown == [[6, 7, 8], [17, 18]]
    assert figure.axes[0].get_ylabel() == "0 read as a\n3 of 10"
    with pytest.raises(InputError, match="no mistake"):
        figures.plot_confused_examples(images, LABELS, LABELS, CLASSES)


# Files


def draw():
    return figures.plot_curves(make_curves(), hue="learning_rate", variables=VARIABLES)


def draw_heatmap():
    return figures.plot_heatmap(make_curves(b1=[0.0, 0.9], b2=[0.9, 0.99]), y="b1", col=None)


@pytest.mark.parametrize("draw", [draw, draw_heatmap])
def test_files_are_whole_and_the_same_each_time(tmp_path, draw):
    formats = ("png", "svg", "pdf")
    first = figures.save_figure(draw(), tmp_path / "new" / "v1.0 curves", formats)
    assert [path.name for path in first] == [f"v1.0 curves.{kind}" for kind in formats]
    again = draw()
    again._repr_png_()  # drawn before, as in a notebook
    with mpl.rc_context({"font.size": 30, "lines.linewidth": 9, "svg.hashsalt": "other"}):
        second = figures.save_figure(again, str(tmp_path / "second"), formats)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in first
    )
    Image.open(first[0]).load()
    assert first[1].read_text().rstrip().endswith("</svg>")
    assert first[2].read_bytes().rstrip().endswith(b"%%EOF")
    assert not any(b"date" in path.read_bytes().lower() for path in first)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "figure.svg"
    path.write_text("old")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(InputError, match=r"figure\.svg: cannot be written: No space left"):
        figures.save_figure(draw(), tmp_path / "figure", ("svg",))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_of_a_figure_is_removed(tmp_path, monkeypatch):
    with monkeypatch.context() as killed:
        killed.setattr("os.unlink", lambda *_: None)
        killed.setattr("os.replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            figures.save_figure(draw(), tmp_path / "figure", ("svg",))
    assert list(tmp_path.iterdir())
    remove_unfinished(tmp_path)
    assert not list(tmp_path.iterdir())


def test_unknown_formats_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(InputError, match='"pgn": did you mean "png"'):
        figures.save_figure(draw(), tmp_path / "figure", ("svg", "pgn"))
    assert not list(tmp_path.iterdir())


def test_a_name_with_its_ending_is_that_file_alone(tmp_path):
    assert figures.save_figure(draw(), tmp_path / "a.b.PNG") == [tmp_path / "a.b.png"]
    assert figures.save_figure(draw(), tmp_path / "c.d", "svg") == [tmp_path / "c.d.svg"]


def test_a_picture_full_of_noise_stays_below_200_kb(tmp_path):
    kernel = np.random.default_rng(0).normal(size=(784, 100))
    (path,) = figures.save_figure(figures.plot_weights(kernel), tmp_path / "weights", ("png",))
    assert path.stat().st_size <= 200_000
    assert Image.open(path).width >= 480


def test_notebooks_get_a_picture():
    image = Image.open(io.BytesIO(draw()._repr_png_()))
    image.load()
    assert image.format == "PNG" and image.width == 680


def test_importing_is_light_and_plotting_leaves_pyplot_alone():
    program = (
        "import sys; from emnist_jax import figures\n"
        "assert 'matplotlib' not in sys.modules and 'scipy.stats' not in sys.modules\n"
        "import numpy as np\n"
        "figures.plot_samples(np.zeros((1, 8, 8)), [0], ['0'])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_users_own_style_is_left_alone():
    before = dict(mpl.rcParams)
    draw()
    assert dict(mpl.rcParams) == before


# Tables


def test_sparkline_spans_the_values_marks_what_is_missing_and_fits_the_width():
    assert figures.sparkline([0, 1, 2, 3]) == "▁▃▆█"
    assert figures.sparkline([5, 5]) == "▁▁"
    assert figures.sparkline([1, 2, np.nan, np.inf]) == "▁█xx"
    assert figures.sparkline([np.nan] * 3) == "xxx"
    long = figures.sparkline(np.arange(1000), width=8)
    assert long == "▁▂▃▄▅▆▇█"
    assert figures.sparkline([0.5, 1, np.nan, 9], limits=(0, 1)) == "▅█x█"


def test_summary_has_a_row_a_setting_with_best_epoch_last_and_divergences():
    curves = make_curves(seeds=3, diverged=[((1, 0), 5)])
    lines = figures.summarise(curves).splitlines()
    assert len(lines) == 2 + 3
    best, epoch = best_by_hand(curves)
    for i, line in enumerate(lines[2:]):
        half = scipy.stats.t.ppf(0.975, 2) * scipy.stats.sem(best[i])
        last = 100 * curves.valid_accuracy.values[i, :, -1].mean()
        rate = curves.learning_rate.values[i]
        cells = [cell.strip() for cell in line.split("  ") if cell.strip()]
        assert cells[:-1] == [
            f"{rate:.4g}",
            f"{best[i].mean():.2f} ± {half:.2f} %",
            f"{epoch[i].mean():.0f}",
            "-" if i == 1 else f"{last:.2f} %",
            f"{int(i == 1)} of 3",
        ]
        assert len(cells[-1]) == 9 and cells[-1].count("x") == (4 if i == 1 else 0)


def test_summary_of_a_single_setting():
    curves = make_curves(seeds=1, learning_rate=[0.1]).isel(learning_rate=0, seed=0)
    (row,) = figures.summarise(curves).splitlines()[2:]
    assert row.startswith(f"{100 * float(curves.valid_accuracy.max()):.2f} %")


def test_html_summary_has_the_same_cells_escaped():
    curves = make_curves(seeds=2, rule=["a<b", "adam"])
    page = figures.curves_summary_html(curves)
    assert page.count("<tr>") == 3 and page.count("<th>") == 6 and page.count("<td>") == 12
    assert "<td>a&lt;b</td>" in page and "a<b" not in page
    text = figures.summarise(curves)
    assert all(cell in text for cell in ("0 of 2", "valid."))


def test_html_summary_of_many_settings_shows_the_best_first():
    curves = make_curves(seeds=2, learning_rate=np.geomspace(1e-4, 1, 9))
    curves = curves.assign_attrs(data="glyphs & co", rule="adam")
    page = figures.curves_summary_html(curves, most=3)
    assert "<caption>glyphs &amp; co · adam" in page
    assert "the best 3 of 9 settings" in page
    best = best_by_hand(curves)[0].mean(1)
    shown = re.findall(r"<tr><td>([^<]*)</td><td>([\d.]+) ±", page)
    order = np.argsort(-best)[:3]
    assert shown == [(f"{curves.learning_rate.values[i]:.4g}", f"{best[i]:.2f}") for i in order]
    assert "settings" not in figures.curves_summary_html(curves, most=9)


def test_captions_tell_an_order_that_seeds_share():
    curves = xr.Dataset(coords={"seed": [0, 1]}, attrs={"data": "glyphs", "order": "seed"})
    assert caption_parts(curves) == ["glyphs", "2 seeds"]
    assert caption_parts(curves.assign_attrs(order=3)) == ["glyphs", "2 seeds", "order 3"]
    old = curves.assign_attrs(order="shared order")
    assert caption_parts(curves, old, names=("a", "b"))[-2:] == ["2 seeds", "shared order"]
