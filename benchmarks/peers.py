"""The peers: the same training, written as each library's own users write it.

Every peer starts from given weights, and trains on given rows of data that already lie in memory as
it likes them best (PyTorch and Flax: scaled floats; no data loader is in the way): `run(order)`
makes an update of each of its `trials` networks on each minibatch of `order`, (steps, trials,
batch) indices of images. `weights()` returns the networks' weights under Flax's names, so that
tests can see that all do the same step.
"""

from collections.abc import Iterable, Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.training.train_state import TrainState

from emnist_jax.data import Split

Weights = Mapping[str, object]  # a network's parameters, as `MLP` and `ConvNet` name them


def floats(split: Split, dtype: type = np.float32) -> np.ndarray:
    """Return images (n, height, width, channels) scaled to [0, 1]."""
    return split.images.astype(dtype) / dtype(255)


def orders(images: int, batch: int, seed: int = 0):
    """Yield without end the rows of shuffled minibatches."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(images)
        yield from order[: images // batch * batch].reshape(-1, batch)


def runner(peer, images: int, batch: int):
    """Return a function that trains a peer for so many steps, each network in its own order."""
    rows = [orders(images, batch, seed) for seed in range(peer.trials)]
    return lambda steps: peer.run(np.stack([[next(own) for own in rows] for _ in range(steps)]))


class FlaxLoop:
    """One network with Flax and optax as their examples write it: a loop over a jitted step."""

    trials = 1

    def __init__(self, rule: str, rate: float, weights: Weights, split: Split):
        convs, dense = layers(weights)
        channels, widths = (tuple(len(bias) for _, bias in of) for of in (convs, dense))
        self.images, self.labels = jnp.asarray(floats(split)), jnp.asarray(split.labels)
        net = _flax_net(channels, widths)
        self.names = [f"Conv_{i}" for i in range(len(channels))]
        self.names += [f"Dense_{i}" for i in range(len(widths))]
        params = {
            name: {"kernel": jnp.array(kernel), "bias": jnp.array(bias)}
            for name, (kernel, bias) in zip(self.names, convs + dense, strict=True)
        }
        self.maps = channels[-1] if channels else 0
        if channels:
            params["Dense_0"]["kernel"] = self._rows(params["Dense_0"]["kernel"], last=True)
        tx = getattr(optax, rule)(rate)
        self.state = TrainState.create(apply_fn=net.apply, params=params, tx=tx)

        @jax.jit
        def train_step(state, images, labels):
            def loss(params):
                logits = state.apply_fn({"params": params}, images)
                return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

            return state.apply_gradients(grads=jax.grad(loss)(state.params))

        self.step = train_step

    def _rows(self, kernel, last: bool):
        """Reorder a dense kernel's inputs between channel-first and channel-last maps."""
        size = round((len(kernel) / self.maps) ** 0.5)
        shape = (self.maps, size, size, -1) if last else (size, size, self.maps, -1)
        axes = (1, 2, 0, 3) if last else (2, 0, 1, 3)
        return kernel.reshape(shape).transpose(axes).reshape(kernel.shape)

    def run(self, order: np.ndarray) -> None:
        """Make an update on each minibatch of `order`, (steps, 1, batch)."""
        for rows in order[:, 0]:
            self.state = self.step(self.state, self.images[rows], self.labels[rows])
        jax.block_until_ready(self.state)

    def weights(self) -> list[Weights]:
        """Return the weights of the network."""
        params = dict(self.state.params)
        if self.maps:
            kernel = self._rows(params["Dense_0"]["kernel"], last=False)
            params["Dense_0"] = {"kernel": kernel, "bias": params["Dense_0"]["bias"]}
        return [named(params[name][part] for name in self.names for part in ("kernel", "bias"))]


def _flax_net(channels: tuple[int, ...], widths: tuple[int, ...]) -> nn.Module:
    class Net(nn.Module):
        @nn.compact
        def __call__(self, x):
            for features in channels:
                x = nn.Conv(features, (5, 5))(x)
                x = nn.max_pool(nn.relu(x), (2, 2), (2, 2))
            x = x.reshape(len(x), -1)
            for width in widths[:-1]:
                x = nn.relu(nn.Dense(width)(x))
            return nn.Dense(widths[-1])(x)

    return Net()


def layers(weights: Weights) -> tuple[list[tuple], list[tuple]]:
    """Return (kernel, bias) of each convolution, and of each dense layer, first to last."""
    convs = range(sum(name.endswith("_kernel") for name in weights))
    dense = [*sorted(name for name in weights if name.startswith("dense_")), "logits"]
    return (
        [(weights[f"conv_{i}_kernel"], weights[f"conv_{i}_bias"]) for i in convs],
        [(weights[name]["kernel"], weights[name]["bias"]) for name in dense],
    )


def named(arrays: Iterable) -> Weights:
    """Return kernel and bias of each layer in turn, convolutions first, under Flax's names."""
    arrays = list(map(np.array, arrays))
    pairs = list(zip(arrays[::2], arrays[1::2], strict=True))
    convs = [pair for pair in pairs if pair[0].ndim == 4]
    dense = pairs[len(convs) :]
    found: dict[str, object] = {}
    for i, (kernel, bias) in enumerate(convs):
        found |= {f"conv_{i}_kernel": kernel, f"conv_{i}_bias": bias}
    names = [f"dense_{i}" for i in range(len(dense) - 1)] + ["logits"]
    return found | {n: {"kernel": k, "bias": b} for n, (k, b) in zip(names, dense, strict=True)}
