"""A sweep on the devices: chunks of trials placed, trained, evaluated, and brought back."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import jax
import numpy as np
from jax.sharding import Mesh

from emnist_jax import hosts, train
from emnist_jax.engine import programs
from emnist_jax.engine.job import Job
from emnist_jax.engine.layout import Room, layout
from emnist_jax.engine.memory import bytes_of, room_for_trials
from emnist_jax.store.checkpoint import State


@dataclass(frozen=True)
class Chunk:
    """Trials trained at once, in rows; padding repeats trials."""

    trials: np.ndarray  # their numbers, ascending
    places: np.ndarray  # where each lies in the flattened rows
    rows: np.ndarray  # (rows, k) positions in `trials`
    hyper: Mapping[str, jax.Array]  # (rows, k)
    seeds: jax.Array  # (rows, k)
    orders: jax.Array  # (rows,)

    def __len__(self) -> int:
        return len(self.trials)


class Runner:
    """Holds what all chunks of a sweep share: the data on the devices and the compiled programs."""

    def __init__(self, job: Job, devices: int | Mesh | None = None):
        self.job = job
        self.mesh = devices if isinstance(devices, Mesh) else programs.row_mesh(devices)
        structure, names = job.structure, tuple(job.hyper)
        self.programs = programs.programs(structure, self.mesh, names)
        self.axes = programs.trial_axes(structure, names)
        self.trial = programs.trial_shapes(structure, names)
        splits = {"train": job.data.train, "valid": job.data.valid}
        self.arrays = {
            part: (split.images.reshape(len(split), -1), split.labels)
            for part, split in splits.items()
        }

    @cached_property
    def data(self) -> dict[str, tuple[jax.Array, jax.Array]]:
        """Flat images and labels of each part, on every device."""
        return programs.place(self.mesh, self.arrays, programs.REPLICATED)

    @property
    def on_cpu(self) -> bool:
        """Whether the devices are CPU cores, whose memory is the host's."""
        return self.mesh.devices.flat[0].platform == "cpu"

    def layout(self, trials_at_once: int | None = None, todo: np.ndarray | None = None) -> list:
        """Return the chunks in which the trials `todo` (settings, seeds; default all) are trained.

        So many are trained at once, or as many as suit the devices.
        """
        job, devices = self.job, self.mesh.size
        todo = np.ones((len(job.grid.settings), len(job.seeds)), bool) if todo is None else todo
        room = hosts.first(room_for_trials, self.mesh.local_devices[0], bytes_of(self.trial))
        if trials_at_once is not None:
            devices = min(devices, trials_at_once)
            room = Room(trials_at_once // devices, trials_at_once // devices, room.launch)
        updates = job.epochs * (len(job.data.train) // job.structure.batch_size)
        return layout(todo, devices, room, updates, by_seed=job.order == "seed")

    def fresh(self, chunks: list[np.ndarray]) -> State:
        """Return the state of a sweep of these chunks that has not begun."""
        job = self.job
        shape = (job.trials, job.epochs + 1)
        values = {name: np.full(shape, np.nan, job.metric_dtype) for name in job.variables}
        kept = [
            np.zeros((job.trials, job.kept_each, *leaf.shape), leaf.dtype)
            for leaf in jax.tree.leaves(train.evaluated(self.trial))
        ]
        kept_epoch = np.zeros((job.trials, job.kept_each), np.int32)
        seconds = np.full((len(chunks), job.epochs), np.nan)
        begun = np.full(len(chunks), -1)
        return State(0, -1, chunks, begun, [], values, kept, kept_epoch, seconds, 0.0)

    def stored_bytes(self) -> int:
        """Return the bytes of a state without a chunk's trials: metrics and kept networks."""
        job = self.job
        numbers = len(job.variables) * (job.epochs + 1) * job.metric_dtype.itemsize
        kept = bytes_of(train.evaluated(self.trial)) * job.kept_each
        return job.trials * (numbers + kept)

    def for_chunk(self, trials: np.ndarray) -> "Runner":
        """Return a runner for a chunk: this one, or one of fewer devices for fewer rows.

        CPU devices share the cores: one row on one device may use them all, where a second device
        would train a copy of it for nothing. All hosts take part in every chunk.
        """
        alone = jax.process_count() == 1 and len(trials) < self.mesh.size
        return Runner(self.job, len(trials)) if alone else self

    def chunk(self, trials: np.ndarray) -> Chunk:
        """Return a chunk of trials (rows, k); its last row is repeated to a row a device."""
        padded, hyper, seeds, orders = self._numbers(trials)
        unique, places, positions = np.unique(padded, return_index=True, return_inverse=True)
        placed = programs.place(self.mesh, (hyper, seeds, orders))
        return Chunk(unique, places, positions.reshape(padded.shape), *placed)

    def _numbers(self, trials: np.ndarray) -> tuple[np.ndarray, dict, np.ndarray, np.ndarray]:
        """Return the padded rows of a chunk, their hyperparameters, seeds and orders."""
        devices = self.mesh.size
        whole = -(-len(trials) // devices) * devices
        trials = trials[np.minimum(np.arange(whole), len(trials) - 1)]
        hyper = {name: values[trials] for name, values in self.job.hyper.items()}
        seeds = self.job.trial_seeds[trials]
        by_seed = self.job.order == "seed"
        orders = seeds[:, 0] if by_seed else np.full(whole, self.job.order, np.int32)
        return trials, hyper, seeds, orders

    def compiled(self, trials: np.ndarray) -> dict[str, jax.stages.Compiled]:
        """Return the compiled `Programs` of a chunk, by name.

        Nothing is put on a device for it, and a run then uses them.
        """
        _, *numbers = self._numbers(trials)
        init, epoch, evaluate = self.programs
        states = jax.eval_shape(init, *numbers[:2])
        hyper, seeds, orders, states = programs.shapes(self.mesh, (*numbers, states))
        data = programs.shapes(self.mesh, self.arrays, programs.REPLICATED)
        lowered = {
            "init": init.lower(hyper, seeds),
            "epoch": epoch.lower(hyper, seeds, orders, states, np.int32(1), *data["train"]),
            "evaluate": evaluate.lower(hyper, states, data),
        }
        return {name: program.compile() for name, program in lowered.items()}

    def start(self, chunk: Chunk, arrays: list[np.ndarray]) -> train.Trial:
        """Return a chunk's trials as initialised, or, if given, as a checkpoint holds them."""
        trials = self.programs.init(chunk.hyper, chunk.seeds)
        if not arrays:
            return trials
        leaves, structure = jax.tree.flatten(trials)
        axes = structure.flatten_up_to(self.axes)
        rows = [
            np.moveaxis(a[chunk.rows], 1, 1 + axis) for a, axis in zip(arrays, axes, strict=True)
        ]
        return structure.unflatten(map(_like, leaves, programs.place(self.mesh, rows)))

    def arrays_of(self, trials: train.Trial, chunk: Chunk) -> list[np.ndarray]:
        """Return the arrays of a chunk's trials on the host, (trials, ...), without padding."""
        leaves = [jax.random.key_data(a) if _is_key(a) else a for a in jax.tree.leaves(trials)]
        axes = jax.tree.structure(trials).flatten_up_to(self.axes)
        return [
            _by_trial(array, axis)[chunk.places]
            for array, axis in zip(hosts.gather(leaves), axes, strict=True)
        ]

    def run_epoch(self, chunk: Chunk, trials: train.Trial, epoch: int) -> train.Trial:
        """Return the trials after one more epoch."""
        data, number = self.data["train"], np.int32(epoch)
        return jax.block_until_ready(
            self.programs.epoch(chunk.hyper, chunk.seeds, chunk.orders, trials, number, *data)
        )

    def record(self, state: State, chunk: Chunk, trials: train.Trial, epoch: int) -> None:
        """Write the metrics of an epoch, and keep the networks that are now the ones to keep.

        A trial whose error is not finite holds NaN from here on.
        """
        found = hosts.gather(self.programs.evaluate(chunk.hyper, trials, self.data))
        found = {name: np.ravel(means)[chunk.places] for name, means in found.items()}
        values = {name: array[chunk.trials] for name, array in state.values.items()}
        lost = ~np.isfinite(found["train_error"]) | ~np.isfinite(found["valid_error"])
        if epoch > 0:
            lost |= np.isnan(values["train_error"][:, epoch - 1])
        for name, means in found.items():
            values[name][:, epoch] = means = np.where(lost, np.nan, means)
            state.values[name][chunk.trials, epoch] = means
        if self.job.keep:
            self._keep(state, chunk, trials, self._to_keep(values, epoch), epoch)

    def _to_keep(self, values: Mapping[str, np.ndarray], epoch: int) -> np.ndarray:
        """Return which trials of a chunk are kept as they are now: (trials,) bool.

        "best" is the highest validation accuracy, ties to the lower validation error;
        "lowest_error" the lowest error, ties to the higher accuracy.
        """
        score, tie = values["valid_accuracy"], -values["valid_error"]
        if isinstance(self.job.keep, tuple):
            return np.full(len(score), epoch in self.job.keep)
        if epoch == 0:
            return np.ones(len(score), bool)
        if self.job.keep == "last":
            return ~np.isnan(score[:, epoch])
        if self.job.keep == "lowest_error":
            score, tie = tie, score
        now, before = score[:, epoch], score[:, :epoch]
        best = np.fmax.reduce(before, axis=1)
        ties = np.where(before == best[:, None], tie[:, :epoch], -np.inf)
        return (now > best) | ((now == best) & (tie[:, epoch] > ties.max(1)))

    def _keep(self, state: State, chunk: Chunk, trials, chosen: np.ndarray, epoch: int) -> None:
        if not chosen.any():
            return
        place = self.job.keep.index(epoch) if isinstance(self.job.keep, tuple) else 0
        rows = chunk.trials[chosen]
        axes = jax.tree.leaves(train.evaluated(self.axes))
        leaves = hosts.gather(jax.tree.leaves(train.evaluated(trials)))
        for kept, leaf, axis in zip(state.kept, leaves, axes, strict=True):
            kept[rows, place] = _by_trial(leaf, axis)[chunk.places[chosen]]
        state.kept_epoch[rows, place] = epoch

    def networks(self, state: State) -> dict:
        """Return the kept networks' variables, their arrays leading with one axis over networks."""
        flat = [array.reshape(-1, *array.shape[2:]) for array in state.kept]
        return jax.tree.structure(train.evaluated(self.trial)).unflatten(flat)


def _by_trial(leaf: np.ndarray, axis: int) -> np.ndarray:
    """Return (rows, ..., k, ...), the trials along `axis` of a row, as (rows * k, ...)."""
    leaf = np.moveaxis(leaf, 1 + axis, 1)
    return leaf.reshape(-1, *leaf.shape[2:])


def _like(leaf: jax.Array, array: jax.Array) -> jax.Array:
    """Return a stored array as what it was: random keys have a type of their own."""
    if _is_key(leaf):
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
    return array


def _is_key(leaf: jax.Array) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
