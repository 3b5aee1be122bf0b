"""This library as a contestant: its own runner, data path and compiled programs."""

from collections import Counter
from functools import cache

import flax.linen as nn
import jax
import numpy as np

import emnist_jax as ej
from emnist_jax import train
from emnist_jax.data import Split
from emnist_jax.engine.chunks import Runner
from emnist_jax.engine.job import make_job
from experiments._networks import C1, C2, DENSE

NETWORKS: dict[str, nn.Module] = {"dense": DENSE, "C1": C1, "C2": C2}
RATES = {"sgd": 0.03, "rmsprop": 1e-3, "adam": 1e-3}
BATCH, PAPER_IMAGES = 50, 100_000
SEEDS = 5  # of every setting, where there are as many trials
EPOCHS = 100  # that chunks are chosen for, of the paper's images


class Timed:
    """A sweep of settings x seeds, each seed with its own order, as `ej.sweep` trains it.

    A sweep of more trials than fit in the cache trains chunk after chunk; here one chunk of each
    shape is trained as often as it occurs.
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
        watch: tuple[str, ...] = (),
        precision: str = "default",
    ):
        settings = max(1, trials // SEEDS)
        grid = {"learning_rate": [RATES[rule] * 0.9**i for i in range(settings)]}
        epochs = EPOCHS * PAPER_IMAGES // len(data.train)
        how = {"watch": watch, "precision": precision}
        sweep = ej.Sweep(model, rule, grid, trials // settings, epochs, BATCH, **how)
        self.runner = runner = Runner(make_job(sweep, data), devices)
        rows = runner.layout(at_once)
        self.trials, self.steps = trials, len(data.train) // BATCH
        self.at_once = max(len(np.unique(one)) for one in rows)
        counts = Counter(one.shape for one in rows)
        first = {one.shape: one for one in reversed(rows)}
        self.chunks = [_Chunk(runner, first[shape], times) for shape, times in counts.items()]

    def epoch(self, _=None) -> None:
        """Train every trial for one epoch."""
        for chunk in self.chunks:
            for _ in range(chunk.times):
                chunk.trials = chunk.runner.run_epoch(chunk.placed, chunk.trials, 1)

    def evaluate(self) -> None:
        """Evaluate every trial on all training and validation images."""
        for chunk in self.chunks:
            programs, data = chunk.runner.programs, chunk.runner.data
            for _ in range(chunk.times):
                jax.block_until_ready(programs.evaluate(chunk.placed.hyper, chunk.trials, data))

    def compile(self) -> dict[str, jax.stages.Compiled]:
        """Compile the programs of the first chunk anew, and return them."""
        return self.chunks[0].runner.compiled(self.chunks[0].rows)


class _Chunk:
    def __init__(self, runner: Runner, rows: np.ndarray, times: int):
        self.rows, self.times = rows, times
        self.runner = runner.for_chunk(rows)
        self.placed = self.runner.chunk(rows)
        self.trials = self.runner.start(self.placed, [])


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
    pixels = train.Pixels(data.train.images.shape[1:], "float32")
    return jax.device_get(_initializer(model.clone(classes=len(data.classes)), pixels)(seed))


@cache
def _initializer(model: nn.Module, pixels: train.Pixels):
    return jax.jit(lambda seed: train.init(model, ej.rules.sgd(0.0), pixels, seed).params)
