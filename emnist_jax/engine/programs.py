"""Trials in parallel: the functions of `train`, mapped over trials and spread over devices.

The trial axis leads every array of a trial. Each device trains its own trials: the data are
replicated, and nothing is communicated until metrics are read. All trials share the order of the
minibatches, so the first layer of all of a device's trials is one matrix product.
"""

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from emnist_jax import train
from emnist_jax.rules import Rule

UNKNOWN_MEMORY = 8 * 2**30  # where no one tells it
TRIALS, REPLICATED = PartitionSpec("trials"), PartitionSpec()
ORDER_SEED = 0
# Of XLA on a CPU: wide vectors, and no copy of the weights in a step where none is needed.
_CPU_OPTIONS = {
    "xla_cpu_prefer_vector_width": 512,
    "xla_cpu_copy_insertion_use_region_analysis": True,
}


class Programs(NamedTuple):
    """The compiled functions of one sweep; numbers of the grid are arguments, never constants."""

    init: Callable  # (hyper, seeds, images) -> trials
    epoch: Callable  # (hyper, seeds, trials, epoch, images, labels) -> trials, old ones donated
    evaluate: Callable  # (hyper, trials, {part: (images, labels)}) -> {part_metric: (trials,)}


class Structure(NamedTuple):
    """What a sweep is compiled for: everything about it that is not a number on an axis."""

    model: nn.Module
    rule: Rule
    batch_size: int
    evaluation_batch: int
    metrics: tuple[tuple[str, train.Metric], ...]
    dtype: str


def trial_mesh(devices: int | None = None) -> Mesh:
    """Return a mesh of the first `devices` devices of all hosts (default: all), axis `trials`."""
    found = jax.devices()[:devices]
    return jax.make_mesh((len(found),), ("trials",), (AxisType.Auto,), devices=found)


def place(mesh: Mesh, tree, spec: PartitionSpec = TRIALS):
    """Return a tree of numpy arrays on the mesh: split by trials, or replicated.

    Every host holds them whole, and puts on its own devices what belongs there.
    """
    sharding = NamedSharding(mesh, spec)

    def one(array):
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(one, tree)


def shapes(mesh: Mesh, tree, spec: PartitionSpec = TRIALS):
    """Return what `place` would give, without the arrays: enough to compile for."""
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree)


@lru_cache(maxsize=32)
def programs(structure: Structure, mesh: Mesh) -> Programs:
    """Return the compiled functions of a structure, the same ones every time it is asked for."""
    _, _, batch_size, evaluation_batch, metrics, dtype = structure

    def init(hyper, seeds, images):
        def one(hyper, seed):
            return train.init(*build(structure, hyper), seed, images, dtype)

        return jax.vmap(one)(hyper, seeds)

    def epoch(hyper, seeds, trials, number, images, labels):
        images, labels = minibatches(images, labels, batch_size, number)

        def one(hyper, seed, trial):
            key = train.key_for(seed, train.DROPOUT, number)
            return train.epoch(*build(structure, hyper), trial, images, labels, key)

        return jax.vmap(one)(hyper, seeds, trials)

    def evaluate(hyper, trials, parts):
        def one(hyper, trial):
            model, _ = build(structure, hyper)
            means = {
                part: train.evaluate(model, trial, *arrays, evaluation_batch, dict(metrics))
                for part, arrays in parts.items()
            }
            return {f"{part}_{name}": v for part in means for name, v in means[part].items()}

        return jax.vmap(one)(hyper, trials)

    def compiled(function, in_specs, **options):
        mapped = jax.shard_map(
            function, mesh=mesh, in_specs=in_specs, out_specs=TRIALS, check_vma=False
        )
        cpu = mesh.devices.flat[0].platform == "cpu"
        return jax.jit(mapped, compiler_options=_cpu_options() if cpu else None, **options)

    return Programs(
        compiled(init, (TRIALS, TRIALS, REPLICATED)),
        compiled(
            epoch, (TRIALS, TRIALS, TRIALS, REPLICATED, REPLICATED, REPLICATED), donate_argnums=2
        ),
        compiled(evaluate, (TRIALS, TRIALS, REPLICATED)),
    )


@cache
def _cpu_options() -> dict[str, int | bool]:
    """Return those of `_CPU_OPTIONS` that this version of XLA knows."""
    known = {}
    for name, value in _CPU_OPTIONS.items():
        try:
            jax.jit(lambda x: x, compiler_options={name: value}).lower(0.0).compile()
        except jax.errors.JaxRuntimeError:
            continue
        known[name] = value
    return known


def build(structure: Structure, hyper: Mapping[str, jax.Array | float]):
    """Return the model and the optax transformation of one setting of hyperparameters."""
    fields = structure.model.__dataclass_fields__
    chosen = {name: value for name, value in hyper.items() if name in fields}
    rest = {name: value for name, value in hyper.items() if name not in fields}
    return structure.model.clone(**chosen), structure.rule(**rest)


def minibatches(images: jax.Array, labels: jax.Array, batch_size: int, epoch):
    """Return all images in this epoch's order as (steps, batch, ...); a partial batch is dropped.

    The order depends on the number of the epoch alone.
    """
    order = jax.random.permutation(
        train.key_for(ORDER_SEED, train.ORDER, epoch), len(labels), independent=False
    )
    steps = len(labels) // batch_size
    order = order[: steps * batch_size]
    return (a[order].reshape(steps, batch_size, *a.shape[1:]) for a in (images, labels))


def chunk_size(trials: int, trial_bytes: int, devices: int, room: int) -> int:
    """Return how many trials to train at once: a multiple of `devices`.

    The trials of one device must fit in `room` bytes (see `room_for_trials`). Within that, their
    number decides how many trials pad the last chunk (none where there is one a device at most),
    and how often the data are shuffled (about 15 % of the time of one trial, measured on a CPU).
    The cheapest number by this count is taken.
    """
    most = max(1, min(room // trial_bytes, -(-trials // devices)))

    def cost(each):
        whole, left = divmod(trials, each * devices)
        last = [1 if left <= devices else each] if left else []
        return sum(trained + 0.15 for trained in [each] * whole + last)

    return min(range(1, most + 1), key=lambda each: (cost(each), -each)) * devices


def room_for_trials(device: jax.Device) -> int:
    """Return the bytes that the parameters and optimiser states of one device's trials may take.

    On a CPU they should stay in its cache: 5 MiB was fastest of what was measured. Elsewhere
    gradients, activations and copies take several times as much again, so a tenth of the memory.
    """
    if device.platform == "cpu":
        return 5 * 2**20
    return memory_of(device) // 10


def memory_of(device: jax.Device) -> int:
    """Return the bytes of memory of a device; CPU devices share the machine's, or their group's."""
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit", UNKNOWN_MEMORY)
    return host_memory() // jax.local_device_count()


def host_memory() -> int:
    """Return the bytes of memory of this machine, or of the group its processes are held to."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except AttributeError:  # Windows
        memory = UNKNOWN_MEMORY
    return min([memory, *_group_limits()])


def _group_limits(root: Path = Path("/")) -> list[int]:
    """Return the limits of memory of this process's control group and of those around it (Linux).

    Each of them holds. Version 2 has one tree of groups, version 1 one for memory alone.
    """
    limits, tree = [], root / "sys/fs/cgroup"
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            file = "memory.limit_in_bytes" if controllers else "memory.max"
            groups = tree / controllers / path.lstrip("/")
            for folder in (groups, *groups.parents):
                with suppress(OSError, ValueError):  # no such group here, or "max"
                    limits.append(int((folder / file).read_text()))
    return limits


def bytes_of(tree) -> int:
    """Return the bytes of the arrays of a tree (abstract ones too)."""
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
