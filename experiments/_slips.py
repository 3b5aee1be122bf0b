"""Slips that an implementation may have made, as modules that take the place of the right ones."""

from functools import partial

import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

import emnist_jax as ej

KERNELS = {"glorot": nn.initializers.glorot_uniform(), "normal": nn.initializers.normal(0.01)}


class SlippedNorm(ej.BatchNorm):
    """Batch normalisation of (images, units) with one slip; scale and bias are drawn from N(0, 1).

    Attributes:
        slip: in training and in evaluation, which takes the statistics of its minibatch:
            "constants", no gradient flows through mean and variance;
            "no_root", divided by the variance instead of by its root;
            "wrong_axis", mean and variance of each image over units;
            "swapped", scale gets bias's gradient and bias scale's.
            Or in evaluation alone, of networks that are trained alike and have the same variables:
            "last", the statistics of the last training minibatch;
            "from_zero", running statistics whose variance began at 0, as their mean;
            "initial", mean 0 and variance 1, as if running statistics were never updated;
            "skipped", the layer returns its input.
    """

    initial: str = "normal"
    statistics: str = "minibatch"
    slip: str = "last"

    @nn.compact
    def __call__(
        self, x: Float[Array, "images units"], train: bool = False
    ) -> Float[Array, "images units"]:
        """Normalise `x`; in training, note its statistics if evaluation may want them."""
        draw = partial(nn.initializers.normal(1.0), shape=x.shape[1:], dtype=x.dtype)
        scale, bias = self._parameter("scale", draw), self._parameter("bias", draw)
        mean, var = self._moments(x, train)
        if self.slip == "skipped" and not train:
            return x
        if self.slip == "constants":
            mean, var = lax.stop_gradient((mean, var))
        if self.slip == "swapped":
            scale, bias = _passing_on(scale, bias), _passing_on(bias, scale)
        root = var + self.epsilon if self.slip == "no_root" else jnp.sqrt(var + self.epsilon)
        return scale[None] * (x - mean) / root + bias[None]

    def _moments(self, x: Array, train: bool) -> Array:
        """Return the mean and the variance to normalise with."""
        axis = 1 if self.slip == "wrong_axis" else 0
        found = jnp.stack([x.mean(axis, keepdims=True), x.var(axis, keepdims=True)])
        if self.slip in ("constants", "no_root", "wrong_axis", "swapped"):
            return found
        known = {"initial": jnp.zeros_like(found).at[1].set(1), "skipped": found}
        for name, momentum in (("last", 0.0), ("from_zero", self.momentum)):
            held = self.variable("batch_stats", name, jnp.zeros_like, found)
            if train and not self.is_initializing():
                held.value = momentum * held.value + (1 - momentum) * found
            known[name] = held.value
        return found if train else known[self.slip]


def _passing_on(value: Array, other: Array) -> Array:
    """Return a value, of which another parameter gets the gradient."""
    return lax.stop_gradient(value) + (other - lax.stop_gradient(other))


class OtherKernels(ej.ConvNet):
    """A `ConvNet` whose convolution kernels are drawn otherwise.

    Attributes:
        drawn: "glorot", Glorot uniform; "normal", N(0, .01^2).
    """

    drawn: str = "glorot"

    @nn.nowrap
    def param(self, name: str, init_fn, *init_args, **options):
        """Declare a parameter, as any module does; a kernel gets the other initial values."""
        kernel = name.endswith("_kernel")
        return super().param(
            name, KERNELS[self.drawn] if kernel else init_fn, *init_args, **options
        )
