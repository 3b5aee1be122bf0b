"""The networks against float64 numpy, their sizes, their initial weights, trials together."""

from functools import partial
from math import prod, sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from jax.flatten_util import ravel_pytree

from emnist_jax.errors import InputError
from emnist_jax.layers import BatchNorm
from emnist_jax.models import MLP, ConvNet

C1 = ConvNet(channels=(10,), hidden=(576, 160), classes=47)
C2 = ConvNet(channels=(5, 10), hidden=(150,), classes=47)
DENSE = MLP(hidden=(100, 100), classes=47)


def init(module, seed, x):
    """`module.init`, compiled once: its layers one by one would be a dozen programs."""
    return jax.jit(module.init)(jax.random.key(seed), x)


def apply(module, variables, x):
    return jax.jit(module.apply)(variables, x)


def images(*shape, seed=0):
    return np.random.default_rng(seed).random(shape)


def scattered(params, seed=0):
    """Parameters of the same shapes with clearly non-zero values, biases too."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda v: rng.normal(0, 0.3, v.shape), params)


def count(module, shape):
    variables = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros(shape))
    return sum(prod(v.shape) for v in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
    ("module", "shape", "expected"),
    [
        (DENSE, (2, 28, 28, 1), 93_347),
        (C1, (2, 28, 28, 1), 1_229_683),
        (C2, (2, 28, 28, 1), 82_137),
        # 380 + 1,260 + (640 + 1) * 150 + 151 * 10 by hand
        (C2.clone(classes=10), (2, 32, 32, 3), 99_300),
        # two normalised layers of 100 with scale and bias
        (DENSE.clone(batch_norm=BatchNorm()), (2, 28, 28, 1), 93_347 + 400),
        (DENSE.clone(batch_norm=BatchNorm("frozen")), (2, 28, 28, 1), 93_347),
        # per channel in the convolutions: 2 * (5 + 10) + 2 * 150
        (C2.clone(batch_norm=BatchNorm()), (2, 28, 28, 1), 82_137 + 330),
    ],
)
def test_number_of_parameters(module, shape, expected):
    assert count(module, shape) == expected


def numpy_dense(params, x, hidden):
    for i in range(hidden):
        layer = params[f"dense_{i}"]
        x = np.maximum(x @ layer["kernel"] + layer["bias"], 0)
    return x @ params["logits"]["kernel"] + params["logits"]["bias"]


def numpy_convnet(params, x, convolutions, hidden):
    """Padding, scipy convolution with the flipped kernel, bias, ReLU, pooling; in that order."""
    features = []
    for image in x:
        maps = image.transpose(2, 0, 1)
        for i in range(convolutions):
            kernel, bias = params[f"conv_{i}_kernel"], params[f"conv_{i}_bias"]
            r = kernel.shape[0]
            padding = (r // 2, (r - 1) // 2)
            padded = np.pad(maps, ((0, 0), padding, padding))
            maps = np.stack(
                [
                    bias[o]
                    + sum(
                        scipy.signal.convolve2d(plane, kernel[::-1, ::-1, c, o], mode="valid")
                        for c, plane in enumerate(padded)
                    )
                    for o in range(len(bias))
                ]
            )
            maps = np.maximum(maps, 0)
            h, w = maps.shape[1] // 2, maps.shape[2] // 2
            maps = maps[:, : 2 * h, : 2 * w].reshape(-1, h, 2, w, 2).max((2, 4))
        features.append(maps.ravel())
    return numpy_dense(params, np.stack(features), hidden)


def test_mlp_equals_numpy():
    with jax.enable_x64(True):
        x = images(4, 6, 5, 1)
        module = MLP((7, 8), classes=3)
        params = scattered(init(module, 0, x)["params"])
        actual = apply(module, {"params": params}, x)
        assert actual.dtype == jnp.float64
        np.testing.assert_allclose(actual, numpy_dense(params, x.reshape(4, -1), 2), rtol=1e-11)


def test_fields_are_checked_and_lists_are_widths_too():
    assert MLP([5, 4]) == MLP((5, 4)) and hash(ConvNet([2], [3])) == hash(ConvNet((2,), (3,)))
    with pytest.raises(InputError, match=r"hidden=100: give a width a layer"):
        MLP(100)
    with pytest.raises(InputError, match=r"channels=5: give a width a layer"):
        ConvNet(channels=5)
    with pytest.raises(InputError, match=r"batch_norm=True: give ej.BatchNorm\(\)"):
        MLP(batch_norm=True)


@pytest.mark.parametrize("shape", [(2, 12, 12, 1), (2, 13, 11, 3)])
@pytest.mark.parametrize("size", [5, 4, 3])
def test_convnet_equals_numpy(shape, size):
    with jax.enable_x64(True):
        x = images(*shape)
        module = ConvNet((3, 4), (6,), classes=5, kernel=size)
        params = scattered(init(module, 0, x)["params"])
        expected = numpy_convnet(params, x, 2, 1)
        np.testing.assert_allclose(apply(module, {"params": params}, x), expected, rtol=1e-10)


def test_convnet_gradient_equals_finite_differences():
    with jax.enable_x64(True):
        x, g = images(2, 8, 8, 2), images(2, 3, seed=1)
        module = ConvNet((2, 3), (4,), classes=3)
        params = scattered(init(module, 0, x)["params"])
        flat, unravel = ravel_pytree(params)
        gradient = jax.jit(jax.grad(lambda v: (module.apply({"params": unravel(v)}, x) * g).sum()))(
            flat
        )
        rng = np.random.default_rng(0)

        def loss(flat):
            return (numpy_convnet(jax.tree.map(np.asarray, unravel(flat)), x, 2, 1) * g).sum()

        for _ in range(8):
            direction = rng.standard_normal(flat.shape)
            ends = [loss(flat + h * direction) for h in (1e-6, -1e-6)]
            slope = (ends[0] - ends[1]) / 2e-6
            np.testing.assert_allclose(gradient @ direction, slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("module", [DENSE, C1, C2])
def test_initial_weights(module):
    params = init(module, 0, jnp.zeros((1, 28, 28, 1)))["params"]
    for name, layer in params.items():
        if name.endswith("_kernel"):
            values = np.asarray(layer)
            assert np.abs(values).max() <= 0.01
            assert values.min() < -0.008
            assert values.max() > 0.008
        elif name.endswith("_bias"):
            assert (layer == 0).all()
        else:
            assert (layer["bias"] == 0).all()
            kernel = np.asarray(layer["kernel"])
            bound = sqrt(6 / sum(kernel.shape))
            assert 0.995 * bound < np.abs(kernel).max() <= bound
            np.testing.assert_allclose(kernel.std(), bound / sqrt(3), rtol=0.02)
            assert abs(kernel.mean()) < 5 * bound / sqrt(3 * kernel.size)


@pytest.mark.parametrize(
    "module",
    [
        MLP((9, 8), classes=4),
        ConvNet((2, 3), (6,), classes=4),
        ConvNet((2,), (6,), classes=4, batch_norm=BatchNorm(initial="normal")),
    ],
)
def test_trials_together_equal_one_by_one(module):
    with jax.enable_x64(True):
        x = images(5, 12, 12, 1)
        keys = jax.random.split(jax.random.key(0), 3)
        variables = jax.jit(jax.vmap(lambda key: module.init(key, x)))(keys)

        @jax.jit
        def value_and_gradients(variables):
            def loss(params):
                state = {"params": params}
                y, _ = module.apply(variables | state, x, train=True, mutable=["batch_stats"])
                return (y**2).sum()

            return jax.value_and_grad(loss)(variables["params"])

        # Gradients are of order 1; a bias before the normalisation has 0, up to rounding.
        together = jax.vmap(value_and_gradients)(variables)
        for i in range(3):
            alone = value_and_gradients(jax.tree.map(lambda v, i=i: v[i], variables))
            jax.tree.map(
                lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-9, atol=1e-10),
                together,
                alone,
            )
        assert len({float(v) for v in together[0]}) == 3


@pytest.mark.parametrize("module", [DENSE, C2])
def test_number_of_classes_comes_later(module):
    x = jnp.zeros((2, 28, 28, 1))
    unknown = module.clone(classes=None)
    with pytest.raises(InputError, match="classes") as caught:
        unknown.init(jax.random.key(0), x)
    assert "\n" not in str(caught.value)
    known = unknown.clone(classes=10)
    assert jax.eval_shape(known.init_with_output, jax.random.key(0), x)[0].shape == (2, 10)


def test_too_small_images_are_refused():
    with pytest.raises(InputError, match="3x28 images are too small"):
        C2.init(jax.random.key(0), jnp.zeros((2, 3, 28, 1)))


def test_models_are_values():
    """Equal models are equal and hash alike, so a compiled program is found again."""
    a = MLP((3,), classes=2, batch_norm=BatchNorm("frozen"))
    b = MLP((3,), classes=2, batch_norm=BatchNorm("frozen"))
    assert a == b
    assert hash(a) == hash(b)
    assert a != b.clone(batch_norm=BatchNorm("trained"))


@pytest.mark.parametrize("base", [MLP((50, 50), classes=4), ConvNet((2,), (50,), classes=4)])
def test_dropout_rate_is_an_axis(base):
    x = images(3, 8, 8, 1).astype(np.float32)
    variables = init(base, 0, x)

    @jax.jit
    @jax.vmap
    def logits(rate, key):
        module = base.clone(dropout=rate)
        return module.apply(variables, x, train=True, rngs={"dropout": key})

    plain = jax.jit(partial(base.apply, train=True))(variables, x)
    y = logits(jnp.array([0.0, 0.5, 0.5]), jax.random.split(jax.random.key(1), 3))
    np.testing.assert_allclose(y[0], plain, rtol=1e-5, atol=1e-6)
    assert np.abs(y[1] - plain).max() > 1e-3
    assert np.abs(y[1] - y[2]).max() > 1e-3
    evaluated = apply(base.clone(dropout=0.5), variables, x)
    np.testing.assert_array_equal(evaluated, apply(base, variables, x))


def test_dropout_is_unbiased_on_the_last_hidden_layer():
    base = MLP((20,), classes=3)
    x = images(2, 4, 4, 1).astype(np.float32)
    variables = init(base, 0, x)
    dropped = base.clone(dropout=0.3)
    drop = jax.vmap(lambda key: dropped.apply(variables, x, train=True, rngs={"dropout": key}))
    y = jax.jit(drop)(jax.random.split(jax.random.key(1), 20_000))
    error = np.asarray(y).std(0) / sqrt(len(y))
    np.testing.assert_array_less(np.abs(y.mean(0) - apply(base, variables, x)), 5 * error)


@pytest.mark.parametrize("base", [MLP((9, 8), classes=4), ConvNet((2, 3), (6,), classes=4)])
def test_frozen_and_trained_start_alike(base):
    x = images(4, 8, 8, 1).astype(np.float32)
    trained = base.clone(batch_norm=BatchNorm("trained", "normal"))
    frozen = base.clone(batch_norm=BatchNorm("frozen", "normal"))
    a, b = (init(module, 3, x) for module in (trained, frozen))
    logits = [
        jax.jit(partial(module.apply, train=True, mutable=["batch_stats"]))(variables, x)[0]
        for module, variables in ((trained, a), (frozen, b))
    ]
    np.testing.assert_array_equal(*logits)
    plain = init(base, 3, x)["params"]
    for name in plain:  # the other weights depend on the seed alone, not on the normalisation
        jax.tree.map(np.testing.assert_array_equal, plain[name], b["params"][name])
