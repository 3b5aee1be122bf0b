"""The experiments as data, their options, and the driver on a tiny one."""

import importlib
import json
import re
import shutil
import sys
from dataclasses import fields, replace

import numpy as np
import paper_world
import pytest
import xarray as xr

import emnist_jax as ej
from emnist_jax.cli.options import parse
from emnist_jax.errors import InputError
from emnist_jax.figures import plot_curves
from emnist_jax.figures.tables import settings_table
from emnist_jax.store.curves import load_curves
from experiments import _networks, batch_norm, beyond, convnets, coverage, paper, samples, test_set
from experiments._curves import of_variant
from experiments._data import FIFTH, OtherData
from experiments._draw import draw, took
from experiments._experiment import Experiment, Figure, Taken
from experiments._main import main
from experiments._networks import multiply_adds, parameters
from experiments._options import axes, chosen, options_of
from experiments._pages import runs_table
from experiments._study import ALONE, BEYOND, PAPER, run_all, write_report
from experiments._train import collect, train

ALL = PAPER | BEYOND
PARTS = "fifth", "half"  # folders of runs on parts of the images

# Counts, by hand from the lists of layers

DENSE = 784 * 100 + 100 * 100 + 100 * 47
C1 = 28 * 28 * 25 * 10 + 1960 * 576 + 576 * 160 + 160 * 47
C2 = 28 * 28 * 25 * 5 + 14 * 14 * 25 * 5 * 10 + 490 * 150 + 150 * 47


def test_multiply_adds_and_parameters_are_those_of_the_layers():
    networks = convnets.NETWORKS.values()
    assert [sum(multiply_adds(model)) for model in networks] == [DENSE, C1, C2]
    assert [parameters(model) for model in networks] == [93_347, 1_229_683, 82_137]
    model = ej.ConvNet(channels=(3,), hidden=(4,), kernel=3)
    # 6 x 8 positions of a 3 x 3 kernel to 3 channels, pooled to 3 x 4.
    assert multiply_adds(model, (6, 8, 1), classes=5) == [48 * 27, 36 * 4, 4 * 5]


# The protocol


def trials(sweep):
    sizes = [len(v) for v in sweep.grid.values() if isinstance(v, tuple)]
    return sweep.seeds * int(np.prod(sizes))


def test_the_protocol_is_the_papers_with_five_seeds():
    sweeps = {f: s for one in PAPER.values() for f, s in one.make().items()}
    timed = {f: s for f, s in sweeps.items() if f.startswith("times/")}
    assert [trials(s) for s in timed.values()] == [1, 1, 1]
    ten = {"anomalies/c1/glorot", "anomalies/c2/glorot"}
    seeds = {f: 10 if f in ten else 5 for f in sweeps if f not in timed}
    assert {f: s.seeds for f, s in sweeps.items() if f not in timed} == seeds
    assert {s.batch_size for s in sweeps.values()} == {50}
    counts = {folder: (trials(s), s.epochs) for folder, s in sweeps.items()}
    assert counts["sgd"] == (25, 100) and counts["rmsprop"] == (30, 100)
    assert counts["adam"] == (160, 100)
    assert counts["convnets/c1"] == (10, 40) and counts["convnets/c2"] == (10, 100)
    norms = [of for folder, of in counts.items() if folder.startswith("batch_norm/")]
    assert norms == [(10, 100)] * 4
    assert [of for f, of in counts.items() if f.startswith("forensics/")] == [(40, 20)] * 3


def test_nothing_is_trained_twice():
    own = [f for name, one in PAPER.items() if name != "test_set" for f in one.make()]
    assert len(set(own)) == len(own) and set(test_set.EXPERIMENT.make()) <= set(own)
    for folder, sweep in test_set.EXPERIMENT.make().items():
        assert test_set.EPOCH in sweep.keep, folder


@pytest.mark.parametrize("name", ALL)
def test_an_experiment_is_whole(name):
    one = ALL[name]
    module = importlib.import_module(f"experiments.{name}")
    assert module.EXPERIMENT is one and f"python -m experiments.{name}" in module.__doc__
    assert one.folders or one.reads
    assert {f.split("/")[0] for f in one.folders if name != "test_set"} <= {name, "times", *PARTS}
    assert set(one.data) <= set(one.make()) and set(one.reads) <= {
        f for other in ALL.values() for f in other.folders
    }
    assert one.cost or name in PAPER


# Options

SWEEPS = {
    "a": ej.Sweep(ej.MLP(), "sgd", {"learning_rate": (0.1, 0.01)}, epochs=9, keep=(7, 9)),
    "b": ej.Sweep(ej.MLP(), "adam", {"learning_rate": (1e-3,), "b1": 0.9}, epochs=9),
}


def test_axes_are_options_by_rule_where_rules_differ():
    assert axes(SWEEPS) == {
        "sgd_learning_rate": ("learning_rate", (0.1, 0.01)),
        "adam_learning_rate": ("learning_rate", (1e-3,)),
        "b1": ("b1", 0.9),
    }
    a, b = (SWEEPS["a"].replace(grid={"decay": decay}) for decay in (0.0, (1.0, 2.0)))
    assert axes({"a": a, "b": b}) == {"decay": ("decay", (1.0, 2.0))}  # the number stays what it is
    c = SWEEPS["b"].replace(grid={"learning_rate": (1e-2,), "b1": 0.9})
    assert set(axes(SWEEPS | {"c": c})) == {"sgd_learning_rate", "b1"}  # adam has two lists


def test_a_network_alone_stays_alone_and_what_trains_nothing_has_a_folder_alone():
    made = chosen(convnets.EXPERIMENT, options_of(convnets.EXPERIMENT)(seeds=3))
    assert {name[:5]: sweep.seeds for name, sweep in made.items()} == {"convn": 3, "times": 1}
    assert [one.name for one in fields(options_of(PAPER["budgets"]))] == ["out"]


def test_options_change_the_sweeps():
    one = Experiment("x", "X", SWEEPS, size=99)
    options = options_of(one)(seeds=2, sgd_learning_rate=(1.0,), b1=0.5, epochs=8)
    assert options.size == 99 and options_of(one)().epochs == 9
    made = chosen(one, options)
    assert made["a"].grid == {"learning_rate": (1.0,)} and made["a"].keep == (7,)
    assert made["b"].grid == {"learning_rate": (1e-3,), "b1": 0.5}
    assert {(s.seeds, s.epochs) for s in made.values()} == {(2, 8)}
    assert chosen(one, options_of(one)(epochs=3))["a"].keep == (3,)


def test_all_images_are_chosen_by_none():
    made = options_of(coverage.EXPERIMENT)
    assert parse(made, "x", "", []).size == 26_320
    assert parse(made, "x", "", ["--size", "None"]).size is None
    with pytest.raises(InputError, match='--adam-learning-rate "None": give a number'):
        parse(made, "x", "", ["--adam-learning-rate", "None"])


def test_arguments_of_a_function_of_sweeps_are_options():
    options = options_of(convnets.EXPERIMENT)()
    assert (options.epochs, options.learning_rate) == (20, (1e-4, 1e-3))
    made = chosen(convnets.EXPERIMENT, options_of(convnets.EXPERIMENT)(epochs=2))
    assert {name: (s.epochs, s.keep) for name, s in made.items()} == {
        "convnets/dense": (10, (2, 4, 6, 7, 8, 10)),
        "convnets/c1": (4, (2, 4)),
        "convnets/c2": (10, (2, 4, 6, 7, 8, 10)),
        **{f"times/{name}": (3, None) for name in convnets.NETWORKS},
    }
    rules = options_of(BEYOND["rules_on_c2"])(settings=3, epochs=1)
    made = chosen(BEYOND["rules_on_c2"], rules)
    assert {(len(s.grid), s.epochs) for s in made.values()} == {(3, 1)}
    assert options_of(BEYOND["cifar10"])().cifar10 == "cifar10"


@pytest.mark.parametrize("name", [*ALL, "samples", "paper", "beyond"])
def test_every_option_has_help(name, monkeypatch, capsys):
    module = importlib.import_module(f"experiments.{name}")
    options = options_of(module.EXPERIMENT) if name in ALL else module.Options
    with pytest.raises(SystemExit):
        parse(options, "prog", "", ["--help"])
    shown = re.sub(r"[│\s]+", " ", capsys.readouterr().out)
    assert ("--data" in shown) == (name != "budgets")  # which trains nothing
    assert not re.search(r"(?<!for )--\S+(, --\S+)?( \S+( \.\.\.)?)? \(default", shown)
    if name not in ("sgd", "rules_compared"):
        return  # one that is a mapping, one that is a function
    monkeypatch.setattr(sys, "argv", ["x", "--help"])
    with pytest.raises(SystemExit):
        main(module.EXPERIMENT, module.__doc__)
    text = capsys.readouterr().out
    assert f"usage: python -m experiments.{name} [-h]" in text
    for field in options.__dataclass_fields__:
        assert f"--{field.replace('_', '-')}" in text


# Training, testing, drawing: one tiny experiment with a variant, kept networks, other data


def swapped(data):
    return ej.load((data.valid, data.train, data.test), name="swapped")


def tiny():
    norm = ej.BatchNorm("trained", "normal")
    usual, other = (ej.MLP((4,), batch_norm=norm.clone(statistics=s)) for s in STATISTICS)
    kept = ej.Sweep(
        usual,
        "sgd",
        {"learning_rate": (0.1,)},
        epochs=2,
        variants={"minibatch": other},
        keep=(1, 2),
    )
    plain = ej.Sweep(ej.MLP((4,)), "sgd", {"learning_rate": 0.1}, epochs=2)
    return Experiment(
        "tiny",
        "Tiny (T)",
        {"tiny/kept": kept, "tiny/other": plain},
        figures={"curves": Figure("Both.", lambda runs: plot_curves(runs["tiny/other"]))},
        tables={"settings": lambda runs: settings_table(runs["tiny/kept"])},
        finding=lambda runs: f"{len(runs)} runs.",
        data={"tiny/other": OtherData(change=swapped)},
        size=188,
        cost="a second",
    )


STATISTICS = "running", "minibatch"
TINY = tiny()


@pytest.fixture(scope="session")
def world(tmp_path_factory):
    """Return the folder of a tiny experiment's results, its options, and what was printed."""
    out = tmp_path_factory.mktemp("tiny")
    options = options_of(TINY)(seeds=2, batch_size=20, out=out)
    train(TINY, options)
    return out, options


def test_networks_are_tested_once_with_every_variant(world, monkeypatch):
    out, options = world
    runs = collect(out)
    assert set(runs) == {"tiny/kept", "tiny/kept/test", "tiny/other"} == set(TINY.folders)
    tested, data = runs["tiny/kept/test"], ej.load("glyphs", size=188)
    assert tested.attrs["images"] == len(data.test) and tested.epoch.values.tolist() == [1, 2]
    for one in (tested, of_variant(tested, "minibatch")):
        assert (one.confusion.sum(["true", "predicted"]) == len(data.test)).all()
        right = sum(one.confusion.sel(true=c, predicted=c) for c in data.classes) / len(data.test)
        np.testing.assert_allclose(right, one.accuracy)
    assert (tested.error != tested.error_minibatch).all()
    monkeypatch.setattr("experiments._train.test", None)  # the test images are not looked at again
    train(TINY, options)


def test_what_another_experiment_trained_is_taken_from_it_if_it_holds_all(tmp_path):
    rates = {"learning_rate": (0.1, 0.01)}
    whole = ej.Sweep(ej.MLP((4,)), "sgd", rates, epochs=2, seeds=3, batch_size=20)
    part = whole.replace(grid={"learning_rate": (0.01,)}, epochs=1, seeds=2)
    other = Experiment("other", "Other", {"other": whole}, size=188)
    names = "takes", "as well"
    takes = Experiment(
        "takes",
        "Takes",
        dict.fromkeys(names, part),
        taken=dict.fromkeys(names, Taken("other", whole)),
        size=188,
    )
    options = options_of(takes)(out=tmp_path)
    train(takes, options, {"as well"})  # nothing there to take it from
    assert set(collect(tmp_path, takes)) == {"as well"}
    train(other, options_of(other)(out=tmp_path))
    train(takes, options)
    assert not (tmp_path / "takes").exists()
    runs = collect(tmp_path, takes)
    xr.testing.assert_allclose(runs["takes"], runs["as well"].sel(seed=[0, 1]), rtol=1e-5)
    assert runs["takes"].taken_from == "other" and "wall_seconds" not in runs["takes"].attrs
    assert runs_table(runs).text()[1:] and len(runs_table(runs).rows) == 2
    train(takes, replace(options, epochs=2), {"takes"})  # not what `collect` would take
    assert load_curves(tmp_path / "takes").sizes["epoch"] == 3
    train(takes, replace(options, epochs=2, seeds=4), {"takes"})  # the other one has three
    assert load_curves(tmp_path / "takes").sizes["seed"] == 4


def test_what_is_taken_is_the_same_but_in_numbers_and_what_is_kept():
    free = {"grid": {}, "seeds": 1, "epochs": 1, "keep": None, "metrics": None}
    count = 0
    for experiment in BEYOND.values():
        for name, (folder, whole) in experiment.taken.items():
            part, count = experiment.make()[name], count + 1
            found = experiment if folder.startswith(FIFTH) else PAPER[folder.partition("/")[0]]
            assert found.make()[folder] == whole and folder not in experiment.taken
            assert part.replace(**free) == whole.replace(**free), name
            assert part.epochs <= whole.epochs and part.seeds <= whole.seeds
            for axis, values in part.grid.items():
                assert set(np.atleast_1d(values)) <= set(np.atleast_1d(whole.grid[axis])), name
    assert count == 9


def test_variants_of_curves_are_read_by_name(world):
    curves = load_curves(world[0] / "tiny/kept")
    read = of_variant(curves, "minibatch")
    xr.testing.assert_equal(read.valid_error, curves.valid_error_minibatch.rename("valid_error"))
    assert of_variant(curves, "") is curves and read.attrs == curves.attrs


def test_data_of_a_sweep_may_be_a_function_of_the_others(world):
    runs = collect(world[0])
    assert runs["tiny/other"].attrs["data"] == "swapped"
    assert runs["tiny/other"].train_images == runs["tiny/kept"].valid_images


def test_results_are_tested_again_where_they_are_of_other_curves(world, capsys):
    out, options = world
    path = out / "tiny/kept/test/curves.nc"
    before, whole = path.read_bytes(), load_curves(path)
    other = whole.attrs | {"curves_checksum": "another"}
    ej.save_curves((whole * 0).assign_attrs(other), path)
    capsys.readouterr()
    assert "tiny/kept/test" not in collect(out)
    assert "left out, as it is of other curves" in capsys.readouterr().out
    train(TINY, options)
    xr.testing.assert_identical(load_curves(path), whole)
    assert "nothing trained" in capsys.readouterr().out and path.read_bytes() == before


def test_networks_of_trials_that_the_curves_lack_are_not_tested(world, tmp_path):
    out = shutil.copytree(world[0], tmp_path / "copy")
    shutil.rmtree(out / "tiny/kept/test")
    ej.save_curves(load_curves(out / "tiny/kept").isel(seed=[0]), out / "tiny/kept/curves.nc")
    with pytest.raises(InputError, match="networks of trials that its curves lack"):
        train(TINY, replace(world[1], seeds=1, out=out))


def test_fewer_seeds_test_all_networks_and_lost_networks_lose_no_curves(world, tmp_path):
    out = shutil.copytree(world[0], tmp_path / "copy")
    kept, tested = out / "tiny/kept", out / "tiny/kept/test/curves.nc"
    fewer, whole = replace(world[1], seeds=1, out=out), load_curves(tested)
    tested.unlink()
    train(TINY, fewer)
    xr.testing.assert_identical(load_curves(tested), whole)
    tested.unlink()
    (kept / "networks.safetensors").unlink()
    before = (kept / "curves.nc").read_bytes()
    with pytest.raises(InputError, match="use --overwrite to train the networks again"):
        train(TINY, fewer)
    assert (kept / "curves.nc").read_bytes() == before


def test_times_are_summed_by_device_over_all_parts_of_runs():
    parts = [{"device": "a", "wall_seconds": 60}, {"device": "b", "wall_seconds": 6}]
    attrs = dict.fromkeys(("command", "versions", "commit"), "x") | {"device": "a"}
    grew = xr.Dataset({"train_error": 0.0}, attrs={"wall_seconds": 69, "runs": json.dumps(parts)})
    old = xr.Dataset({"train_error": 0.0}, attrs=attrs | {"wall_seconds": 30})
    tested = xr.Dataset({"accuracy": 0.0}, attrs=attrs | {"wall_seconds": 1})
    assert took([grew, old, tested]) == "Trained in 1.5 minutes on a and 0.1 minutes on b."
    assert took([tested]) == ""


def test_what_is_drawn_is_the_section(world):
    out, _ = world
    runs = collect(out)
    section = draw(TINY, runs, out)
    assert section.title == "Tiny (T)" and section.text == "3 runs."
    assert section.about.startswith("Data: glyphs (")
    assert "; seeds: 2; epochs: 2; minibatch 20. Trained in " in section.about
    (path, caption), (table,) = section.figures[0], section.tables
    assert (out / path).exists() and caption == "Both."  # its runs are those of the section
    assert table == "Settings" and (out / "tiny/settings.tex").exists()


def test_a_figure_of_some_of_the_runs_says_of_which_data(world):
    out, _ = world
    figures = {"one": TINY.figures["curves"]._replace(of="tiny/other")}
    section = draw(replace(TINY, figures=figures), collect(out), out)
    assert section.figures[0][1].startswith("Both. Data: swapped")


def test_what_is_missing_is_named_with_what_it_costs(tmp_path):
    how = "`python -m experiments.tiny` takes about a second."
    assert draw(TINY, {}, tmp_path).text == f"Not run. {how}"
    text = draw(TINY, {"tiny/kept": None, "tiny/other": None}, tmp_path).text
    assert text == f"Not finished: tiny/kept/test. {how}"
    text = draw(BEYOND["training_size"], dict.fromkeys(BEYOND["training_size"].reads), tmp_path)
    assert text.text.startswith("Not run. ")  # what it only reads is there


def test_another_run_in_the_folder_is_refused(world):
    out, _ = world
    other = options_of(TINY)(seeds=2, batch_size=10, out=out)
    with pytest.raises(InputError, match=r"another run .*batch_size"):
        train(TINY, other)


@pytest.mark.parametrize(
    ("name", "seeds"),
    [("rules_compared", 1), ("regularisation", 1), ("fifth", 1), ("coverage", 10)],
)
def test_too_few_seeds_are_refused_before_anything_is_trained(tmp_path, name, seeds):
    one = (BEYOND | ALONE)[name]
    with pytest.raises(InputError, match=f"{seeds + 1} seeds or more"):
        train(one, options_of(one)(seeds=seeds, out=tmp_path))
    assert not any(tmp_path.iterdir())


# Several experiments


def test_a_shared_sweep_is_trained_once_with_its_first_experiments_options(monkeypatch, tmp_path):
    trained = []

    def noted(experiment, options, folders):
        (folder,) = folders
        trained.append((experiment.name, folder, options.seeds, options.epochs))

    monkeypatch.setattr("experiments._study.train", noted)
    shared = Experiment("later", "L", {"a": SWEEPS["a"]})
    both = {"first": Experiment("first", "F", SWEEPS), "later": shared}
    preset = {"first": {"seeds": 3}, "later": {"seeds": 4, "epochs": 5}}
    run_all(both, paper.Options(), "glyphs", tmp_path, preset, {"first": {"epochs": 6}})
    assert trained == [("first", "a", 3, 6), ("first", "b", 3, 6)]
    trained.clear()
    run_all(both, paper.Options(only=("later",), seeds=7), "glyphs", tmp_path, preset, {})
    assert trained == [("first", "a", 7, 9)]


@pytest.mark.parametrize(
    ("experiments", "presets"), [(PAPER, paper.PRESETS), (BEYOND, beyond.PRESETS)]
)
def test_presets_are_options(experiments, presets):
    for preset in presets.values():
        for name, values in preset.items():
            one = experiments[name]
            assert chosen(one, options_of(one)(**values)).keys() == one.make().keys()


def test_the_paper_runs_and_rebuilds_its_report(tmp_path, monkeypatch, capsys):
    small = {"size": 188, "seeds": 2, "epochs": 1, "batch_size": 20}
    monkeypatch.setattr(paper, "PRESETS", {"demo": {"sgd": small}, "paper": {}})
    options = paper.Options(preset="demo", only=("sgd",), out=tmp_path)
    path = paper.run(options)
    first, shown = path.read_text(), capsys.readouterr().out
    notice, printed = shown.splitlines()[-1], shown.split()
    assert notice.endswith("its verdicts are about neither EMNIST nor the paper.")
    assert first.splitlines()[2] == f"**{notice}**"  # right below the title
    figures = [p for p in printed if p.endswith(".png")]
    assert len(figures) == len(set(figures)) == 3  # the samples, and two of SGD
    others = {
        name: (tmp_path / f"{name}.md").read_text() for name in re.findall(r"(\w+)\.md\)", first)
    }
    assert others.keys() == {"claims", "experiments", "beyond", "times"}
    assert "## SGD (B1)" in others["experiments"] and "## Adam" not in others["experiments"]
    assert "sgd has 1 epochs, this needs 100" in others["claims"]
    for linked in ("sgd/figure_2_best_against_rate.png", str(samples.FIGURE)):
        assert f"]({linked})" in first and (tmp_path / linked).exists()
    assert "Not run. `python -m experiments.depth`" in others["beyond"]
    assert "| sgd |" in others["times"]
    before = (tmp_path / "sgd" / "curves.nc").read_bytes()
    path.unlink()
    assert paper.run(paper.Options(out=tmp_path, report_only=True)).read_text() == first
    assert (tmp_path / "sgd" / "curves.nc").read_bytes() == before


def test_a_report_of_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="no finished experiment"):
        write_report(tmp_path)


@pytest.mark.parametrize("module", [paper, beyond])
def test_invalid_options_are_refused_before_anything_is_written(module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for options, reason in (
        ({"only": ("deph",)}, 'no experiment "deph"'),
        ({"seeds": 0}, "seeds=0: give a whole number"),
    ):
        with pytest.raises(InputError, match=reason):
            module.run(module.Options(**options))
    assert not any(tmp_path.iterdir())


# Findings from hand-made results


def test_batch_norm_finds_the_cell_near_the_report():
    runs = {}
    for kind in batch_norm.KINDS:
        curves = paper_world.chosen(0.8, 5, 0.01)
        near = paper_world.chosen(0.72, 5, 0.03 if kind == ("trained", "normal") else 0.001)
        other = near if kind[1] == "normal" else curves
        names = {v: f"{v}_minibatch" for v in curves.data_vars}
        runs[f"batch_norm/{'_'.join(kind)}"] = curves.assign(
            {new: other[v] for v, new in names.items()}
        )
    rows = batch_norm.cells_table(runs).rows
    assert len(rows) == 16
    found = {tuple(row.values())[:3]: row for row in rows if row["eta of Adam"] == 1e-4}
    near = {k: (row["near 72.3"], row["sd near 5.6"]) for k, row in found.items()}
    assert near["trained", "normal", "minibatch"] == (True, True)
    assert near["frozen", "normal", "minibatch"] == (True, False)
    assert near["frozen", "standard", "minibatch"] == (False, False)
    words = batch_norm.finding(runs)
    assert "spread: trained, normal, minibatch, eta 0.0001; trained" in words


def kept(curves, *epochs, error=0.4):
    """Return test results that have the validation accuracy of curves, at some epochs."""
    shape = curves.valid_accuracy.sel(epoch=list(epochs))
    return xr.Dataset({"accuracy": shape, "macro_accuracy": shape, "error": shape * 0 + error})


def test_convnets_are_tested_at_the_best_epoch_kept_and_say_what_still_rises():
    peaked = paper_world.chosen({0: 0.02, 7: 0.87, 40: 0.8}, seconds_per_epoch=1.0, device="CPU")
    rising = paper_world.chosen({0: 0.02, 60: 0.87}, seconds_per_epoch=2.0, device="CPU")
    curves = {"dense": peaked, "c1": peaked, "c2": rising.sel(epoch=slice(0, 60))}
    runs = {f"convnets/{name}": one for name, one in curves.items()}
    runs |= {f"convnets/{n}/test": kept(one, 7, 20, 40) for n, one in curves.items()}
    runs |= {f"times/{name}": one for name, one in curves.items()}
    rows = {(row["network"], row["eta"]): row for row in convnets.accuracies(runs).rows}
    assert rows["c1", 1e-4]["test (%)"] == pytest.approx(87)
    assert rows["c2", 1e-4]["test (%)"] == pytest.approx(100 * (0.02 + 0.85 * 40 / 60))
    assert rows["c2", 1e-4]["epochs"] == 60 and rows["c2", 1e-4]["at epoch"] == 60
    words = convnets.finding(runs)
    assert "c2, eta 0.001 (mean epoch of best 60.0 of 60)" in words and "c1" not in words
    assert convnets.costs(runs).rows[2]["times the dense net's"] == 2


def test_test_results_are_read_at_epoch_7_and_compared_with_the_papers():
    good = paper_world.chosen({0: 0.02, 7: 0.842, 20: 0.5}, valid_error=0.493)
    c1 = paper_world.chosen({0: 0.02, 7: 0.8744, 20: 0.5}, valid_error=0.363)
    runs = {}
    for name, (folder, variant) in test_set.TRAINED.items():
        curves = c1 if name == "c1" else good
        paper_accuracy, error = (0.8676, 0.397) if name == "c1" else (0.8222, 0.547)
        tested = kept(curves, 7, 20, error=error)
        tested["accuracy"] = tested.accuracy * 0 + paper_accuracy
        tested = tested.assign_attrs(images=1000, data="handmade")
        for part, one in (("", curves), ("/test", tested)):
            names = {v: f"{v}_{variant}" for v in one.data_vars} if variant else {}
            runs[folder + part] = one.rename(names)
    rows = {(row["network"], row["eta of Adam"]): row for row in test_set.all_seeds(runs).rows}
    assert {row["of 4 near the paper's"] for row in rows.values()} == {4}
    assert rows["trained", 1e-4]["test (%)"] == pytest.approx(82.22)
    alone = {(row["network"], row["eta of Adam"]): row for row in test_set.papers_seed(runs).rows}
    p, n, z = 0.8676, 1000, 1.959964
    centre, half = p + z**2 / 2 / n, z * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2)
    low, high = (100 * (centre + sign * half) / (1 + z**2 / n) for sign in (-1, 1))
    np.testing.assert_allclose(alone["c1", 1e-4]["Wilson 95 %"], (low, high), rtol=1e-6)
    assert "trained, eta 0.0001: 4 of 4" in test_set.finding(runs)


def test_the_papers_choice_is_one_value():
    assert _networks.CHOSEN_GRID == {"learning_rate": (1e-4, 1e-3), "b1": 0.9, "b2": 0.9999}
