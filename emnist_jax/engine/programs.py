"""Trials in parallel: the functions of `train`, mapped over trials and spread over devices.

Trials lie in rows of `k`: the trials of a row share their minibatches, so their first layer is one
matrix product; rows have orders of their own. Two nested `vmap`s map over rows and over the trials
of a row. Each device trains its own rows: the data are replicated, and nothing is communicated
until metrics are read.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import cache, lru_cache, partial
from typing import NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from emnist_jax import rules, train, watch
from emnist_jax.models import model_fields

ROWS, REPLICATED = PartitionSpec("rows"), PartitionSpec()
_OPTIONS = {  # of XLA, by platform
    # Wide vectors, and no copy of the weights in a step where none is needed.
    "cpu": {
        "xla_cpu_prefer_vector_width": 512,
        "xla_cpu_copy_insertion_use_region_analysis": True,
    },
    # No products in parts that are summed afterwards: a ConvNet's weights are copied for them.
    "gpu": {"xla_gpu_experimental_force_split_k": 1},
}


class Programs(NamedTuple):
    """The compiled functions of one sweep; numbers of the grid are arguments, never constants.

    `hyper` and `seeds` are (rows, k), `orders` (rows,): the seed of each row's minibatch order.
    """

    init: Callable  # (hyper, seeds) -> trials
    epoch: Callable  # (hyper, seeds, orders, trials, epoch, images, labels) -> trials; old donated
    evaluate: Callable  # (hyper, trials, {part: (images, labels)}) -> {part_metric: (rows, k)}


class Evaluation(NamedTuple):
    """A model to evaluate trials with: the one in training, or another of the same variables."""

    suffix: str  # of the names of its metrics
    model: nn.Module
    batch: int  # images evaluated at once


class Structure(NamedTuple):
    """What a sweep is compiled for: everything about it that is not a number on an axis."""

    model: nn.Module
    rule: rules.Rule
    pixels: train.Pixels
    batch_size: int
    evaluations: tuple[Evaluation, ...]
    metrics: tuple[tuple[str, train.Metric], ...]
    watch: tuple[str, ...]  # what of the training is in the curves too
    precision: str  # of matrix products, as `jax.default_matmul_precision` has it
    program: str = ""  # what the functions above make now, see `identity`: they may change


def row_mesh(devices: int | None = None) -> Mesh:
    """Return a mesh of the first `devices` devices of all hosts (default: all), axis `rows`."""
    found = jax.devices()[:devices]
    return jax.make_mesh((len(found),), ("rows",), (AxisType.Auto,), devices=found)


def place(mesh: Mesh, tree, spec: PartitionSpec = ROWS):
    """Return a tree of numpy arrays on the mesh: split by rows, or replicated.

    Every host holds them whole, and puts on its own devices what belongs there.
    """
    sharding = NamedSharding(mesh, spec)

    def one(array):
        return jax.make_array_from_callback(array.shape, sharding, lambda index: array[index])

    return jax.tree.map(one, tree)


def shapes(mesh: Mesh, tree, spec: PartitionSpec = ROWS):
    """Return what `place` would give, without the arrays: enough to compile for."""
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=sharding), tree)


def numbers(structure: Structure, names: Iterable[str]) -> dict[str, jax.ShapeDtypeStruct]:
    """Return hyperparameters of these names without their values."""
    return {name: jax.ShapeDtypeStruct((), structure.pixels.dtype) for name in names}


@lru_cache(maxsize=32)
def trial_shapes(structure: Structure, names: tuple[str, ...]) -> train.Trial:
    """Return the shapes of one trial's arrays, given the names of its hyperparameters."""

    def one(hyper):
        return train.init(*build(structure, hyper), structure.pixels, 0)

    return jax.eval_shape(one, numbers(structure, names))


def trial_axes(structure: Structure, names: tuple[str, ...]) -> train.Trial:
    """Return for each array of a trial the axis, 0 or 1, that the trials of a row lie along.

    It is the second for arrays whose leading size is that of the flattened image: the weights that
    are multiplied by the images which a row shares, and the optimiser's arrays of their shape. That
    product, (batch, pixels) times (pixels, k * units), then needs no transposed copy.
    """
    pixels = np.prod(structure.pixels.shape)

    def axis(leaf):
        return int(leaf.ndim > 1 and leaf.shape[0] == pixels)

    return jax.tree.map(axis, trial_shapes(structure, names))


@lru_cache(maxsize=32)
def programs(structure: Structure, mesh: Mesh, names: tuple[str, ...]) -> Programs:
    """Return the compiled functions of a structure and of hyperparameters of these names."""
    pixels, batch_size = structure.pixels, structure.batch_size
    axes = trial_axes(structure, names)

    def init(hyper, seeds):
        def one(hyper, seed):
            return train.init(*build(structure, hyper), pixels, seed)

        return jax.vmap(jax.vmap(one, out_axes=axes))(hyper, seeds)

    def epoch(hyper, seeds, orders, trials, number, images, labels):
        images, labels = minibatches(images, labels, batch_size, orders, number)

        def one(hyper, seed, trial, at, images, labels):
            key = jax.random.fold_in(train.key_for(seed, train.DROPOUT, number), at)
            return train.step(*build(structure, hyper), trial, pixels.scaled(images), labels, key)

        row = jax.vmap(one, in_axes=(0, 0, axes, None, None, None), out_axes=axes)
        update = jax.vmap(row, in_axes=(0, 0, 0, None, 0, 0))
        if structure.watch:
            trials = jax.vmap(jax.vmap(watch.begin, (axes,), axes))(trials)
        return train.epoch(partial(update, hyper, seeds), trials, images, labels)

    def evaluate(hyper, trials, parts):
        # All trials see the same images, whatever row they are in.
        rows = len(jax.tree.leaves(hyper)[0])
        trials = jax.tree.map(_joined, trials, axes)
        hyper = {name: values.reshape(-1) for name, values in hyper.items()}
        metrics = dict(structure.metrics)
        found = jax.vmap(watch.means, (axes,))(trials) if structure.watch else {}
        for suffix, model, batch in structure.evaluations:

            def one(hyper, trial, images, labels, model=model):
                own = with_fields(structure, model, hyper)
                return train.batch_sums(own, pixels, trial, images, labels, metrics)

            sums = partial(jax.vmap(one, in_axes=(0, axes, None, None)), hyper, trials)
            for part, (images, labels) in parts.items():
                totals = train.all_sums(sums, images, labels, batch)
                means = jax.vmap(train.means, (0, None))(totals, labels)
                found |= {f"{part}_{name}{suffix}": mean for name, mean in means.items()}
        return jax.tree.map(lambda means: means.reshape(rows, -1), found)

    def compiled(function, in_specs, **options):
        def precise(*args):
            with jax.default_matmul_precision(structure.precision):
                return function(*args)

        mapped = jax.shard_map(
            precise, mesh=mesh, in_specs=in_specs, out_specs=ROWS, check_vma=False
        )
        return jax.jit(mapped, compiler_options=_known_options(mesh), **options)

    each = ROWS, ROWS, ROWS, ROWS, REPLICATED, REPLICATED, REPLICATED
    return Programs(
        compiled(init, (ROWS, ROWS)),
        compiled(epoch, each, donate_argnums=3),
        compiled(evaluate, (ROWS, ROWS, REPLICATED)),
    )


def _joined(leaf: jax.Array, axis: int) -> jax.Array:
    """Return (rows, k, ...) as (rows * k, ...), the trials along `axis` of the result."""
    leaf = jax.numpy.moveaxis(leaf, 0, axis)
    return leaf.reshape(*leaf.shape[:axis], -1, *leaf.shape[axis + 2 :])


@cache
def _known_options(mesh: Mesh) -> dict[str, int | bool]:
    """Return those of `_OPTIONS` that the XLA of these devices knows."""
    known, number = {}, shapes(mesh, jax.ShapeDtypeStruct((), "float32"), REPLICATED)
    for name, value in _OPTIONS.get(mesh.devices.flat[0].platform, {}).items():
        try:
            jax.jit(lambda x: x, compiler_options={name: value}).lower(number).compile()
        except jax.errors.JaxRuntimeError:
            continue
        known[name] = value
    return known


def build(structure: Structure, hyper: Mapping[str, jax.Array | float]):
    """Return the model and the optax transformation of one setting of hyperparameters.

    A name that both have goes to both.
    """
    arguments, fields = rules.hyperparameters(structure.rule), model_fields(structure.model)
    own = {name: hyper[name] for name in hyper if name in arguments or name not in fields}
    rule = structure.rule(**own)
    if structure.watch and hasattr(rule, "update"):
        rule = watch.watched(rule, structure.watch)
    return with_fields(structure, structure.model, hyper), rule


def with_fields(
    structure: Structure, model: nn.Module, hyper: Mapping[str, jax.Array | float]
) -> nn.Module:
    """Return the model, or a variant of it, with the fields set that are hyperparameters."""
    names = model_fields(structure.model) & set(hyper) & set(model.__dataclass_fields__)
    return model.clone(**{name: hyper[name] for name in names})


def minibatches(images: jax.Array, labels: jax.Array, batch_size: int, orders, epoch):
    """Return images and labels as (steps, rows, batch, ...), each row in an order of its own.

    The order depends on the row's seed of `orders` (rows,) and the number of the epoch alone. What
    is left over of the images makes no minibatch.
    """

    def shuffled(seed):
        key = train.key_for(seed, train.ORDER, epoch)
        return jax.random.permutation(key, len(labels), independent=False)

    steps = len(labels) // batch_size
    order = jax.vmap(shuffled)(orders)[:, : steps * batch_size]
    order = order.reshape(len(orders), steps, batch_size).swapaxes(0, 1)
    return images[order], labels[order]
