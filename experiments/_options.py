"""The command line of an experiment: the options of all, and the axes of its sweeps' grids."""

from collections.abc import Mapping
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Any

import emnist_jax as ej
from emnist_jax.cli.options import Options, option
from experiments._experiment import Experiment

HELP = {
    "size": "use a fixed random subset of so many images in all (glyphs: draw so many)",
    "seeds": "random initialisations and orders of every setting: seeds 0, 1, ...",
    "epochs": "passes over the training images",
    "batch_size": "images a minibatch",
}


@dataclass(frozen=True)
class FolderOptions:
    """Options of an experiment that trains nothing: it reads what others trained."""

    out: Path = Path("runs")
    """folder of results"""


def options_of(experiment: Experiment) -> type[Options | FolderOptions]:
    """Return an experiment's options: those of all with the values of its sweeps, and its own.

    Its own are the axes of its grids (by rule, where the rules differ in values), the arguments of
    its function of sweeps, and its further data. Without sweeps there is a folder alone.
    """
    sweeps, own = experiment.make(), dict(experiment.further)
    if not sweeps:
        return FolderOptions
    usual = {"size": experiment.size}
    for name in ("seeds", "epochs", "batch_size"):
        values = {getattr(sweep, name) for sweep in sweeps.values()}
        usual[name] = own.pop(name, values.pop() if len(values) == 1 else None)
    added = []
    for name, default in usual.items():
        none = "" if default else "all" if name == "size" else "as each has"
        added.append((name, option(int | None, none, "INT", HELP[name]), default))
    own |= {name: values for name, (_, values) in axes(sweeps).items()}
    for name, default in own.items():
        kind = tuple[float, ...] if isinstance(default, tuple) else type(default)
        text = experiment.help.get(name, f"values of {name.replace('_', ' ')} in the grid")
        added.append((name, option(kind, help=text), default))
    return make_dataclass("Options", added, bases=(Options,), frozen=True)


def axes(sweeps: Mapping[str, ej.Sweep]) -> dict[str, tuple[str, float | tuple[float, ...]]]:
    """Return options for the axes of some grids: by name, which axis, and which values they change.

    An axis that has one list of values in all grids, or one number, is an option of its own name;
    one with several lists is an option a rule: `sgd_learning_rate`; none where a rule has several.
    """
    found: dict[str, dict] = {}
    for sweep in sweeps.values():
        if isinstance(sweep.grid, Mapping):
            for axis, values in sweep.grid.items():
                found.setdefault(axis, {}).setdefault(values, sweep.rule)
    options: dict[str, list] = {}
    for axis, rules in found.items():
        several = {values: rule for values, rule in rules.items() if isinstance(values, tuple)}
        for values, rule in (several or rules).items():
            name = axis if len(several or rules) == 1 else f"{rule}_{axis}"
            options.setdefault(name, []).append((axis, values))
    return {name: changed[0] for name, changed in options.items() if len(changed) == 1}


def chosen(
    experiment: Experiment, options: Options, images: int | None = None
) -> dict[str, ej.Sweep]:
    """Return the sweeps of an experiment, as its options and the training images change them."""
    given = {} if images is None else {"images": images}
    own = {
        name: getattr(options, name, given.get(name, x)) for name, x in experiment.arguments.items()
    }
    sweeps = experiment.make(**own)
    new = {of: getattr(options, name, of[1]) for name, of in axes(sweeps).items()}
    made = {}
    for folder, sweep in sweeps.items():
        changes: dict[str, Any] = {
            name: getattr(options, name)
            for name in ("seeds", "epochs", "batch_size")
            if getattr(options, name) is not None and name not in own
        }
        if sweep.seeds == 1:  # one network alone is timed alone
            changes.pop("seeds", None)
        if isinstance(sweep.grid, Mapping):
            changes["grid"] = {axis: new.get((axis, v), v) for axis, v in sweep.grid.items()}
        if isinstance(sweep.keep, tuple):
            last = changes.get("epochs", sweep.epochs)
            changes["keep"] = tuple(e for e in sweep.keep if e <= last) or (last,)
        made[folder] = sweep.replace(**changes)
    return made
