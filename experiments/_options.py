"""The command line of an experiment: the options of all, and the axes of its sweeps' grids."""

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import tyro

import emnist_jax as ej

if TYPE_CHECKING:
    from experiments._experiment import Experiment


def option(kind: Any, text: str, otherwise: str = "", metavar: str | None = None) -> Any:
    """Return an option's type with its help, which names what stands for None, if anything."""
    hint = f"(default: {otherwise})" if otherwise else None
    return Annotated[kind, tyro.conf.arg(help=text, metavar=metavar, help_behavior_hint=hint)]


DATA = "glyphs (drawn), a TFDS name (emnist/balanced), a path of IDX files or images"
SIZE = "a fixed random subset of so many images in all (glyphs: draw so many)"
SPLIT = "paper: all images pooled and split again; official: the source's own test part"
SEEDS = "random initialisations and orders of every setting: seeds 0, 1, ..."
COORDINATOR = (
    "to use several hosts, give the same command on each: with auto under SLURM, Open MPI, "
    "Kubernetes or on a Cloud TPU, or with HOST:PORT of process 0 and the next two options"
)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of every experiment."""

    data: option(str, DATA) = "glyphs"
    split: option(Literal["paper", "official"], SPLIT) = "paper"
    size: option(int | None, SIZE, "all", "INT") = None
    seeds: option(int | None, SEEDS, "as each has", "INT") = 5
    epochs: option(int | None, "passes over the training images", "as each has", "INT") = None
    batch_size: option(int, "images a minibatch") = 50
    out: option(Path, "folder of results; what is there is resumed or kept") = Path("runs")
    overwrite: option(bool, "begin again, whatever is there") = False
    trials_at_once: option(int | None, "trials trained together", "what suits", "INT") = None
    coordinator: option(str | None, COORDINATOR, "none", "HOST:PORT") = None
    processes: option(int | None, "number of hosts", "as auto finds", "INT") = None
    process: option(int | None, "which of them this is: 0, 1, ...", "as auto finds", "INT") = None


def options_of(experiment: "Experiment") -> type[Options]:
    """Return an experiment's options: those of all with the values of its sweeps, and its own.

    Its own are the axes of its grids (by rule, where the rules differ in values), the arguments of
    its function of sweeps, and its further data.
    """
    sweeps, own = experiment.make(), dict(experiment.further)
    usual = {"size": experiment.size}
    for name in ("seeds", "epochs", "batch_size"):
        values = {getattr(sweep, name) for sweep in sweeps.values()}
        usual[name] = own.pop(name, values.pop() if len(values) == 1 else None)
    added = [(name, _as_usual(Options.__annotations__[name], of), of) for name, of in usual.items()]
    own |= {name: values for name, (_, values) in axes(sweeps).items()}
    for name, default in own.items():
        kind = tuple[float, ...] if isinstance(default, tuple) else type(default)
        text = experiment.help.get(name, f"values of {name.replace('_', ' ')} in the grid")
        added.append((name, option(kind, text), default))
    return make_dataclass("Options", added, bases=(Options,), frozen=True, kw_only=True)


def _as_usual(kind: Any, default: object) -> Any:
    """Return an option's type without the account of None, where it has another default."""
    (about,) = kind.__metadata__
    return kind if default is None else option(get_args(kind)[0], about.help, "", about.metavar)


def axes(sweeps: Mapping[str, ej.Sweep]) -> dict[str, tuple[str, float | tuple[float, ...]]]:
    """Return options for the axes of some grids: by name, which axis, and which values they change.

    An axis that has one list of values in all grids, or one number, is an option of its own name;
    one with several lists is an option a rule: `sgd_learning_rate`.
    """
    found: dict[str, dict] = {}
    for sweep in sweeps.values():
        if isinstance(sweep.grid, Mapping):
            for axis, values in sweep.grid.items():
                found.setdefault(axis, {}).setdefault(values, sweep.rule)
    options = {}
    for axis, rules in found.items():
        several = {values: rule for values, rule in rules.items() if isinstance(values, tuple)}
        for values, rule in (several or rules).items():
            name = axis if len(several or rules) == 1 else f"{rule}_{axis}"
            options[name] = (axis, values)
    return options


def chosen(experiment: "Experiment", options: Options) -> dict[str, ej.Sweep]:
    """Return the sweeps of an experiment, as its options change them."""
    own = {name: getattr(options, name) for name in experiment.arguments}
    sweeps = experiment.make(**own)
    new = {of: getattr(options, name, of[1]) for name, of in axes(sweeps).items()}
    made = {}
    for folder, sweep in sweeps.items():
        changes: dict[str, Any] = {
            name: getattr(options, name)
            for name in ("seeds", "epochs", "batch_size")
            if getattr(options, name) is not None and name not in own
        }
        if isinstance(sweep.grid, Mapping):
            changes["grid"] = {axis: new.get((axis, v), v) for axis, v in sweep.grid.items()}
        if isinstance(sweep.keep, tuple):
            last = changes.get("epochs", sweep.epochs)
            changes["keep"] = tuple(e for e in sweep.keep if e <= last) or (last,)
        made[folder] = sweep.replace(**changes)
    return made
