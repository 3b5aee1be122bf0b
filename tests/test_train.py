"""The core: one trial, from its initial weights to its metrics."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import emnist_jax as ej
from emnist_jax import rules, train

MODEL = ej.MLP(hidden=(100, 100), classes=47)
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (230, 28, 28, 1), dtype=np.uint8)
FLAT = IMAGES.reshape(230, 784)
LABELS = RNG.integers(0, 47, 230).astype(np.int32)


# Compiled as they are in a sweep: one by one, their operations would be hundreds of programs.
INIT = jax.jit(train.init, static_argnums=(0, 1, 2))
STEP = jax.jit(train.step, static_argnums=(0, 1))
SGD = rules.sgd(0.1)


def start(seed=0, rule=SGD, dtype="float32"):
    return INIT(MODEL, rule, pixels(dtype), seed)


def pixels(dtype="float32"):
    return train.Pixels((28, 28, 1), dtype)


def test_the_dense_net_has_93347_parameters():
    assert sum(p.size for p in jax.tree.leaves(start().params)) == 93_347


def test_initial_weights_fill_the_glorot_bounds_and_biases_are_zero():
    for layer in start().params.values():
        kernel, bias = np.asarray(layer["kernel"]), np.asarray(layer["bias"])
        bound = np.sqrt(6 / sum(kernel.shape))
        assert 0.98 * bound < kernel.max() <= bound
        assert -bound <= kernel.min() < -0.98 * bound
        assert not bias.any()


def test_initial_weights_depend_on_the_seed_alone():
    one = start(3)
    same = start(3, rules.adam(1e-3, 0.9))
    other = start(4)
    jax.tree.map(np.testing.assert_array_equal, one.params, same.params)
    assert not np.array_equal(one.params["dense_0"]["kernel"], other.params["dense_0"]["kernel"])


def test_float64_begins_from_the_same_weights():
    with jax.enable_x64(True):
        double = start(dtype="float64").params
    assert {p.dtype for p in jax.tree.leaves(double)} == {np.dtype("float64")}
    jax.tree.map(np.testing.assert_array_equal, double, start().params)


def numpy_net(params, x):
    """Return logits, and the hidden layers on the way, in float64."""
    hidden = []
    for name in ("dense_0", "dense_1"):
        x = np.maximum(x @ params[name]["kernel"] + params[name]["bias"], 0)
        hidden.append(x)
    return x @ params["logits"]["kernel"] + params["logits"]["bias"], hidden


def numpy_sgd_step(params, x, labels, eta):
    """Return the parameters after a step of gradient descent, by back-propagation by hand."""
    logits, (h0, h1) = numpy_net(params, x)
    p = np.exp(logits - logits.max(1, keepdims=True))
    d = p / p.sum(1, keepdims=True)
    d[np.arange(len(labels)), labels] -= 1
    d /= len(labels)
    changed = {}
    for name, below in (("logits", h1), ("dense_1", h0), ("dense_0", x)):
        kernel, bias = params[name]["kernel"], params[name]["bias"]
        changed[name] = {"kernel": kernel - eta * below.T @ d, "bias": bias - eta * d.sum(0)}
        d = (d @ kernel.T) * (below > 0)
    return changed


def test_a_step_is_gradient_descent_on_the_mean_cross_entropy():
    with jax.enable_x64(True):
        trial = start(dtype="float64")
        x = train.scale(jnp.asarray(IMAGES[:50]), jnp.float64)
        expected = jax.tree.map(np.asarray, trial.params)
        rule = rules.sgd(0.5)
        for _ in range(3):
            trial = STEP(MODEL, rule, trial, x, LABELS[:50], jax.random.key(0))
            expected = numpy_sgd_step(expected, IMAGES[:50].reshape(50, -1) / 255, LABELS[:50], 0.5)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12),
        trial.params,
        expected,
    )


@pytest.mark.parametrize("batch", [230, 100, 64, 500])
def test_evaluation_with_a_remainder_is_the_plain_mean(batch):
    metrics = {"error": train.cross_entropy, "accuracy": train.accuracy}
    with jax.enable_x64(True):
        trial = start(dtype="float64")
        sums = partial(train.batch_sums, MODEL, pixels("float64"), trial, metrics=metrics)
        evaluate = jax.jit(partial(train.all_sums, sums), static_argnums=2)
        found = train.means(evaluate(jnp.asarray(FLAT), LABELS, batch), LABELS)
        params = jax.tree.map(np.asarray, trial.params)
    logits, _ = numpy_net(params, IMAGES.reshape(len(IMAGES), -1) / 255)
    shifted = logits - logits.max(1, keepdims=True)
    errors = np.log(np.exp(shifted).sum(1)) - shifted[np.arange(230), LABELS]
    assert float(found["error"]) == pytest.approx(errors.mean(), rel=1e-12)
    assert float(found["accuracy"]) == (logits.argmax(1) == LABELS).mean()


def test_of_equal_logits_the_first_counts_and_nan_is_never_right():
    nan = np.nan
    logits = jnp.array([[1.0, 2, 2], [1, 2, 2], [3, 3, 3], [3, 3, 3], [1, nan, 0], [nan] * 3])
    right = train.accuracy(logits, jnp.array([1, 2, 0, 1, 0, 0]))
    assert right.tolist() == [1, 0, 1, 0, 0, 0]


class Noisy(nn.Module):
    """A model whose training output is its dropout noise: what key it was given shows."""

    @nn.compact
    def __call__(self, x, train=False):
        w = self.param("w", nn.initializers.zeros, (47,))
        noise = jax.random.normal(self.make_rng("dropout"), (len(x), 47)) if train else 0.0
        return w.reshape(1, -1) + noise + jnp.zeros((len(x), 47))


def test_every_step_of_an_epoch_has_noise_of_its_own():
    batches = jnp.asarray(FLAT[:100]).reshape(2, 50, 784)
    labels = jnp.asarray(LABELS[:50])[None].repeat(2, 0)
    rule = rules.sgd(1.0)
    trial = train.init(Noisy(), rule, pixels(), 0)
    key = train.key_for(0, train.DROPOUT, 1)

    def update(trial, number, images, labels):
        own = jax.random.fold_in(key, number)
        return train.step(Noisy(), rule, trial, pixels().scaled(images), labels, own)

    once = train.epoch(update, trial, batches[:1], labels[:1]).params["w"]
    twice = train.epoch(update, trial, batches, labels).params["w"]
    assert not np.allclose(twice, 2 * once, rtol=1e-3)
