"""Layers against float64 numpy and scipy, written from the definitions."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.signal
import scipy.stats

from emnist_jax import layers
from emnist_jax.errors import InputError
from emnist_jax.layers import BatchNorm, dropout, matmul, max_pool, symmetric_uniform

conv2d = jax.jit(layers.conv2d, static_argnames="window")  # its steps one by one are ten programs


@pytest.fixture(autouse=True)
def float64():
    with jax.enable_x64(True):
        yield


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


# (channels, height, width, batch), (rows, columns, in, out)
CONV_SHAPES = [
    ((1, 12, 12, 3), (5, 5, 1, 2)),
    ((3, 11, 14, 2), (5, 5, 3, 4)),
    ((2, 9, 8, 2), (3, 3, 2, 3)),
    ((2, 9, 10, 2), (4, 2, 2, 3)),
    ((2, 6, 7, 2), (1, 1, 2, 2)),
]


def scipy_conv(x, kernel):
    """scipy's true convolution with the flipped kernel, summed over the input channels."""
    _, _, channels, outputs = kernel.shape
    return np.stack(
        [
            np.stack(
                [
                    sum(
                        scipy.signal.convolve2d(
                            x[c, :, :, n], kernel[::-1, ::-1, c, o], mode="valid"
                        )
                        for c in range(channels)
                    )
                    for o in range(outputs)
                ]
            )
            for n in range(x.shape[-1])
        ],
        axis=-1,
    )


def scipy_conv_gradients(x, kernel, g):
    """Gradients of sum(g * conv(x, kernel)) from scipy: correlation and full convolution."""
    dx, dkernel = np.zeros_like(x), np.zeros_like(kernel)
    for c, o, n in itertools.product(range(len(x)), range(len(g)), range(x.shape[-1])):
        dx[c, :, :, n] += scipy.signal.convolve2d(g[o, :, :, n], kernel[:, :, c, o], mode="full")
        dkernel[:, :, c, o] += scipy.signal.correlate2d(x[c, :, :, n], g[o, :, :, n], mode="valid")
    return dx, dkernel


def split_windows(y, window):
    """(channels, height, width, batch) to (window**2, ...), whole windows only."""
    h, w = y.shape[1] // window * window, y.shape[2] // window * window
    return np.stack([y[:, i:h:window, j:w:window] for i in range(window) for j in range(window)])


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize(("x_shape", "kernel_shape"), CONV_SHAPES)
def test_conv2d_equals_scipy_with_flipped_kernel(x_shape, kernel_shape, window):
    x, kernel = draw(*x_shape), draw(*kernel_shape, seed=1)
    expected = split_windows(scipy_conv(x, kernel), window)
    np.testing.assert_allclose(conv2d(x, kernel, window=window), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("window", [1, 2])
@pytest.mark.parametrize(("x_shape", "kernel_shape"), CONV_SHAPES)
def test_conv2d_gradients_equal_scipy(x_shape, kernel_shape, window):
    x, kernel = draw(*x_shape), draw(*kernel_shape, seed=1)
    y, pullback = jax.vjp(lambda x, k: conv2d(x, k, window=window), x, kernel)
    g = draw(*y.shape, seed=2)
    full = np.zeros_like(scipy_conv(x, kernel))  # outputs in no whole window get no gradient
    h, w = full.shape[1] // window * window, full.shape[2] // window * window
    for position, (i, j) in enumerate(itertools.product(range(window), repeat=2)):
        full[:, i:h:window, j:w:window] = g[position]
    for actual, expected in zip(pullback(g), scipy_conv_gradients(x, kernel, full), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-11)


def test_conv2d_equals_lax():
    x, kernel = draw(3, 12, 10, 4), draw(5, 5, 3, 2, seed=1)

    def lax_conv(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (1, 1), "VALID", dimension_numbers=("CHWN", "HWIO", "CHWN")
        )

    y, pullback = jax.vjp(lax_conv, x, kernel)
    ours, our_pullback = jax.vjp(lambda x, k: conv2d(x, k)[0], x, kernel)
    np.testing.assert_allclose(ours, y, rtol=1e-12, atol=1e-12)
    for actual, expected in zip(our_pullback(y), pullback(y), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-11)


def test_conv2d_over_trials_equals_one_by_one():
    x, kernels = draw(2, 8, 8, 3), draw(4, 3, 3, 2, 5, seed=1)
    together = jax.vmap(lambda k: conv2d(x, k, window=2))(kernels)
    for kernel, y in zip(kernels, together, strict=True):
        np.testing.assert_allclose(y, conv2d(x, kernel, window=2), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shared", [False, True])
def test_matmul_and_its_gradients_equal_numpy(shared):
    x = draw(5, 7) if shared else draw(3, 5, 7)
    weights, g = draw(3, 7, 4, seed=1), draw(3, 5, 4, seed=2)
    over_trials = jax.vmap(matmul, in_axes=(None if shared else 0, 0))
    y, pullback = jax.vjp(over_trials, jnp.asarray(x), jnp.asarray(weights))
    dx, dweights = pullback(jnp.asarray(g))
    each = np.broadcast_to(x, (3, 5, 7))
    np.testing.assert_allclose(y, np.einsum("tbi,tio->tbo", each, weights), rtol=1e-12)
    np.testing.assert_allclose(dweights, np.einsum("tbi,tbo->tio", each, g), rtol=1e-12)
    expected = np.einsum("tbo,tio->tbi", g, weights)
    np.testing.assert_allclose(dx, expected.sum(0) if shared else expected, rtol=1e-12, atol=1e-14)


def test_max_pool_equals_numpy():
    x = draw(3, 8, 6, 5)
    windows = x.reshape(3, 4, 2, 3, 2, 5)
    np.testing.assert_array_equal(max_pool(jnp.asarray(split_windows(x, 2))), windows.max((2, 4)))


def test_max_pool_gradient_goes_to_the_first_maximum():
    # Few distinct values: ties in most windows, as after ReLU.
    x = np.random.default_rng(0).integers(0, 3, (4, 50)).astype(float)
    g = draw(50)
    _, pullback = jax.vjp(max_pool, jnp.asarray(x))
    expected = np.zeros_like(x)
    expected[x.argmax(0), np.arange(50)] = g  # numpy's argmax is the first one
    assert (np.sort(x, 0)[-1] == np.sort(x, 0)[-2]).sum() > 20, "the test needs ties"
    np.testing.assert_array_equal(pullback(jnp.asarray(g))[0], expected)


def test_max_pool_keeps_nan_wherever_it_is():
    x = jnp.where(jnp.eye(4, dtype=bool), jnp.nan, 1.0)
    assert np.isnan(max_pool(x)).all()


def test_symmetric_uniform_covers_both_sides_of_zero():
    x = np.asarray(symmetric_uniform(0.01)(jax.random.key(0), (100_000,), jnp.float32))
    assert -0.01 <= x.min() < -0.0099
    assert 0.0099 < x.max() <= 0.01
    np.testing.assert_allclose(x.std(), 0.02 / np.sqrt(12), rtol=0.01)
    assert abs(x.mean()) < 5 * 0.02 / np.sqrt(12 * x.size)


def numpy_batch_norm(x, scale, bias, epsilon, axis):
    """Forward, and backward as a function of the output's gradient: Ioffe & Szegedy 2015."""
    x = np.moveaxis(x, axis, -1)
    flat = x.reshape(-1, x.shape[-1])
    mean = flat.mean(0)
    var = ((flat - mean) ** 2).mean(0)
    normal = (flat - mean) / np.sqrt(var + epsilon)

    def backward(g):
        g = np.moveaxis(g, axis, -1).reshape(flat.shape)
        dnormal = g * scale
        dvar = (dnormal * (flat - mean) * -0.5 * (var + epsilon) ** -1.5).sum(0)
        dmean = (-dnormal / np.sqrt(var + epsilon)).sum(0) + dvar * (-2 * (flat - mean)).mean(0)
        dx = dnormal / np.sqrt(var + epsilon) + (dvar * 2 * (flat - mean) + dmean) / len(flat)
        return np.moveaxis(dx.reshape(x.shape), -1, axis), (g * normal).sum(0), g.sum(0)

    y = scale * normal + bias
    return np.moveaxis(y.reshape(x.shape), -1, axis), backward


def split_variables(variables):
    """The scale and bias of either collection."""
    return variables.get("frozen", variables.get("params", {}))


@pytest.mark.parametrize("axis", [-1, 1])
@pytest.mark.parametrize("statistics", ["minibatch", "running"])
@pytest.mark.parametrize("initial", ["standard", "normal"])
@pytest.mark.parametrize("parameters", ["trained", "frozen"])
def test_batch_norm_equals_numpy(parameters, initial, statistics, axis):
    x, g = 3 * draw(6, 4, 5) + 1, draw(6, 4, 5, seed=1)
    norm = BatchNorm(parameters, initial, statistics, axis=axis)
    variables = jax.jit(norm.init)(jax.random.key(0), x)
    held = split_variables(variables)
    scale, bias = np.asarray(held["scale"]), np.asarray(held["bias"])
    assert scale.shape == bias.shape == (x.shape[axis],)
    expected, backward = numpy_batch_norm(x, scale, bias, norm.epsilon, axis)
    dx, dscale, dbias = backward(g)

    state = {k: v for k, v in variables.items() if k != "params"}

    @jax.jit
    def forward(params, x):
        y, _ = norm.apply({"params": params, **state}, x, train=True, mutable=["batch_stats"])
        return y

    y, pullback = jax.vjp(forward, variables.get("params", {}), x)
    np.testing.assert_allclose(y, expected, rtol=1e-10, atol=1e-10)
    dparams, our_dx = pullback(g)
    np.testing.assert_allclose(our_dx, dx, rtol=1e-9, atol=1e-10)
    if parameters == "trained":
        np.testing.assert_allclose(dparams["scale"], dscale, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(dparams["bias"], dbias, rtol=1e-9, atol=1e-10)
    else:
        assert dparams == {}

    evaluated = jax.jit(norm.apply)(variables, x)
    if statistics == "minibatch":
        np.testing.assert_allclose(evaluated, expected, rtol=1e-10, atol=1e-10)
    else:  # nothing seen yet: mean 0, variance 1
        shape = [-1 if i == axis % 3 else 1 for i in range(3)]
        plain = scale.reshape(shape) * x / np.sqrt(1 + norm.epsilon) + bias.reshape(shape)
        np.testing.assert_allclose(evaluated, plain, rtol=1e-12, atol=1e-12)


def test_batch_norm_initial_values():
    x = jnp.ones((2, 20_000))
    standard = BatchNorm().init(jax.random.key(0), x)["params"]
    assert (standard["scale"] == 1).all()
    assert (standard["bias"] == 0).all()
    frozen = BatchNorm("frozen", "normal").init(jax.random.key(0), x)["frozen"]
    trained = BatchNorm("trained", "normal").init(jax.random.key(0), x)["params"]
    for name in ("scale", "bias"):
        np.testing.assert_array_equal(frozen[name], trained[name])
        assert scipy.stats.kstest(frozen[name], "norm").pvalue > 1e-3
    assert abs(np.corrcoef(frozen["scale"], frozen["bias"])[0, 1]) < 0.03


@pytest.mark.parametrize("statistics", ["minibatch", "running"])
def test_frozen_parameters_stay_while_the_input_learns(statistics):
    norm = BatchNorm("frozen", "normal", statistics)
    x, target = jnp.asarray(draw(50, 4)), jnp.asarray(draw(50, 4, seed=1))
    weights = jnp.eye(4)
    variables = norm.init(jax.random.key(0), x)
    frozen = jax.tree.map(np.array, variables["frozen"])
    state = dict(variables)
    rule = optax.adam(1e-2)
    rule_state = rule.init(weights)

    def loss(weights, state):
        y, updated = norm.apply(state, x @ weights, train=True, mutable=["batch_stats", "frozen"])
        return ((y - target) ** 2).mean(), updated

    @jax.jit
    def step(weights, state, rule_state):
        gradient, updated = jax.grad(loss, has_aux=True)(weights, state)
        change, rule_state = rule.update(gradient, rule_state)
        return optax.apply_updates(weights, change), state | updated, rule_state

    for _ in range(5):
        weights, state, rule_state = step(weights, state, rule_state)
    assert np.abs(weights - jnp.eye(4)).max() > 1e-2
    for name in ("scale", "bias"):
        np.testing.assert_array_equal(state["frozen"][name], frozen[name])


def test_running_statistics_step_and_limit():
    rng = np.random.default_rng(0)
    mean, sd = np.array([-2.0, 0.0, 5.0]), np.array([0.5, 1.0, 3.0])
    norm = BatchNorm(momentum=0.9)
    variables = norm.init(jax.random.key(0), jnp.zeros((50, 3)))
    step = jax.jit(lambda v, x: v | norm.apply(v, x, train=True, mutable=["batch_stats"])[1])

    first = rng.normal(mean, sd, (50, 3))
    after = step(variables, first)["batch_stats"]
    np.testing.assert_allclose(after["mean"], 0.1 * first.mean(0), rtol=1e-12)
    np.testing.assert_allclose(after["var"], 0.9 + 0.1 * first.var(0), rtol=1e-12)

    for _ in range(500):
        variables = step(variables, rng.normal(mean, sd, (50, 3)))
    stats = jax.tree.map(np.asarray, variables["batch_stats"])
    # The average runs over about 19 minibatches of 50; biased variance is 49/50 of the data's.
    tolerance = 5 / np.sqrt(19 * 50)
    np.testing.assert_array_less(np.abs(stats["mean"] - mean), tolerance * sd)
    np.testing.assert_allclose(stats["var"], 0.98 * sd**2, rtol=1.5 * tolerance)

    x = rng.normal(mean, sd, (7, 3))
    expected = (x - stats["mean"]) / np.sqrt(stats["var"] + norm.epsilon)
    np.testing.assert_allclose(norm.apply(variables, x), expected, rtol=1e-9, atol=1e-12)


def test_minibatch_statistics_keep_no_state():
    variables = BatchNorm(statistics="minibatch").init(jax.random.key(0), jnp.ones((2, 3)))
    assert set(variables) == {"params"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"parameters": "frozn"}, 'did you mean "frozen"'),
        ({"initial": "zero"}, "normal, standard"),
        ({"statistics": "runing"}, 'did you mean "running"'),
        ({"momentum": 1.5}, "outside [0, 1]"),
    ],
)
def test_batch_norm_refuses_unknown_choices(options, words):
    with pytest.raises(InputError) as caught:
        BatchNorm(**options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_dropout_rate_and_scale():
    x = jnp.full((100_000,), 3.0)
    y = np.asarray(dropout(jax.random.key(0), x, 0.25))
    np.testing.assert_allclose(np.unique(y), [0, 4])
    assert abs((y == 0).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / len(y))


def test_dropout_rate_may_be_traced_and_vmapped():
    x = jnp.ones((10_000,))
    rates = jnp.array([0.0, 0.5, 0.9])
    y = jax.jit(jax.vmap(dropout, (None, None, 0)))(jax.random.key(0), x, rates)
    np.testing.assert_array_equal(y[0], x)
    np.testing.assert_allclose((y == 0).mean(1), rates, atol=0.025)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1])
def test_dropout_refuses_impossible_rates(rate):
    with pytest.raises(InputError, match="outside"):
        dropout(jax.random.key(0), jnp.ones(3), rate)
