"""Results of other programs: tidy CSV files, there and back, and DeepOBS's JSON."""

import json

import numpy as np
import pytest
import xarray as xr

import emnist_jax as ej

HEAD = "rule,data,lr,seed,epoch,valid_accuracy\n"


def grid(rules=("a", "b"), epochs=(0, 1), accuracy=0.5):
    rows = [
        f"{rule},mnist,{lr},{seed},{epoch},{accuracy + seed / 100 + epoch / 10}\n"
        for rule in rules
        for lr in (0.1, 0.01)
        for seed in (7, 8)
        for epoch in epochs
    ]
    return HEAD + "".join(rows)


def write(tmp_path, text):
    path = tmp_path / "results.csv"
    path.write_text(text)
    return path


def test_a_tidy_file_becomes_curves_by_rule(tmp_path):
    found = ej.curves_from(write(tmp_path, grid()), rename={"lr": "learning_rate"})
    assert list(found) == ["a", "b"] and found["a"].attrs == {"rule": "a", "data": "mnist"}
    a = found["a"]
    assert a.valid_accuracy.sel(learning_rate=0.1, seed=8, epoch=1) == pytest.approx(0.68)
    np.testing.assert_allclose(a.valid_error, 1 - a.valid_accuracy)
    assert "a - b after 2 settings: +0.00 points" in str(ej.compare(found))


def test_final_results_alone_will_do(tmp_path):
    found = ej.curves_from(write(tmp_path, "seed,valid_accuracy\n0,0.5\n1,0.75\n"))
    accuracy = found["results"].valid_accuracy
    assert dict(accuracy.sizes) == {"seed": 2, "epoch": 1}
    np.testing.assert_array_equal(accuracy.squeeze(), [0.5, 0.75])


@pytest.mark.parametrize("dims", [("learning_rate",), ("sample",)])
def test_what_is_exported_is_read_back(tmp_path, dims):
    rng = np.random.default_rng(0)
    names = ("train_error", "train_accuracy", "valid_error", "valid_accuracy")
    coords = {"learning_rate": (dims, [0.1, 0.2, 0.3]), "seed": [3, 5], "epoch": [0, 1]}
    if dims == ("sample",):
        coords |= {"b1": (dims, [0.9, 0.5, 0.7])}
    values = {name: ((*dims, "seed", "epoch"), rng.random((3, 2, 2))) for name in names}
    curves = xr.Dataset(values, coords | {"b2": 0.99})
    curves.valid_accuracy[0, 0, 1] = np.nan  # diverged
    path = ej.export.to_csv(curves, tmp_path / "mine.csv")
    xr.testing.assert_allclose(ej.curves_from(path)["mine"], curves)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (grid().replace("valid_accuracy", "score"), "no column valid_accuracy; rename one of:"),
        (grid(accuracy=50), "divide per cent by 100"),
        (grid().removesuffix("\n").rpartition("\n")[0], "b has 7 rows, not one for each of 2"),
        (grid() + grid().splitlines()[-1], "b has 9 rows"),
        ("", "not readable as CSV"),
        ("seed,valid_accuracy\n0,95%\n", "column valid_accuracy holds other than numbers"),
        ("seed,valid_accuracy\ns0,0.5\ns1,0.6\n", "column seed holds other than numbers"),
    ],
)
def test_what_is_no_whole_table_is_refused(tmp_path, text, words):
    with pytest.raises(ej.InputError, match=words):
        ej.curves_from(write(tmp_path, text))
    with pytest.raises(ej.InputError, match="no such file"):
        ej.curves_from(tmp_path / "none.csv")


def deepobs(folder, optimizer, rate, seed, accuracy, problem="mnist_mlp", date="2019-02-14"):
    """Write a run as DeepOBS 1.1 does, with what is read of it."""
    path = folder / optimizer / f"lr__{rate}" / f"random_seed__{seed}__{date}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    curve = {f"{part}_accuracies": [0.1, accuracy] for part in ("train", "test")}
    curve |= {f"{part}_losses": [2.3, 1 - accuracy] for part in ("train", "test")}
    about = {"optimizer": optimizer, "testproblem": problem, "random_seed": seed}
    hyper = {"learning_rate": rate, "hyperparams": {"beta1": 0.9, "use_nesterov": False}}
    path.write_text(json.dumps(curve | about | hyper | {"minibatch_train_losses": [1.0]}))
    return path


def test_deepobs_settings_of_all_seeds_are_read(tmp_path):
    deepobs(tmp_path, "Adam", 0.1, 42, 0.5)  # tuned on one seed
    for seed in (42, 43):
        deepobs(tmp_path, "Adam", 0.01, seed, 0.7 + seed / 1000)
        deepobs(tmp_path, "SGD", 0.1, seed, 0.6)
    deepobs(tmp_path, "SGD", 0.1, 43, 0.65, date="2019-02-15")
    found = ej.curves_from(tmp_path)
    adam, sgd = found["Adam"], found["SGD"]
    np.testing.assert_allclose(adam.valid_accuracy.sel(epoch=1), [0.742, 0.743])
    assert adam.learning_rate == 0.01 and adam.beta1 == 0.9
    assert adam.attrs == {"rule": "Adam", "data": "mnist_mlp", "left_out": 1}
    np.testing.assert_allclose(sgd.valid_accuracy.sel(epoch=1), [0.6, 0.65])
    np.testing.assert_allclose(sgd.valid_error.sel(epoch=0), 2.3)
    assert "Adam - SGD: +" in str(ej.compare(found))
    deepobs(tmp_path, "SGD", 0.1, 42, 0.6, problem="other")
    with pytest.raises(ej.InputError, match="holds mnist_mlp, other"):
        ej.curves_from(tmp_path)


def test_deepobs_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(ej.InputError, match="no JSON file"):
        ej.curves_from(tmp_path)
    deepobs(tmp_path, "Adam", 0.1, 42, 0.5).write_text("{}")
    with pytest.raises(ej.InputError, match="not a run of DeepOBS"):
        ej.curves_from(tmp_path)
    path = deepobs(tmp_path, "Adam", 0.1, 42, 0.5)
    run = json.loads(path.read_text())
    seedless = {name: value for name, value in run.items() if name != "random_seed"}
    for changed in (seedless, run | {"hyperparams": None}):
        path.write_text(json.dumps(changed))
        with pytest.raises(ej.InputError, match="not a run of DeepOBS"):
            ej.curves_from(tmp_path)
