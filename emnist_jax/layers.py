"""Layers: convolution, max pooling, batch normalisation, dropout.

The convolution and the pooling keep the batch innermost, (channels, height, width, batch): on a
CPU every elementwise loop then runs over contiguous memory, and a whole layer is one matrix
product. A trial axis is added by `jax.vmap`; images that all trials share stay shared.
"""

from functools import partial
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from emnist_jax.errors import InputError, check_choice

Parameters = Literal["trained", "frozen"]
Initial = Literal["normal", "standard"]
Statistics = Literal["minibatch", "running"]


def symmetric_uniform(bound: float = 0.01) -> nn.initializers.Initializer:
    """Return an initialiser that draws from U(-bound, bound).

    `jax.nn.initializers.uniform(bound)` draws from U(0, bound) instead.
    """

    def init(key, shape, dtype=jnp.float32):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


def conv2d(
    x: Float[Array, "in_channels height width batch"],
    kernel: Float[Array, "rows columns in_channels out_channels"],
    window: int = 1,
) -> Float[Array, "window_squared out_channels out_height out_width batch"]:
    """Cross-correlate images with a kernel: stride 1, no padding, no flip of the kernel.

    With `window=1` the result is (1, out_channels, height - rows + 1, width - columns + 1, batch).
    With a larger window the leading axis holds the outputs of each window x window pooling window
    in row-major order, ready for `max_pool`; rows and columns of outputs that fill no whole window
    are left out, as pooling would drop them.

    The outputs of one window share most of their inputs. So each image is cut into window x window
    phases (space to depth), the kernel is embedded once per output of the window, and all is one
    matrix product: for 5x5 kernels and window 2 it has 44 % more operations than the textbook's
    im2col, but 64 % less memory to write and read, and four times the rows in a thin matrix.
    """
    channels, height, width, batch = x.shape
    rows, columns, _, out_channels = kernel.shape
    out_height, out_width = (height - rows + 1) // window, (width - columns + 1) // window
    # The number of neighbouring blocks of window x window pixels that one window looks at.
    down, across = (-(-(size + window - 1) // window) for size in (rows, columns))

    blocks = _space_to_depth(x, window, out_height + down - 1, out_width + across - 1)
    patches = jnp.concatenate(
        [blocks[:, i : i + out_height, j : j + out_width] for i, j in np.ndindex(down, across)]
    )
    tall, wide = down * window - rows, across * window - columns
    pads = [((i, tall - i), (j, wide - j), (0, 0), (0, 0)) for i, j in np.ndindex(window, window)]
    embedded = jnp.stack([jnp.pad(kernel, pad) for pad in pads])
    embedded = embedded.reshape(window**2, down, window, across, window, channels, out_channels)
    weights = embedded.transpose(0, 6, 1, 3, 2, 4, 5).reshape(window**2 * out_channels, -1)
    y = weights @ patches.reshape(weights.shape[1], -1)
    return y.reshape(window**2, out_channels, out_height, out_width, batch)


def _space_to_depth(x: Array, window: int, height: int, width: int) -> Array:
    """Cut (channels, h, w, batch) into blocks: (window * window * channels, height, width, batch).

    Pixels beyond height * window x width * window are cropped, missing ones are zeros.
    """
    channels, h, w, batch = x.shape
    zero = jnp.zeros((), x.dtype)
    edges = ((0, 0, 0), (0, height * window - h, 0), (0, width * window - w, 0), (0, 0, 0))
    x = lax.pad(x, zero, edges).reshape(channels, height, window, width, window, batch)
    return x.transpose(2, 4, 0, 1, 3, 5).reshape(-1, height, width, batch)


@jax.custom_vjp
def max_pool(x: Float[Array, "window_squared *rest"]) -> Float[Array, "*rest"]:
    """Return the maximum over the leading axis, the outputs of one pooling window of `conv2d`.

    The gradient goes to one maximum of each window, the first in row-major order where several are
    equal, as in a program that looks the maximum up; autodiff of `maximum` would share it out. NaN
    in a window gives NaN.
    """
    return _max_pool_forward(x)[0]


def _max_pool_forward(x):
    largest, winner = x[0], jnp.zeros(x.shape[1:], jnp.int8)
    for i in range(1, len(x)):
        winner = jnp.where(x[i] > largest, jnp.int8(i), winner)
        largest = jnp.maximum(largest, x[i])
    return largest, (winner, len(x))


def _max_pool_backward(residuals, gradient):
    winner, window_squared = residuals
    position = lax.broadcasted_iota(jnp.int8, (window_squared, *winner.shape), 0)
    return (jnp.where(position == winner[None], gradient[None], 0),)


max_pool.defvjp(_max_pool_forward, _max_pool_backward)


@jax.custom_vjp
def matmul(x: Float[Array, "batch inputs"], weights: Float[Array, "inputs outputs"]) -> Array:
    """Return `x @ weights` (batch, outputs), with its gradients in the layout they are used in.

    Autodiff leaves the gradient of the weights transposed, (outputs, inputs). On a CPU its
    optimiser then reads every array of its own in rows and this one in columns: a ConvNet of a wide
    head, with Adam, took a fifth longer.
    """
    return x @ weights


def _matmul_forward(x, weights):
    return x @ weights, (x, weights)


def _matmul_backward(residuals, gradient):
    x, weights = residuals
    # Summed over the outputs of both as they lie: `gradient @ weights.T` would copy the weights.
    return lax.dot_general(gradient, weights, (((1,), (1,)), ((), ()))), x.T @ gradient


matmul.defvjp(_matmul_forward, _matmul_backward)


def dropout(key: Array, x: Array, rate: float | Array) -> Array:
    """Set each element to zero with probability `rate`, and scale the others by 1 / (1 - rate).

    `rate` in [0, 1) may be traced, so that it can be a hyperparameter axis under `jax.vmap`.
    Source: Srivastava et al. 2014, in its inverted form.

    Raises:
        InputError: for a plain number outside [0, 1).
    """
    if isinstance(rate, float | int) and not 0 <= rate < 1:
        raise InputError(f"dropout rate {rate} is outside [0, 1)")
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / jnp.asarray(1 - rate, x.dtype), 0)


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy 2015): scale * (x - mean) / sqrt(var + epsilon) + bias.

    `mean` and `var` are those of the minibatch, over every axis but `axis`; `var` is the biased
    one (divided by the number of values). Gradients flow through both.

    Attributes:
        parameters: "trained", or "frozen": scale and bias stay at their initial values. Frozen ones
            live in the collection "frozen" instead of "params", so that no optimiser sees them.
        initial: "standard" (scale 1, bias 0) or "normal" (both drawn from N(0, 1)).
            Trained and frozen parameters of one key have the same values.
        statistics: what evaluation normalises with: "running" (moving averages of the training
            minibatches, in the collection "batch_stats") or "minibatch" (those of the batch it is
            given; the caller evaluates in minibatches of the training's size).
        momentum: running = momentum * running + (1 - momentum) * minibatch, after each training
            step; from mean 0 and variance 1. 0.9 is PyTorch's momentum=0.1; Flax's default is 0.99.
        epsilon: added to the variance.
        axis: the axis of the features.

    Raises:
        InputError: at construction, for an unknown choice or a momentum outside [0, 1].
    """

    parameters: Parameters = "trained"
    initial: Initial = "standard"
    statistics: Statistics = "running"
    momentum: float = 0.9
    epsilon: float = 1e-5
    axis: int = -1

    def __post_init__(self):
        """Check the choices."""
        kinds = {"parameters": Parameters, "initial": Initial, "statistics": Statistics}
        for field, kind in kinds.items():
            value = getattr(self, field)
            check_choice(f"BatchNorm: {field}={value!r}", value, get_args(kind))
        if not 0 <= self.momentum <= 1:
            raise InputError(f"BatchNorm: momentum={self.momentum} is outside [0, 1]")
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Normalise `x`; in training, update the running statistics too."""
        features = (x.shape[self.axis],)
        others = tuple(i for i in range(x.ndim) if i != self.axis % x.ndim)
        drawn = self.initial == "normal"
        one = nn.initializers.normal(1.0) if drawn else nn.initializers.ones
        zero = nn.initializers.normal(1.0) if drawn else nn.initializers.zeros
        scale = self._parameter("scale", partial(one, shape=features, dtype=x.dtype))
        bias = self._parameter("bias", partial(zero, shape=features, dtype=x.dtype))

        if self.statistics == "running":
            running_mean = self.variable("batch_stats", "mean", jnp.zeros, features, x.dtype)
            running_var = self.variable("batch_stats", "var", jnp.ones, features, x.dtype)
        if train or self.statistics == "minibatch":
            mean, var = x.mean(others), x.var(others)
        else:
            mean, var = running_mean.value, running_var.value
        if train and self.statistics == "running" and not self.is_initializing():
            running_mean.value += (1 - self.momentum) * (mean - running_mean.value)
            running_var.value += (1 - self.momentum) * (var - running_var.value)

        factor = scale * lax.rsqrt(var + self.epsilon)
        mean, factor, bias = (jnp.expand_dims(v, others) for v in (mean, factor, bias))
        return (x - mean) * factor + bias

    def _parameter(self, name: str, init) -> Array:
        if self.parameters == "trained":
            return self.param(name, init)
        return self.variable("frozen", name, lambda: init(self.make_rng("params"))).value
