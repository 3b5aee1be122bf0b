"""The whole paper: every experiment, every claim judged, and a report of it all.

    python -m experiments.paper --preset demo
    python -m experiments.paper --out results
    python -m experiments.paper --out results --report-only

The first takes minutes on a laptop, with few small images drawn by the program; the second is the
paper's protocol, for hours on a GPU; either goes on where it stopped. The third rebuilds figures,
tables and README.md from the curves alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import xarray as xr

from emnist_jax.errors import InputError, check_count, nearest
from emnist_jax.figures import plot_budget
from emnist_jax.stats import best, best_after_k
from emnist_jax.store.files import write_text
from experiments import (
    adam,
    batch_norm,
    cifar10,
    convnets,
    depth,
    forensics,
    regularisation,
    rmsprop,
    rules_compared,
    samples,
    sgd,
    test_set,
    weights_or_convolution,
)
from experiments._common import collect, draw, main, otherwise
from experiments.report import Section, describe, report

EXPERIMENTS = {
    "sgd": (sgd, "SGD (B1)"),
    "rmsprop": (rmsprop, "RMSprop (R1)"),
    "adam": (adam, "Adam (A1)"),
    "forensics": (forensics, "Which Adam?"),
    "batch_norm": (batch_norm, "Batch normalisation (N1)"),
    "convnets": (convnets, "Convolutional networks (C1 to C3)"),
    "test_set": (test_set, "Test results (T1, T2)"),
}
# Not the paper's: `experiments.beyond` runs them, and the report shows what is finished.
BEYOND = {
    "rules_compared": (rules_compared, "Which rule to take (X1)"),
    "cifar10": (cifar10, "The same settings on CIFAR-10? (W1)"),
    "regularisation": (regularisation, "Batch normalisation, dropout, weight decay (W2)"),
    "weights_or_convolution": (weights_or_convolution, "Weights or convolution? (W3)"),
    "depth": (depth, "Why two convolutions are no better than one (W4)"),
}
RULES = ("sgd", "rmsprop", "adam")
CHANCE = 1 / 47
# What a preset changes of each experiment's own defaults, which are the paper's protocol.
_SMALL = {"size": 2820, "seeds": 3, "epochs": 10}
PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "paper": {},
    "demo": {
        **dict.fromkeys(("sgd", "rmsprop", "batch_norm"), _SMALL),
        **dict.fromkeys(("adam", "forensics"), _SMALL | {"seeds": 2, "epochs": 20}),
        "convnets": _SMALL | {"seeds": 2, "epochs": 4},
        "test_set": _SMALL | {"seeds": 2, "epochs": 7},
    },
}


@dataclass(frozen=True)
class Options:
    """Options of the whole."""

    preset: Literal["demo", "paper"] = "paper"
    """demo: few small images, few epochs, 2 or 3 seeds, minutes; paper: the full protocol, hours"""
    data: Annotated[str | None, otherwise("glyphs in the demo, else emnist/balanced", "STR")] = None
    """glyphs, a TensorFlow Datasets name, or a path of data"""
    split: Literal["paper", "official"] = "paper"
    """paper: all images pooled and split again; official: the source's own test part"""
    seeds: Annotated[int | None, otherwise("as each experiment has", "INT")] = None
    """random initialisations of every setting"""
    adam_seeds: Annotated[int | None, otherwise("as --seeds", "INT")] = None
    """the same for the largest experiment alone; the paper had 2"""
    convnet_epochs: Annotated[int | None, otherwise("as that experiment has", "INT")] = None
    """epochs of the ConvNets; the longer runs of C1 and C2 have two and three times as many"""
    only: Annotated[tuple[str, ...], otherwise("all", "NAME ...")] = ()
    """run these experiments only (sgd, adam, ...); the report shows all that are finished"""
    out: Annotated[Path | None, otherwise("runs/demo or runs/paper", "PATH")] = None
    """folder of results"""
    overwrite: bool = False
    """begin again, whatever is there"""
    report_only: bool = False
    """run nothing: figures, tables and the report from the curves that are there"""
    coordinator: Annotated[str | None, otherwise("none", "HOST:PORT")] = None
    """to use several hosts: see any of the experiments"""
    processes: Annotated[int | None, otherwise("as many as auto finds", "INT")] = None
    """likewise"""
    process: Annotated[int | None, otherwise("as auto finds", "INT")] = None
    """likewise"""


def run(options: Options) -> Path:
    """Run what is not finished, and write the report; return its path.

    Raises:
        InputError: options that cannot be meant, a folder of another run, or no curves to report.
    """
    check(options)
    out = Path("runs") / options.preset if options.out is None else options.out
    if not options.report_only:
        size = _SMALL["size"] if options.preset == "demo" else None
        samples.run(samples.Options(data=data_of(options), split=options.split, size=size, out=out))
        for name in options.only or EXPERIMENTS:
            module = EXPERIMENTS[name][0]
            module.measure(module.Options(**arguments(options, name, out)))
    return write_report(out)


def check(options: Options) -> None:
    """Refuse what cannot be meant, before anything is written.

    Raises:
        InputError: an unknown experiment, or a number below 1.
    """
    for name in options.only:
        if name not in EXPERIMENTS:
            raise InputError(f'no experiment "{name}": {nearest(name, EXPERIMENTS)}')
    for name in ("seeds", "adam_seeds", "convnet_epochs"):
        if getattr(options, name) is not None:
            check_count(name, getattr(options, name))


def data_of(options: Options) -> str:
    """Return the data to train on: those given, or the preset's."""
    if options.data is not None:
        return options.data
    return {"demo": "glyphs", "paper": "emnist/balanced"}[options.preset]


def arguments(options: Options, name: str, out: Path) -> dict[str, Any]:
    """Return the arguments of an experiment's options: its preset's, then those given."""
    chosen = dict(PRESETS[options.preset].get(name, {}))
    chosen |= {"data": data_of(options), "split": options.split, "out": out}
    given = {"seeds": options.seeds}
    if name == "adam" and options.adam_seeds is not None:
        given["seeds"] = options.adam_seeds
    if name == "convnets":
        given["epochs"] = options.convnet_epochs
    chosen |= {option: value for option, value in given.items() if value is not None}
    return chosen | {"overwrite": options.overwrite}


def write_report(out: Path) -> Path:
    """Write all figures, tables and README.md from the curves in a folder.

    Raises:
        InputError: no curves there.
    """
    found = collect(out)
    known = {run for module, _ in (EXPERIMENTS | BEYOND).values() for run in module.RUNS}
    found = {name: curves for name, curves in found.items() if name in known}
    if not found:
        raise InputError(f"{out}: no finished experiment here; run without --report-only first")
    later = {run for module, _ in BEYOND.values() for run in module.RUNS}
    papers = {run: curves for run, curves in found.items() if run not in later}
    sections = [_samples(out, next(iter((papers or found).values())))]
    for name, (module, title) in EXPERIMENTS.items():
        if any(run in papers for run in module.RUNS):
            sections.append(_section(name, module, title, papers, out))
    if all(rule in papers for rule in RULES):
        sections.append(_budgets(papers, out))
    beyond = {name: _beyond(name, *of, found, out) for name, of in BEYOND.items()}
    path = write_text(out / "README.md", report(found, sections, beyond))
    print(path)
    return path


def _samples(out: Path, curves: xr.Dataset) -> Section:
    """Return Figure 1, or how to draw it: a folder of results need not hold images."""
    path, data = Path("samples") / "figure_1_samples.png", curves.attrs["data"]
    title, told = "Data (D1)", "Claim D1 is judged by C1's confusion matrix, further down."
    if not (out / path).exists():
        how = "`python -m experiments.samples` draws the paper's Figure 1, 25 images of the data"
        return Section(title, {}, [], f"{how}; no image of {data} is kept here. {told}")
    caption = f"25 random training images with their labels. Data: {data}; nothing is trained."
    return Section(title, {}, [(str(path), caption)], told)


def _section(name: str, module: Any, title: str, found: Mapping, out: Path) -> Section:
    """Return an experiment's section, its figures and tables written anew; short if unfinished."""
    missing = [run for run in module.RUNS if run not in found]
    if missing:
        return Section(title, {}, [], f"Not finished: {', '.join(missing)}.")
    if name == "forensics":  # judges all of Adam's runs anew, some of them beside other rules'
        runs = found
        read = [c for c in found.values() if str(c.attrs.get("rule", "")).startswith("adam")]
    else:
        runs, read = _runs_of(name, found), [found[run] for run in module.RUNS]
    tables, figures = module.tables(runs), module.figures(runs)
    draw(figures, tables, out / name)
    protocol = describe(read)
    shown = [
        (
            f"{name}/{figure}.png",
            f"{module.CAPTIONS[figure]} {describe(_shown_in(figure, name, found) or read)}",
        )
        for figure in figures
    ]
    captions = {
        f"{table.replace('_', ' ').capitalize()}. {protocol}": tables[table] for table in tables
    }
    return Section(title, captions, shown, getattr(module, "finding", lambda _: "")(runs))


def _shown_in(figure: str, name: str, found: Mapping[str, xr.Dataset]) -> list[xr.Dataset]:
    """Return the curves of the one network that a figure's name ends with, if it does."""
    network = figure.rpartition("_")[2]
    return [c for run, c in found.items() if f"{run}/".startswith(f"{name}/{network}/")]


def _beyond(name: str, module: Any, title: str, found: Mapping, out: Path) -> Section:
    """Return the section of an experiment beyond the paper: what it would cost, if unfinished."""
    section = _section(name, module, title, found, out)
    if section.text.startswith("Not finished"):
        command = f"`python -m experiments.{name}` takes about {module.COST}."
        missing = [run for run in module.RUNS if run not in found]
        what = section.text if len(missing) < len(module.RUNS) else "Not run."
        return section._replace(text=f"{what} {command}")
    return section


def _runs_of(name: str, found: Mapping[str, xr.Dataset]) -> Any:
    """Return an experiment's curves: one Dataset, or those of its cells by name."""
    if name in found:
        return found[name]
    return {
        run.removeprefix(f"{name}/"): c for run, c in found.items() if run.startswith(f"{name}/")
    }


def _budgets(found: Mapping[str, xr.Dataset], out: Path) -> Section:
    """Return what tuning buys: the three rules had 5, 6 and 32 settings to choose from."""
    budgets = {}
    for rule in RULES:
        after = best_after_k(best(found[rule]).valid_accuracy, failed=CHANCE)
        budgets[rule] = (after.k, after.expected, after.lower, after.upper)
    protocol = describe([found[rule] for rule in RULES])
    note = "mean over the orders of trying settings · band: 95 % bootstrap over seeds"
    draw({"budgets": plot_budget(budgets, note=note)}, {}, out / "rules")
    caption = "Best validation accuracy to expect after k settings tried in random order."
    return Section("Tuning budgets", {}, [("rules/budgets.png", f"{caption} {protocol}")])


if __name__ == "__main__":
    main(run, Options)
