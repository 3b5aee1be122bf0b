"""A sweep checked against its data, before anything is computed or written."""

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import flax.linen as nn
import jax
import numpy as np

from emnist_jax import rules, train, watch
from emnist_jax.adapters import Other, adapted
from emnist_jax.data import Dataset, load
from emnist_jax.engine import programs
from emnist_jax.engine.fit import program
from emnist_jax.engine.grid import Grid, check_seeds, make_grid
from emnist_jax.engine.sweep import Sweep
from emnist_jax.errors import InputError, check_choice, check_count, nearest, short
from emnist_jax.models import ConvNet, describe
from emnist_jax.store.fingerprint import LIBRARIES, installed, own_code, package_code

EVALUATION_BATCH, CONV_EVALUATION_BATCH = 500, 100  # the fastest on a CPU, measured
KEEP = ("best", "lowest_error", "last")
PRECISIONS = ("default", "high", "highest", "bfloat16", "tensorfloat32", "float32")
# What curves, and what is made of them, have beside the grid's hyperparameters.
LABELS = ("seed", "epoch", "sample", "best_epoch", "diverged", "number", "there")
LABELS += ("image", "class", "true", "predicted")
# Of JAX's own settings those that random numbers depend on, and no program shows; their defaults.
JAX_SETTINGS = {
    "jax_threefry_partitionable": True,
    "jax_default_prng_impl": "threefry2x32",
    "jax_random_seed_offset": 0,
}
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
        measured = [
            f"{part}_{name}{one.suffix}"
            for one in structure.evaluations
            for part in ("train", "valid")
            for name, _ in structure.metrics
        ]
        return [*measured, *structure.watch]

    @property
    def metric_dtype(self) -> np.dtype:
        """Return the type of their numbers, see `train.batch_sums`."""
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
            "images": [len(part) for part in (self.data.train, self.data.valid, self.data.test)],
            "jax_settings": {
                name: getattr(jax.config, name)
                for name, usual in JAX_SETTINGS.items()
                if getattr(jax.config, name, usual) != usual
            },
            "keep": list(self.keep) if isinstance(self.keep, tuple) else self.keep,
            "metrics": [name for name, _ in structure.metrics],
            "model": describe(structure.model),
            "model_fields": describe(structure.model, defaults=True),
            "order": self.order,
            "own_code": own_code(
                *(one.model for one in structure.evaluations),
                structure.rule,
                *dict(structure.metrics).values(),
            ),
            "precision": structure.precision,
            "program": structure.program,
            "rule": self.rule_name,
            "seeds": self.seeds.tolist(),
            "settings": list(self.grid.settings),
            "split_hash": self.data.split_hash,
            "watch": list(structure.watch),
            "variants": {
                one.suffix.removeprefix("_"): describe(one.model, defaults=True)
                for one in structure.evaluations[1:]
            },
            "versions": {name: installed(name) for name in LIBRARIES},
        }

    def like(self, begun: Mapping[str, object]) -> dict[str, object]:
        """Return the configuration, of its program that with the hyperparameters of a begun run."""
        names = begun["settings"][0]
        if set(names) == set(self.grid.settings[0]):
            return self.configuration
        return self.configuration | {"program": program(self.structure, names, self.data)}


def make_job(sweep: Sweep, data: Dataset | str | tuple) -> Job:
    """Return a sweep checked against its data, which are loaded if they are not.

    What is no sweep, an invalid field of it, or parts that do not fit together are an `InputError`.
    """
    if not isinstance(sweep, Sweep):
        raise InputError(f"{short(sweep)} is no sweep: give ej.Sweep(...)")
    data = data if isinstance(data, Dataset) else load(data)
    if jax.config.jax_disable_jit:
        raise InputError("JAX_DISABLE_JIT is set: unset it, for a sweep is one compiled program")
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
    check_choice(f'precision="{sweep.precision}"', sweep.precision, PRECISIONS)
    batch_size = int(sweep.batch_size)
    evaluations = [("", sweep.model)]
    if not isinstance(sweep.variants or {}, Mapping):
        raise InputError("variants: give a mapping of names to models")
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
        _check_watch(sweep.watch),
        sweep.precision,
    )
    grid = make_grid(sweep.grid, structure.rule, structure.model, sweep.dtype)
    names = tuple(grid.settings[0])
    structure = structure._replace(program=program(structure, names, data))
    job = Job(
        data,
        structure,
        rules.name_of(sweep.rule),
        grid,
        check_seeds(sweep.seeds),
        int(sweep.epochs),
        sweep.order if sweep.order == "seed" else _check_order(sweep.order),
        _check_keep(sweep.keep, sweep.epochs, programs.trial_shapes(structure, names)),
    )
    _check_labels(job)
    return job


def _check_labels(job: Job) -> None:
    """Refuse two curves of one name, and a hyperparameter that is called as a curve or a label."""
    names = job.variables
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"metrics, variants: {name} would be two curves; rename one of them")
    for name in job.grid.settings[0]:
        if name in {*names, *LABELS}:
            raise InputError(
                f"the grid: {name} is the name of a curve or of a label; rename the argument"
            )


def _with_classes(model: nn.Module | Other, data: Dataset) -> nn.Module:
    model = adapted(model)
    unknown = getattr(model, "classes", 0) is None
    return model.clone(classes=len(data.classes)) if unknown else model


def _check_watch(names: object) -> tuple[str, ...]:
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise InputError(f"watch={short(names)}: give a list of {', '.join(watch.NAMES)}")
    for name in names:
        check_choice(f'watch: no "{name}"', name, watch.NAMES)
    return tuple(dict.fromkeys(names))


def _check_order(order: object) -> int:
    whole = isinstance(order, numbers.Integral) and not isinstance(order, bool)
    if not whole or not 0 <= order < 2**31:
        raise InputError(f'order={order!r}: give "seed", or one order for all seeds, 0 to 2^31-1')
    return int(order)


def _check_keep(keep: object, epochs: int, trial: train.Trial) -> str | tuple[int, ...] | None:
    if keep is None:
        return None
    leaves = jax.tree.leaves(train.evaluated(trial))
    if any(jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in leaves):
        raise InputError(
            f"keep={keep!r}: the model has a variable that is a random key, which no file holds; "
            "let it hold jax.random.key_data of it"
        )
    if isinstance(keep, str) and keep in KEEP:
        return keep
    if isinstance(keep, str) or not isinstance(keep, Sequence):
        raise InputError(f'keep="{keep}": {nearest(str(keep), KEEP)}, or a list of epochs')
    made = tuple(keep)
    whole = all(isinstance(one, numbers.Integral) and 0 <= one <= epochs for one in made)
    if not made or not whole or sorted(set(made)) != list(made):
        raise InputError(f"keep={keep!r}: give epochs from 0 to {epochs}, ascending")
    return tuple(map(int, made))


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
