"""Networks that are no linen modules give the curves of their linen twins, and are kept as they."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import emnist_jax as ej
from emnist_jax.adapters import adapted
from emnist_jax.errors import InputError
from emnist_jax.layers import dropout
from emnist_jax.models import describe
from emnist_jax.store.fingerprint import own_code


def waves(_, shape, dtype=jnp.float32):
    return 0.1 * jnp.sin(jnp.arange(np.prod(shape), dtype=dtype)).reshape(shape)


class Linen(nn.Module):
    classes: int | None = None
    slope: float = 0.0

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.Dense(8, kernel_init=waves)(x.reshape(len(x), -1))
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)
        return nn.Dense(self.classes, kernel_init=waves)(nn.leaky_relu(x, self.slope))


class Nnx(nnx.Module):
    def __init__(self, rngs, classes, width=8, slope=0.0):
        self.first = nnx.Linear(784, width, kernel_init=waves, rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs)
        self.last = nnx.Linear(width, classes, kernel_init=waves, rngs=rngs)
        self.slope = slope

    def __call__(self, x):
        x = self.norm(self.first(x.reshape(len(x), -1)))
        return self.last(nnx.leaky_relu(x, self.slope))


def init(key, x, classes):
    first, last = waves(key, (784, 8)), waves(key, (8, classes))
    params = {"layers": [(first, jnp.zeros(8)), (last, jnp.zeros(classes))], "scale": jnp.ones(8)}
    return {"params": params, "moments": (jnp.zeros(8), jnp.ones(8))}


def apply(variables, x, train, slope=0.0):
    params, running = variables["params"], variables["moments"]
    (first, shift), (last, bias) = params["layers"]
    x = x.reshape(len(x), -1) @ first
    mean, var = (x.mean(0), x.var(0)) if train else running
    moments = tuple(0.9 * old + 0.1 * new for old, new in zip(running, (mean, var), strict=True))
    x = (x - mean[None]) / jnp.sqrt(var + 1e-5)[None] * params["scale"][None] + shift[None]
    logits = jnp.where(x > 0, x, slope * x) @ last + bias[None]
    return (logits, {"moments": moments}) if train else logits


@pytest.fixture(scope="module")
def data():
    return ej.load("glyphs", size=940)


def trained(data, model, grid, **options):
    options = {"batch_size": 94, "keep": "last", "progress_bar": False, "seeds": 2} | options
    return ej.sweep(data, model, "sgd", {"learning_rate": 0.1} | grid, epochs=2, **options)


@pytest.fixture(scope="module")
def twin(data):
    with jax.enable_x64(True):
        return trained(data, Linen(), {"slope": [0.0, 0.5]}, dtype="float64")[0]


@pytest.mark.parametrize("model", [Nnx, (init, apply)], ids=["NNX", "pair"])
def test_equal_weights_give_the_curves_of_the_linen_twin(data, twin, model, tmp_path):
    with jax.enable_x64(True):
        grid = {"slope": [0.0, 0.5]}
        curves, networks = trained(data, model, grid, dtype="float64", out=tmp_path)
        assert np.ptp(twin.valid_error.values) > 0.03
        for name in twin:
            np.testing.assert_allclose(curves[name], twin[name], rtol=1e-9, err_msg=name)
        few = data.test.images[:5]
        loaded = ej.load_networks(tmp_path, model)
        assert loaded.model == networks.model
        np.testing.assert_array_equal(loaded.logits(few), networks.logits(few))


class Random(nnx.Module):
    """Two layers of dropout, and a random array that is no variable."""

    def __init__(self, rngs, classes=4):
        self.one, self.two = nnx.Dropout(0.5, rngs=rngs), nnx.Dropout(0.5, rngs=rngs)
        self.kernel = nnx.Param(jax.random.normal(rngs.params(), (classes,)))
        self.start = jax.random.normal(rngs.params(), (classes,))

    def __call__(self, x, train, rngs):
        masks = [drop(jnp.ones(64)) for drop in (self.one, self.two)]
        masks.append(dropout(rngs.dropout(), jnp.ones(64), 0.5) if train else jnp.ones(64))
        return self.kernel + self.start, jnp.stack(masks)


def test_dropout_draws_anew_at_each_layer_and_key_and_nothing_else_does():
    model, key, x = adapted(Random), jax.random.key(3), jnp.zeros((2, 4))
    variables = model.init(key, x)

    def masks(seed):
        values, drawn = model.apply(
            variables, x, train=True, rngs={"dropout": jax.random.key(seed)}
        )
        np.testing.assert_array_equal(values, at_first)
        return [tuple(row.tolist()) for row in drawn]

    module = Random(nnx.Rngs(key))
    at_first, kept = model.apply(variables, x)
    np.testing.assert_array_equal(at_first, module.kernel[...] + module.start)
    assert (kept == 1).all()
    assert masks(0) == masks(0)
    assert len({*masks(0), *masks(1)}) == 6
    assert all(20 < row.count(2.0) < 44 and set(row) == {0.0, 2.0} for row in masks(0))


def test_a_partial_sets_fields_as_an_instance_of_linen_does(data):
    model = adapted(partial(Nnx, width=3))
    assert describe(model.clone(classes=47)) == "Nnx(classes=47, width=3)"
    assert model == adapted(partial(Nnx, width=3)) != adapted(Nnx)
    assert hash(model) == hash(adapted(partial(Nnx, width=3)))


def sequential(rngs, classes):
    flat = partial(jnp.reshape, shape=(-1, 784))
    return nnx.Sequential(flat, nnx.Linear(784, classes, rngs=rngs), nnx.Dropout(0.1, rngs=rngs))


def test_a_function_of_rngs_is_kept_and_loads_again(data, tmp_path):
    curves, networks = trained(data, sequential, {}, out=tmp_path)
    assert curves.attrs["model"] == "sequential(classes=47)"
    assert len(np.unique(curves.valid_error.sel(epoch=0))) == 2  # a seed, an initial network
    loaded = ej.load_networks(tmp_path, sequential)
    few = data.test.images[:5]
    np.testing.assert_array_equal(loaded.logits(few), networks.logits(few))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (ej.MLP, r"give ej.MLP\(\) or another linen"),
        (partial(ej.MLP, hidden=(3,)), r"give ej.MLP\(\)"),
        (Nnx(nnx.Rngs(0), 3), "give its class"),
        (lambda x: x, "takes rngs, or functions"),
        (lambda rngs, classes: nn.Dense(classes), "no NNX module"),
        (lambda rngs, width: None, "argument width has no default"),
        (lambda rngs, widths=[3]: None, "use a tuple"),
        (lambda rngs, clone=3: None, "clone cannot be named so"),
        (partial(Nnx, height=3), "unexpected keyword argument 'height'"),
        (partial(Nnx, rngs=nnx.Rngs(0)), "unexpected keyword argument 'rngs'"),
        ((init, apply, apply), "functions"),
        ((init, lambda params, x: x[:, :3, 0, 0]), "outputs of shape"),
    ],
)
def test_what_is_no_model_gets_one_clear_line(data, model, message):
    with pytest.raises(InputError, match=message):
        ej.sweep(data, model, "sgd", {"learning_rate": 0.1}, progress_bar=False)


def scaled(scale):
    class Scaled(nnx.Module):
        def __init__(self, rngs, classes=4):
            self.last = nnx.Linear(784, classes, rngs=rngs)

        def __call__(self, x):
            return self.last(scale * x.reshape(len(x), -1))

    return Scaled


@pytest.mark.parametrize("make", [scaled, lambda scale: (init, lambda params, x: scale * x)])
def test_the_code_of_a_model_is_part_of_what_makes_a_run_the_same(make):
    one, same, other = (own_code(adapted(make(scale))) for scale in (1.0, 1.0, 2.0))
    assert one == same != other
