"""The experiments: counts by hand, command lines, and a small run from end to end."""

import inspect
import re
import sys
from functools import partial

import numpy as np
import paper_world
import pytest
import xarray as xr

import emnist_jax as ej
from emnist_jax.errors import InputError
from emnist_jax.store.curves import load_curves, save_curves
from experiments import (
    _common,
    adam,
    batch_norm,
    beyond,
    convnets,
    forensics,
    paper,
    rmsprop,
    samples,
    sgd,
    test_set,
)

TINY = {"size": 188, "seeds": 2, "epochs": 1, "batch_size": 20}
MODULES = [module for module, _ in (paper.EXPERIMENTS | paper.BEYOND).values()]


# Counts, by hand from the lists of layers

DENSE = 784 * 100 + 100 * 100 + 100 * 47
C1 = 28 * 28 * 25 * 10 + 1960 * 576 + 576 * 160 + 160 * 47
C2 = 28 * 28 * 25 * 5 + 14 * 14 * 25 * 5 * 10 + 490 * 150 + 150 * 47


@pytest.mark.parametrize(("network", "count"), [("dense", DENSE), ("c1", C1), ("c2", C2)])
def test_multiply_adds_are_those_of_the_layers(network, count):
    assert convnets.multiply_adds(convnets.NETWORKS[network]) == count


def test_multiply_adds_of_another_size():
    model = ej.ConvNet(channels=(3,), hidden=(4,), kernel=3)
    # 6 x 8 positions of a 3 x 3 kernel to 3 channels, pooled to 3 x 4.
    assert convnets.multiply_adds(model, 6, 8, classes=5) == 48 * 27 + 36 * 4 + 4 * 5


def test_parameters_are_the_papers():
    counts = {name: convnets.parameters(model) for name, model in convnets.NETWORKS.items()}
    assert counts == {"dense": 93_347, "c1": 1_229_683, "c2": 82_137}


# Protocol


def test_grids_are_the_papers():
    assert sgd.Options().learning_rate == (0.1, 0.03, 0.01, 0.003, 0.001)
    assert rmsprop.Options().learning_rate == (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    options = adam.Options()
    assert len(options.learning_rate) * len(options.b1) * len(options.b2) == 32
    for module in (sgd, rmsprop, adam, batch_norm):
        chosen = module.Options()
        assert (chosen.seeds, chosen.epochs, chosen.batch_size) == (5, 100, 50)
    assert test_set.Options().epochs == 7
    assert test_set.SEED in range(test_set.Options().seeds)


def test_batch_norm_crosses_all_cells():
    assert len(set(batch_norm.CELLS)) == 8
    for cell in batch_norm.CELLS:
        ej.BatchNorm(*cell.split("_"))  # refuses what it does not know


def test_every_figure_has_a_caption():
    world = paper_world.world()
    drawn = (
        sgd.figures(world["sgd"]),
        rmsprop.figures(world["rmsprop"]),
        adam.figures(world["adam"]),
    )
    for module, figures in zip((sgd, rmsprop, adam), drawn, strict=True):
        assert set(figures) == set(module.CAPTIONS)
    assert set(forensics.figures(world)) == set(forensics.CAPTIONS)


# Tables and findings from hand-made results


def cells(**best):
    """Curves for every cell at 80 %, spread over seeds by 1; some replaced."""
    made = {cell: paper_world.chosen(0.8, 5, 0.01) for cell in batch_norm.CELLS}
    return made | {cell: paper_world.chosen(*args) for cell, args in best.items()}


def test_batch_norm_finds_the_cell_near_the_report():
    found = cells(trained_normal_running=(0.72, 5, 0.03), frozen_normal_running=(0.724, 5, 0.001))
    rows = {tuple(row[:4]): row for row in batch_norm.tables(found)["cells"].rows}
    assert len(rows) == 16
    assert rows["trained", "normal", "running", "0.0001"][8:10] == ["yes", "yes"]
    assert rows["frozen", "normal", "running", "0.0001"][8:10] == ["yes", "no"]
    assert rows["frozen", "standard", "running", "0.001"][8:10] == ["no", "no"]
    told = batch_norm.finding(found)
    assert "Nearest: frozen, normal, running" in told
    assert "spread: trained, normal, running, eta 0.0001" in told


PEAKED = paper_world.chosen({0: 0.02, 7: 0.87, 20: 0.86}, seconds_per_epoch=1.0, device="CPU").sel(
    epoch=slice(0, 20)
)


def convnets_found(**cells):
    """Curves and test results of the ConvNets, the longer runs at the smaller rate only."""
    found = dict.fromkeys(convnets.NETWORKS, PEAKED)
    found |= {f"{cell}/longer": PEAKED.sel(learning_rate=[1e-4]) for cell in convnets.LONGER}
    found |= {name.replace("_", "/"): curves for name, curves in cells.items()}
    return found | {f"{name}/test": paper_world.results_of(0.87, 0.4) for name in found}


def test_convnets_says_which_networks_had_not_peaked():
    assert "past its best" in convnets.finding(convnets_found())
    rising = paper_world.chosen({0: 0.02, 7: 0.8, 100: 0.87}).sel(epoch=slice(0, 20))
    told = convnets.finding(convnets_found(c2=rising))
    assert "c2, eta 0.001 (mean epoch of best 20.0 of 20)" in told
    assert "c1" not in told and "0.0001" not in told  # the longer run had peaked
    longer = rising.sel(learning_rate=[1e-4])
    assert "c2, eta 0.0001 (" in convnets.finding(convnets_found(c2_longer=longer))


def test_table_of_convnets_shows_the_longer_run_at_its_rate():
    longer = paper_world.chosen({0: 0.02, 30: 0.88, 100: 0.8}).sel(epoch=slice(0, 40))
    found = convnets_found(c1_longer=longer.sel(learning_rate=[1e-4]))
    rows = {tuple(row[:2]): row[2:6] for row in convnets.tables(found)["accuracy"].rows}
    assert len(rows) == 6
    assert rows["c1", "0.0001"][:2] == ["40", "88.00"] and rows["c1", "0.0001"][3] == "30.0"
    assert rows["c1", "0.001"][:2] == ["20", "87.00"]


def test_test_results_are_compared_with_the_papers():
    world = paper_world.world()
    found = {name.removeprefix("test_set/"): x for name, x in world.items() if "test_set" in name}
    found |= {
        f"{cell}{part}": found[f"trained{part}"]
        for cell in ("none", "frozen")
        for part in ("", "/test")
    }
    found = {name: x if "test" in name else x.sel(epoch=slice(0, 7)) for name, x in found.items()}
    made = test_set.tables(found)
    rows = {tuple(row[:2]): row for row in made["seeds"].rows}
    assert rows["trained", "0.0001"][-1] == "4 of 4"
    assert rows["c1", "0.001"][-1] == "4 of 4"
    assert rows["trained", "0.0001"][4].startswith("82.22 ±")
    alone = {tuple(row[:2]): row for row in made[f"seed_{test_set.SEED}"].rows}
    p, n, z = 0.8676 + 0.0002, 1000, 1.959964
    centre, half = p + z**2 / 2 / n, z * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    low, high = (100 * (centre + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    assert alone["c1", "0.0001"][-1] == f"{low:.2f} to {high:.2f}"
    assert "trained, eta 0.0001: 4 of 4" in test_set.finding(found)


# Running


def test_networks_are_tested_once(tmp_path, monkeypatch):
    options = sgd.Options(**TINY, out=tmp_path)
    grid = {"learning_rate": (1e-3,), **_common.CHOSEN}
    model = ej.MLP(hidden=(4,))
    curves, tested = _common.train_and_test(
        options, "a/b", model, grid, "best", convnets.test_with_confusion
    )
    data = ej.load("glyphs", size=188)
    assert tested.attrs["images"] == len(data.test.labels)
    per_seed = tested.confusion.isel(learning_rate=0)
    assert (per_seed.sum(["true", "predicted"]) == len(data.test.labels)).all()
    right = sum(per_seed.sel(true=c, predicted=c) for c in data.classes) / len(data.test.labels)
    np.testing.assert_allclose(right, tested.accuracy.isel(learning_rate=0))

    def never(*_):
        raise AssertionError("the test images were looked at again")

    again = _common.train_and_test(options, "a/b", model, grid, "best", never)
    xr.testing.assert_identical(again[1], load_curves(tmp_path / "a/b/test/curves.nc"))
    xr.testing.assert_identical(again[0], curves)
    assert set(_common.collect(tmp_path)) == {"a/b", "a/b/test"}


def test_another_run_in_the_folder_is_refused(tmp_path):
    grid = {"learning_rate": (1e-3,), **_common.CHOSEN}
    model = ej.MLP(hidden=(4,))
    _common.train_and_test(sgd.Options(**TINY, out=tmp_path), "a", model, grid, "last")
    for changed in ({"epochs": 2}, {"batch_size": 10}, {"seeds": 1}):
        other = sgd.Options(**TINY | changed, out=tmp_path)
        with pytest.raises(InputError, match=f"another run .*{next(iter(changed))}"):
            _common.train_and_test(other, "a", model, grid, "last")
    same = sgd.Options(**TINY, out=tmp_path)
    with pytest.raises(InputError, match="keep"):
        _common.train_and_test(same, "a", model, grid, "best")
    with pytest.raises(InputError, match="settings"):
        _common.train_and_test(same, "a", model, grid | {"b1": 0.5}, "last")


def test_networks_are_needed_only_to_test_them(tmp_path, capsys):
    options, grid = sgd.Options(**TINY, out=tmp_path), {"learning_rate": (1e-3,)}
    again = partial(_common.train_and_test, options, "a", ej.MLP(hidden=(4,)), grid, "last")
    curves, tested = again()
    assert capsys.readouterr().out.splitlines()[0] == "a:"
    (tmp_path / "a/networks.safetensors").unlink()
    xr.testing.assert_identical(again()[0], curves)
    assert capsys.readouterr().out == ""  # nothing was trained
    (tmp_path / "a/test/curves.nc").unlink()
    retrained, retested = again()
    assert capsys.readouterr().out.splitlines()[0] == "a:"
    xr.testing.assert_equal(retrained, curves)
    xr.testing.assert_equal(retested, tested)


def test_networks_of_other_curves_are_tested_again(tmp_path):
    options, grid = sgd.Options(**TINY, out=tmp_path), {"learning_rate": (1e-3,)}
    again = partial(_common.train_and_test, options, "a", ej.MLP(hidden=(4,)), grid, "last")
    _, tested = again()
    path = tmp_path / "a/test/curves.nc"
    stale = load_curves(path).attrs | {"curves_checksum": "another"}
    save_curves((tested * 0).assign_attrs(stale), path)
    xr.testing.assert_identical(again()[1], tested)


def test_paper_runs_resumes_and_rebuilds_its_report(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(paper, "PRESETS", {"demo": {"sgd": TINY}, "paper": {}})
    options = paper.Options(preset="demo", only=("sgd",), out=tmp_path)
    path = paper.run(options)
    first, printed = path.read_text(), capsys.readouterr().out.split()
    figures = [p for p in printed if p.endswith(".png")]
    assert len(figures) == len(set(figures)) == 3  # the samples, and two of SGD
    assert "## SGD (B1)" in first
    assert "sgd has 1 epochs, this needs 100" in first
    assert (tmp_path / "sgd" / "settings.tex").exists()
    for linked in ("sgd/figure_2_best_against_rate.png", "samples/figure_1_samples.png"):
        assert f"]({linked})" in first
        assert (tmp_path / linked).exists()
    assert "25 random training images with their labels. Data: glyphs" in first
    before = (tmp_path / "sgd" / "curves.nc").read_bytes()
    assert paper.run(options).read_text() == first
    path.unlink()
    assert paper.run(paper.Options(out=tmp_path, report_only=True)).read_text() == first
    assert (tmp_path / "sgd" / "curves.nc").read_bytes() == before


def test_unfinished_experiment_is_named_in_the_report(tmp_path):
    save_curves(paper_world.chosen(0.8), tmp_path / "batch_norm/frozen_normal_running/curves.nc")
    text = paper.write_report(tmp_path).read_text()
    assert "## Data (D1)\n\n`python -m experiments.samples` draws" in text
    assert "## Batch normalisation (N1)\n\nNot finished: batch_norm/frozen_normal_minibatch" in text


def test_the_papers_sections_are_about_its_own_runs(tmp_path):
    own = paper_world.sgd()
    save_curves(own, tmp_path / "sgd" / "curves.nc")
    later = paper_world.chosen(0.8).assign_attrs(data="others")
    save_curves(later, tmp_path / "depth" / "conv10_head150" / "curves.nc")
    text = paper.write_report(tmp_path).read_text()
    assert f"no image of {own.data} is kept here" in text


def test_arguments_are_the_presets_then_those_given(tmp_path):
    options = paper.Options(preset="demo", seeds=4, adam_seeds=2, convnet_epochs=9, data="x")
    sgd_arguments = paper.arguments(options, "sgd", tmp_path)
    assert (sgd_arguments["seeds"], sgd_arguments["data"]) == (4, "x")
    assert sgd_arguments["size"] == paper.PRESETS["demo"]["sgd"]["size"]
    assert paper.arguments(options, "adam", tmp_path)["seeds"] == 2
    assert paper.arguments(options, "convnets", tmp_path)["epochs"] == 9
    for name, (module, _) in paper.EXPERIMENTS.items():
        made = module.Options(**paper.arguments(paper.Options(), name, tmp_path))
        assert made == module.Options(data="emnist/balanced", out=tmp_path)


def test_report_of_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no finished experiment"):
        paper.run(paper.Options(out=tmp_path, report_only=True))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "agam"], 'did you mean "adam"'),
        (["--out", "nowhere", "--report-only"], "no finished experiment"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments, told, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["paper", *arguments])
    with pytest.raises(SystemExit) as stopped:
        _common.main(paper.run, paper.Options)
    assert stopped.value.code == 2
    err = capsys.readouterr().err
    assert told in err
    assert err.count("\n") == 1
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("module", [*MODULES, samples, paper, beyond], ids=lambda m: m.__name__)
def test_every_option_has_help(module, monkeypatch, capsys):
    for options in module.Options.__mro__[:-1]:  # object has no options
        source = inspect.getsource(options)
        for name in vars(options).get("__annotations__", {}):
            assert re.search(rf'^    {name}: .*\n    """\w', source, re.MULTILINE), name
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    with pytest.raises(SystemExit):
        _common.main(module.run, module.Options)
    text = capsys.readouterr().out
    assert text.startswith(f"usage: python -m {module.__name__} [-h]")
    for name in module.Options.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in text
    assert f"python -m experiments.{module.__name__.split('.')[-1]}" in text
