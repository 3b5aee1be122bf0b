"""Do model, rule, metrics and data fit together? One step of one trial, traced but not computed."""

import itertools
import traceback
from collections.abc import Iterable
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from emnist_jax import rules, train
from emnist_jax.data import Dataset
from emnist_jax.engine import programs
from emnist_jax.errors import InputError
from emnist_jax.models import describe
from emnist_jax.store.identity import identity

_NOT_HERE = {
    nn.meta.AxisMetadata: "the model names axes of its arrays for devices (nn.with_partitioning), "
    "but each network lies on one: leave the names out",
    optax.LookaheadState: "optax.lookahead takes pairs of parameters, which no model here has: "
    "give another rule",
}


def program(structure: programs.Structure, names: Iterable[str], data: Dataset) -> str:
    """Return the identity of a step and an evaluation of one trial, traced but not computed.

    Parts that do not fit together, or to the data are an `InputError`.
    """
    model, batch, classes = structure.model, structure.batch_size, len(data.classes)
    what = f"{describe(model)} with {rules.name_of(structure.rule)}"
    try:
        hash(structure)
    except TypeError:
        raise InputError(
            f"{what}: a field of the model, or the rule, is an array, a list or a mapping; give "
            "numbers, text, tuples or functions, and read an array where it is used"
        ) from None
    sizes = {one.suffix: _sizes(one.batch, data) for one in structure.evaluations}
    most = max(batch, *itertools.chain(*sizes.values()))
    images = jax.ShapeDtypeStruct((most, int(np.prod(structure.pixels.shape))), jnp.uint8)
    labels = jax.ShapeDtypeStruct((most,), jnp.int32)
    seed = jax.ShapeDtypeStruct((), jnp.int32)

    def once(hyper, images, labels, seed):
        own_model, rule = programs.build(structure, hyper)
        if not (hasattr(rule, "init") and hasattr(rule, "update")):
            name, given = rules.name_of(structure.rule), type(rule).__name__
            raise InputError(f"{name} returns {given}; a rule returns a transformation of optax")
        before = train.init(own_model, rule, structure.pixels, seed)
        _check_leaves(before)
        changed = rule.update(before.params, before.opt_state, before.params)
        if not isinstance(changed, tuple) or len(changed) != 2:
            name = rules.name_of(structure.rule)
            raise InputError(f"{name}: its update must return a pair, (updates, state)")
        x, key = structure.pixels.scaled(images), jax.random.key(seed)
        trial = train.step(own_model, rule, before, x[:batch], labels[:batch], key)
        _check_types(before, trial)
        variables, found = train.evaluated(trial), []
        for one in structure.evaluations:
            own = programs.with_fields(structure, one.model, hyper)
            for n in sizes[one.suffix]:
                logits = train.at_least_float32(own.apply(variables, x[:n]))
                if logits.shape != (n, classes):
                    raise InputError(
                        f"{describe(one.model)} gives outputs of shape {logits.shape} for {n} "
                        f"images of {classes} classes; it must give ({n}, {classes})"
                    )
                for name, metric in structure.metrics:
                    values = _measured(name, metric, logits, labels[:n])
                    found.append(train.summed(metric, values, labels[:n], classes))
        return before, trial, found

    try:
        return identity(once, programs.numbers(structure, names), images, labels, seed)
    except InputError:
        raise
    except Exception as error:  # the caller's own code raises whatever it likes
        raise InputError(
            f"{what} cannot take a step on images of "
            f"{'x'.join(map(str, structure.pixels.shape))}: {_reason(error)}"
        ) from error


def _sizes(batch: int, data: Dataset) -> list[int]:
    """Return the numbers of images that are evaluated at once: a batch, and what is left over."""
    counts = len(data.train), len(data.valid)
    return sorted({size for n in counts for size in (min(batch, n), n % batch)} - {0})


def _check_leaves(trial: train.Trial) -> None:
    """Refuse what cannot be trained here, in terms of its own."""
    for leaf in jax.tree.leaves(trial, is_leaf=lambda leaf: isinstance(leaf, (*_NOT_HERE,))):
        for kind, reason in _NOT_HERE.items():
            if isinstance(leaf, kind):
                raise InputError(reason)


def _check_types(before: train.Trial, after: train.Trial) -> None:
    """Refuse a trial that is of another structure, or of other types, after an update."""
    if jax.tree.structure(before) != jax.tree.structure(after):
        raise InputError("the state is of another structure after an update; keep it as it begins")
    pairs = jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after)
    for (path, one), other in zip(*pairs, strict=True):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            raise InputError(
                f"{jax.tree_util.keystr(path)} is {one.dtype}{one.shape} before an update and "
                f"{other.dtype}{other.shape} after it; keep its type"
            )


def _measured(name: str, metric: train.Metric, logits: jax.Array, labels: jax.Array) -> jax.Array:
    """Return a metric of traced logits; refuse one that does not return one number per image."""
    try:
        values = metric(logits, labels)
    except Exception as error:  # the caller's own code raises whatever it likes
        raise InputError(
            f"metrics: {name} cannot be called as {name}(logits, labels), with shapes "
            f"{logits.shape} and {labels.shape}: {_reason(error)}"
        ) from error
    shape = getattr(values, "shape", None)
    if shape != labels.shape:
        given = f"shape {shape}" if shape is not None else type(values).__name__
        raise InputError(f"metrics: {name} gives {given}, not one number an image {labels.shape}")
    if jnp.iscomplexobj(values):
        raise InputError(f"metrics: {name} gives complex numbers; give a real one an image")
    return values


def _reason(error: Exception) -> str:
    if isinstance(error, jax.errors.JAXTypeError):
        frames = traceback.extract_tb(error.__traceback__)
        if any(Path(frame.filename).name == "stochastic.py" for frame in frames):  # Flax's Dropout
            return "Flax's Dropout takes no rate of the grid: use emnist_jax.layers.dropout"
        return (
            "something in Python (an if, a shape, a float()) depends on a number that is traced, a "
            "hyperparameter or an activation: use jnp.where, or for a learning rate ej.schedules"
        )
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
