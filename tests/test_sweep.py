"""Sweeps: settings and seeds trained at once are the runs they stand for."""

import dataclasses
import itertools
import json
from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import xarray as xr

import emnist_jax as ej
from emnist_jax import rules, train
from emnist_jax.engine import programs as parallel
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.job import make_job
from emnist_jax.engine.layout import Room, layout
from emnist_jax.errors import InputError
from emnist_jax.models import describe

SMALL = ej.MLP(hidden=(16,))
GRID = {"learning_rate": [0.3, 0.03, 0.003]}


@pytest.fixture(scope="module")
def data():
    return ej.load("glyphs", size=1316)


def sweep(data, rule="sgd", grid=GRID, model=SMALL, **options):
    options = {"seeds": 2, "epochs": 2, "progress_bar": False} | options
    return ej.sweep(data, model, rule, grid, **options)


def test_curves_are_labelled_as_the_grid_was_written(data):
    curves = sweep(data, "adam", {"learning_rate": [1e-2, 1e-3], "b1": [0.0, 0.9], "b2": 0.99})
    assert dict(curves.sizes) == {"learning_rate": 2, "b1": 2, "seed": 2, "epoch": 3}
    assert set(curves.data_vars) == {
        "train_error",
        "train_accuracy",
        "valid_error",
        "valid_accuracy",
    }
    assert curves.b2 == 0.99
    alone = sweep(data, "adam", {"learning_rate": 1e-3, "b1": 0.9, "b2": 0.99}, seeds=[1])
    cell = curves.sel(learning_rate=1e-3, b1=0.9, seed=1)
    np.testing.assert_allclose(cell.valid_error, alone.valid_error.squeeze("seed"), rtol=1e-4)
    assert not np.allclose(
        cell.valid_error, curves.sel(learning_rate=1e-3, b1=0, seed=1).valid_error
    )


def test_every_trial_equals_the_run_it_stands_for_in_float64(data):
    grid = {"learning_rate": [1e-2, 1e-3], "b1": [0.0, 0.9], "dropout": [0.0, 0.2]}
    with jax.enable_x64(True):
        curves = sweep(data, "adam", grid, dtype="float64", epochs=2)
        model = SMALL.clone(classes=len(data.classes))
        metrics = {"error": train.cross_entropy, "accuracy": train.accuracy}
        pixels = train.Pixels((28, 28, 1), "float64")
        images, labels = jax.numpy.asarray(data.train.images.reshape(-1, 784)), data.train.labels
        valid = data.valid.images.reshape(-1, 784), data.valid.labels

        @partial(jax.jit, static_argnames="dropout")
        def begin(rate, b1, dropout, seed):
            return train.init(model.clone(dropout=dropout), rules.adam(rate, b1), pixels, seed)

        @partial(jax.jit, static_argnames="dropout")
        def trained(rate, b1, dropout, seed, trial, epoch):
            own, rule = model.clone(dropout=dropout), rules.adam(rate, b1)
            order = jax.random.permutation(train.key_for(seed, train.ORDER, epoch), 1000)
            chosen = jax.numpy.asarray(labels)[order].reshape(20, 50)
            key = train.key_for(seed, train.DROPOUT, epoch)

            def update(trial, number, images, labels):
                own_key = jax.random.fold_in(key, number)
                return train.step(own, rule, trial, pixels.scaled(images), labels, own_key)

            trial = train.epoch(update, trial, images[order].reshape(20, 50, 784), chosen)
            sums = partial(train.batch_sums, own, pixels, trial, metrics=metrics)
            return trial, train.means(train.all_sums(sums, *valid, 64), valid[1])

        for rate, b1, dropout, seed in itertools.product(*grid.values(), [0, 1]):
            trial = begin(rate, b1, dropout, seed)
            for epoch in (1, 2):
                trial, found = trained(rate, b1, dropout, seed, trial, epoch)
                cell = curves.sel(
                    learning_rate=rate, b1=b1, dropout=dropout, seed=seed, epoch=epoch
                )
                assert float(cell.valid_error) == pytest.approx(float(found["error"]), rel=1e-9)
                right = float(found["accuracy"]) * len(data.valid.labels)
                assert float(cell.valid_accuracy) * len(data.valid.labels) == pytest.approx(right)


def test_two_runs_are_identical_to_the_last_bit(data):
    one, two = sweep(data), sweep(data)
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], two[name])


@pytest.mark.parametrize("at_once", [*(pytest.param(n, marks=pytest.mark.slow) for n in (1, 3)), 4])
def test_chunks_and_their_padding_do_not_show(data, at_once):
    with jax.enable_x64(True):
        whole = sweep(data, dtype="float64", trials_at_once=6)
        parts = sweep(data, dtype="float64", trials_at_once=at_once)
    xr.testing.assert_allclose(whole, parts, rtol=1e-10)


def test_a_whole_grid_compiles_once_and_new_numbers_never_again(data, monkeypatch):
    traced = []

    def counted(update, *rest):
        traced.append(update)
        return original(update, *rest)

    original = train.epoch
    monkeypatch.setattr(train, "epoch", counted)
    model = ej.MLP(hidden=(17,))  # a structure no other test has compiled
    sweep(data, "rmsprop", {"learning_rate": [0.1, 0.01], "decay": [0.5, 0.9]}, model)
    sweep(data, "rmsprop", {"learning_rate": [0.2, 0.02], "decay": [0.0, 0.99]}, model)
    assert len(traced) == 1


REFERENCE = json.loads(Path(__file__).with_name("order_0.json").read_text())["curves"]
NETWORKS = {
    "dense, sgd": ej.MLP((20,)),
    "dense, adam": ej.MLP((20,)),
    "C2, adam": ej.ConvNet((2, 3), (10,)),
    "normalised, sgd": ej.MLP((20,), batch_norm=ej.BatchNorm()),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", REFERENCE)
def test_one_order_for_all_seeds_gives_the_first_versions_curves(name):
    # Of its commit d21d112, which trained all seeds with the order 0, in float64.
    grid, rule = {"learning_rate": [0.1, 0.01]}, name.split(", ")[1]
    with jax.enable_x64(True):
        curves = sweep(
            ej.load("glyphs", size=752), rule, grid, NETWORKS[name], dtype="float64", order=0
        )
    for variable, expected in REFERENCE[name].items():
        np.testing.assert_allclose(curves[variable], expected, rtol=1e-12)


def loops(jaxpr):
    """Yield for each loop of a program the shapes of what it is given."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield [variable.aval.shape for variable in equation.invars]
        for inner in jax.tree.leaves(list(equation.params.values())):
            if inner := getattr(inner, "jaxpr", inner if hasattr(inner, "eqns") else None):
                yield from loops(inner)


def test_weights_of_shared_images_lie_alike_outside_and_within_the_loops(data):
    grid = {"learning_rate": [0.1, 0.2, 0.3]}
    job = make_job(ej.Sweep(ej.MLP((7,)), "momentum", grid, 2, 1, 50), data)
    runner = Runner(job, 1)
    chunk = runner.chunk(np.arange(6).reshape(3, 2).T)  # a row a seed, of three settings
    trials = runner.start(chunk, [])
    numbers = chunk.hyper, chunk.seeds, chunk.orders, trials, np.int32(1)
    epoch = runner.programs.epoch.trace(*numbers, *runner.data["train"]).jaxpr
    (steps,) = [given for given in loops(epoch.jaxpr) if (2, 3, 7, 47) in given]
    assert steps.count((2, 784, 3, 7)) == 2  # weights and momentum
    assert (2, 3, 784, 7) not in steps
    evaluation = runner.programs.evaluate.trace(chunk.hyper, trials, runner.data).jaxpr
    batches = [given for given in loops(evaluation.jaxpr) if (6, 7, 47) in given]
    assert len(batches) == 2 and all((784, 6, 7) in given for given in batches)


FACTOR = 1.0


@jax.jit
def factor(logits, labels):
    return FACTOR + 0 * logits[:, 0]


@pytest.mark.slow
def test_code_that_changed_since_the_last_sweep_is_compiled_anew(data, monkeypatch):
    def rule(learning_rate):
        return optax.sgd(FACTOR * learning_rate)

    first = sweep(data, rule, metrics={"factor": factor})
    monkeypatch.setitem(globals(), "FACTOR", 2.0)
    second = sweep(data, rule, metrics={"factor": factor})
    doubled = sweep(data, "sgd", {"learning_rate": [0.6, 0.06, 0.006]})
    assert (first.valid_factor == 1).all() and (second.valid_factor == 2).all()
    np.testing.assert_allclose(second.valid_error, doubled.valid_error, rtol=1e-4)


class Normalised(nn.Module):
    momentum: float = 0.9
    classes: int | None = None

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(16)(x.reshape(len(x), -1))
        x = nn.BatchNorm(use_running_average=not train, momentum=self.momentum)(x)
        return nn.Dense(self.classes)(nn.relu(x))


@pytest.mark.slow
def test_a_name_that_rule_and_model_share_goes_to_both(data):
    both = sweep(data, optax.sgd, {"learning_rate": 0.1, "momentum": [0.5, 0.8]}, Normalised())
    for momentum in (0.5, 0.8):
        rule = partial(optax.sgd, momentum=momentum)
        model = Normalised(momentum=momentum)
        alone = sweep(data, rule, {"learning_rate": 0.1}, model)
        np.testing.assert_allclose(both.sel(momentum=momentum).valid_error, alone.valid_error, 1e-4)


class Half(nn.Module):
    classes: int | None = None
    kind: object = jnp.bfloat16

    @nn.compact
    def __call__(self, x, train=False):
        layer = partial(nn.Dense, dtype=self.kind, param_dtype=self.kind, name="averaged")
        return layer(self.classes)(x.reshape(len(x), -1))


def test_bfloat16_models_stay_so_and_are_measured_in_float32(data, tmp_path):
    def right(logits, labels):
        return (logits.argmax(-1) == labels).astype(jnp.bfloat16)

    options = {"metrics": {"right": right}, "keep": "last", "out": tmp_path}
    curves, networks = sweep(data, "adam", {"learning_rate": 1e-2}, Half(), **options)
    assert {leaf.dtype for leaf in jax.tree.leaves(networks.variables)} == {jnp.dtype("bfloat16")}
    count = curves.train_right.values.astype(np.float64) * len(data.train)
    np.testing.assert_allclose(count, count.round(), atol=1e-3)  # bfloat16 counts to 256
    np.testing.assert_array_equal(curves.train_right, curves.train_accuracy)
    found = ej.load_networks(tmp_path, Half()).evaluate(data.valid)
    np.testing.assert_allclose(found.error, curves.valid_error.isel(epoch=-1), rtol=1e-5)
    assert (curves.valid_accuracy.isel(epoch=-1) > 0.1).all()


def test_epoch_0_is_the_untrained_network_and_equal_for_all_settings(data):
    first = sweep(data).isel(epoch=0)
    assert np.ptp(first.valid_error.values, axis=0).max() < 1e-6
    assert (abs(first.train_error - np.log(47)) < 0.5).all()


def test_metrics_cover_all_images_remainder_included(data):
    odd = dataclasses.replace(data, valid=(data.valid.images[:77], data.valid.labels[:77]))
    accuracy = sweep(odd, seeds=1).valid_accuracy.values * 77
    np.testing.assert_allclose(accuracy, accuracy.round(), atol=1e-4)
    assert sweep(odd, seeds=1).valid_accuracy.values.max() > 0


@pytest.mark.slow
def test_200_images_are_learned_by_heart(data):
    few = dataclasses.replace(data, train=(data.train.images[:200], data.train.labels[:200]))
    curves = ej.sweep(
        few, ej.MLP(), "adam", {"learning_rate": 3e-3}, seeds=2, epochs=60, progress_bar=False
    )
    assert (curves.train_accuracy.isel(epoch=-1) == 1).all()


def test_metrics_of_ones_own_are_curves_too(data):
    def top_3(logits, labels):
        return (jax.lax.top_k(logits, 3)[1] == labels[:, None]).any(-1).astype(logits.dtype)

    curves = sweep(data, metrics={"top_3": top_3})
    assert (curves.valid_top_3 >= curves.valid_accuracy).all()
    assert (curves.valid_top_3 > curves.valid_accuracy).any()


def test_every_row_and_epoch_has_an_order_of_its_own_and_misses_no_image():
    images = jax.numpy.arange(100, dtype=np.uint8)[:, None]
    labels, seeds = np.arange(100, dtype=np.int32), np.array([3, 4])
    first, marks = parallel.minibatches(images, labels, 50, seeds, 1)
    second, _ = parallel.minibatches(images, labels, 50, seeds, 2)
    assert first.shape == (2, 2, 50, 1) and marks.shape == (2, 2, 50)
    orders = [np.ravel(epoch[:, row]) for epoch in (first, second) for row in (0, 1)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert all((one != other).any() for one, other in itertools.combinations(orders, 2))
    np.testing.assert_array_equal(first[..., 0], marks)
    alone, _ = parallel.minibatches(images, labels, 50, seeds[1:], 1)
    np.testing.assert_array_equal(alone[:, 0], first[:, 1])  # whatever the other rows are
    assert parallel.minibatches(images, labels, 30, seeds, 1)[1].shape == (3, 2, 30)


def test_a_list_of_settings_becomes_the_dimension_sample(data):
    settings = [{"learning_rate": 0.1, "decay": 0.5}, {"learning_rate": 0.01, "decay": 0.9}]
    curves = sweep(data, "momentum", settings)
    assert curves.valid_error.dims == ("sample", "seed", "epoch")
    assert curves.decay.values.tolist() == [0.5, 0.9]


def test_kept_networks_are_those_of_the_best_epoch(data):
    curves, networks = sweep(data, epochs=4, keep="best")
    found = networks.evaluate(data.valid)
    np.testing.assert_allclose(found.accuracy, curves.valid_accuracy.max("epoch"), atol=1e-6)
    at_best = curves.valid_error.sel(epoch=networks.epoch)
    np.testing.assert_allclose(found.error, at_best, rtol=1e-4)
    one = networks.sel(learning_rate=0.3, seed=1).evaluate(data.valid)
    assert float(one.accuracy) == float(found.accuracy.sel(learning_rate=0.3, seed=1))


def test_macro_accuracy_is_the_mean_over_classes(data):
    macro = {"macro_accuracy": train.macro_accuracy}
    curves, networks = sweep(data, keep="last", metrics=macro)
    picked = networks.sel(learning_rate=0.3, seed=0)
    predicted = picked.logits(data.valid.images).values.argmax(-1).ravel()
    labels = data.valid.labels
    by_class = [(predicted[labels == c] == c).mean() for c in np.unique(labels)]
    found = float(picked.evaluate(data.valid).macro_accuracy)
    assert found == pytest.approx(np.mean(by_class))
    for part in ("train", "valid"):  # the curves' own, each with its part's numbers of images
        in_curves = curves[f"{part}_macro_accuracy"].isel(epoch=-1)
        expected = networks.evaluate(getattr(data, part)).macro_accuracy
        np.testing.assert_allclose(in_curves, expected, rtol=1e-6)
        assert not np.allclose(in_curves, curves[f"{part}_accuracy"].isel(epoch=-1), rtol=1e-3)


def test_provenance_names_what_made_the_curves(data):
    attrs = sweep(data).attrs
    assert attrs["data"] == "glyphs"
    assert attrs["data_hash"] == data.hash
    assert (attrs["train_images"], attrs["valid_images"]) == (len(data.train), len(data.valid))
    assert attrs["rule"] == "sgd"
    assert attrs["model"] == "MLP(hidden=(16,), classes=47)"
    assert jax.__version__ in attrs["versions"]
    assert attrs["seconds_per_epoch"] > 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"batch_size": 10**6}, "larger than the 1000 training images"),
        ({"seeds": 0}, "seeds=0: give a whole number from 1"),
        ({"seeds": [1, 1]}, "twice"),
        ({"grid": {}}, "the grid is empty"),
        ({"grid": {"learning_rate": []}}, "no values"),
        ({"grid": {"learning_rate": [-1.0]}}, "must be positive"),
        ({"grid": {"learning_rate": 0.1, "b3": 0.9}}, 'no hyperparameter "b3"'),
        ({"grid": {"learning_rate": 0.1, "dropout": 1.0}}, r"outside \[0, 1\)"),
        ({"rule": "rmsprp"}, 'did you mean "rmsprop"'),
        ({"dtype": "float16"}, "float16"),
        ({"keep": "bset"}, 'did you mean "best"'),
        ({"model": "mlp"}, "no model of a sweep"),
        ({"model": ej.MLP(classes=10)}, "it must give"),
        ({"model": ej.MLP(hidden=("a",))}, r"MLP\(hidden=\('a',\), classes=47\) with sgd cannot"),
        ({"model": nn.Dense(47)}, "cannot take a step"),
        ({"rule": lambda learning_rate: None}, "<lambda> returns NoneType"),
        ({"metrics": {"mean": lambda logits, labels: logits.mean()}}, "one number an image"),
        ({"rule": "adamw", "grid": {"learning_rate": 1, "weight_decay": np.inf}}, "finite"),
        ({"rule": "adadelta", "grid": {"learning_rate": 1, "rho": 1.5}}, r"outside \[0, 1\)"),
    ],
)
def test_bad_arguments_get_one_clear_line(data, wrong, message):
    with pytest.raises(InputError, match=message) as caught:
        sweep(data, **wrong)
    assert "\n" not in str(caught.value)


class Odd(nn.Module):
    kind: str = ""
    array: object = None
    classes: int | None = None

    @nn.compact
    def __call__(self, x, train=False):
        dense = nn.initializers.lecun_normal()
        if self.kind == "boxed":
            dense = nn.with_partitioning(dense, (None, "a"))
        if self.kind == "key":
            self.variable("state", "key", jax.random.key, 0)
        mean = self.variable("state", "mean", jnp.zeros, ())
        if train and self.kind == "type":
            mean.value = x.mean().astype(jnp.bfloat16)
        return nn.Dense(self.classes, kernel_init=dense)(x.reshape(len(x), -1))


def stateful(state, change):
    def rule(learning_rate):
        def update(grads, state, params=None):
            return jax.tree.map(lambda g: -learning_rate * g, grads), change(state, grads)

        return optax.GradientTransformation(lambda _: state, update)

    return rule


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rule": stateful(jnp.int32(0), lambda s, g: s + 1.0)}, "is int32.* before .* float32"),
        ({"rule": stateful(None, lambda s, g: g)}, "of another structure after an update"),
        ({"rule": stateful([], lambda s, g: [*s, 1])}, "of another structure after an update"),
        ({"rule": lambda learning_rate: optax.lookahead(optax.sgd(0.1), 5, 0.5)}, "lookahead"),
        ({"rule": lambda learning_rate: optax.sgd(0.1 if learning_rate > 1 else 1)}, "is traced"),
        ({"model": Odd("type")}, r"\['mean'\] is float32\(\) before"),
        ({"model": Odd("boxed")}, "with_partitioning"),
        ({"model": Odd("key"), "keep": "last"}, "a random key, which no file holds"),
        ({"model": Odd(array=np.arange(3))}, "a field of the model, or the rule, is an array"),
    ],
)
def test_states_and_fields_that_cannot_be_trained_get_one_line(data, wrong, message):
    with pytest.raises(InputError, match=message) as caught:
        sweep(data, **wrong)
    assert "\n" not in str(caught.value)


def test_a_switched_off_jit_is_refused_in_a_line(data):
    with jax.disable_jit(), pytest.raises(InputError, match="JAX_DISABLE_JIT is set"):
        sweep(data)


@pytest.mark.parametrize("by_seed", [True, False])
@pytest.mark.parametrize("devices", [1, 2, 8])
@pytest.mark.parametrize("shape", [(1, 1), (7, 1), (1, 7), (5, 5), (32, 5)])
def test_chunks_hold_every_trial_once_and_rows_share_a_seed(shape, devices, by_seed):
    todo = np.random.default_rng(0).random(shape) < 0.8
    todo[0, 0] = True
    for suits in (1, 4, 40):
        room = Room(suits, 2 * suits, 0.3)
        chunks = layout(todo, devices, room, 100_000, by_seed=by_seed)
        trials = np.concatenate([np.unique(chunk) for chunk in chunks])
        np.testing.assert_array_equal(np.sort(trials), np.flatnonzero(todo))
        for chunk in chunks:
            assert chunk.shape[1] * -(-len(chunk) // devices) <= 2 * suits
            assert not by_seed or (np.ptp(chunk % shape[1], axis=1) == 0).all()


@pytest.mark.parametrize(
    ("shape", "devices", "suits", "expected"),
    [
        ((32, 5), 2, 4, {(2, 4)}),  # no padding
        ((5, 5), 1, 1000, {(5, 5)}),  # all at once where there is room
        ((1, 200), 1, 1000, {(200, 1)}),
    ],
)
def test_chunks_waste_little(shape, devices, suits, expected):
    room = Room(suits, suits, 30 if suits > 100 else 0.3)
    chunks = layout(np.ones(shape, bool), devices, room, 200_000, by_seed=True)
    assert {chunk.shape for chunk in chunks} == expected


def test_a_description_is_what_one_would_write():
    assert describe(ej.ConvNet(channels=(10,))) == "ConvNet(channels=(10,), hidden=(150,))"
