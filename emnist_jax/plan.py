"""What a sweep will do: its arguments checked, before anything is computed or written."""

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import flax.linen as nn
import jax
import numpy as np

from emnist_jax import parallel, rules, train
from emnist_jax.data import Dataset
from emnist_jax.errors import InputError, nearest
from emnist_jax.grid import Grid, GridLike, check_count, check_seeds, make_grid

EVALUATION_BATCH = 500
KEEP = ("best", "last")
METRICS = {"error": train.cross_entropy, "accuracy": train.accuracy}
_LIBRARIES = ("emnist_jax", "optax", "flax")
_NUMERIC_CODE = ("train", "layers", "models", "rules", "parallel", "plan", "runner", "sweep")


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
            "code": _code(),
            "data": self.data.name,
            "data_hash": self.data.hash,
            "dims": list(self.dims),
            "dtype": structure.dtype,
            "epochs": self.epochs,
            "evaluation_batch": structure.evaluation_batch,
            "keep": self.keep,
            "metrics": [name for name, _ in structure.metrics],
            "model": describe(structure.model),
            "own_code": _own_code(
                type(structure.model), structure.rule, *dict(structure.metrics).values()
            ),
            "rule": self.rule_name,
            "seeds": self.seeds.tolist(),
            "settings": list(self.grid.settings),
            "split_hash": self.data.split_hash,
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
    if not callable(rule) and not isinstance(rule, str):
        raise InputError(f"rule={rule!r}: give a rule's name, or a function of learning_rate")
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
    return Plan(data, structure, rules.name_of(rule), made, check_seeds(seeds), int(epochs), keep)


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
    return batch_size if getattr(norm, "statistics", None) == "minibatch" else EVALUATION_BATCH


def describe(model: nn.Module) -> str:
    """Return a model as one would write it: its class and the fields that are not defaults."""
    fields = {
        name: getattr(model, name)
        for name, field in model.__dataclass_fields__.items()
        if name not in ("parent", "name") and getattr(model, name) != field.default
    }
    parts = [
        f"{name}={describe(value) if isinstance(value, nn.Module) else repr(value)}"
        for name, value in fields.items()
    ]
    return f"{type(model).__name__}({', '.join(parts)})"


def _own_code(*things: object) -> str | None:
    """Return a hash of the source of what the caller has written: a model, a rule, metrics.

    None without such. A function is taken by itself, without what it calls.
    """
    candidates = []
    for thing in things:
        while isinstance(thing, partial):
            thing = thing.func
        classes = thing.__mro__ if inspect.isclass(thing) else ()
        candidates += [thing, *(member for c in classes for member in vars(c).values())]
    functions = filter(inspect.isfunction, candidates)
    own = [f for f in functions if f.__module__.partition(".")[0] not in _LIBRARIES]
    sources = []
    for function in own:
        with suppress(OSError, TypeError):  # made by a library, or typed where no source is kept
            sources.append(inspect.getsource(function))
    return hashlib.sha256("".join(sources).encode()).hexdigest()[:12] if own else None


def _code() -> str:
    """Return the package's version and a hash of the modules that decide a trial's numbers."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for name in _NUMERIC_CODE:
        digest.update((folder / f"{name}.py").read_bytes())
    try:
        installed = version("emnist_jax")
    except PackageNotFoundError:
        installed = "uninstalled"
    return f"{installed} {digest.hexdigest()[:12]}"
