"""Several experiments into one folder, and the report of all that it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from emnist_jax.cli.options import Running, connect, option
from emnist_jax.console import show
from emnist_jax.errors import InputError, check_count, nearest
from emnist_jax.store.files import write_text
from experiments import (
    adam,
    anomalies,
    batch_norm,
    budgets,
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
from experiments._draw import Section, draw
from experiments._experiment import Experiment, Runs
from experiments._options import Options, options_of
from experiments._train import collect, train
from experiments.report import about_glyphs, report


def _by_name(*modules: ModuleType) -> dict[str, Experiment]:
    return {module.EXPERIMENT.name: module.EXPERIMENT for module in modules}


PAPER = _by_name(sgd, rmsprop, adam, forensics, batch_norm, convnets, test_set, anomalies, budgets)
BEYOND = _by_name(rules_compared, cifar10, regularisation, weights_or_convolution, depth)
Values = Mapping[str, Mapping[str, Any]]
"""Options by experiment."""


@dataclass(frozen=True)
class StudyOptions(Running):
    """Options of several experiments; a preset's values, then these, replace their own."""

    data: option(str | None, "glyphs in the demo, else emnist/balanced", "STR") = None
    """glyphs (drawn), a TensorFlow Datasets name (emnist/balanced), a path of IDX files, images"""
    split: Literal["paper", "official"] = "paper"
    """paper: all images pooled and split again; official: the source's own test part"""
    seeds: option(int | None, "as each experiment has", "INT") = None
    """random initialisations and orders of every setting: seeds 0, 1, ..."""
    only: option(tuple[str, ...], "all", "NAME ...") = ()
    """run these; the report shows all there are"""
    out: option(Path | None, "runs/ and the preset", "PATH") = None
    """folder of results"""
    report_only: bool = False
    """run nothing: the report from the curves that are there"""


def check(options: StudyOptions, experiments: Mapping[str, Experiment], *counts: str) -> None:
    """Refuse invalid options before anything is written, and connect to other hosts.

    Raises:
        InputError: an unknown experiment, or a number below 1.
    """
    for name in options.only:
        if name not in experiments:
            raise InputError(f'no experiment "{name}": {nearest(name, experiments)}')
    for name in ("seeds", *counts):
        if getattr(options, name) is not None:
            check_count(name, getattr(options, name))
    connect(options)


def run_all(
    experiments: Mapping[str, Experiment],
    options: StudyOptions,
    data: str,
    out: Path,
    preset: Values,
    given: Values,
) -> None:
    """Train what is missing of experiments; `given` replaces `preset` where it is not None.

    A sweep that several share is trained once, with the options of the first that has it.
    """
    owner: dict[str, str] = {}
    for name, experiment in experiments.items():
        owner = dict.fromkeys(experiment.make(), name) | owner

    def options_for(name: str) -> Options:
        values = {key: getattr(options, key) for key in ("split", "overwrite", "trials_at_once")}
        own = {"seeds": options.seeds} | {k: v for k, v in given.get(name, {}).items() if v}
        values |= {"data": data, "out": out, **preset.get(name, {})}
        values |= {key: value for key, value in own.items() if value is not None}
        return options_of(experiments[name])(**values)

    done: set[str] = set()
    for name in options.only or experiments:
        for folder in experiments[name].make():
            if folder not in done:
                first = owner[folder]
                train(experiments[first], options_for(first), {folder})
                done.add(folder)


def write_report(out: Path) -> Path:
    """Write all figures, tables and README.md from the curves in a folder.

    Raises:
        InputError: no curves there.
    """
    known = {name for one in (PAPER | BEYOND).values() for name in one.folders}
    runs = {name: curves for name, curves in collect(out).items() if name in known}
    if not runs:
        raise InputError(f"{out}: no finished experiment here; run without --report-only first")
    sections = [_samples(out, runs)]
    for experiment in PAPER.values():
        if any(name in runs for name in experiment.folders or experiment.reads):
            sections.append(draw(experiment, runs, out))
    beyond = {name: draw(experiment, runs, out) for name, experiment in BEYOND.items()}
    path = write_text(out / "README.md", report(runs, sections, beyond))
    show("\n".join(filter(None, (str(path), about_glyphs(runs)))))
    return path


def _samples(out: Path, runs: Runs) -> Section:
    """Return Figure 1, or how to draw it: a folder of results need not hold images."""
    papers = [name for one in PAPER.values() for name in one.folders if name in runs]
    data, title = runs[(papers or list(runs))[0]].attrs["data"], "Data (D1)"
    text = "Claim D1 is judged by C1's confusion matrix, further down."
    if not (out / samples.FIGURE).exists():
        how = "`python -m experiments.samples` draws the paper's Figure 1, 25 images of the data"
        return Section(title, text=f"{how}; no image of {data} is kept here. {text}")
    caption = f"25 random training images with their labels. Data: {data}; nothing is trained."
    return Section(title, figures=[(str(samples.FIGURE), caption)], text=text)
