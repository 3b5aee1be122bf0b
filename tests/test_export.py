"""Curves for other programs: what was written is read back."""

import sys

import numpy as np
import pytest
import xarray as xr

import emnist_jax as ej
from emnist_jax.cli import export as command
from emnist_jax.errors import InputError
from emnist_jax.store import export
from emnist_jax.store.curves import save_curves


@pytest.fixture
def curves():
    """Two rates, two seeds, four epochs; the second seed of the second rate diverges at 2."""
    shape = (2, 2, 4)
    names = ("train_error", "train_accuracy", "valid_error", "valid_accuracy")
    values = np.random.default_rng(0).uniform(0.1, 0.9, (4, *shape)).astype(np.float32)
    values[:, 1, 1, 2:] = np.nan
    dims = ("learning_rate", "seed", "epoch")
    coords = {"learning_rate": [0.1, 0.001], "seed": [0, 3], "epoch": range(4), "b1": 0.9}
    variables = {name: (dims, value) for name, value in zip(names, values, strict=True)}
    return xr.Dataset(variables, coords, {"data": "glyphs", "rule": "adam", "batch_size": 50})


def test_the_table_has_a_row_a_trial_and_epoch(curves):
    table = export.to_pandas(curves)
    assert list(table) == [
        *("learning_rate", "b1", "seed", "epoch"),
        *("train_error", "train_accuracy", "valid_error", "valid_accuracy"),
    ]
    assert len(table) == 16 and (table.b1 == 0.9).all()
    for _, row in table.iterrows():
        at = {name: row[name] for name in ("learning_rate", "seed", "epoch")}
        np.testing.assert_equal(row.valid_error, float(curves.valid_error.sel(at)))
    assert table.attrs["data"] == "glyphs"


def test_drawn_settings_keep_what_was_drawn(curves):
    drawn = curves.rename(learning_rate="sample").assign_coords(
        sample=[0, 1], learning_rate=("sample", [0.1, 0.001])
    )
    table = export.to_pandas(drawn)
    assert table[["learning_rate", "seed"]].drop_duplicates().values.tolist() == [
        *([0.1, 0], [0.1, 3], [0.001, 0], [0.001, 3])
    ]
    found = {run.name: run.settings for run in export._runs(drawn, "setting")}
    assert {one["learning_rate"] for one in found.values()} == {0.1, 0.001}


def test_csv_holds_every_number(curves, tmp_path):
    import pandas as pd

    read = pd.read_csv(export.to_csv(curves, tmp_path / "a.csv"))
    expected = export.to_pandas(curves)
    np.testing.assert_array_equal(read.values.astype(np.float32), expected.values.astype("f4"))


def test_parquet_holds_numbers_types_and_provenance(curves, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow (extra: trackers) is not installed")
    import pandas as pd

    read = pd.read_parquet(export.to_parquet(curves, tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(read, export.to_pandas(curves))
    assert read.attrs["rule"] == "adam"


def read_events(path):
    """Return {tag: [(step, value)]} and the hyperparameters of an event file."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
    from tensorboard.util import tensor_util

    scalars, hparams = {}, {}
    for event in EventFileLoader(str(path)).Load():
        for value in event.summary.value:
            if value.metadata.plugin_data.plugin_name == "hparams":
                content = HParamsPluginData.FromString(value.metadata.plugin_data.content)
                for name, one in content.session_start_info.hparams.items():
                    hparams[name] = one.number_value
            else:
                number = float(tensor_util.make_ndarray(value.tensor))
                scalars.setdefault(value.tag, []).append((event.step, number))
    return scalars, hparams


@pytest.fixture
def tensorboard():
    return pytest.importorskip(
        "tensorboard", reason="tensorboard (extra: trackers) is not installed"
    )


def test_tensorboard_has_a_run_a_trial(curves, tmp_path, tensorboard):
    paths = export.to_tensorboard(curves, tmp_path)
    assert {path.parent.name for path in paths} == {
        *("learning_rate=0.1,seed=0", "learning_rate=0.1,seed=3"),
        *("learning_rate=0.001,seed=0", "learning_rate=0.001,seed=3"),
    }
    scalars, hparams = read_events(tmp_path / "learning_rate=0.1,seed=3" / export.EVENT_FILE)
    assert hparams == pytest.approx({"learning_rate": 0.1, "b1": 0.9, "seed": 3})
    trial = curves.sel(learning_rate=0.1, seed=3)
    assert scalars["error/valid"] == list(enumerate(trial.valid_error.values.tolist()))
    at_best = int(trial.valid_accuracy.argmax("epoch"))
    assert scalars["best/valid_accuracy"] == [(at_best, float(trial.valid_accuracy[at_best]))]
    lost, _ = read_events(tmp_path / "learning_rate=0.001,seed=3" / export.EVENT_FILE)
    assert [step for step, _ in lost["error/valid"]] == [0, 1]


def test_exporting_again_replaces(curves, tmp_path, tensorboard):
    for _ in range(2):
        paths = export.to_tensorboard(curves, tmp_path, each="setting")
    assert sorted(paths) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    scalars, _ = read_events(paths[0])
    mean = curves.valid_accuracy.sel(learning_rate=0.1).mean("seed")
    np.testing.assert_allclose([value for _, value in scalars["accuracy/valid"]], mean, rtol=1e-6)


def read_wandb(path):
    """Yield the records of a .wandb file: LevelDB's log format, blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:  # no room for a header: the block was filled up
            at += 32768 - at % 32768
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(b"".join(parts))
            parts = []


def test_weights_and_biases_offline_has_a_run_a_setting(curves, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb (extra: trackers) is not installed")
    for name in ("WANDB_CONFIG_DIR", "WANDB_CACHE_DIR", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "wandb_own"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    made = export.to_wandb(curves, tmp_path, each="setting")
    files = sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb"))
    assert len(made) == len(files) == 2
    found = {"history": [], "config": {}, "summary": {}}
    for record in read_wandb(next(path for path in files if made[0] in path.name)):
        if record.HasField("history"):
            items = record.history.item
            found["history"].append({"/".join(i.nested_key) or i.key: i.value_json for i in items})
        for item in record.run.config.update:
            found["config"][item.key] = item.value_json
        for item in record.summary.update:
            found["summary"]["/".join(item.nested_key) or item.key] = item.value_json
    assert float(found["config"]["learning_rate"]) == 0.1
    assert found["config"]["rule"] == '"adam"'
    means = curves.sel(learning_rate=0.1).mean("seed")
    logged = [float(row["error/valid"]) for row in found["history"]]
    np.testing.assert_allclose(logged, means.valid_error, rtol=1e-6)
    over = ej.stats.interval(ej.stats.best(curves).valid_accuracy.sel(learning_rate=0.1))
    assert float(found["summary"]["best_valid_accuracy"]) == pytest.approx(float(over["mean"]))
    assert float(found["summary"]["best_valid_accuracy_upper"]) == pytest.approx(float(over.upper))


@pytest.mark.parametrize("package", ["pyarrow", "tensorboard", "wandb"])
def test_a_missing_package_is_named_and_nothing_is_written(curves, tmp_path, monkeypatch, package):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    write = {
        "pyarrow": export.to_parquet,
        "tensorboard": export.to_tensorboard,
        "wandb": export.to_wandb,
    }[package]
    with pytest.raises(InputError, match=f"pip install {package} .*trackers"):
        write(curves, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_what_are_no_curves_is_refused(curves, tmp_path):
    with pytest.raises(InputError, match="as a sweep returns them"):
        export.to_csv(ej.stats.best(curves), tmp_path / "a.csv")
    with pytest.raises(InputError, match='did you mean "setting"'):
        export.to_tensorboard(curves, tmp_path, each="settings")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_into_the_runs_folder(curves, tmp_path, capsys):
    save_curves(curves, tmp_path / "curves.nc")
    command.run(command.Options(tmp_path))
    assert capsys.readouterr().out.strip() == str(tmp_path / "curves.csv")
    with pytest.raises(InputError, match="no such file"):
        command.run(command.Options(tmp_path / "nowhere"))
