"""A folder that grows holds what a run of the whole gives, and is never left half-grown."""

import json
import shutil
from functools import cache

import jax
import numpy as np
import pytest
import xarray as xr

import emnist_jax as ej
from emnist_jax.engine import forecast as forecasts
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.progress import Progress
from emnist_jax.engine.run import finished
from emnist_jax.errors import InputError
from emnist_jax.store.checkpoint import Checkpoints

SWEEP = ej.Sweep(
    ej.MLP(hidden=(4,)), "adam", {"learning_rate": [1e-2, 1e-3]}, 2, 2, dtype="float64"
)
RATES = {"learning_rate": [1e-2, 3e-3, 1e-3]}
ADAMS = {**SWEEP.grid, "b1": [0.9, 0.5]}
GROWN = {
    "seeds": {"seeds": [0, 1, 5]},
    "settings": {"grid": RATES},
    "both": {"grid": RATES, "seeds": 3},
    "an axis that was at its default": {"grid": {**SWEEP.grid, "b1": [0.0, 0.9]}},
    "epochs": {"epochs": 3},
    "all": {"grid": RATES, "seeds": 3, "epochs": 3},
    "named epochs": {"seeds": 3, "keep": (1, 2)},
    "a trial that diverges": {"grid": {"learning_rate": [1e-2, 1e-3, 1e200]}},
}
PARTS = ("seeds", "settings", "epochs", "both")  # of what "all" grows at once


@pytest.fixture(scope="module", autouse=True)
def double():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope="module")
def data():
    return ej.load("glyphs", size=660)


def run(sweep, data, out=None, **options):
    options = {"trials_at_once": 4, "progress_bar": False} | options  # few shapes to compile
    return ej.run(sweep, data, out, **options)


@pytest.fixture(scope="module")
def begun(data, tmp_path_factory):
    """Return a function that copies the folder of the small sweep, and its results."""

    @cache
    def trained(keep):
        folder = tmp_path_factory.mktemp("begun")
        return folder, run(SWEEP.replace(keep=keep), data, folder, keep_state=True)

    def copied(out, keep=None):
        folder, results = trained(keep)
        shutil.copytree(folder, out, dirs_exist_ok=True)
        return results

    return copied


def assert_same(one, other):
    (curves, networks), (others, those) = one, other
    xr.testing.assert_allclose(curves, others, rtol=1e-12, atol=1e-12)
    xr.testing.assert_allclose(networks.kept, those.kept, rtol=1e-12)
    leaves = jax.tree.leaves(networks.variables), jax.tree.leaves(those.variables)
    for a, b in zip(*leaves, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(one, marks=pytest.mark.slow) if name in PARTS else one
        for name, one in GROWN.items()
    ],
    ids=GROWN,
)
def test_what_grows_equals_a_run_at_once(tmp_path, data, begun, capsys, changes):
    small = SWEEP.replace(keep=changes.get("keep", "best"))
    expected = begun(tmp_path, small.keep)
    whole = small.replace(**changes)
    grown = run(whole, data, tmp_path, keep_state=True)
    assert "4 trials kept" in capsys.readouterr().out
    assert_same(grown, run(whole, data))
    first, second = json.loads(grown[0].attrs["runs"])
    new = grown[0].valid_error.isel(epoch=0).size - 4
    assert (first["trials"], second["trials"]) == (4, new + 4 * ("epochs" in changes))
    # The smaller sweep is a selection of the grown one.
    if "epochs" not in changes:
        curves, networks = run(small, data, tmp_path)
        assert_same((curves, networks), expected)
        assert curves.valid_error.dims == expected[0].valid_error.dims


def test_a_run_killed_while_it_grows_loses_nothing(tmp_path, data, begun, monkeypatch):
    small = begun(tmp_path)
    whole = SWEEP.replace(seeds=4, epochs=3)
    expected, save = run(whole, data), Checkpoints.save
    stops = 0

    def save_and_stop(self, state):
        save(self, state)
        raise ConnectionError

    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    while stops < 30:
        try:
            grown = run(whole, data, tmp_path, keep_state=True, checkpoint_minutes=0)
            break
        except ConnectionError:
            stops += 1
            xr.testing.assert_identical(ej.load_curves(tmp_path), small)
            xr.testing.assert_identical(run(SWEEP, data, tmp_path), small)  # and does not disturb
    assert stops == 1 + 4  # an epoch of the states kept, epochs 0 to 3 of the new seeds
    xr.testing.assert_allclose(grown, expected, rtol=1e-12)


def test_epochs_grow_on_and_only_the_last_states_stay(tmp_path, data, capsys):
    for epochs in (1, 2, 3):
        curves = run(SWEEP.replace(epochs=epochs), data, tmp_path, keep_state=True)
    xr.testing.assert_allclose(curves, run(SWEEP.replace(epochs=3), data), rtol=1e-12)
    assert [path.name[:6] for path in (tmp_path / "state").iterdir()] == ["000003"]
    capsys.readouterr()
    fewer = run(SWEEP, data, tmp_path, keep_state=True)
    xr.testing.assert_equal(fewer, curves.sel(epoch=[0, 1, 2]))
    assert "not kept" not in capsys.readouterr().out


def test_curves_name_the_code_that_trained_them(tmp_path, data, monkeypatch):
    own = json.loads(run(SWEEP, data, tmp_path).configuration)
    monkeypatch.setattr("emnist_jax.engine.job.package_code", lambda: "1.0 another")
    part = json.loads(run(SWEEP.replace(seeds=1), data, tmp_path).configuration)
    assert part == own | {"seeds": [0]}
    grown = run(SWEEP.replace(seeds=3), data, tmp_path)
    assert json.loads(grown.configuration)["code"] == "1.0 another"
    assert [one["code"] for one in json.loads(grown.runs)] == [own["code"], "1.0 another"]


def test_what_cannot_grow_is_refused_in_a_line_and_stays(tmp_path, data):
    kept = run(SWEEP, data, tmp_path)
    for changes, message in [
        (
            {"epochs": 4},
            "has states to go on from for 0 of its 4 trials of 2 epochs: use --overwrite to train",
        ),
        ({"seeds": [1, 2]}, "holds 2 trials that are not in this sweep, and lacks others"),
        ({"epochs": 4, "seeds": 1}, "holds 2 trials that are not in this sweep, and fewer epochs"),
        ({"epochs": 1, "seeds": 3}, "holds 2 epochs, and this sweep has 1: give it as many"),
        ({"order": 0, "seeds": 3}, "order 'seed' there, 0 here"),
        ({"rule": "sgd", "seeds": 3}, "rule 'adam' there, 'sgd' here"),
    ]:
        with pytest.raises(InputError, match=message):
            run(SWEEP.replace(**changes), data, tmp_path)
    xr.testing.assert_identical(ej.load_curves(tmp_path), kept)
    with pytest.raises(InputError, match="give out"):
        run(SWEEP, data, keep_state=True)


def test_states_of_some_trials_are_counted_and_refused(tmp_path, data, capsys):
    run(SWEEP, data, tmp_path)
    run(SWEEP, data, tmp_path, keep_state=True)
    assert "the final states of 4 of 4 trials were not kept" in capsys.readouterr().out
    run(SWEEP.replace(seeds=3), data, tmp_path, keep_state=True)
    assert "the final states of 4 of 6 trials were not kept" in capsys.readouterr().out
    with pytest.raises(InputError, match="states to go on from for 2 of its 6 trials"):
        run(SWEEP.replace(seeds=3, epochs=4), data, tmp_path)


@pytest.mark.parametrize("keep", ["best", (1, 2)])
def test_a_sweep_in_another_order_gets_its_own_networks(tmp_path, data, begun, keep):
    begun(tmp_path, keep)
    other = SWEEP.replace(grid={"learning_rate": [1e-3, 1e-2]}, seeds=[1, 0], keep=keep)
    curves, networks = run(other, data, tmp_path)
    assert curves.learning_rate.values.tolist() == [1e-3, 1e-2]
    measured = networks.evaluate(data.valid).accuracy
    xr.testing.assert_allclose(measured.reset_coords(drop=True), networks.kept.valid_accuracy)


def stopped(*_, **__):
    raise ConnectionError


def test_a_run_killed_between_its_networks_and_its_curves_mixes_no_two(
    tmp_path, data, begun, monkeypatch
):
    for name, changes in (("seeds", {"seeds": 3}), ("epochs", {"epochs": 4})):
        folder, whole = tmp_path / name, SWEEP.replace(keep="best", **changes)
        expected = begun(folder, "best")
        with monkeypatch.context() as patch, pytest.raises(ConnectionError):
            patch.setattr("emnist_jax.engine.run.save_curves", stopped)
            run(whole, data, folder, keep_state=True)
        if name == "seeds":
            assert_same(run(SWEEP.replace(keep="best"), data, folder), expected)
        else:
            with pytest.raises(InputError, match="networks that are not of its curves"):
                run(SWEEP.replace(keep="best"), data, folder)
        assert_same(run(whole, data, folder, keep_state=True), run(whole, data))


def test_a_state_of_trials_that_the_curves_lack_is_no_trials_state(
    tmp_path, data, begun, monkeypatch
):
    begun(tmp_path)
    save = Checkpoints.save

    def stop_at_the_end(self, state):
        return stopped() if state.epoch == SWEEP.epochs else save(self, state)

    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(Checkpoints, "save", stop_at_the_end)
        run(SWEEP.replace(seeds=3), data, tmp_path, keep_state=True)
    assert len([*(tmp_path / "state").iterdir()]) == 2
    shutil.rmtree(tmp_path / "checkpoint", ignore_errors=True)
    longer = SWEEP.replace(epochs=3)
    xr.testing.assert_allclose(run(longer, data, tmp_path), run(longer, data), rtol=1e-12)


def test_epochs_do_not_go_on_from_states_of_other_code(tmp_path, data, begun, monkeypatch):
    begun(tmp_path)
    monkeypatch.setattr("emnist_jax.engine.job.package_code", lambda: "1.0 another")
    run(SWEEP.replace(seeds=3), data, tmp_path, keep_state=True)
    with pytest.raises(InputError, match=r"there, '1\.0 another' here"):
        run(SWEEP.replace(seeds=3, epochs=3), data, tmp_path)


@pytest.mark.parametrize("selection", [{"epoch": [0]}, {"epoch": 2}, {"seed": 0}])
def test_a_selection_of_curves_is_no_finished_run(tmp_path, data, begun, selection):
    curves = begun(tmp_path)
    ej.save_curves(curves.isel(selection, drop=True), tmp_path / "curves.nc")
    with pytest.raises(InputError, match="some epochs of its 2 alone, or curves without seeds"):
        run(SWEEP, data, tmp_path)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_checkpoint_that_a_finished_run_left_is_in_nobodys_way(
    tmp_path, data, begun, monkeypatch, damaged
):
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "clear", lambda self: None)
        run(SWEEP, data, tmp_path, checkpoint_minutes=0)
    before, newest = sorted((tmp_path / "checkpoint").iterdir())
    if damaged:
        newest.write_bytes(before.read_bytes()[:-9])
    run(SWEEP.replace(seeds=3), data, tmp_path)
    assert not (tmp_path / "checkpoint").exists()


def test_a_selection_that_grows_back_resumes(tmp_path, data, monkeypatch):
    whole, save = SWEEP.replace(seeds=3), Checkpoints.save
    curves = run(whole, data, tmp_path)
    ej.save_curves(curves.isel(seed=[0, 1]), tmp_path / "curves.nc")
    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(Checkpoints, "save", lambda *args: save(*args) or stopped())
        run(whole, data, tmp_path, checkpoint_minutes=0)
    restored, restore = [], Checkpoints.restore
    monkeypatch.setattr(
        Checkpoints, "restore", lambda self: restored.append(restore(self)) or restored[0]
    )
    xr.testing.assert_allclose(run(whole, data, tmp_path), curves, rtol=1e-12)
    assert restored[0] is not None


def test_an_unfinished_growth_is_named_with_the_way_on(tmp_path, data, begun, monkeypatch):
    begun(tmp_path)
    save = Checkpoints.save
    with monkeypatch.context() as patch, pytest.raises(ConnectionError):
        patch.setattr(Checkpoints, "save", lambda *args: save(*args) or stopped())
        run(SWEEP.replace(seeds=3), data, tmp_path)
    with pytest.raises(InputError, match="it has not ended: finish it by the command that began"):
        run(SWEEP.replace(seeds=4), data, tmp_path)


def test_a_setting_listed_twice_is_trained_once_each(tmp_path, data):
    sweep = SWEEP.replace(grid=[{"learning_rate": eta} for eta in (1e-2, 1e-3, 1e-2)], epochs=1)
    curves = run(sweep, data, tmp_path)
    assert finished(sweep, data, tmp_path) is not None
    more = sweep.replace(grid=[*sweep.grid, {"learning_rate": 1e-2}])
    grown = run(more, data, tmp_path)
    assert [one["trials"] for one in json.loads(grown.attrs["runs"])] == [6, 2]
    xr.testing.assert_equal(grown.isel(sample=[0, 1, 2]).valid_error, curves.valid_error)


def test_a_small_chunk_leaves_the_next_ones_all_devices(tmp_path, data, monkeypatch):
    sizes, run_epoch = [], Runner.run_epoch

    def noted(self, *args):
        sizes.append(self.mesh.size)
        return run_epoch(self, *args)

    monkeypatch.setattr(Runner, "run_epoch", noted)
    small = SWEEP.replace(grid={"learning_rate": [1e-2]}, seeds=1, epochs=1)
    run(small, data, tmp_path, keep_state=True)
    run(SWEEP.replace(seeds=5), data, tmp_path)  # first of all goes on the one that is there
    assert sizes[:2] == [1, 1] and max(sizes) == min(2, jax.device_count())


def test_trials_yet_to_go_on_have_not_diverged(tmp_path, data, begun, monkeypatch):
    lost = []
    monkeypatch.setattr(Progress, "update", lambda self, *args: lost.append(args[-1]))
    run(SWEEP, data, tmp_path, keep_state=True, trials_at_once=2)
    assert lost == [0] * 6
    diverging = SWEEP.replace(grid={"learning_rate": [1e-2, 1e-3, 1e200]}, epochs=3)
    lost.clear()
    run(diverging, data, tmp_path, trials_at_once=2)
    assert lost[:2] == [0, 0] and lost[-1] == 2


def test_growth_at_equal_chunks_is_bit_for_bit(tmp_path, data):
    sweep = SWEEP.replace(dtype="float32")
    run(sweep, data, tmp_path, trials_at_once=2)
    grown = run(sweep.replace(seeds=4), data, tmp_path, trials_at_once=2)
    at_once = run(sweep.replace(seeds=4), data, trials_at_once=2)
    for name in at_once:
        np.testing.assert_array_equal(grown[name], at_once[name])


def test_the_order_is_the_seeds_whatever_else_trains(data):
    """Zero weights leave nothing but the order to tell seeds apart."""
    from flax import linen as nn

    class Zero(nn.Module):
        classes: int | None = None

        @nn.compact
        def __call__(self, x, train=False):
            zeros = nn.initializers.zeros
            return nn.Dense(self.classes, kernel_init=zeros, param_dtype=x.dtype)(
                x.reshape(len(x), -1)
            )

    sweep = ej.Sweep(Zero(), "sgd", RATES, 4, 1, dtype="float64")
    curves = run(sweep, data)
    assert (curves.valid_error.isel(epoch=1).std("seed") > 1e-6).all()
    pairs = {"trials_at_once": 2}
    alone = run(sweep.replace(grid={"learning_rate": [3e-3, 1e-4]}, seeds=[2]), data, **pairs)
    both = {"learning_rate": 3e-3, "seed": 2}
    np.testing.assert_allclose(
        alone.valid_error.sel(both), curves.valid_error.sel(both), rtol=1e-12
    )
    for order in (0, 2):
        fixed = run(sweep.replace(order=order), data, **pairs).valid_error
        assert (fixed.std("seed") < 1e-12).all()
        same = np.allclose(fixed.sel(seed=0), curves.valid_error.sel(seed=order), rtol=1e-12)
        assert same  # the order of a seed is the fixed order of its number


@pytest.mark.slow
def test_variants_evaluate_one_training_in_two_ways(data):
    running = ej.MLP(hidden=(4,), batch_norm=ej.BatchNorm())
    minibatch = running.clone(batch_norm=ej.BatchNorm(statistics="minibatch"))
    sweep = SWEEP.replace(model=running, variants={"minibatch": minibatch})
    curves, alone = run(sweep, data), run(SWEEP.replace(model=minibatch), data)
    for name in ("train_error", "valid_accuracy"):
        np.testing.assert_allclose(curves[f"{name}_minibatch"], alone[name], rtol=1e-12)
        assert not np.allclose(curves[name], alone[name])


@pytest.mark.parametrize("how", ["joined", "sorted", "seed first"])
def test_curves_of_another_layout_are_read_by_their_labels(tmp_path, data, capsys, how):
    whole = SWEEP.replace(grid=ADAMS, epochs=1)
    expected = run(whole, data)
    if how == "joined":
        order = [(1e-2, 0.9), (1e-2, 0.5), (1e-3, 0.5), (1e-3, 0.9)]
        parts = [run(whole.replace(grid={"learning_rate": a, "b1": b}), data) for a, b in order]
        stored = ej.join(*parts)
    else:
        stored = expected.sortby("b1") if how == "sorted" else expected.transpose("seed", ...)
    ej.save_curves(stored, tmp_path / "curves.nc")
    found = run(whole, data, tmp_path, progress_bar=True)
    assert "nothing trained" in capsys.readouterr().out
    found = found.sel(expected.coords).transpose(*expected.valid_error.dims)
    xr.testing.assert_allclose(found, expected, rtol=1e-12)
    ej.save_curves(stored.drop_vars("b1"), tmp_path / "curves.nc")
    with pytest.raises(InputError, match="no label b1"):
        run(whole, data, tmp_path)


def test_settings_of_jax_that_change_numbers_make_another_run(tmp_path, data, begun, capsys):
    curves = begun(tmp_path)
    with (
        jax.threefry_partitionable(False),
        pytest.raises(InputError, match="jax_settings"),
    ):
        run(SWEEP, data, tmp_path)
    older = json.loads(curves.attrs["configuration"])
    assert older.pop("jax_settings") == {}
    ej.save_curves(curves.assign_attrs(configuration=json.dumps(older)), tmp_path / "curves.nc")
    xr.testing.assert_equal(run(SWEEP, data, tmp_path, progress_bar=True), curves)
    assert "nothing trained" in capsys.readouterr().out


def test_a_forecast_is_of_what_the_folder_lacks(tmp_path, data, begun, monkeypatch):
    begun(tmp_path)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    monkeypatch.setattr(forecasts, "_chunk_seconds", lambda job, rows: (1.0, 10.0))

    def plan(out=tmp_path, **changes):
        made = forecasts.forecast(SWEEP.replace(**changes), data, out, trials_at_once=4)
        return made and (made.trials, made.kept, made.chunks, made.seconds)

    assert plan() is None and plan(seeds=1) is None
    assert plan(out=None) == plan(out=tmp_path / "empty") == (4, 0, 1, 21.0)
    assert plan(seeds=4) == (4, 4, 1, 21.0)
    assert plan(epochs=5) == (4, 0, 1, 31.0)  # three epochs more
    with pytest.raises(InputError, match="5: give the path of a file or folder"):
        plan(out=5)
    with pytest.raises(InputError, match="holds 2 trials that are not in this sweep"):
        plan(grid={"learning_rate": [1e-2]}, seeds=3)
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
