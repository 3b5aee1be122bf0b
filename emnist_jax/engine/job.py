"""A sweep checked against its data, before anything is computed or written."""

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from emnist_jax import rules, train
from emnist_jax.adapters import Other, adapted
from emnist_jax.data import Dataset
from emnist_jax.engine import programs
from emnist_jax.engine.grid import Grid, check_seeds, make_grid
from emnist_jax.engine.sweep import Sweep
from emnist_jax.errors import InputError, check_count, nearest
from emnist_jax.models import ConvNet, describe
from emnist_jax.store.fingerprint import LIBRARIES, installed, own_code, package_code

EVALUATION_BATCH, CONV_EVALUATION_BATCH = 500, 100  # the fastest on a CPU, measured
KEEP = ("best", "lowest_error", "last")
PRECISIONS = ("default", "high", "highest", "bfloat16", "tensorfloat32", "float32")
METRICS = {"error": train.cross_entropy, "accuracy": train.accuracy}


@dataclass(frozen=True)
class Job:
    """A checked sweep with its data: what is trained, on what, for how long.

    Trials are numbered over settings, then seeds.
    """

    data: Dataset
    structure: programs.Structure
    rule_name: str
    grid: Grid
    seeds: np.ndarray
    epochs: int
    order: str | int
    keep: str | tuple[int, ...] | None

    @property
    def trials(self) -> int:
        """Return the number of trials: settings times seeds."""
        return len(self.grid.settings) * len(self.seeds)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the trials along each dimension of the grid, and along `seed`."""
        return (*self.grid.shape, len(self.seeds))

    @property
    def dims(self) -> tuple[str, ...]:
        """Return the names of those dimensions."""
        return (*self.grid.dims, "seed")

    @property
    def coords(self) -> dict:
        """Return the labels of those dimensions."""
        return {**self.grid.coords, "seed": ("seed", self.seeds)}

    @property
    def variables(self) -> list[str]:
        """Return the names of the variables of the curves."""
        structure = self.structure
        return [
            f"{part}_{name}{one.suffix}"
            for one in structure.evaluations
            for part in ("train", "valid")
            for name, _ in structure.metrics
        ]

    @property
    def metric_dtype(self) -> np.dtype:
        """Return the type of their numbers, see `train.evaluate`."""
        return np.promote_types(self.structure.pixels.dtype, np.float32)

    @property
    def kept_each(self) -> int:
        """Return the number of networks that are kept of a trial."""
        return len(self.keep) if isinstance(self.keep, tuple) else int(self.keep is not None)

    @cached_property
    def hyper(self) -> dict[str, np.ndarray]:
        """Return each hyperparameter as (trials,)."""
        names = self.grid.settings[0]
        columns = {name: [setting[name] for setting in self.grid.settings] for name in names}
        return {
            name: np.repeat(np.asarray(values, self.structure.pixels.dtype), len(self.seeds))
            for name, values in columns.items()
        }

    @cached_property
    def trial_seeds(self) -> np.ndarray:
        """Return the seed of each trial."""
        return np.tile(self.seeds, len(self.grid.settings))

    @cached_property
    def configuration(self) -> dict[str, object]:
        """Return what decides the curves, as plain values."""
        structure = self.structure
        return {
            "batch_size": structure.batch_size,
            "code": package_code(),
            "data": self.data.name,
            "data_hash": self.data.hash,
            "dims": list(self.dims),
            "dtype": structure.pixels.dtype,
            "epochs": self.epochs,
            "evaluation_batch": structure.evaluations[0].batch,
            "keep": list(self.keep) if isinstance(self.keep, tuple) else self.keep,
            "metrics": [name for name, _ in structure.metrics],
            "model": describe(structure.model),
            "model_fields": describe(structure.model, defaults=True),
            "order": self.order,
            "own_code": own_code(
                *(type(one.model) for one in structure.evaluations),
                structure.rule,
                *dict(structure.metrics).values(),
            ),
            "precision": structure.precision,
            "rule": self.rule_name,
            "seeds": self.seeds.tolist(),
            "settings": list(self.grid.settings),
            "split_hash": self.data.split_hash,
            "variants": {
                one.suffix.removeprefix("_"): describe(one.model, defaults=True)
                for one in structure.evaluations[1:]
            },
            "versions": {name: installed(name) for name in LIBRARIES},
        }


def make_job(sweep: Sweep, data: Dataset) -> Job:
    """Return a sweep checked against its data.

    Raises:
        InputError: an invalid field of the sweep, or parts that do not fit together.
    """
    check_count("epochs", sweep.epochs)
    check_count("batch_size", sweep.batch_size)
    if sweep.batch_size > len(data.train.labels):
        raise InputError(
            f"batch_size={sweep.batch_size} is larger than the {len(data.train.labels)} training "
            "images"
        )
    if sweep.dtype not in ("float32", "float64"):
        raise InputError(f'dtype="{sweep.dtype}": use "float32" or "float64"')
    if sweep.dtype == "float64" and not jax.config.jax_enable_x64:
        raise InputError('for dtype="float64" call jax.config.update("jax_enable_x64", True) first')
    if sweep.precision not in PRECISIONS:
        raise InputError(
            f'precision="{sweep.precision}": {nearest(str(sweep.precision), PRECISIONS)}'
        )
    batch_size = int(sweep.batch_size)
    evaluations = [("", sweep.model)]
    for name, variant in (sweep.variants or {}).items():
        if not str(name).isidentifier():
            raise InputError(f"variants: {name!r} cannot end a variable's name; give a word")
        evaluations.append((f"_{name}", variant))
    models = [(suffix, _with_classes(model, data)) for suffix, model in evaluations]
    structure = programs.Structure(
        models[0][1],
        rules.find(sweep.rule),
        train.Pixels(data.train.images.shape[1:], sweep.dtype),
        batch_size,
        tuple(
            programs.Evaluation(suffix, model, _evaluation_batch(model, batch_size))
            for suffix, model in models
        ),
        (*METRICS.items(), *_own_metrics(sweep.metrics)),
        sweep.precision,
    )
    grid = make_grid(sweep.grid, structure.rule, structure.model, sweep.dtype)
    _check_fit(structure, grid.settings[0], data)
    return Job(
        data,
        structure,
        rules.name_of(sweep.rule),
        grid,
        check_seeds(sweep.seeds),
        int(sweep.epochs),
        sweep.order if sweep.order == "seed" else _check_order(sweep.order),
        _check_keep(sweep.keep, sweep.epochs),
    )


def _with_classes(model: nn.Module | Other, data: Dataset) -> nn.Module:
    model = adapted(model)
    unknown = getattr(model, "classes", 0) is None
    return model.clone(classes=len(data.classes)) if unknown else model


def _check_order(order: object) -> int:
    whole = isinstance(order, numbers.Integral) and not isinstance(order, bool)
    if not whole or not 0 <= order < 2**31:
        raise InputError(f'order={order!r}: give "seed", or one order for all seeds, 0 to 2^31-1')
    return int(order)


def _check_keep(keep: object, epochs: int) -> str | tuple[int, ...] | None:
    if keep is None or keep in KEEP:
        return keep
    if isinstance(keep, str) or not isinstance(keep, Sequence):
        raise InputError(f'keep="{keep}": {nearest(str(keep), KEEP)}, or a list of epochs')
    made = tuple(keep)
    whole = all(isinstance(one, numbers.Integral) and 0 <= one <= epochs for one in made)
    if not made or not whole or sorted(set(made)) != list(made):
        raise InputError(f"keep={keep!r}: give epochs from 0 to {epochs}, ascending")
    return tuple(map(int, made))


def _check_fit(structure: programs.Structure, setting: Mapping[str, float], data: Dataset) -> None:
    """Trace one step and one evaluation without computing them: do the parts fit together?"""
    model, batch = structure.model, structure.batch_size
    images = jax.ShapeDtypeStruct((batch, int(np.prod(structure.pixels.shape))), jnp.uint8)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32)
    hyper = {name: jax.ShapeDtypeStruct((), structure.pixels.dtype) for name in setting}

    def once(hyper, images, labels):
        own_model, rule = programs.build(structure, hyper)
        if not (hasattr(rule, "init") and hasattr(rule, "update")):
            name, given = rules.name_of(structure.rule), type(rule).__name__
            raise InputError(f"{name} returns {given}; a rule returns a transformation of optax")
        before = train.init(own_model, rule, structure.pixels, 0)
        changed = rule.update(before.params, before.opt_state, before.params)
        if not isinstance(changed, tuple) or len(changed) != 2:
            name = rules.name_of(structure.rule)
            raise InputError(f"{name}: its update returns no pair; return (updates, state)")
        x = structure.pixels.scaled(images)
        trial = train.step(own_model, rule, before, x, labels, jax.random.key(0))
        _check_types(before, trial)
        variables = {"params": trial.params, **trial.variables}
        return [
            train.at_least_float32(programs.with_fields(one.model, hyper).apply(variables, x))
            for one in structure.evaluations
        ]

    try:
        hash(structure)
        found = jax.eval_shape(once, hyper, images, labels)
    except InputError:
        raise
    except Exception as error:  # the caller's own code raises whatever it likes
        raise InputError(
            f"{describe(model)} with {rules.name_of(structure.rule)} cannot take a step on images "
            f"of {'x'.join(map(str, structure.pixels.shape))}: {_reason(error)}"
        ) from error
    for logits in found:
        if logits.shape == (batch, len(data.classes)):
            continue
        raise InputError(
            f"{describe(model)} gives outputs of shape {logits.shape} for {batch} images of "
            f"{len(data.classes)} classes; it must give ({batch}, {len(data.classes)})"
        )
    for name, metric in structure.metrics:
        _check_metric(name, metric, logits, labels)


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


def _check_metric(
    name: str, metric: train.Metric, logits: jax.ShapeDtypeStruct, labels: jax.ShapeDtypeStruct
) -> None:
    try:
        values = jax.eval_shape(metric, logits, labels)
    except Exception as error:  # the caller's own code raises whatever it likes
        raise InputError(
            f"metrics: {name} cannot be called as {name}(logits, labels), with shapes "
            f"{logits.shape} and {labels.shape}: {_reason(error)}"
        ) from error
    shape = getattr(values, "shape", None)
    if shape != labels.shape:
        given = f"shape {shape}" if shape is not None else type(values).__name__
        raise InputError(f"metrics: {name} gives {given}, not one number an image {labels.shape}")


def _reason(error: Exception) -> str:
    if isinstance(error, jax.errors.JAXTypeError):
        return (
            "something in Python (an if, a shape, a float()) depends on a number that is traced, a "
            "hyperparameter or an activation: use jnp.where"
        )
    return f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"


def _own_metrics(metrics: Mapping[str, train.Metric] | None) -> list[tuple[str, train.Metric]]:
    if metrics is None:
        return []
    if not isinstance(metrics, Mapping) or not all(map(callable, metrics.values())):
        raise InputError("metrics: give a mapping of names to functions of (logits, labels)")
    for name in metrics:
        if not isinstance(name, str) or name in METRICS:
            raise InputError(f"metrics: {name!r} cannot be a metric's name; give another")
    return list(metrics.items())


def _evaluation_batch(model: nn.Module, batch_size: int) -> int:
    """Return the images evaluated at once: as in training where their statistics matter."""
    norm = getattr(model, "batch_norm", None)
    if getattr(norm, "statistics", None) == "minibatch":
        return batch_size
    return CONV_EVALUATION_BATCH if isinstance(model, ConvNet) else EVALUATION_BATCH
