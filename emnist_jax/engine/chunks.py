"""A sweep on the devices: chunks of trials placed, trained, evaluated, and brought back."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np

from emnist_jax import hosts, train
from emnist_jax.engine import programs as parallel
from emnist_jax.engine.job import Job
from emnist_jax.store.checkpoint import State


@dataclass(frozen=True)
class Chunk:
    """Trials trained at once: which of the plan's, and their numbers padded to a whole chunk."""

    trials: slice
    hyper: Mapping[str, jax.Array]
    seeds: jax.Array

    def __len__(self) -> int:
        return self.trials.stop - self.trials.start


class Runner:
    """Holds what all chunks of a sweep share: the data on the devices and the compiled programs."""

    def __init__(self, job: Job, devices: int | None = None):
        self.job = job
        self.mesh = parallel.trial_mesh(devices)
        self.programs = parallel.programs(job.structure, self.mesh)
        splits = {"train": job.data.train, "valid": job.data.valid}
        self.arrays = {part: (split.images, split.labels) for part, split in splits.items()}

    @cached_property
    def data(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """Images and labels of each part, on every device."""
        return parallel.place(self.mesh, self.arrays, parallel.REPLICATED)

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are CPU cores, whose memory is the host's."""
        return self.mesh.devices.flat[0].platform == "cpu"

    def chunk_size(self, trials_at_once: int | None) -> int:
        """Return how many trials are trained at once: so many, or as suits the devices."""
        devices = self.mesh.size
        trial_bytes = parallel.bytes_of(self._one_trial_each()) // devices
        room = hosts.first(parallel.room_for_trials, self.mesh.local_devices[0])
        return trials_at_once or parallel.chunk_size(self.job.trials, trial_bytes, devices, room)

    def fresh(self, trials_at_once: int | None) -> State:
        """Return the state of a sweep that has not begun."""
        job, size = self.job, self.chunk_size(trials_at_once)
        parts = [f"{part}_{name}" for part in self.arrays for name, _ in job.structure.metrics]
        shape = (job.trials, job.epochs + 1)
        values = {name: np.full(shape, np.nan, job.structure.dtype) for name in parts}
        kept = [
            np.zeros((job.trials if job.keep else 0, *leaf.shape[1:]), leaf.dtype)
            for leaf in jax.tree.leaves(train.evaluated(self._one_trial_each()))
        ]
        seconds = np.zeros((-(-job.trials // size), job.epochs))
        kept_epoch = np.zeros(job.trials, np.int32)
        return State(0, -1, size, [], values, kept, kept_epoch, seconds, 0.0)

    def stored_bytes(self) -> int:
        """Return the bytes of a state without a chunk's trials: metrics and kept networks."""
        numbers = 2 * len(self.job.structure.metrics) * (self.job.epochs + 1)
        kept = parallel.bytes_of(train.evaluated(self._one_trial_each())) // self.mesh.size
        each = numbers * np.dtype(self.job.structure.dtype).itemsize + bool(self.job.keep) * kept
        return self.job.trials * each

    def for_chunk(self, number: int, size: int) -> "Runner":
        """Return a runner for a chunk: this one, or one of fewer devices for fewer trials.

        CPU devices share the cores: one trial on one device may use them all, where a second device
        would train a copy of it that nobody looks at.
        """
        trials = min(size, self.job.trials - number * size)
        cores_shared = self.on_cpu and jax.process_count() == 1
        return Runner(self.job, trials) if cores_shared and trials < self.mesh.size else self

    def chunk(self, number: int, size: int) -> Chunk:
        """Return the trials of a chunk; the last trial is repeated up to a whole chunk.

        Not where there is a trial a device at most: the program for them is worth its compilation.
        """
        hyper, seeds = parallel.place(self.mesh, self._settings(number, size))
        first = number * size
        return Chunk(slice(first, min(first + size, self.job.trials)), hyper, seeds)

    def _settings(self, number: int, size: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Return the hyperparameters and seeds of a chunk, padded."""
        first, end = number * size, min((number + 1) * size, self.job.trials)
        devices = self.mesh.size
        padded = devices if end - first <= devices else -(-size // devices) * devices
        chosen = np.minimum(np.arange(first, first + padded), end - 1)
        hyper = {name: values[chosen] for name, values in self.job.hyper().items()}
        return hyper, self.job.trial_seeds()[chosen]

    def compiled(self, number: int, size: int) -> dict[str, jax.stages.Compiled]:
        """Return the compiled `Programs` of a chunk, by name.

        Nothing is put on a device for it, and a run then uses them.
        """
        (hyper, seeds), data = self._settings(number, size), self.arrays
        trials = jax.eval_shape(self.programs.init, hyper, seeds, data["train"][0])
        hyper, seeds, trials = parallel.shapes(self.mesh, (hyper, seeds, trials))
        data = parallel.shapes(self.mesh, data, parallel.REPLICATED)
        init, epoch, evaluate = self.programs
        lowered = {
            "init": init.lower(hyper, seeds, data["train"][0]),
            "epoch": epoch.lower(hyper, seeds, trials, np.int32(1), *data["train"]),
            "evaluate": evaluate.lower(hyper, trials, data),
        }
        return {name: program.compile() for name, program in lowered.items()}

    def start(self, chunk: Chunk, arrays: list[np.ndarray]) -> train.Trial:
        """Return a chunk's trials as initialised, or, if given, as a checkpoint holds them."""
        trials = self.programs.init(chunk.hyper, chunk.seeds, self.data["train"][0])
        if not arrays:
            return trials
        leaves, structure = jax.tree.flatten(trials)
        padded = np.minimum(np.arange(len(leaves[0])), len(chunk) - 1)
        stored = parallel.place(self.mesh, [array[padded] for array in arrays])
        return structure.unflatten(map(_like, leaves, stored))

    def run_epoch(self, chunk: Chunk, trials: train.Trial, epoch: int) -> train.Trial:
        """Return the trials after one more epoch."""
        images, labels = self.data["train"]
        return jax.block_until_ready(
            self.programs.epoch(chunk.hyper, chunk.seeds, trials, np.int32(epoch), images, labels)
        )

    def record(self, state: State, chunk: Chunk, trials: train.Trial, epoch: int) -> None:
        """Write the metrics of an epoch, and keep the networks that are now the ones to keep.

        A trial whose error is not finite holds NaN from here on.
        """
        found = hosts.gather(self.programs.evaluate(chunk.hyper, trials, self.data))
        found = {name: means[: len(chunk)] for name, means in found.items()}
        values = {name: array[chunk.trials] for name, array in state.values.items()}
        lost = ~np.isfinite(found["train_error"]) | ~np.isfinite(found["valid_error"])
        if epoch > 0:
            lost |= np.isnan(values["train_error"][:, epoch - 1])
        for name, means in found.items():
            values[name][:, epoch] = np.where(lost, np.nan, means)
        if self.job.keep:
            self._keep(state, chunk, trials, self._to_keep(values, epoch), epoch)

    def _to_keep(self, values: Mapping[str, np.ndarray], epoch: int) -> np.ndarray:
        """Return which trials of a chunk are kept as they are now: (trials,) bool.

        "best" is the highest validation accuracy, ties to the lower validation error;
        "lowest_error" the lowest error, ties to the higher accuracy.
        """
        if epoch == 0:
            return np.ones(len(values["valid_accuracy"]), bool)
        score, tie = values["valid_accuracy"], -values["valid_error"]
        if self.job.keep == "last":
            return ~np.isnan(score[:, epoch])
        if self.job.keep == "lowest_error":
            score, tie = tie, score
        now, before = score[:, epoch], score[:, :epoch]
        best = np.fmax.reduce(before, axis=1)
        ties = np.where(before == best[:, None], tie[:, :epoch], -np.inf)
        return (now > best) | ((now == best) & (tie[:, epoch] > ties.max(1)))

    def _keep(self, state: State, chunk: Chunk, trials, chosen: np.ndarray, epoch: int) -> None:
        rows = np.arange(chunk.trials.start, chunk.trials.stop)[chosen]
        leaves = hosts.gather(jax.tree.leaves(train.evaluated(trials))) if rows.size else []
        for kept, leaf in zip(state.kept, leaves, strict=False):
            kept[rows] = leaf[: len(chunk)][chosen]
        state.kept_epoch[rows] = epoch

    def networks(self, state: State) -> dict:
        """Return the kept networks' variables, their arrays leading with one axis over trials."""
        return jax.tree.structure(train.evaluated(self._one_trial_each())).unflatten(state.kept)

    def _one_trial_each(self) -> train.Trial:
        """Return the shapes of a chunk of one trial a device."""
        hyper = {name: np.resize(v, self.mesh.size) for name, v in self.job.hyper().items()}
        seeds = np.resize(self.job.trial_seeds(), self.mesh.size)
        return jax.eval_shape(self.programs.init, hyper, seeds, self.arrays["train"][0])


def arrays_of(trials: train.Trial, chunk: Chunk) -> list[np.ndarray]:
    """Return the arrays of a chunk's trials on the host, padding left out."""
    leaves = [jax.random.key_data(a) if _is_key(a) else a for a in jax.tree.leaves(trials)]
    return [np.asarray(leaf)[: len(chunk)] for leaf in hosts.gather(leaves)]


def _like(leaf: jax.Array, array: jax.Array) -> jax.Array:
    """Return a stored array as what it was: random keys have a type of their own."""
    if _is_key(leaf):
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
    return array


def _is_key(leaf: jax.Array) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
