"""A sweep: every setting of a grid with every seed, trained at once; labelled curves come out."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from threading import Event

import flax.linen as nn
import jax
import numpy as np
import xarray as xr

from emnist_jax import parallel, results, rules, train
from emnist_jax.checkpoint import Checkpoints, State, check_same, locked, stop_signals
from emnist_jax.data import Dataset, load
from emnist_jax.errors import InputError
from emnist_jax.grid import Grid, GridLike, check_seeds, make_grid
from emnist_jax.progress import Progress, progress

EVALUATION_BATCH = 500
_NUMERIC_CODE = ("train", "layers", "models", "rules", "parallel", "sweep")


def sweep(
    data: Dataset | str | tuple,
    model: nn.Module,
    rule: str | rules.Rule,
    grid: GridLike,
    *,
    seeds: int | Sequence[int] = 5,
    epochs: int = 10,
    batch_size: int = 50,
    metrics: Mapping[str, train.Metric] | None = None,
    dtype: str = "float32",
    out: str | Path | None = None,
    overwrite: bool = False,
    checkpoint_minutes: float = 5.0,
    trials_at_once: int | None = None,
    progress_bar: bool = True,
) -> xr.Dataset:
    """Train every setting of a grid with every seed and return their curves.

    Args:
        data: a `Dataset`, or what `load` takes.
        model: a Flax module called as `module(x, train=False)`; a field `classes` that is None is
            set to the data's number of classes.
        rule: a name (see `rules`), or a function of the learning rate and hyperparameters.
        grid: hyperparameters of the rule (or float fields of the model, such as `dropout`) with
            a number or a list of numbers each, or a list of whole settings.
        seeds: a number n (seeds 0..n-1) or a list. A seed decides the initial weights.
        epochs: passes over the training images.
        batch_size: images a minibatch; what is left over of an epoch is not trained on.
        metrics: more functions (logits, labels) -> one number an image, by name.
        dtype: "float32", or "float64" (set `jax_enable_x64` first).
        out: a folder for curves.nc and checkpoints; the same call resumes or returns what is there.
        overwrite: begin again, whatever `out` holds.
        checkpoint_minutes: minutes between checkpoints.
        trials_at_once: trials trained together; by default as many as suits the device.
        progress_bar: whether to show progress.

    Returns:
        Curves: one dimension a listed hyperparameter, then `seed` and `epoch` (0: before any
        update); variables `train_error`, `valid_error` (nats), `train_accuracy`,
        `valid_accuracy` (0 to 1), means over all images in evaluation mode, and those of
        `metrics`. From the epoch a trial diverges it holds NaN. Attributes hold the provenance.

    Raises:
        InputError: bad arguments, or an `out` that cannot be used.
        KeyboardInterrupt: on Ctrl-C or SIGTERM, after saving when `out` is given.
    """
    data = data if isinstance(data, Dataset) else load(data)
    plan = _plan(data, model, rule, grid, seeds, epochs, batch_size, metrics, dtype)
    with ExitStack() as stack:
        checkpoints, stop = None, Event()
        if out is not None:
            folder = Path(out)
            stack.enter_context(locked(folder))
            done = _begin(folder, plan.configuration(), overwrite)
            if done is not None:
                return done
            checkpoints = Checkpoints(folder / "checkpoint", checkpoint_minutes)
            stop = stack.enter_context(stop_signals())
        show = stack.enter_context(progress(0, progress_bar))
        curves = _run(plan, trials_at_once, checkpoints, stop, show)
        if checkpoints is not None:
            results.save(curves, folder / "curves.nc")
            checkpoints.clear()
    return curves


def _begin(folder: Path, configuration: Mapping[str, object], overwrite: bool) -> xr.Dataset | None:
    """Return the curves of a finished run of this configuration, or None to train."""
    path = folder / "curves.nc"
    if overwrite:
        path.unlink(missing_ok=True)
        Checkpoints(folder / "checkpoint", 0).clear()
    if not path.exists() and not (folder / "checkpoint").exists():  # nothing there to lose
        (folder / "configuration.json").unlink(missing_ok=True)
    # Finished curves name the code they came from; only unfinished ones must not change it.
    check_same(folder, configuration, ignore=("code",) if path.exists() else ())
    return results.load(path) if path.exists() else None


@dataclass(frozen=True)
class Plan:
    """A checked sweep: what is trained, on which data, for how long."""

    data: Dataset
    structure: parallel.Structure
    rule_name: str
    grid: Grid
    seeds: np.ndarray
    epochs: int

    @property
    def trials(self) -> int:
        """Return the number of trials: settings times seeds."""
        return len(self.grid.settings) * len(self.seeds)

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
            "dtype": structure.dtype,
            "epochs": self.epochs,
            "evaluation_batch": structure.evaluation_batch,
            "metrics": [name for name, _ in structure.metrics],
            "model": _describe(structure.model),
            "rule": self.rule_name,
            "seeds": self.seeds.tolist(),
            "settings": list(self.grid.settings),
            "split_hash": self.data.split_hash,
        }


def _plan(data, model, rule, grid, seeds, epochs, batch_size, metrics, dtype) -> Plan:
    for name, value in {"epochs": epochs, "batch_size": batch_size}.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise InputError(f"{name}={value!r}: give a whole number of at least 1")
    if batch_size > len(data.train.labels):
        raise InputError(
            f"batch_size={batch_size} is larger than the {len(data.train.labels)} training images"
        )
    if dtype not in ("float32", "float64"):
        raise InputError(f'dtype="{dtype}": use "float32" or "float64"')
    if dtype == "float64" and not jax.config.jax_enable_x64:
        raise InputError('for dtype="float64" call jax.config.update("jax_enable_x64", True) first')
    if not isinstance(model, nn.Module):
        raise InputError(f"model={model!r} is no Flax module; give ej.MLP() or one of your own")
    if getattr(model, "classes", 0) is None:
        model = model.clone(classes=len(data.classes))
    rule_function = rules.find(rule)
    structure = parallel.Structure(
        model,
        rule_function,
        batch_size,
        _evaluation_batch(model, batch_size),
        (("error", train.cross_entropy), ("accuracy", train.accuracy), *(metrics or {}).items()),
        dtype,
    )
    made = make_grid(grid, rule_function, model)
    return Plan(data, structure, rules.name_of(rule), made, check_seeds(seeds), epochs)


def _evaluation_batch(model: nn.Module, batch_size: int) -> int:
    """Return the images evaluated at once: as in training where their statistics matter."""
    norm = getattr(model, "batch_norm", None)
    return batch_size if getattr(norm, "statistics", None) == "minibatch" else EVALUATION_BATCH


def _run(
    plan: Plan,
    trials_at_once: int | None,
    checkpoints: Checkpoints | None,
    stop: Event,
    show: Progress,
) -> xr.Dataset:
    """Train all chunks in turn, from the last checkpoint if there is one."""
    began = time.monotonic()
    runner = Runner(plan)
    state = checkpoints.restore() if checkpoints else None
    if state is None:
        state = runner.fresh(trials_at_once)
    wall_before = state.wall_seconds
    chunks = -(-plan.trials // state.chunk_size)
    show.epochs = chunks * plan.epochs
    for number in range(state.chunk, chunks):
        chunk = runner.chunk(number, state.chunk_size)
        trials = runner.start(chunk, state if number == state.chunk else None)
        first = state.epoch if number == state.chunk and state.arrays else -1
        for epoch in range(first + 1, plan.epochs + 1):
            if epoch > 0:
                seconds = time.perf_counter()
                trials = runner.train(chunk, trials, epoch)
                state.seconds[number, epoch - 1] = time.perf_counter() - seconds
            runner.record(state.values, chunk, trials, epoch)
            show.update(number * plan.epochs + epoch, *_summary(state.values))
            if checkpoints and (checkpoints.due or stop.is_set() or epoch == plan.epochs):
                wall = wall_before + time.monotonic() - began
                checkpoints.save(runner.state(state, number, epoch, trials, chunk, wall))
            if stop.is_set():
                raise KeyboardInterrupt
    wall = wall_before + time.monotonic() - began
    return _label(plan, state.values, state.seconds, state.chunk_size, wall)


@dataclass(frozen=True)
class Chunk:
    """Trials trained at once: their indices in the plan, and arrays padded to the chunk's size."""

    trials: slice
    hyper: Mapping[str, jax.Array]
    seeds: jax.Array


class Runner:
    """Holds what all chunks of a sweep share: the data on the devices and the compiled programs."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.mesh = parallel.trial_mesh()
        self.programs = parallel.programs(plan.structure, self.mesh)
        self.data = {
            part: parallel.place(self.mesh, (split.images, split.labels), parallel.REPLICATED)
            for part, split in (("train", plan.data.train), ("valid", plan.data.valid))
        }

    def fresh(self, trials_at_once: int | None) -> State:
        """Return the state of a sweep that has not begun."""
        plan, devices = self.plan, self.mesh.size
        hyper = {name: values[:1] for name, values in plan.hyper().items()}
        one = [np.repeat(a, devices) for a in (*hyper.values(), plan.trial_seeds()[:1])]
        shapes = jax.eval_shape(
            self.programs.init, dict(zip(hyper, one, strict=False)), one[-1], self.data["train"][0]
        )
        size = trials_at_once or parallel.chunk_size(
            plan.trials, parallel.bytes_of(shapes) // devices, devices
        )
        shape = (plan.trials, plan.epochs + 1)
        names = [f"{part}_{name}" for part in self.data for name, _ in plan.structure.metrics]
        values = {name: np.full(shape, np.nan, plan.structure.dtype) for name in names}
        seconds = np.zeros((-(-plan.trials // size), plan.epochs))
        return State(0, 0, size, [], values, seconds, 0.0)

    def chunk(self, number: int, size: int) -> Chunk:
        """Return the trials of a chunk; the last trial is repeated up to a whole chunk."""
        first, end = number * size, min((number + 1) * size, self.plan.trials)
        padded = -(-size // self.mesh.size) * self.mesh.size
        chosen = np.minimum(np.arange(first, first + padded), end - 1)
        hyper = {name: values[chosen] for name, values in self.plan.hyper().items()}
        hyper, seeds = parallel.place(self.mesh, (hyper, self.plan.trial_seeds()[chosen]))
        return Chunk(slice(first, end), hyper, seeds)

    def start(self, chunk: Chunk, state: State | None) -> train.Trial:
        """Return a chunk's trials as initialised, or as a checkpoint holds them."""
        trials = self.programs.init(chunk.hyper, chunk.seeds, self.data["train"][0])
        if state is None or not state.arrays:
            return trials
        leaves, structure = jax.tree.flatten(trials)
        kept = np.minimum(np.arange(len(leaves[0])), len(state.arrays[0]) - 1)
        return parallel.place(self.mesh, structure.unflatten([a[kept] for a in state.arrays]))

    def train(self, chunk: Chunk, trials: train.Trial, epoch: int) -> train.Trial:
        """Return the trials after one more epoch."""
        images, labels = self.data["train"]
        return jax.block_until_ready(
            self.programs.epoch(chunk.hyper, chunk.seeds, trials, np.int32(epoch), images, labels)
        )

    def record(self, values: dict[str, np.ndarray], chunk: Chunk, trials, epoch: int) -> None:
        """Write the metrics of an epoch; a trial whose error is not finite keeps NaN from here."""
        found = jax.device_get(self.programs.evaluate(chunk.hyper, trials, self.data))
        n = chunk.trials.stop - chunk.trials.start
        lost = ~np.isfinite(found["train_error"][:n]) | ~np.isfinite(found["valid_error"][:n])
        if epoch > 0:
            lost |= np.isnan(values["train_error"][chunk.trials, epoch - 1])
        for name, means in found.items():
            values[name][chunk.trials, epoch] = np.where(lost, np.nan, means[:n])

    def state(self, before: State, number, epoch, trials, chunk: Chunk, wall: float) -> State:
        """Return the state to save: padding left out."""
        n = chunk.trials.stop - chunk.trials.start
        arrays = [np.asarray(leaf)[:n] for leaf in jax.tree.leaves(jax.device_get(trials))]
        return before._replace(chunk=number, epoch=epoch, arrays=arrays, wall_seconds=wall)


def _summary(values: Mapping[str, np.ndarray]) -> tuple[float, int]:
    """Return the best validation accuracy so far and the number of diverged trials."""
    accuracy = values["valid_accuracy"]
    begun = ~np.isnan(accuracy[:, 0])
    reached = (~np.isnan(accuracy)).sum(1)
    best = float(np.nanmax(accuracy)) if begun.any() else float("nan")
    return best, int((begun & (reached < reached.max(initial=0))).sum())


def _label(plan: Plan, values, seconds: np.ndarray, chunk_size: int, wall: float) -> xr.Dataset:
    """Return values as labelled curves with their provenance."""
    shape = (*plan.grid.shape, len(plan.seeds), plan.epochs + 1)
    dims = (*plan.grid.dims, "seed", "epoch")
    coords = {name: (dims, v) for name, (dims, v) in plan.grid.coords.items()}
    coords |= {"seed": plan.seeds, "epoch": np.arange(plan.epochs + 1, dtype=np.int32)}
    configuration = plan.configuration()
    attrs = results.provenance(configuration)
    attrs |= {
        name: configuration[name] for name in ("data", "data_hash", "split_hash", "model", "rule")
    }
    attrs |= {
        "batch_size": plan.structure.batch_size,
        "trials_at_once": chunk_size,
        "seconds_per_epoch": float(np.median(seconds, axis=1).sum() / plan.trials),
        "wall_seconds": wall,
    }
    variables = {name: (dims, v.reshape(shape)) for name, v in values.items()}
    return xr.Dataset(variables, coords, attrs)


def _describe(model: nn.Module) -> str:
    """Return a model as one would write it: its class and the fields that are not defaults."""
    fields = {
        name: getattr(model, name)
        for name, field in model.__dataclass_fields__.items()
        if name not in ("parent", "name") and getattr(model, name) != field.default
    }
    parts = [
        f"{name}={_describe(value) if isinstance(value, nn.Module) else repr(value)}"
        for name, value in fields.items()
    ]
    return f"{type(model).__name__}({', '.join(parts)})"


def _code() -> str:
    """Return the package's version and a hash of the modules that decide a trial's numbers."""
    folder, digest = Path(__file__).parent, hashlib.sha256()
    for name in _NUMERIC_CODE:
        digest.update((folder / f"{name}.py").read_bytes())
    return f"{_installed_version()} {digest.hexdigest()[:12]}"


def _installed_version() -> str:
    try:
        return version("emnist_jax")
    except Exception:
        return "unknown"
