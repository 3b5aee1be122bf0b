"""What a sweep will do: its arguments checked, before anything is computed or written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from emnist_jax import rules, train
from emnist_jax.data import Dataset
from emnist_jax.engine import programs as parallel
from emnist_jax.engine.grid import Grid, GridLike, check_seeds, make_grid
from emnist_jax.errors import InputError, check_count, nearest
from emnist_jax.models import ConvNet, describe
from emnist_jax.store.fingerprint import LIBRARIES, installed, own_code, package_code

EVALUATION_BATCH, CONV_EVALUATION_BATCH = 500, 100  # the fastest on a CPU, measured
KEEP = ("best", "lowest_error", "last")
METRICS = {"error": train.cross_entropy, "accuracy": train.accuracy}


@dataclass(frozen=True)
class Plan:
    """A checked sweep: what is trained, on which data, for how long."""

    data: Dataset
    structure: parallel.Structure
    rule_name: str
    grid: Grid
    seeds: np.ndarray
    epochs: int
    keep: str | None

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

    def hyper(self) -> dict[str, np.ndarray]:
        """Return each hyperparameter as (trials,); trials run over settings, then seeds."""
        names = self.grid.settings[0]
        columns = {name: [setting[name] for setting in self.grid.settings] for name in names}
        return {
            name: np.repeat(np.asarray(values, self.structure.dtype), len(self.seeds))
            for name, values in columns.items()
        }

    def trial_seeds(self) -> np.ndarray:
        """Return the seed of each trial."""
        return np.tile(self.seeds, len(self.grid.settings))

    def configuration(self) -> dict[str, object]:
        """Return what decides the curves, as plain values."""
        structure = self.structure
        return {
            "batch_size": structure.batch_size,
            "code": package_code(),
            "data": self.data.name,
            "data_hash": self.data.hash,
            "dims": list(self.dims),
            "dtype": structure.dtype,
            "epochs": self.epochs,
            "evaluation_batch": structure.evaluation_batch,
            "keep": self.keep,
            "metrics": [name for name, _ in structure.metrics],
            "model": describe(structure.model),
            "model_fields": describe(structure.model, defaults=True),
            "own_code": own_code(
                type(structure.model), structure.rule, *dict(structure.metrics).values()
            ),
            "rule": self.rule_name,
            "seeds": self.seeds.tolist(),
            "settings": list(self.grid.settings),
            "split_hash": self.data.split_hash,
            "versions": {name: installed(name) for name in LIBRARIES},
        }


def make_plan(
    data: Dataset,
    model: nn.Module,
    rule: str | rules.Rule,
    grid: GridLike,
    seeds: int | Sequence[int],
    epochs: int,
    batch_size: int,
    metrics: Mapping[str, train.Metric] | None,
    dtype: str,
    keep: str | None,
) -> Plan:
    """Return the plan of a sweep's arguments (see `sweep`).

    Raises:
        InputError: an argument that cannot be meant, with what to give instead.
    """
    check_count("epochs", epochs)
    check_count("batch_size", batch_size)
    if batch_size > len(data.train.labels):
        raise InputError(
            f"batch_size={batch_size} is larger than the {len(data.train.labels)} training images"
        )
    if dtype not in ("float32", "float64"):
        raise InputError(f'dtype="{dtype}": use "float32" or "float64"')
    if dtype == "float64" and not jax.config.jax_enable_x64:
        raise InputError('for dtype="float64" call jax.config.update("jax_enable_x64", True) first')
    if keep is not None and keep not in KEEP:
        raise InputError(f'keep="{keep}": {nearest(str(keep), KEEP)}')
    if not isinstance(model, nn.Module):
        raise InputError(f"model={model!r} is no Flax module; give ej.MLP() or one of your own")
    if getattr(model, "classes", 0) is None:
        model = model.clone(classes=len(data.classes))
    rule_function = rules.find(rule)
    structure = parallel.Structure(
        model,
        rule_function,
        int(batch_size),
        _evaluation_batch(model, int(batch_size)),
        (*METRICS.items(), *_own_metrics(metrics)),
        dtype,
    )
    made = make_grid(grid, rule_function, model, dtype)
    _check_fit(structure, made.settings[0], data)
    return Plan(data, structure, rules.name_of(rule), made, check_seeds(seeds), int(epochs), keep)


def _check_fit(structure: parallel.Structure, setting: Mapping[str, float], data: Dataset) -> None:
    """Trace one step and one evaluation without computing them: do the parts fit together?"""
    model, batch = structure.model, structure.batch_size
    images = jax.ShapeDtypeStruct((batch, *data.train.images.shape[1:]), jnp.uint8)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32)
    hyper = {name: jax.ShapeDtypeStruct((), structure.dtype) for name in setting}

    def once(hyper, images, labels):
        own_model, rule = parallel.build(structure, hyper)
        if not (hasattr(rule, "init") and hasattr(rule, "update")):
            name, given = rules.name_of(structure.rule), type(rule).__name__
            raise InputError(f"{name} returns {given}; a rule returns a transformation of optax")
        trial = train.init(own_model, rule, 0, images, structure.dtype)
        changed = rule.update(trial.params, trial.opt_state, trial.params)
        if not isinstance(changed, tuple) or len(changed) != 2:
            name = rules.name_of(structure.rule)
            raise InputError(f"{name}: its update returns no pair; return (updates, state)")
        x = train.scale(images, structure.dtype)
        trial = train.step(own_model, rule, trial, x, labels, jax.random.key(0))
        return own_model.apply({"params": trial.params, **trial.variables}, x)

    try:
        hash(model)
        logits = jax.eval_shape(once, hyper, images, labels)
    except InputError:
        raise
    except Exception as error:  # the caller's own code raises whatever it likes
        raise InputError(
            f"{describe(model)} with {rules.name_of(structure.rule)} cannot take a step on images "
            f"of {'x'.join(map(str, images.shape[1:]))}: {_reason(error)}"
        ) from error
    if logits.shape != (batch, len(data.classes)):
        raise InputError(
            f"{describe(model)} gives outputs of shape {logits.shape} for {batch} images of "
            f"{len(data.classes)} classes; it must give ({batch}, {len(data.classes)})"
        )
    for name, metric in structure.metrics:
        _check_metric(name, metric, logits, labels)


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
