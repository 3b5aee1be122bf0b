"""Dense and convolutional networks, of any size, as Flax modules.

`module(x, train=False)` gives logits; `x` is a float (batch, height, width, channels) in [0, 1],
whose dtype parameters and logits take. `classes=None` means that the number of classes is yet to
come from the data: `model.clone(classes=47)`. A `dropout` rate may be a traced number, for instance
a hyperparameter under `jax.vmap`: `model.clone(dropout=rate)` inside the traced function; its key
is called "dropout". `batch_norm` is a template, copied before every ReLU:
`MLP(batch_norm=BatchNorm())`.
"""

import ast
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from emnist_jax.errors import InputError, written
from emnist_jax.layers import BatchNorm, conv2d, dropout, matmul, max_pool, symmetric_uniform

Images = Float[Array, "batch height width channels"]
Logits = Float[Array, "batch classes"]


class MLP(nn.Module):
    """Fully connected network: dense, [batch norm], ReLU, [dropout] for each width; dense.

    Weights are Glorot uniform with gain 1, biases 0. 784-100-100-47 has 93,347 parameters.

    Attributes:
        hidden: widths of the hidden layers.
        classes: number of logits; `None` until known.
        batch_norm: the normalisation before every ReLU, or `None`.
        dropout: probability of setting a hidden unit to zero in training, in [0, 1).
    """

    hidden: Sequence[int] = (100, 100)
    classes: int | None = None
    batch_norm: BatchNorm | None = None
    dropout: float | jax.Array = 0.0

    def __post_init__(self):
        """Check the fields."""
        self.hidden = _widths("hidden", self.hidden)
        _check_norm(self.batch_norm)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Images, train: bool = False) -> Logits:
        """Return the logits; raise `InputError` while `classes` is None."""
        return _dense_layers(self, x.reshape(len(x), -1), train)


class ConvNet(nn.Module):
    """Convolutional network: for each number of channels, zero padding that keeps the size,
    convolution, [batch norm], ReLU, 2x2 max pooling; then the layers of `MLP`.

    Kernels are drawn from U(-0.01, 0.01), biases are 0. The dense layers read the pooled maps in
    the order (channel, row, column). On 28x28 images of 47 classes, `ConvNet((10,), (576, 160))`
    has 1,229,683 parameters, `ConvNet((5, 10), (150,))` 82,137. Pooling drops a last odd row or
    column.

    Attributes:
        channels: output channels of each convolution.
        hidden: widths of the hidden dense layers.
        classes: number of logits; `None` until known.
        kernel: rows and columns of every convolution kernel.
        batch_norm: `None`, or the normalisation before every ReLU (a convolution's is over batch,
            rows and columns, so one scale and bias a channel).
        dropout: probability of setting a hidden unit of the dense layers to zero in training.
    """

    channels: Sequence[int] = (5, 10)
    hidden: Sequence[int] = (150,)
    classes: int | None = None
    kernel: int = 5
    batch_norm: BatchNorm | None = None
    dropout: float | jax.Array = 0.0

    def __post_init__(self):
        """Check the fields."""
        self.channels = _widths("channels", self.channels)
        self.hidden = _widths("hidden", self.hidden)
        _check_norm(self.batch_norm)
        super().__post_init__()

    @nn.compact
    def __call__(self, x: Images, train: bool = False) -> Logits:
        """Return the logits; raise `InputError` while `classes` is None, or if images are so small
        that pooling leaves nothing."""
        batch, height, width, _ = x.shape
        if min(height, width) < 2 ** len(self.channels):
            raise InputError(
                f"ConvNet: {height}x{width} images are too small for {len(self.channels)} poolings "
                "by 2; use fewer channels=(...) or larger images"
            )
        x = x.transpose(3, 1, 2, 0)
        for i, channels in enumerate(self.channels):
            x = self._conv_block(x, channels, i, train)
        return _dense_layers(self, x.reshape(-1, batch).T, train)

    def _conv_block(self, x: Array, channels: int, i: int, train: bool) -> Array:
        shape = (self.kernel, self.kernel, x.shape[0], channels)
        kernel = self.param(f"conv_{i}_kernel", symmetric_uniform(0.01), shape, x.dtype)
        bias = self.param(f"conv_{i}_bias", nn.initializers.zeros, (channels,), x.dtype)
        pad = (self.kernel // 2, (self.kernel - 1) // 2)
        x = conv2d(jnp.pad(x, ((0, 0), pad, pad, (0, 0))), kernel, window=2)
        bias = bias.reshape(-1, 1, 1, 1)
        if self.batch_norm is None:
            # A constant per channel does not change which output is largest: add it afterwards.
            x = max_pool(x) + bias
        else:
            norm = self.batch_norm.clone(axis=1, parent=self, name=f"conv_{i}_norm")
            x = max_pool(norm(x + bias[None], train))
        # ReLU and max commute, gradients included; this order does a quarter of the work.
        return nn.relu(x)


def _widths(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """Return widths as a tuple, which can be hashed as a list cannot."""
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError(f"{name}={values!r}: give a width a layer, as in {name}=(100, 100)")
    return tuple(values)


def _check_norm(norm: BatchNorm | None) -> None:
    if not (norm is None or isinstance(norm, nn.Module)):
        raise InputError(f"batch_norm={norm!r}: give ej.BatchNorm(), or None for none")


def _dense_layers(model: MLP | ConvNet, x: Float[Array, "batch inputs"], train: bool) -> Logits:
    """Apply the dense layers both networks end with; they become submodules of `model`."""
    if model.classes is None:
        raise InputError(
            f"{type(model).__name__}: the number of classes is not known; give classes=... or, "
            "once the data are loaded, model.clone(classes=...)"
        )
    for i, width in enumerate(model.hidden):
        x = _dense(width, x.dtype, f"dense_{i}")(x)
        if model.batch_norm is not None:
            x = model.batch_norm.clone(parent=model, name=f"dense_{i}_norm")(x, train)
        x = nn.relu(x)
        # Only a plain 0 skips the random draws: a traced rate is not known here.
        if train and not (isinstance(model.dropout, float | int) and model.dropout == 0):
            x = dropout(model.make_rng("dropout"), x, model.dropout)
    return _dense(model.classes, x.dtype, "logits")(x)


def _dense(width: int, dtype: jnp.dtype, name: str) -> nn.Dense:
    def product(x, weights, *_, **__):
        return matmul(x, weights)

    glorot = nn.initializers.glorot_uniform()
    return nn.Dense(width, param_dtype=dtype, kernel_init=glorot, dot_general=product, name=name)


def describe(model: nn.Module, defaults: bool = False) -> str:
    """Return a model as source code: its class, widths, and fields that differ from defaults.

    With `defaults`, all fields.
    """
    parts = []
    for name, field in model.__dataclass_fields__.items():
        if name in ("parent", "name"):
            continue
        value = getattr(model, name)
        if defaults or isinstance(value, tuple) or written(value) != written(field.default):
            text = describe(value, defaults) if isinstance(value, nn.Module) else written(value)
            parts.append(f"{name}={text}")
    return f"{type(model).__name__}({', '.join(parts)})"


def model_fields(model: nn.Module) -> set[str]:
    """Return the fields of a model that are numbers on an axis of a sweep: its float fields."""
    fields = {name: getattr(model, name) for name in model.__dataclass_fields__}
    return {name for name, value in fields.items() if isinstance(value, float)}


BUILT_IN: dict[str, type[nn.Module]] = {one.__name__: one for one in (MLP, ConvNet, BatchNorm)}


def rebuild(description: str, own: type[nn.Module] | None = None) -> nn.Module:
    """Return the model that `describe` described: a built-in one, or one of the class `own`.

    Raises:
        InputError: the description names another class, or is none.
    """
    known = BUILT_IN | ({own.__name__: own} if own else {})

    def build(node: ast.expr) -> object:
        if not isinstance(node, ast.Call):
            return ast.literal_eval(node)
        return known[node.func.id](**{part.arg: build(part.value) for part in node.keywords})

    try:
        return build(ast.parse(description, mode="eval").body)
    except (KeyError, AttributeError, SyntaxError, TypeError, ValueError):
        what = f"model of the class {own.__name__}" if own else "model of this package"
        raise InputError(f"{description[:200]}: no {what}") from None
