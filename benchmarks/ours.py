"""This library as a contestant: its own runner, data path and compiled programs."""

from functools import cache

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

import emnist_jax as ej
from emnist_jax import train
from emnist_jax.data import Split
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.job import make_plan

NETWORKS: dict[str, nn.Module] = {
    "dense": ej.MLP(hidden=(100, 100)),
    "C1": ej.ConvNet(channels=(10,), hidden=(576, 160)),
    "C2": ej.ConvNet(channels=(5, 10), hidden=(150,)),
}
RATES = {"sgd": 0.03, "rmsprop": 1e-3, "adam": 1e-3}
BATCH = 50


class Sweep:
    """A sweep over seeds, an epoch at a time, exactly as `ej.sweep` runs it.

    A sweep of more trials than fit in the cache trains chunk after chunk; here the same chunk is
    trained as often as there are chunks.
    """

    def __init__(
        self,
        data: ej.Dataset,
        model: nn.Module,
        rule: str,
        trials: int,
        *,
        devices: int | None = None,
        at_once: int | None = None,
    ):
        grid = {"learning_rate": RATES[rule]}
        plan = make_plan(data, model, rule, grid, trials, 1, BATCH, None, "float32", None)
        runner = Runner(plan, devices)
        self.at_once = runner.fresh(at_once).chunk_size
        self.runner = runner = runner.for_chunk(0, self.at_once)
        self.chunk = runner.chunk(0, self.at_once)
        self.state = runner.start(self.chunk, [])
        self.trials, self.steps = trials, len(data.train.labels) // BATCH
        left = trials % self.at_once if trials % self.at_once <= runner.mesh.size < trials else 0
        self.chunks = -(-(trials - left) // self.at_once)
        # The trials of a last chunk that is not padded to a whole one.
        self.rest = Sweep(data, model, rule, left, devices=devices) if left else None

    def epoch(self, _=None) -> None:
        """Train every trial for one epoch."""
        for _ in range(self.chunks):
            self.state = self.runner.run_epoch(self.chunk, self.state, 1)
        if self.rest:
            self.rest.epoch()

    def evaluate(self) -> None:
        """Evaluate every trial on all training and validation images."""
        for _ in range(self.chunks):
            jax.block_until_ready(
                self.runner.programs.evaluate(self.chunk.hyper, self.state, self.runner.data)
            )
        if self.rest:
            self.rest.evaluate()

    def compile(self) -> tuple:
        """Compile the epoch's and the evaluation's program anew, and return them."""
        args = self.chunk.hyper, self.chunk.seeds, self.state, np.int32(1)
        programs, data = self.runner.programs, self.runner.data
        return (
            programs.epoch.lower(*args, *data["train"]).compile(),
            programs.evaluate.lower(self.chunk.hyper, self.state, data).compile(),
        )


def part(data: ej.Dataset, images: int) -> ej.Dataset:
    """Return data with so many training images (repeated if need be), validation in proportion."""

    def resized(split: Split, n: int) -> Split:
        rows = np.resize(np.arange(len(split.labels)), n)
        return Split(split.images[rows], split.labels[rows])

    return ej.load(
        {
            "train": resized(data.train, images),
            "valid": resized(data.valid, max(1, images * 158 // 1000)),
            "test": resized(data.test, 1),
        },
        classes=data.classes,
        name=f"glyphs, {images} training images",
    )


def initial_weights(model: nn.Module, data: ej.Dataset, seed: int = 0) -> dict:
    """Return a network's untrained weights as numpy arrays, named as Flax names them."""
    shape = (1, *data.train.images.shape[1:])
    return jax.device_get(_initializer(model.clone(classes=len(data.classes)), shape)(seed))


@cache
def _initializer(model: nn.Module, shape: tuple[int, ...]):
    def init(seed):
        images = jnp.zeros(shape, jnp.uint8)
        return train.init(model, ej.rules.sgd(0.0), seed, images, "float32").params

    return jax.jit(init)
